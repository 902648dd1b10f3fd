"""Before an inspection: the smallest hole that a set-up can show at each depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.evaluation.hole_indices import hole_depth_bounds, hole_detectability
from thermo_qc.evaluation.observer import DetectionLimits
from thermo_qc.evaluation.setup import InspectionSetup
from thermo_qc.sequence import Material
from thermo_qc.simulation.conditions import check_range

__all__ = ["DepthPlan", "find_diameter", "smallest_diameters"]

_BRACKET = 0.12  # relative width of a bracket in which log d' is a straight line over log diameter
_OVERSHOOT = 0.05
_USUAL_SLOPE = 2.5
_MOST_SOLVES = 24
_LEAST = 1e-9


@dataclass(frozen=True, kw_only=True)
class DepthPlan:
    """What a set-up can show at one depth.

    Parameters
    ----------
    depth_mm : float
        Material left above the hole.
    detectable_mm, visible_mm : float
        Smallest diameter whose d' reaches the limits "detectable" and "visible"; the least one that was tried where
        that is enough, NaN where the largest one is not.
    depth_bound_mm, depth_bound_joint_mm : float
        Cramer-Rao bound of the depth of a hole of `detectable_mm`, its diameter known or unknown; NaN where there is
        none.
    diameters_mm, d_primes : tuple of float
        Diameters that were simulated, rising, and their honest index.
    """

    depth_mm: float
    detectable_mm: float
    visible_mm: float
    depth_bound_mm: float
    depth_bound_joint_mm: float
    diameters_mm: tuple[float, ...]
    d_primes: tuple[float, ...]


def smallest_diameters(
    material: Material,
    *,
    thickness_mm: float,
    depths_mm: Sequence[float],
    setup: InspectionSetup,
    limits: DetectionLimits | None = None,
    smallest_mm: float = 1.0,
    largest_mm: float = 100.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[DepthPlan, ...]:
    """Find the smallest detectable and the smallest visible hole at each depth.

    Parameters
    ----------
    material : Material
        Constants.
    thickness_mm : float
        Thickness of the plate.
    depths_mm : sequence of float
        Material left above the holes.
    setup : InspectionSetup
        Heating, losses, camera and recording.
    limits : DetectionLimits, optional
        6.5 and 30.
    smallest_mm, largest_mm : float
        Diameters between which to search.
    progress : callable, optional
        Called with the number of finished depths and of all depths.

    Returns
    -------
    tuple of DepthPlan
        In the order of `depths_mm`.

    Raises
    ------
    ConfigError
        When there is no depth, or a number is out of range.
    """
    limits = limits or DetectionLimits()
    check_range("thickness_mm", thickness_mm, low=0, open_low=True)
    check_range("smallest_mm", smallest_mm, low=0, open_low=True)
    check_range("largest_mm", largest_mm, low=smallest_mm, open_low=True)
    if not depths_mm:
        raise ConfigError("there is no depth to plan for; give depths between the face and the back of the plate")
    for depth in depths_mm:
        if not 0 < depth < thickness_mm:
            raise ConfigError(f"depth {depth:g} mm is not inside a plate of {thickness_mm:g} mm; give one that is")
    plans: list[DepthPlan] = []
    for depth in depths_mm:
        start = depth * (plans[-1].detectable_mm / plans[-1].depth_mm if plans else 1.5)
        start = 2.0 * depth if np.isnan(start) else start
        plans.append(_plan_depth(material, thickness_mm, depth, setup, limits, (smallest_mm, start, largest_mm)))
        if progress is not None:
            progress(len(plans), len(depths_mm))
    return tuple(plans)


def _plan_depth(
    material: Material,
    thickness_mm: float,
    depth_mm: float,
    setup: InspectionSetup,
    limits: DetectionLimits,
    search_mm: tuple[float, float, float],
) -> DepthPlan:
    def index(diameter: float) -> float:
        return hole_detectability(
            material, thickness_mm=thickness_mm, depth_mm=depth_mm, diameter_mm=diameter, setup=setup
        ).background

    known: dict[float, float] = {}
    low, start, high = search_mm
    detectable, visible = (
        find_diameter(index, limit, smallest_mm=low, largest_mm=high, start_mm=start, known=known)
        for limit in (limits.detectable, limits.visible)
    )
    bounds = (np.nan, np.nan)
    if np.isfinite(detectable):
        bounds = hole_depth_bounds(
            material, thickness_mm=thickness_mm, depth_mm=depth_mm, diameter_mm=detectable, setup=setup
        )
    diameters = tuple(sorted(known))
    return DepthPlan(
        depth_mm=float(depth_mm),
        detectable_mm=detectable,
        visible_mm=visible,
        depth_bound_mm=bounds[0],
        depth_bound_joint_mm=bounds[1],
        diameters_mm=diameters,
        d_primes=tuple(known[diameter] for diameter in diameters),
    )


def find_diameter(
    index: Callable[[float], float],
    limit: float,
    *,
    smallest_mm: float,
    largest_mm: float,
    start_mm: float,
    known: dict[float, float] | None = None,
) -> float:
    """Find the diameter at which a rising index reaches a limit, by few evaluations.

    Parameters
    ----------
    index : callable
        d' of a diameter; nearly a power law.
    limit : float
        Wanted d'.
    smallest_mm, largest_mm, start_mm : float
        Where to search, and where to begin.
    known : dict of float to float, optional
        Diameters with their d' from before; new ones are added.

    Returns
    -------
    float
        `smallest_mm` where that is enough, NaN where `largest_mm` is not.

    Examples
    --------
    >>> round(find_diameter(lambda d: 0.02 * d**3, 30.0, smallest_mm=1.0, largest_mm=100.0, start_mm=5.0), 3)
    11.447
    """
    known = {} if known is None else known
    if not known:
        first = float(np.clip(start_mm, smallest_mm, largest_mm))
        known[first] = index(first)
    goal = np.log(limit)
    for _ in range(_MOST_SOLVES):
        x = np.log(sorted(known))
        y = np.log([max(known[diameter], _LEAST) for diameter in sorted(known)])
        enough = np.flatnonzero(y >= goal)
        if enough.size and enough[0] > 0:
            a, b = enough[0] - 1, enough[0]
            at = x[a] + (x[b] - x[a]) * (goal - y[a]) / (y[b] - y[a])
            if x[b] - x[a] <= _BRACKET:
                return float(np.exp(at))
            at += _OVERSHOOT * (-1 if at - x[a] > x[b] - at else 1)  # past the goal, so that the bracket closes
            at = float(np.clip(at, x[a] + 0.1 * (x[b] - x[a]), x[b] - 0.1 * (x[b] - x[a])))
        elif enough.size:
            if np.exp(x[0]) <= smallest_mm * 1.000001:
                return smallest_mm
            at = max(np.log(smallest_mm), x[0] - (y[0] - goal) / _slope(x[:2], y[:2]) - _OVERSHOOT)
        else:
            if np.exp(x[-1]) >= largest_mm * 0.999999:
                return float("nan")
            at = min(np.log(largest_mm), x[-1] + (goal - y[-1]) / _slope(x[-2:], y[-2:]) + _OVERSHOOT)
        diameter = float(np.clip(np.exp(at), smallest_mm, largest_mm))
        known[diameter] = index(diameter)
    raise ConfigError(f"d' does not settle at {limit:g} over the diameter; check the camera's pixel pitch and blur")


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Slope through two points, kept within what holes do."""
    if x.size < 2:
        return _USUAL_SLOPE
    return float(np.clip((y[1] - y[0]) / (x[1] - x[0]), 1.0, 6.0))
