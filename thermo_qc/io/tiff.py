"""Stacks of TIFF pages (also BigTIFF and ImageJ); one page is one frame."""

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

from thermo_qc.errors import AmbiguousInputError, CorruptFileError
from thermo_qc.io.found import Found
from thermo_qc.io.lazy import FileFrames, check_declared_size
from thermo_qc.io.reader import Reader, assemble, check_options, load_when_small, reading
from thermo_qc.sequence import ThermalSequence

__all__ = ["READER", "open_tiff", "opened_tiff"]


class TiffFrames(FileFrames):
    """View of the pages of a TIFF file."""

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        with opened_tiff(self.path) as tiff:
            series = tiff.series[0]
            if len(series.pages) != self.shape[0]:  # ImageJ writes one page with the pixels of all behind it
                return np.asarray(series.asarray()[time, rows, columns])
            result = np.empty(
                (time.stop - time.start, rows.stop - rows.start, columns.stop - columns.start), dtype=self.dtype
            )
            for place, index in enumerate(range(time.start, time.stop)):
                result[place] = series.pages[index].asarray()[rows, columns]
        return result


def open_tiff(path: Path, **options: Any) -> ThermalSequence:
    """Open a TIFF stack. Options are fields of `Facts` without `variable` and `axes`.

    The frame interval of an ImageJ stack (in seconds) is its time base.
    """
    facts = check_options(path, "the TIFF format", options)
    with reading(path, "TIFF"), opened_tiff(path) as tiff:
        series = _series(path, tiff)
        t, y, x = series.shape
        frames = TiffFrames(path, (t, y, x), series.dtype)
        interval = (tiff.imagej_metadata or {}).get("finterval") if tiff.is_imagej else None
    times = np.arange(t) * float(interval) if interval else None
    return assemble(
        path, load_when_small(frames), Found(times_s=times, times_field="ImageJ finterval"), facts, READER.name
    )


def _series(path: Path, tiff: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    if len(tiff.series) != 1:
        listed = ", ".join(" x ".join(map(str, series.shape)) for series in tiff.series[:10])
        raise AmbiguousInputError(
            f"{path} holds {len(tiff.series)} stacks ({listed}); export pages of one size and type alone"
        )
    series = tiff.series[0]
    if "S" in series.axes:
        raise CorruptFileError(path, "pages", "one grey channel", "in colour", "export radiometric or grey frames")
    if len(series.shape) == 2:
        hint = "name the folder that holds the frames of the recording"
        raise CorruptFileError(path, "content", "several pages, one per frame", "a single page", hint)
    if len(series.shape) != 3:
        expected = "three axes (page, row, column)"
        raise CorruptFileError(
            path, "content", expected, f"of shape {series.shape} ({series.axes})", "export one channel and plane"
        )
    check_declared_size(path, "pages", series.shape, series.dtype.itemsize, path.stat().st_size)
    return series


@contextmanager
def opened_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file and refuse it when pages or pixels are missing."""
    complaints = _Complaints()
    logger = tifffile.logger()
    logger.addFilter(complaints)
    try:
        with tifffile.TiffFile(path) as tiff:
            size = path.stat().st_size
            for number, page in enumerate(tiff.pages, start=1):
                ends = (offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True))
                if max(ends, default=0) > size or complaints.lines:
                    raise CorruptFileError(path, f"page {number}", "complete", "truncated or broken")
            if complaints.lines:
                raise CorruptFileError(path, "pages", "complete", f"truncated or broken ({complaints.lines[0]})")
            yield tiff
    finally:
        logger.removeFilter(complaints)


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


READER = Reader(
    name="TIFF",
    extensions=(".tif", ".tiff"),
    matches=lambda header: header[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    open=open_tiff,
)
