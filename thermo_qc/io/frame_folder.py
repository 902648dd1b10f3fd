"""Folders with one file per frame: TIFF, PNG, CSV in degC, InfraTec IRB, FLIR JPEG; in natural order of their names."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import AmbiguousInputError, CorruptFileError, InputError
from thermo_qc.io.csv_text import (
    MAX_HEADER_LINES,
    decoded,
    dialect_of,
    is_header,
    parse_rows,
    stated_size,
    stated_unit,
)
from thermo_qc.io.flir_jpeg import open_flir_jpegs
from thermo_qc.io.found import Found
from thermo_qc.io.images import picture_shape, read_picture
from thermo_qc.io.infratec_irb import found_of_images, irb_unit, read_irb_image
from thermo_qc.io.irbis_text import is_irbis_text, read_irbis_table
from thermo_qc.io.lazy import FileFrames
from thermo_qc.io.reader import Reader, assemble, check_options, load_when_small, reading
from thermo_qc.io.tiff_frames import read_page
from thermo_qc.sequence import ThermalSequence, Unit

__all__ = ["READER", "natural_key", "open_folder", "read_csv_frame"]

PICTURE, TEXT = "JPEG", "text"
KINDS = {
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".png": "PNG",
    ".csv": "CSV",
    ".asc": "CSV",
    ".txt": TEXT,
    ".irb": "IRB",
    ".jpg": PICTURE,
    ".jpeg": PICTURE,
}


class FolderFrames(FileFrames):
    """View of the files of a folder."""

    def __init__(
        self,
        path: Path,
        files: list[Path],
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        read: Callable[[Path], NDArray[Any]],
    ) -> None:
        super().__init__(path, (len(files), *shape), dtype)
        self._files, self._read_file = files, read

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        result = np.empty(
            (time.stop - time.start, rows.stop - rows.start, columns.stop - columns.start), dtype=self.dtype
        )
        for place, file in enumerate(self._files[time]):
            frame = self._read_file(file)
            _check_alike(self._files[0], file, self.shape[1:], frame.shape)
            if frame.dtype != self.dtype:
                raise CorruptFileError(file, "pixels", f"{self.dtype} like {self._files[0].name}", frame.dtype)
            result[place] = frame[rows, columns]
        return result


def open_folder(path: Path, **options: Any) -> ThermalSequence:
    """Open a folder of frames. Options are fields of `Facts` without `variable` and `axes`.

    Other files in the folder (notes, YAML) are left alone; frames of two kinds are refused.
    """
    facts = check_options(path, "a folder of frames", options)
    kind, files = _frame_files(path)
    if kind == PICTURE:
        return open_flir_jpegs(path, files, facts, f"{READER.name} ({kind})")
    readers: dict[str, Callable[[Path], NDArray[Any]]] = {
        "TIFF": _read_tiff,
        "PNG": read_picture,
        "CSV": read_csv_frame,
        TEXT: read_csv_frame,
        "IRB": partial(read_irb_image, unit="K" if facts.unit == "K" else "degC"),
    }
    read = readers[kind]
    with reading(path, f"folder of {kind} frames"):
        first = read(files[0])
        if first.ndim != 2 or first.size == 0:
            raise CorruptFileError(files[0], "frame", "two axes (row, column)", f"of shape {first.shape}")
        if kind == "PNG":
            for file in files:
                _check_alike(files[0], file, first.shape, picture_shape(file))
        height, width = first.shape
        frames = load_when_small(FolderFrames(path, files, (height, width), first.dtype, read))
        unit: Unit = (_text_frame(files[0])[1] or "degC") if kind in ("CSV", TEXT) else "counts"
    found = found_of_images(files, irb_unit(path, facts)) if kind == "IRB" else Found(unit=unit)
    return assemble(path, frames, found, facts, f"{READER.name} ({kind})")


def _frame_files(path: Path) -> tuple[str, list[Path]]:
    try:
        there = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    kinds: dict[str, list[Path]] = {}
    for file in there:
        if file.suffix.lower() in KINDS:
            kinds.setdefault(KINDS[file.suffix.lower()], []).append(file)
    if not kinds:
        *most, last = dict.fromkeys(KINDS.values())
        raise InputError(f"{path} holds no frames; expected one {', '.join(most)} or {last} file per frame")
    for beside in (TEXT, PICTURE):  # notes and photographs beside the frames
        if len(kinds) > 1:
            kinds.pop(beside, None)
    if len(kinds) > 1:
        listed = ", ".join(f"{len(files)} {kind}" for kind, files in sorted(kinds.items()))
        raise AmbiguousInputError(f"{path} holds frames of several kinds ({listed}); keep one kind in the folder")
    ((kind, files),) = kinds.items()
    return kind, sorted(files, key=natural_key)


def natural_key(file: Path) -> tuple[list[tuple[int, int | str]], str]:
    """Sorting key by which ``frame2`` comes before ``frame10``."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part], file.name


def _check_alike(first: Path, file: Path, expected: tuple[int, ...], found: tuple[int, ...]) -> None:
    if tuple(found) != tuple(expected):
        raise CorruptFileError(file, "frame", f"{expected} (row, column) like {first.name}", f"of shape {tuple(found)}")


def _read_tiff(path: Path) -> NDArray[Any]:
    with reading(path, "TIFF"):
        return read_page(path)


def read_csv_frame(path: Path) -> NDArray[np.float32]:
    """Read one frame: rows of numbers between commas, semicolons, tabs or blanks.

    A comma is the decimal sign where semicolons, tabs or blanks separate. A separator at the end of every row and
    lines before the first row of numbers are left out; rows and columns that these state are checked.

    Raises
    ------
    CorruptFileError
        When a cell is no number or rows differ in length.
    """
    return _text_frame(path)[0]


def _text_frame(path: Path) -> tuple[NDArray[np.float32], Unit | None]:
    """Frame and the unit that its header names."""
    content = path.read_bytes()
    if is_irbis_text(content[:64]):
        table = read_irbis_table(path)
        if table.temperature_unit is None:
            found = f"'{table.content[:40]}' in '{table.settings.get('TempUnit', '')[:20]}'"
            raise CorruptFileError(path, "Content", "temperatures in °C or K", found, "export temperatures")
        return table.values, table.temperature_unit
    lines = [line for line in decoded(content).lstrip("\ufeff").splitlines() if line.strip()]
    n_header = next((number for number, line in enumerate(lines) if not is_header(line)), len(lines))
    header, rows = lines[: min(n_header, MAX_HEADER_LINES)], lines[n_header:]
    if not rows or n_header > MAX_HEADER_LINES:
        raise CorruptFileError(path, "table", "rows of numbers", "empty" if not lines else "without one")
    frame = parse_rows(path, rows, dialect_of(rows[0]), n_header + 1)
    stated = stated_size(header)
    if stated is not None and stated != frame.shape:
        raise CorruptFileError(path, "table", f"{stated[0]} rows of {stated[1]} numbers as stated", f"of {frame.shape}")
    return frame, stated_unit(header)


READER = Reader(
    name="folder of frames",
    extensions=(),
    matches=lambda header: False,
    open=open_folder,
    folders=True,
    tried_on="real InfraTec images; other kinds on made files",
)
