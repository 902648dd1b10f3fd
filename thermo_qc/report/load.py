"""Results on disk -> plain data for a report; whatever is missing or broken becomes a note, never a guess."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError, InputError
from thermo_qc.sequence import Defect, Truth

__all__ = ["DemoFolder", "PredictionFile", "RunFolder", "load_folder", "load_prediction"]

History = dict[str, list[float]]
_BROKEN = (OSError, KeyError, ValueError, TypeError, RuntimeError)


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionFile:
    """A predicted map with what was stored beside it; None where the file lacks it.

    Parameters
    ----------
    key : str
        Name of the recording.
    class_map : ndarray of uint8, shape (Y, X)
        Predicted classes.
    class_names : tuple of str
        Names of all classes, sound first.
    pixel_pitch_mm : float, optional
        Pixel edge, mm.
    frame : ndarray of float32, shape (Y, X), optional
        Representative frame; `frame_time_s` is its time.
    truth_class, truth_depth_mm, defect_index : ndarray, shape (Y, X), optional
        True classes, depths (mm) and numbers of the defects.
    attributes : dict
        All attributes of the file.
    """

    key: str
    class_map: NDArray[np.uint8]
    class_names: tuple[str, ...]
    pixel_pitch_mm: float | None
    frame: NDArray[np.float32] | None = None
    frame_time_s: float | None = None
    truth_class: NDArray[np.uint8] | None = None
    truth_depth_mm: NDArray[np.float32] | None = None
    defect_index: NDArray[np.int16] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def truth(self, holes: tuple[Mapping[str, Any], ...]) -> Truth | None:
        """Truth of the recording, its defects named after the per-hole table; None when it was not stored."""
        if self.defect_index is None or self.truth_depth_mm is None:
            return None
        known = {int(hole["number"]): hole for hole in holes if hole.get("number") is not None}
        defects = []
        for number in (int(value) for value in np.unique(self.defect_index) if value > 0):
            depths = self.truth_depth_mm[self.defect_index == number]
            depth = float(depths[0]) if np.isfinite(depths).all() else None
            hole = known.get(number, {})
            defects.append(
                Defect(
                    number=number, depth_mm=depth, diameter_mm=hole.get("diameter_mm"), name=str(hole.get("name", ""))
                )
            )
        return Truth(defect_index=self.defect_index, depth_mm=self.truth_depth_mm, defects=tuple(defects))


@dataclass(frozen=True, kw_only=True, eq=False)
class RunFolder:
    """What a run left behind.

    Parameters
    ----------
    path : Path
        The folder.
    record : dict
        Content of ``run.json``.
    metrics : dict, optional
        Content of ``metrics.json``.
    config_text : str, optional
        Content of ``config.yaml``.
    histories : dict of str to dict
        Training histories by the name of their fold ("fold 0"; "training" for a single model).
    training_metrics : dict, optional
        Content of ``training_metrics.json``.
    prediction_paths : dict of str to Path
        Files under ``predictions/`` by key.
    notes : tuple of str
        What is missing or broken, in full sentences.
    """

    path: Path
    record: dict[str, Any]
    metrics: dict[str, Any] | None = None
    config_text: str | None = None
    histories: dict[str, History] = field(default_factory=dict)
    training_metrics: dict[str, Any] | None = None
    prediction_paths: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the run, the folder's when it has none."""
        return str(self.record.get("name") or self.path.name)

    @property
    def command(self) -> str:
        """Verb that made the run."""
        return str(self.record.get("command", ""))

    @property
    def holes(self) -> tuple[dict[str, Any], ...]:
        """Per-hole table; empty when there are no metrics."""
        return tuple((self.metrics or {}).get("holes") or ())

    def holes_of(self, key: str) -> tuple[dict[str, Any], ...]:
        """Per-hole table of one recording."""
        return tuple(hole for hole in self.holes if str(hole.get("key")) == key)

    @cached_property
    def predictions(self) -> dict[str, PredictionFile | str]:
        """Predicted maps by key; a sentence instead where the file is broken."""
        return {key: load_prediction(path, key) for key, path in self.prediction_paths.items()}

    @property
    def maps(self) -> dict[str, PredictionFile]:
        """Predicted maps that could be read, by key."""
        return {key: value for key, value in self.predictions.items() if isinstance(value, PredictionFile)}


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoFolder:
    """What a demo left behind: several runs on the same recordings, and the same models on an unseen layout.

    Parameters
    ----------
    path : Path
        The folder.
    record : dict
        Content of ``run.json``, empty when there is none.
    comparison : dict, optional
        Content of ``comparison.json``.
    runs, unseen : dict of str to RunFolder
        By method.
    notes : tuple of str
        What is missing or broken, in full sentences.
    """

    path: Path
    record: dict[str, Any]
    comparison: dict[str, Any] | None
    runs: dict[str, RunFolder]
    unseen: dict[str, RunFolder]
    notes: tuple[str, ...] = ()


