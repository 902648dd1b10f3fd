"""Training on a corpus: loss of classes and depth together, and batches drawn anew every epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import threadpoolctl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from thermo_qc.representation import PhysicalRepresentation
from thermo_qc.sequence import IGNORE_LABEL
from thermo_qc.training.acquisitions import AcquisitionRanges, Sample, SimulatedPlate, draw_acquisition

__all__ = ["AcquisitionBatches", "DefectAndDepthLoss", "depth_likelihood"]

_AHEAD = 6
_NEAR_PX = 4
_LOG_VARIANCE = (-7.0, 3.0)
_SMOOTH = 5.0
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


class DefectAndDepthLoss(nn.Module):
    """Cross-entropy and soft Dice of the defect class, and the Gaussian likelihood of the depth where a defect is.

    Parameters
    ----------
    defect_weight : float
        Weight of a defect pixel in the cross-entropy over that of a sound one.
    dice, depth : float
        Weights of the two other terms.
    depth_beta : float
        Power of the stated variance that each pixel's likelihood is multiplied by: 0 is the likelihood itself, which
        learns little where it is unsure; 1 weighs all errors alike.

    References
    ----------
    Kendall, A., Gal, Y. (2017). What uncertainties do we need in Bayesian deep learning for computer vision? NeurIPS.
    https://doi.org/10.48550/arXiv.1703.04977

    Seitzer, M. et al. (2022). On the pitfalls of heteroscedastic uncertainty estimation with probabilistic neural
    networks. ICLR. https://doi.org/10.48550/arXiv.2203.09168
    """

    def __init__(
        self, *, defect_weight: float = 2.0, dice: float = 0.5, depth: float = 0.2, depth_beta: float = 0.0
    ) -> None:
        super().__init__()
        self.defect_weight, self.dice, self.depth, self.depth_beta = defect_weight, dice, depth, depth_beta

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of outputs (B, 4, Y, X) against (B, 3, Y, X): class, ln of the relative depth, its weight."""
        labels, wanted, importance = target[:, 0].long(), target[:, 1], target[:, 2]
        used = labels != IGNORE_LABEL
        weights = outputs.new_tensor([1.0, self.defect_weight])
        logits = outputs[:, :2].float()
        entropy = functional.cross_entropy(
            logits, torch.where(used, labels, -100), weight=weights, ignore_index=-100, reduction="sum"
        )
        entropy = entropy / weights[labels.clamp_max(1)][used].sum().clamp_min(1.0)
        probability, truth = logits.softmax(dim=1)[:, 1] * used, (labels == 1).float()
        overlap = 2 * (probability * truth).sum((1, 2)) + _SMOOTH
        dice = 1 - overlap / (probability.sum((1, 2)) + truth.sum((1, 2)) + _SMOOTH)
        defect = labels == 1
        stated = outputs[:, 2:4].movedim(1, -1)[defect].float()
        likelihood = depth_likelihood(stated, wanted[defect], beta=self.depth_beta)
        depth = (importance[defect] * likelihood).sum() / importance[defect].sum().clamp_min(1.0)
        loss: Tensor = entropy + self.dice * dice.mean() + self.depth * depth
        return loss


def depth_likelihood(stated: Tensor, wanted: Tensor, *, beta: float) -> Tensor:
    """Negative logarithm of the Gaussian likelihood of logarithmic depths, as in `DefectAndDepthLoss`.

    Parameters
    ----------
    stated : Tensor, shape (N, 2)
        Mean and log variance.
    wanted : Tensor, shape (N,)
        True values.
    beta : float
        See `DefectAndDepthLoss`.

    Returns
    -------
    Tensor, shape (N,)
        Without the constant.
    """
    mean, variance = stated[:, 0], stated[:, 1].clamp(*_LOG_VARIANCE)
    likelihood = 0.5 * (torch.exp(-variance) * (wanted - mean) ** 2 + variance)
    return likelihood * torch.exp(beta * variance.detach()) if beta > 0 else likelihood


