"""Heat conduction through the thickness, advanced exactly in time by matrix exponentials.

Each column of the plate is a chain of nodes with a handful of kinds: sound, or with a hole of one depth that takes one
share of the cell. A kind's semi-discrete system C du/dt = -K u + b is solved exactly over a step by its eigenvectors,
so the step is unconditionally stable, damps stiff modes at once (after a flash or a switch) and has no error in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.sequence import Material
from thermo_qc.simulation.grid import PlateGrid

__all__ = ["ColumnKinds", "Columns", "Intervals", "StepMatrices", "column_kinds", "intervals", "light_share"]

FRONT, BACK, FLOOR = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class ColumnKinds:
    """Kinds of columns of a grid; kind 0 is the sound column.

    Parameters
    ----------
    hole : ndarray of float64, shape (G,)
        Share of the cell that the hole takes.
    floor : ndarray of int64, shape (G,)
        Node at the floor.
    buried : ndarray of float64, shape (G, B)
        Share of the cell that each buried defect takes.
    columns : ndarray of int64, shape (M,)
        Flat indices of the columns that are not sound, grouped by kind.
    starts : ndarray of int64, shape (G,)
        Kind g >= 1 owns ``columns[starts[g - 1]:starts[g]]``.
    """

    hole: NDArray[np.float64]
    floor: NDArray[np.int64]
    buried: NDArray[np.float64]
    columns: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def of_column(self) -> NDArray[np.int64]:
        """Kind of each of `columns`, int64 (M,)."""
        return np.repeat(np.arange(1, self.hole.size), np.diff(self.starts))


def column_kinds(grid: PlateGrid) -> ColumnKinds:
    """Find the kinds of columns of a grid."""
    hole, floor = grid.hole.ravel(), grid.floor.ravel()
    buried = grid.buried.reshape(grid.buried.shape[0], hole.size)
    special = np.flatnonzero((hole > 0) | (buried > 0).any(axis=0))
    traits = np.stack([hole[special], floor[special].astype(np.float64), *buried[:, special]])
    pairs, kind = np.unique(traits, axis=1, return_inverse=True)
    order = np.argsort(kind.ravel(), kind="stable")
    counts = np.bincount(kind.ravel(), minlength=pairs.shape[1])
    return ColumnKinds(
        hole=np.append(0.0, pairs[0]),
        floor=np.append(grid.z_mm.size - 1, pairs[1].astype(np.int64)),
        buried=np.concatenate([np.zeros((1, buried.shape[0])), pairs[2:].T]),
        columns=special[order],
        starts=np.append(0, np.cumsum(counts)).astype(np.int64),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Intervals:
    """What fills the intervals between nodes of some columns; all float64 (N, Z - 1).

    Parameters
    ----------
    share : ndarray
        Share of the cell that holds any material.
    through, along_x, along_y, capacity : ndarray
        Conductance through, conductivities in the plane and heat capacity of that material over the plate's nominal
        ones.
    """

    share: NDArray[np.float64]
    through: NDArray[np.float64]
    along_x: NDArray[np.float64]
    along_y: NDArray[np.float64]
    capacity: NDArray[np.float64]


def intervals(
    grid: PlateGrid, hole: NDArray[np.float64], floor: NDArray[np.int64], buried: NDArray[np.float64]
) -> Intervals:
    """Find what fills columns with these holes (N,), floors (N,) and shares of buried defects (N, B)."""
    below = np.arange(grid.z_mm.size - 1) >= floor[:, None]
    through, along_x, along_y, capacity = (np.repeat(part[None], hole.size, axis=0) for part in grid.base)
    for filling, taken in zip(grid.fillings, buried.T, strict=True):
        part, share = slice(filling.first, filling.last), taken[:, None]
        own = through[:, part] * filling.through if filling.series else filling.through
        through[:, part] = (1 - share) * through[:, part] + share * own
        if not filling.series:
            for values, own in zip((along_x, along_y, capacity), (*filling.in_plane, filling.capacity), strict=True):
                values[:, part] = (1 - share) * values[:, part] + share * own
    material = np.where(below, 1.0 - hole[:, None], 1.0)
    return Intervals(share=material, through=through, along_x=along_x, along_y=along_y, capacity=capacity)


def light_share(
    grid: PlateGrid, kinds: ColumnKinds, *, side: str = "front", absorption_mm: float = 0.0
) -> NDArray[np.float64]:
    """Share of the light on a cell that each node takes up, float64 (G, Z)."""
    everyone, light = np.arange(kinds.hole.size), np.zeros((kinds.hole.size, grid.z_mm.size))
    if side == "back":
        light[:, -1] = 1.0 - kinds.hole
        light[everyone, kinds.floor] += kinds.hole
        return light
    if absorption_mm == 0:
        light[:, 0] = 1.0
        return light
    taken = -np.diff(np.exp(-grid.z_mm / absorption_mm))  # of each interval, then shared so that its centre is right
    height = np.diff(grid.z_mm)
    reach = grid.z_mm[:-1] + absorption_mm - height * np.exp(-grid.z_mm[1:] / absorption_mm) / np.maximum(taken, 1e-300)
    lower = taken * np.clip((reach - grid.z_mm[:-1]) / height, 0, 1)
    for kind, (hole, floor) in enumerate(zip(kinds.hole, kinds.floor, strict=True)):
        share = np.where(np.arange(height.size) >= floor, 1.0 - hole, 1.0)
        light[kind, :-1] += share * (taken - lower)
        light[kind, 1:] += share * lower
    return light


def node_heights_mm(z_mm: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of material that belongs to each node (half of both neighbouring intervals), float64 (..., Z), mm."""
    half = np.diff(z_mm) / 2 * share
    heights = np.zeros((*share.shape[:-1], z_mm.size))
    heights[..., :-1] += half
    heights[..., 1:] += half
    return heights


