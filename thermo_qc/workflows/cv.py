"""``thermo-qc cv``: every pixel predicted by a model that has not seen its group."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import FoldError
from thermo_qc.evaluation import Splits, make_splits
from thermo_qc.io import write_json
from thermo_qc.workflows.cases import LabelledRecording, class_depths_mm
from thermo_qc.workflows.evaluate import set_threads
from thermo_qc.workflows.frame_folds import with_frames
from thermo_qc.workflows.lock import locked_by_leader
from thermo_qc.workflows.run_folder import RunFolder, undone_if_refused
from thermo_qc.workflows.scoring import score_folds, write_metrics
from thermo_qc.workflows.train import Experiment, load_experiment, provenance, start_run, to_case

if TYPE_CHECKING:
    from thermo_qc.models import TrainedModel
    from thermo_qc.training import Case

__all__ = ["cross_validate", "run"]

Announce = Callable[[str], None]
_CUT_OUT = ("defect", "depth", "block")
MODEL_FILE = "model.safetensors"


def run(
    config_path: Path,
    output: Path,
    *,
    manifest: Path | None = None,
    overrides: tuple[str, ...] = (),
    overwrite: bool = False,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    seed: int | None = None,
    progress: bool = True,
    leakage_gap: bool = False,
    only_folds: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Cross-validate one experiment and write its report.

    Parameters
    ----------
    config_path, output : Path
        Experiment YAML and run folder.
    manifest, overrides, overwrite, resume, device, threads, seed, progress
        As in `thermo_qc.workflows.train.run`.
    leakage_gap : bool
        Score the same model under random-pixel folds as well, to show what they would hide.
    only_folds : sequence of int, optional
        Train and score these folds only (all when None), and those that earlier calls have trained in the same run
        folder; metrics and report are of all of them.

    Returns
    -------
    dict
        Content of ``metrics.json``.
    """
    from thermo_qc.report import build_report

    experiment = load_experiment(config_path, manifest=manifest, overrides=overrides, seed=seed, output=output)
    if threads is not None:
        set_threads(threads)
    with locked_by_leader(output):
        metrics = cross_validate(
            experiment,
            output,
            overwrite=overwrite,
            resume=resume,
            device=device,
            threads=threads,
            progress=progress,
            leakage_gap=leakage_gap,
            only_folds=only_folds,
        )
        build_report(output)
    return metrics


def cross_validate(
    experiment: Experiment,
    output: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: bool | Callable[[int, int, float], None] = False,
    leakage_gap: bool = False,
    only_folds: Sequence[int] | None = None,
    announce: Announce | None = None,
) -> dict[str, Any]:
    """Cross-validate a loaded experiment; see `run`. A run that has all wanted folds is returned as it is."""
    only_folds = None if only_folds is None else sorted(set(only_folds))  # a fold named twice counts once
    folder = start_run(
        experiment,
        output,
        command="cv",
        overwrite=overwrite,
        resume=resume,
        extra={"leakage_gap": leakage_gap},
    )
    if folder.was_complete and (output / "metrics.json").is_file():
        metrics = dict(json.loads((output / "metrics.json").read_text(encoding="utf-8")))
        wanted = range(int(folder.record["n_folds"])) if only_folds is None else only_folds
        if {fold["fold"] for fold in metrics["folds"]} >= set(wanted):
            return metrics
    with undone_if_refused(folder):
        return _validate(experiment, folder, only_folds, leakage_gap, device, threads, progress, announce)


def _validate(
    experiment: Experiment,
    folder: RunFolder,
    only_folds: Sequence[int] | None,
    leakage_gap: bool,
    device: str,
    threads: int | None,
    progress: bool | Callable[[int, int, float], None],
    announce: Announce | None,
) -> dict[str, Any]:
    """Train and score the folds of an opened run."""
    output = folder.path
    splits = _splits(experiment, folder)
    folds = _folds(output, splits.n_folds, only_folds)
    folder.update(
        status="running",
        device=device,
        threads=threads,
        n_folds=splits.n_folds,
        only_folds=None if len(folds) == splits.n_folds else folds,
        splits_sha256=splits.sha256,
    )
    models, train_s = [], 0.0
    for position, fold in enumerate(folds, start=1):
        if announce is not None:
            announce(f"fold {position} of {len(folds)}")
        started = time.perf_counter()
        models.append(train_fold(experiment, splits, fold, output, device=device, threads=threads, progress=progress))
        train_s += time.perf_counter() - started
    results, holes = score_folds(
        experiment.recordings, splits, folds, models, output, experiment.class_names, device=device
    )
    earlier = float(folder.record.get("train_s") or 0.0)
    folder.update(train_s=round(earlier + train_s, 2))
    leakage = None
    if leakage_gap:
        leakage = _leakage(experiment, output, splits.n_folds, device=device, threads=threads, progress=progress)
    calibrated = {fold: model.metadata.get("calibration") for fold, model in zip(folds, models, strict=True)}
    extra = {"temperature_scaling": calibrated} if any(calibrated.values()) else {}
    metrics = write_metrics(output, results, holes, experiment.class_names, leakage=leakage, **extra)
    folder.finish()
    return metrics


