"""One text table with a row per frame: the pixels row by row, before them a time or a frame number or neither.

The rows and columns of a frame come from `frame_shape` or from the header (``Height;480`` and ``Width;640``, or pixels
named by their place: ``r0c0, r0c1, ...``); they are never guessed from the number of pixels.
"""

from __future__ import annotations

import mmap
import re
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import Facts
from thermo_qc.errors import AmbiguousInputError, ConfigError, CorruptFileError, MissingFactError
from thermo_qc.io.csv_text import (
    MAX_HEADER_LINES,
    Dialect,
    cells_of,
    decoded,
    dialect_of,
    is_header,
    parse_rows,
    stated_size,
    stated_unit,
)
from thermo_qc.io.found import Found
from thermo_qc.io.lazy import MAX_FRAMES, FileFrames
from thermo_qc.io.reader import Reader, assemble, check_options, load_when_small, reading
from thermo_qc.sequence import ThermalSequence

__all__ = ["READER", "open_table"]

MANY_NAMES = 16
MAX_FIRST_CELL = 64
_TIME = re.compile(r"(?:rel\w*[\s._]*)?(?:time|zeit|t)(?=$|[\s_.,:/(\[])", re.IGNORECASE)
_NUMBER_OF_FRAME = re.compile(r"(?:frame|image|index|idx|number|nr|no|bild|n|i)(?=$|[\s_.#:/(\[])", re.IGNORECASE)
_PLACE = re.compile(r"\D*(\d+)\D+(\d+)\D*$")
_SCALES = ((r"ms|msec|milliseconds?", 1e-3), (r"us|µs|μs|microseconds?", 1e-6), (r"min|minutes?", 60.0))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the numbers of a table are.

    `header` holds the lines before them, `names` the cells of the last of these where it names every column; `starts`
    and `stops` are the first byte of each line of numbers and the byte behind it (T,).
    """

    dialect: Dialect
    header: tuple[str, ...]
    names: tuple[str, ...]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    n_cells: int


class TableFrames(FileFrames):
    """View of the lines of a table; a read parses the lines asked for."""

    def __init__(self, path: Path, layout: Layout, size: tuple[int, int], n_leading: int, order: str) -> None:
        super().__init__(path, (layout.starts.size, *size), np.dtype(np.float32))
        self._layout, self._leading, self._order = layout, n_leading, order

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        result = np.empty([part.stop - part.start for part in (time, rows, columns)], dtype=np.float32)
        _, height, width = self.shape
        with self.path.open("rb") as file:
            for place, index in enumerate(range(time.start, time.stop)):
                row = _row(self.path, file, self._layout, index)[self._leading :]
                frame = row.reshape(height, width) if self._order == "tyx" else row.reshape(width, height).T
                result[place] = frame[rows, columns]
        return result


def _row(path: Path, file: Any, layout: Layout, index: int) -> NDArray[np.float32]:
    start, stop = int(layout.starts[index]), int(layout.stops[index])
    file.seek(start)
    line = decoded(file.read(stop - start))
    row: NDArray[np.float32] = parse_rows(path, [line], layout.dialect)[0]
    if row.size != layout.n_cells:
        expected = f"{layout.n_cells} numbers like the first row"
        raise CorruptFileError(path, f"row {index + 1} of numbers", expected, f"of {row.size}")
    return row


def open_table(path: Path, **options: Any) -> ThermalSequence:
    """Open a table with a row per frame. Options are fields of `Facts` without `variable`.

    Parameters
    ----------
    path : Path
        The file.
    **options
        `frame_shape` gives rows and columns of a frame where the header does not; `axes` is "tyx" (pixels row by row)
        or "txy" (column by column). A column more than there are pixels is the time (s, or the unit in its name) or,
        by its name, the number of the frame.

    Raises
    ------
    MissingFactError
        When nobody says how many rows and columns a frame has, or there is no time base.
    AmbiguousInputError
        When a nameless first column may be seconds or frame numbers.
    CorruptFileError
        When rows differ in length or hold something else than numbers.
    """
    facts = check_options(path, "a table with a row per frame", options, ("axes", "frame_shape"))
    if facts.axes not in (None, "tyx", "txy"):
        raise ConfigError(f"{path}: axes is '{facts.axes}', but rows are frames; expected 'tyx' or 'txy'")
    with reading(path, "CSV"):
        layout = _layout(path)
        order = facts.axes or "tyx"
        size = _frame_size(path, layout, facts, order)
        n_leading = layout.n_cells - size[0] * size[1]
        times = _times(path, layout, n_leading, facts)
        frames = load_when_small(TableFrames(path, layout, size, n_leading, order))
    found = Found(times_s=times, times_field="time column", unit=stated_unit(layout.header))
    return assemble(path, frames, found, facts, READER.name)


def _layout(path: Path) -> Layout:
    """Find the lines of numbers without parsing them: one pass over the file in the system's pages."""
    starts, stops, header = array("q"), array("q"), list[str]()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = 3 if content[:3] == b"\xef\xbb\xbf" else 0
        while place < len(content):
            end = content.find(b"\n", place)
            end = len(content) if end < 0 else end
            line = content[place : min(end, place + 4096)] if not starts else b"x"
            if starts and _is_blank(content, place, end):
                pass
            elif not starts and (not line.strip() or is_header(decoded(content[place:end]))):
                if line.strip():
                    header.append(decoded(content[place:end]).strip("\r\n"))
                if len(header) > MAX_HEADER_LINES:
                    break
            else:
                starts.append(place)
                stops.append(end)
            if len(starts) > MAX_FRAMES:
                raise CorruptFileError(path, "table", f"at most {MAX_FRAMES} rows", "longer")
            place = end + 1
        if not starts:
            raise CorruptFileError(path, "table", "rows of numbers", "without one", "export the numbers themselves")
        first = decoded(content[starts[0] : stops[0]])
    dialect = dialect_of(first)
    n_cells = parse_rows(path, [first], dialect).shape[1]
    names = (
        tuple(cells_of(header[-1].lstrip("#% "), Dialect(separator=dialect.separator, decimal_comma=False)))
        if header
        else ()
    )
    return Layout(
        dialect=dialect,
        header=tuple(header),
        names=names if len(names) == n_cells else (),
        starts=np.frombuffer(starts, dtype=np.int64),
        stops=np.frombuffer(stops, dtype=np.int64),
        n_cells=n_cells,
    )


