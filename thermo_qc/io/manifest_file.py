"""Schema of a manifest, and its form as a CSV table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveFloat

from thermo_qc.config import Facts, MaterialConfig, Strict
from thermo_qc.errors import ConfigError, InputError

__all__ = ["EntryConfig", "ManifestConfig", "read_rows"]


class EntryConfig(Strict):
    """One recording of a manifest; paths are relative to the manifest."""

    key: str | None = Field(None, min_length=1)
    recording: str = Field(min_length=1)
    truth: str | None = None
    depths_mm: dict[int | str, PositiveFloat] = Field(default_factory=dict)
    plate: str | None = None
    registration: str | None = None
    region: str | None = None
    exclude: str | None = None
    sound: str | None = None
    acquisition: str | None = None
    condition: str = ""
    specimen: str = ""
    material: MaterialConfig | None = None
    thickness_mm: PositiveFloat | None = None
    facts: Facts = Facts()


class ManifestConfig(Strict):
    """A manifest file."""

    recordings: tuple[EntryConfig, ...] = Field(min_length=1)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a CSV manifest as the list that YAML would hold; columns with dots are nested, empty cells left out.

    Raises
    ------
    InputError
        When the file is missing.
    ConfigError
        When it is no table with a header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            sample = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if sample.count(";") > sample.count(",") else ",", strict=True)
            columns = list(reader.fieldnames or ())
            rows = list(reader)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no UTF-8 CSV table ({error}); save it again") from None
    if len(set(columns)) != len(columns):
        raise ConfigError(f"{path}: a column comes twice; columns: {', '.join(columns)}")
    return [_nested(path, line, row) for line, row in enumerate(rows, start=2) if any(row.values())]


def _nested(path: Path, line: int, row: Mapping[str | None, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for column, text in row.items():
        if column is None:
            raise ConfigError(
                f"{path}: line {line} has more cells than the header; quote cells that hold the separator"
            )
        if text is None or not text.strip():
            continue
        *parents, last = column.strip().split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{path}: column '{column}' is a part of column '{parent}'; keep one of them")
        listed = column.strip() == "facts.times_s"
        place[last] = text.replace(";", " ").split() if listed else text.strip()
    return result
