"""A finished run folder as a comparison needs it, and whether two of them may be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.errors import CorruptFileError, FoldError, InputError
from thermo_qc.workflows.details import ScoredMap, metric_details, score_stored_maps
from thermo_qc.workflows.run_folder import read_run

__all__ = ["ComparedRun", "check_comparable", "load_compared"]

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedRun:
    """One method.

    Parameters
    ----------
    name : str
        Unique in its comparison.
    path : Path
        Run folder.
    record, metrics : dict
        Content of ``run.json`` and ``metrics.json``; the figures that an older run lacks are made from its maps.
    scored : dict of str to ScoredMap
        By recording.
    """

    name: str
    path: Path
    record: dict[str, Any]
    metrics: dict[str, Any]
    scored: dict[str, ScoredMap]

    @property
    def data(self) -> dict[str, str]:
        """Hashes of the recordings by key."""
        return {str(entry["key"]): str(entry["sha256"]) for entry in self.record["data"]}

    @property
    def holes(self) -> list[dict[str, Any]]:
        """Hole table."""
        return list(self.metrics["holes"])

    def group_of(self, key: str, by: str) -> str:
        """Name of the group of a recording: itself, or its acquisition or plate."""
        entry = next(one for one in self.record["data"] if str(one["key"]) == key)
        if by == "plate":
            return str(entry.get("specimen") or entry.get("plate") or key)
        return key if by == "recording" else str(entry.get("acquisition") or key)


def load_compared(paths: Sequence[Path]) -> list[ComparedRun]:
    """Load run folders.

    Raises
    ------
    InputError
        When a folder holds no finished ``cv`` or ``evaluate`` run, or no maps.
    CorruptFileError
        When its metrics cannot be read.
    """
    records = [_record(path) for path in paths]
    names = [str(record.get("name") or path.name) for path, record in zip(paths, records, strict=True)]
    if len(set(names)) < len(names):
        names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    return [_load(name, path, record) for name, path, record in zip(names, paths, records, strict=True)]


def _record(path: Path) -> dict[str, Any]:
    record = read_run(path)
    if record is None or record.get("command") not in ("cv", "evaluate"):
        what = "no run" if record is None else f"a '{record.get('command')}' run"
        raise InputError(f"{path} holds {what}, expected the folder of a finished cv or evaluate run")
    if record.get("status") != "complete":
        raise InputError(f"{path} holds a {record['command']} run that is not complete; finish it with --resume")
    return record


def _load(name: str, path: Path, record: dict[str, Any]) -> ComparedRun:
    try:
        metrics = dict(json.loads((path / "metrics.json").read_text(encoding="utf-8")))
        keys = [str(key) for fold in metrics["folds"] for key in fold["test_keys"]]
        holes = metrics["holes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(
            path / "metrics.json", "content", "folds and holes", str(error) or "missing", "make the run again"
        ) from error
    scored = {one.key: one for one in score_stored_maps(path, keys, holes)}
    lost = sorted(set(keys) - set(scored))
    if lost:
        raise InputError(f"{path} holds no map with its truth of {', '.join(lost)} (predictions/); make the run again")
    if "pod" not in metrics or "indications" not in metrics:
        pieces = {
            str(entry["key"]): str(entry.get("specimen") or entry.get("plate") or entry["key"])
            for entry in record["data"]
        }
        made = metric_details(list(scored.values()), holes, metrics["class_names"], pieces=pieces)
        metrics = {**made, **metrics}
    return ComparedRun(name=name, path=path, record=record, metrics=metrics, scored=scored)


def check_comparable(runs: Sequence[ComparedRun]) -> None:
    """Refuse runs that were not scored with the same truth by the same folds.

    Raises
    ------
    InputError
        When there are fewer than two.
    FoldError
        When recordings, classes, labels, pixel pitches or splits differ.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs at least 2 run folders; name another one")
    first = runs[0]
    for run in runs[1:]:
        _same_data(first, run)
        ours, theirs = (one.record.get("splits_sha256") for one in (first, run))
        if ours != theirs:
            raise FoldError(
                f"{first.path} and {run.path} were scored on different splits ({_short(ours)} and {_short(theirs)}); "
                "give both the same folds section, seed and data"
            )
        if list(first.metrics["class_names"]) != list(run.metrics["class_names"]):
            raise FoldError(
                f"{first.path} knows the classes {', '.join(first.metrics['class_names'])}, {run.path} "
                f"{', '.join(run.metrics['class_names'])}; train both for one class scheme"
            )
        for key, one in first.scored.items():
            _same_pitch(key, first, run)
            if not np.array_equal(one.label_counts, run.scored[key].label_counts):
                raise FoldError(
                    f"the labels of {key} differ between {first.path} and {run.path}; score both with one truth"
                )


def _same_data(first: ComparedRun, run: ComparedRun) -> None:
    if set(first.scored) != set(run.scored):
        odd = sorted(set(first.scored) ^ set(run.scored))
        raise FoldError(
            f"{first.path} and {run.path} did not test the same recordings ({', '.join(odd[:5])} only in one of them); "
            "score both on the same data and folds"
        )
    for key in first.scored:
        if first.data[key] != run.data[key]:
            raise FoldError(
                f"recording {key} is another file in {first.path} than in {run.path} ({_short(first.data[key])} and "
                f"{_short(run.data[key])}); score both on the same data"
            )


def _same_pitch(key: str, first: ComparedRun, run: ComparedRun) -> None:
    """Refuse maps whose millimetres differ: places, sizes and false calls per area would not be the same thing."""
    ours, theirs = (one.scored[key].pixel_pitch_mm for one in (first, run))
    same = ours is theirs if ours is None or theirs is None else bool(np.isclose(ours, theirs, rtol=1e-3))
    if not same:
        said = ["none" if pitch is None else f"{pitch:g} mm" for pitch in (ours, theirs)]
        raise FoldError(
            f"the map of {key} has a pixel pitch of {said[0]} in {first.path} and of {said[1]} in {run.path}; "
            "score both with the same facts about the recording"
        )


def _short(digest: Any) -> str:
    return f"sha256 {str(digest)[:12]}" if digest else "none, not cross-validated"
