"""``thermo-qc finetune``: a trained model goes on learning on a lab's own recordings, from one of them on."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError
from thermo_qc.inspection import DefectMap, load_model, predict_sequence
from thermo_qc.io import Manifest, ManifestEntry, load_manifest
from thermo_qc.models import TrainedModel
from thermo_qc.workflows.cases import LabelledRecording, check_fits, load_recordings
from thermo_qc.workflows.evaluate import set_threads
from thermo_qc.workflows.finetune_config import finetuning_experiment
from thermo_qc.workflows.lock import locked_by_leader
from thermo_qc.workflows.run_folder import RunFolder, undone_if_refused
from thermo_qc.workflows.scoring import fold_result, holes_of, write_metrics, write_prediction
from thermo_qc.workflows.train import Experiment, provenance, single_model, start_run, to_case

if TYPE_CHECKING:
    from thermo_qc.training import Case

__all__ = ["run"]

log = logging.getLogger(__name__)

_MANIFESTS = {".yaml", ".yml"}
_LARGEST_GUARD = 0.15  # of the plate's smaller edge
_UNKNOWN_GUARD_PX = 8
_MIN_PART_PX = 16
Mask = NDArray[np.bool_]
Item = tuple[LabelledRecording, Mask]


def run(
    model_path: Path,
    data: Path,
    output: Path,
    *,
    method: str | None = None,
    epochs: int | None = None,
    freeze: str | None = None,
    learning_rate: float | None = None,
    overrides: tuple[str, ...] = (),
    validate: Path | None = None,
    truth: Path | None = None,
    plate: str | None = None,
    facts: dict[str, Any] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a model further and compare it with what it was.

    Parameters
    ----------
    model_path : Path
        Model file or run folder; its representation with all scales, its network and its classes stay.
    data : Path
        Manifest (YAML), or one recording with its truth.
    output : Path
        Run folder.
    method : str, optional
        Which run, when `model_path` holds several.
    epochs, freeze, learning_rate, overrides, seed
        See `thermo_qc.workflows.finetune_config.finetuning_experiment`.
    validate : Path, optional
        Manifest of labelled recordings that take no part in training: what the model was and is on them.
    truth : Path, optional
        Mask picture or outlines of the single recording.
    plate : str, optional
        Plate of the single recording: a YAML file or the name of a plate that ships.
    facts : dict, optional
        What the file of the single recording lacks.
    overwrite, resume : bool
        See `thermo_qc.workflows.run_folder.open_run`.
    device : str
        "cpu", "cuda" or "auto".
    threads : int, optional
        CPU threads.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict
        Content of ``metrics.json``: the figures of the new model on `validate`, else on the data themselves;
        ``comparison`` holds before and after of every group of recordings.
    """
    from thermo_qc.report import build_report

    start = single_model(load_model(model_path, method), str(model_path))
    config = finetuning_experiment(
        start,
        source=str(model_path),
        name=output.resolve().name,
        epochs=epochs,
        freeze=freeze,
        learning_rate=learning_rate,
        overrides=overrides,
        seed=seed,
    )
    if threads is not None:
        set_threads(threads)
    recordings = _recordings(start, _manifest(data, truth, plate, facts), config.data.class_scheme)
    others = [] if validate is None else _recordings(start, load_manifest(validate), config.data.class_scheme)
    _check_apart(recordings, others)
    experiment = Experiment(config=config, recordings=recordings, seed=config.seed, start=start)
    extra = {"validate": [recording.record() for recording in others]}
    with locked_by_leader(output):
        folder = start_run(experiment, output, command="finetune", overwrite=overwrite, resume=resume, extra=extra)
        metrics = _tune(experiment, start, others, folder, device=device, threads=threads, progress=progress)
        folder.finish()
        build_report(output)
    return metrics


def _tune(
    experiment: Experiment,
    start: TrainedModel,
    others: Sequence[LabelledRecording],
    folder: RunFolder,
    *,
    device: str,
    threads: int | None,
    progress: bool,
) -> dict[str, Any]:
    """Train the model of an opened run and compare it with the one that it started from."""
    from thermo_qc.training import train_model

    config = experiment.config
    with undone_if_refused(folder):
        folder.update(device=device, threads=threads, model={"sha256": [start.sha256], "name": start.name})
        training, held_out, parts = _parts(experiment, others)
        tuned = train_model(
            training,
            experiment=config,
            folder=folder.path,
            class_names=start.class_names,
            class_depths_mm=start.class_depths_mm,
            validation_cases=held_out,
            scheme_name=config.data.class_scheme,
            device=device,
            threads=threads,
            seed=config.seed,
            resume=True,
            progress=progress,
            metadata=provenance(experiment.recordings, start),
            start=start,
            keep_representation=True,
        )
    return _compare(start, tuned, parts, folder.path, device)


def _manifest(data: Path, truth: Path | None, plate: str | None, facts: dict[str, Any] | None) -> Manifest:
    """Manifest of a path that is one, or of the single recording that it names."""
    if data.suffix.lower() in _MANIFESTS:
        if truth is not None or plate is not None or facts:
            raise ModelError(
                f"{data} is a manifest, which names truth, plate and facts itself; leave those options out"
            )
        return load_manifest(data)
    entry = ManifestEntry(
        key=data.stem, recording=data, truth=truth, plate=plate, acquisition=data.stem, facts=facts or {}
    )
    return Manifest(path=data, entries=(entry,))


