"""Heat conduction in the plane, by a stabilised explicit scheme of second order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from thermo_qc.sequence import Material
from thermo_qc.simulation.columns import intervals, node_heights_mm
from thermo_qc.simulation.grid import PlateGrid

__all__ = ["LateralConduction", "legendre_weights"]

_MOST_STAGES_CUT = 5


class LateralConduction:
    """Conduction in the plane of layers of nodes, as a rate (1/s) and as a step in time.

    The rate is the five-point stencil of the sound plate with insulated edges (one small image filter per layer) plus a
    sparse correction at holes and, with edge losses, at the border. Two cells share a face of the smaller one's share
    of material, which keeps the conduction symmetric (heat is conserved) and no faster than in the sound plate.

    Steps use the Runge-Kutta-Legendre scheme: as many stages as stability asks for. With two stages it is the Taylor
    series, which costs so little that a step that needs three to five stages is cut into steps of two.

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
        self.n_layers = n_layers
        self._shape = (n_layers, *grid.shape)
        rate_x, rate_y = _sound_rates(grid, material)
        self.rates = rate_x[:n_layers], rate_y[:n_layers]
        edge_x, edge_y = (_edge_rate(edge_w_m2k, axis, material, grid)[:n_layers] for axis in (0, 1))
        special, fastest = _special_entries(grid, material, n_layers)
        edges = 2 * float((edge_x + edge_y).max())
        self.explicit_limit_s = 2.0 / max(4 * fastest + edges, 1e-300)
        self._dtype = dtype
        self.corrections = _by_layer(special + _edge_entries(grid, edge_x, edge_y, n_layers), self._shape, dtype)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, rows and columns."""
        return self._shape

    def substeps(self, dt_s: float) -> tuple[int, int]:
        """Count the equal steps that a step of `dt_s` is cut into, and the stages of each, so that it is stable."""
        stages, limit = 2, 0.98 * self.explicit_limit_s
        while dt_s > limit * (stages**2 + stages - 2) / 4:
            stages += 1
        return (int(np.ceil(dt_s / limit)), 2) if stages <= _MOST_STAGES_CUT else (1, stages)

    def advance(
        self, state: NDArray[Any], dt_s: float, out: NDArray[Any], *, layers: Sequence[int] | None = None
    ) -> None:
        """Advance `state` (n_layers, N) by `dt_s` into `out`, another array of that shape; some of the layers only."""
        count, stages = self.substeps(dt_s)
        scratch = np.empty((5, *self._shape[1:]), dtype=self._dtype)
        sources, targets = state.reshape(self._shape), out.reshape(self._shape)
        for layer in range(self.n_layers) if layers is None else layers:
            source, target = sources[layer], targets[layer]  # with all that a step needs they fit into a cache
            if stages > 2:
                self._legendre(layer, source, dt_s, stages, scratch, target)
            else:
                self._taylor(layer, source, dt_s / count, count, scratch, target)

    def _taylor(
        self, layer: int, state: NDArray[Any], dt_s: float, count: int, scratch: NDArray[Any], out: NDArray[Any]
    ) -> None:
        """Advance by `count` steps of two stages, ``u + dt A (u + dt / 2 A u)``."""
        now, (first, *rotating) = state, scratch[:3]
        for step in range(count):
            new = out if step == count - 1 else rotating[step % 2]
            self._apply(layer, now, dt_s / 2, 1.0, first)
            self._apply(layer, first, dt_s, 0.0, new)
            new += now
            now = new

    def _apply(self, layer: int, state: NDArray[Any], factor: float, identity: float, out: NDArray[Any]) -> None:
        """Compute out = identity * state + factor * rate(state) of a layer, (Y, X)."""
        kernel = factor * _stencil(self.rates[0][layer], self.rates[1][layer])
        kernel[1, 1] += identity
        cv2.filter2D(state, -1, kernel, dst=out, borderType=cv2.BORDER_REFLECT)
        rows, correction = self.corrections[layer]
        if rows.size:
            out.reshape(-1)[rows] += self._dtype.type(factor) * (correction @ state.reshape(-1))

    def _legendre(
        self, layer: int, state: NDArray[Any], dt_s: float, stages: int, scratch: NDArray[Any], out: NDArray[Any]
    ) -> None:
        start, weights = legendre_weights(stages)
        real = self._dtype.type
        first, part, *rotating = scratch
        self._apply(layer, state, dt_s, 0.0, first)
        before, now = state, rotating[0]
        np.multiply(first, real(start), out=now)
        now += state
        for j, (rate, mu, nu, rest, back) in enumerate(weights, start=2):
            new = out if j == stages else rotating[(j - 1) % 3]
            self._apply(layer, now, rate * dt_s, mu, new)
            new += np.multiply(before, real(nu), out=part)
            new += np.multiply(state, real(rest), out=part)
            new -= np.multiply(first, real(back), out=part)
            before, now = now, new


def legendre_weights(stages: int) -> tuple[float, list[tuple[float, float, float, float, float]]]:
    """Weights of a Runge-Kutta-Legendre step of second order for ``du/dt = A u``, at least two stages.

    Returns
    -------
    start : float
        The first stage is ``u + start * dt A u``.
    weights : list of (rate, mu, nu, rest, back)
        The next ones are ``rate * dt A now + mu * now + nu * before + rest * u - back * dt A u``.
    """
    b = [1 / 3, 1 / 3, *((j * j + j - 2) / (2 * j * (j + 1)) for j in range(2, stages + 1))]
    w = 4 / (stages**2 + stages - 2)
    weights = []
    for j in range(2, stages + 1):
        mu, nu = (2 * j - 1) / j * b[j] / b[j - 1], -(j - 1) / j * b[j] / b[j - 2]
        weights.append((mu * w, mu, nu, 1 - mu - nu, (1 - b[j - 1]) * mu * w))
    return b[1] * w, weights


Entries = list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]


def _by_layer(entries: Entries, shape: tuple[int, ...], dtype: np.dtype[Any]) -> list[tuple[NDArray[np.int64], Any]]:
    """Rows (cells of the layer) and sparse matrix (rows, cells) of each layer."""
    cells = int(np.prod(shape[1:]))
    row, column = (np.concatenate([entry[i] for entry in entries]).astype(np.int64) for i in (0, 1))
    value = np.concatenate([entry[2] for entry in entries]).astype(dtype)
    result: list[tuple[NDArray[np.int64], Any]] = []
    for layer in range(shape[0]):
        mine = row // cells == layer
        rows, place = np.unique(row[mine] - layer * cells, return_inverse=True)
        content: Any = (value[mine], (place.ravel(), column[mine] - layer * cells))
        result.append((rows, sparse.csr_array(content, shape=(rows.size, cells))))
    return result


def _stencil(rate_x: float, rate_y: float) -> NDArray[np.float64]:
    """Five points of the rate of a sound cell."""
    return np.array([[0.0, rate_y, 0.0], [rate_x, -2 * (rate_x + rate_y), rate_x], [0.0, rate_y, 0.0]])


def _nominal_rates(grid: PlateGrid, material: Material) -> tuple[float, float]:
    """Rates between neighbours along x and y in the plate's nominal material, 1/s; 0 where there are none."""
    density = material.density_kg_m3 * material.heat_capacity_j_kgk
    along_x, along_y = (1e6 * conductivity / density for conductivity in material.conductivities_in_plane_w_mk)
    rate_x = along_x / grid.cell_x_mm**2 if grid.shape[1] > 1 else 0.0
    rate_y = along_y / grid.cell_y_mm**2 if grid.shape[0] > 1 else 0.0
    return rate_x, rate_y


