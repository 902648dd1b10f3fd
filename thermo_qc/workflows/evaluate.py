"""``thermo-qc evaluate``: a trained model on labelled recordings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.errors import ModelError
from thermo_qc.inspection import load_model, predict_sequence
from thermo_qc.io import load_manifest
from thermo_qc.models import TrainedModel
from thermo_qc.workflows.cases import LabelledRecording, check_fits, load_recordings
from thermo_qc.workflows.lock import locked
from thermo_qc.workflows.run_folder import fingerprint_of, open_run, undone_if_refused
from thermo_qc.workflows.scoring import fold_result, holes_of, write_metrics, write_prediction

__all__ = ["evaluate_models", "run"]

log = logging.getLogger(__name__)


def run(
    model_path: Path,
    manifest: Path,
    output: Path,
    *,
    method: str | None = None,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate a model on every recording of a manifest and write metrics, maps and the report.

    Parameters
    ----------
    model_path : Path
        Model file or run folder (the folds of a ``cv`` run act as an ensemble).
    manifest : Path
        Labelled recordings.
    output : Path
        Run folder.
    method : str, optional
        Which run, when the folder holds several.
    overwrite : bool
        See `thermo_qc.workflows.run_folder.open_run`.
    device : str
        "cpu", "cuda" or "auto".
    threads : int, optional
        CPU threads.
    progress : callable, optional
        Called with the number of recordings that are done, and of all.

    Returns
    -------
    dict
        Content of ``metrics.json``; ``seen`` lists recordings that the model was trained on.
    """
    from thermo_qc.report import build_report

    models = load_model(model_path, method)
    if threads is not None:
        set_threads(threads)
    recordings = load_recordings(load_manifest(manifest), str(models[0].metadata.get("scheme_name") or "binary"))
    with locked(output, break_lock=None):
        metrics = evaluate_models(
            models,
            recordings,
            output,
            name=method or model_path.stem,
            overwrite=overwrite,
            device=device,
            progress=progress,
        )
        build_report(output)
    return metrics


def evaluate_models(
    models: tuple[TrainedModel, ...],
    recordings: list[LabelledRecording],
    output: Path,
    *,
    name: str,
    overwrite: bool = False,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate loaded models on loaded recordings; see `run`."""
    names = models[0].class_names
    if recordings[0].scheme.class_names != tuple(names):
        raise ModelError(
            f"the model knows the classes {', '.join(names)}; the recordings are labelled with "
            f"{', '.join(recordings[0].scheme.class_names)}; train a model for this class scheme"
        )
    for model in models:
        check_fits(recordings, model.representation)
    data = [recording.record() for recording in recordings]
    identity = [[model.sha256 for model in models], [(entry["key"], entry["sha256"]) for entry in data]]
    folder = open_run(output, command="evaluate", fingerprint=fingerprint_of(identity), overwrite=overwrite)
    trained_on = {str(digest) for model in models for digest in model.metadata.get("training_sha256") or ()}
    seen = [entry["key"] for entry in data if entry["sha256"] in trained_on]
    if seen:
        log.warning("the model was trained on %s: these scores say nothing about new recordings", ", ".join(seen))
    with undone_if_refused(folder):
        folder.update(
            name=name,
            class_names=list(names),
            class_scheme=recordings[0].scheme.name,
            data=data,
            model={"sha256": [model.sha256 for model in models], "name": models[0].name, "n_models": len(models)},
            seen_in_training=seen,
            device=device,
        )
        parts, holes = [], []
        for done, recording in enumerate(recordings):
            if progress is not None:
                progress(done, len(recordings))
            prediction = predict_sequence(models, recording.sequence, device=device, sound_mask=recording.sound_mask)
            parts.append((recording, prediction, np.ones(recording.class_map.shape, dtype=bool)))
            holes += holes_of(recording, prediction)
            write_prediction(output, recording, prediction)
        if progress is not None:
            progress(len(recordings), len(recordings))
    metrics = write_metrics(output, [fold_result(0, parts, names)], holes, names, seen_in_training=seen)
    folder.finish()
    return metrics


def set_threads(threads: int) -> None:
    """Limit torch and OpenCV to this number of CPU threads."""
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
