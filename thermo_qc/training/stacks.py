"""Batches of augmented stacks for segmentation networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermo_qc.training.augment import StackAugmenter, pad_stack
from thermo_qc.training.datasets import class_shares, draw_balanced, even_batches

__all__ = ["StackBatches", "stack_pair"]

Sample = tuple[NDArray[np.float32], NDArray[np.uint8]]


def stack_pair(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Put samples (Y, X, C), (Y, X) into one batch: float32 (B, C, Y, X) with channels last in memory, uint8 (B, Y, X).

    Smaller samples are padded to the largest by reflection, their labels by the ignore label.
    """
    height = max(labels.shape[0] for _, labels in samples)
    width = max(labels.shape[1] for _, labels in samples)
    padded = [pad_stack(stack, labels, height, width) for stack, labels in samples]
    stacks = torch.from_numpy(np.stack([stack for stack, _ in padded])).permute(0, 3, 1, 2)
    return stacks, torch.from_numpy(np.stack([labels for _, labels in padded]))


class StackBatches:
    """Random batches of stacks; sample i of an epoch depends on (seed, epoch, i) alone.

    Parameters
    ----------
    stacks : sequence of ndarray of float32, shape (C, Y, X)
        One per case.
    labels : sequence of ndarray of uint8, shape (Y, X)
        Classes of each case.
    counts : ndarray of int64, shape (K,)
        Pixels of each class over all cases.
    augmenter : StackAugmenter
        Crops and disturbs.
    batch_size : int
        Largest batch.
    seed : int
        Of all draws.
    samples_per_epoch : int, optional
        When None, each case once, or as many crops as cover the cases.
    class_balanced, sound_fraction
        As in `class_shares`: share of the classes among the pixels that the samples are placed on.
    pool : callable, optional
        Epoch -> bool (n_cases,): the cases that take part in it.
    threads : int
        Threads that prepare the samples of a batch; the samples do not depend on it.
    classes : ndarray of uint8, shape (256,), optional
        Class that each label stands for, where labels tell more than classes.
    """

    def __init__(
        self,
        stacks: Sequence[NDArray[np.float32]],
        labels: Sequence[NDArray[np.uint8]],
        *,
        counts: NDArray[np.int64],
        augmenter: StackAugmenter,
        batch_size: int,
        seed: int,
        samples_per_epoch: int | None = None,
        class_balanced: bool = False,
        sound_fraction: float | None = None,
        pool: Callable[[int], NDArray[np.bool_]] | None = None,
        threads: int = 1,
        classes: NDArray[np.uint8] | None = None,
    ) -> None:
        self.classes = np.arange(256, dtype=np.uint8) if classes is None else classes
        self.stacks = [np.ascontiguousarray(np.moveaxis(stack, 0, -1), dtype=np.float32) for stack in stacks]
        self.labels = [np.ascontiguousarray(label, dtype=np.uint8) for label in labels]
        self.augmenter, self.seed, self.epoch, self.threads, self.pool = augmenter, seed, 0, threads, pool
        self.channel_std = np.stack([stack.std(axis=(0, 1)) for stack in self.stacks]).mean(axis=0)
        self.n_samples = samples_per_epoch or self._covering()
        self.batches = even_batches(self.n_samples, batch_size)
        self.shares = class_shares(counts, class_balanced=class_balanced, sound_fraction=sound_fraction)
        self.places = [] if self.shares is None else self._places(len(counts))

    def _covering(self) -> int:
        crop = self.augmenter.crop_px
        if crop is None:
            return len(self.labels)
        return sum(max(1, round(label.size / crop**2)) for label in self.labels)

    def _places(self, n_classes: int) -> list[NDArray[np.int64]]:
        """For each class, the positions of its pixels in the chain of all cases' flattened maps."""
        chain = self.classes[np.concatenate([label.ravel() for label in self.labels])]
        return [np.flatnonzero(chain == k) for k in range(n_classes)]

    def __len__(self) -> int:
        return len(self.batches)

    def draw(self, epoch: int) -> list[tuple[int, tuple[int, int] | None]]:
        """Return the case of each sample of an epoch and, where classes are balanced, the pixel it is placed on."""
        rng = np.random.default_rng([self.seed, epoch])
        number = len(self.labels)
        taking_part = np.ones(number, dtype=bool) if self.pool is None else self.pool(epoch)
        if self.shares is None:
            cases = [np.flatnonzero(taking_part)]
            return [(int(case), None) for case in draw_balanced(cases, np.ones(1), self.n_samples, rng)]
        starts = np.cumsum([0, *(label.size for label in self.labels)])
        members = self.places
        if self.pool is not None:
            members = [part[taking_part[np.searchsorted(starts, part, side="right") - 1]] for part in members]
        places = draw_balanced(members, self.shares, self.n_samples, rng)
        result: list[tuple[int, tuple[int, int] | None]] = []
        for place in places:
            case = int(np.searchsorted(starts, place, side="right")) - 1
            row, column = divmod(int(place - starts[case]), self.labels[case].shape[1])
            result.append((case, (row, column)))
        return result

    def sample(self, index: int, epoch: int, case: int, focus: tuple[int, int] | None) -> Sample:
        """Prepare one sample."""
        rng = np.random.default_rng([self.seed, epoch, 1 + index])
        return self.augmenter(self.stacks[case], self.labels[case], rng, focus=focus, channel_std=self.channel_std)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, plan = self.epoch, self.draw(self.epoch)

        def prepare(index: int) -> Sample:
            return self.sample(index, epoch, *plan[index])

        with ThreadPoolExecutor(max_workers=max(1, self.threads)) as pool:
            for part in self.batches:
                yield stack_pair(list(pool.map(prepare, range(part.start, part.stop))))
