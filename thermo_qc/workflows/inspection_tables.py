"""Tables and page of all parts in a folder of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thermo_qc.errors import ThermoQCError
from thermo_qc.io import write_csv
from thermo_qc.report.inspection_html import write_batch_page
from thermo_qc.workflows.inspection_record import RECORD_ENDING, read_record
from thermo_qc.workflows.predict_folder import VERDICT_ENDING
from thermo_qc.workflows.result_files import failures_of, identity_of, read_result, whole_results
from thermo_qc.workflows.run_folder import read_run

__all__ = ["BATCH_PAGE", "VERDICTS_TABLE", "standing_records", "write_tables"]

VERDICTS_TABLE, BATCH_PAGE = "verdicts.csv", "inspection.html"
_COLUMNS = ("recording", "result", "verdict", "n_indications", "n_open", "criteria", "reasons")


def write_tables(folder: Path, run_id: str, *, has_criteria: bool) -> None:
    """Write ``verdicts.csv`` and ``inspection.html`` over all inspections of the same models and options.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    failures = failures_of(read_run(folder) or {})
    standing, others = _sorted_out(folder, run_id)
    records = [one for one in standing if one["recording"]["place"] not in failures]
    table = folder / VERDICTS_TABLE
    if has_criteria:
        write_csv(table, _COLUMNS, [_row(record) for record in records if record["verdict"] is not None])
    else:
        table.unlink(missing_ok=True)
    failed = [(entry.get("recording", place), entry.get("reason", "")) for place, entry in failures.items()]
    unlisted = [(stem, reason) for stem, place, reason in others if place not in failures]
    write_batch_page(records, failed, folder / BATCH_PAGE, unlisted=unlisted)


def standing_records(folder: Path, run_id: str) -> list[dict[str, Any]]:
    """Read the records that belong to whole results of the run, in the order of their names."""
    return _sorted_out(folder, run_id)[0]


def _sorted_out(folder: Path, run_id: str) -> tuple[list[dict[str, Any]], list[tuple[str, str, str]]]:
    """Give the records that stand; of all other results name, place of the recording and why they do not."""
    records, others = [], []
    inspected = set()
    for path in sorted(folder.rglob(f"*{RECORD_ENDING}")):
        stem = str(path.relative_to(folder))[: -len(RECORD_ENDING)]
        inspected.add(stem)
        files = read_result(folder, stem)
        place = "" if files is None else str(files.columns["place"])
        try:
            record = read_record(path)
        except ThermoQCError as error:  # of another version, or half of a copy
            others.append((stem, place, f"the record of the inspection cannot be used: {error}; inspect it again"))
            continue
        reason = _why_not(record, None if files is None else files.columns, run_id, folder / stem)
        if reason:
            others.append((stem, place or str(record["recording"]["place"]), reason))
        else:
            records.append(record)
    for stem in sorted(set(whole_results(folder)) - inspected):
        files = read_result(folder, stem)
        reason = "its files are damaged; inspect it again" if files is None else "it has a map but was not inspected"
        others.append((stem, "" if files is None else str(files.columns["place"]), reason))
    return records, others


def _why_not(record: dict[str, Any], columns: Mapping[str, Any] | None, run_id: str, base: Path) -> str:
    """Why a record does not stand; empty where it does."""
    if columns is None:
        return "its map or table of indications is missing or damaged; inspect it again"
    if columns["run"] != run_id:
        return "it was made by other models or options than those of this run; inspect it again"
    if record["provenance"]["result"] != identity_of(columns):
        return "its map was made anew after the inspection; inspect it again"
    if record["verdict"] is not None and not base.with_name(base.name + VERDICT_ENDING).is_file():
        return "its verdict file is missing; inspect it again"
    return ""


def _row(record: dict[str, Any]) -> tuple[str | int, ...]:
    verdict = record["verdict"]
    settled = {entry["indication"] for entry in record["dispositions"] if not entry["stale"]}
    still_open = [one for one in record["indications"] if one["may_break"] and one["id"] not in settled]
    return (
        record["recording"]["name"],
        record["result"],
        verdict["word"],
        sum(not one["suspect"] for one in record["indications"]),
        len(still_open),
        record["criteria"]["name"],
        "; ".join(verdict["reasons"]),
    )
