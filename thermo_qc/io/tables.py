"""Tables on disk: CSV that spreadsheets open without running anything in it."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from thermo_qc.io.files import write_text

__all__ = ["Cell", "write_csv"]

Cell = str | float | bool | None
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and their full-width forms
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def write_csv(path: Path | str, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, digits: int = 17) -> None:
    """Write a table, whole file or nothing.

    Parameters
    ----------
    path : Path or str
        Target.
    columns : sequence of str
        The first line.
    rows : iterable of sequences
        One cell per column. Unknown (None) and not finite numbers are empty. Line breaks and other control characters
        in text become a space, what has no form in UTF-8 (a byte of a file name) its escape; text that a spreadsheet
        would run as a formula, after spaces too, gets an apostrophe in front.
    digits : int
        Significant digits of floating-point numbers; at 17 a reader gets the same number back.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(column, digits) for column in columns])
    writer.writerows([_cell(value, digits) for value in row] for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Cell, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        line = _CONTROL.sub(" ", value).encode("utf-8", "backslashreplace").decode("utf-8")
        return f"'{line}" if line.lstrip().startswith(_FORMULA_STARTS) else line
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            return ""
        return repr(float(value)) if digits >= 17 else f"{value:.{digits}g}"
    return str(value)
