"""Errors of predicted depths: by depth, against their stated uncertainty, and against the Cramer-Rao bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from thermo_qc.errors import TruthError
from thermo_qc.evaluation.intervals import Proportion, clopper_pearson

__all__ = ["COVERAGE_LEVELS", "DepthRow", "DepthScores", "class_confusion_by_depth", "depth_scores"]

Floats = NDArray[np.float64]
COVERAGE_LEVELS = (0.68, 0.90, 0.95)


@dataclass(frozen=True, kw_only=True)
class DepthRow:
    """Errors at one true depth (or over all of them).

    Parameters
    ----------
    depth_mm : float
        True depth; NaN for the row over all depths.
    n : int
        Predictions.
    mae_mm, rmse_mm, bias_mm : float
        Mean absolute, root mean square and mean error (positive: called too deep).
    relative : float
        Mean of |error| / true depth.
    bound_ratio : float
        Root mean square of error / bound: 1 for an estimate that nobody can beat without bias; NaN without bounds.
    """

    depth_mm: float
    n: int
    mae_mm: float
    rmse_mm: float
    bias_mm: float
    relative: float
    bound_ratio: float


@dataclass(frozen=True, kw_only=True)
class DepthScores:
    """Errors of predicted depths.

    Parameters
    ----------
    overall : DepthRow
        Over all depths.
    by_depth : tuple of DepthRow
        By rising depth.
    coverage : mapping of float to Proportion
        Stated level to the share of true depths inside the stated interval; empty without uncertainties.
    n_left_out : int
        Predictions without a known true or predicted depth.
    n_unbounded : int
        Predictions without a finite bound, left out of `bound_ratio`.
    reason : str
        Why there are no figures; empty when there are.
    """

    overall: DepthRow
    by_depth: tuple[DepthRow, ...]
    coverage: Mapping[float, Proportion]
    n_left_out: int
    n_unbounded: int
    reason: str = ""


def depth_scores(
    true_mm: Any,
    predicted_mm: Any,
    *,
    sigma_mm: Any | None = None,
    sigma_log: Any | None = None,
    bound_mm: Any | None = None,
    levels: Sequence[float] = COVERAGE_LEVELS,
    depth_tolerance_mm: float = 0.05,
) -> DepthScores:
    """Score predicted depths.

    Parameters
    ----------
    true_mm, predicted_mm : array_like, shape (N,)
        Depths, mm; pairs in which one is unknown (None, NaN) are left out and counted.
    sigma_mm : array_like, shape (N,), optional
        Stated standard uncertainty, mm: the interval of level p is predicted +- z_p sigma.
    sigma_log : array_like, shape (N,), optional
        Stated standard uncertainty of the logarithm of the depth: predicted * exp(+- z_p sigma). One of the two.
    bound_mm : array_like, shape (N,), optional
        Cramer-Rao bound of the standard deviation, mm (`cramer_rao_bound`, `hole_depth_bounds`); infinite or unknown
        bounds are left out of the ratio.
    levels : sequence of float
        Levels of the coverage.
    depth_tolerance_mm : float
        Depths at most this far above the first of a row share it.

    Returns
    -------
    DepthScores

    Raises
    ------
    TruthError
        When arrays do not fit, a depth or bound is not positive, or an uncertainty is negative.

    Examples
    --------
    >>> scores = depth_scores([1.0, 1.0, 2.0], [1.1, 0.9, 2.4], sigma_mm=[0.1, 0.1, 0.1])
    >>> round(scores.overall.mae_mm, 3), [row.n for row in scores.by_depth], scores.coverage[0.95].count
    (0.2, [2, 1], 2)
    """
    true, predicted = _column(true_mm, "true depths"), _column(predicted_mm, "predicted depths")
    if true.size != predicted.size:
        raise TruthError(f"there are {predicted.size} predicted depths for {true.size} true ones; give pairs")
    if sigma_mm is not None and sigma_log is not None:
        raise TruthError("both sigma_mm and sigma_log are given; state the uncertainty in one way")
    known = np.isfinite(true) & np.isfinite(predicted)
    if (true[known] <= 0).any():
        raise TruthError(f"a true depth is {true[known].min():g} mm, expected a positive length")
    bound = _beside(bound_mm, true.size, "bounds")
    bound[~np.isfinite(bound)] = np.nan
    if (bound[np.isfinite(bound)] <= 0).any():
        raise TruthError("a Cramer-Rao bound is not positive; leave unknown bounds NaN")
    reason = "" if known.any() else _why_none(true, predicted)
    pairs = true[known], predicted[known], bound[known]
    sigma = _beside(sigma_mm if sigma_log is None else sigma_log, true.size, "uncertainties")[known]
    if (sigma[np.isfinite(sigma)] < 0).any():
        raise TruthError("a stated uncertainty is negative")
    rows = _rows(*pairs, depth_tolerance_mm)
    return DepthScores(
        overall=_row(float("nan"), *pairs),
        by_depth=rows,
        coverage=_coverage(pairs[0], pairs[1], sigma, levels, log=sigma_log is not None),
        n_left_out=int((~known).sum()),
        n_unbounded=int(np.isnan(pairs[2]).sum()) if bound_mm is not None else 0,
        reason=reason,
    )


def _column(values: Any, what: str) -> Floats:
    result = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if result.ndim != 1:
        raise TruthError(f"{what} have shape {result.shape}, expected one value per defect or pixel")
    return result


def _beside(values: Any | None, n: int, what: str) -> Floats:
    if values is None:
        return np.full(n, np.nan)
    column = _column(values, what)
    if column.size != n:
        raise TruthError(f"there are {column.size} {what} for {n} depths; give one for each")
    return column


def _why_none(true: Floats, predicted: Floats) -> str:
    if true.size == 0:
        return "there is no depth to score"
    if not np.isfinite(true).any():
        return "the true depths are unknown"
    if not np.isfinite(predicted).any():
        return "no depth was predicted"
    return "no defect has both a true and a predicted depth"


def _row(depth_mm: float, true: Floats, predicted: Floats, bound: Floats) -> DepthRow:
    nan = float("nan")
    if true.size == 0:
        return DepthRow(depth_mm=depth_mm, n=0, mae_mm=nan, rmse_mm=nan, bias_mm=nan, relative=nan, bound_ratio=nan)
    error = predicted - true
    ratio = (error / bound)[np.isfinite(bound)]
    return DepthRow(
        depth_mm=depth_mm,
        n=int(true.size),
        mae_mm=float(np.abs(error).mean()),
        rmse_mm=float(np.sqrt(np.mean(error**2))),
        bias_mm=float(error.mean()),
        relative=float((np.abs(error) / true).mean()),
        bound_ratio=float(np.sqrt(np.mean(ratio**2))) if ratio.size else nan,
    )


def _rows(true: Floats, predicted: Floats, bound: Floats, tolerance: float) -> tuple[DepthRow, ...]:
    return tuple(
        _row(float(true[members].mean()), true[members], predicted[members], bound[members])
        for members in depth_steps(true, tolerance)
    )


def depth_steps(values: Floats, tolerance: float) -> list[NDArray[np.intp]]:
    """Group values that lie at most `tolerance` above the first of their step: indices, by rising value."""
    steps: list[list[int]] = []
    for position in np.argsort(values, kind="stable").tolist():
        if not steps or values[position] - values[steps[-1][0]] > tolerance + 1e-9:
            steps.append([])
        steps[-1].append(position)
    return [np.array(step, dtype=np.intp) for step in steps]


def _coverage(
    true: Floats, predicted: Floats, sigma: Floats, levels: Sequence[float], *, log: bool
) -> dict[float, Proportion]:
    stated = np.isfinite(sigma)
    if not stated.any():
        return {}
    if log and (predicted[stated] <= 0).any():
        raise TruthError("a predicted depth is not positive and has no logarithm; state its uncertainty in mm")
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(np.log(predicted / true)) if log else np.abs(predicted - true)
    result = {}
    for level in levels:
        if not 0 < level < 1:
            raise TruthError(f"a level of coverage is {level}, expected a share between 0 and 1")
        inside = distance[stated] <= float(ndtri((1 + level) / 2)) * sigma[stated]
        result[float(level)] = clopper_pearson(int(inside.sum()), int(stated.sum()))
    return result


def class_confusion_by_depth(
    holes: Sequence[Mapping[str, Any]], class_names: Sequence[str], *, depth_tolerance_mm: float = 0.05
) -> list[dict[str, Any]]:
    """Count at each true depth what the defects were called.

    Parameters
    ----------
    holes : sequence of dict
        Entries of `hole_table`; those of unknown depth are left out.
    class_names : sequence of str
        Names of all classes, sound first.
    depth_tolerance_mm : float
        Depths at most this far above the first of a row share it.

    Returns
    -------
    list of dict
        By rising depth: ``depth_mm``, ``true_class`` (names), ``total``, ``missed``, ``called`` (class name to count,
        of those found).
    """
    known = [hole for hole in holes if hole["depth_mm"] is not None and np.isfinite(hole["depth_mm"])]
    depths = np.array([hole["depth_mm"] for hole in known], dtype=np.float64)
    table = []
    for step in depth_steps(depths, depth_tolerance_mm):
        members = [known[position] for position in step]
        called = dict.fromkeys(class_names[1:], 0)
        for hole in members:
            if hole["found"] and hole["predicted_class"] is not None:
                called[class_names[hole["predicted_class"]]] += 1
        table.append(
            {
                "depth_mm": round(float(depths[step].mean()), 4),
                "true_class": sorted({class_names[hole["true_class"]] for hole in members}),
                "total": len(members),
                "missed": sum(not hole["found"] for hole in members),
                "called": called,
            }
        )
    return table
