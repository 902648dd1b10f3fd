"""The heat flux over time: what lamps that flash, shine, swing or send a code give to the plate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from thermo_qc.simulation.conditions import Heating

__all__ = ["BARKER_BITS", "flux_line", "flux_switches_s", "largest_step_s", "relative_flux"]

BARKER_BITS: dict[int, str] = {
    2: "10",
    3: "110",
    4: "1101",
    5: "11101",
    7: "1110010",
    11: "11100010010",
    13: "1111100110101",
}
_STEPS_OF_PERIOD = 32  # the flux is a straight line over a step: 0.1 % of the amplitude at most between sine and line
_STEPS_OF_GLOW = 6
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(6)


def bits_of(heating: Heating) -> tuple[float, ...]:
    """Levels of a coded heating, one per `bit_s`: Barker bits or the samples."""
    if heating.code == "barker":
        return tuple(float(bit) for bit in BARKER_BITS[heating.code_length])
    return heating.samples


def relative_flux(heating: Heating, t_s: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Flux density over `flux_w_m2` at times t, float64 of the shape of `t_s`; 0 before time zero and for a flash.

    At a switch the value after it is given.
    """
    t = np.asarray(t_s, dtype=np.float64)
    if heating.kind == "flash":
        return np.zeros(t.shape)
    stop = np.inf if heating.stop_s is None else heating.stop_s
    shining = _form(heating)(np.minimum(t, stop))
    level = np.where((t >= 0) & (t < stop), shining, 0.0)
    if heating.afterglow_share > 0:
        glow = heating.afterglow_share * np.exp(-np.maximum(t - stop, 0.0) / heating.afterglow_s)
        level = np.where(t >= stop, level_before_stop(heating) * glow, level)
    return np.asarray(level, dtype=np.float64)


def level_before_stop(heating: Heating) -> float:
    """Relative flux just before the switch-off, from which the glow falls."""
    if heating.stop_s is None:
        return 0.0
    return float(_form(heating)(np.asarray(np.nextafter(heating.stop_s, 0.0))))


def _form(heating: Heating) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Relative flux while the lamps shine, as a function of time."""
    if heating.kind == "periodic":
        return lambda t: _wave(heating, 2 * np.pi * heating.frequency_hz * t + np.deg2rad(heating.phase_deg))
    if heating.kind == "coded" and heating.code == "chirp":
        return lambda t: _wave(heating, _chirp_phase(heating, t))
    if heating.kind == "coded":
        levels = np.array(bits_of(heating))
        return lambda t: levels[np.clip(np.floor(t / heating.bit_s * (1 + 1e-12)), 0, levels.size - 1).astype(np.int64)]
    return lambda t: np.ones(np.shape(t))


def _wave(heating: Heating, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean 1, swing `modulation`."""
    swing = np.sin(angle)
    if heating.waveform == "square":
        swing = np.where(np.mod(angle + 1e-9, 2 * np.pi) < np.pi, 1.0, -1.0)
    return np.asarray(1.0 + heating.modulation * swing)


def _chirp_phase(heating: Heating, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle of a linear chirp that starts dark, as ``1 - cos``."""
    sweep = (heating.frequency_end_hz - heating.frequency_hz) / (2 * heating.duration_s)
    return np.asarray(2 * np.pi * (heating.frequency_hz * t + sweep * t**2) - np.pi / 2)


def flux_switches_s(heating: Heating, end_s: float) -> tuple[float, ...]:
    """List the times between 0 and `end_s` at which the flux jumps."""
    stop = () if heating.stop_s is None else (heating.stop_s,)
    last = min(end_s, heating.stop_s if heating.stop_s is not None else end_s)
    switches: NDArray[np.float64] = np.zeros(0)
    if heating.kind == "coded" and heating.code != "chirp":
        levels = np.array(bits_of(heating))
        switches = np.asarray((np.flatnonzero(np.diff(levels)) + 1) * heating.bit_s, dtype=np.float64)
    elif heating.waveform == "square" and heating.kind == "periodic":
        turns = np.arange(0, np.floor(2 * heating.frequency_hz * last) + 2) - heating.phase_deg % 180.0 / 180.0
        switches = np.asarray(turns / (2 * heating.frequency_hz), dtype=np.float64)
    elif heating.waveform == "square" and heating.kind == "coded":
        switches = _chirp_switches_s(heating)
    inside = switches[(switches > 1e-9) & (switches < last * (1 - 1e-9))]
    return tuple(float(t) for t in (*inside, *stop) if 0 < t < end_s)


def _chirp_switches_s(heating: Heating) -> NDArray[np.float64]:
    """Find the times at which a chirp's angle passes a multiple of pi."""
    first, sweep = heating.frequency_hz, (heating.frequency_end_hz - heating.frequency_hz) / (2 * heating.duration_s)
    count = np.arange(1, int(2 * (first + heating.frequency_end_hz) * heating.duration_s) + 2)
    turns = (count - 0.5) / 2  # of a full turn
    if abs(sweep) < 1e-12:
        return np.asarray(turns / first)
    root = first**2 + 4 * sweep * turns
    return np.asarray((np.sqrt(np.maximum(root, 0.0)) - first)[root >= 0] / (2 * sweep))


def largest_step_s(heating: Heating) -> float:
    """Longest step over which a straight line stands for the flux."""
    limit = np.inf
    if heating.kind == "periodic":
        limit = 1 / (_STEPS_OF_PERIOD * heating.frequency_hz)
    if heating.kind == "coded" and heating.code == "chirp":
        limit = 1 / (_STEPS_OF_PERIOD * max(heating.frequency_hz, heating.frequency_end_hz))
    return float(min(limit, heating.afterglow_s / _STEPS_OF_GLOW if heating.afterglow_share > 0 else np.inf))


def flux_line(heating: Heating, start_s: float, stop_s: float) -> tuple[float, float]:
    """Flux densities at both ends of the straight line that is nearest to the flux over a step (least squares).

    The line carries exactly the heat of the step: 6-point Gauss quadrature, no switch may lie inside the step.

    Returns
    -------
    first, last : float
        W/m2; the same where the flux is constant.
    """
    middle, half = (start_s + stop_s) / 2, (stop_s - start_s) / 2
    if np.isinf(largest_step_s(heating)):  # constant between switches
        flux = heating.flux_at(middle)
        return flux, flux
    values = heating.flux_w_m2 * relative_flux(heating, middle + half * _POINTS)
    mean, slope = float(_WEIGHTS @ values) / 2, 1.5 * float(_WEIGHTS @ (values * _POINTS))
    return mean - slope, mean + slope
