"""A strip along one edge of a recording for validation, apart from the rest by a guard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import FoldError
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["validation_strip"]

Mask = NDArray[np.bool_]


def validation_strip(class_map: NDArray[np.uint8], fraction: float, *, guard_px: int) -> tuple[Mask, Mask]:
    """Choose the edge whose strip shares out every class best.

    Parameters
    ----------
    class_map : ndarray of uint8, shape (Y, X)
        0 sound, 1..K, 255 not to be used.
    fraction : float
        Share of the labelled height or width that the strip takes.
    guard_px : int
        Pixels between the strip and what is trained on.

    Returns
    -------
    train, validation : ndarray of bool, shape (Y, X)
        Labelled pixels of both parts.

    Raises
    ------
    FoldError
        When strip and guard leave no edge with defects on both sides.
    """
    labelled = class_map != IGNORE_LABEL
    best, lowest = None, np.inf
    for strip, kept in _edges(labelled, fraction, guard_px):
        validation, train = labelled & strip, labelled & kept
        if not ((class_map[train] > 0).any() and (class_map[validation] > 0).any() and (class_map[train] == 0).any()):
            continue
        badness = _badness(class_map, train, validation, fraction)
        if badness < lowest:
            best, lowest = (train, validation), badness
    if best is None:
        raise FoldError(
            f"a validation strip of {fraction:.0%} with a guard of {guard_px} px has no defects on both sides of it; "
            "set train.validation_fraction to 0, change it, or give a smaller folds.guard_mm or more recordings"
        )
    return best


def _edges(labelled: Mask, fraction: float, guard_px: int) -> list[tuple[Mask, Mask]]:
    """For each of the four edges, the strip and the area beyond its guard."""
    result = []
    for axis in (0, 1):
        used = np.flatnonzero(labelled.any(axis=1 - axis))
        if used.size == 0:
            continue
        first, last = int(used[0]), int(used[-1]) + 1
        width = max(1, round(fraction * (last - first)))
        shape = (-1, 1) if axis == 0 else (1, -1)
        place = np.arange(labelled.shape[axis]).reshape(shape)
        full = np.ones(labelled.shape, dtype=bool)
        result.append((full & (place < first + width), full & (place >= first + width + guard_px)))
        result.append((full & (place >= last - width), full & (place < last - width - guard_px)))
    return result


def _badness(class_map: NDArray[np.uint8], train: Mask, validation: Mask, fraction: float) -> float:
    """Sum over the classes of how far their validation share is off; a class that training lacks counts most."""
    total = 0.0
    for label in np.unique(class_map[class_map != IGNORE_LABEL]):
        here = class_map == label
        inside, outside = int((here & validation).sum()), int((here & train).sum())
        total += abs(inside / here.sum() - fraction) + (10.0 if outside == 0 else 0.0)
    return total
