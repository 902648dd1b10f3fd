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

__all__ = ["ColumnKinds", "Columns", "StepMatrices", "column_kinds"]

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
    columns : ndarray of int64, shape (M,)
        Flat indices of the columns that are not sound, grouped by kind.
    starts : ndarray of int64, shape (G,)
        Kind g >= 1 owns ``columns[starts[g - 1]:starts[g]]``.
    """

    hole: NDArray[np.float64]
    floor: NDArray[np.int64]
    columns: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def of_column(self) -> NDArray[np.int64]:
        """Kind of each of `columns`, int64 (M,)."""
        return np.repeat(np.arange(1, self.hole.size), np.diff(self.starts))


def column_kinds(grid: PlateGrid) -> ColumnKinds:
    """Find the kinds of columns of a grid."""
    hole, floor = grid.hole.ravel(), grid.floor.ravel()
    special = np.flatnonzero(hole > 0)
    pairs, kind = np.unique(np.stack([hole[special], floor[special].astype(np.float64)]), axis=1, return_inverse=True)
    order = np.argsort(kind.ravel(), kind="stable")
    counts = np.bincount(kind.ravel(), minlength=pairs.shape[1])
    return ColumnKinds(
        hole=np.append(0.0, pairs[0]),
        floor=np.append(grid.z_mm.size - 1, pairs[1].astype(np.int64)),
        columns=special[order],
        starts=np.append(0, np.cumsum(counts)).astype(np.int64),
    )


def solid_share(kinds: ColumnKinds, n_cells: int) -> NDArray[np.float64]:
    """Share of material in each interval between nodes, float64 (G, n_cells)."""
    below = np.arange(n_cells) >= kinds.floor[:, None]
    return np.where(below, 1.0 - kinds.hole[:, None], 1.0)


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
        The last row gives the heat that the linear losses take per area, J/m2; the last S columns take the flux
        densities (W/m2) into the front and, with radiation, into the back and the hole floor; with `ramp`, one more
        takes what the flux into the front grows by from the start to the end of the step.
    """

    matrices: NDArray[Any]


class Columns:
    """Eigenvectors of all kinds of columns.

    Parameters
    ----------
    kinds : ColumnKinds
        Kinds.
    z_mm : ndarray of float64, shape (Z,)
        Nodes.
    material : Material
        Constants.
    front_w_m2k, back_w_m2k, floor_w_m2k : float
        Linear heat transfer coefficients.
    n_sources : int
        1 (front) or 3 (front, back, floor).
    ramp : bool
        Whether the flux into the front changes during a step.
    dtype : dtype
        Type of the matrices.
    """

    def __init__(
        self,
        kinds: ColumnKinds,
        z_mm: NDArray[np.float64],
        material: Material,
        *,
        front_w_m2k: float,
        back_w_m2k: float,
        floor_w_m2k: float,
        n_sources: int,
        ramp: bool,
        dtype: np.dtype[Any],
    ) -> None:
        n_kinds, n_nodes = kinds.hole.size, z_mm.size
        share = solid_share(kinds, n_nodes - 1)
        density = material.density_kg_m3 * material.heat_capacity_j_kgk
        capacity = density * 1e-3 * node_heights_mm(z_mm, share)
        self.capacity_j_m2k = capacity
        everyone = np.arange(n_kinds)
        area = np.zeros((3, n_kinds, n_nodes))  # share of the cell that each surface takes, at its node
        area[FRONT, :, 0] = 1.0
        area[BACK, :, -1] = share[:, -1]
        area[FLOOR, everyone, kinds.floor] += kinds.hole
        self._loss = front_w_m2k * area[FRONT] + back_w_m2k * area[BACK] + floor_w_m2k * area[FLOOR]
        self._sources = np.moveaxis(area[:n_sources], 0, -1)
        self._root = np.sqrt(np.where(capacity > 0, capacity, 1.0))
        self._rates, self._vectors = np.linalg.eigh(self._scaled_system(z_mm, share, material))
        self._rates = np.minimum(self._rates, 0.0)
        self._exists = capacity > 0
        self._ramp, self._dtype = ramp, dtype
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
            upper.append(double_integral @ into[:, :, :1] / dt_s)
            lower.append(loss @ (triple_integral @ into[:, :, :1]))
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
