"""Fine-tuning a network with a depth head on labelled recordings: depths that are known are learnt, others held."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thermo_qc.errors import ConfigError
from thermo_qc.sequence import IGNORE_LABEL, ThermalSequence
from thermo_qc.training.dense import depth_likelihood
from thermo_qc.training.module import SegmentationModule

__all__ = ["DepthCodes", "DepthTuningModule", "code_depths"]

_STEP, _COARSER, _COARSEST = 0.005, 2.0, 20.0  # of the logarithmic depth
_WEIGHT, _BETA = 0.2, 0.5
_CODES = 256


def _own_classes() -> NDArray[np.uint8]:
    return np.arange(_CODES, dtype=np.uint8)


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthCodes:
    """What the numbers of a coded label map mean.

    Parameters
    ----------
    classes : ndarray of uint8, shape (256,)
        Class of each code; codes below the number of classes, and 255 (not to be used), are classes themselves.
    log_depth : ndarray of float32, shape (256,)
        ln(depth / sqrt(diffusivity x recording time)) of each code, NaN where it is not known.
    """

    classes: NDArray[np.uint8] = field(default_factory=_own_classes)
    log_depth: NDArray[np.float32] = field(default_factory=lambda: np.full(_CODES, np.nan, dtype=np.float32))


def code_depths(
    sequences: Sequence[ThermalSequence], class_maps: Sequence[NDArray[np.uint8]], n_classes: int
) -> tuple[list[NDArray[np.uint8]], DepthCodes]:
    """Give every pair of class and depth a number of its own, so that label maps carry both.

    Parameters
    ----------
    sequences : sequence of ThermalSequence
        Recordings; a depth counts where their truth and their material are known.
    class_maps : sequence of ndarray of uint8, shape (Y, X)
        Their labels.
    n_classes : int
        Classes with sound.

    Returns
    -------
    codes : list of ndarray of uint8, shape (Y, X)
        Coded label map of each recording.
    DepthCodes
        What they mean. Depths are rounded to 0.5 %, coarser where 255 numbers are too few.

    Raises
    ------
    ConfigError
        When there are too many classes.
    """
    pairs = list(zip(class_maps, map(_log_depths, sequences, class_maps), strict=True))
    step = _STEP
    while len(keys := _keys(pairs, step)) + n_classes >= _CODES:
        if step > _COARSEST:
            raise ConfigError(f"{n_classes} classes with depths are more than labels can tell apart; use fewer classes")
        step *= _COARSER
    meaning, coded = DepthCodes(), [labels.copy() for labels in class_maps]
    for code, (label, depth) in enumerate(keys, start=n_classes):
        meaning.classes[code], meaning.log_depth[code] = label, depth * step
        for (labels, depths), codes in zip(pairs, coded, strict=True):
            codes[(labels == label) & (np.round(depths / step) == depth)] = code
    return coded, meaning


def _keys(pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.float64]]], step: float) -> list[tuple[int, float]]:
    """All pairs of class and depth in steps."""
    found: set[tuple[int, float]] = set()
    for labels, depths in pairs:
        known = np.isfinite(depths)
        each = np.unique(np.stack([labels[known], np.round(depths[known] / step)]), axis=1)
        found |= {(int(label), float(depth)) for label, depth in each.T}
    return sorted(found)


def _log_depths(sequence: ThermalSequence, class_map: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logarithmic depth of the labelled defects (Y, X); NaN where it is not known."""
    truth, material, end_s = sequence.truth, sequence.material, float(sequence.times_s[-1])
    if truth is None or material is None or end_s <= 0:
        return np.full(class_map.shape, np.nan)
    defect = (class_map > 0) & (class_map != IGNORE_LABEL)
    depth_mm = np.where(defect & (truth.depth_mm > 0), truth.depth_mm, np.nan)
    return np.asarray(np.log(depth_mm / np.sqrt(material.diffusivity_through_mm2_s * end_s)), dtype=np.float64)


class DepthTuningModule(SegmentationModule):
    """Trains classes and known depths of a network with a depth head; other depths stay near those it started from.

    The loss of the classes gets the Gaussian likelihood of the logarithmic depth over the pixels of defects whose depth
    is known, with the variance that the network at the start states there, and the mean square difference to what that
    network states: of the log variance over all defects, of the depth over those whose depth is not known. How sure a
    depth is stays as it was: a recording whose depths are all known does not say how far the material of the next one
    is from its constants, and intervals learnt from it would be too narrow there.

    Parameters
    ----------
    network : Module
        Input (B, C, Y, X) to K logits and two depth outputs (B, K + 2, Y, X).
    teacher : Module
        The network that training starts from; copied.
    codes : DepthCodes, optional
        What the labels mean; classes without depths when None.
    **options
        As for `CurveModule`.

    References
    ----------
    Li, Z., Hoiem, D. (2016). Learning without forgetting. https://doi.org/10.48550/arXiv.1606.09282
    """

    _classes: Tensor
    _log_depth: Tensor

    def __init__(
        self, network: nn.Module, *, teacher: nn.Module, codes: DepthCodes | None = None, **options: Any
    ) -> None:
        super().__init__(network, **options)
        self._teacher = (copy.deepcopy(teacher).eval().requires_grad_(False),)  # no part of the checkpoints
        codes = codes or DepthCodes()
        self.register_buffer("_classes", torch.from_numpy(codes.classes), persistent=False)
        self.register_buffer("_log_depth", torch.from_numpy(codes.log_depth), persistent=False)

    def on_fit_start(self) -> None:
        """Bring the teacher to where the network is."""
        super().on_fit_start()
        self._teacher[0].to(self.device)

    def logits_of(self, inputs: Tensor) -> Tensor:
        """Return the logits of the classes."""
        return super().logits_of(inputs)[:, : len(self.class_names)]

    def batch_loss(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the classes, of the known depths, and of the distance to the teacher's other depths."""
        return self._loss_of(self.network(inputs), inputs, target)

    def _loss_of(self, outputs: Tensor, inputs: Tensor, target: Tensor) -> Tensor:
        classes, wanted = self._classes[target.long()], self._log_depth[target.long()]
        loss: Tensor = self.loss(outputs[:, : len(self.class_names)], classes.to(target.dtype))
        defect = (classes > 0) & (classes != IGNORE_LABEL)
        if not bool(defect.any()):
            return loss
        with torch.no_grad():
            before = self._teacher[0](inputs)[:, -2:].movedim(1, -1)[defect].float()  # it may know other classes
        stated, depths = outputs[:, -2:].movedim(1, -1)[defect].float(), wanted[defect]
        known = torch.isfinite(depths)
        if bool(known.any()):
            unsure = torch.stack([stated[known, 0], before[known, 1]], dim=1)
            loss = loss + _WEIGHT * depth_likelihood(unsure, depths[known], beta=_BETA).mean()
        moved = (stated - before).square()
        held: Tensor = torch.where(known, 0.0, moved[:, 0]) + moved[:, 1]
        return loss + 0.5 * held.mean()

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        """Look at classes and depths alike."""
        inputs, target = batch
        outputs = self.network(inputs)
        classes = self._classes[target.long()].to(target.dtype)
        self.add_validation(self._loss_of(outputs, inputs, target), outputs[:, : len(self.class_names)], classes)
