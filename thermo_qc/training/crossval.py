"""Training cases of a fold: labels outside it hidden (curves), or recordings cut around the held-out part (stacks)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import FoldError
from thermo_qc.sequence import IGNORE_LABEL
from thermo_qc.training.datasets import Case

__all__ = ["cut_out", "held_out_case"]

Rectangle = tuple[int, int, int, int]


def held_out_case(case: Case, train_mask: NDArray[np.bool_]) -> Case:
    """Return the case with every label outside the training mask hidden (255), for pixel-wise methods.

    Parameters
    ----------
    case : Case
        The whole case.
    train_mask : ndarray of bool, shape (Y, X)
        Pixels of the training fold.

    Raises
    ------
    FoldError
        When mask and case differ in size.
    """
    _check_shape(case, train_mask)
    return replace(case, class_map=np.where(train_mask, case.class_map, IGNORE_LABEL).astype(np.uint8))


def cut_out(case: Case, train_mask: NDArray[np.bool_], *, min_px: int = 32, min_gain: float = 0.03) -> list[Case]:
    """Cut a case into rectangles that contain no held-out pixel, so that no receptive field can reach one.

    Held out is every labelled pixel outside the training mask (test pixels and their guard ring). The rectangles may
    overlap; together they cover the training area as far as rectangles of this size can.

    Parameters
    ----------
    case : Case
        The whole case.
    train_mask : ndarray of bool, shape (Y, X)
        Pixels of the training fold.
    min_px : int
        Smallest edge of a rectangle.
    min_gain : float
        Fraction of the training pixels that one more rectangle must add.

    Returns
    -------
    list of Case
        Empty when the mask holds no labelled pixel; the case itself when nothing of it is held out.

    Raises
    ------
    FoldError
        When mask and case differ in size, or no rectangle of `min_px` fits beside the held-out part.

    Examples
    --------
    >>> parts = cut_out(case, splits.train_mask(0, case.key))  # doctest: +SKIP
    """
    _check_shape(case, train_mask)
    wanted = train_mask & case.labelled
    blocked = case.labelled & ~train_mask
    if not wanted.any():
        return []
    if not blocked.any():
        return [case]
    rectangles = cover(wanted, blocked, min_px=min_px, min_gain=min_gain)
    if not rectangles:
        raise FoldError(
            f"case '{case.key}' has no rectangle of {min_px} px without held-out pixels; use smaller blocks, a smaller "
            "guard_mm, or folds by acquisition or plate"
        )
    return [_part(case, rectangle) for rectangle in rectangles]


def cover(wanted: NDArray[np.bool_], blocked: NDArray[np.bool_], *, min_px: int, min_gain: float) -> list[Rectangle]:
    """Choose rectangles (top, bottom, left, right) free of blocked pixels, each adding the most wanted pixels.

    Parameters
    ----------
    wanted, blocked : ndarray of bool, shape (Y, X)
        Pixels to cover and pixels to avoid.
    min_px : int
        Smallest edge.
    min_gain : float
        Fraction of the wanted pixels that a rectangle must add.
    """
    candidates = np.array([box for box in maximal_rectangles(~blocked) if _large(box, min_px)], dtype=np.int64)
    chosen: list[Rectangle] = []
    left_over, total = wanted.copy(), int(wanted.sum())
    while len(candidates):
        gains = _sums(left_over, candidates)
        best = int(np.argmax(gains))
        if gains[best] < max(1.0, min_gain * total):
            break
        top, bottom, left, right = (int(edge) for edge in candidates[best])
        chosen.append((top, bottom, left, right))
        left_over[top:bottom, left:right] = False
    return chosen


def maximal_rectangles(free: NDArray[np.bool_]) -> Iterator[Rectangle]:
    """Iterate over rectangles of free pixels that cannot grow to the left, to the right or upwards.

    For each row, the heights of the free columns above it form a histogram; a stack finds its maximal rectangles.
    """
    heights = np.zeros(free.shape[1] + 1, dtype=np.int64)
    for row in range(free.shape[0]):
        heights[:-1] = np.where(free[row], heights[:-1] + 1, 0)
        if row + 1 < free.shape[0] and free[row + 1].all():
            continue  # every rectangle that ends here can grow downwards
        open_boxes: list[tuple[int, int]] = []
        for column, height in enumerate(heights.tolist()):
            start = column
            while open_boxes and open_boxes[-1][1] >= height:
                start, tall = open_boxes.pop()
                if tall > height:
                    yield row + 1 - tall, row + 1, start, column
            if height > 0:
                open_boxes.append((start, height))


def _large(box: Rectangle, min_px: int) -> bool:
    return box[1] - box[0] >= min_px and box[3] - box[2] >= min_px


def _sums(mask: NDArray[np.bool_], boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the true pixels in each box by an integral image."""
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    table[1:, 1:] = mask.cumsum(0).cumsum(1)
    top, bottom, left, right = boxes.T
    return np.asarray(table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left])


def _part(case: Case, rectangle: Rectangle) -> Case:
    top, bottom, left, right = rectangle
    rows, columns = slice(top, bottom), slice(left, right)
    return Case(
        key=f"{case.key}[{top}:{bottom},{left}:{right}]",
        sequence=case.sequence.crop(rows, columns),
        class_map=case.class_map[rows, columns],
    )


def _check_shape(case: Case, train_mask: NDArray[np.bool_]) -> None:
    if train_mask.shape != case.class_map.shape:
        raise FoldError(
            f"training mask of case '{case.key}' has shape {train_mask.shape}, the case has {case.class_map.shape}; "
            "make the splits from the same recordings"
        )
