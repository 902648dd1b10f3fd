"""From cases to what a network is fed with: labels checked, a part held out for validation, tensors."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermo_qc.errors import ConfigError, TrainingError
from thermo_qc.representation import AnyRepresentation, PhysicalRepresentation
from thermo_qc.sequence import IGNORE_LABEL, ThermalSequence
from thermo_qc.training.datasets import Case, class_counts
from thermo_qc.training.neighbours import Curves, GatheredCurves

__all__ = [
    "case_signature",
    "checked_counts",
    "curves_by_case",
    "curves_of",
    "hold_out_cases",
    "hold_out_pixels",
    "stacks_of",
    "stated_facts",
    "training_counts",
]

logger = logging.getLogger(__name__)


def checked_counts(cases: Sequence[Case], class_names: Sequence[str]) -> NDArray[np.int64]:
    """Count the training pixels of each class, int64 (K,).

    Raises
    ------
    TrainingError
        When there are no cases, or a class has no pixel in them.
    """
    return training_counts(cases, class_names)


def training_counts(cases: Sequence[Case], class_names: Sequence[str], *, all_needed: bool = True) -> NDArray[np.int64]:
    """Count like `checked_counts`; with `all_needed` False, a class without pixels is said in the log only."""
    if not cases:
        raise TrainingError(
            "there are no training cases; give recordings with a truth mask or a plate and registration"
        )
    counts = class_counts([case.class_map for case in cases], len(class_names))
    absent = [name for name, count in zip(class_names, counts, strict=True) if count == 0]
    if absent and not all_needed and counts.any():
        logger.warning("no training pixel is of class %s; what the model knows of it may fade", ", ".join(absent))
    elif absent:
        keys = ", ".join(case.key for case in cases[:8]) + (", ..." if len(cases) > 8 else "")
        raise TrainingError(
            f"class '{absent[0]}' has no training pixel in the cases {keys}; add recordings that hold it, use "
            "other folds, or take a class scheme without it"
        )
    return counts


def hold_out_pixels(cases: Sequence[Case], fraction: float, seed: int) -> tuple[list[Case], list[Case]]:
    """Divide the labelled pixels of every class at random into training and validation.

    Neighbouring pixels resemble one another, so the validation loss is flattering; separate validation cases are the
    stricter watch.

    Parameters
    ----------
    cases : sequence of Case
        Training cases.
    fraction : float
        Share of each class that is held out, at least one pixel of a class of two or more.
    seed : int
        Of the draw.

    Returns
    -------
    training, validation : list of Case
        The same recordings with complementary labels.
    """
    rng = np.random.default_rng([seed, 0xA11])
    chain = np.concatenate([case.class_map.ravel() for case in cases])
    held = np.zeros(chain.shape, dtype=bool)
    for label in np.unique(chain[chain != IGNORE_LABEL]):
        members = rng.permutation(np.flatnonzero(chain == label))
        number = min(max(1, round(fraction * members.size)), members.size - 1)
        held[members[:number]] = True
    training, validation, start = [], [], 0
    for case in cases:
        mask = held[start : start + case.class_map.size].reshape(case.class_map.shape)
        start += case.class_map.size
        training.append(replace(case, class_map=np.where(mask, IGNORE_LABEL, case.class_map).astype(np.uint8)))
        validation.append(replace(case, class_map=np.where(mask, case.class_map, IGNORE_LABEL).astype(np.uint8)))
    return training, validation


def hold_out_cases(cases: Sequence[Case], fraction: float, seed: int) -> tuple[list[Case], list[Case]]:
    """Divide the cases at random into training and validation, at least one each.

    Raises
    ------
    ConfigError
        When there is a single case.
    """
    if len(cases) < 2:
        raise ConfigError(
            f"train.validation_fraction {fraction} needs at least two cases for a segmentation network, there is "
            f"{len(cases)}; set it to 0 or give more recordings"
        )
    order = np.random.default_rng([seed, 0xA11]).permutation(len(cases))
    number = min(max(1, round(fraction * len(cases))), len(cases) - 1)
    held = set(order[:number].tolist())
    return [case for i, case in enumerate(cases) if i not in held], [case for i, case in enumerate(cases) if i in held]


def curves_of(cases: Sequence[Case], representation: AnyRepresentation) -> tuple[Curves, Tensor]:
    """Return the labelled pixels' curves, float32 (N, T, C), and classes, uint8 (N,); curves with gaps are left out.

    A representation gives a pixel without values zeros only.

    Raises
    ------
    TrainingError
        When fewer than two curves are left.
    """
    curves, labels, _ = curves_by_case(cases, representation)
    return curves, labels


def curves_by_case(
    cases: Sequence[Case], representation: AnyRepresentation
) -> tuple[Curves, Tensor, NDArray[np.int64]]:
    """Return what `curves_of` returns, and the case of each curve, int64 (N,)."""
    if isinstance(representation, PhysicalRepresentation):
        raise ConfigError("the physical representation gives stacks, no curves; train a segmentation model on it")
    alone = representation.neighbourhood == 1
    pixels, parts, fields = [], [], []
    for case in cases:
        field = representation.curve_field(case.sequence, sound_mask=case.class_map == 0)
        pixel = np.flatnonzero(case.labelled)
        pixels.append(pixel[field.seen[pixel]])
        parts += [field.gather(pixels[-1])] if alone else []
        fields += [] if alone else [field]
    labels = np.concatenate([case.class_map.ravel()[pixel] for case, pixel in zip(cases, pixels, strict=True)])
    total = sum(int(case.labelled.sum()) for case in cases)
    if len(labels) < total:
        logger.warning(
            "%d of %d labelled pixels have gaps in their curves and are left out", total - len(labels), total
        )
    if len(labels) < 2:
        raise TrainingError(
            f"{len(labels)} labelled pixels have a curve without gaps, expected at least 2; repair dead pixels"
        )
    numbers = np.repeat(np.arange(len(cases)), [pixel.size for pixel in pixels])
    curves = (
        torch.from_numpy(np.concatenate(parts)) if alone else GatheredCurves(fields, numbers, np.concatenate(pixels))
    )
    return curves, torch.from_numpy(labels), numbers


def stacks_of(
    cases: Sequence[Case], representation: AnyRepresentation
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.uint8]]]:
    """Return each case's stack, float32 (C, Y, X), and classes (Y, X); pixels with gaps become 0 and are ignored."""
    stacks, labels = [], []
    for case in cases:
        stack = representation.stack(case.sequence, sound_mask=case.class_map == 0)
        whole = np.isfinite(stack).all(axis=0) & (stack != 0).any(axis=0)
        stacks.append(np.where(whole, stack, np.float32(0)).astype(np.float32))
        labels.append(np.where(whole, case.class_map, IGNORE_LABEL).astype(np.uint8))
    return stacks, labels


def stated_facts(sequence: ThermalSequence) -> bytes:
    """Return what a training learns of a plate and its heating besides frames and labels, to be hashed."""
    return repr((sequence.material, sequence.thickness_mm, sequence.pixel_pitch_mm, sequence.excitation)).encode()


def case_signature(cases: Sequence[Case], settings: dict[str, Any]) -> str:
    """SHA-256 that names a training run: its settings, its labels and a sample of its frames."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for case in cases:
        sequence = case.sequence
        digest.update(f"{case.key} {tuple(sequence.frames.shape)}".encode())
        digest.update(np.ascontiguousarray(sequence.times_s).tobytes())
        digest.update(np.ascontiguousarray(case.class_map).tobytes())
        digest.update(stated_facts(sequence))
        if sequence.truth is not None:
            digest.update(np.ascontiguousarray(sequence.truth.depth_mm).tobytes())
        digest.update(np.ascontiguousarray(sequence.frames[sequence.n_frames // 2, :, :]).tobytes())
    return digest.hexdigest()
