"""Tables of numbers as text: encoding, separators, decimal commas, and header lines before the numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError
from thermo_qc.io.lazy import reason_of
from thermo_qc.sequence import Unit

__all__ = ["Dialect", "cells_of", "decoded", "dialect_of", "is_header", "parse_rows", "stated_size", "stated_unit"]

MAX_HEADER_LINES = 200
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?$")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$|[+-]?(?:nan|inf|infinity)$", re.IGNORECASE)
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_LABELS = re.compile(
    r"(?<![a-z])(?:image|frame)?[\s_]*(rows|height|columns|cols|width)\b[\s:=;,\"']*(\d{1,9})\b", re.IGNORECASE
)
_UNITS: tuple[tuple[re.Pattern[str], Unit], ...] = (
    (re.compile(r"°\s*C\b|\bdeg\.?\s?C\b|\bcelsius\b|\[C\]|\(C\)", re.IGNORECASE), "degC"),
    (re.compile(r"\[K\]|\(K\)|\bkelvin\b|(?:unit|einheit)\w*[\s:=;,]+K\b"), "K"),
)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How numbers are written: the separator (None: blanks) and the decimal sign."""

    separator: str | None
    decimal_comma: bool


def decoded(content: bytes) -> str:
    """Text of a file in UTF-8, UTF-16 with its mark, or an 8-bit code page (only labels differ there)."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def dialect_of(line: str) -> Dialect:
    """Tell the dialect from one line of numbers.

    Semicolons and tabs separate before commas do, and beside them a comma is the decimal sign. Without them, a comma
    is the decimal sign where blanks separate numbers that each hold one (``21,5 22,3``), else the separator.
    """
    for separator in (";", "\t"):
        if separator in line:
            return Dialect(separator=separator, decimal_comma=True)
    words = line.split()
    if len(words) > 1 and all(_DECIMAL_COMMA.match(word) for word in words):
        return Dialect(separator=None, decimal_comma=True)
    return Dialect(separator="," if "," in line else None, decimal_comma=False)


def cells_of(line: str, dialect: Dialect) -> list[str]:
    """Cells of one line without blanks and quotes; a separator at its end makes no cell."""
    cells = [cell.strip(" \t\r\n\"'") for cell in line.strip(" \r\n").split(dialect.separator)]
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells


def is_header(line: str) -> bool:
    """Whether a line before the first row says something else than numbers: at most half of its cells are numbers.

    A row of numbers with a broken cell is no header, so that it is complained about and not skipped.
    """
    dialect = dialect_of(line)
    cells = cells_of(line, dialect)
    numbers = sum(bool(_NUMBER.match(cell.replace(",", ".") if dialect.decimal_comma else cell)) for cell in cells)
    return 2 * numbers <= len(cells)


def parse_rows(path: Path, lines: Sequence[str], dialect: Dialect, first_line: int = 1) -> NDArray[np.float32]:
    """Numbers of lines of one dialect, shape (lines, cells).

    Parameters
    ----------
    path : Path
        For the message.
    lines : sequence of str
        Without empty ones.
    dialect : Dialect
        From `dialect_of`.
    first_line : int
        Number of the first line in the file, for the message.

    Raises
    ------
    CorruptFileError
        When a cell is no number or the lines differ in length.
    """
    separator = dialect.separator
    if dialect.decimal_comma:
        lines = [line.replace(",", ".") for line in lines]
    lines = [line.strip(" \r\n") if separator == "\t" else line.strip() for line in lines]
    if separator is not None and all(line.endswith(separator) for line in lines):
        lines = [line[:-1] for line in lines]
    try:
        return np.asarray(np.loadtxt(lines, delimiter=separator, ndmin=2, dtype=np.float32, comments=None))
    except ValueError as error:
        found = f"something else ({reason_of(error).split(';')[0].rstrip('.')}"
        found += f", counted from line {first_line})" if first_line > 1 else ")"
        raise CorruptFileError(
            path, "table", "rows of numbers of one length", found, "export temperatures alone"
        ) from None


def stated_size(header: Iterable[str]) -> tuple[int, int] | None:
    """Rows and columns of a frame where lines of a header name both (``Width;640`` and ``Height;480``)."""
    found: dict[str, int] = {}
    for line in header:
        for label, length in _LABELS.findall(line[:1000]):
            found["rows" if label.lower()[0] in "rh" else "columns"] = int(length)
    return (found["rows"], found["columns"]) if len(found) == 2 else None


def stated_unit(header: Iterable[str]) -> Unit | None:
    """Give the unit of temperature that a header names, None where it names none or both."""
    lines = list(header)
    units = {unit for pattern, unit in _UNITS if any(pattern.search(line[:1000]) for line in lines)}
    return units.pop() if len(units) == 1 else None
