"""Tables and page of all parts in a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thermo_qc.errors import ThermoQCError
from thermo_qc.io import write_csv
from thermo_qc.report.inspection_html import write_batch_page
from thermo_qc.workflows.inspection_record import RECORD_ENDING, read_record
from thermo_qc.workflows.predict_folder import VERDICT_ENDING
from thermo_qc.workflows.result_files import failures_of, identity_of, read_result
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
    records = [one for one in standing_records(folder, run_id) if one["recording"]["place"] not in failures]
    table = folder / VERDICTS_TABLE
    if has_criteria:
        write_csv(table, _COLUMNS, [_row(record) for record in records if record["verdict"] is not None])
    else:
        table.unlink(missing_ok=True)
    failed = [(entry.get("recording", place), entry.get("reason", "")) for place, entry in failures.items()]
    write_batch_page(records, failed, folder / BATCH_PAGE)


def standing_records(folder: Path, run_id: str) -> list[dict[str, Any]]:
    """Read the records that belong to whole results of the run, in the order of their names."""
    records = []
    for path in sorted(folder.rglob(f"*{RECORD_ENDING}")):
        base = path.with_name(path.name[: -len(RECORD_ENDING)])
        try:
            record = read_record(path)
        except ThermoQCError:
            continue  # of another version, or half of a copy: inspecting the recording again makes it anew
        files = read_result(folder, str(base.relative_to(folder)))
        if files is None or files.columns["run"] != run_id:
            continue
        if record["provenance"]["result"] != identity_of(files.columns):
            continue
        if record["verdict"] is not None and not base.with_name(base.name + VERDICT_ENDING).is_file():
            continue
        records.append(record)
    return records


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
