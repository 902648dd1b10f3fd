"""Bad pixels filled from the rim of their cluster inwards, computed while the frames are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.preprocess.frames import medians
from thermo_qc.preprocess.views import Block, ComputedFrames, read_block
from thermo_qc.sequence import FrameSource

__all__ = ["InwardFrames"]


@dataclass(frozen=True)
class _Filling:
    """A bad pixel: where it lies, in which round it is filled, and from which pixels (n, 2)."""

    row: int
    column: int
    ring: int
    sources: NDArray[np.intp]


class InwardFrames(ComputedFrames):
    """Lazy frames whose bad pixels are filled ring by ring.

    Parameters
    ----------
    source : FrameSource, shape (T, Y, X)
        Frames to read from.
    bad : ndarray of bool, shape (Y, X)
        Pixels to fill; not all of them.
    """

    def __init__(self, source: FrameSource, bad: NDArray[np.bool_]) -> None:
        super().__init__(source)
        self._fillings = _plan(bad)
        self._reach = max((one.ring for one in self._fillings), default=0)

    def compute(self, block: Block) -> NDArray[np.float32]:
        """Read the block with as many neighbours as there are rings, fill, cut."""
        times, rows, columns = block
        height, width = self.shape[1:]
        top, left = max(0, rows.start - self._reach), max(0, columns.start - self._reach)
        bottom = min(height, rows[-1] + 1 + self._reach)
        right = min(width, columns[-1] + 1 + self._reach)
        part = read_block(self._source, (times, range(top, bottom), range(left, right))).astype(np.float32)
        for one in self._fillings:
            # What lies farther out than the remaining rings reach has no influence on the wanted pixels.
            slack = self._reach - one.ring
            near = rows.start - slack <= one.row <= rows[-1] + slack
            if near and columns.start - slack <= one.column <= columns[-1] + slack:
                values = part[:, one.sources[:, 0] - top, one.sources[:, 1] - left]
                empty = np.full(values.shape[0], np.nan, dtype=np.float32)
                part[:, one.row - top, one.column - left] = medians(values, empty)
        inner = part[:, rows.start - top : rows[-1] + 1 - top, columns.start - left : columns[-1] + 1 - left]
        return np.asarray(inner[:, :: rows.step, :: columns.step])


def _plan(bad: NDArray[np.bool_]) -> list[_Filling]:
    """Order the bad pixels by their distance to good ones; sources of a pixel come from earlier rings."""
    ring = ndimage.distance_transform_cdt(bad, metric="chessboard")
    height, width = bad.shape
    plan = []
    rows, columns = np.nonzero(bad)
    for index in np.argsort(ring[rows, columns], kind="stable"):
        row, column = int(rows[index]), int(columns[index])
        top, left = max(0, row - 1), max(0, column - 1)
        around = ring[top : min(height, row + 2), left : min(width, column + 2)] < ring[row, column]
        sources = np.argwhere(around) + np.array([top, left])
        plan.append(_Filling(row, column, int(ring[row, column]), sources))
    return plan
