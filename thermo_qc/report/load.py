"""Results on disk -> plain data for a report; whatever is missing or broken becomes a note, never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError, InputError
from thermo_qc.report.stored import (
    History,
    plain_value,
    positive_number,
    read_histories,
    read_object,
    stored_array,
    stored_names,
)
from thermo_qc.sequence import Defect, Truth

__all__ = ["DemoFolder", "PredictionFile", "RunFolder", "load_folder", "load_prediction"]

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
            attributes = {name: plain_value(value) for name, value in file.attrs.items()}
            frame = stored_array(file, "frame", np.float32)
            return PredictionFile(
                key=key,
                class_map=np.asarray(file["class_map"][...], dtype=np.uint8),
                class_names=stored_names(attributes.get("class_names")),
                pixel_pitch_mm=positive_number(attributes.get("pixel_pitch_mm")),
                frame=frame,
                frame_time_s=None if frame is None else positive_number(file["frame"].attrs.get("time_s")),
                truth_class=stored_array(file, "truth/class_map", np.uint8),
                truth_depth_mm=stored_array(file, "truth/depth_mm", np.float32),
                defect_index=stored_array(file, "truth/defect_index", np.int16),
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
        metrics=read_object(folder / "metrics.json", None if trained_only else notes),
        config_text=config.read_text(encoding="utf-8", errors="replace") if config.is_file() else None,
        histories=read_histories(folder, notes),
        training_metrics=read_object(folder / "training_metrics.json", notes if trained_only else None),
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
        for path in sorted(path for path in (folder / group).glob("*") if path.is_dir()):
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
        comparison=read_object(folder / "comparison.json", notes),
        runs=_by_start(groups["runs"]),
        unseen=_by_start(groups["unseen"]),
        notes=tuple(notes),
    )


def _by_start(runs: dict[str, RunFolder]) -> dict[str, RunFolder]:
    """Put the runs in the order in which they were started."""
    return dict(sorted(runs.items(), key=lambda item: str(item[1].record.get("started", ""))))


def _record(folder: Path) -> dict[str, Any] | None:
    path = folder / "run.json"
    if not path.is_file():
        return None
    notes: list[str] = []
    content = read_object(path, notes)
    if content is None:
        raise CorruptFileError(path, "content", "a JSON object", "broken", f"repeat the run ({' '.join(notes)})")
    return content
