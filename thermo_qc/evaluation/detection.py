"""How many of the defects are found: by depth and diameter, of those that can be found, with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["detectable_holes", "detection_grid", "detection_rate"]

_NORMAL_95 = 1.959963984540054


def detection_grid(
    holes: Sequence[Mapping[str, Any]], *, depth_tolerance_mm: float = 0.05, diameter_tolerance_mm: float = 0.25
) -> dict[str, Any]:
    """Count hits by depth and diameter.

    Parameters
    ----------
    holes : sequence of dict
        Entries of `hole_table`; those of unknown depth or diameter are left out.
    depth_tolerance_mm, diameter_tolerance_mm : float
        Values at most this far above the first of a row or column share it, mm.

    Returns
    -------
    dict
        ``depths_mm`` (rows) and ``diameters_mm`` (columns), rising; ``found`` and ``total``, lists of rows.
    """
    known = [hole for hole in holes if _is_number(hole["depth_mm"]) and _is_number(hole["diameter_mm"])]
    depths, rows = _steps([hole["depth_mm"] for hole in known], depth_tolerance_mm)
    diameters, columns = _steps([hole["diameter_mm"] for hole in known], diameter_tolerance_mm)
    found = np.zeros((len(depths), len(diameters)), dtype=np.int64)
    total = np.zeros_like(found)
    np.add.at(total, (rows, columns), 1)
    np.add.at(found, (rows, columns), [int(hole["found"]) for hole in known])
    return {"depths_mm": depths, "diameters_mm": diameters, "found": found.tolist(), "total": total.tolist()}


def _is_number(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _steps(values: Sequence[float], tolerance: float) -> tuple[list[float], NDArray[np.intp]]:
    """Join near values: the mean of each step, and the step of each value."""
    order = np.argsort(values, kind="stable")
    step, members = np.zeros(len(values), dtype=np.intp), list[list[float]]()
    for position in order:
        if not members or values[position] - members[-1][0] > tolerance + 1e-9:
            members.append([])
        members[-1].append(float(values[position]))
        step[position] = len(members) - 1
    return [round(float(np.mean(group)), 4) for group in members], step


def detectable_holes(holes: Sequence[Mapping[str, Any]], min_contrast_to_noise: float = 5.0) -> list[Mapping[str, Any]]:
    """Holes whose noise-free peak contrast is known to be at least so many times the camera noise."""
    return [
        hole
        for hole in holes
        if _is_number(hole.get("contrast_to_noise")) and hole["contrast_to_noise"] >= min_contrast_to_noise
    ]


def detection_rate(holes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Share of the holes found, with its 95 % interval (Wilson's score interval).

    Returns
    -------
    dict
        ``found``, ``total``, ``rate``, ``rate_low``, ``rate_high`` (NaN when there are no holes).

    References
    ----------
    Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212, doi:10.1080/01621459.1927.10502953.
    """
    found, total = sum(bool(hole["found"]) for hole in holes), len(holes)
    if total == 0:
        return {"found": 0, "total": 0, "rate": np.nan, "rate_low": np.nan, "rate_high": np.nan}
    rate, z2 = found / total, _NORMAL_95**2
    centre = (rate + z2 / (2 * total)) / (1 + z2 / total)
    half = _NORMAL_95 / (1 + z2 / total) * np.sqrt(rate * (1 - rate) / total + z2 / (4 * total**2))
    return {
        "found": found,
        "total": total,
        "rate": rate,
        "rate_low": float(min(max(0.0, centre - half), rate)),
        "rate_high": float(max(min(1.0, centre + half), rate)),
    }
