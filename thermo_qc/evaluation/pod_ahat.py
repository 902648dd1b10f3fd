"""POD from signals against size (a-hat against a): a censored regression with likelihood-ratio bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from thermo_qc.errors import ConfigError, TruthError
from thermo_qc.evaluation.intervals import Proportion, check_confidence, clopper_pearson
from thermo_qc.evaluation.pod_bootstrap import bootstrap_sizes
from thermo_qc.evaluation.pod_checks import residual_checks
from thermo_qc.evaluation.pod_design import Floats, PodDesign, Predictor, Scale, column_of
from thermo_qc.evaluation.pod_likelihood import Censored, Maximum, maximise
from thermo_qc.evaluation.pod_profile import Profile, curve_bounds, size_at, upper_size
from thermo_qc.evaluation.pod_reasons import FEWEST_TARGETS, notes_for, one_size, too_few
from thermo_qc.evaluation.pod_result import PodCurve, PodSize, count_targets, empty_curve

__all__ = ["STANDARD_TARGETS_A_HAT", "fit_a_hat"]

STANDARD_TARGETS_A_HAT = 40
_FEWEST_SIGNALS = 5  # neither below the noise nor saturated
_N_CURVE = 41


@dataclass(frozen=True, kw_only=True, eq=False)
class _Signals:
    """Signals on the scale of the regression; `state` is 0 where seen, -1 below the lower, 1 above the upper limit."""

    rows: Floats
    values: Floats
    state: np.ndarray
    threshold: float

    def likelihood(self, weights: Floats, rows: Floats | None = None, offset: float = 0.0) -> Censored:
        return Censored(
            rows=self.rows if rows is None else rows,
            signals=self.values,
            state=self.state,
            weights=weights,
            offset=offset,
            shift=self.threshold,
        )


def fit_a_hat(
    diameter_mm: Any,
    signal: Any,
    *,
    threshold: float,
    depth_mm: Any | None = None,
    predictor: Predictor = "diameter",
    at_depth_mm: float | None = None,
    scale: Scale = "log",
    signal_scale: Literal["log", "linear"] = "log",
    lower_limit: float | None = None,
    upper_limit: float | None = None,
    target: Sequence[Any] | None = None,
    noise: Any | None = None,
    confidence: float = 0.95,
    min_targets: int = STANDARD_TARGETS_A_HAT,
    n_bootstrap: int = 0,
    rng: np.random.Generator | None = None,
) -> PodCurve:
    """Fit the probability that the signal of a target passes a decision threshold.

    The signal (or its logarithm) is linear in the predictor (or its logarithm) with Gaussian scatter of one width:
    ``POD = Phi((b0 + b1 a - threshold) / sigma)``, all by maximum likelihood (sigma with the number of signals as its
    divisor). Signals beyond a limit are known only to lie there. a50 and a90 carry two-sided, a90/95 is a one-sided
    profile-likelihood bound. Where the data give no curve, no a90 or no bound of it, the answer is the reason.

    Parameters
    ----------
    diameter_mm : array_like, shape (N,)
        Diameter of the target of every look, mm.
    signal : array_like, shape (N,)
        Its signal (a contrast, an SNR, a probability, ...), positive for the logarithmic scale.
    threshold : float
        Signals from here on are calls.
    depth_mm, predictor, at_depth_mm, scale, target, confidence, n_bootstrap, rng
        As for `fit_hit_miss`.
    signal_scale : {"log", "linear"}
        Scale of the signal.
    lower_limit, upper_limit : float, optional
        Signals at or below (at or above) the limit are noise (saturated): only the side counts.
    noise : array_like, shape (M,), optional
        Signals of sound places: the share at or above the threshold is the false-call rate.
    min_targets : int
        With fewer distinct targets there is no a90/95. Below 40, the least of the standard, everything is marked
        indicative whatever is set here.

    Returns
    -------
    PodCurve
        With `checks` of the residuals.

    Raises
    ------
    TruthError
        When sizes, depths, signals or targets do not fit one another.
    ConfigError
        When an option is wrong.

    References
    ----------
    MIL-HDBK-1823A (2009), appendix G; ASTM E3023; Berens, NDE reliability data analysis, ASM Metals Handbook 17 (1989)
    689-701; Meeker and Escobar, The American Statistician 49 (1995) 48-53, doi:10.1080/00031305.1995.10476112.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> size = rng.uniform(2, 20, 60)
    >>> curve = fit_a_hat(size, 0.1 * size**1.5 * np.exp(0.2 * rng.standard_normal(60)), threshold=2.0)
    >>> curve.a50.low < 20 ** (2 / 3) < curve.a50.high, curve.a90.value < curve.a90_95.value
    (True, True)
    """
    if not check_confidence(confidence) > 0.5:
        raise ConfigError(f"confidence is {confidence}, expected more than 0.5 for one-sided bounds")
    design = PodDesign(predictor=predictor, scale=scale, depth_mm=at_depth_mm)
    rows, sizes = design.rows(diameter_mm, depth_mm), design.sizes(diameter_mm, depth_mm)
    raw = column_of(signal, "signal")
    if raw.size != sizes.size:
        raise TruthError(f"there are {raw.size} signals for {sizes.size} sizes; give one per look")
    signals = _signals(rows, raw, threshold, signal_scale, lower_limit, upper_limit)
    numbers, n_targets = count_targets(target, sizes.size)
    hits = raw >= threshold
    common: dict[str, Any] = {
        "kind": "a-hat",
        "link": "probit",
        "design": design,
        "n_targets": n_targets,
        "confidence": confidence,
        "indicative": n_targets < STANDARD_TARGETS_A_HAT,
        "false_calls": _false_calls(noise, threshold),
        "notes": notes_for(n_targets, sizes.size, STANDARD_TARGETS_A_HAT, "ASTM E3023 and MIL-HDBK-1823A ask"),
        "signal_scale": signal_scale,
        "threshold": float(threshold),
    }
    reason = _no_line(signals, n_targets)
    best = None if reason else _fit(signals, np.ones(sizes.size))
    reason = reason or _bad_line(best, design)
    if best is None or reason:
        return empty_curve(hits=hits, tested=sizes, reason=reason, **common)
    profile = _profile(design, signals, best)
    grid = np.linspace(sizes.min(), sizes.max(), _N_CURVE)
    pod, low, high = curve_bounds(profile, grid, confidence)
    a50, a90 = size_at(profile, 0.5, confidence, sizes), size_at(profile, 0.9, confidence, sizes)
    few = "" if n_targets >= min_targets else too_few(n_targets, min_targets)
    a90_95 = PodSize(pod=0.9, reason=few) if few else upper_size(profile, 0.9, confidence, sizes)
    resampled = bootstrap_sizes(
        lambda weights: _refit(design, signals, weights[numbers]),
        a50=a50,
        a90=a90,
        n_targets=n_targets,
        n=n_bootstrap,
        rng=rng,
        confidence=confidence,
        withheld=few,
        largest=float(sizes.max()),
    )
    return PodCurve(
        **common,
        n_looks=int(sizes.size),
        n_hits=int(hits.sum()),
        smallest=float(sizes.min()),
        largest=float(sizes.max()),
        a50=a50,
        a90=a90,
        a90_95=a90_95,
        coefficients=best.parameters[:-1],
        covariance=best.covariance,
        log_likelihood=best.value,
        deviance=-2 * best.value,
        sizes=grid,
        pod=pod,
        low=low,
        high=high,
        bootstrap=resampled,
        sigma=float(1 / best.parameters[-1]),
        checks=_checks(signals, best),
    )


def _signals(
    rows: Floats, raw: Floats, threshold: float, scale: str, lower: float | None, upper: float | None
) -> _Signals:
    """Censor the signals and bring them to the scale of the regression."""
    if scale not in ("log", "linear"):
        raise ConfigError(f"signal scale is '{scale}', expected log or linear")
    if not np.isfinite(raw).all():
        raise TruthError("some signals are not numbers; leave looks without a signal out and say so")
    if lower is not None and upper is not None and not lower < upper:
        raise ConfigError(f"signals are limited to {lower:g} to {upper:g}, expected a lower limit below the upper one")
    for name, value in (("threshold", threshold), ("lower limit", lower), ("upper limit", upper)):
        if value is not None and not (np.isfinite(value) and (scale == "linear" or value > 0)):
            kind = "a positive number for signals on a logarithmic scale" if scale == "log" else "a number"
            raise ConfigError(f"the {name} of the signals is {value:g}, expected {kind}")
    state = np.zeros(raw.size, dtype=np.int64)
    values = raw.copy()
    if lower is not None:
        state[raw <= lower], values[raw <= lower] = -1, lower
    if upper is not None:
        state[raw >= upper], values[raw >= upper] = 1, upper
    if scale == "log":
        if not (values > 0).all():
            raise TruthError(
                f"{int((values <= 0).sum())} of {raw.size} signals are not positive and have no logarithm; give the "
                "noise as lower_limit or take signal_scale linear"
            )
        values = np.log(values)
        threshold = float(np.log(threshold))
    return _Signals(rows=rows, values=values, state=state, threshold=float(threshold))


def _false_calls(noise: Any | None, threshold: float) -> Proportion | None:
    if noise is None:
        return None
    values = column_of(noise, "noise")
    if not np.isfinite(values).all():
        raise TruthError("some signals of sound places are not numbers; leave them out and say so")
    return clopper_pearson(int((values >= threshold).sum()), values.size)


def _no_line(signals: _Signals, n_targets: int) -> str:
    """Say why signals have no line, before any fit."""
    if n_targets < FEWEST_TARGETS:
        return f"{n_targets} distinct targets are too few for a curve; at least {FEWEST_TARGETS} are needed"
    seen = signals.state == 0
    n_seen = int(seen.sum())
    if n_seen < _FEWEST_SIGNALS:
        return (
            f"{n_seen} of {seen.size} signals lie between the limits; at least {_FEWEST_SIGNALS} are needed for a line"
        )
    rows = signals.rows[seen]
    if why := one_size(rows):
        return why
    start = np.linalg.lstsq(rows, signals.values[seen], rcond=None)[0]
    rest = float(np.std(signals.values[seen] - rows @ start))
    if not rest > 1e-9 * max(1.0, float(np.abs(signals.values[seen]).max())):
        return "the signals lie on the line without scatter: POD would be a step; measure every target more than once"
    return ""


def _fit(signals: _Signals, weights: Floats) -> Maximum:
    """Maximum likelihood in (b / sigma with the threshold taken off, 1 / sigma), from the least squares of all signals.

    Where everything is seen this is the solution already.
    """
    root = np.sqrt(weights)[:, None]
    centred = signals.values - signals.threshold
    line = np.linalg.lstsq(root * signals.rows, root[:, 0] * centred, rcond=None)[0]
    rest = centred - signals.rows @ line
    sigma = float(np.sqrt(np.dot(weights, rest**2) / weights.sum()))
    sigma = max(sigma, 1e-12)
    return maximise(signals.likelihood(weights), np.append(line, 1.0) / sigma)


def _bad_line(best: Maximum | None, design: PodDesign) -> str:
    if best is None:
        return ""
    if not best.converged or not np.isfinite(best.parameters).all():
        return "the fit did not converge; the model does not suit the data"
    if not design.line(best.parameters[:-1])[1] > 0:
        return "the signal does not grow with size in these data: no size is found with a given probability"
    return ""


def _profile(design: PodDesign, signals: _Signals, best: Maximum) -> Profile:
    ones = np.ones(signals.values.size)

    def constrained(row: Floats, predictor: float) -> float:
        likelihood = signals.likelihood(ones, rows=signals.rows[:, 1:] - row[1:], offset=predictor)
        return maximise(likelihood, best.parameters[1:]).value

    return Profile(
        design=design,
        link="probit",
        coefficients=best.parameters[:-1],
        value=best.value,
        constrained=constrained,
        covariance=best.covariance[:-1, :-1],
    )


def _refit(design: PodDesign, signals: _Signals, weights: Floats) -> tuple[float, float] | None:
    """a50 and a90 of one resample; None when it has no line, infinite when its signal does not grow."""
    seen = (weights > 0) & (signals.state == 0)
    if np.linalg.matrix_rank(signals.rows[seen]) < signals.rows.shape[1] or seen.sum() <= signals.rows.shape[1]:
        return None
    best = _fit(signals, weights)
    if not best.converged:
        return None
    if not design.line(best.parameters[:-1])[1] > 0:
        return float("inf"), float("inf")
    profile = Profile(
        design=design,
        link="probit",
        coefficients=best.parameters[:-1],
        value=best.value,
        constrained=lambda _row, _predictor: 0.0,
    )
    return design.size_of(profile.scaled_size_at(0.5)), design.size_of(profile.scaled_size_at(0.9))


def _checks(signals: _Signals, best: Maximum) -> tuple[Any, ...]:
    seen = signals.state == 0
    standard = (signals.values - signals.threshold) * best.parameters[-1] - signals.rows @ best.parameters[:-1]
    return residual_checks(signals.rows[seen], standard[seen])
