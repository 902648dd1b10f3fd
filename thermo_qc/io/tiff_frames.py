"""Views of TIFF pages: a read touches only the strips, tiles or unpacked rows that it needs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError
from thermo_qc.io.lazy import FileFrames, check_declared_size
from thermo_qc.io.strided import StridedFrames
from thermo_qc.io.tiff_pages import Page, page_dtype, walk_pages

__all__ = ["LinearFrames", "plain_frames", "quiet_tifffile", "read_page", "stack_of"]


def stack_of(path: Path, order: str, pages: list[Page], dtype: np.dtype[Any]) -> FileFrames:
    """View (T, Y, X) of pages of one kind; `dtype` is that of decoded pixels."""
    kind = pages[0].kind
    shape = (len(pages), kind.height, kind.width)
    for part, lengths in (("pages", shape), ("strip or tile", kind.tile)):
        check_declared_size(path, part, lengths, dtype.itemsize, path.stat().st_size)
    stored = page_dtype(kind, order)
    starts = [page.pixels for page in pages]
    if stored is None or any(start is None for start in starts):
        return EncodedFrames(path, shape, dtype, [page.directory for page in pages], kind.tile)
    places = np.array(starts, dtype=np.int64)
    steps = np.diff(places)
    if places.size == 1 or (steps[0] >= kind.height * kind.width * stored.itemsize and (steps == steps[0]).all()):
        distance = int(steps[0]) if places.size > 1 else kind.height * kind.width * stored.itemsize
        return StridedFrames(path, shape, stored, first=int(places[0]), distance=distance)
    return ScatteredFrames(path, shape, stored, places)


def plain_frames(path: Path, order: str, page: Page, n_frames: int) -> FileFrames:
    """View of frames that follow one another behind the first page, which alone has a directory.

    Raises
    ------
    CorruptFileError
        When they do not lie unpacked in the file.
    """
    kind, stored = page.kind, page_dtype(page.kind, order)
    frame_bytes = kind.height * kind.width * kind.bits // 8
    if stored is None or page.pixels is None or page.pixels + n_frames * frame_bytes > path.stat().st_size:
        raise CorruptFileError(path, "content", f"{n_frames} frames behind the first page", "truncated or broken")
    shape = (n_frames, kind.height, kind.width)
    return StridedFrames(path, shape, stored, first=page.pixels, distance=frame_bytes)


class ScatteredFrames(FileFrames):
    """View of unpacked pages at any places of the file."""

    def __init__(
        self, path: Path, shape: tuple[int, int, int], stored: np.dtype[Any], places: NDArray[np.int64]
    ) -> None:
        super().__init__(path, shape, stored.newbyteorder("="))
        self._stored, self._places = stored, places

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        result = np.empty([part.stop - part.start for part in (time, rows, columns)], dtype=self.dtype)
        content = np.memmap(self.path, dtype=np.uint8, mode="r")
        width, item = self.shape[2], self._stored.itemsize
        for place, start in enumerate(self._places[time].tolist()):
            first = start + rows.start * width * item
            block = content[first : first + (rows.stop - rows.start) * width * item].view(self._stored)
            result[place] = block.reshape(-1, width)[:, columns]
        return result


class EncodedFrames(FileFrames):
    """View of packed or tiled pages; strips and tiles outside the block are not decoded."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        directories: list[int],
        tile: tuple[int, int],
    ) -> None:
        super().__init__(path, shape, dtype.newbyteorder("="))
        self._directories, self._tile = directories, tile

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        result = np.zeros([part.stop - part.start for part in (time, rows, columns)], dtype=self.dtype)
        with quiet_tifffile(self.path), tifffile.TiffFile(self.path, _multifile=False) as tiff:
            for place, index in enumerate(range(time.start, time.stop)):
                tiff.filehandle.seek(self._directories[index])
                page = tifffile.TiffPage(tiff, index=index)
                self._decode(tiff, page, result[place], rows, columns)
        return result

    def _decode(self, tiff: Any, page: Any, result: NDArray[Any], rows: slice, columns: slice) -> None:
        height, width = self._tile
        across = -(-self.shape[2] // width)
        for down in range(rows.start // height, -(-rows.stop // height)):
            for right in range(columns.start // width, -(-columns.stop // width)):
                number = down * across + right
                if page.databytecounts[number] == 0:
                    continue  # left out by its writer: zeros
                tiff.filehandle.seek(page.dataoffsets[number])
                packed = tiff.filehandle.read(page.databytecounts[number])
                segment, _, _ = page.decode(packed, number, jpegtables=page.jpegtables)
                block = np.asarray(segment).reshape(-1, segment.shape[2])
                top, left = down * height, right * width
                inner = block[
                    max(0, rows.start - top) : rows.stop - top, max(0, columns.start - left) : columns.stop - left
                ]
                y, x = max(rows.start, top) - rows.start, max(columns.start, left) - columns.start
                result[y : y + inner.shape[0], x : x + inner.shape[1]] = inner


class LinearFrames(FileFrames):
    """View of other frames times a factor plus an offset, in float32."""

    def __init__(self, source: FileFrames, factor: float, offset: float) -> None:
        super().__init__(source.path, source.shape, np.dtype(np.float32))
        self._source, self._factor, self._offset = source, factor, offset

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        block = self._source[time, rows, columns].astype(np.float64)
        return np.asarray(block * self._factor + self._offset, dtype=np.float32)


def read_page(path: Path) -> NDArray[Any]:
    """Pixels (Y, X) of a file with one grey page.

    Raises
    ------
    CorruptFileError
        When the file holds more, in colour, or is broken.
    """
    order, pages = walk_pages(path)
    if len(pages) != 1:
        hint = "open the file itself as a stack"
        raise CorruptFileError(path, "content", "one page", f"of {len(pages)} pages", hint)
    kind = pages[0].kind
    if kind.samples != 1:
        found = f"of shape {(kind.height, kind.width, kind.samples)}"
        raise CorruptFileError(path, "page", "one grey channel", found, "export radiometric or grey frames")
    with quiet_tifffile(path), tifffile.TiffFile(path, _multifile=False) as tiff:
        dtype = tiff.pages[0].dtype
    if dtype is None:
        found = f"of {kind.bits} bits in sample format {kind.sample_format}"
        raise CorruptFileError(path, "page", "whole numbers or floats", found, "export 8, 16 or 32 bits")
    frame: NDArray[Any] = stack_of(path, order, pages, np.dtype(dtype))[0]
    return frame


@contextmanager
def quiet_tifffile(path: Path) -> Iterator[None]:
    """Turn what tifffile only logs about broken files into an error; its other remarks are dropped."""
    complaints = _Complaints()
    logger = tifffile.logger()
    logger.addFilter(complaints)
    try:
        yield
    finally:
        logger.removeFilter(complaints)
    if complaints.lines:
        raise CorruptFileError(path, "pages", "complete", f"truncated or broken ({complaints.lines[0]})")


class _Complaints(logging.Filter):
    """Collect what tifffile logs about missing pages instead of raising; its other remarks are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self.thread:
            return True
        text = record.getMessage()
        broken = record.levelno >= logging.ERROR or "invalid page offset" in text or "corrupted" in text
        if broken:
            self.lines.append(text.splitlines()[0][:120])
        return False
