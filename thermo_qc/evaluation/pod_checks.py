"""Whether the residuals of signals against size are what the POD curve takes for granted."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtrc, fdtrc

from thermo_qc.evaluation.pod_design import Floats
from thermo_qc.evaluation.pod_result import ResidualCheck

__all__ = ["residual_checks"]

_FEWEST = 8
_LEVEL = 0.05


def residual_checks(rows: Floats, residuals: Floats) -> tuple[ResidualCheck, ...]:
    """Check that residuals scatter normally, alike at all sizes, and round a straight line.

    Parameters
    ----------
    rows : ndarray, shape (N, P)
        Regressors, the first column 1; rows of censored signals left out.
    residuals : ndarray, shape (N,)
        Signal minus line, in any unit.

    Returns
    -------
    tuple of ResidualCheck
        Normal (Shapiro and Wilk), equal spread (Breusch and Pagan, studentised by Koenker), straight line (F-test of
        the squares of the predictors); all at 5 %. With fewer than 8 residuals the p-values are NaN.

    References
    ----------
    Shapiro and Wilk, Biometrika 52 (1965) 591-611, doi:10.1093/biomet/52.3-4.591; Koenker, J. Econometrics 17 (1981)
    107-112, doi:10.1016/0304-4076(81)90062-2.
    """
    enough = residuals.size >= _FEWEST and float(np.std(residuals)) > 0
    found = (
        (_normal(residuals), _equal_spread(rows, residuals), _straight(rows, residuals)) if enough else (np.nan,) * 3
    )
    said = (
        ("residuals are normal", "try the other scale of the signal, or look for outliers"),
        ("residuals scatter alike at all sizes", "take the signal on the other scale (log or linear)"),
        ("the signal is straight in the predictor", "take the size on the other scale (log or linear)"),
    )
    return tuple(
        ResidualCheck(name=name, p_value=float(p), passed=bool(not p < _LEVEL), advice=advice)
        for (name, advice), p in zip(said, found, strict=True)
    )


def _normal(residuals: Floats) -> float:
    from scipy.stats import shapiro  # takes long to load

    return float(shapiro(residuals).pvalue)


def _equal_spread(rows: Floats, residuals: Floats) -> float:
    squares = residuals**2
    left = _left_over(rows, squares)
    spread = float(np.sum((squares - squares.mean()) ** 2))
    share = 1 - left / spread if spread > 0 else 0.0
    return float(chdtrc(rows.shape[1] - 1, residuals.size * max(share, 0.0)))


def _straight(rows: Floats, residuals: Floats) -> float:
    middle = rows[:, 1:] - rows[:, 1:].mean(axis=0)
    wider = np.column_stack([rows, middle**2])
    more = int(np.linalg.matrix_rank(wider)) - rows.shape[1]
    free = residuals.size - rows.shape[1] - more
    if more < 1 or free < 1:
        return float("nan")
    before, after = _left_over(rows, residuals), _left_over(wider, residuals)
    if not after > 0:
        return 0.0
    return float(fdtrc(more, free, (before - after) / more / (after / free)))


def _left_over(rows: Floats, values: Floats) -> float:
    fit = np.linalg.lstsq(rows, values, rcond=None)[0]
    return float(np.sum((values - rows @ fit) ** 2))