class AcquisitionBatches:
    """Random crops of acquisitions drawn from the plates of a corpus; sample i depends on (seed, epoch, i) alone.

    Parameters
    ----------
    plates : sequence of SimulatedPlate
        The corpus.
    representation : PhysicalRepresentation
        What the network sees.
    ranges : AcquisitionRanges
        Cameras and recordings.
    batch_size, samples_per_epoch : int
        Plates in a batch and in an epoch.
    crop_px : int
        Edge of the crops; smaller plates are padded with pixels that count for nothing.
    seed : int
        Of all draws.
    threads : int
        Threads that draw ahead of the training.
    n_pixels : int, optional
        Pixels of each crop that count, for networks that look at each pixel apart: up to a quarter of them in defects,
        a quarter next to one, the others anywhere. All of them without it.
    pool : callable, optional
        Epoch -> which plates take part, bool (n_plates,).
    """

    def __init__(
        self,
        plates: Sequence[SimulatedPlate],
        *,
        representation: PhysicalRepresentation,
        ranges: AcquisitionRanges,
        batch_size: int,
        samples_per_epoch: int,
        crop_px: int,
        seed: int,
        threads: int = 1,
        n_pixels: int | None = None,
        pool: Callable[[int], NDArray[np.bool_]] | None = None,
    ) -> None:
        self.plates, self.representation, self.ranges = list(plates), representation, ranges
        self.batch_size, self.n_batches = batch_size, max(1, samples_per_epoch // batch_size)
        self.batches = [slice(first * batch_size, (first + 1) * batch_size) for first in range(self.n_batches)]
        self.crop_px, self.seed, self.threads, self.epoch = crop_px, seed, threads, 0
        self.n_pixels, self.pool = n_pixels, pool

    def __len__(self) -> int:
        return len(self.batches)

    def sample(self, epoch: int, index: int, plate: int) -> Pair:
        """Draw one crop: stack (C, P, P) and target (3, P, P)."""
        rng = np.random.default_rng([self.seed, epoch, 1 + index])
        drawn = draw_acquisition(self.plates[plate], rng, self.representation, self.ranges)
        stack, target = _turned(_cropped(drawn, self.crop_px, rng), rng)
        if self.n_pixels is not None:
            target[0] = _sampled(target[0], self.n_pixels, rng)
        return stack, target

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, size = self.epoch, self.batch_size
        rng = np.random.default_rng([self.seed, epoch])
        known = np.arange(len(self.plates)) if self.pool is None else np.flatnonzero(self.pool(epoch))
        rounds = -(-self.n_batches * size // known.size)
        order = np.concatenate([known[rng.permutation(known.size)] for _ in range(rounds)])
        waiting: deque[list[Future[Pair]]] = deque()
        one_each = threadpoolctl.threadpool_limits(1, user_api="blas")  # waiting threads take the cores from training
        with one_each, ThreadPoolExecutor(max_workers=max(1, self.threads)) as pool:
            for number in range(len(self.batches) + _AHEAD):
                if number < len(self.batches):
                    part = self.batches[number]
                    waiting.append(
                        [pool.submit(self.sample, epoch, i, int(order[i])) for i in range(part.start, part.stop)]
                    )
                if number >= _AHEAD or number >= len(self.batches):
                    if not waiting:
                        return
                    yield _together([future.result() for future in waiting.popleft()])


def _together(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    stacks = torch.from_numpy(np.stack([stack for stack, _ in pairs])).to(memory_format=torch.channels_last)
    return stacks, torch.from_numpy(np.stack([target for _, target in pairs]))


def _cropped(drawn: Sample, edge: int, rng: np.random.Generator) -> Pair:
    height, width = drawn.labels.shape
    target = np.stack([drawn.labels.astype(np.float32), drawn.log_depth, drawn.depth_weight])
    missing = [(0, max(0, edge - length)) for length in (height, width)]
    stack = np.pad(drawn.stack, [(0, 0), *missing])
    target = np.pad(target, [(0, 0), *missing])
    target[0, height:, :] = IGNORE_LABEL
    target[0, :, width:] = IGNORE_LABEL
    row, column = (int(rng.integers(0, length - edge + 1)) for length in stack.shape[1:])
    window = (slice(None), slice(row, row + edge), slice(column, column + edge))
    return stack[window], target[window]


def _turned(pair: Pair, rng: np.random.Generator) -> Pair:
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
    stack, target = (np.rot90(part[..., ::-1] if mirrored else part, turns, axes=(1, 2)) for part in pair)
    return np.ascontiguousarray(stack), np.ascontiguousarray(target)


def _sampled(labels: NDArray[np.float32], n_pixels: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Leave out all labels but `n_pixels`: defects, what is next to them, and the rest."""
    usable = labels != IGNORE_LABEL
    defect = (labels == 1).astype(np.uint8)
    near = cv2.dilate(defect, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _NEAR_PX + 1,) * 2)) > defect
    chosen = np.zeros(labels.shape, dtype=bool)
    for part, number in ((defect > 0, n_pixels // 4), (near & usable, n_pixels // 4), (usable, n_pixels)):
        left = np.flatnonzero(part & ~chosen)
        count = min(left.size, number, n_pixels - int(chosen.sum()))
        chosen.flat[rng.choice(left, size=count, replace=False)] = True
    return np.where(chosen, labels, np.float32(IGNORE_LABEL))
