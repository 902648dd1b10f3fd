"""One training run from labelled recordings to a saved model."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thermo_qc.config import ExperimentConfig
from thermo_qc.errors import ConfigError, TrainingError
from thermo_qc.models import TrainedModel, load_trained, to_device
from thermo_qc.training.calibration import Calibration, fit_temperature
from thermo_qc.training.classical import portable_parameters
from thermo_qc.training.datasets import Case
from thermo_qc.training.devices import limited_threads
from thermo_qc.training.fitting import Progress
from thermo_qc.training.inputs import case_signature, training_counts
from thermo_qc.training.jobs import Job
from thermo_qc.training.transfer import checked_start, load_start

__all__ = ["train_model"]

_STAY = ("depth_spread", "acquisitions", "corpus", "corpora")


def train_model(
    train_cases: Sequence[Case],
    *,
    experiment: ExperimentConfig,
    folder: Path,
    class_names: Sequence[str],
    class_depths_mm: Sequence[float],
    validation_cases: Sequence[Case] = (),
    scheme_name: str = "",
    device: str = "cpu",
    threads: int | None = None,
    seed: int = 0,
    resume: bool = True,
    progress: Progress = True,
    metadata: Mapping[str, Any] | None = None,
    start: TrainedModel | None = None,
    keep_representation: bool = False,
) -> TrainedModel:
    """Train the experiment's model and save it; a killed run continues with the figures an undisturbed one would have.

    Parameters
    ----------
    train_cases : sequence of Case
        Labelled recordings; pixels of class 255 are ignored. Everything that is fitted (components, scales, class
        weights, the network) sees these alone.
    experiment : ExperimentConfig
        Representation, model and training.
    folder : Path
        Gets ``model.safetensors``, for networks ``history.csv`` and ``tensorboard/``, and ``checkpoints/`` until the
        model is complete.
    class_names : sequence of str
        Names of all classes, sound first.
    class_depths_mm : sequence of float
        Mean depth of each class, mm, NaN where it has none.
    validation_cases : sequence of Case
        Watched for the best epoch and early stopping; else `train.validation_fraction` of the training cases' pixels
        (curves) or cases (stacks).
    scheme_name : str
        Name of the class scheme, kept with the model.
    device : str
        "cpu", "cuda", "cuda:1", "mps" or "auto".
    threads : int, optional
        Threads of PyTorch; as they are when None.
    seed : int
        Same seed, same machine, same numbers.
    resume : bool
        Return the folder's finished model or continue its last checkpoint; else what is there is replaced.
    progress : bool or callable
        Show a progress bar, or call with (epochs done, epochs, training loss) after each epoch.
    metadata : mapping, optional
        More to keep with the model, JSON types (where the training data came from).
    start : TrainedModel, optional
        Earlier model to start from; the one that `train.transfer.from` names when None.
    keep_representation : bool
        Take the start's representation whatever the experiment's section says.

    Returns
    -------
    TrainedModel

    Raises
    ------
    TrainingError
        When there are no cases, a class is absent, the folder holds another experiment, or training diverges.
    ConfigError
        When an option is wrong or impossible here.
    ModelError
        When the model to start from is damaged or does not fit.
    """
    where = to_device(device)
    start = _start(experiment, start)
    same_classes = start is not None and start.class_names == tuple(class_names)
    training_counts(train_cases, class_names, all_needed=not same_classes)
    settings = _settings(experiment, class_names, class_depths_mm, scheme_name, seed, start, keep_representation)
    signature = case_signature([*train_cases, *validation_cases], {**settings, "validation": len(validation_cases)})
    target = folder / "model.safetensors"
    if not resume:
        _clear(folder)
    elif target.is_file():
        return _finished(target, signature)
    folder.mkdir(parents=True, exist_ok=True)
    gpus = [where.index or 0] if where.type == "cuda" else []
    with limited_threads(threads), torch.random.fork_rng(devices=gpus):
        job = Job(
            experiment=experiment,
            class_names=tuple(class_names),
            folder=folder,
            device=where,
            seed=seed,
            signature=signature,
            progress=progress,
            start=start,
            keep_representation=keep_representation,
        )
        train_cases, validation_cases = job.divided(train_cases, validation_cases)
        representation, core = job.run(train_cases, validation_cases)
    model = TrainedModel(
        kind=experiment.model.kind,
        name=experiment.model.name,
        representation=representation,
        class_names=tuple(class_names),
        class_depths_mm=tuple(class_depths_mm),
        parameters=dict(settings["experiment"]["model"]["parameters"]),
        metadata={**_inherited(start), **(metadata or {}), "signature": signature, **settings},
        **core,
    )
    if experiment.train.calibrate == "temperature":
        with limited_threads(threads):
            found = _calibration(model, validation_cases, device)
        about = {"temperature": found.temperature, "calibration": found.to_dict()}
        model = replace(model, metadata={**model.metadata, **about})
    model.save(target)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return model


def _settings(
    experiment: ExperimentConfig,
    class_names: Sequence[str],
    class_depths_mm: Sequence[float],
    scheme_name: str,
    seed: int,
    start: TrainedModel | None,
    keep_representation: bool,
) -> dict[str, Any]:
    """Collect what decides a run's figures, in JSON types; the experiment's name, data paths and folds do not."""
    dump = experiment.model_dump(mode="json", include={"representation", "model", "train"})
    if experiment.model.kind == "classical":
        dump["model"]["parameters"] = portable_parameters(experiment.model)
    if start is not None:
        dump["train"]["transfer"]["from"] = f"sha256:{start.sha256}"  # wherever its file lies
        if keep_representation:
            dump["representation"] = start.representation.to_metadata()
    return {
        "experiment": dump,
        "class_names": list(class_names),
        "class_depths_mm": [None if math.isnan(depth) else float(depth) for depth in class_depths_mm],
        "scheme_name": scheme_name,
        "seed": seed,
    }


def _start(experiment: ExperimentConfig, start: TrainedModel | None) -> TrainedModel | None:
    source = experiment.train.transfer.source
    if start is None:
        start = None if source is None else load_start(source)
    if start is not None and experiment.model.kind in {"forest", "classical"}:
        raise ConfigError(
            f"train.transfer.from: a {experiment.model.kind} model is always made anew and cannot start from another; "
            "leave it out (classical models may take a network's features: model.parameters.features: encoder)"
        )
    return None if start is None else checked_start(start, source or "the model to start from")


def _inherited(start: TrainedModel | None) -> dict[str, Any]:
    """Keep the facts about the start that stay true of what is made from it; a calibration holds for its weights alone.

    The offset of a general model, for one, undoes what the weights of its loss did; after a fine-tuning it hides
    defects.
    """
    if start is None:
        return {}
    return {name: start.metadata[name] for name in _STAY if name in start.metadata}


def _calibration(model: TrainedModel, cases: Sequence[Case], device: str) -> Calibration:
    """Fit a temperature on the labelled pixels of the validation cases."""
    probabilities, labels = [], []
    for case in cases:
        predicted = model.probabilities(case.sequence, device=device, sound_mask=case.class_map == 0)
        probabilities.append(predicted[:, case.labelled].T)
        labels.append(case.class_map[case.labelled])
    return fit_temperature(np.concatenate(probabilities), np.concatenate(labels))


def _finished(target: Path, signature: str) -> TrainedModel:
    model = load_trained(target)
    if model.metadata.get("signature") != signature:
        raise TrainingError(
            f"{target} belongs to another experiment (other settings, labels or recordings); train into another folder "
            "or with resume=False"
        )
    return model


def _clear(folder: Path) -> None:
    """Remove what an earlier run left, and nothing else."""
    for name in ("model.safetensors", "history.csv"):
        (folder / name).unlink(missing_ok=True)
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
