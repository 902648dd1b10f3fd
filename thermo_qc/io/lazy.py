"""Frames that stay in their file until they are asked for."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError, InputError, ThermoQCError

__all__ = ["FileFrames", "check_declared_size", "most_bytes", "reason_of"]

SLAB_BYTES = 64 * 2**20
MAX_FRAME_PIXELS = 2**27
MAX_FRAMES = 10**7
FREE_BYTES = 16 * 2**20
BOMB_BYTES = 64 * 2**20
BOMB_RATIO = 200
DEFLATE_RATIO = 1100  # no deflated data expand further


class FileFrames(ABC):
    """View (T, Y, X) of frames in a file or folder.

    The file is opened for each read and closed again, so any number of recordings may be open at once, in threads and
    after a fork; a file that changes meanwhile is noticed. Axes take an index or a slice; missing axes and ``...``
    mean all.

    Parameters
    ----------
    path : Path
        The file or folder.
    shape : tuple of int
        (T, Y, X).
    dtype : dtype
        Of the arrays that indexing returns.
    slab : int
        Frames that are read together when whole frames are asked for one after the other (the chunk length along
        time).
    """

    _recent: ClassVar[tuple[str, int, NDArray[Any]] | None] = None  # the last slab read, of whichever recording

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], slab: int = 1) -> None:
        self.path = path
        self._shape, self._dtype = shape, np.dtype(dtype)
        frame_bytes = shape[1] * shape[2] * self._dtype.itemsize
        self._slab = max(1, min(slab, SLAB_BYTES // max(1, frame_bytes)))
        self._token = uuid.uuid4().hex
        self._state = _state_of(path)
        self._last = -2  # frame asked for last, to tell somebody who goes through the frames in their order

    @property
    def shape(self) -> tuple[int, int, int]:
        """Length of the axes (T, Y, X)."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self._dtype

    @property
    def ndim(self) -> int:
        """Number of axes, 3."""
        return 3

    @property
    def nbytes(self) -> int:
        """Bytes of all frames in memory."""
        return int(np.prod(self._shape, dtype=object)) * self._dtype.itemsize

    def __len__(self) -> int:
        return self._shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("frames lie in a file; a view without a copy is not possible")
        everything: NDArray[Any] = np.asarray(self[:, :, :], dtype=dtype)
        return everything

    def __getitem__(self, key: Any) -> NDArray[Any]:
        parts, after = _split_key(key, self._shape)
        if any(part.stop <= part.start for part in parts):
            part_shape = tuple(max(0, part.stop - part.start) for part in parts)
            return np.asarray(np.empty(part_shape, dtype=self._dtype)[after])
        return np.asarray(self._fetch(parts)[after])

    def _fetch(self, parts: tuple[slice, slice, slice]) -> NDArray[Any]:
        time, rows, columns = parts
        whole = (rows.start, rows.stop, columns.start, columns.stop) == (0, self._shape[1], 0, self._shape[2])
        if not whole or time.stop - time.start > 1 or self._slab == 1:
            return self._read_checked(parts)
        start = time.start - time.start % self._slab
        follows, self._last = time.start == self._last + 1, time.start
        recent = FileFrames._recent
        if not follows and (recent is None or recent[:2] != (self._token, start)):
            return self._read_checked(parts)  # one frame somewhere: its neighbours are worth reading for the next one
        if recent is None or recent[:2] != (self._token, start) or _state_of(self.path) != self._state:
            stop = min(start + self._slab, self._shape[0])
            recent = (self._token, start, self._read_checked((slice(start, stop), rows, columns)))
            FileFrames._recent = recent
        frame: NDArray[Any] = recent[2][time.start - start : time.stop - start].copy()
        return frame

    def _read_checked(self, parts: tuple[slice, slice, slice]) -> NDArray[Any]:
        if _state_of(self.path) != self._state:
            raise InputError(f"{self.path} has changed or is gone since it was opened; read it again")
        try:
            result = self._read(*parts)
        except ThermoQCError:
            raise
        except MemoryError:
            raise InputError(f"{self.path}: {parts} of the frames do not fit in memory; read fewer at once") from None
        except Exception as error:
            raise CorruptFileError(self.path, "frames", "readable frames", f"broken ({reason_of(error)})") from error
        expected = tuple(part.stop - part.start for part in parts)
        if result.shape != expected:
            raise CorruptFileError(self.path, "frames", f"a block of {expected}", f"a block of {result.shape}")
        return result

    @abstractmethod
    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        """Read a non-empty block; the slices have start and stop and step 1."""