def _is_blank(content: mmap.mmap, place: int, end: int) -> bool:
    return end - place < MAX_FIRST_CELL and not content[place:end].strip()


def _frame_size(path: Path, layout: Layout, facts: Facts, order: str) -> tuple[int, int]:
    n_rows, n_cells = layout.starts.size, layout.n_cells
    size = facts.frame_shape or stated_size(layout.header) or _size_by_names(layout.names, order)
    if size is None:
        raise MissingFactError(
            f"{path} is a table of {n_rows} rows of {n_cells} numbers that does not say how many rows and columns a "
            "frame has; give frame_shape (480x640: rows x columns) as an option or in the sidecar "
            f"{path.name}.yaml if each row is a frame, or name the folder that holds it if the table is one frame"
        )
    n_pixels = size[0] * size[1]
    if not n_pixels <= n_cells <= n_pixels + 2:
        raise ConfigError(
            f"{path} has {n_cells} numbers in a row, but frames of {size[0]} x {size[1]} have {n_pixels} pixels; "
            "expected as many numbers, or one or two more for time and frame number; correct frame_shape"
        )
    return size


def _size_by_names(names: tuple[str, ...], order: str) -> tuple[int, int] | None:
    """Rows and columns from names that count through the pixels: ``r0c0, r0c1, ...`` or ``(1, 1), (1, 2), ...``."""
    for leading in range(min(3, len(names))):
        places = [_PLACE.match(name) for name in names[leading:]]
        if not all(places):
            continue
        numbers = np.array([[int(part[:9]) for part in place.groups()] for place in places if place])
        numbers = numbers - numbers[0]
        height, width = (int(length) + 1 for length in numbers[-1])
        if height < 1 or width < 1 or height * width != len(numbers):
            continue
        running = np.arange(len(numbers))
        rows, columns = np.divmod(running, width) if order == "tyx" else np.divmod(running, height)[::-1]
        if np.array_equal(numbers, np.stack([rows, columns], axis=1)):
            return height, width
    return None


