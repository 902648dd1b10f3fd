"""Dynamic thermal tomography: when every pixel's contrast is largest, and slices of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError

__all__ = ["Timegram", "find_timegram", "slice_tomograms", "timegram_depth_mm"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Timegram:
    """Time of the largest contrast (s) and that contrast, both of shape (...); NaN where there is none."""

    time_s: NDArray[np.float64]
    contrast: NDArray[np.float64]


def find_timegram(
    contrast: NDArray[np.floating],
    times_s: NDArray[np.float64],
    threshold: float | NDArray[np.float64] = 0.0,
    reach: int = 1,
) -> Timegram:
    """Find the largest contrast of every pixel, between frames through a parabola over three of them.

    Parameters
    ----------
    contrast : ndarray, shape (T, ...)
        Positive where a pixel is warmer than sound material, see `absolute_contrast`. Values that are not finite make
        their pixel NaN.
    times_s : ndarray of float64, shape (T,)
        Increasing times, evenly spaced or not.
    threshold : float or ndarray of shape (T,)
        Contrasts up to this do not count, for instance some multiple of the camera noise.
    reach : int
        The parabola goes through the largest contrast and the frames so many before and after it (fewer at the ends):
        1 for smooth curves, more for noisy ones.

    Returns
    -------
    Timegram
        NaN where no frame exceeds the threshold, and where the largest contrast is that of the first or last frame, or
        beside a larger one that does not count: then its time is not known.

    Raises
    ------
    SequenceError
        When shapes do not fit, there are less than three frames, or the reach is less than 1.

    References
    ----------
    Vavilov, Shiryaev, Kuimova, Photonics 5 (2018) 31, 10.3390/photonics5040031.

    Examples
    --------
    >>> times = np.arange(1.0, 20.0)
    >>> round(float(find_timegram(9 - (times - 7.3) ** 2, times).time_s), 6)
    7.3
    """
    values, times = np.asarray(contrast), np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or times.size < 3 or values.shape[:1] != times.shape:
        raise SequenceError(
            f"contrasts have shape {values.shape} and times {times.shape}, expected (T, ...) and (T,), T > 2"
        )
    if not (np.diff(times) > 0).all():
        raise SequenceError("times do not increase throughout; sort the frames")
    if reach < 1:
        raise SequenceError(f"the parabola's reach is {reach} frames, expected at least 1")
    limit = np.broadcast_to(np.asarray(threshold, dtype=values.dtype), times.shape)
    curves = values.reshape(times.size, -1).T
    finite = np.isfinite(curves).all(axis=1)
    counted = np.where(curves > limit, curves, -np.inf)
    index = counted.argmax(axis=1)
    found = finite & (index > 0) & (index < times.size - 1) & (counted.max(axis=1) > -np.inf)
    rows, index = np.arange(index.size), np.clip(index, 1, times.size - 2)
    found &= np.maximum(curves[rows, index - 1], curves[rows, index + 1]) <= curves[rows, index]
    first, last = np.maximum(index - reach, 0), np.minimum(index + reach, times.size - 1)
    before, peak, after = (curves[rows, place].astype(np.float64) for place in (first, index, last))
    back, ahead = times[index] - times[first], times[last] - times[index]
    with np.errstate(invalid="ignore"):
        rising, falling = (peak - before) / back, (after - peak) / ahead
        bend = (falling - rising) / (back + ahead)  # half of the second derivative
        slope = rising + bend * back  # at the middle frame
        bent = found & (bend < 0)
        shift = np.clip(np.where(bent, -slope / np.where(bent, 2 * bend, 1.0), 0.0), -back, ahead)
        height = peak + np.where(bent, slope * shift + bend * shift**2, 0.0)
    shape = values.shape[1:]
    return Timegram(
        time_s=np.where(found, times[index] + shift, np.nan).reshape(shape),
        contrast=np.where(found, height, np.nan).reshape(shape),
    )


def timegram_depth_mm(
    time_s: NDArray[np.floating], diffusivity_mm2_s: float, factor: float = 1.0
) -> NDArray[np.float64]:
    """Depth ``factor * sqrt(alpha t)`` of a defect whose contrast is largest at t after the heating, mm.

    The factor is no constant of nature: it grows from about 1 for defects much wider than deep to 1.5 and more for
    narrow ones, and depends on the plate's thickness. Fit it on a plate of known depths.
    """
    if not (np.isfinite(diffusivity_mm2_s) and diffusivity_mm2_s > 0 and np.isfinite(factor) and factor > 0):
        raise SequenceError(
            f"diffusivity is {diffusivity_mm2_s} mm2/s and the factor {factor}, expected positive numbers"
        )
    return np.asarray(factor * np.sqrt(diffusivity_mm2_s * np.asarray(time_s, dtype=np.float64)))


def slice_tomograms(
    depth: NDArray[np.floating], contrast: NDArray[np.floating], edges: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Cut a depth map into slices.

    Parameters
    ----------
    depth, contrast : ndarray, shape (...)
        Of every pixel; NaN where there is no contrast.
    edges : ndarray, shape (k + 1,)
        Increasing; slice i holds ``edges[i] <= depth < edges[i + 1]``.

    Returns
    -------
    ndarray of float64, shape (k, ...)
        The contrast of pixels in their slice, 0 in the other slices, NaN without a depth.

    Raises
    ------
    SequenceError
        When there are less than two edges or they do not increase.
    """
    limits, places = np.asarray(edges, dtype=np.float64), np.asarray(depth, dtype=np.float64)
    if limits.ndim != 1 or limits.size < 2 or not (np.diff(limits) > 0).all():
        raise SequenceError(f"slices have edges {limits.tolist()}, expected two or more that increase")
    low, high = (part.reshape((-1,) + (1,) * places.ndim) for part in (limits[:-1], limits[1:]))
    inside = np.where((places >= low) & (places < high), np.asarray(contrast, dtype=np.float64), 0.0)
    return np.where(np.isnan(places), np.nan, inside)
