"""Losses on class maps that ignore label 255 and stay finite when a class is absent from a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from thermo_qc.errors import ConfigError, TrainingError, choose
from thermo_qc.sequence import IGNORE_LABEL

__all__ = [
    "LOSSES",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "WeightedLoss",
    "build_loss",
    "class_weights_from_counts",
]

_TINY = 1e-6


def _flatten(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (M, K) in float32, classes (M,) with 0 in place of the ignore label, and validity (M,)."""
    flat = torch.movedim(logits, 1, -1).reshape(-1, logits.shape[1]).float()
    label = target.reshape(-1).long()
    valid = label != IGNORE_LABEL
    return flat, torch.where(valid, label, torch.zeros_like(label)), valid


class _WeightedByClass(nn.Module):
    """Holds the class weights (K,) of a loss, so that they move to the device with it."""

    class_weights: Tensor | None

    def __init__(self, class_weights: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights, persistent=False)

    def pixel_weights(self, label: Tensor, valid: Tensor) -> Tensor:
        """Weight of every pixel (M,): that of its class, 0 where ignored."""
        weights = valid.float()
        return weights if self.class_weights is None else weights * self.class_weights[label]


class CrossEntropyLoss(_WeightedByClass):
    """Cross-entropy, averaged with the weights of the pixels' classes.

    Parameters
    ----------
    class_weights : Tensor, shape (K,), optional
        Weight of each class; all 1 when None.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, K, ...) against classes (B, ...)."""
        flat, label, valid = _flatten(logits, target)
        weights = self.pixel_weights(label, valid)
        entropy = functional.cross_entropy(flat, label, reduction="none")
        return (weights * entropy).sum() / weights.sum().clamp_min(_TINY)


class FocalLoss(_WeightedByClass):
    """Cross-entropy that counts well-classified pixels less: (1 - p)^gamma times the cross-entropy.

    Parameters
    ----------
    class_weights : Tensor, shape (K,), optional
        Weight of each class; all 1 when None.
    gamma : float
        Focusing exponent; 0 is the cross-entropy.

    References
    ----------
    Lin et al. (2017), Focal Loss for Dense Object Detection. https://doi.org/10.1109/ICCV.2017.324
    """

    def __init__(self, class_weights: Tensor | None = None, gamma: float = 2.0) -> None:
        super().__init__(class_weights)
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, K, ...) against classes (B, ...)."""
        flat, label, valid = _flatten(logits, target)
        weights = self.pixel_weights(label, valid)
        entropy = functional.cross_entropy(flat, label, reduction="none")
        focus = (1.0 - torch.exp(-entropy)).clamp_min(_TINY) ** self.gamma
        return (weights * focus * entropy).sum() / weights.sum().clamp_min(_TINY)


class DiceLoss(_WeightedByClass):
    """One minus the soft Dice coefficient, averaged over the classes that occur in the batch.

    Parameters
    ----------
    class_weights : Tensor, shape (K,), optional
        Weight of each class in the average; all 1 when None.

    References
    ----------
    Milletari, Navab, Ahmadi (2016), V-Net. https://doi.org/10.1109/3DV.2016.79
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, K, ...) against classes (B, ...); 0 when every pixel is ignored."""
        flat, label, valid = _flatten(logits, target)
        probability = torch.softmax(flat, dim=1) * valid[:, None]
        truth = functional.one_hot(label, flat.shape[1]) * valid[:, None]
        support = truth.sum(0)
        dice = 2.0 * (probability * truth).sum(0) / (probability.sum(0) + support).clamp_min(_TINY)
        weights = (support > 0).float()
        if self.class_weights is not None:
            weights = weights * self.class_weights
        return (weights * (1.0 - dice)).sum() / weights.sum().clamp_min(_TINY)


def _cross_entropy(class_weights: Tensor | None, gamma: float) -> nn.Module:
    del gamma  # belongs to the focal loss alone
    return CrossEntropyLoss(class_weights)


def _dice(class_weights: Tensor | None, gamma: float) -> nn.Module:
    del gamma
    return DiceLoss(class_weights)


LOSSES: dict[str, Callable[[Tensor | None, float], nn.Module]] = {
    "cross_entropy": _cross_entropy,
    "dice": _dice,
    "focal": FocalLoss,
}


class WeightedLoss(nn.Module):
    """Weighted sum of losses.

    Parameters
    ----------
    terms : sequence of Module
        Losses of (logits, target).
    weights : sequence of float
        One weight per term.
    """

    def __init__(self, terms: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)
        self.weights = tuple(weights)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted sum of the terms."""
        values = [weight * term(logits, target) for weight, term in zip(self.weights, self.terms, strict=True)]
        return torch.stack(values).sum()


def class_weights_from_counts(rule: str | Sequence[float], counts: Sequence[int]) -> Tensor | None:
    """Weights of the classes in a loss.

    Parameters
    ----------
    rule : {"none", "balanced", "sqrt_balanced"} or sequence of float
        "balanced": inverse to the pixel count, so that every class weighs the same in total; "sqrt_balanced": the
        square root of that; numbers are taken as they are. Computed weights have a mean of 1 over the classes.
    counts : sequence of int
        Training pixels of each class, all positive.

    Returns
    -------
    Tensor of float32, shape (K,), or None for "none"

    Raises
    ------
    ConfigError
        When the number of given weights is not that of the classes.
    TrainingError
        When a class has no pixel to balance.
    """
    if isinstance(rule, str):
        if rule == "none":
            return None
        powers = {"balanced": 1.0, "sqrt_balanced": 0.5}
        number = torch.tensor(list(counts), dtype=torch.float64)
        if (number <= 0).any():
            raise TrainingError(f"class weights '{rule}' need pixels of every class, the counts are {list(counts)}")
        inverse = (number.sum() / number) ** choose(powers, rule, "class weights")
        return (inverse / inverse.mean()).float()
    if len(rule) != len(counts):
        raise ConfigError(
            f"class_weights has {len(rule)} numbers for {len(counts)} classes; give one per class, sound first"
        )
    return torch.tensor(list(rule), dtype=torch.float32)


def build_loss(terms: Sequence[tuple[str, float, str | Sequence[float], float]], counts: Sequence[int]) -> WeightedLoss:
    """Build the loss of a training run.

    Parameters
    ----------
    terms : sequence of (name, weight, class weights, gamma)
        Names from `LOSSES`; class weights as in `class_weights_from_counts`; gamma of the focal loss.
    counts : sequence of int
        Training pixels of each class.

    Raises
    ------
    ConfigError
        When there is no term, a name is unknown, or class weights do not fit.
    """
    if not terms:
        raise ConfigError("train.losses is empty; give at least one term, for example cross_entropy")
    built = [
        choose(LOSSES, name, "loss")(class_weights_from_counts(rule, counts), gamma) for name, _, rule, gamma in terms
    ]
    return WeightedLoss(built, [weight for _, weight, _, _ in terms])
