"""The grid of the heat conduction solver: columns of cells on the plate, nodes through its thickness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.plate import Hole, PlateSpec
from thermo_qc.sequence import Material
from thermo_qc.simulation.buried import BuriedDefect, Filling, LayerOf, fill_layers, filling_of
from thermo_qc.simulation.conditions import check_range
from thermo_qc.simulation.shapes import covered_share

__all__ = ["PlateGrid", "build_grid", "depth_nodes_mm", "hole_fraction"]

_GRADING = 20.0  # size of the deepest cells over that of the cells at the inspected face
_EVEN = 1.001
_LEVELS = 32  # a cell's hole fraction is a multiple of 1 / _LEVELS, so that cells share their factors
_POINTS = 32  # points per side of a cell that are tested for lying in a hole
_SAME_DEPTH_MM = 1e-3
_MAX_UNKNOWNS = 2 * 10**8


@dataclass(frozen=True, kw_only=True, eq=False)
class PlateGrid:
    """Cells and nodes.

    Parameters
    ----------
    x_mm, y_mm : ndarray of float64, shapes (X,) and (Y,)
        Cell centres in plate coordinates; the cells cover the plate exactly.
    cell_x_mm, cell_y_mm : float
        Size of a cell.
    z_mm : ndarray of float64, shape (Z,)
        Depth of the nodes, 0 at the inspected face, the last one at the back; every hole floor is a node.
    hole : ndarray of float64, shape (Y, X)
        Fraction of the cell's area that a hole takes, 0 to 1.
    floor : ndarray of int64, shape (Y, X)
        Index of the node at that hole's floor; the last node where there is none.
    buried : ndarray of float64, shape (B, Y, X)
        Share of the cell that each buried defect takes.
    fillings : tuple of Filling
        What each buried defect does.
    base : ndarray of float64, shape (4, Z - 1)
        Conductivities through, along x and y, and heat capacity of each interval over the plate's nominal ones.
    """

    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    cell_x_mm: float
    cell_y_mm: float
    z_mm: NDArray[np.float64]
    hole: NDArray[np.float64]
    floor: NDArray[np.int64]
    buried: NDArray[np.float64]
    fillings: tuple[Filling, ...]
    base: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y_mm.size, self.x_mm.size

    @property
    def cell_area_m2(self) -> float:
        """Area of one cell, m2."""
        return self.cell_x_mm * self.cell_y_mm * 1e-6


def depth_nodes_mm(
    thickness_mm: float, floors_mm: tuple[float, ...], n_cells: int, *, grading: float = _GRADING
) -> NDArray[np.float64]:
    """Place nodes through the thickness, close together near the face, one exactly at every hole floor.

    Parameters
    ----------
    thickness_mm : float
        Plate thickness.
    floors_mm : tuple of float
        Depths that must be nodes.
    n_cells : int
        Number of intervals between nodes.
    grading : float
        Size of the deepest cells over that of the cells at the inspected face, above 1.

    Returns
    -------
    ndarray of float64, shape (n_cells + 1,)

    Raises
    ------
    ConfigError
        When there are fewer cells than the hole depths need.
    """
    breaks = [0.0]
    for depth in [*sorted(floors_mm), thickness_mm]:
        if depth - breaks[-1] > _SAME_DEPTH_MM:
            breaks.append(depth)
    breaks[-1] = thickness_mm
    stretched = np.log1p((grading - 1) * np.array(breaks) / thickness_mm) / np.log(grading)
    needed = np.ones(len(breaks) - 1, dtype=np.int64)
    needed[0] = 3  # the shallowest hole needs a resolved ligament
    if n_cells < needed.sum():
        raise ConfigError(
            f"solver.depth_cells is {n_cells}, but {len(breaks) - 2} hole depths need at least {needed.sum()}; raise "
            "it (sides of layers and buried defects count as such depths)"
        )
    counts = _apportion(np.diff(stretched), needed, n_cells)
    parts = [
        np.linspace(a, b, count, endpoint=False) for a, b, count in zip(stretched, stretched[1:], counts, strict=False)
    ]
    nodes = thickness_mm * (grading ** np.append(np.concatenate(parts), 1.0) - 1) / (grading - 1)
    nodes[np.append(0, np.cumsum(counts))] = breaks
    return np.asarray(nodes, dtype=np.float64)


def _apportion(shares: NDArray[np.float64], needed: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Spread cells over intervals: at least `needed`, each next one where the cells are longest for their share."""
    counts = needed.copy()
    for _ in range(total - int(needed.sum())):
        counts[int(np.argmax(shares / counts))] += 1
    return counts


