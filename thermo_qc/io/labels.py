"""Label images become truth: every connected region of one label is one defect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import TruthError
from thermo_qc.sequence import Defect, Truth

__all__ = ["MAX_DEPTH_MM", "check_depths", "truth_from_labels"]

MAX_DEFECTS = 32767
MAX_DEPTH_MM = 1e6


def truth_from_labels(
    labels: NDArray[Any],
    *,
    depths_mm: Mapping[int, float] | None = None,
    names: Mapping[int, str] | None = None,
    origin: Path | str = "mask",
) -> Truth:
    """Give a number to each of the connected regions (8 neighbours) of each label other than 0.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        0 is sound, every other value a label.
    depths_mm : mapping of int to float, optional
        Depth from the inspected face of the defects with a label, mm.
    names : mapping of int to str, optional
        Names of labels; the value itself stands in.
    origin : Path or str
        Opens the message of an error.

    Returns
    -------
    Truth
        Defects numbered from 1, by label and then from top to bottom.

    Raises
    ------
    TruthError
        When there are more than 32767 regions, or a depth is given for a label that is not there.
    """
    depths, names = dict(depths_mm or {}), dict(names or {})
    values = [int(value) for value in np.unique(labels) if value != 0]
    check_depths(depths, values, origin)
    index = np.zeros(labels.shape, dtype=np.int32)
    depth = np.full(labels.shape, np.nan, dtype=np.float32)
    defects: list[Defect] = []
    for value in values:
        regions, count = ndimage.label(labels == value, structure=np.ones((3, 3)))
        if len(defects) + count > MAX_DEFECTS:
            raise TruthError(f"{origin}: more than {MAX_DEFECTS} separate regions; is this a mask and not a picture?")
        index[regions > 0] = regions[regions > 0] + len(defects)
        depth[regions > 0] = depths.get(value, np.nan)
        stem = names.get(value, str(value))
        for part in range(1, count + 1):
            name = stem if count == 1 else f"{stem}.{part}"
            defects.append(Defect(number=len(defects) + 1, depth_mm=depths.get(value), name=name))
    return Truth(defect_index=index.astype(np.int16), depth_mm=depth, defects=tuple(defects))


def check_depths(depths: Mapping[Any, float], labels: list[Any], origin: Path | str) -> None:
    """Refuse depths of labels that are not there, and depths that are not positive."""
    for label, depth in depths.items():
        if label not in labels:
            there = ", ".join(str(value) for value in labels[:20]) or "none"
            raise TruthError(
                f"{origin}: a depth is given for label {label}, which is not in the mask; labels there: {there}"
            )
        if not 0 < depth <= MAX_DEPTH_MM:
            raise TruthError(f"{origin}: label {label} has depth {depth} mm, expected a positive number")
