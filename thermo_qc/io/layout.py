"""Order of axes of arrays that do not name theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError

__all__ = ["arrange", "axis_order", "check_three_axes"]


def axis_order(axes: str) -> tuple[int, int, int]:
    """Axis of the stored array for time, row and column.

    Parameters
    ----------
    axes : str
        Names of the stored axes in their order, each of t, y and x once ("yxt").
    """
    return axes.index("t"), axes.index("y"), axes.index("x")


def check_three_axes(path: Path, field: str, shape: tuple[int, ...], kind: str) -> None:
    """Refuse what is no stack of frames of real numbers; `kind` is the NumPy letter of the type."""
    if kind not in "fiub":
        raise CorruptFileError(path, field, "real numbers", f"of type '{kind}'", "export plain real numbers")
    if len(shape) != 3 or 0 in shape:
        raise CorruptFileError(
            path, field, "three non-empty axes (time, row, column)", f"of shape {shape}", "export the whole sequence"
        )


def arrange(array: NDArray[Any], axes: str) -> NDArray[Any]:
    """Turn an array with named axes into (T, Y, X), contiguous; logical values become uint8."""
    stack = np.ascontiguousarray(np.transpose(array, axis_order(axes)))
    return stack.astype(np.uint8) if stack.dtype == bool else stack
