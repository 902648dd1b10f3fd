"""The inspections of one part over time, each compared with the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thermo_qc.errors import InputError, suggestion
from thermo_qc.io import write_csv, write_json
from thermo_qc.workflows.compare_results import GROWTH, LEAST_OVERLAP, Comparison, compare_maps
from thermo_qc.workflows.results import Filter, Row, check_export, list_results

__all__ = ["Step", "compare_part", "export_steps", "plain_step", "render_steps"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One inspection and what has changed since the one before: rows of the index and the comparison."""

    now: Row
    before: Row
    comparison: Comparison


def compare_part(
    folders: Sequence[Path],
    part: str,
    *,
    against: str | None = None,
    least_overlap: float = LEAST_OVERLAP,
    growth: float = GROWTH,
) -> list[Step]:
    """Compare the inspections of a part, in the order in which they were recorded.

    Parameters
    ----------
    folders : sequence of Path
        Folders of results.
    part : str
        A specimen: all its inspections. Or a result (its name without ending, or its recording): that one with the
        earlier ones of its specimen.
    against : str, optional
        Another result to compare with instead, of whatever specimen and time.
    least_overlap, growth : float
        See `compare_maps`.

    Returns
    -------
    list of Step
        The latest last.

    Raises
    ------
    InputError
        When there is no such part, or nothing to compare it with.
    """
    rows = list_results(folders, Filter(state="done"))
    if against is not None:
        pairs = [(_named(rows, part), _named(rows, against))]
    else:
        inspections = _inspections(rows, part)
        pairs = list(zip(inspections[1:], inspections, strict=False))
    return [
        Step(
            now=now,
            before=before,
            comparison=compare_maps(_base(now), _base(before), least_overlap=least_overlap, growth=growth),
        )
        for now, before in pairs
    ]


def plain_step(step: Step) -> dict[str, Any]:
    """Step as JSON types."""
    names = ("folder", "result", "recording", "specimen", "recorded", "finished", "verdict")
    return {
        "now": {name: step.now[name] for name in names},
        "before": {name: step.before[name] for name in names},
        **asdict(step.comparison),
    }


def export_steps(steps: Sequence[Step], path: Path, *, overwrite: bool = False) -> None:
    """Write comparisons as JSON, or their changes as CSV, by the ending of the name.

    Raises
    ------
    OutputError
        As `thermo_qc.workflows.results.check_export` does, or when the file cannot be written.
    """
    check_export(path, overwrite=overwrite)
    if path.suffix.lower() == ".json":
        write_json(path, [plain_step(step) for step in steps])
        return
    rows = [
        (
            step.now["result"],
            step.before["result"],
            change.kind,
            " ".join(map(str, change.now)),
            " ".join(map(str, change.before)),
            step.comparison.place,
            step.comparison.unit,
            change.x,
            change.y,
            change.area_now,
            change.area_before,
        )
        for step in steps
        for change in step.comparison.changes
    ]
    columns = ("now", "before", "change", "indications_now", "indications_before", "place", "unit", "x", "y")
    write_csv(path, (*columns, "area_now", "area_before"), rows, digits=6)


def render_steps(steps: Sequence[Step]) -> str:
    """Tables for people."""
    from thermo_qc.evaluation import render_table

    parts = []
    for step in steps:
        comparison, unit = step.comparison, step.comparison.unit
        where = {
            "plate": "positions on the plate",
            "frame": "positions on the frames, which are taken as lying alike (register the recordings to be sure)",
            "pixels": "positions in pixels, the frames are taken as lying alike",
        }[comparison.place]
        rows = [
            {
                "change": change.kind,
                "now": " ".join(map(str, change.now)),
                "before": " ".join(map(str, change.before)),
                f"x_{unit}": round(change.x, 1),
                f"y_{unit}": round(change.y, 1),
                f"area_now_{unit}2": round(change.area_now, 1),
                f"area_before_{unit}2": round(change.area_before, 1),
            }
            for change in comparison.changes
        ]
        title = f"{_title(step.now)} after {_title(step.before)}; {where}"
        parts.append("\n".join([title, render_table(rows, list(rows[0])) if rows else "no indication in either"]))
    return "\n\n".join(parts)


def _inspections(rows: Sequence[Row], part: str) -> list[Row]:
    """Inspections in the order of their recording times, the wanted one last."""
    of_specimen = [row for row in rows if row["specimen"] == part]
    if of_specimen:
        found = sorted(of_specimen, key=_moment)
        if len(found) < 2:
            raise InputError(f"specimen '{part}' was inspected once; there is nothing to compare it with")
        return found
    wanted = _named(rows, part)
    if not wanted["specimen"]:
        raise InputError(
            f"the recording of '{part}' names no specimen, so its earlier inspections are not known; give --against "
            "RESULT, or specimen_id as a fact"
        )
    others = [row for row in rows if row["specimen"] == wanted["specimen"] and row is not wanted]
    earlier = sorted((row for row in others if _moment(row) < _moment(wanted)), key=_moment)
    if not earlier:
        raise InputError(f"specimen '{wanted['specimen']}' has no inspection before '{part}'; give --against RESULT")
    return [*earlier, wanted]


def _named(rows: Sequence[Row], name: str) -> Row:
    found = [row for row in rows if name in (row["result"], row["recording"], row["place"])]
    found = found or [row for row in rows if name == Path(row["recording"]).name]
    if len(found) == 1:
        return found[0]
    if found:
        where = ", ".join(f"{row['folder']}/{row['result']}" for row in found)
        raise InputError(
            f"'{name}' are {len(found)} results ({where}); give the path of the recording or fewer folders"
        )
    known = {row["result"] for row in rows} | {row["specimen"] for row in rows if row["specimen"]}
    raise InputError(f"there is no result and no specimen '{name}'{suggestion(name, known)}")


def _moment(row: Row) -> tuple[str, str]:
    return row["recorded"] or row["finished"] or "", row["finished"] or ""


def _base(row: Row) -> Path:
    return Path(row["folder"]) / str(row["result"])


def _title(row: Row) -> str:
    when = row["recorded"] or row["finished"] or "time unknown"
    return f"{row['result']} ({when})"
