"""One or several models look at a recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError, SequenceError
from thermo_qc.inspection.defect_map import DefectMap
from thermo_qc.models import TrainedModel
from thermo_qc.sequence import IGNORE_LABEL, ThermalSequence

__all__ = ["predict_sequence"]


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
    batch_size, tile_px, overlap
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
    parts = [
        model.probabilities(
            sequence,
            device=device,
            batch_size=batch_size,
            tile_px=tile_px,
            overlap=overlap,
            region=region,
            sound_mask=sound_mask,
        )
        for model in chosen
    ]
    probability = np.asarray(np.mean(parts, axis=0, dtype=np.float64), dtype=np.float32)
    class_map = probability.argmax(axis=0).astype(np.uint8)
    depth = _mean_depth(chosen, parts, class_map)
    unseen = ~np.logical_or.reduce([model.representation.visible(sequence, region) for model in chosen])
    class_map[unseen] = IGNORE_LABEL
    probability[:, unseen] = 0.0
    depth[unseen] = np.nan
    source = sequence.source.sha256 if sequence.source is not None else ""
    return DefectMap(
        class_map=class_map,
        probability=probability,
        depth_mm=depth,
        class_names=chosen[0].class_names,
        pixel_pitch_mm=sequence.pixel_pitch_mm,
        model_sha256=tuple(model.sha256 for model in chosen),
        input_sha256=source if input_sha256 is None else input_sha256,
    )


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
    models: tuple[TrainedModel, ...], parts: list[NDArray[np.float32]], class_map: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Mean over the models of the expected depth, weighted by each model's defect probability."""
    total, weight = np.zeros(class_map.shape), np.zeros(class_map.shape)
    for model, probability in zip(models, parts, strict=True):
        depth, share = model.defect_depth_mm(probability)
        known = np.isfinite(depth) & (share > 0)
        total[known] += depth[known] * share[known]
        weight[known] += share[known]
    called = (class_map > 0) & (weight > 0)
    result = np.full(class_map.shape, np.nan, dtype=np.float32)
    result[called] = (total[called] / weight[called]).astype(np.float32)
    return result
