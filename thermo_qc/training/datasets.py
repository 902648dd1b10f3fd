"""Cases, and whole-epoch batches of pixel curves without any per-sample work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermo_qc.errors import TrainingError
from thermo_qc.sequence import IGNORE_LABEL, ThermalSequence
from thermo_qc.training.neighbours import Curves

__all__ = ["Case", "CurveBatches", "FixedBatches", "class_counts", "class_shares", "draw_balanced", "even_batches"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One recording with the class of every pixel.

    Parameters
    ----------
    key : str
        Name of the recording, for messages.
    sequence : ThermalSequence
        The recording.
    class_map : ndarray of uint8, shape (Y, X)
        0 sound, 1..K defect classes, 255 not to be used.

    Raises
    ------
    TrainingError
        When map and recording differ in size.
    """

    key: str
    sequence: ThermalSequence
    class_map: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.class_map.shape != self.sequence.frame_shape:
            raise TrainingError(
                f"case '{self.key}' has a class map of {self.class_map.shape}, frames of {self.sequence.frame_shape}; "
                "draw the labels on the frames' own pixels"
            )

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Pixels that are used, bool (Y, X)."""
        return np.asarray(self.class_map != IGNORE_LABEL)


def class_counts(class_maps: Sequence[NDArray[np.uint8]], n_classes: int) -> NDArray[np.int64]:
    """Count the pixels of each class over all maps, int64 (K,); the ignore label counts nowhere.

    Raises
    ------
    TrainingError
        When a map holds a class beyond the last one.
    """
    total = np.zeros(256, dtype=np.int64)
    for class_map in class_maps:
        total += np.bincount(class_map.ravel(), minlength=256)
    stray = np.flatnonzero(total[n_classes:IGNORE_LABEL]) + n_classes
    if stray.size:
        raise TrainingError(
            f"labels hold class {stray[0]}, the class scheme has classes 0 to {n_classes - 1}; check the scheme"
        )
    return total[:n_classes]


def class_shares(
    counts: NDArray[np.int64], *, class_balanced: bool = False, sound_fraction: float | None = None
) -> NDArray[np.float64] | None:
    """Share of each class in the samples of an epoch, or None where the pixels are drawn as they come.

    Parameters
    ----------
    counts : ndarray of int64, shape (K,)
        Pixels of each class.
    class_balanced : bool
        Every class gets the same share (every defect class, where `sound_fraction` is given).
    sound_fraction : float, optional
        Share of class 0; the defect classes divide the rest, in proportion to their pixels or equally.
    """
    if not class_balanced and sound_fraction is None:
        return None
    shares = np.where(counts > 0, 1.0, 0.0) if class_balanced else counts.astype(np.float64)
    if sound_fraction is not None and shares[1:].sum() > 0 and shares[0] > 0:
        shares = np.concatenate([[sound_fraction], (1.0 - sound_fraction) * shares[1:] / shares[1:].sum()])
    return np.asarray(shares / shares.sum())


def draw_balanced(
    members: Sequence[NDArray[np.int64]], shares: NDArray[np.float64], n_samples: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw samples with given shares of the classes, in random order.

    Parameters
    ----------
    members : sequence of ndarray of int64
        Indices of each class; every member is drawn once before any is drawn twice.
    shares : ndarray of float64, shape (K,)
        Wanted shares, adding up to 1.
    n_samples : int
        Samples to draw.
    rng : Generator
        Random numbers.

    Returns
    -------
    ndarray of int64, shape (n_samples,)
    """
    empty = np.array([indices.size == 0 for indices in members])
    if empty.any():
        shares = np.where(empty, 0.0, shares)
        shares = shares / shares.sum()
    exact = shares * n_samples
    numbers = np.floor(exact).astype(np.int64)
    rest = n_samples - int(numbers.sum())
    numbers[np.argsort(numbers - exact, kind="stable")[:rest]] += 1
    drawn = [_draw(indices, int(number), rng) for indices, number in zip(members, numbers, strict=True)]
    return rng.permutation(np.concatenate(drawn))


def _draw(indices: NDArray[np.int64], number: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `number` indices in rounds, each a permutation of all of them."""
    if number == 0:
        return indices[:0]
    rounds = -(-number // indices.size)
    return np.concatenate([rng.permutation(indices) for _ in range(rounds)])[:number]


def even_batches(n_samples: int, batch_size: int) -> list[slice]:
    """Divide the samples into batches of nearly equal size, at most `batch_size`, so that none has a single sample."""
    number = max(1, -(-n_samples // batch_size))
    edges = np.linspace(0, n_samples, number + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


class CurveBatches:
    """Random batches of curves; an epoch's draw depends on (seed, epoch) alone.

    Parameters
    ----------
    curves : Tensor of float32 or GatheredCurves, shape (N, T, C)
        All training curves.
    labels : Tensor of uint8, shape (N,)
        Their classes.
    counts : ndarray of int64, shape (K,)
        Curves of each class.
    batch_size : int
        Largest batch.
    seed : int
        Of the draws.
    samples_per_epoch : int, optional
        Every curve once when None.
    class_balanced, sound_fraction
        As in `class_shares`.
    cases : ndarray of int64, shape (N,), optional
        Case of each curve, for `pool`.
    pool : callable, optional
        Epoch -> bool (n_cases,): the cases that take part in it.
    """

    def __init__(
        self,
        curves: Curves,
        labels: Tensor,
        *,
        counts: NDArray[np.int64],
        batch_size: int,
        seed: int,
        samples_per_epoch: int | None = None,
        class_balanced: bool = False,
        sound_fraction: float | None = None,
        cases: NDArray[np.int64] | None = None,
        pool: Callable[[int], NDArray[np.bool_]] | None = None,
    ) -> None:
        self.cases, self.pool = cases, pool
        self.curves, self.labels, self.seed, self.epoch = curves, labels, seed, 0
        self.n_samples = samples_per_epoch or len(labels)
        self.batches = even_batches(self.n_samples, batch_size)
        shares = class_shares(counts, class_balanced=class_balanced, sound_fraction=sound_fraction)
        self.shares = np.ones(1) if shares is None else shares
        classes = labels.numpy()
        self.members = (
            [np.arange(len(classes))] if shares is None else [np.flatnonzero(classes == k) for k in range(len(counts))]
        )

    def __len__(self) -> int:
        return len(self.batches)

    def draw(self, epoch: int) -> NDArray[np.int64]:
        """Return the indices of an epoch's curves in order, int64 (n_samples,)."""
        members = self.members
        if self.pool is not None and self.cases is not None:
            taking_part = self.pool(epoch)[self.cases]
            members = [indices[taking_part[indices]] for indices in members]
        return draw_balanced(members, self.shares, self.n_samples, np.random.default_rng([self.seed, epoch]))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.from_numpy(self.draw(self.epoch))
        for part in self.batches:
            chosen = order[part]
            yield self.curves[chosen], self.labels[chosen]


class FixedBatches:
    """The same samples in the same order every time, for validation.

    Parameters
    ----------
    pairs : sequence of (Tensor, Tensor)
        Inputs and classes of each batch.
    """

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.pairs = list(pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.pairs)