def _folds(output: Path, n_folds: int, wanted: Sequence[int] | None) -> list[int]:
    """Folds to score: those asked for, and those that have a model already."""
    if wanted is None:
        return list(range(n_folds))
    if wanted and max(wanted) >= n_folds:
        raise FoldError(f"fold {max(wanted)} was asked for, the experiment has folds 0 to {n_folds - 1}")
    return [fold for fold in range(n_folds) if fold in wanted or (output / f"fold_{fold}" / MODEL_FILE).is_file()]


def train_fold(
    experiment: Experiment,
    splits: Splits,
    fold: int,
    output: Path,
    *,
    device: str,
    threads: int | None,
    progress: bool | Callable[[int, int, float], None],
) -> TrainedModel:
    """Train the model of one fold, or return it when it is there already."""
    from thermo_qc.training import train_model

    seen = [
        with_frames(recording, splits.train_frames(fold, recording.key))
        for recording in experiment.recordings
        if recording.key in splits.train_keys(fold)
    ]
    validated = experiment.config.model.kind in {"curve", "segmentation"} or experiment.config.train.calibrate != "none"
    inner = splits.inner[fold] if splits.inner and validated else None
    cases = _cases(
        experiment, seen, splits.train_mask if inner is None else inner.train_mask, fold if inner is None else 0
    )
    return train_model(
        cases,
        validation_cases=() if inner is None else _cases(experiment, seen, inner.test_mask, 0),
        experiment=experiment.config,
        folder=output / f"fold_{fold}",
        class_names=experiment.class_names,
        class_depths_mm=class_depths_mm(seen),
        scheme_name=experiment.config.data.class_scheme,
        device=device,
        threads=threads,
        seed=experiment.seed + fold,
        resume=True,
        progress=progress,
        metadata=provenance(seen, experiment.start),
        start=experiment.start,
    )


def _cases(
    experiment: Experiment,
    recordings: Sequence[LabelledRecording],
    mask_of: Callable[[int, str], NDArray[np.bool_]],
    fold: int,
) -> list[Case]:
    """Give the cases of one part of the folds; recordings without a pixel in it give none."""
    masks = [(recording, mask_of(fold, recording.key)) for recording in recordings]
    return [case for recording, mask in masks if mask.any() for case in _training_cases(experiment, recording, mask)]


def _training_cases(experiment: Experiment, recording: LabelledRecording, mask: NDArray[np.bool_]) -> list[Case]:
    from thermo_qc.training import cut_out, held_out_case

    case = to_case(recording)
    if experiment.config.model.kind == "segmentation" and experiment.config.folds.by in _CUT_OUT:
        return cut_out(case, mask)
    return [held_out_case(case, mask)]


def _splits(experiment: Experiment, folder: RunFolder) -> Splits:
    """Read the splits of a continued run (they are the contract), or make and save them before training."""
    path = folder.path / "splits.json"
    curves = experiment.config.model.kind != "segmentation"  # stacks are cut out, so nothing reaches over
    neighbourhood = experiment.config.representation.neighbourhood if curves else 1
    items = [recording.fold_item(neighbourhood) for recording in experiment.recordings]
    if folder.continued and path.is_file():
        return Splits.load(path)
    folds = experiment.config.folds
    guard = folds.guard_mm
    if guard is not None:
        guard += max(recording.reach_mm(neighbourhood) for recording in experiment.recordings)
    splits = make_splits(
        items,
        by=folds.by,
        k=folds.k,
        guard_mm=guard,
        block_mm=folds.block_mm,
        seed=experiment.seed,
        inner_by=folds.inner_by,
        inner_k=folds.inner_k,
    )
    splits.save(path)
    return splits


def _leakage(
    experiment: Experiment,
    output: Path,
    k: int,
    *,
    device: str,
    threads: int | None,
    progress: bool | Callable[[int, int, float], None],
) -> dict[str, Any]:
    folds = experiment.config.folds.model_copy(
        update={"by": "random_pixel", "k": max(2, k), "inner_by": None, "inner_k": None}
    )
    random = replace(experiment, config=experiment.config.model_copy(update={"folds": folds}))
    metrics = cross_validate(random, output / "leakage", device=device, threads=threads, progress=progress)
    result = {"by": "random_pixel", "n_folds": max(2, k), "metrics": metrics["pooled"]}
    write_json(output / "leakage.json", result)
    return result