def _state_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (0, status.st_mtime_ns) if path.is_dir() else (status.st_size, status.st_mtime_ns)


def _split_key(key: Any, shape: tuple[int, int, int]) -> tuple[tuple[slice, slice, slice], tuple[Any, ...]]:
    """Bounding block of a key and the key to apply inside it."""
    items = list(key) if isinstance(key, tuple) else [key]
    if any(item is Ellipsis for item in items):
        place = next(index for index, item in enumerate(items) if item is Ellipsis)
        items[place : place + 1] = [slice(None)] * (4 - len(items))
    if len(items) > 3:
        raise IndexError(f"{len(items)} indices came for the three axes (time, row, column)")
    items += [slice(None)] * (3 - len(items))
    pairs = [_split_axis(item, length) for item, length in zip(items, shape, strict=True)]
    return (pairs[0][0], pairs[1][0], pairs[2][0]), tuple(inner for _, inner in pairs)


def _split_axis(item: Any, length: int) -> tuple[slice, Any]:
    if isinstance(item, slice):
        picked = range(length)[item]
        if len(picked) == 0:
            return slice(0, 0), slice(None)
        low, high = min(picked[0], picked[-1]), max(picked[0], picked[-1])
        return slice(low, high + 1), slice(None, None, picked.step)
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        index = int(item) + length if item < 0 else int(item)
        if not 0 <= index < length:
            raise IndexError(f"index {item} is outside an axis of length {length}")
        return slice(index, index + 1), 0
    raise IndexError(f"frames in a file take one index or slice per axis, not {type(item).__name__}; load them first")


def check_declared_size(path: Path, field: str, shape: tuple[int, ...], itemsize: int, stored_bytes: int) -> None:
    """Refuse sizes that no recording has, before memory is asked for.

    Parameters
    ----------
    path : Path
        The file, for the message.
    field : str
        The part of the file that states the size.
    shape : tuple of int
        Stated shape, time first where it is known.
    itemsize : int
        Bytes per element.
    stored_bytes : int
        Bytes that the file really has for it.

    Raises
    ------
    CorruptFileError
        When more than 16 MiB are stated that are over 1100 times as much as is stored, or more than 64 MiB that are
        over 200 times as much: nothing but a damaged file or a decompression bomb does that.
    """
    size = itemsize
    for length in shape:
        size *= int(length)
    if size > most_bytes(stored_bytes):
        ratio = DEFLATE_RATIO if size <= BOMB_BYTES else BOMB_RATIO
        found = f"{size / 2**30:.{0 if size >= 2**30 else 2}f} GiB from {stored_bytes} stored bytes"
        raise CorruptFileError(path, field, f"at most {ratio} times the stored bytes", found)


def most_bytes(stored_bytes: int) -> int:
    """Give the most bytes that `check_declared_size` lets so many stored bytes become."""
    return max(FREE_BYTES, min(BOMB_BYTES, DEFLATE_RATIO * stored_bytes), BOMB_RATIO * stored_bytes)


def reason_of(error: BaseException) -> str:
    """First line of an error of a library, short enough for a one-line message."""
    lines = str(error).strip().splitlines()
    text = lines[0].strip().rstrip(".") if lines else type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
