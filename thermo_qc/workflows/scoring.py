"""Predictions of labelled recordings: scored fold by fold and written where reports look for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.evaluation import (
    Splits,
    check_same_pitch,
    confusion_matrix,
    false_calls,
    hole_table,
    pixel_metrics,
    summarise,
)
from thermo_qc.inspection import DefectMap, predict_sequence, write_defect_map
from thermo_qc.io import write_csv, write_json
from thermo_qc.preprocess import find_dead_pixels, replace_dead_pixels
from thermo_qc.sequence import IGNORE_LABEL, ThermalSequence
from thermo_qc.workflows.cases import LabelledRecording
from thermo_qc.workflows.details import metric_details, score_stored_maps, write_detail_tables
from thermo_qc.workflows.frame_folds import with_frames
from thermo_qc.workflows.run_folder import read_run

if TYPE_CHECKING:
    from thermo_qc.models import TrainedModel

__all__ = ["fold_result", "holes_of", "representative_frame", "score_folds", "write_metrics", "write_prediction"]


_HOLE_COLUMNS = ("key", "fold", "name", "number", "diameter_mm", "depth_mm", "found")  # of a table without holes


def fold_result(
    fold: int, parts: Sequence[tuple[LabelledRecording, DefectMap, NDArray[np.bool_]]], class_names: Sequence[str]
) -> dict[str, Any]:
    """Score the test pixels of one fold.

    Parameters
    ----------
    fold : int
        Number of the fold.
    parts : sequence of (LabelledRecording, DefectMap, mask)
        Each test recording, its map, and the pixels (bool, (Y, X)) that this fold tests.
    class_names : sequence of str
        Names of all classes.

    Returns
    -------
    dict
        ``fold``, ``test_keys``, ``metrics`` and ``false_calls`` as in ``metrics.json``.
    """
    total = np.zeros((len(class_names), len(class_names)), dtype=np.int64)
    calls = 0
    for recording, prediction, mask in parts:
        truth_map = np.where(mask, recording.class_map, IGNORE_LABEL)
        total += confusion_matrix(truth_map, prediction.class_map, len(class_names))
        calls += false_calls(recording.truth, prediction.class_map, valid=mask & (recording.class_map != IGNORE_LABEL))
    return {
        "fold": fold,
        "test_keys": [recording.key for recording, _, _ in parts],
        "metrics": pixel_metrics(total, tuple(class_names)),
        "false_calls": calls,
    }


def holes_of(
    recording: LabelledRecording, prediction: DefectMap, fold_map: NDArray[np.int16] | None = None
) -> list[dict[str, Any]]:
    """Build the hole table of one recording from its joined map.

    Parameters
    ----------
    recording : LabelledRecording
        With the truth.
    prediction : DefectMap
        Each pixel from the model of the fold that tests it.
    fold_map : ndarray of int16, shape (Y, X), optional
        The fold that tests each pixel, -1 where none does; a hole belongs to the fold with most of its pixels.

    Returns
    -------
    list of dict
        Entries of ``holes`` in ``metrics.json``.
    """
    pitch = check_same_pitch(prediction.pixel_pitch_mm, recording.sequence.pixel_pitch_mm)
    valid = recording.class_map != IGNORE_LABEL
    holes: list[dict[str, Any]] = hole_table(
        recording.truth,
        prediction.class_map,
        scheme=recording.scheme,
        pixel_pitch_mm=pitch,
        key=recording.key,
        depth_map_mm=prediction.depth_mm,
        depth_std_map_mm=prediction.depth_std_mm,
        netd_k=recording.sequence.netd_k,
        valid=valid if fold_map is None else valid & (fold_map >= 0),
    )
    if fold_map is None:
        return holes
    for hole in holes:
        folds = fold_map[(recording.truth.defect_index == hole["number"]) & (fold_map >= 0)]
        hole["fold"] = int(np.bincount(folds).argmax())
    return holes


def write_metrics(
    folder: Path,
    results: Sequence[Mapping[str, Any]],
    holes: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    **extra: Any,
) -> dict[str, Any]:
    """Write ``metrics.json``, ``holes.csv`` and the tables of `details` of a run and return the metrics.

    What is said of indications, depths, sound material, probabilities and POD comes from the maps that the run has
    stored for the recordings that it tested.
    """
    metrics: dict[str, Any] = summarise(results, tuple(class_names), holes=holes)
    keys = [key for result in results for key in result["test_keys"]]
    scored = score_stored_maps(folder, keys, metrics["holes"])
    details = metric_details(scored, metrics["holes"], class_names, pieces=_pieces(folder))
    metrics = {**metrics, **details, **extra}
    write_json(folder / "metrics.json", metrics)
    write_detail_tables(folder, scored, details)
    columns = list(metrics["holes"][0]) if metrics["holes"] else list(_HOLE_COLUMNS)
    write_csv(folder / "holes.csv", columns, [[hole[name] for name in columns] for hole in metrics["holes"]])
    return metrics


def _pieces(folder: Path) -> dict[str, str]:
    """Plate of each recording, from ``run.json``."""
    record = read_run(folder) or {}
    return {
        str(entry["key"]): str(entry.get("specimen") or entry.get("plate") or entry["key"])
        for entry in record.get("data") or ()
    }


def score_folds(
    recordings: Sequence[LabelledRecording],
    splits: Splits,
    folds: Sequence[int],
    models: Sequence[TrainedModel],
    output: Path,
    class_names: Sequence[str],
    *,
    device: str,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Predict the test pixels of every fold by its own model, and write the joined maps.

    Parameters
    ----------
    recordings : sequence of LabelledRecording
        All of the run.
    splits : Splits
        Who tests what.
    folds : sequence of int
        The folds that count.
    models : sequence of TrainedModel
        One per fold of `folds`.
    output : Path
        Run folder; the maps go to ``predictions/``.
    class_names : sequence of str
        Names of all classes.
    device : str
        "cpu", "cuda" or "auto".

    Returns
    -------
    results, holes : list of dict
        What `fold_result` says of every fold, and the hole tables of all recordings.
    """
    holes: list[dict[str, Any]] = []
    by_fold: dict[int, list[tuple[LabelledRecording, DefectMap, NDArray[np.bool_]]]] = {fold: [] for fold in folds}
    for recording in recordings:
        parts = [
            (
                fold,
                predict_sequence(
                    (model,),
                    with_frames(recording, splits.test_frames(fold, recording.key)).sequence,
                    device=device,
                    sound_mask=recording.sound_mask,
                ),
                splits.test_mask(fold, recording.key),
            )
            for fold, model in zip(folds, models, strict=True)
            if recording.key in splits.test_keys(fold)
        ]
        for fold, prediction, mask in parts:
            by_fold[fold].append((recording, prediction, mask))
        if parts:
            merged, fold_map = _merge(parts)
            write_prediction(output, recording, merged, fold_map)
            holes += holes_of(recording, merged, fold_map)
    return [fold_result(fold, parts, class_names) for fold, parts in by_fold.items()], holes


