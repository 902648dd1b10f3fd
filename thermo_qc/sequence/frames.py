"""Frames of a sequence: an array in memory, or a lazy view of a file or of other frames."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameSource", "FrameWindow", "window"]


@runtime_checkable
class FrameSource(Protocol):
    """What `ThermalSequence.frames` must offer: a NumPy array does, and so does a lazy view of a file.

    Indexing takes one index or slice per axis in the order time, row, column and returns a NumPy array.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of the axes (T, Y, X)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements that indexing returns."""

    def __getitem__(self, key: Any) -> NDArray[Any]: ...


class FrameWindow:
    """A part of lazy frames that stays lazy.

    Parameters
    ----------
    source : FrameSource, shape (T, Y, X)
        The frames.
    part : tuple of slice
        One slice per axis (time, row, column).
    """

    def __init__(self, source: FrameSource, part: tuple[slice, slice, slice]) -> None:
        self._source = source
        self._axes = tuple(range(length)[one] for length, one in zip(source.shape, part, strict=True))

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of the axes (T, Y, X)."""
        return tuple(len(axis) for axis in self._axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements that indexing returns."""
        return np.dtype(self._source.dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        if any(one is Ellipsis for one in keys):
            at = next(position for position, one in enumerate(keys) if one is Ellipsis)
            keys = (*keys[:at], *(slice(None),) * (4 - len(keys)), *keys[at + 1 :])
        keys = (*keys, *(slice(None),) * (3 - len(keys)))
        return self._source[tuple(_inside(axis, one) for axis, one in zip(self._axes, keys, strict=True))]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("frames are read when they are used; a view without a copy is not possible")
        return np.asarray(self[:, :, :], dtype=dtype)


def window(frames: FrameSource, part: tuple[slice, slice, slice]) -> FrameSource:
    """Cut a part out of frames: a view of an array, a `FrameWindow` of lazy frames.

    Parameters
    ----------
    frames : array or FrameSource, shape (T, Y, X)
        The frames.
    part : tuple of slice
        One slice per axis (time, row, column).

    Returns
    -------
    array or FrameSource
    """
    return frames[part] if isinstance(frames, np.ndarray) else FrameWindow(frames, part)


def _inside(axis: range, key: Any) -> int | slice:
    """Translate an index or slice of the window into one of its source."""
    if not isinstance(key, slice):
        return int(axis[key])
    part: range = axis[key]
    return slice(part.start, part.stop if part.stop >= 0 else None, part.step)
