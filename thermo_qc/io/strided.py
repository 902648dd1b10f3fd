"""Frames that lie unpacked in a file at a constant distance from one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.io.lazy import FileFrames

__all__ = ["StridedFrames"]


class StridedFrames(FileFrames):
    """View of uncompressed frames; a read touches only the bytes of the pixels asked for.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        (T, Y, X).
    stored : dtype
        Of the pixels in the file, with their byte order; indexing returns the native order.
    first : int
        Offset of the first pixel of the first frame, bytes.
    distance : int
        From a frame to the next, bytes; headers may lie between them.

    Raises
    ------
    ValueError
        When the frames do not fit into the file.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int, int], stored: np.dtype[Any], *, first: int, distance: int
    ) -> None:
        super().__init__(path, shape, stored.newbyteorder("="))
        t, y, x = shape
        frame_bytes = y * x * stored.itemsize
        if first < 0 or distance < frame_bytes or first + (t - 1) * distance + frame_bytes > path.stat().st_size:
            raise ValueError(f"frames of shape {shape} do not fit into the file")
        self._stored, self._first, self._distance = stored, first, distance

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        item = self._stored.itemsize
        content = np.memmap(self.path, dtype=np.uint8, mode="r")
        everything: NDArray[Any] = np.ndarray(
            self.shape,
            dtype=self._stored,
            buffer=content,
            offset=self._first,
            strides=(self._distance, self.shape[2] * item, item),
        )
        return np.array(everything[time, rows, columns], dtype=self.dtype, order="C")
