"""Sizes from the -6 dB contour: where a signal has fallen to half its peak above the sound level round it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.evaluation.metrics import check_same_shape

__all__ = ["half_maximum_diameters"]

_GAP_PX, _WIDTH_PX = 2, 5


def half_maximum_diameters(
    signal: NDArray[np.floating],
    defect_index: NDArray[np.integer],
    *,
    valid: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Equivalent diameter of each defect from the contour at half its signal (the -6 dB drop), in pixels.

    The sound level is the median of a frame round the defect (2 to 7 pixels from its bounding box, without other
    defects); the peak is the largest deviation from it inside the defect, up or down. Pixels connected with the peak
    that keep at least half the deviation make the area A; the diameter is sqrt(4 A / pi). No noise is taken off: a
    signal that is noise gives a size of noise.

    Parameters
    ----------
    signal : ndarray, shape (Y, X)
        Any image; pixels that are not finite have no part.
    defect_index : ndarray of int, shape (Y, X)
        n > 0: pixel of defect n.
    valid : ndarray of bool, shape (Y, X), optional
        Pixels that have a part; all when None.

    Returns
    -------
    ndarray of float64, shape (N + 1,)
        By number; NaN for numbers without a defect, and where the signal has no sound level round the defect, no
        deviation, or does not fall to half before the outer edge of the frame.

    Raises
    ------
    TruthError
        When the sizes differ.

    References
    ----------
    The half-maximum method for thermographic sizes: Almond and Lau, J. Phys. D 27 (1994) 1063-1069,
    doi:10.1088/0022-3727/27/5/027.
    """
    check_same_shape(signal, defect_index, "signal image")
    index = np.maximum(np.asarray(defect_index, dtype=np.int64), 0)
    usable = np.isfinite(signal) if valid is None else np.isfinite(signal) & valid
    values = np.asarray(signal, dtype=np.float64)
    result = np.full(int(index.max(initial=0)) + 1, np.nan)
    for number, place in enumerate(ndimage.find_objects(index), start=1):
        if place is not None:
            result[number] = _diameter(values, index, usable, number, place)
    return result


def _diameter(
    values: NDArray[np.float64],
    index: NDArray[np.int64],
    usable: NDArray[np.bool_],
    number: int,
    place: tuple[slice, slice],
) -> float:
    reach = _GAP_PX + _WIDTH_PX
    rows, columns = place
    window = (
        slice(max(0, rows.start - reach), rows.stop + reach),
        slice(max(0, columns.start - reach), columns.stop + reach),
    )
    part, owner, known = values[window], index[window], usable[window]
    inner = np.zeros(part.shape, dtype=bool)
    top, left = rows.start - window[0].start, columns.start - window[1].start
    inner[
        max(0, top - _GAP_PX) : top + (rows.stop - rows.start) + _GAP_PX,
        max(0, left - _GAP_PX) : left + (columns.stop - columns.start) + _GAP_PX,
    ] = True
    sound = known & ~inner & (owner == 0)
    defect = known & (owner == number)
    if not sound.any() or not defect.any():
        return float("nan")
    deviation = part - np.median(part[sound])
    candidates = np.where(defect, np.abs(deviation), -1.0)
    peak = np.unravel_index(int(candidates.argmax()), part.shape)
    height = float(deviation[peak])
    if height == 0:
        return float("nan")
    above = known & (deviation / height >= 0.5)
    labels, _ = ndimage.label(above)
    blob = labels == labels[peak]
    if blob[0].any() or blob[-1].any() or blob[:, 0].any() or blob[:, -1].any():
        return float("nan")
    return float(np.sqrt(4 * float(blob.sum()) / np.pi))