def _recordings(start: TrainedModel, manifest: Manifest, scheme: str) -> list[LabelledRecording]:
    recordings = load_recordings(manifest, scheme)
    names = recordings[0].scheme.class_names
    if tuple(names) != tuple(start.class_names):
        raise ModelError(
            f"the model knows the classes {', '.join(start.class_names)}; {manifest.path} is labelled with "
            f"{', '.join(names)}; label it alike, or train with train.transfer.from, which makes a new head"
        )
    check_fits(recordings, start.representation)
    return recordings


def _check_apart(recordings: Sequence[LabelledRecording], others: Sequence[LabelledRecording]) -> None:
    known = {recording.sha256 for recording in recordings}
    both = [recording.key for recording in others if recording.sha256 in known]
    if both:
        log.warning("%s is trained on and validated on: its figures say nothing about new recordings", ", ".join(both))


def _parts(
    experiment: Experiment, others: Sequence[LabelledRecording]
) -> tuple[list[Case], list[Case], dict[str, list[Item]]]:
    """Training and validation cases, and what is compared before and after."""
    recordings = experiment.recordings
    fraction = experiment.config.train.validation_fraction
    parts: dict[str, list[Item]] = {"data": [(one, np.ones(one.class_map.shape, dtype=bool)) for one in recordings]}
    training = [to_case(recording) for recording in recordings]
    held_out: list[Case] = []
    if fraction > 0 and len(recordings) == 1:
        training, held_out, strip = _with_strip(experiment, fraction)
        parts["held_out"] = [(recordings[0], strip)]
    elif fraction > 0:
        from thermo_qc.training import hold_out_cases

        training, held_out = hold_out_cases(training, fraction, experiment.seed)
        keys = {case.key for case in held_out}
        parts["held_out"] = [item for item in parts["data"] if item[0].key in keys]
    if others:
        parts["validation"] = [(one, np.ones(one.class_map.shape, dtype=bool)) for one in others]
    return training, held_out, parts


def _with_strip(experiment: Experiment, fraction: float) -> tuple[list[Case], list[Case], Mask]:
    """Divide the only recording: a strip along an edge validates."""
    from thermo_qc.training import cut_out, held_out_case, validation_strip

    recording = experiment.recordings[0]
    guard = _guard_px(recording, experiment.config.folds.guard_mm)
    guard += int(getattr(experiment.start.representation, "neighbourhood", 1)) // 2 if experiment.start else 0
    train, strip = validation_strip(recording.class_map, fraction, guard_px=guard)
    case = to_case(recording)
    if experiment.config.model.kind == "segmentation":
        parts = cut_out(case, train, min_px=_MIN_PART_PX)
        return parts, cut_out(case, strip, min_px=_MIN_PART_PX), strip
    return [held_out_case(case, train)], [held_out_case(case, strip)], strip


def _guard_px(recording: LabelledRecording, guard_mm: float | None) -> int:
    """Width of the guard: as asked, else the diffusion length as far as the plate has room for it."""
    pitch = recording.sequence.pixel_pitch_mm
    if guard_mm is not None and pitch is not None:
        return math.ceil(guard_mm / pitch)
    wanted = recording.fold_item().guard_mm
    smaller: int = min(recording.class_map.shape)
    largest = round(_LARGEST_GUARD * smaller)
    if pitch is None or wanted is None:
        return min(_UNKNOWN_GUARD_PX, largest)
    if wanted / pitch > largest:
        log.info("the guard is %d px wide; heat diffuses over %.0f px in this recording", largest, wanted / pitch)
    return min(largest, math.ceil(wanted / pitch))


def _compare(
    start: TrainedModel, tuned: TrainedModel, parts: dict[str, list[Item]], output: Path, device: str
) -> dict[str, Any]:
    """Score both models on every group; the maps of the new one go where reports look for them."""
    maps: dict[tuple[str, str], tuple[DefectMap, DefectMap]] = {}
    for group in ("data", "validation"):
        for recording, _ in parts.get(group, ()):
            before, after = (
                predict_sequence((model,), recording.sequence, device=device, sound_mask=recording.sound_mask)
                for model in (start, tuned)
            )
            maps[_home(group), recording.key] = before, after
    names = tuple(start.class_names)
    shown = "validation" if "validation" in parts else "data"
    comparison: dict[str, Any] = {}
    results, table = [], []
    for group, items in parts.items():
        comparison[group] = {"keys": [recording.key for recording, _ in items]}
        for position, when in enumerate(("before", "after")):
            scored = [(one, maps[_home(group), one.key][position], mask) for one, mask in items]
            result = fold_result(0, scored, names)
            holes = [] if group == "held_out" else [hole for one, found, _ in scored for hole in holes_of(one, found)]
            comparison[group][when] = {
                "metrics": result["metrics"],
                "false_calls": result["false_calls"],
                **({} if group == "held_out" else _hole_counts(holes)),
            }
            if group == shown and when == "after":
                results, table = [result], holes
                for recording, prediction, _ in scored:
                    write_prediction(output, recording, prediction)
    return write_metrics(
        output,
        results,
        table,
        names,
        seen_in_training=[recording.key for recording, _ in parts["data"]] if shown == "data" else [],
        comparison=comparison,
        temperature_scaling=tuned.metadata.get("calibration"),
    )


def _home(group: str) -> str:
    return "validation" if group == "validation" else "data"


def _hole_counts(holes: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {"holes_found": sum(bool(hole["found"]) for hole in holes), "holes_total": len(holes)}
