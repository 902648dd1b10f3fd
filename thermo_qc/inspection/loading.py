"""MODEL on a command line: a model file, a run folder, or a folder of several runs with a method's name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from thermo_qc.errors import InputError, ModelError, UnknownNameError, suggestion
from thermo_qc.models import TrainedModel, load_trained
from thermo_qc.models.shelf import shelf_file, shipped_file, shipped_models

__all__ = ["absolute_model", "load_model", "shipped_metadata", "shipped_models"]

MODEL_FILE = "model.safetensors"
_AND = "+"


def load_model(path: Path | str, method: str | None = None) -> tuple[TrainedModel, ...]:
    """Load what a path names.

    Parameters
    ----------
    path : Path
        The name of a model that ships ("general"), a model file, a run folder of ``train`` (its model) or ``cv`` (one
        model per fold, an ensemble), or a folder with several runs (a demo's). Several of them, joined by "+", vote
        together ("general+general_fine").
    method : str, optional
        Which run, where the folder holds several.

    Returns
    -------
    tuple of TrainedModel
        One model, the folds of a cross-validation in their order, or those of all that were joined.

    Raises
    ------
    InputError
        When the path does not exist, or holds several runs and no method is named.
    UnknownNameError
        When there is no run of that name; carries "did you mean".
    ModelError
        When there is no model, the run is not finished, or a model file is broken.
    """
    parts = _parts(Path(path))
    if len(parts) > 1:
        if method is not None:
            raise InputError(f"{path} names {len(parts)} models; leave the method '{method}' out")
        return tuple(model for part in parts for model in load_model(part))
    path = shipped_file(path)
    if path.is_file():
        if method is not None:
            raise InputError(f"{path} is a single model file; leave the method '{method}' out")
        return (load_trained(path),)
    if not path.is_dir():
        raise InputError(
            f"{path} does not exist; name a model file, the folder of a train or cv run, or a model that ships: "
            f"{', '.join(shipped_models())}"
        )
    runs = _runs_in(path)
    if not runs or _holds_model(path):
        if method is not None and method != path.name:
            raise InputError(f"{path} holds a single run; leave the method '{method}' out")
        return _of_run(path)
    if method is None:
        raise InputError(f"{path} holds several runs: {', '.join(sorted(runs))}; choose one with --method")
    if method not in runs:
        raise UnknownNameError(f"{path} has no run '{method}'{suggestion(method, runs)}")
    return _of_run(runs[method])


def absolute_model(path: Path) -> Path:
    """Return MODEL as another working directory finds it: paths become absolute, names of what ships stay."""
    parts = _parts(path)
    return Path(_AND.join(str(part.resolve() if part.exists() else part) for part in parts))


def _parts(path: Path) -> list[Path]:
    """Models that a path joins; itself when it exists or joins none."""
    names = str(path).split(_AND)
    return [path] if path.exists() or not all(names) else [Path(name) for name in names]


@cache
def shipped_metadata() -> Mapping[str, Mapping[str, Any]]:
    """Metadata of the models that come with the package, by name."""
    return {path.stem: load_trained(path).metadata for path in map(shelf_file, shipped_models())}


def _runs_in(folder: Path) -> dict[str, Path]:
    """Run folders inside a demo folder (in ``runs/``) or a plain folder of runs, by name."""
    home = folder / "runs" if (folder / "runs").is_dir() else folder
    return {
        entry.name: entry
        for entry in sorted(home.iterdir())
        if entry.is_dir()
        and not entry.name.startswith("fold_")
        and (_holds_model(entry) or (entry / "run.json").is_file())
    }


def _holds_model(folder: Path) -> bool:
    return (folder / MODEL_FILE).is_file() or bool(_folds_of(folder))


def _folds_of(folder: Path) -> list[Path]:
    folds = [entry for entry in folder.glob("fold_*") if entry.is_dir() and entry.name.removeprefix("fold_").isdigit()]
    return sorted(folds, key=lambda entry: int(entry.name.removeprefix("fold_")))


def _of_run(folder: Path) -> tuple[TrainedModel, ...]:
    status, command = _status(folder)
    if status == "running":
        raise ModelError(f"{folder} holds a {command} run that is not finished; continue it with --resume first")
    if (folder / MODEL_FILE).is_file():
        return (load_trained(folder / MODEL_FILE),)
    folds = _folds_of(folder)
    if not folds:
        raise ModelError(
            f"{folder} holds no {MODEL_FILE} and no folds; name a model file or the folder of a train or cv run"
        )
    missing = [fold.name for fold in folds if not (fold / MODEL_FILE).is_file()]
    if missing:
        raise ModelError(
            f"{folder}: {', '.join(missing)} has no {MODEL_FILE}; finish the cross-validation with --resume"
        )
    models = tuple(load_trained(fold / MODEL_FILE) for fold in folds)
    if len({model.class_names for model in models}) > 1:
        raise ModelError(f"{folder}: the models of the folds have different classes; run the cross-validation again")
    return models


def _status(folder: Path) -> tuple[str, str]:
    """Status and command in ``run.json``; empty where there is no such file."""
    path = folder / "run.json"
    if not path.is_file():
        return "", ""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return str(record.get("status", "")), str(record.get("command", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} is broken ({error}); run it again, or name a model file in the folder") from error