@dataclass(frozen=True, kw_only=True, eq=False)
class StepMatrices:
    """One step of one length: ``[u_new, loss] = matrices[g] @ [u, sources]`` for every kind g.

    Parameters
    ----------
    matrices : ndarray, shape (G, Z + 1, Z + S)
        The last row gives the heat that the linear losses take per area, J/m2; the last S columns take the
        sources: the light (W/m2), or with radiation front, back, hole floor and, where it is not the front, the light;
        with `ramp`, what the light grows by from the start to the end of the step; with `body`, K/s of all nodes.
    """

    matrices: NDArray[Any]


class Columns:
    """Eigenvectors of all kinds of columns.

    Parameters
    ----------
    kinds : ColumnKinds
        Kinds.
    grid : PlateGrid
        Nodes, and what fills the columns.
    material : Material
        Constants.
    light : ndarray of float64, shape (G, Z)
        Share of the light that each node takes up (`light_share`).
    front_w_m2k, back_w_m2k, floor_w_m2k : float
        Linear heat transfer coefficients.
    radiating : bool
        Whether the front, the back and the floor are sources too.
    ramp : bool
        Whether the light changes during a step.
    body : bool
        Whether all nodes warm up or cool down alike (K/s), as seen from drifting surroundings.
    dtype : dtype
        Type of the matrices.
    """

    def __init__(
        self,
        kinds: ColumnKinds,
        grid: PlateGrid,
        material: Material,
        light: NDArray[np.float64],
        *,
        front_w_m2k: float,
        back_w_m2k: float,
        floor_w_m2k: float,
        radiating: bool,
        ramp: bool,
        body: bool,
        dtype: np.dtype[Any],
    ) -> None:
        n_kinds, n_nodes = kinds.hole.size, grid.z_mm.size
        content = intervals(grid, kinds.hole, kinds.floor, kinds.buried)
        share = content.share
        density = material.density_kg_m3 * material.heat_capacity_j_kgk
        capacity = density * 1e-3 * node_heights_mm(grid.z_mm, share * content.capacity)
        self.capacity_j_m2k = capacity
        everyone = np.arange(n_kinds)
        area = np.zeros((3, n_kinds, n_nodes))  # share of the cell that each surface takes, at its node
        area[FRONT, :, 0] = 1.0
        area[BACK, :, -1] = share[:, -1]
        area[FLOOR, everyone, kinds.floor] += kinds.hole
        self._loss = front_w_m2k * area[FRONT] + back_w_m2k * area[BACK] + floor_w_m2k * area[FLOOR]
        sources = list(area) if radiating else [light]
        if radiating and not np.array_equal(light, area[FRONT]):
            sources.append(light)
        self.light, self.n_sources = light, len(sources)
        self.light_source = len(sources) - 1 if len(sources) == 4 else 0
        self._sources = np.stack(sources, axis=-1)
        self.n_inputs = n_nodes + len(sources) + ramp + body
        self._root = np.sqrt(np.where(capacity > 0, capacity, 1.0))
        self._rates, self._vectors = np.linalg.eigh(self._scaled_system(grid.z_mm, share * content.through, material))
        self._rates = np.minimum(self._rates, 0.0)
        self._exists = capacity > 0
        self._ramp, self._body, self._dtype = ramp, body, dtype
        self._memory: dict[float, StepMatrices] = {}

    def _scaled_system(
        self, z_mm: NDArray[np.float64], share: NDArray[np.float64], material: Material
    ) -> NDArray[np.float64]:
        """-C^-1/2 K C^-1/2, symmetric, float64 (G, Z, Z)."""
        conductance = material.conductivity_through_w_mk * share / (np.diff(z_mm) * 1e-3)
        n_nodes = z_mm.size
        system = np.zeros((share.shape[0], n_nodes, n_nodes))
        upper, lower = np.arange(n_nodes - 1), np.arange(1, n_nodes)
        system[:, upper, lower] = system[:, lower, upper] = conductance
        system[:, upper, upper] -= conductance
        system[:, lower, lower] -= conductance
        everything = np.arange(n_nodes)
        system[:, everything, everything] -= self._loss
        return np.asarray(system / (self._root[:, :, None] * self._root[:, None, :]))

    def matrices(self, dt_s: float) -> StepMatrices:
        """Matrices of a step of `dt_s`; remembered."""
        key = round(dt_s, 12)
        if key not in self._memory:
            self._memory[key] = self._build(dt_s)
        return self._memory[key]

    def _build(self, dt_s: float) -> StepMatrices:
        exponent = self._rates * dt_s
        left, right = self._vectors / self._root[:, :, None], np.swapaxes(self._vectors, 1, 2) * self._root[:, None, :]
        phi_1, phi_2 = _phi(exponent)
        step = (left * np.exp(exponent)[:, None, :]) @ right
        integral = (left * (dt_s * phi_1)[:, None, :]) @ right
        double_integral = (left * (dt_s**2 * phi_2)[:, None, :]) @ right
        into = self._sources / self._root[:, :, None] ** 2
        loss = self._loss[:, None, :]
        upper, lower = [step, integral @ into], [loss @ integral, loss @ (double_integral @ into)]
        if self._ramp:
            triple_integral = (left * (dt_s**2 * _phi_3(exponent))[:, None, :]) @ right
            light = into[:, :, self.light_source, None]
            upper.append(double_integral @ light / dt_s)
            lower.append(loss @ (triple_integral @ light))
        if self._body:
            everywhere = self._exists[:, :, None].astype(np.float64)
            upper.append(integral @ everywhere)
            lower.append(loss @ (double_integral @ everywhere))
        result = np.concatenate([np.concatenate(upper, axis=2), np.concatenate(lower, axis=2)], axis=1)
        result[:, :-1, :][~self._exists] = 0.0
        return StepMatrices(matrices=result.astype(self._dtype))


def _phi(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(e^x - 1) / x and (e^x - 1 - x) / x^2, by series near zero."""
    small = np.abs(x) < 1e-2
    safe = np.where(small, 1.0, x)
    phi_1 = np.where(small, 1 + x / 2 + x**2 / 6 + x**3 / 24 + x**4 / 120 + x**5 / 720, np.expm1(safe) / safe)
    phi_2 = np.where(
        small, 0.5 + x / 6 + x**2 / 24 + x**3 / 120 + x**4 / 720 + x**5 / 5040, (np.expm1(safe) - safe) / safe**2
    )
    return phi_1, phi_2


def _phi_3(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(e^x - 1 - x - x^2 / 2) / x^3, by series near zero."""
    small = np.abs(x) < 5e-2
    safe = np.where(small, 1.0, x)
    series = 1 / 6 + x / 24 + x**2 / 120 + x**3 / 720 + x**4 / 5040 + x**5 / 40320 + x**6 / 362880
    return np.asarray(np.where(small, series, (np.expm1(safe) - safe - safe**2 / 2) / safe**3))
