"""Plain-text tables for terminals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["render_table"]

_MISSING = "-"


def render_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | Mapping[str, str], *, digits: int = 3
) -> str:
    """Lay rows out as an aligned table.

    Parameters
    ----------
    rows : sequence of mapping
        One mapping per line; a key that is absent, None, NaN or empty shows as "-".
    columns : sequence of str or mapping of str to str
        Keys in order, or key to heading.
    digits : int
        Decimals of numbers that are not whole-number types.

    Returns
    -------
    str
        Heading, rule and one line per row, without a final line break. Numbers stand right, text left.

    Examples
    --------
    >>> print(render_table([{"method": "unet", "iou": 0.81234}, {"method": "forest", "iou": None}], ["method", "iou"]))
    method    iou
    ------  -----
    unet    0.812
    forest      -
    """
    headings = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns}
    cells = [[_text(row.get(key), digits) for key in headings] for row in rows]
    lines = [list(headings.values()), *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    right = [_is_numeric([row.get(key) for row in rows]) for key in headings]
    ruled = [lines[0], ["-" * width for width in widths], *cells]
    return "\n".join(_line(line, widths, right) for line in ruled)


def _line(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [text.rjust(width) if r else text.ljust(width) for text, width, r in zip(line, widths, right, strict=True)]
    return "  ".join(parts).rstrip()


def _text(value: Any, digits: int) -> str:
    if _missing(value):
        return _MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.{digits}f}"
    return " ".join(str(value).split())


def _missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _is_numeric(values: Sequence[Any]) -> bool:
    known = [value for value in values if not _missing(value)]
    return bool(known) and all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in known
    )
