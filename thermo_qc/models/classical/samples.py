"""Samples that a classical classifier is trained on: checked, weighted, and drawn where there are too many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermo_qc.errors import ModelError, TrainingError
from thermo_qc.models.forest import checked_samples
from thermo_qc.models.parameters import integer, one_of

__all__ = ["Drawn", "Standard", "checked_arrays", "draw_samples", "spread"]

CLASS_WEIGHTS = ("none", "balanced")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Training samples.

    Parameters
    ----------
    samples : ndarray of float32, shape (N, F)
        Features.
    classes : ndarray of int64, shape (N,)
        Their classes.
    weights : ndarray of float64, shape (N,)
        Weight of each sample; mean 1.
    present : ndarray of int64, shape (P,)
        Classes that occur, in growing order.
    """

    samples: NDArray[np.float32]
    classes: NDArray[np.int64]
    weights: NDArray[np.float64]
    present: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Standard:
    """Mean and standard deviation of every feature, 1 where a feature does not vary."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, samples: NDArray[np.float32]) -> Standard:
        """Measure samples (N, F)."""
        mean, scale = samples.mean(axis=0, dtype=np.float64), samples.std(axis=0, dtype=np.float64)
        return cls(mean=mean, scale=np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1e-30), scale, 1.0))

    def apply(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return samples of mean 0 and deviation 1, float64 (N, F)."""
        return np.asarray((samples - self.mean) / self.scale)


def draw_samples(
    samples: ArrayLike,
    labels: ArrayLike,
    *,
    n_classes: int,
    max_samples: int | None,
    class_weight: str,
    rng: np.random.Generator,
) -> Drawn:
    """Check training samples, draw some where there are more than wanted, and weigh them.

    Every class gets an equal share of the draw as far as it has samples; the weights put the true shares right again,
    so probabilities do not depend on the draw. "balanced" weighs every class alike instead.

    Parameters
    ----------
    samples : array, shape (N, ...)
        Further axes are flattened.
    labels : array of int, shape (N,)
        Classes 0 to `n_classes` - 1.
    n_classes : int
        Classes with sound.
    max_samples : int, optional
        Most samples wanted.
    class_weight : {"none", "balanced"}
        Weight of the classes.
    rng : Generator
        Draws.

    Raises
    ------
    TrainingError
        When the samples do not fit or show a single class.
    ConfigError
        When an option is wrong.
    """
    one_of("class_weight", class_weight, CLASS_WEIGHTS)
    if max_samples is not None:
        integer("max_samples", max_samples, 10, 100_000_000)
    checked, classes = checked_samples(samples, labels, n_classes)
    present, counts = np.unique(classes, return_counts=True)
    if present.size < 2:
        raise TrainingError(
            f"all {classes.size} training samples are of class {present[0]}, expected two classes or more; add "
            "recordings with defects"
        )
    taken = counts if max_samples is None else _shares(counts, max_samples)
    if (taken < counts).any():
        members = [np.flatnonzero(classes == number) for number in present]
        parts = [rng.permutation(part)[:n] for part, n in zip(members, taken.tolist(), strict=True)]
        chosen = np.sort(np.concatenate(parts))
        checked, classes = checked[chosen], classes[chosen]
    of_class = np.ones(n_classes)
    of_class[present] = 1.0 / taken if class_weight == "balanced" else counts / taken
    weights = of_class[classes]
    return Drawn(samples=checked, classes=classes, weights=weights / weights.mean(), present=present)


def _shares(counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Divide a total among classes: equally, but none gets more than it has, nor fewer than it has of the first 3."""
    taken = np.zeros_like(counts)
    while taken.sum() < min(total, counts.sum()):
        left = np.flatnonzero(taken < counts)
        rest = total - int(taken.sum())
        if rest < left.size:
            left = left[:rest]
        taken[left] = np.minimum(taken[left] + max(1, rest // left.size), counts[left])
    return np.maximum(taken, np.minimum(counts, 3))


def spread(shares: NDArray[np.float64], present: NDArray[Any], n_classes: int) -> NDArray[np.float32]:
    """Put probabilities of the classes that training saw (N, P) into columns for all, float32 (N, K)."""
    result = np.zeros((len(shares), n_classes), dtype=np.float32)
    result[:, present] = shares
    return result


def checked_arrays(
    arrays: dict[str, NDArray[Any]], shapes: Mapping[str, tuple[str, Sequence[int | None]]], what: str
) -> None:
    """Refuse arrays that are not of the names, types and shapes (None: any length) that `what` keeps.

    Raises
    ------
    ModelError
        When they differ, or hold a value that is not finite.
    """
    found = {name: (str(values.dtype), values.shape) for name, values in arrays.items()}
    fitting = set(arrays) == set(shapes) and all(
        found[name][0] == kind
        and len(found[name][1]) == len(shape)
        and all(wanted in (None, have) for wanted, have in zip(shape, found[name][1], strict=True))
        for name, (kind, shape) in shapes.items()
    )
    if not fitting or not all(np.isfinite(values).all() for values in arrays.values()):
        raise ModelError(f"the arrays of {what} do not belong together ({sorted(found)}); train the model again")
