"""Fine-tuning a network with a depth head on classes alone: what it knows of depth is held."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from thermo_qc.sequence import IGNORE_LABEL
from thermo_qc.training.module import SegmentationModule

__all__ = ["DepthKeepingModule"]


class DepthKeepingModule(SegmentationModule):
    """Trains the classes of a network with a depth head; its depths stay near those of the network it started from.

    The loss gets the mean square difference between both networks' depth outputs (mean and log variance of the
    logarithmic depth) over the pixels of defects.

    Parameters
    ----------
    network : Module
        Input (B, C, Y, X) to K logits and two depth outputs (B, K + 2, Y, X).
    teacher : Module
        The network that training starts from; copied.
    **options
        As for `CurveModule`.

    References
    ----------
    Li, Z., Hoiem, D. (2016). Learning without forgetting. https://doi.org/10.48550/arXiv.1606.09282
    """

    def __init__(self, network: nn.Module, *, teacher: nn.Module, **options: Any) -> None:
        super().__init__(network, **options)
        self._teacher = (copy.deepcopy(teacher).eval().requires_grad_(False),)  # no part of the checkpoints

    def on_fit_start(self) -> None:
        """Bring the teacher to where the network is."""
        super().on_fit_start()
        self._teacher[0].to(self.device)

    def logits_of(self, inputs: Tensor) -> Tensor:
        """Return the logits of the classes."""
        return super().logits_of(inputs)[:, : len(self.class_names)]

    def batch_loss(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the classes and of the distance to the teacher's depths."""
        n_classes = len(self.class_names)
        outputs = self.network(inputs)
        loss: Tensor = self.loss(outputs[:, :n_classes], target)
        defect = (target > 0) & (target != IGNORE_LABEL)
        if not bool(defect.any()):
            return loss
        with torch.no_grad():
            known = self._teacher[0](inputs)[:, -2:]  # it may know other classes
        difference = (outputs[:, -2:] - known).movedim(1, -1)[defect].float()
        total: Tensor = loss + difference.square().mean()
        return total
