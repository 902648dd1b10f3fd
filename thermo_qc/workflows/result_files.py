"""What the files of a finished recording say: the truth behind the index of a folder of results."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py

from thermo_qc.workflows.predict_folder import ENDINGS, VERDICT_ENDING, text_of, warnings_of
from thermo_qc.workflows.run_folder import read_run

__all__ = ["OPTION_NAMES", "ResultFiles", "failures_of", "identity_of", "read_result", "stamp_of", "whole_results"]

OPTION_NAMES = ("facts", "min_area_px", "region", "sound", "tta")
Stamp = tuple[int, int, int]
_NUMBERS = ("area_px", "area_mm2", "equivalent_diameter_mm", "depth_mm", "mean_probability", "cnr")
_BOX = ("bbox_x0_px", "bbox_y0_px", "bbox_x1_px", "bbox_y1_px")


@dataclass(frozen=True, kw_only=True)
class ResultFiles:
    """One result: the columns of the index that come from its files, and its indications."""

    columns: dict[str, Any]
    indications: tuple[dict[str, Any], ...] = field(default=())


def stamp_of(base: Path) -> Stamp | None:
    """Sizes and times by which a changed result is known: of the map (ns and bytes) and of its verdict (ns, 0 without).

    None when the result is not whole.
    """
    try:
        stats = [base.with_name(base.name + ending).stat() for ending in ENDINGS]
    except OSError:
        return None
    try:
        verdict_ns = base.with_name(base.name + VERDICT_ENDING).stat().st_mtime_ns
    except OSError:
        verdict_ns = 0
    return stats[-1].st_mtime_ns, stats[-1].st_size, verdict_ns


def whole_results(folder: Path) -> dict[str, Stamp]:
    """Stems of all whole results in a folder and those below it, with their stamps."""
    found = {}
    for path in sorted(folder.rglob(f"*{ENDINGS[-1]}")):
        base = path.with_name(path.name[: -len(ENDINGS[-1])])
        stamp = stamp_of(base)
        if stamp is not None:
            found[str(base.relative_to(folder))] = stamp
    return found


def read_result(folder: Path, stem: str, record: Mapping[str, Any] | None = None) -> ResultFiles | None:
    """Read a result's files.

    Parameters
    ----------
    folder : Path
        Folder of results.
    stem : str
        Of the result.
    record : mapping, optional
        Content of the folder's ``run.json``; read when None.

    Returns
    -------
    ResultFiles or None
        None when there is no whole result of ``predict`` under this stem.
    """
    base = folder / stem
    stamp = stamp_of(base)
    if stamp is None:
        return None
    try:
        with h5py.File(base.with_name(base.name + ENDINGS[-1]), "r") as file:
            attributes = dict(file.attrs)
        names = [str(name) for name in json.loads(str(attributes["class_names"]))]
        indications = _indications(base.with_name(base.name + ENDINGS[0]), names)
        columns = {
            "stem": text_of(Path(stem)),
            "recording": str(attributes["recording"]),
            "place": str(attributes["recording_place"]),
            "run": str(attributes["run"]),
            "recording_sha256": str(attributes["input_sha256"]),
            "facts_sha256": str(attributes.get("facts_sha256", "")),
            "model_sha256": " ".join(map(str, json.loads(str(attributes["model_sha256"])))),
            "specimen": str(attributes.get("specimen_id", "")),
            "n_indications": int(attributes["n_indications"]),
            "defect_fraction": float(attributes["defect_fraction"]),
            "pixel_pitch_mm": _number(attributes.get("pixel_pitch_mm")),
            "warnings": json.dumps(warnings_of(attributes), ensure_ascii=False),
        }
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, csv.Error):
        return None
    run = (read_run(folder) or {}) if record is None else record
    columns["options"] = _options(run) if run.get("fingerprint") == columns["run"] else None
    columns["recorded"] = _recorded(str(columns["place"]))
    columns["finished"] = _time_of(stamp[0])
    columns["largest_mm2"] = max((one["area_mm2"] for one in indications if one["area_mm2"] is not None), default=None)
    columns |= _verdict(base, identity_of(columns))
    columns |= dict(zip(("map_ns", "map_bytes", "verdict_ns"), stamp, strict=True))
    return ResultFiles(columns=columns, indications=indications)


def failures_of(record: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """List the recordings that failed, by their full paths, as ``run.json`` has them."""
    entries = record.get("failures")
    kept = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {str(entry["place"]): {str(k): str(v) for k, v in entry.items()} for entry in kept if "place" in entry}


def identity_of(columns: Mapping[str, Any]) -> dict[str, str]:
    """Say what a verdict belongs to: the recording's bytes, the facts beside it, and the models and options."""
    return {name: str(columns[name]) for name in ("run", "recording_sha256", "facts_sha256")}


def _options(record: Mapping[str, Any]) -> str:
    return json.dumps({name: record.get(name) for name in OPTION_NAMES}, sort_keys=True)


def _verdict(base: Path, identity: dict[str, str]) -> dict[str, Any]:
    """Read a verdict that was given on exactly this result."""
    empty = {"verdict": None, "reasons": None, "verdict_time": None}
    try:
        content = json.loads(base.with_name(base.name + VERDICT_ENDING).read_text(encoding="utf-8"))
        if content["result"] != identity:
            return empty
        reasons = json.dumps([str(reason) for reason in content["reasons"]], ensure_ascii=False)
        return {"verdict": str(content["verdict"]), "reasons": reasons, "verdict_time": str(content["time"])}
    except (OSError, ValueError, KeyError, TypeError):
        return empty


def _indications(table: Path, class_names: list[str]) -> tuple[dict[str, Any], ...]:
    with table.open(encoding="utf-8", newline="") as file:
        return tuple(_indication(row, class_names) for row in csv.DictReader(file))


def _indication(row: dict[str, str], class_names: list[str]) -> dict[str, Any]:
    numbers: dict[str, Any] = {name: float(row[name]) if row[name] else None for name in _NUMBERS}
    numbers["area_px"] = int(row["area_px"])
    box = {name: int(row[name]) for name in _BOX}
    return {"number": int(row["id"]), "class_name": class_names[int(row["class_index"])], **box, **numbers}


def _recorded(place: str) -> str | None:
    """When a recording was last written to; None when it is no longer there."""
    try:
        return _time_of(Path(place).stat().st_mtime_ns)
    except OSError:
        return None


def _time_of(stamp_ns: int) -> str | None:
    try:
        return datetime.fromtimestamp(stamp_ns / 1e9, UTC).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return None  # a clock that was far off


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
