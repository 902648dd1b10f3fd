"""From easy to hard: which training cases take part in an epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import choose
from thermo_qc.sequence import IGNORE_LABEL
from thermo_qc.training.acquisitions import SimulatedPlate
from thermo_qc.training.datasets import Case

__all__ = ["EASE", "Curriculum", "contrast_of", "defect_share_of", "plan_curriculum", "plate_curriculum"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Curriculum:
    """Cases in the order in which they join the training.

    Parameters
    ----------
    order : ndarray of int64, shape (n_cases,)
        Cases from the easiest to the hardest.
    first : int
        Cases of the first epoch.
    last_epoch : float
        Epoch from which all take part; between, their number grows linearly.
    """

    order: NDArray[np.int64]
    first: int
    last_epoch: float

    def number(self, epoch: int) -> int:
        """Return how many cases take part in an epoch."""
        share = min(1.0, epoch / self.last_epoch)
        return math.floor(self.first + share * (self.order.size - self.first) + 1e-9)

    def pool(self, epoch: int) -> NDArray[np.bool_]:
        """Say of every case whether it takes part in an epoch, bool (n_cases,)."""
        chosen = np.zeros(self.order.size, dtype=bool)
        chosen[self.order[: self.number(epoch)]] = True
        return chosen


def plan_curriculum(
    cases: Sequence[Case], *, by: str, start_fraction: float, epochs_fraction: float, epochs: int
) -> Curriculum:
    """Sort cases by how easy they are.

    Parameters
    ----------
    cases : sequence of Case
        Training cases.
    by : str
        A name of `EASE`.
    start_fraction : float
        Share of the cases in the first epoch; more where they lack a class that the others have.
    epochs_fraction : float
        Share of the epochs after which all cases take part.
    epochs : int
        Epochs of the whole training.

    Returns
    -------
    Curriculum

    Raises
    ------
    UnknownNameError
        When the measure is unknown.

    References
    ----------
    Bengio, Y., Louradour, J., Collobert, R., Weston, J. (2009). Curriculum learning. ICML.
    https://doi.org/10.1145/1553374.1553380
    """
    measure = choose(EASE, by, "measure of a curriculum")
    order = np.argsort([-measure(case) for case in cases], kind="stable")
    first = max(1, math.ceil(start_fraction * len(cases) - 1e-9), _enough(cases, order))
    return Curriculum(order=order, first=first, last_epoch=max(1.0, epochs_fraction * epochs))


def plate_curriculum(
    plates: Sequence[SimulatedPlate], *, start_fraction: float, epochs_fraction: float, epochs: int
) -> Curriculum:
    """Sort the plates of a corpus by how much their defects stand out.

    Parameters
    ----------
    plates : sequence of SimulatedPlate
        Training plates; the median of their defects' detectability indices counts, and plates without defects stand in
        the middle of the others.
    start_fraction, epochs_fraction : float
        As for `plan_curriculum`.
    epochs : int
        Epochs of the whole training.

    Returns
    -------
    Curriculum
    """
    found = np.array([float(np.median([*plate.indices.values()])) if plate.indices else np.nan for plate in plates])
    known = np.isfinite(found)
    ease = np.where(known, found, np.median(found[known]) if known.any() else 0.0)
    order = np.argsort(-ease, kind="stable")
    first = max(1, math.ceil(start_fraction * len(plates) - 1e-9))
    if known.any():
        first = max(first, 1 + int(np.flatnonzero(known[order])[0]))
    return Curriculum(order=order, first=first, last_epoch=max(1.0, epochs_fraction * epochs))


def _enough(cases: Sequence[Case], order: NDArray[np.int64]) -> int:
    """Smallest number of the easiest cases that hold every class."""
    classes = [set(np.unique(cases[i].class_map[cases[i].labelled]).tolist()) for i in order]
    wanted, seen = set().union(*classes), set[int]()
    for number, found in enumerate(classes, start=1):
        seen |= found
        if seen >= wanted:
            return number
    return len(cases)


def defect_share_of(case: Case) -> float:
    """Share of the labelled pixels that are defects; infinite without defects: nothing is to be found there."""
    labels = case.class_map[case.labelled]
    share = float((labels > 0).mean()) if labels.size else 0.0
    return share if share > 0 else math.inf


def contrast_of(case: Case) -> float:
    """Largest difference over time between a defect class and sound, in units of the scatter of the sound pixels.

    The weakest class of a case counts. Infinite without defects, 0 without sound pixels.
    """
    labels = case.class_map
    defects = [k for k in np.unique(labels) if k not in (0, IGNORE_LABEL)]
    if not defects:
        return math.inf
    if not (labels == 0).any():
        return 0.0
    best = np.zeros(len(defects))
    for _, block in case.sequence.blocks():
        sound = block[:, labels == 0]
        scatter = np.maximum(np.nanstd(sound, axis=1), 1e-12)
        level = np.nanmean(sound, axis=1)
        for position, k in enumerate(defects):
            signal = np.abs(np.nanmean(block[:, labels == k], axis=1) - level) / scatter
            best[position] = max(best[position], float(np.nanmax(signal, initial=0.0)))
    return float(best.min())


EASE = {"contrast": contrast_of, "defect_share": defect_share_of}
