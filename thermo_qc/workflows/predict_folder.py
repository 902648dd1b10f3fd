"""The output folder of ``thermo-qc predict``: names of results, whose each of them is, tables over all calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from thermo_qc.errors import InputError, OutputError
from thermo_qc.io import write_csv
from thermo_qc.workflows.run_folder import RunFolder

__all__ = [
    "ENDINGS",
    "Prediction",
    "StoredResult",
    "attributes_of",
    "check_apart",
    "check_free",
    "finished",
    "name_of",
    "output_names",
    "stored_results",
    "text_of",
    "write_tables",
]

ENDINGS = (".csv", ".png", ".h5")  # of each recording; the map is written last
_OWN = ("summary", "failures")  # tables of the run itself


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What became of one recording: its output stem and either counts or the reason why it failed."""

    recording: Path
    stem: str
    n_indications: int = 0
    defect_fraction: float = 0.0
    skipped: bool = False
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """A defect map in the output folder: of which recording (as named, and its full path), with its counts."""

    recording: str
    place: str
    stem: str
    digest: str
    n_indications: int
    defect_fraction: float


def output_names(recordings: Sequence[Path]) -> list[tuple[Path, str]]:
    """Give every recording its own output stem, relative to the output folder.

    Files of one name in different folders keep their folders below the deepest common one; files that differ only in
    their ending keep the ending.
    """
    stems = Counter(path.stem for path in recordings)
    names = ["" if stems[path.stem] > 1 else path.name if path.stem in _OWN else path.stem for path in recordings]
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


def check_apart(names: Sequence[tuple[Path, str]], output: Path) -> None:
    """Refuse an output folder where a result would replace one of the recordings."""
    own = {path.resolve() for path, _ in names}
    for path, stem in names:
        for ending in ENDINGS:
            if (output / f"{stem}{ending}").resolve() in own:
                raise OutputError(
                    f"the results of {path} would replace the recording {output / f'{stem}{ending}'}; "
                    "choose another output folder"
                )


def _common_parent(paths: Sequence[Path]) -> Path:
    parents = [set(path.parents) for path in paths]
    return max(set.intersection(*parents), key=lambda parent: len(parent.parts))


def attributes_of(
    recording: Path, run_id: str, *, n_indications: int, defect_fraction: float
) -> dict[str, str | int | float]:
    """Attributes by which a defect map is found again."""
    return {
        "run": run_id,
        "recording": text_of(recording),
        "recording_place": _place(recording),
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
    known = stored.get(_place(recording))
    return name if known is None else known.stem


def finished(base: Path, output: Path, run_id: str, digest: str) -> StoredResult | None:
    """Return the whole result at `base` if it is of these models and options and of a recording with this SHA-256."""
    result = _stored(_map_at(base), output, run_id) if _is_whole(base) else None
    return result if result is not None and result.digest == digest else None


def check_free(base: Path, output: Path, recording: Path, run_id: str) -> None:
    """Refuse to replace the result of another recording that is still there.

    Raises
    ------
    InputError
        With the way out.
    """
    result = _stored(_map_at(base), output, run_id)
    if result is not None and result.place != _place(recording) and Path(result.place).exists():
        raise InputError(
            f"{recording}: its results would replace those of {result.place} in {_map_at(base)}; choose another output "
            "folder, or name both recordings in one call, their results then get names of their own"
        )


def write_tables(folder: RunFolder, results: Sequence[Prediction]) -> None:
    """Write ``summary.csv`` and ``failures.csv``: this call's recordings, and those of earlier calls in the folder.

    Parameters
    ----------
    folder : RunFolder
        Of this run; its record keeps the failures for later calls.
    results : sequence of Prediction
        Of this call.

    Raises
    ------
    OutputError
        When a table cannot be written.
    """
    now = {_place(result.recording) for result in results}
    failures = [entry for entry in folder.record.get("failures") or [] if entry["place"] not in now]
    failures += [
        {"place": _place(result.recording), "recording": text_of(result.recording), "reason": result.error}
        for result in results
        if result.error
    ]
    failed = {entry["place"] for entry in failures}
    stored = stored_results(folder.path, str(folder.record["fingerprint"])).values()
    rows = [
        (result.recording, result.stem, result.n_indications, result.defect_fraction)
        for result in sorted(stored, key=lambda result: result.stem)
        if result.place not in failed
    ]
    columns = ("recording", "result", "n_indications", "defect_fraction")
    write_csv(folder.path / "summary.csv", columns, rows, digits=6)
    if failures:
        reasons = [(entry["recording"], entry["reason"]) for entry in failures]
        write_csv(folder.path / "failures.csv", ("recording", "reason"), reasons)
    else:
        (folder.path / "failures.csv").unlink(missing_ok=True)
    folder.update(failures=failures)


def _place(recording: Path) -> str:
    return text_of(recording.resolve())


def text_of(path: Path) -> str:
    """Give a path as text that every file takes: a byte of its name that is no UTF-8 as its escape."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


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
                n_indications=int(attributes["n_indications"]),
                defect_fraction=float(attributes["defect_fraction"]),
            )
    except (OSError, KeyError):
        return None
