"""Thin Lightning modules: a network, its loss, its optimiser; one per task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from thermo_qc.evaluation import pixel_metrics
from thermo_qc.models.pixelwise import PixelCurves
from thermo_qc.sequence import IGNORE_LABEL
from thermo_qc.training.helps import GradientNoise
from thermo_qc.training.optimisers import l1_penalty

__all__ = ["CurveModule", "DenseModule", "SegmentationModule", "confusion_of"]

VALIDATION_FIGURES = ("accuracy", "balanced_accuracy", "defect_iou", "defect_f1")


def confusion_of(logits: Tensor, target: Tensor, n_classes: int) -> Tensor:
    """Count (true, predicted) pairs of the pixels that are not ignored, int64 (K, K)."""
    valid = target != IGNORE_LABEL
    pairs = target[valid].long() * n_classes + logits.argmax(1)[valid]
    return torch.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


class CurveModule(lightning.LightningModule):  # type: ignore[misc]
    """Trains a network on (input, classes) pairs.

    Parameters
    ----------
    network : Module
        Input (B, ...) to logits (B, K, ...).
    loss : Module
        Loss of (logits, classes).
    make_optimiser : callable
        Network -> optimiser at its base learning rate.
    rate_factor : callable
        (epoch, watched losses so far) -> factor on the learning rate.
    class_names : sequence of str
        Names of all classes.
    l1 : float
        Weight of the L1 penalty on the weights.
    gradient_noise : GradientNoise, optional
        Added to the gradients of every step.
    signature : str
        Identity of the experiment, kept in every checkpoint.

    Attributes
    ----------
    watched : list of float
        Validation loss, or training loss where there is no validation, of every finished epoch.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        loss: nn.Module,
        make_optimiser: Callable[[nn.Module], Optimizer],
        rate_factor: Callable[[int, Sequence[float]], float],
        class_names: Sequence[str],
        l1: float = 0.0,
        gradient_noise: GradientNoise | None = None,
        signature: str = "",
    ) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self.make_optimiser, self.rate_factor = make_optimiser, rate_factor
        self.class_names, self.l1, self.signature = tuple(class_names), l1, signature
        self.gradient_noise = gradient_noise
        self.watched: list[float] = []
        self._train: list[tuple[Tensor, int]] = []
        self._validation: list[tuple[Tensor, int]] = []
        self._confusion: Tensor | None = None

    def configure_optimizers(self) -> Optimizer:
        """Lightning's hook; the schedule is applied at the start of every epoch."""
        return self.make_optimiser(self.network)

    def on_train_epoch_start(self) -> None:
        """Set the epoch's learning rate."""
        factor = self.rate_factor(self.current_epoch, self.watched)
        for group in self.optimizers().optimizer.param_groups:
            group["lr"] = group.setdefault("base_lr", group["lr"]) * factor
        self._train = []

    def logits_of(self, inputs: Tensor) -> Tensor:
        """Return what the loss and the figures look at."""
        logits: Tensor = self.network(inputs)
        return logits

    def batch_loss(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of one batch in training."""
        loss: Tensor = self.loss(self.logits_of(inputs), target)
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """Loss of one batch with its L1 penalty; the history keeps it without."""
        inputs, target = batch
        loss = self.batch_loss(inputs, target)
        self._train.append((loss.detach(), len(target)))
        return loss if self.l1 == 0 else loss + self.l1 * l1_penalty(self.network)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Lightning's hook before every step: clip, then add noise."""
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        if self.gradient_noise is not None:
            self.gradient_noise.add(self.network, self.global_step)

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch."""
        self._validation, self._confusion = [], None

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        """Add one batch to the epoch's loss and confusion matrix."""
        inputs, target = batch
        logits = self.logits_of(inputs)
        self.add_validation(self.loss(logits, target), logits, target)

    def add_validation(self, loss: Tensor, logits: Tensor, target: Tensor) -> None:
        """Add a batch's loss and its confusion of classes to those of the epoch."""
        self._validation.append((loss, int((target != IGNORE_LABEL).sum())))
        confusion = confusion_of(logits, target, len(self.class_names))
        self._confusion = confusion if self._confusion is None else self._confusion + confusion

    def on_validation_epoch_end(self) -> None:
        """Give Lightning's callbacks the loss they watch."""
        self.log("validation_loss", _mean(self._validation), logger=False)

    def epoch_figures(self) -> dict[str, float]:
        """Figures of the epoch that has just ended, in the order of the history's columns."""
        figures = {"epoch": float(self.current_epoch), "train_loss": _mean(self._train)}
        if self._confusion is not None:
            figures["validation_loss"] = _mean(self._validation)
            metrics = pixel_metrics(self._confusion.cpu().numpy(), self.class_names)
            figures.update({f"validation_{name}": float(metrics[name]) for name in VALIDATION_FIGURES})
        figures["learning_rate"] = float(self.optimizers().optimizer.param_groups[0]["lr"])
        return figures

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the schedule has seen and whose checkpoint this is."""
        checkpoint["thermo_qc"] = {"signature": self.signature, "watched": list(self.watched)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what the schedule has seen."""
        self.watched = list(checkpoint["thermo_qc"]["watched"])


class SegmentationModule(CurveModule):
    """Trains a segmentation network; stacks and weights lie channels-last in memory where that is faster."""

    def on_fit_start(self) -> None:
        """Lay the weights out like the stacks."""
        self.network.to(memory_format=torch.channels_last)


class DenseModule(SegmentationModule):
    """Trains a network of classes and depths on (B, 3, Y, X) targets; pixels that count for nothing may be left out."""

    def batch_loss(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of one batch; a network that looks at pixels apart computes those that count alone."""
        if not isinstance(self.network, PixelCurves):
            return super().batch_loss(inputs, target)
        loss: Tensor = self.loss(self.network(inputs, target[:, 0] != IGNORE_LABEL), target)
        return loss


def _mean(parts: Sequence[tuple[Tensor, int]]) -> float:
    """Mean of losses weighted by the number of samples; NaN without any."""
    total = sum(number for _, number in parts)
    if total == 0:
        return float("nan")
    values = torch.stack([loss for loss, _ in parts]).double().cpu()
    return float((values * torch.tensor([number for _, number in parts])).sum() / total)
