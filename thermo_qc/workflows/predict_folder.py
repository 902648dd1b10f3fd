"""The output folder of ``thermo-qc predict``: names of results, whose each of them is, tables over all calls."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from thermo_qc.errors import InputError, OutputError
from thermo_qc.io import write_csv
from thermo_qc.io.frame_folder import natural_key
from thermo_qc.workflows.run_folder import RunFolder

__all__ = [
    "ENDINGS",
    "OWN_STEMS",
    "VERDICT_ENDING",
    "Prediction",
    "StoredResult",
    "Tables",
    "attributes_of",
    "check_apart",
    "check_free",
    "finished",
    "fitting_name",
    "name_of",
    "one_line_text",
    "output_names",
    "place_of",
    "stored_results",
    "text_of",
    "warnings_of",
]

ENDINGS = (".csv", ".png", ".h5")  # of each recording; the map is written last
VERDICT_ENDING = ".verdict.json"
_LONGEST_ENDING = ".dispositions.jsonl"
OWN_STEMS = ("summary", "failures", "verdicts", "inspection")  # tables and pages of the run itself
_MAX_NAME_BYTES = 255
_LONGEST_ID = 200


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What became of one recording: its output stem, counts or the reason why it failed, seconds of each step.

    `verdict` is "accept", "reject", "review", or "" where no criteria were given; `warnings` say where the recording
    lies outside what the models were trained for.
    """

    recording: Path
    stem: str
    n_indications: int = 0
    defect_fraction: float = 0.0
    skipped: bool = False
    error: str = ""
    verdict: str = ""
    warnings: tuple[str, ...] = ()
    read_s: float = 0.0
    compute_s: float = 0.0
    write_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """A defect map in the output folder: of which recording (as named, and its full path), counts and warnings."""

    recording: str
    place: str
    stem: str
    digest: str
    facts_digest: str
    n_indications: int
    defect_fraction: float
    warnings: tuple[str, ...] = ()


def output_names(recordings: Sequence[Path]) -> list[tuple[Path, str]]:
    """Give every recording its own output stem, relative to the output folder.

    Files of one name in different folders keep their folders below the deepest common one; files that differ only in
    their ending keep the ending. A name that is too long with the endings of the results is cut and gets a hash.
    """
    return [(path, fitting_name(name)) for path, name in _whole_names(recordings)]


def _whole_names(recordings: Sequence[Path]) -> list[tuple[Path, str]]:
    stems = Counter(path.stem for path in recordings)
    names = ["" if stems[path.stem] > 1 else path.name if path.stem in OWN_STEMS else path.stem for path in recordings]
    if all(names):
        return list(zip(recordings, names, strict=True))
    absolute = [path.resolve() for path in recordings]
    if len(set(absolute)) < len(absolute):
        twice = next(path for path, count in Counter(absolute).items() if count > 1)
        raise InputError(f"{twice} was named twice; name each recording once")
    common = _common_parent(absolute)
    kept = [path.relative_to(common).with_suffix("") for path in absolute]
    clashes = Counter(str(path) for path in kept)
    return [
        (path, name or (str(short) if clashes[str(short)] == 1 else str(full.relative_to(common))))
        for path, name, short, full in zip(recordings, names, kept, absolute, strict=True)
    ]


def fitting_name(stem: str) -> str:
    """Cut a name that is too long with the endings of the results; a hash takes the place of the rest."""
    name = Path(stem).name
    size = _MAX_NAME_BYTES - len(_LONGEST_ENDING)
    if len(os.fsencode(name)) <= size:
        return stem
    mark = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}"
    while len(os.fsencode(name)) > size - len(mark):
        name = name[:-1]
    return str(Path(stem).with_name(name + mark))


def check_apart(names: Sequence[tuple[Path, str]], output: Path) -> None:
    """Refuse an output folder where a result would replace one of the recordings."""
    own, home = {str(path.resolve()) for path, _ in names}, output.resolve()
    for path, stem in names:
        for ending in ENDINGS:
            if os.path.normpath(home / f"{stem}{ending}") in own:
                raise OutputError(
                    f"the results of {path} would replace the recording {output / f'{stem}{ending}'}; "
                    "choose another output folder"
                )


def _common_parent(paths: Sequence[Path]) -> Path:
    parents = [set(path.parents) for path in paths]
    return max(set.intersection(*parents), key=lambda parent: len(parent.parts))


def attributes_of(
    recording: Path,
    run_id: str,
    *,
    n_indications: int,
    defect_fraction: float,
    facts_digest: str = "",
    specimen_id: str = "",
    plate_matrix: str = "",
    named: str = "",
) -> dict[str, str | int | float]:
    """Attributes by which a defect map is found again."""
    return {
        "run": run_id,
        "recording": named or text_of(recording),
        "recording_place": place_of(recording),
        "facts_sha256": facts_digest,
        "specimen_id": one_line_text(specimen_id)[:_LONGEST_ID],
        "plate_matrix": plate_matrix,
        "n_indications": n_indications,
        "defect_fraction": defect_fraction,
    }


