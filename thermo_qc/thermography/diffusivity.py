"""Thermal diffusivity through a plate of known thickness: Parker's half-rise time and TSR's peak time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import SequenceError
from thermo_qc.thermography.slab import HALF_RISE_FOURIER

__all__ = ["diffusivity_from_half_rise", "diffusivity_from_peak", "half_rise_time"]


def half_rise_time(
    rise: NDArray[np.floating], times_s: NDArray[np.float64], *, smooth_frames: int = 1
) -> NDArray[np.float64]:
    """Time at which the rear face first reaches half of its largest rise, between frames.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Rise of the face that is not heated.
    times_s : ndarray of float64, shape (T,)
        After the middle of the flash (or of a short pulse), increasing.
    smooth_frames : int
        Odd length of the moving mean before; 1 for none. Noise raises the largest value: smooth noisy curves.

    Returns
    -------
    ndarray of float64, shape (...)
        s; NaN where the curve holds NaN, starts above half of its largest rise, or still rises at the end: by more than
        1 % from the last but one tenth of its frames to the last.

    Raises
    ------
    SequenceError
        When shapes do not fit or the length is not odd.
    """
    values, times = np.asarray(rise), np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or values.shape[:1] != times.shape or times.size < 3:
        raise SequenceError(f"rise has shape {values.shape} and times {times.shape}, expected (T, ...) and (T,), T > 2")
    if smooth_frames < 1 or smooth_frames % 2 == 0 or smooth_frames > times.size - 2:
        raise SequenceError(
            f"a moving mean of {smooth_frames} frames is wanted of {times.size}, expected an odd number that leaves 3"
        )
    curves = values.reshape(times.size, -1).astype(np.float64)
    edge = smooth_frames // 2
    if edge:
        inner = slice(edge, times.size - edge)
        curves = ndimage.uniform_filter1d(curves, smooth_frames, axis=0)[inner]
        times = ndimage.uniform_filter1d(times, smooth_frames)[inner]
    half = curves.max(axis=0) / 2
    reached = curves >= half
    index = np.maximum(reached.argmax(axis=0), 1)
    columns = np.arange(index.size)
    low, high = curves[index - 1, columns], curves[index, columns]
    tenth = max(1, times.size // 10)
    settled = curves[-tenth:].mean(axis=0) <= 1.01 * curves[-2 * tenth : -tenth].mean(axis=0)
    found = ~reached[0] & settled & (half > 0)
    share = np.divide(half - low, high - low, out=np.zeros_like(low), where=found & (high > low))
    time = times[index - 1] + share * (times[index] - times[index - 1])
    return np.where(found, time, np.nan).reshape(values.shape[1:])


def diffusivity_from_half_rise(time_s: NDArray[np.floating], thickness_mm: float) -> NDArray[np.float64]:
    """Diffusivity ``0.1388 L^2 / t_half`` from the rear face's half-rise time after a flash, mm2/s.

    Without losses, after a flash much shorter than that time; losses make it too large.

    References
    ----------
    Parker et al., J. Appl. Phys. 32 (1961) 1679, 10.1063/1.1728417.

    Examples
    --------
    >>> float(diffusivity_from_half_rise(np.array(1.0), 2.0).round(4))
    0.5551
    """
    return _positive(HALF_RISE_FOURIER * _checked(thickness_mm) ** 2, time_s)


def diffusivity_from_peak(time_s: NDArray[np.floating], thickness_mm: float) -> NDArray[np.float64]:
    """Diffusivity ``L^2 / (pi t2)`` from the time of the front face's second log derivative's peak, mm2/s.

    After a flash on a plate of thickness L (or over a wide insulating defect at depth L), see `second_derivative_peak`.

    References
    ----------
    Shepard et al., Opt. Eng. 42 (2003) 1337, 10.1117/1.1566969.
    """
    return _positive(_checked(thickness_mm) ** 2 / np.pi, time_s)


def _checked(thickness_mm: float) -> float:
    if not (np.isfinite(thickness_mm) and thickness_mm > 0):
        raise SequenceError(f"the thickness is {thickness_mm} mm, expected a positive length")
    return float(thickness_mm)


def _positive(number: float, time_s: NDArray[np.floating]) -> NDArray[np.float64]:
    times = np.asarray(time_s, dtype=np.float64)
    return np.asarray(number / np.where(times > 0, times, np.nan))
