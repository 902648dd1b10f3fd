"""Heat conduction in the plane, by a stabilised explicit scheme of second order."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from thermo_qc.sequence import Material
from thermo_qc.simulation.columns import node_heights_mm
from thermo_qc.simulation.grid import PlateGrid

__all__ = ["LateralConduction"]


class LateralConduction:
    """Conduction in the plane of layers of nodes, as a rate (1/s) and as a step in time.

    The rate is the five-point stencil of the sound plate with insulated edges (one small image filter per layer) plus a
    sparse correction at holes and, with edge losses, at the border. Two cells share a face of the smaller one's share
    of material, which keeps the conduction symmetric (heat is conserved) and no faster than in the sound plate.

    Steps use the Runge-Kutta-Legendre scheme: as many stages as stability asks for, two where cells are large.

    Parameters
    ----------
    grid : PlateGrid
        Cells.
    material : Material
        Constants.
    n_layers : int
        Number of node layers from the face on.
    edge_w_m2k : float
        Heat transfer coefficient of the plate's edges.
    dtype : dtype
        Type of the state.

    References
    ----------
    C. D. Meyer, D. S. Balsara, T. D. Aslam, J. Comput. Phys. 257 (2014) 594, 10.1016/j.jcp.2013.08.021
    """

    def __init__(
        self, grid: PlateGrid, material: Material, *, n_layers: int, edge_w_m2k: float, dtype: np.dtype[Any]
    ) -> None:
        self._shape = (n_layers, *grid.shape)
        alpha = material.diffusivity_in_plane_mm2_s
        rate_x = alpha / grid.cell_x_mm**2 if grid.shape[1] > 1 else 0.0
        rate_y = alpha / grid.cell_y_mm**2 if grid.shape[0] > 1 else 0.0
        self._stencil = np.zeros((3, 3))
        self._stencil[1, [0, 2]], self._stencil[[0, 2], 1], self._stencil[1, 1] = rate_x, rate_y, -2 * (rate_x + rate_y)
        edge_x, edge_y = (_edge_rate(edge_w_m2k, size, material) for size in (grid.cell_x_mm, grid.cell_y_mm))
        self.explicit_limit_s = 2.0 / max(4 * (rate_x + rate_y) + 2 * (edge_x + edge_y), 1e-300)
        entries = _hole_entries(grid, rate_x, rate_y, n_layers) + _edge_entries(grid, edge_x, edge_y, n_layers)
        size = int(np.prod(self._shape))
        row, column = (np.concatenate([entry[i] for entry in entries]).astype(np.int64) for i in (0, 1))
        value = np.concatenate([entry[2] for entry in entries])
        self._rows = np.unique(row)
        content: Any = (value.astype(dtype), (np.searchsorted(self._rows, row), column))
        self._correction: Any = sparse.csr_array(content, shape=(self._rows.size, size))
        self._dtype = dtype

    def n_stages(self, dt_s: float) -> int:
        """Stages of the scheme that keep a step of `dt_s` stable."""
        stages = 2
        while dt_s > 0.98 * self.explicit_limit_s * (stages**2 + stages - 2) / 4:
            stages += 1
        return stages

    def advance(self, state: NDArray[Any], dt_s: float, out: NDArray[Any]) -> None:
        """Advance `state` (n_layers, N) by `dt_s` into `out`, another array of that shape."""
        stages = self.n_stages(dt_s)
        if stages == 2:
            half = np.empty_like(out)
            self._apply(state, dt_s / 2, 1.0, half)
            self._apply(half, dt_s, 0.0, out)
            out += state
        else:
            out[...] = self._legendre(state, dt_s, stages)

    def _apply(self, state: NDArray[Any], factor: float, identity: float, out: NDArray[Any]) -> None:
        """Compute out = identity * state + factor * rate(state)."""
        kernel = factor * self._stencil
        kernel[1, 1] += identity
        source, target = state.reshape(self._shape), out.reshape(self._shape)
        for layer in range(self._shape[0]):
            cv2.filter2D(source[layer], -1, kernel, dst=target[layer], borderType=cv2.BORDER_REFLECT)
        if self._rows.size:
            out.reshape(-1)[self._rows] += self._dtype.type(factor) * (self._correction @ state.reshape(-1))

    def _legendre(self, state: NDArray[Any], dt_s: float, stages: int) -> NDArray[Any]:
        b = [1 / 3, 1 / 3, *((j * j + j - 2) / (2 * j * (j + 1)) for j in range(2, stages + 1))]
        w = 4 / (stages**2 + stages - 2)
        first, rate = np.empty_like(state), np.empty_like(state)
        self._apply(state, dt_s, 0.0, first)
        before: NDArray[Any] = state
        now: NDArray[Any] = state + self._dtype.type(b[1] * w) * first
        for j in range(2, stages + 1):
            mu, nu = (2 * j - 1) / j * b[j] / b[j - 1], -(j - 1) / j * b[j] / b[j - 2]
            self._apply(now, mu * w * dt_s, mu, rate)
            new = rate + self._dtype.type(nu) * before
            new += self._dtype.type(1 - mu - nu) * state
            new -= self._dtype.type((1 - b[j - 1]) * mu * w) * first
            before, now = now, new
        return now


Entries = list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]


def _edge_rate(edge_w_m2k: float, cell_mm: float, material: Material) -> float:
    """Loss rate of an edge cell, 1/s: film and half a cell in series."""
    if edge_w_m2k == 0:
        return 0.0
    film = 1 / (1 / edge_w_m2k + cell_mm * 1e-3 / (2 * material.conductivity_in_plane_w_mk))
    return film / (material.density_kg_m3 * material.heat_capacity_j_kgk * cell_mm * 1e-3)


def _edge_entries(grid: PlateGrid, edge_x: float, edge_y: float, n_layers: int) -> Entries:
    """Diagonal entries of the edge losses."""
    rate = np.zeros(grid.shape)
    for side in (0, -1):
        rate[:, side] -= edge_x
        rate[side, :] -= edge_y
    cells = np.flatnonzero(rate)
    index = (np.arange(n_layers)[:, None] * rate.size + cells).ravel()
    return [(index, index, np.tile(rate.ravel()[cells], n_layers))]


def _hole_entries(grid: PlateGrid, rate_x: float, rate_y: float, n_layers: int) -> Entries:
    """Entries of (true - sound) conduction over every face that touches a cell with a hole."""
    number = np.arange(grid.hole.size).reshape(grid.shape)
    entries: Entries = []
    for rate, first, second in (
        (rate_x, number[:, :-1].ravel(), number[:, 1:].ravel()),
        (rate_y, number[:-1, :].ravel(), number[1:, :].ravel()),
    ):
        hole = grid.hole.ravel()
        touched = (hole[first] > 0) | (hole[second] > 0)
        a, b = first[touched], second[touched]
        share_a, share_b = _share(grid, a), _share(grid, b)
        face = node_heights_mm(grid.z_mm, np.minimum(share_a, share_b))
        full = node_heights_mm(grid.z_mm, np.ones(grid.z_mm.size - 1))
        for here, there, share in ((a, b, share_a), (b, a, share_b)):
            volume = node_heights_mm(grid.z_mm, share)
            true = np.divide(face, volume, out=np.zeros_like(face), where=volume > 1e-9 * full)
            change = (rate * (true - 1.0))[:, :n_layers]
            cell, layer = np.nonzero(change)
            row, column, value = layer * hole.size + here[cell], layer * hole.size + there[cell], change[cell, layer]
            entries += [(row, column, value), (row, row, -value)]
    return entries


def _share(grid: PlateGrid, cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of material in each interval of the given columns, float64 (len(cells), Z - 1)."""
    below = np.arange(grid.z_mm.size - 1) >= grid.floor.ravel()[cells][:, None]
    return np.where(below, 1.0 - grid.hole.ravel()[cells][:, None], 1.0)