def stored_results(output: Path, run_id: str) -> dict[str, StoredResult]:
    """Find all whole results of the same models and options, by the full paths of their recordings.

    Parameters
    ----------
    output : Path
        Searched with the folders below it.
    run_id : str
        Fingerprint of models and options.

    Returns
    -------
    dict
        Where a recording has several results, the newest counts.
    """
    maps = sorted((path for path in output.rglob("*.h5") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    found = (_stored(path, output, run_id) for path in maps if _is_whole(path.with_suffix("")))
    return {result.place: result for result in found if result is not None}


def name_of(recording: Path, stored: Mapping[str, StoredResult], name: str) -> str:
    """Name of a recording's result: the one that it has already, else a new one."""
    known = stored.get(place_of(recording))
    return name if known is None else known.stem


def finished(base: Path, output: Path, run_id: str, digest: str, facts_digest: str = "") -> StoredResult | None:
    """Return the whole result at `base` if it is of these models and options and of a recording with these SHA-256.

    Parameters
    ----------
    base : Path
        Path of the result without ending.
    output : Path
        Folder of the results.
    run_id : str
        Fingerprint of models and options.
    digest, facts_digest : str
        Of the recording, and of the facts beside it.
    """
    result = _stored(_map_at(base), output, run_id) if _is_whole(base) else None
    return result if result is not None and (result.digest, result.facts_digest) == (digest, facts_digest) else None


def check_free(base: Path, output: Path, recording: Path, run_id: str) -> None:
    """Refuse to replace the result of another recording that is still there.

    Raises
    ------
    InputError
        With the way out.
    """
    result = _stored(_map_at(base), output, run_id)
    if result is not None and result.place != place_of(recording) and Path(result.place).exists():
        raise InputError(
            f"{recording}: its results would replace those of {result.place} in {_map_at(base)}; choose another output "
            "folder, or name both recordings in one call, their results then get names of their own"
        )


class Tables:
    """``summary.csv`` and ``failures.csv``: this call's recordings, and those of earlier calls in the folder.

    Parameters
    ----------
    folder : RunFolder
        Of this run; its record keeps the failures for later calls.
    stored : mapping
        Whole results of the same models and options, see `stored_results`.
    """

    def __init__(self, folder: RunFolder, stored: Mapping[str, StoredResult]) -> None:
        self._folder, self._rows = folder, {place: _row(result) for place, result in stored.items()}
        self._failures: dict[str, dict[str, str]] = {
            entry["place"]: entry for entry in folder.record.get("failures") or []
        }

    def add(self, result: Prediction, state: str = "", *, time: str) -> None:
        """Take in what became of a recording, of which state of it a failure speaks, and when that was (ISO, UTC)."""
        place = place_of(result.recording)
        self._failures.pop(place, None)
        if result.error:
            recording = text_of(result.recording)
            entry = {"place": place, "recording": recording, "reason": result.error, "time": time, "state": state}
            self._failures[place] = entry
        else:
            self._rows[place] = (
                text_of(result.recording),
                result.stem,
                result.n_indications,
                result.defect_fraction,
                "; ".join(result.warnings),
            )

    def write(self) -> None:
        """Write both tables; the recordings stand in the order of their names.

        Raises
        ------
        OutputError
            When a table cannot be written.
        """
        rows = sorted((row for place, row in self._rows.items() if place not in self._failures), key=lambda row: row[1])
        columns = ("recording", "result", "n_indications", "defect_fraction", "warnings")
        write_csv(self._folder.path / "summary.csv", columns, rows, digits=6)
        failures = sorted(self._failures.values(), key=lambda entry: natural_key(Path(entry["place"])))
        if failures:
            reasons = [(entry["recording"], entry["reason"]) for entry in failures]
            write_csv(self._folder.path / "failures.csv", ("recording", "reason"), reasons)
        else:
            (self._folder.path / "failures.csv").unlink(missing_ok=True)
        self._folder.update(failures=failures)


def _row(result: StoredResult) -> tuple[str, str, int, float, str]:
    warnings = "; ".join(result.warnings)
    return result.recording, result.stem, result.n_indications, result.defect_fraction, warnings


def warnings_of(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Warnings that the attributes of a defect map hold.

    Raises
    ------
    ValueError
        When they are broken.
    """
    return tuple(map(str, json.loads(str(attributes.get("notes", "[]")))))


def place_of(recording: Path) -> str:
    """Full path of a recording, as text."""
    return text_of(recording.resolve())


def text_of(path: Path) -> str:
    """Give a path as text that every file takes: a byte of its name that is no UTF-8 as its escape."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def one_line_text(text: str) -> str:
    """Give text that every file takes, without control characters."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.encode("utf-8", "backslashreplace").decode("utf-8").split())


def _map_at(base: Path) -> Path:
    return base.with_name(base.name + ENDINGS[-1])


def _is_whole(base: Path) -> bool:
    return all(base.with_name(base.name + ending).is_file() for ending in ENDINGS)


def _stored(path: Path, output: Path, run_id: str) -> StoredResult | None:
    """Read whose a map is; None when there is none, or none of these models and options."""
    try:
        with h5py.File(path, "r") as file:
            attributes: Any = file.attrs
            if attributes.get("run") != run_id:
                return None
            return StoredResult(
                recording=str(attributes["recording"]),
                place=str(attributes["recording_place"]),
                stem=str(path.relative_to(output))[: -len(ENDINGS[-1])],
                digest=str(attributes["input_sha256"]),
                facts_digest=str(attributes.get("facts_sha256", "")),
                n_indications=int(attributes["n_indications"]),
                defect_fraction=float(attributes["defect_fraction"]),
                warnings=warnings_of(attributes),
            )
    except (OSError, KeyError, ValueError, TypeError):
        return None
