"""When the heating stopped, read from the plate's mean curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.preprocess.reference import mean_curve
from thermo_qc.preprocess.statistics import MAD_TO_STD
from thermo_qc.sequence import ThermalSequence

__all__ = ["detect_heating_stop", "stop_of_curve"]

NOISE_LIMIT = 5.0
LEAST_SHARE = 0.05
FIT_FRAMES = 12


def detect_heating_stop(sequence: ThermalSequence) -> float | None:
    """Find the end of the heating in the mean curve of all pixels.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; read in bands of frames.

    Returns
    -------
    float or None
        Time of the stop, s; for a flash the time of the hottest frame, the first after the flash. None when the
        recording shows no end of a heating: only cooling, heating until the last frame, a periodic excitation, or
        nothing above the noise.
    """
    if sequence.excitation.kind == "periodic":
        return None
    return stop_of_curve(mean_curve(sequence), sequence.times_s)


def stop_of_curve(curve: NDArray[np.float64], times_s: NDArray[np.float64]) -> float | None:
    """Find the end of the heating in one curve.

    The hottest frame brackets the stop; within the bracket the kink is found by a least-squares fit of
    ``a + b t + c t^2 - d sqrt(t - stop)``: heating of a thick plate is smooth, and the end of a constant flux adds
    the square root after it (Osiander and Spicer, IEEE J. Quantum Electron. 34 (1998) 2348, 10.1109/3.736108).

    Parameters
    ----------
    curve : ndarray of float64, shape (T,)
        Mean temperature; frames that are not finite have no part.
    times_s : ndarray of float64, shape (T,)
        Strictly increasing times, s.

    Returns
    -------
    float or None
        See `detect_heating_stop`.
    """
    finite = np.isfinite(curve)
    curve, times = curve[finite], times_s[finite]
    if curve.size < 4:
        return None
    peak = int(np.argmax(curve))
    spread = float(curve.max() - curve.min())
    threshold = max(NOISE_LIMIT * _curve_noise(curve), LEAST_SHARE * spread, 1e-7 * float(np.abs(curve).max()))
    rise = float(curve[peak] - curve[: max(1, min(3, peak))].min())
    fall = float(curve[peak] - np.median(curve[-3:]))
    if spread == 0 or peak == 0 or rise <= threshold or fall <= threshold:
        return None
    if _is_flash(curve, peak):
        return float(times[peak])
    return _kink(curve, times, peak)


def _curve_noise(curve: NDArray[np.float64]) -> float:
    deviation = np.abs(curve[1:-1] - (curve[:-2] + curve[2:]) / 2)
    return float(MAD_TO_STD * np.median(deviation) / np.sqrt(1.5))


def _is_flash(curve: NDArray[np.float64], peak: int) -> bool:
    """Whether nearly all of the rise happens from one frame to the next."""
    before = float(np.median(curve[: max(1, peak - 1)]))
    return bool(curve[peak - 1] - before < 0.2 * (curve[peak] - before))


def _kink(curve: NDArray[np.float64], times: NDArray[np.float64], peak: int) -> float:
    heated = np.flatnonzero(curve[:peak] <= curve[0] + 0.2 * (curve[peak] - curve[0]))
    first = int(heated[-1]) + 1 if heated.size else 0
    part = slice(max(first, peak - FIT_FRAMES), peak + FIT_FRAMES + 1)
    t, y = times[part] - times[peak], curve[part]
    if y.size < 7 or peak + 1 >= times.size:
        return float(times[peak])
    scale = float(np.abs(t).max())
    low, high = float(times[peak - 1] - times[peak]), float(times[peak + 1] - times[peak])
    candidates = np.linspace(low, high, 81)
    smooth = np.stack([np.ones_like(t), t / scale, (t / scale) ** 2], axis=1)
    errors = []
    for stop in candidates:
        matrix = np.column_stack([smooth, np.sqrt(np.maximum(t - stop, 0.0) / scale)])
        solution = np.linalg.lstsq(matrix, y, rcond=None)[0]
        errors.append(float(((y - matrix @ solution) ** 2).sum()))
    return float(times[peak] + candidates[int(np.argmin(errors))])
