"""``thermo-qc dispose``: an inspector's word on an indication, kept beside the result."""

from __future__ import annotations

from pathlib import Path

from thermo_qc.errors import InputError
from thermo_qc.io import remove_partial, sha256_of, write_json
from thermo_qc.workflows.dispositions import DISPOSITIONS_ENDING, Disposition, append_disposition
from thermo_qc.workflows.inspect_one import dispositions_of
from thermo_qc.workflows.inspection_record import RECORD_ENDING, read_record
from thermo_qc.workflows.inspection_tables import write_tables
from thermo_qc.workflows.lock import locked
from thermo_qc.workflows.part_page import rewrite_pages
from thermo_qc.workflows.predict_folder import ENDINGS, place_of

__all__ = ["find_result", "run"]


def run(output: Path, recording: str, indication: int, *, word: str, by: str, why: str) -> tuple[Disposition, Path]:
    """Record a disposition and write the reports anew that are there.

    Parameters
    ----------
    output : Path
        Folder of ``inspect``.
    recording : str
        The recording, as it was named or by path, or the name of its result.
    indication : int
        Its number.
    word : {"confirmed", "dismissed"}
        What the inspector says.
    by, why : str
        Name and reason.

    Returns
    -------
    Disposition
        As written.
    Path
        File that it was appended to.

    Raises
    ------
    InputError
        When there is no such result or indication, or the result has changed since it was inspected.
    """
    find_result(output, recording)  # before a lock makes a folder
    with locked(output, break_lock=None):
        remove_partial(output)
        base = find_result(output, recording)
        record = read_record(base.with_name(base.name + RECORD_ENDING))
        numbers = [int(one["id"]) for one in record["indications"]]
        if indication not in numbers:
            known = f"it has 1 to {max(numbers)}" if numbers else "it has none"
            raise InputError(f"{recording} has no indication {indication}; {known}")
        stored = base.with_name(base.name + ENDINGS[-1])
        digest = sha256_of(stored)
        if digest != record["map"]["file_sha256"]:
            raise InputError(
                f"{stored} has changed since it was inspected, so the numbers of its indications may have; give the "
                "inspect command again first"
            )
        path = base.with_name(base.name + DISPOSITIONS_ENDING)
        entry = append_disposition(path, indication=indication, word=word, by=by, why=why, result_sha256=digest)
        record["dispositions"] = dispositions_of(base, digest)
        rewrite_pages(record, base)
        write_json(base.with_name(base.name + RECORD_ENDING), record)
        write_tables(output, record["provenance"]["result"]["run"], has_criteria=record["verdict"] is not None)
    return entry, path


def find_result(output: Path, recording: str) -> Path:
    """Path without ending of a recording's result in a folder.

    Raises
    ------
    InputError
        When there is none, or several.
    """
    if not output.is_dir():
        raise InputError(f"{output} is no folder; name the folder of thermo-qc inspect")
    exact = output / recording
    if not Path(recording).is_absolute() and exact.with_name(exact.name + RECORD_ENDING).is_file():
        return exact
    found = []
    for path in sorted(output.rglob(f"*{RECORD_ENDING}")):
        one = read_record(path)["recording"]
        if recording in (one["name"], one["place"], Path(str(one["name"])).name) or one["place"] == place_of(
            Path(recording)
        ):
            found.append(path.with_name(path.name[: -len(RECORD_ENDING)]))
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{output} holds {len(found)} results of '{recording}'; name its whole path or its result")
    raise InputError(f"{output} holds no inspected result of '{recording}'; inspect it first, or check the name")