def _merge(parts: Sequence[tuple[int, DefectMap, NDArray[np.bool_]]]) -> tuple[DefectMap, NDArray[np.int16]]:
    """Join the folds' maps: each pixel from the model that has not seen it."""
    first = parts[0][1]
    fold_map = np.full(first.class_map.shape, -1, dtype=np.int16)
    class_map, probability, depth = first.class_map.copy(), first.probability.copy(), first.depth_mm.copy()
    stated = all(prediction.depth_std_mm is not None for _, prediction, _ in parts)
    deviation = np.full(class_map.shape, np.nan, dtype=np.float32) if stated else None
    for fold, prediction, mask in parts:
        fold_map[mask] = fold
        class_map[mask] = prediction.class_map[mask]
        probability[:, mask] = prediction.probability[:, mask]
        depth[mask] = prediction.depth_mm[mask]
        if deviation is not None and prediction.depth_std_mm is not None:
            deviation[mask] = prediction.depth_std_mm[mask]
    joined = replace(first, class_map=class_map, probability=probability, depth_mm=depth, depth_std_mm=deviation)
    return joined, fold_map


def representative_frame(sequence: ThermalSequence) -> tuple[NDArray[np.float32], float]:
    """Rise of the frame that shows most: the first after the heating by a tenth of the remaining time.

    Returns
    -------
    frame : ndarray of float32, shape (Y, X)
        Rise above the mean cold frame, or the frame itself when there are no cold frames.
    time_s : float
        Its time.
    """
    times = sequence.times_s
    stop = sequence.excitation.stop_s
    start = max(0.0, float(times[0])) if stop is None else stop
    wanted = start + 0.1 * (float(times[-1]) - start)
    index = int(np.argmin(np.abs(times - wanted)))
    frame = np.asarray(sequence.frames[index, :, :], dtype=np.float32)
    cold = np.flatnonzero(times < 0)
    if cold.size:
        frame = frame - np.asarray(sequence.frames[: int(cold[-1]) + 1, :, :], dtype=np.float32).mean(axis=0)
    single = sequence.with_frames(frame[None], "representative_frame", times_s=times[index : index + 1])
    repaired = replace_dead_pixels(single, find_dead_pixels(sequence))
    return np.asarray(repaired.frames[0, :, :], dtype=np.float32), float(times[index])


def write_prediction(
    folder: Path, recording: LabelledRecording, prediction: DefectMap, fold_map: NDArray[np.int16] | None = None
) -> Path:
    """Write one map with its truth and a frame under ``predictions/``."""
    target = folder / "predictions" / f"{recording.key}.h5"
    target.parent.mkdir(parents=True, exist_ok=True)
    frame, time_s = representative_frame(recording.sequence)
    write_defect_map(
        prediction,
        target,
        truth_class_map=recording.class_map,
        truth_depth_mm=recording.truth.depth_mm,
        truth_defect_index=recording.truth.defect_index,
        frame=frame,
        frame_time_s=time_s,
        fold=fold_map,
    )
    return target
