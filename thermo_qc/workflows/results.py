"""``thermo-qc results``: what was done in folders of results, filtered and exported."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from thermo_qc.errors import ConfigError, InputError, OutputError
from thermo_qc.io import write_csv, write_json
from thermo_qc.workflows.predict_folder import ENDINGS
from thermo_qc.workflows.run_folder import read_run
from thermo_qc.workflows.run_index import COLUMNS, VERDICTS, RunIndex

__all__ = ["STATES", "Filter", "Row", "check_export", "export", "indications_of", "list_results", "render", "since_of"]

STATES = ("done", "failed")
NO_VERDICT = "none"
Row = dict[str, Any]
_JSON_COLUMNS = ("reasons", "warnings", "options")
_SHOWN = ("recording", "state", "specimen", "verdict", "n_indications", "largest_mm2", "finished")
_INDICATIONS = (
    "number, class_name, bbox_x0_px, bbox_y0_px, bbox_x1_px, bbox_y1_px, area_px, area_mm2, equivalent_diameter_mm, "
    "depth_mm, mean_probability, cnr"
)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which results are wanted; what is None or empty does not matter.

    Parameters
    ----------
    state : {"done", "failed"}, optional
        Whether there is a result.
    verdict : {"accept", "reject", "review", "none"}, optional
        Verdict of ``inspect``; "none": results without one.
    since : str, optional
        ISO time in UTC, see `since_of`: done or failed then or later.
    specimen, recording, model : str, optional
        Specimen and name of the recording with ``*`` and ``?``, first digits of a model's SHA-256.
    min_area_mm2 : float, optional
        With at least one indication of this area.
    min_indications : int, optional
        With at least so many indications.
    """

    state: str | None = None
    verdict: str | None = None
    since: str | None = None
    specimen: str | None = None
    recording: str | None = None
    model: str | None = None
    min_area_mm2: float | None = None
    min_indications: int | None = None

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is wanted."""
        name = Path(row["recording"]).name
        return (
            self.state in (None, row["state"])
            and self._takes_verdict(row)
            and (self.since is None or (row["finished"] or "") >= self.since)
            and (self.specimen is None or fnmatchcase(row["specimen"] or "", self.specimen))
            and (self.recording is None or any(fnmatchcase(one, self.recording) for one in (name, row["recording"])))
            and (self.model is None or any(one.startswith(self.model) for one in (row["model_sha256"] or "").split()))
            and (self.min_area_mm2 is None or (row["largest_mm2"] or 0.0) >= self.min_area_mm2)
            and (self.min_indications is None or (row["n_indications"] or 0) >= self.min_indications)
        )

    def _takes_verdict(self, row: Mapping[str, Any]) -> bool:
        if self.verdict is None:
            return True
        return bool(row["state"] == "done" and (row["verdict"] or NO_VERDICT) == self.verdict)


def list_results(folders: Sequence[Path], wanted: Filter | None = None) -> list[Row]:
    """List results and failures.

    Parameters
    ----------
    folders : sequence of Path
        Folders of results of ``predict``, ``watch`` or ``inspect``.
    wanted : Filter, optional
        Everything when None.

    Returns
    -------
    list of dict
        `COLUMNS` of the index and ``folder``; reasons and options as JSON values. In the order of the folders and,
        within each, of the results' names, what failed at the end.

    Raises
    ------
    InputError
        When a folder holds no results.
    ConfigError
        When state or verdict are none.
    """
    wanted = wanted or Filter()
    _check_one_of("state", wanted.state, STATES)
    _check_one_of("verdict", wanted.verdict, (*VERDICTS, NO_VERDICT))
    found = []
    for folder in folders:
        _check_folder(folder)
        rows = RunIndex(folder).ask(_rows)
        found += [{**row, "folder": str(folder)} for row in rows if wanted.takes(row)]
    return found


def indications_of(folder: Path, stem: str) -> list[Row]:
    """List the indications of a result, largest first."""

    def question(connection: sqlite3.Connection) -> list[Row]:
        cursor = connection.execute(
            f"SELECT {_INDICATIONS} FROM indications WHERE stem = ? ORDER BY number",
            (stem,),
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    return RunIndex(folder).ask(question)


def since_of(text: str) -> str:
    """Turn a date or time into ISO time in UTC; without a zone it is meant here.

    Raises
    ------
    ConfigError
        When it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        raise ConfigError(f"'{text}' is no date; expected 2026-05-31 or 2026-05-31T22:00") from None


def export(rows: Sequence[Row], path: Path, *, overwrite: bool = False) -> None:
    """Write rows as CSV or JSON, by the ending of the name.

    Raises
    ------
    OutputError
        When the ending is another one, or the file is there and `overwrite` is not given, or cannot be written.
    """
    check_export(path, overwrite=overwrite)
    if path.suffix.lower() == ".json":
        write_json(path, list(rows))
        return
    columns = ("folder", *COLUMNS)
    write_csv(path, columns, [[_cell(row[name]) for name in columns] for row in rows], digits=6)


def check_export(path: Path, *, overwrite: bool) -> None:
    """Refuse an export under a name that says no format or is taken.

    Raises
    ------
    OutputError
        With the way out.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise OutputError(f"{path} ends in '{path.suffix}', expected .csv or .json")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another name or add --overwrite")


def render(rows: Sequence[Row]) -> str:
    """Table for people; what failed has its reason below, what lies outside the model's range its warnings."""
    from thermo_qc.evaluation import render_table

    shown = [{name: _text(row[name]) for name in _SHOWN} for row in rows]
    lines = [render_table(shown, list(_SHOWN))] if shown else []
    for row in rows:
        told = [row["error"]] if row["error"] else row["warnings"] or []
        lines += [f"{_text(row['recording'])}: {_text(line)}" for line in told]
    done = sum(row["state"] == "done" for row in rows)
    return "\n".join([*lines, f"{done} done, {len(rows) - done} failed"])


def _rows(connection: sqlite3.Connection) -> list[Row]:
    cursor = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM overview ORDER BY result IS NULL, result, recording")
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in cursor]
    for row in rows:
        for name in _JSON_COLUMNS:
            row[name] = None if row[name] is None else json.loads(row[name])
    return rows


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the output folder of predict, watch or inspect")
    record = read_run(folder)
    if record is None and not any(folder.rglob(f"*{ENDINGS[-1]}")):
        raise InputError(f"{folder} holds no results; name the output folder of predict, watch or inspect")
    if record is not None and record.get("command") in ("train", "cv", "demo"):
        raise InputError(f"{folder} holds a '{record['command']}' run; its figures are in its report.html")


def _check_one_of(name: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise ConfigError(f"--{name} is '{value}', expected one of {', '.join(known)}")


def _cell(value: Any) -> str | float | None:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else value


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in value)