def hole_fraction(
    hole: Hole, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64], cell_x_mm: float, cell_y_mm: float
) -> NDArray[np.float64]:
    """Share of each cell that lies in the hole, on the cells with these centres.

    Parameters
    ----------
    hole : Hole
        The hole.
    x_mm, y_mm : ndarray of float64, shapes (X,) and (Y,)
        Cell centres.
    cell_x_mm, cell_y_mm : float
        Cell size.

    Returns
    -------
    ndarray of float64, shape (Y, X)
        0 to 1, from 32 x 32 points in each cell.
    """
    radius = hole.diameter_mm / 2
    rows = np.flatnonzero(np.abs(y_mm - hole.y_mm) < radius + cell_y_mm)
    columns = np.flatnonzero(np.abs(x_mm - hole.x_mm) < radius + cell_x_mm)
    offsets = (np.arange(_POINTS) + 0.5) / _POINTS - 0.5
    x2 = (x_mm[columns, None] + offsets * cell_x_mm - hole.x_mm) ** 2
    y2 = (y_mm[rows, None] + offsets * cell_y_mm - hole.y_mm) ** 2
    inside = y2[:, None, :, None] + x2[None, :, None, :] <= radius**2
    fraction = np.zeros((y_mm.size, x_mm.size))
    fraction[rows[:, None], columns] = inside.mean(axis=(2, 3))
    return fraction


def build_grid(
    plate: PlateSpec,
    *,
    lateral_mm: float,
    depth_cells: int,
    floors_mm: tuple[float, ...] | None = None,
    material: Material | None = None,
    buried: Sequence[BuriedDefect] = (),
    layers: Sequence[LayerOf] = (),
    even: bool = False,
) -> PlateGrid:
    """Cover a plate with cells.

    A cell that a hole cuts keeps the hole's share of its area as a fraction (in steps of 1/32): its nodes below the
    floor of the hole hold that much less material, conduct through that much less area, and the floor has that area.
    So the area of a hole, hence its effective diameter, is right at any cell size.

    Parameters
    ----------
    plate : PlateSpec
        Geometry.
    lateral_mm : float
        Wanted cell size; the real one divides the plate evenly.
    depth_cells : int
        Number of intervals through the thickness.
    floors_mm : tuple of float, optional
        Depths that must be nodes; those of the plate's holes, layers and buried defects when None.
    material : Material, optional
        Constants that layers and inclusions are compared with; the plate's when None.
    buried : sequence of BuriedDefect
        Delaminations and inclusions.
    layers : sequence of LayerOf
        Layers of other materials.
    even : bool
        Nodes at nearly even distances rather than close together near the face.

    Returns
    -------
    PlateGrid

    Raises
    ------
    ConfigError
        When the cells are larger than the plate, too many, or too few through the thickness.
    """
    check_range("solver.lateral_mm", lateral_mm, low=0, high=min(plate.width_mm, plate.height_mm), open_low=True)
    n_x, n_y = max(1, round(plate.width_mm / lateral_mm)), max(1, round(plate.height_mm / lateral_mm))
    if n_x * n_y * (depth_cells + 1) > _MAX_UNKNOWNS:
        raise ConfigError(
            f"solver.lateral_mm {lateral_mm:g} with {depth_cells} depth cells makes "
            f"{n_x * n_y * (depth_cells + 1):.2g} unknowns, the limit is {_MAX_UNKNOWNS:.0g}; use larger cells"
        )
    cell_x, cell_y = plate.width_mm / n_x, plate.height_mm / n_y
    x = np.linspace(cell_x / 2, plate.width_mm - cell_x / 2, n_x)
    y = np.linspace(cell_y / 2, plate.height_mm - cell_y / 2, n_y)
    floors = needed_depths_mm(plate, buried, layers) if floors_mm is None else floors_mm
    z = depth_nodes_mm(plate.thickness_mm, floors, depth_cells, grading=_EVEN if even else _GRADING)
    nominal = material or plate.material
    fillings = tuple(filling_of(item, z, nominal) for item in buried)
    shares = [np.rint(covered_share(item, x, y, cell_x, cell_y) * _LEVELS) / _LEVELS for item in buried]
    taken = np.zeros((n_y, n_x))
    floor = np.full((n_y, n_x), z.size - 1, dtype=np.int64)
    for hole in plate.holes:
        part = np.rint(hole_fraction(hole, x, y, cell_x, cell_y) * _LEVELS) / _LEVELS
        wins = part > taken  # where two holes share a cell, the one that takes more of it stays
        taken[wins] = part[wins]
        floor[wins] = int(np.argmin(np.abs(z - hole.depth_mm)))
    return PlateGrid(
        x_mm=x,
        y_mm=y,
        cell_x_mm=cell_x,
        cell_y_mm=cell_y,
        z_mm=z,
        hole=taken,
        floor=floor,
        buried=np.stack(shares) if shares else np.zeros((0, n_y, n_x)),
        fillings=fillings,
        base=fill_layers(layers, z, nominal),
    )


def needed_depths_mm(
    plate: PlateSpec, buried: Sequence[BuriedDefect] = (), layers: Sequence[LayerOf] = ()
) -> tuple[float, ...]:
    """Depths that must be nodes: floors of holes, both sides of layers and buried defects."""
    items: list[BuriedDefect | LayerOf] = [*buried, *layers]
    spans = [depth for item in items for depth in item.span_mm]
    inside = [depth for depth in spans if 1e-3 < depth < plate.thickness_mm - 1e-3]
    return (*(hole.depth_mm for hole in plate.holes), *inside)
