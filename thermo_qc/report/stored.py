"""Small readers of what a run folder holds: JSON objects, histories, parts of an HDF5 file."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "History",
    "plain_value",
    "positive_number",
    "read_histories",
    "read_object",
    "stored_array",
    "stored_names",
]

History = dict[str, list[float]]


def read_object(path: Path, notes: list[str] | None) -> dict[str, Any] | None:
    """Read a JSON object; None, and a note where notes are wanted, when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if notes is not None:
            notes.append(f"{path.name} is missing.")
        return None
    except (OSError, ValueError) as error:
        if notes is not None:
            notes.append(f"{path.name} cannot be read: {error}.")
        return None
    if not isinstance(content, dict):
        if notes is not None:
            notes.append(f"{path.name} holds {type(content).__name__}, expected a JSON object.")
        return None
    return content


def read_histories(folder: Path, notes: list[str]) -> dict[str, History]:
    """Read the training histories of a run and of its folds, by their names."""
    places = {"training": folder / "history.csv"}
    folds = [path for path in folder.glob("fold_*") if path.name[5:].isdigit()]
    places |= {
        f"fold {int(path.name[5:])}": path / "history.csv" for path in sorted(folds, key=lambda p: int(p.name[5:]))
    }
    histories = {}
    for name, path in places.items():
        if not path.is_file():
            continue
        history = _history(path)
        if history:
            histories[name] = history
        else:
            notes.append(f"The training history of {name} is empty or broken.")
    return histories


def _history(path: Path) -> History | None:
    """Columns of a history; an empty or unreadable cell becomes NaN."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return None
    if not rows or "epoch" not in rows[0]:
        return None
    return {name: [_cell(row.get(name)) for row in rows] for name in rows[0] if name is not None}


def _cell(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def stored_array(file: Any, name: str, dtype: Any) -> Any:
    """Array of an open HDF5 file; None where it has none of this name."""
    return np.asarray(file[name][...], dtype=dtype) if name in file else None


def stored_names(value: Any) -> tuple[str, ...]:
    """Class names from an attribute, a JSON list or an array of strings."""
    if isinstance(value, str):
        value = json.loads(value)
    return tuple(str(name) for name in value or ())


def positive_number(value: Any) -> float | None:
    """Attribute as a finite positive number; None where it is none."""
    return float(value) if value is not None and np.isfinite(float(value)) and float(value) > 0 else None


def plain_value(value: Any) -> Any:
    """Turn an attribute of an HDF5 file into plain Python types."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray):
        return [plain_value(item) for item in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value
