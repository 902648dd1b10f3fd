"""What lies beyond the border of an image that a plate reaches: its last pixels go on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BEYOND_PX", "Sides", "continued", "within"]

BEYOND_PX = 16
Sides = tuple[tuple[int, int], tuple[int, int]]


def continued(
    stack: NDArray[np.float32], valid: NDArray[np.bool_], margin_px: int = BEYOND_PX
) -> tuple[NDArray[np.float32], Sides]:
    """Continue a stack beyond the sides that the plate reaches with what its last pixels show.

    Convolutions take zeros for what lies beyond, which looks like the end of every defect, although a camera that does
    not see the end of a plate does not see that of a defect there either.

    Parameters
    ----------
    stack : ndarray of float32, shape (C, Y, X)
        What a network sees, 0 outside the plate.
    valid : ndarray of bool, shape (Y, X)
        Pixels of the plate.
    margin_px : int
        How far it is continued.

    Returns
    -------
    stack : ndarray of float32, shape (C, Y + a, X + b)
        The same array where the plate reaches no side.
    sides : tuple of tuple of int
        Pixels added before and after in y and in x, for `within`.
    """
    reached = (valid[0], valid[-1]), (valid[:, 0], valid[:, -1])
    (above, below), (left, right) = ((margin_px * int(line.any()) for line in pair) for pair in reached)
    sides = (above, below), (left, right)
    if not above + below + left + right:
        return stack, sides
    return np.pad(stack, ((0, 0), *sides), mode="edge"), sides


def within(stack: NDArray[np.float32], sides: Sides) -> NDArray[np.float32]:
    """Return the part of an array (..., Y + a, X + b) that lies within the image, a view."""
    (above, below), (left, right) = sides
    height, width = stack.shape[-2:]
    return stack[..., above : height - below, left : width - right]