def _sound_rates(grid: PlateGrid, material: Material) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates between neighbours along x and y of the sound plate with its layers, 1/s, float64 (Z,)."""
    along_x, along_y, capacity = (node_heights_mm(grid.z_mm, part) for part in grid.base[1:])
    rate_x, rate_y = _nominal_rates(grid, material)
    return rate_x * (along_x / capacity), rate_y * (along_y / capacity)


def _edge_rate(edge_w_m2k: float, axis: int, material: Material, grid: PlateGrid) -> NDArray[np.float64]:
    """Loss rate of a cell at the ends of an axis (0: x) at each node, 1/s: film and half a cell in series, (Z,)."""
    height, in_plane, capacity = (
        node_heights_mm(grid.z_mm, part) for part in (np.ones(grid.z_mm.size - 1), grid.base[1 + axis], grid.base[3])
    )
    if edge_w_m2k == 0:
        return np.zeros(height.size)
    cell_mm = (grid.cell_x_mm, grid.cell_y_mm)[axis]
    conductivity = material.conductivities_in_plane_w_mk[axis] * in_plane / height
    film = 1 / (1 / edge_w_m2k + cell_mm * 1e-3 / (2 * conductivity))
    density = material.density_kg_m3 * material.heat_capacity_j_kgk * capacity / height
    return np.asarray(film / (density * cell_mm * 1e-3))


def _edge_entries(grid: PlateGrid, edge_x: NDArray[np.float64], edge_y: NDArray[np.float64], n_layers: int) -> Entries:
    """Diagonal entries of the edge losses."""
    rate = np.zeros((n_layers, *grid.shape))
    for side in (0, -1):
        rate[:, :, side] -= edge_x[:, None]
        rate[:, side, :] -= edge_y[:, None]
    index = np.flatnonzero(rate)
    return [(index, index, rate.ravel()[index])]


def _special_entries(grid: PlateGrid, material: Material, n_layers: int) -> tuple[Entries, float]:
    """Entries of (true - sound) conduction over every face that touches a hole or a buried defect.

    Returns
    -------
    entries : list of (row, column, value)
        To be summed.
    fastest : float
        Largest rate along x plus largest rate along y that any cell has, 1/s.
    """
    hole, floor = grid.hole.ravel(), grid.floor.ravel()
    buried = grid.buried.reshape(grid.buried.shape[0], hole.size)
    number = np.arange(hole.size).reshape(grid.shape)
    special = (hole > 0) | (buried > 0).any(axis=0)
    full = node_heights_mm(grid.z_mm, grid.base[3])
    nominal, sound = _nominal_rates(grid, material), _sound_rates(grid, material)
    entries: Entries = []
    fastest = 0.0
    pairs = (number[:, :-1], number[:, 1:]), (number[:-1], number[1:])
    for axis, (first, second) in enumerate(pairs):
        touched = special[first] | special[second]
        a, b = first[touched], second[touched]
        in_a, in_b = (intervals(grid, hole[side], floor[side], buried[:, side].T) for side in (a, b))
        k_a, k_b = ((side.along_x, side.along_y)[axis] for side in (in_a, in_b))
        face = node_heights_mm(grid.z_mm, np.minimum(in_a.share, in_b.share) * 2 * k_a * k_b / (k_a + k_b))
        fast = float(max(nominal[axis], sound[axis].max()))
        for here, there, content in ((a, b, in_a), (b, a, in_b)):
            volume = node_heights_mm(grid.z_mm, content.share * content.capacity)
            true = nominal[axis] * np.divide(face, volume, out=np.zeros_like(face), where=volume > 1e-9 * full)
            fast = max(fast, float(true.max(initial=0.0)))
            change = (true - sound[axis])[:, :n_layers]
            cell, layer = np.nonzero(change)
            row, column, value = layer * hole.size + here[cell], layer * hole.size + there[cell], change[cell, layer]
            entries += [(row, column, value), (row, row, -value)]
        fastest += fast
    return entries, fastest
