"""The smallest hole that a recording could have shown at each depth, for the chart of its report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log10

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from thermo_qc.errors import ThermoQCError
from thermo_qc.evaluation import DetectionLimits, InspectionSetup
from thermo_qc.inspection.recorded_setup import RecordedSetup, hole_in

__all__ = ["ShownSizes", "shown_sizes"]

_DEPTH_SHARES = (0.1, 0.25, 0.5, 0.8)  # of the thickness
_DIAMETERS = (0.5, 12.0)  # from, to, in depths
_N_DIAMETERS = 4
_DIGITS = 3
_LEAST = 1e-9
_FINE = 400


@dataclass(frozen=True, kw_only=True)
class ShownSizes:
    """Smallest flat-bottom holes that reach the limits of d', by depth.

    Parameters
    ----------
    depths_mm : tuple of float
        Material left above the holes, rising.
    detectable_mm, visible_mm : tuple of float
        Smallest diameter whose d' reaches the limits "detectable" and "visible"; the smallest one tried where that is
        enough, NaN where the largest one is not.
    smallest_mm, largest_mm : tuple of float
        Diameters between which was searched.
    """

    depths_mm: tuple[float, ...]
    detectable_mm: tuple[float, ...]
    visible_mm: tuple[float, ...]
    smallest_mm: tuple[float, ...]
    largest_mm: tuple[float, ...]


def shown_sizes(recorded: RecordedSetup, limits: DetectionLimits | None = None) -> ShownSizes | None:
    """Find the smallest holes that a recording could have shown.

    Four holes are simulated at each of four depths, once for all recordings that differ in heat and noise alone;
    between them log d' is interpolated over log diameter. `thermo_qc.evaluation.smallest_diameters` is exact and slow.

    Parameters
    ----------
    recorded : RecordedSetup
        Set-up of a recording.
    limits : DetectionLimits, optional
        6.5 and 30.

    Returns
    -------
    ShownSizes or None
        None where a fact is missing or no hole can be simulated.
    """
    setup, material, thickness = recorded.setup, recorded.material, recorded.thickness_mm
    if setup is None or material is None or thickness is None:
        return None
    limits = limits or DetectionLimits()
    alike = _rounded(setup)
    columns: list[tuple[float, float, float, float, float]] = []
    try:
        for share in _DEPTH_SHARES:
            depth = round(share * thickness, 6)
            low, high = (_significant(factor * depth) for factor in _DIAMETERS)
            low, high = max(low, alike.pixel_pitch_mm / 2), max(high, 4 * alike.pixel_pitch_mm)
            tried = np.geomspace(low, high, _N_DIAMETERS)
            indices = [
                hole_in(material, thickness, depth, float(size), alike).detectability().background for size in tried
            ]
            found = [_reached(tried, np.asarray(indices), limit) for limit in (limits.detectable, limits.visible)]
            columns.append((depth, found[0], found[1], low, high))
    except ThermoQCError:
        return None
    depths, detectable, visible, lows, highs = zip(*columns, strict=True)
    return ShownSizes(
        depths_mm=depths, detectable_mm=detectable, visible_mm=visible, smallest_mm=lows, largest_mm=highs
    )


def _reached(diameters: NDArray[np.float64], indices: NDArray[np.float64], limit: float) -> float:
    """Smallest diameter whose interpolated index reaches a limit."""
    at = np.log(diameters)
    fine = np.linspace(at[0], at[-1], _FINE)
    values = PchipInterpolator(at, np.log(np.maximum(indices, _LEAST)))(fine)
    enough = values >= np.log(limit)
    if not enough.any():
        return float("nan")
    first = int(enough.argmax())
    if first == 0:
        return float(diameters[0])
    share = (np.log(limit) - values[first - 1]) / (values[first] - values[first - 1])
    return float(np.exp(fine[first - 1] + share * (fine[first] - fine[first - 1])))


def _rounded(setup: InspectionSetup) -> InspectionSetup:
    """Round what differs by a hair from one recording to the next, so that their simulations are shared."""
    return replace(
        setup,
        pixel_pitch_mm=_significant(setup.pixel_pitch_mm),
        frame_rate_hz=_significant(setup.frame_rate_hz),
        cold_s=_significant(setup.cold_s),
        duration_s=_significant(setup.duration_s),
    )


def _significant(value: float) -> float:
    return round(value, _DIGITS - 1 - int(np.floor(log10(value)))) if value > 0 else value
