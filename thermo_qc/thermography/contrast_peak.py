"""The largest contrast of every pixel and its steepest rise, on smoothed curves, between frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.thermography.dtt import find_timegram
from thermo_qc.thermography.local_fit import local_polynomial_matrix, log_grid

__all__ = ["ContrastPeak", "find_contrast_peak"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ContrastPeak:
    """Result of `find_contrast_peak`, arrays of shape (...).

    Parameters
    ----------
    time_s : ndarray of float64
        Of the peak; NaN where none stands above the noise within the window.
    height : ndarray of float64
        Contrast (or its slope per second) at that time; NaN likewise.
    largest : ndarray of float64
        Largest value on the smoothed curve wherever it lies, also at an end and below the noise.
    """

    time_s: NDArray[np.float64]
    height: NDArray[np.float64]
    largest: NDArray[np.float64]


def find_contrast_peak(
    rise: NDArray[np.floating],
    sound: NDArray[np.floating],
    times_s: NDArray[np.float64],
    *,
    noise: float,
    noise_factor: float = 5.0,
    slope: bool = False,
    width: float = 0.15,
    n_times: int = 160,
) -> ContrastPeak:
    """Find the maximum of ``T - T_s``, or of its slope, in curves smoothed over ln t.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Rise of the pixels.
    sound : ndarray, shape (T,)
        Rise of the sound plate.
    times_s : ndarray of float64, shape (T,)
        Positive times after the flash's middle or the heating stop, evenly spaced or not.
    noise : float
        Standard deviation of a pixel in one frame, in the unit of the rise; 0 when nothing is to be left out.
    noise_factor : float
        A peak counts that stands so many standard deviations of the smoothed curve above zero and above the end
        of the window.
    slope : bool
        The steepest rise of the contrast instead of its maximum.
    width : float
        Half width of the smoothing window in ln t, see `local_polynomial_matrix`.
    n_times : int
        Points, evenly over ln t, at which the smoothed curve is looked at; a parabola refines the maximum.

    Returns
    -------
    ContrastPeak

    Raises
    ------
    SequenceError
        When shapes do not fit, times are not positive, or less than five frames came.

    References
    ----------
    Ringermacher, Archacki, Veronesi, US patent 5,711,603, 1998; Sun, J. Heat Transfer 128 (2006) 329,
    10.1115/1.2165211.
    """
    values, reference = np.asarray(rise), np.asarray(sound, dtype=np.float64)
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or times.size < 5 or values.shape[:1] != times.shape or reference.shape != times.shape:
        raise SequenceError(
            f"curves have shape {values.shape}, the sound curve {reference.shape} and times {times.shape}, expected "
            "(T, ...), (T,) and (T,) with 5 or more frames"
        )
    grid, matrix, gain = _smoother(times.tobytes(), width, slope, n_times)
    smooth = matrix.astype(values.dtype) @ values.reshape(times.size, -1)
    contrast = smooth - (matrix @ reference)[:, None]
    found = find_timegram(contrast, np.log(grid), noise_factor * noise * gain)
    # On a plateau noise makes a maximum anywhere: a peak stands above the end of the curve.
    stands = found.contrast > contrast[-1] + noise_factor * noise * gain[-1]
    whole = np.isfinite(contrast).all(axis=0)
    shape = values.shape[1:]
    return ContrastPeak(
        time_s=np.where(stands, np.exp(found.time_s), np.nan).reshape(shape),
        height=np.where(stands, found.contrast, np.nan).reshape(shape),
        largest=np.where(whole, contrast.max(axis=0), np.nan).reshape(shape),
    )


@lru_cache(maxsize=16)
def _smoother(
    times: bytes, width: float, slope: bool, n_times: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Grid, matrix (n, T) and by how much the noise of a frame is carried into each row."""
    axis = np.frombuffer(times)
    grid = log_grid(axis, n_times)
    matrix = local_polynomial_matrix(axis, grid, width=width, derivative=int(slope))
    return grid, matrix, np.sqrt(np.square(matrix).sum(axis=1))