def _times(path: Path, layout: Layout, n_leading: int, facts: Facts) -> NDArray[np.float64] | None:
    """Give the times of the column that holds them; None where there is none."""
    names = layout.names[:n_leading]
    given = facts.frame_rate_hz is not None or facts.times_s is not None
    if n_leading == 0:
        if layout.names and _TIME.match(layout.names[0]):
            found = f"'{layout.names[0]}', which frame_shape takes for a pixel"
            raise CorruptFileError(path, "first column", "a pixel", found, "correct frame_shape")
        return None
    timed = [place for place, name in enumerate(names) if _TIME.match(name)]
    others = [name for place, name in enumerate(names) if place not in timed and not _NUMBER_OF_FRAME.match(name)]
    if others or len(timed) > 1 or (not names and n_leading > 1):
        listed = ", ".join(f"'{name}'" for name in names) or "nameless"
        expected = "a time or a frame number or both, named so"
        raise CorruptFileError(path, "columns before the pixels", expected, listed, "leave them out or name them")
    if names and not timed:
        return None
    column = _column(path, layout, timed[0] if timed else 0)
    if not names and not given and column.size > 1 and np.array_equal(np.diff(column), np.ones(column.size - 1)):
        raise AmbiguousInputError(
            f"{path}: the first column counts {column[0]:g}, {column[1]:g}, ... and has no name, so it may be seconds "
            "or frame numbers; give frame_rate_hz, or name the column 'time_s' or 'frame'"
        )
    return column * (_time_scale(names[timed[0]]) if timed else 1.0)


def _column(path: Path, layout: Layout, place: int) -> NDArray[np.float64]:
    result = np.empty(layout.starts.size)
    with path.open("rb") as file:
        for index, (start, stop) in enumerate(zip(layout.starts.tolist(), layout.stops.tolist(), strict=True)):
            file.seek(start)
            cells = cells_of(decoded(file.read(min(stop - start, (place + 1) * MAX_FIRST_CELL))), layout.dialect)
            text = cells[place] if place < len(cells) else ""
            try:
                result[index] = float(text.replace(",", ".") if layout.dialect.decimal_comma else text)
            except ValueError:
                raise CorruptFileError(
                    path, f"time in row {index + 1}", "a number", f"'{text[:40]}'", "write times as seconds"
                ) from None
    return result


def _time_scale(name: str) -> float:
    for words, scale in _SCALES:
        if re.search(rf"(?:^|[\s_/(\[.])(?:{words})(?:$|[\s_)\].])", name, re.IGNORECASE):
            return scale
    return 1.0


def _matches(header: bytes) -> bool:
    """Whether the first bytes are text with a row of numbers, or with the many names that open a wide table."""
    if b"\0" in header or any(byte < 9 or 13 < byte < 32 for byte in header):
        return False
    lines = [line for line in decoded(header).lstrip("\ufeff").splitlines() if line.strip()]
    if not lines or lines[0].strip() == "[Settings]":
        return False
    if any(len(cells_of(line, dialect_of(line))) > 1 and not is_header(line) for line in lines):
        return True
    return (
        len(lines) == 1 and len(cells_of(lines[0], dialect_of(lines[0]))) > MANY_NAMES and " " not in lines[0].strip()
    )


READER = Reader(
    name="CSV table",
    extensions=(".csv", ".txt"),
    matches=_matches,
    open=open_table,
)