def load_folder(folder: Path) -> RunFolder | DemoFolder:
    """Load a run folder or a demo folder.

    Raises
    ------
    InputError
        When the folder is missing, is a file, or holds neither.
    CorruptFileError
        When ``run.json`` is broken.
    """
    if not folder.exists():
        raise InputError(f"{folder} does not exist; name the folder of a train, cv, evaluate or demo run")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; name the folder of the run that it belongs to")
    record = _record(folder)
    if (folder / "comparison.json").is_file() or (folder / "runs").is_dir():
        return _load_demo(folder, record or {})
    if record is None:
        raise InputError(f"{folder} holds no run.json; name the folder of a train, cv, evaluate or demo run")
    return _load_run(folder, record)


def load_prediction(path: Path, key: str) -> PredictionFile | str:
    """Load a predicted map; a sentence that says what is wrong where it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            attributes = {name: _plain(value) for name, value in file.attrs.items()}
            frame = _array(file, "frame", np.float32)
            return PredictionFile(
                key=key,
                class_map=np.asarray(file["class_map"][...], dtype=np.uint8),
                class_names=_names(attributes.get("class_names")),
                pixel_pitch_mm=_number(attributes.get("pixel_pitch_mm")),
                frame=frame,
                frame_time_s=None if frame is None else _number(file["frame"].attrs.get("time_s")),
                truth_class=_array(file, "truth/class_map", np.uint8),
                truth_depth_mm=_array(file, "truth/depth_mm", np.float32),
                defect_index=_array(file, "truth/defect_index", np.int16),
                attributes=attributes,
            )
    except _BROKEN as error:
        return f"The prediction of {key} ({path.name}) cannot be read: {error}."


def _load_run(folder: Path, record: dict[str, Any]) -> RunFolder:
    notes: list[str] = []
    if record.get("status") != "complete":
        notes.append("This run is not finished: everything below is what was there when the report was written.")
    trained_only = record.get("command") == "train"
    config = folder / "config.yaml"
    return RunFolder(
        path=folder,
        record=record,
        metrics=_json(folder / "metrics.json", None if trained_only else notes),
        config_text=config.read_text(encoding="utf-8", errors="replace") if config.is_file() else None,
        histories=_histories(folder, notes),
        training_metrics=_json(folder / "training_metrics.json", notes if trained_only else None),
        prediction_paths={
            path.relative_to(folder / "predictions").with_suffix("").as_posix(): path
            for path in sorted((folder / "predictions").rglob("*.h5"))
        },
        notes=tuple(notes),
    )


def _load_demo(folder: Path, record: dict[str, Any]) -> DemoFolder:
    notes: list[str] = []
    if record.get("status", "complete") != "complete":
        notes.append("This demo is not finished: everything below is what was there when the report was written.")
    groups: dict[str, dict[str, RunFolder]] = {"runs": {}, "unseen": {}}
    for group, runs in groups.items():
        for path in sorted((folder / group).iterdir()) if (folder / group).is_dir() else ():
            if not path.is_dir():
                continue
            try:
                found = _record(path)
            except CorruptFileError as error:
                notes.append(f"{error}.")
                continue
            if found is None:
                notes.append(f"{group}/{path.name} holds no run.json, so nothing can be said about it.")
            else:
                runs[path.name] = _load_run(path, found)
    return DemoFolder(
        path=folder,
        record=record,
        comparison=_json(folder / "comparison.json", notes),
        runs=groups["runs"],
        unseen=groups["unseen"],
        notes=tuple(notes),
    )


def _record(folder: Path) -> dict[str, Any] | None:
    path = folder / "run.json"
    if not path.is_file():
        return None
    notes: list[str] = []
    content = _json(path, notes)
    if content is None:
        raise CorruptFileError(path, "content", "a JSON object", "broken", f"repeat the run ({' '.join(notes)})")
    return content


def _json(path: Path, notes: list[str] | None) -> dict[str, Any] | None:
    """Read a JSON object; None, and a note where notes are wanted, when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if notes is not None:
            notes.append(f"{path.name} is missing.")
        return None
    except (OSError, ValueError) as error:
        if notes is not None:
            notes.append(f"{path.name} cannot be read: {error}.")
        return None
    if not isinstance(content, dict):
        if notes is not None:
            notes.append(f"{path.name} holds {type(content).__name__}, expected a JSON object.")
        return None
    return content


def _histories(folder: Path, notes: list[str]) -> dict[str, History]:
    places = {"training": folder / "history.csv"}
    folds = [path for path in folder.glob("fold_*") if path.name[5:].isdigit()]
    places |= {
        f"fold {int(path.name[5:])}": path / "history.csv" for path in sorted(folds, key=lambda p: int(p.name[5:]))
    }
    histories = {}
    for name, path in places.items():
        if not path.is_file():
            continue
        history = _history(path)
        if history:
            histories[name] = history
        else:
            notes.append(f"The training history of {name} is empty or broken.")
    return histories


def _history(path: Path) -> History | None:
    """Columns of a history; an empty or unreadable cell becomes NaN."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return None
    if not rows or "epoch" not in rows[0]:
        return None
    return {name: [_cell(row.get(name)) for row in rows] for name in rows[0] if name is not None}


def _cell(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _array(file: Any, name: str, dtype: Any) -> Any:
    return np.asarray(file[name][...], dtype=dtype) if name in file else None


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = json.loads(value)
    return tuple(str(name) for name in value or ())


def _number(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(float(value)) and float(value) > 0 else None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value
