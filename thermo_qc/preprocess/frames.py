"""Views of frames that compute while they are indexed, so that sequences larger than memory stay in their file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.sequence import FrameSource

__all__ = ["AffineFrames", "RepairedFrames", "affine", "repaired"]

FARTHEST_PX = 3


class AffineFrames:
    """Lazy ``(frames - offset) * gain`` in float32.

    Parameters
    ----------
    source : FrameSource, shape (T, Y, X)
        Frames to compute from.
    offset, gain : ndarray of float64, shape (T or 1, Y or 1, X or 1)
        Broadcast against the frames.
    """

    def __init__(self, source: FrameSource, offset: NDArray[np.float64], gain: NDArray[np.float64]) -> None:
        self._source, self._offset, self._gain = source, offset, gain

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of the axes (T, Y, X)."""
        return tuple(self._source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        keys = keys + (slice(None),) * (3 - len(keys))
        block = np.asarray(self._source[keys])
        return _apply(block, _part(self._offset, keys), _part(self._gain, keys))


def affine(
    frames: FrameSource, *, offset: NDArray[np.float64] | float = 0.0, gain: NDArray[np.float64] | float = 1.0
) -> FrameSource:
    """Return ``(frames - offset) * gain`` as float32: at once for an array, as a view for frames in a file.

    Parameters
    ----------
    frames : array or FrameSource, shape (T, Y, X)
        Frames to compute from.
    offset, gain : ndarray or float
        Broadcast against the three axes of the frames.

    Returns
    -------
    ndarray of float32 or AffineFrames, shape (T, Y, X)
    """
    lazy = AffineFrames(frames, _three_axes(offset), _three_axes(gain))
    if not isinstance(frames, np.ndarray):
        return lazy
    result = np.empty_like(frames, dtype=np.float32)
    outermost = int(np.argmax(frames.strides)) if frames.size else 0  # what lies together in memory stays together
    for index in range(frames.shape[outermost]):
        part = tuple(index if axis == outermost else slice(None) for axis in range(frames.ndim))
        result[part] = lazy[part]
    return result


def _three_axes(values: NDArray[np.float64] | float) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array.reshape((1,) * (3 - array.ndim) + array.shape)


def _part(values: NDArray[np.float64], keys: tuple[Any, ...]) -> NDArray[np.float64]:
    """Cut broadcast values like the frames: an axis of length one stays as it is."""
    cuts = tuple(
        key if length > 1 else (slice(None) if isinstance(key, slice) else 0)
        for key, length in zip(keys, values.shape, strict=True)
    )
    return values[cuts]


def _apply(block: NDArray[Any], offset: NDArray[np.float64], gain: NDArray[np.float64]) -> NDArray[np.float32]:
    # float64 during the subtraction: a rise of millikelvins sits on 300 K.
    return np.asarray((block.astype(np.float64) - offset) * gain, dtype=np.float32)


class RepairedFrames:
    """Lazy frames whose dead pixels hold the median of their live neighbours.

    Parameters
    ----------
    source : FrameSource, shape (T, Y, X)
        Frames to read from.
    dead : ndarray of bool, shape (Y, X)
        Pixels to replace.
    """

    def __init__(self, source: FrameSource, dead: NDArray[np.bool_]) -> None:
        self._source = source
        self._dead = np.argwhere(dead)
        self._neighbours = _live_neighbours(dead)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of the axes (T, Y, X)."""
        return tuple(self._source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The source's floating point type, float32 for integers."""
        return _floating(self._source.dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        time, row, column = keys + (slice(None),) * (3 - len(keys))
        height = self.shape[1]
        rows = np.atleast_1d(np.arange(height)[row])
        if rows.size == 0:
            return np.asarray(self._source[time, row, column], dtype=self.dtype)
        first, last = max(0, int(rows.min()) - FARTHEST_PX), min(height, int(rows.max()) + 1 + FARTHEST_PX)
        single = isinstance(time, int | np.integer)
        times = slice(int(time), int(time) + 1 or None) if single else time
        block = np.asarray(self._source[times, first:last, :])
        part = self._repair(block.astype(self.dtype), first, rows)[:, np.arange(height)[row] - first, :][..., column]
        return np.asarray(part[0] if single else part)

    def _repair(self, block: NDArray[Any], first: int, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Fill the dead pixels that lie in `rows`; `block` starts at row `first`."""
        for position in np.flatnonzero(np.isin(self._dead[:, 0], rows)):
            row, column = self._dead[position]
            neighbours = self._neighbours[position]
            if neighbours.size:
                values = block[:, neighbours[:, 0] - first, neighbours[:, 1]]
                block[:, row - first, column] = medians(values, block[:, row - first, column])
        return block


def repaired(frames: FrameSource, dead: NDArray[np.bool_]) -> FrameSource:
    """Replace dead pixels (bool, (Y, X)): at once for an array, as a view for frames in a file."""
    lazy = RepairedFrames(frames, dead)
    return lazy[:, :, :] if isinstance(frames, np.ndarray) else lazy


def medians(values: NDArray[Any], otherwise: NDArray[Any]) -> NDArray[Any]:
    """Median of the finite values (T, n) along n; `otherwise` where a frame has none."""
    finite = np.isfinite(values)
    if finite.all():
        return np.asarray(np.median(values, axis=1))
    result = otherwise.copy()
    for index in np.flatnonzero(finite.any(axis=1)):
        result[index] = np.median(values[index, finite[index]])
    return result


def _live_neighbours(dead: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Positions (n, 2) of the live pixels round each dead one, in the order of ``np.argwhere(dead)``."""
    found = []
    for row, column in np.argwhere(dead):
        for reach in range(1, FARTHEST_PX + 1):
            top, left = max(0, row - reach), max(0, column - reach)
            around = ~dead[top : row + reach + 1, left : column + reach + 1]
            if around.sum() >= 3 or reach == FARTHEST_PX:
                found.append(np.argwhere(around) + np.array([top, left]))
                break
    return found


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind == "f" else np.dtype(np.float32)
