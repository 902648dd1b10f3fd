"""Frames that compute block by block while they are indexed: the base of every lazy preparation step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.sequence import FrameSource

__all__ = ["Block", "ComputedFrames", "read_block", "settle"]

FILL_BYTES = 32 * 2**20

Block = tuple[range, range, range]


class ComputedFrames(ABC):
    """Frames computed from other frames, float32, whichever part is asked for.

    Parameters
    ----------
    source : FrameSource, shape (T, Y, X)
        Frames to compute from.
    """

    def __init__(self, source: FrameSource) -> None:
        self._source = source

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of the axes (T, Y, X)."""
        return tuple(self._source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    @abstractmethod
    def compute(self, block: Block) -> NDArray[np.float32]:
        """Compute one block, float32 of the lengths of its three ranges (growing, not empty)."""

    def __getitem__(self, key: Any) -> NDArray[Any]:
        axes, keys = _axes(key, self.shape)
        if any(len(axis) == 0 for axis in axes):
            empty: NDArray[Any] = np.empty(tuple(len(axis) for axis in axes), dtype=self.dtype)[keys]
            return empty
        growing = tuple(axis if axis.step > 0 else axis[::-1] for axis in axes)
        values = self.compute((growing[0], growing[1], growing[2]))
        back = tuple(slice(None, None, 1 if axis.step > 0 else -1) for axis in axes)
        result: NDArray[Any] = values[back][keys]
        return result


def read_block(source: FrameSource, block: Block) -> NDArray[Any]:
    """Read a block of frames as it is stored, (len, len, len)."""
    return np.asarray(source[tuple(slice(axis.start, axis.stop, axis.step) for axis in block)])


def settle(frames: ComputedFrames, source: FrameSource) -> FrameSource:
    """Compute everything, band by band, where the source lies in memory; else leave the view lazy."""
    if not isinstance(source, np.ndarray):
        return frames
    n, height, width = frames.shape
    result = np.empty(frames.shape, dtype=np.float32)
    step = max(1, FILL_BYTES // (8 * height * width))
    for start in range(0, n, step):
        times = range(start, min(start + step, n))
        result[start : times.stop] = frames.compute((times, range(height), range(width)))
    return result


def _axes(key: Any, shape: tuple[int, ...]) -> tuple[tuple[range, ...], tuple[Any, ...]]:
    """Turn a key into one range per axis, and the key that drops the axes indexed by a number."""
    keys = key if isinstance(key, tuple) else (key,)
    if any(one is Ellipsis for one in keys):
        at = next(position for position, one in enumerate(keys) if one is Ellipsis)
        keys = (*keys[:at], *(slice(None),) * (4 - len(keys)), *keys[at + 1 :])
    keys = (*keys, *(slice(None),) * (3 - len(keys)))
    axes = []
    for one, length in zip(keys, shape, strict=True):
        if isinstance(one, slice):
            axes.append(range(length)[one])
        else:
            place = range(length)[int(one)]
            axes.append(range(place, place + 1))
    return tuple(axes), tuple(slice(None) if isinstance(one, slice) else 0 for one in keys)
