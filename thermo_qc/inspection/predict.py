"""One or several models look at a recording."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError, SequenceError
from thermo_qc.inspection.defect_map import DefectMap
from thermo_qc.inspection.limits import model_doubts
from thermo_qc.models import ModelView, TrainedModel
from thermo_qc.models.memory import kept_memory
from thermo_qc.sequence import IGNORE_LABEL, ThermalSequence

__all__ = ["predict_sequence"]

log = logging.getLogger(__name__)


def predict_sequence(
    models: TrainedModel | Sequence[TrainedModel],
    sequence: ThermalSequence,
    *,
    device: str = "cpu",
    region: NDArray[np.bool_] | None = None,
    sound_mask: NDArray[np.bool_] | None = None,
    batch_size: int = 8192,
    tile_px: int | None = None,
    overlap: float = 0.25,
    tta: bool = False,
    input_sha256: str | None = None,
) -> DefectMap:
    """Predict the defects of a recording.

    Parameters
    ----------
    models : TrainedModel or sequence of TrainedModel
        Several models vote with the mean of their probabilities and depths.
    sequence : ThermalSequence
        Recording; a truth in it is never looked at.
    device : str
        "cpu", "cuda", "mps" or "auto".
    region : ndarray of bool, shape (Y, X), optional
        Part of the frame that is inspected: nothing outside it has a part in reference curves, and its class is 255,
        like that of pixels without a signal (not heated, beside the plate, without a value).
    sound_mask : ndarray of bool, shape (Y, X), optional
        Region known to be sound, for models that compare with one.
    batch_size, tile_px, overlap, tta
        See `TrainedModel.probabilities`.
    input_sha256 : str, optional
        Hash of the recording's file; that of the sequence's source when None.

    Returns
    -------
    DefectMap

    Raises
    ------
    ModelError
        When the models do not agree on the classes or do not fit the recording.
    SequenceError
        When a mask has another shape than the frames, or the region is empty.
    MissingFactError
        When a model needs a fact that the recording lacks.

    Examples
    --------
    >>> models = load_model("runs/unet")  # doctest: +SKIP
    >>> predict_sequence(models, read_sequence("plate.h5")).class_map.shape  # doctest: +SKIP
    (145, 157)
    """
    chosen = (models,) if isinstance(models, TrainedModel) else tuple(models)
    _check(chosen, sequence, region)
    with kept_memory():
        views = [
            model.look(
                sequence,
                device=device,
                batch_size=batch_size,
                tile_px=tile_px,
                overlap=overlap,
                region=region,
                sound_mask=sound_mask,
                tta=tta,
            )
            for model in chosen
        ]
    parts = [view.probability for view in views]
    probability = np.asarray(np.mean(parts, axis=0, dtype=np.float64), dtype=np.float32)
    class_map = _called(probability, [model.defect_threshold for model in chosen])
    depth, deviation = _mean_depth(views, class_map)
    unseen = ~np.logical_or.reduce([model.representation.visible(sequence, region) for model in chosen])
    class_map[unseen] = IGNORE_LABEL
    probability[:, unseen] = 0.0
    depth[unseen] = np.nan
    if deviation is not None:
        deviation[unseen] = np.nan
    notes = model_doubts(chosen, sequence, region)
    for note in notes:
        log.warning("%s", note)
    source = sequence.source.sha256 if sequence.source is not None else ""
    return DefectMap(
        class_map=class_map,
        probability=probability,
        depth_mm=depth,
        class_names=chosen[0].class_names,
        pixel_pitch_mm=sequence.pixel_pitch_mm,
        model_sha256=tuple(model.sha256 for model in chosen),
        input_sha256=source if input_sha256 is None else input_sha256,
        depth_std_mm=deviation,
        notes=notes,
        options=_options(chosen, tta),
    )


def _options(models: tuple[TrainedModel, ...], tta: bool) -> dict[str, Any]:
    """Say what was asked of the models and changes their numbers."""
    told: dict[str, Any] = {"tta": True} if tta else {}
    for name, values, usual in (
        ("temperature", [model.temperature for model in models], 1.0),
        ("defect_threshold", [model.defect_threshold for model in models], 0.5),
    ):
        if any(value != usual for value in values):
            told[name] = values
    return told


def _called(probability: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.uint8]:
    """Likeliest class of every pixel; with thresholds of the models' own, any defect from their mean on is called."""
    if all(threshold == 0.5 for threshold in thresholds):
        return np.asarray(probability.argmax(axis=0), dtype=np.uint8)
    called = 1.0 - probability[0] >= np.mean(thresholds)
    return np.where(called, 1 + probability[1:].argmax(axis=0), 0).astype(np.uint8)


def _check(models: tuple[TrainedModel, ...], sequence: ThermalSequence, region: NDArray[np.bool_] | None) -> None:
    if not models:
        raise ModelError("no model came, expected at least one; load one with load_model")
    for model in models[1:]:
        if model.class_names != models[0].class_names:
            raise ModelError(
                f"models with different classes cannot vote together: {', '.join(models[0].class_names)} and "
                f"{', '.join(model.class_names)}; name models of one class scheme"
            )
    if region is None:
        return
    if region.shape != sequence.frame_shape:
        raise SequenceError(
            f"region has shape {region.shape}, the frames have {sequence.frame_shape}; draw it on the same frame"
        )
    if not region.any():
        raise SequenceError("the region has no pixel; mark the part of the frame that is to be inspected")


def _mean_depth(
    views: list[ModelView], class_map: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Mean over the models of the depth, weighted by each model's defect probability, and its standard deviation.

    The deviation is that of the mixture of what the models say; None where none of them states one.
    """
    weight, first, second = (np.zeros(class_map.shape) for _ in range(3))
    for view in views:
        known = np.isfinite(view.depth_mm) & (view.share > 0)
        share, depth = view.share[known].astype(np.float64), view.depth_mm[known].astype(np.float64)
        variance = 0.0 if view.depth_std_mm is None else view.depth_std_mm[known].astype(np.float64) ** 2
        weight[known] += share
        first[known] += share * depth
        second[known] += share * (depth**2 + variance)
    called = (class_map > 0) & (weight > 0)
    mean, deviation = (np.full(class_map.shape, np.nan, dtype=np.float32) for _ in range(2))
    mean[called] = (first[called] / weight[called]).astype(np.float32)
    if all(view.depth_std_mm is None for view in views):
        return mean, None
    spread = second[called] / weight[called] - (first[called] / weight[called]) ** 2
    deviation[called] = np.sqrt(np.maximum(spread, 0.0)).astype(np.float32)
    return mean, deviation
