"""Likelihood-ratio bounds of a POD curve: sideways (the size for a POD) and upwards (the POD at a size)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from thermo_qc.evaluation.pod_design import Floats, PodDesign
from thermo_qc.evaluation.pod_likelihood import Link, link_of_pod, pod_of_link
from thermo_qc.evaluation.pod_result import PodSize, one_sided_level, two_sided_level

__all__ = ["Profile", "curve_bounds", "size_at", "upper_size"]

_DOUBLINGS = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """A fitted curve and the likelihood of every curve that is forced through a point.

    Parameters
    ----------
    design : PodDesign
        Sizes to rows.
    link : {"logit", "probit", "cloglog"}
        Link.
    coefficients : ndarray, shape (P,)
        Of the linear predictor at the maximum.
    value : float
        Largest log-likelihood.
    constrained : callable
        (row (P,), predictor) to the largest log-likelihood of the curves with this predictor at this row.
    covariance : ndarray, shape (P, P), optional
        Of the coefficients: says how far away the bounds are about.
    """

    design: PodDesign
    link: Link
    coefficients: Floats
    value: float
    constrained: Callable[[Floats, float], float]
    covariance: Floats | None = None

    def drop(self, scaled_size: float, predictor: float) -> float:
        """Twice the fall of the log-likelihood when the curve is forced through (size, predictor)."""
        row = self._row(scaled_size)
        return max(0.0, 2 * (self.value - self.constrained(row, predictor)))

    def scaled_size_at(self, pod: float) -> float:
        """Scaled size that the fitted curve finds with this probability."""
        intercept, slope = self.design.line(self.coefficients)
        return (link_of_pod(self.link, pod) - intercept) / slope

    def predictor_at(self, scaled_size: float) -> float:
        """Linear predictor of the fitted curve."""
        return float(self._row(scaled_size) @ self.coefficients)

    def reach(self, scaled_size: float, level: float) -> float:
        """Give Wald's guess of how far from the fitted predictor the bound at this level lies."""
        if self.covariance is None:
            return 0.5
        row = self._row(scaled_size)
        guess = float(np.sqrt(max(level * float(row @ self.covariance @ row), 0.0)))
        return guess if np.isfinite(guess) and guess > 0 else 0.5

    def _row(self, scaled_size: float) -> Floats:
        columns = [1.0, scaled_size]
        if self.design.predictor == "both":
            depth = float(self.design.depth_mm or np.nan)
            columns.append(scaled_size - np.log(depth) if self.design.scale == "log" else scaled_size / depth)
        return np.array(columns)


def _crossing(drop: Callable[[float], float], start: float, step: float, level: float) -> float:
    """Where a drop that grows from 0 at `start` reaches `level`, going by `step`; infinite when it never does."""
    near, far = 0.0, step
    for _ in range(_DOUBLINGS):
        if drop(start + far) > level:
            return start + float(
                optimize.brentq(lambda move: drop(start + move) - level, near, far, xtol=1e-6 * abs(step))
            )
        near, far = far, 2 * far
    return float(np.copysign(np.inf, step))


def _bound(profile: Profile, pod: float, level: float, direction: int) -> float:
    """Size where the profile of the size at `pod` reaches `level`."""
    start, predictor = profile.scaled_size_at(pod), link_of_pod(profile.link, pod)
    _, slope = profile.design.line(profile.coefficients)
    step = direction / abs(slope)
    found = _crossing(lambda scaled: profile.drop(scaled, predictor), start, step, level)
    return profile.design.size_of(found)


def size_at(profile: Profile, pod: float, confidence: float, tested: Floats) -> PodSize:
    """Size found with probability `pod` with two-sided bounds, or the reason why the tested sizes do not give it."""
    value = profile.design.size_of(profile.scaled_size_at(pod))
    reason = _outside(profile, value, pod, tested)
    if reason:
        return PodSize(pod=pod, reason=reason)
    level = two_sided_level(confidence)
    low, high = (_bound(profile, pod, level, direction) for direction in (-1, 1))
    return PodSize(pod=pod, value=value, low=max(low, 0.0), high=high)


def upper_size(profile: Profile, pod: float, confidence: float, tested: Floats) -> PodSize:
    """One-sided upper bound of the size found with probability `pod`, or the reason why there is none."""
    value = profile.design.size_of(profile.scaled_size_at(pod))
    reason = _outside(profile, value, pod, tested)
    if reason:
        return PodSize(pod=pod, reason=reason)
    bound = _bound(profile, pod, one_sided_level(confidence), 1)
    share = f"{100 * confidence:g} %"
    if not np.isfinite(bound):
        return PodSize(
            pod=pod,
            reason=f"the data do not rule out a flat curve at {share}: the {share} bound of a{pod * 100:g} is infinite",
        )
    if bound > tested.max():
        return PodSize(
            pod=pod,
            reason=f"the {share} bound of POD does not reach {pod:g} within the sizes tested "
            f"({_span(profile.design, tested)}); test larger targets or more of them",
        )
    return PodSize(pod=pod, value=bound, high=bound)


def _outside(profile: Profile, value: float, pod: float, tested: Floats) -> str:
    span = _span(profile.design, tested)
    if value > tested.max():
        return f"POD does not reach {pod:g} within the sizes tested ({span}); test larger targets"
    if value < tested.min():
        return f"POD is above {pod:g} at all sizes tested ({span}); test smaller targets"
    return ""


def _span(design: PodDesign, tested: Floats) -> str:
    return f"{tested.min():.3g} to {tested.max():.3g} {design.unit}".strip()


def curve_bounds(profile: Profile, sizes: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
    """POD at sizes with pointwise two-sided bounds, three arrays (G,)."""
    level = two_sided_level(confidence)
    predictors = np.empty((3, sizes.size))
    for column, size in enumerate(sizes):
        scaled = profile.design.scaled(float(size))
        fitted = profile.predictor_at(scaled)

        def drop(predictor: float, scaled: float = scaled) -> float:
            return profile.drop(scaled, predictor)

        reach = 1.1 * profile.reach(scaled, level)
        predictors[:, column] = fitted, _crossing(drop, fitted, -reach, level), _crossing(drop, fitted, reach, level)
    pod, low, high = (pod_of_link(profile.link, row) for row in predictors)
    return pod, low, high
