"""Marks on the surface that look like defects but are none: patches, labels, scratches, paint runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.simulation.conditions import check_range
from thermo_qc.simulation.shapes import Outlined, covered_share

__all__ = ["Mark", "absorption_map"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mark(Outlined):
    """A mark on the inspected face; outlines as in `Outlined`.

    Parameters
    ----------
    emissivity : float
        In the camera's band, above 0 to 1.
    absorption : float
        Heat that it takes up from the lamps over what the unmarked surface does, 0 to 3.

    Raises
    ------
    ConfigError
        When a number is out of range.
    """

    emissivity: float = 0.8
    absorption: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("mark emissivity", self.emissivity, low=0, high=1, open_low=True)
        check_range("mark absorption", self.absorption, low=0, high=3)


def absorption_map(
    marks: Sequence[Mark], x_mm: NDArray[np.float64], y_mm: NDArray[np.float64], cell_x_mm: float, cell_y_mm: float
) -> NDArray[np.float64]:
    """Absorbed heat over that of an unmarked surface, float64 (Y, X); later marks lie on earlier ones."""
    level = np.ones((y_mm.size, x_mm.size))
    for mark in marks:
        share = covered_share(mark, x_mm, y_mm, cell_x_mm, cell_y_mm)
        level = level * (1 - share) + mark.absorption * share
    return level


def emissivity_map(
    marks: Sequence[Mark], x_mm: NDArray[np.float64], y_mm: NDArray[np.float64], nominal: float
) -> NDArray[np.float64]:
    """Emissivity at points of the plate, float64 of the shape of x; later marks lie on earlier ones."""
    emissivity = np.full(x_mm.shape, nominal)
    for mark in marks:
        emissivity[mark.covers(x_mm, y_mm)] = mark.emissivity
    return emissivity
