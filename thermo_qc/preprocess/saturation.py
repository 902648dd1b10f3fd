"""Saturation: samples that pile up at the upper end of the range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.preprocess.statistics import PixelStatistics
from thermo_qc.sequence import ThermalSequence

__all__ = ["count_saturated"]

COUNT_CEILINGS = (2**12 - 1, 2**14 - 1, 2**16 - 1)
PLATEAU_PIXELS = 4


def count_saturated(
    sequence: ThermalSequence, statistics: PixelStatistics, live: NDArray[np.bool_], noise: float | None
) -> tuple[int, int]:
    """Count frames and pixels at the upper end of the range.

    The upper end is the largest value of the type or of 12, 14 or 16 bit counts; or, where the range is not known, a
    value that several pixels share for two frames or more while hardly any pixel peaks just below it.
    """
    if not live.any():
        return 0, 0
    top = float(statistics.maximum[live].max())
    pixels = live & (statistics.maximum == top)
    ceiling = _is_ceiling(sequence, top)
    if not ceiling and not (noise and _piles_up(statistics.maximum[live], top)):
        return 0, 0
    frames = np.zeros(sequence.n_frames, dtype=bool)
    long_enough = np.zeros(pixels.shape, dtype=bool)
    for rows, block in sequence.blocks():
        if not pixels[rows].any():
            continue
        at_top = (block == np.float32(top)) & pixels[rows]
        long_enough[rows] = at_top.sum(axis=0) >= (1 if ceiling else 2)
        frames |= (at_top & long_enough[rows]).any(axis=(1, 2))
    enough = ceiling or int(long_enough.sum()) >= PLATEAU_PIXELS
    return (int(frames.sum()), int(long_enough.sum())) if enough else (0, 0)


def _is_ceiling(sequence: ThermalSequence, top: float) -> bool:
    dtype = np.dtype(sequence.frames.dtype)
    if dtype.kind in "iu" and top == np.iinfo(dtype).max:
        return True
    return sequence.unit == "counts" and top in COUNT_CEILINGS


def _piles_up(peaks: NDArray[np.float64], top: float) -> bool:
    n_top = int((peaks == top).sum())
    below = peaks[peaks < top]
    if n_top < PLATEAU_PIXELS or below.size == 0:
        return False
    return n_top > 3 * int((peaks == below.max()).sum())
