"""Picked points: pixels of a recording and their places on the plate, given directly or by a file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import read_yaml
from thermo_qc.errors import InputError

__all__ = ["FIELDS", "points_table", "read_points"]

FIELDS = ("x_px", "y_px", "x_mm", "y_mm")


def read_points(path: Path | str) -> NDArray[np.float64]:
    """Read picked points from a file.

    Parameters
    ----------
    path : Path or str
        CSV with the columns x_px, y_px, x_mm, y_mm (in this order when there is no header; lines starting with # are
        skipped), or YAML: a list, or a mapping with the list under `points`, of four numbers or four keys each.

    Returns
    -------
    ndarray of float64, shape (N, 4)

    Raises
    ------
    InputError
        When the file is missing or holds something else.
    """
    path = Path(path)
    if path.suffix.lower() in {".yaml", ".yml"}:
        content = read_yaml(path)
        rows = content.get("points") if isinstance(content, dict) else content
    elif path.suffix.lower() == ".csv":
        rows = _csv_rows(path)
    else:
        raise InputError(f"{path} ends in '{path.suffix}', expected picked points as .csv or .yaml")
    if not isinstance(rows, list):
        raise InputError(f"{path} holds no list of picked points; give x_px, y_px, x_mm, y_mm of each")
    return _numbers(rows, str(path))


def _csv_rows(path: Path) -> list[Any]:
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise InputError(f"{path} is no UTF-8 text, expected a CSV table of picked points") from None
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    if lines and any(name in lines[0] for name in FIELDS):
        return list(csv.DictReader(lines, skipinitialspace=True))
    return list(csv.reader(lines))


def points_table(points: Path | str | Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Turn picked points, or a file of them, into a table, float64 (N, 4).

    Raises
    ------
    InputError
        When a point is something else than four numbers, or the file cannot be used.
    """
    return read_points(points) if isinstance(points, str | Path) else _numbers(list(points), "picked points")


def _numbers(rows: list[Any], origin: str) -> NDArray[np.float64]:
    table = np.empty((len(rows), len(FIELDS)))
    for number, row in enumerate(rows, start=1):
        try:
            values = [row[name] for name in FIELDS] if isinstance(row, dict) else list(row)
            table[number - 1] = [float(value) for value in values]
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{origin}: point {number} is {row}, expected four numbers: {', '.join(FIELDS)}") from None
    return table
