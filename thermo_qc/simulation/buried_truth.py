"""Buried defects as entries and pixels of the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.sequence import Defect, Truth
from thermo_qc.simulation.buried import BuriedDefect

__all__ = ["buried_defects", "with_buried"]


def buried_defects(items: Sequence[BuriedDefect], n_holes: int) -> tuple[Defect, ...]:
    """List buried defects as `Defect` entries, numbered after the holes."""
    return tuple(
        Defect(
            number=n_holes + position,
            depth_mm=item.depth_mm,
            diameter_mm=2 * float(np.sqrt(item.area_mm2 / np.pi)),
            name=item.name or f"B{position}",
        )
        for position, item in enumerate(items, start=1)
    )


def with_buried(
    truth: Truth, items: Sequence[BuriedDefect], x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]
) -> Truth:
    """Add buried defects to a truth; of several above one another, the one nearest to the face takes the pixel.

    Parameters
    ----------
    truth : Truth
        Of the holes.
    items : sequence of BuriedDefect
        Delaminations and inclusions.
    x_mm, y_mm : ndarray of float64, shape (Y, X)
        Plate coordinates of the pixel centres.

    Raises
    ------
    ConfigError
        When two defects have one name.
    """
    if not items:
        return truth
    defects = (*truth.defects, *buried_defects(items, len(truth.defects)))
    names = [defect.name for defect in defects]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"several defects are called {', '.join(twice)}; give each its own name")
    index, depth = truth.defect_index.copy(), truth.depth_mm.copy()
    for item, defect in zip(items, defects[len(truth.defects) :], strict=True):
        inside = item.covers(x_mm, y_mm) & (index >= 0) & ~(depth <= item.depth_mm)
        index[inside], depth[inside] = defect.number, item.depth_mm
    return replace(truth, defect_index=index, depth_mm=depth, defects=defects)
