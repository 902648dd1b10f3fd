"""Pulsed phase thermography: amplitude and phase of every pixel at chosen frequencies, as one matrix product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, UnknownNameError, suggestion

__all__ = ["PPT", "WINDOWS", "compute_ppt"]

WINDOWS: tuple[str, ...] = ("none", "hann")


@dataclass(frozen=True, kw_only=True, eq=False)
class PPT:
    """Result of `compute_ppt`.

    Parameters
    ----------
    frequencies_hz : ndarray of float64, shape (n,)
        The chosen multiples of one over the recording's length.
    amplitude : ndarray of float64, shape (n, ...)
        Unit of the frames times s.
    phase_rad : ndarray of float64, shape (n, ...)
        From -pi to pi.
    """

    frequencies_hz: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    phase_rad: NDArray[np.float64]


def compute_ppt(
    frames: NDArray[np.floating],
    times_s: NDArray[np.float64],
    bins: tuple[int, ...] = (1, 2, 3, 4),
    *,
    window: Literal["none", "hann"] = "none",
) -> PPT:
    """Fourier transform every pixel's curve at chosen bins.

    ``F_n = dt sum_k w_k T(k dt) exp(-2 pi i n k / N)``.

    Parameters
    ----------
    frames : ndarray, shape (T, ...)
        Usually the temperature rise in the cooling; values that are not finite make their pixel NaN.
    times_s : ndarray of float64, shape (T,)
        Evenly spaced times; resample before where they are not.
    bins : tuple of int
        Wanted multiples n of ``1 / (T dt)``, from 0 to T // 2.
    window : {"none", "hann"}
        Weights w_k against the jump between the last and the first frame.

    Returns
    -------
    PPT

    Raises
    ------
    SequenceError
        When shapes do not fit, times are uneven or a bin does not exist.
    UnknownNameError
        When the window is not known.

    References
    ----------
    Maldague and Marinetti, J. Appl. Phys. 79 (1996) 2694, 10.1063/1.362662.
    """
    values, times = np.asarray(frames), np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or times.size < 2 or values.shape[:1] != times.shape:
        raise SequenceError(
            f"frames have shape {values.shape} and times {times.shape}, expected (T, ...) and (T,), T > 1"
        )
    if window not in WINDOWS:
        raise UnknownNameError(f"unknown window '{window}'{suggestion(window, WINDOWS)}")
    n, steps = times.size, np.diff(times)
    step = float(times[-1] - times[0]) / (n - 1)
    if step <= 0 or np.abs(steps - step).max() > 0.01 * step:
        raise SequenceError("times are not evenly spaced; bring the recording onto linear times first (resample_times)")
    wrong = [number for number in bins if not 0 <= number <= n // 2]
    if wrong or not bins:
        raise SequenceError(f"frequency bins {list(bins)} are wanted of {n} frames, expected some of 0 to {n // 2}")
    weights = np.ones(n) if window == "none" else 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    angle = -2 * np.pi * np.outer(np.asarray(bins), np.arange(n)) / n
    flat = values.reshape(n, -1).astype(np.float64)
    real, imaginary = ((step * part * weights) @ flat for part in (np.cos(angle), np.sin(angle)))
    shape = (len(bins), *values.shape[1:])
    return PPT(
        frequencies_hz=np.asarray(bins) / (n * step),
        amplitude=np.hypot(real, imaginary).reshape(shape),
        phase_rad=np.arctan2(imaginary, real).reshape(shape),
    )
