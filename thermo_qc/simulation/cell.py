"""Heat conduction round a single hole under even light, in cylindrical coordinates: solved in a tenth of a second."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from thermo_qc.errors import ConfigError
from thermo_qc.sequence import Material
from thermo_qc.simulation.columns import node_heights_mm
from thermo_qc.simulation.conditions import Heating, Losses, check_range
from thermo_qc.simulation.grid import depth_nodes_mm
from thermo_qc.simulation.profile import flux_line, flux_switches_s, largest_step_s
from thermo_qc.simulation.schedule import Segment, frame_weights

__all__ = ["CellSolution", "solve_cell"]

_STEFAN_BOLTZMANN_W_M2K4 = 5.670374419e-8
_GAMMA = 1.0 - 1.0 / np.sqrt(2.0)
_STEPS_OF_ONE_LENGTH = 5  # then the step doubles, so that few matrices are factorised


@dataclass(frozen=True, kw_only=True, eq=False)
class CellSolution:
    """Noise-free temperature rise of the inspected face round one hole.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Time of each frame; 0 is the start of the heating.
    r_mm : ndarray of float64, shape (R,)
        Distances from the hole's axis at which the rise is given.
    rise_k : ndarray of float64, shape (T, R)
        Rise above ambient.
    sound_k : ndarray of float64, shape (T,)
        Rise of the same plate without the hole, on the same nodes and steps.
    """

    times_s: NDArray[np.float64]
    r_mm: NDArray[np.float64]
    rise_k: NDArray[np.float64]
    sound_k: NDArray[np.float64]

    @property
    def contrast_k(self) -> NDArray[np.float64]:
        """Rise with the hole minus rise without it, float64 (T, R)."""
        return np.asarray(self.rise_k - self.sound_k[:, None])


def solve_cell(
    *,
    material: Material,
    thickness_mm: float,
    depth_mm: float,
    diameter_mm: float,
    times_s: NDArray[np.float64],
    reach_mm: float,
    heating: Heating | None = None,
    losses: Losses | None = None,
    radial_cells: int = 12,
    depth_cells: int = 20,
    relative_step: float = 0.02,
) -> CellSolution:
    """Heat a round cell of a plate with one flat-bottom hole on its axis.

    Finite volumes, nodes through the thickness as in `solve_plate`, rings that are small at the wall of the hole and
    grow from it. Steps are implicit (SDIRK of second order, L-stable), short after each switch of the heating.
    Light is even, the rim is insulated, and radiation counts by its linear part.

    Parameters
    ----------
    material : Material
        Constants.
    thickness_mm, depth_mm, diameter_mm : float
        Thickness of the plate, material left above the hole, diameter of the hole.
    times_s : ndarray of float64, shape (T,)
        Wanted frames, strictly increasing; frames at t <= 0 show the cold plate.
    reach_mm : float
        Distance from the wall of the hole to the rim of the cell.
    heating : Heating, optional
        Default: 1 kW/m2 for 60 s; lamps are not used.
    losses : Losses, optional
        Default: 10 W/(m2 K) on front, back and hole floor.
    radial_cells : int
        Rings inside the hole; outside there are one and a half times as many.
    depth_cells : int
        Cells through the thickness.
    relative_step : float
        Longest time step over the length of the recording.

    Returns
    -------
    CellSolution

    Raises
    ------
    ConfigError
        When a number is out of range.

    References
    ----------
    R. Alexander, SIAM J. Numer. Anal. 14 (1977) 1006, 10.1137/0714068 (the implicit scheme).
    """
    heating, losses = heating or Heating(), losses or Losses()
    if heating.side != "front" or heating.absorption_mm > 0 or losses.ambient_drift_k_min != 0:
        raise ConfigError(
            "the round cell knows an opaque face, lamps before it and steady surroundings only; use solve_plate for "
            "heating.side 'back', heating.absorption_mm or loss.ambient_drift_k_min"
        )
    along_x, along_y = material.conductivities_in_plane_w_mk
    if along_x != along_y:
        raise ConfigError(
            f"the round cell conducts alike along x and y, not {along_x:g} and {along_y:g} W/(m K); use solve_plate"
        )
    check_range("thickness_mm", thickness_mm, low=0, open_low=True)
    check_range("diameter_mm", diameter_mm, low=0, open_low=True)
    check_range("reach_mm", reach_mm, low=0, open_low=True)
    check_range("depth_mm", depth_mm, low=0, open_low=True)
    if depth_mm >= thickness_mm:
        raise ConfigError(f"depth_mm is {depth_mm:g}, expected less than the thickness of {thickness_mm:g} mm")
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or not np.isfinite(times).all() or not (np.diff(times) > 0).all() or not times[-1:] > 0:
        raise ConfigError("the frame times do not strictly increase to an end after zero; check rate and duration")
    z = depth_nodes_mm(thickness_mm, (depth_mm,), depth_cells)
    r, n_hole = _ring_faces_mm(diameter_mm / 2, reach_mm, radial_cells)
    floor = int(np.argmin(np.abs(z - depth_mm)))
    plan = _schedule(heating, float(z[1] ** 2 / (4 * material.diffusivity_through_mm2_s)), times, relative_step)
    cell = _System(z, r, n_hole, floor, material, losses)
    slab = _System(z, r[[0, -1]], 0, floor, material, losses)
    return CellSolution(
        times_s=times,
        r_mm=(r[1:] + r[:-1]) / 2,
        rise_k=_march(cell, heating, plan, times),
        sound_k=_march(slab, heating, plan, times)[:, 0],
    )


def _ring_faces_mm(radius_mm: float, reach_mm: float, n_inside: int) -> tuple[NDArray[np.float64], int]:
    """Faces of the rings, and the number of rings inside the hole."""
    check_range("radial_cells", n_inside, low=4)
    n_outside = 3 * n_inside // 2
    inside = radius_mm * (1 - np.linspace(1, 0, n_inside + 1) ** 1.5)
    first = radius_mm - inside[-3]
    power = max(1.0, np.log(reach_mm / min(first, reach_mm / n_outside)) / np.log(n_outside / 2))
    outside = radius_mm + reach_mm * np.linspace(0, 1, n_outside + 1)[1:] ** power
    return np.append(inside, outside), n_inside


def _schedule(heating: Heating, first_s: float, times: NDArray[np.float64], relative_step: float) -> list[Segment]:
    """Step from each switch to the next: a few of one length, then of twice that, up to the longest."""
    check_range("relative_step", relative_step, low=0, high=0.2, open_low=True)
    end = float(times[-1])
    first = min(first_s, float(times[times > 0][0]))
    longest = min(max(relative_step * end, first), largest_step_s(heating))
    cuts = [0.0, *sorted(set(flux_switches_s(heating, end))), end]
    return [Segment(times_s=a + _doubling(b - a, first, longest)) for a, b in pairwise(cuts)]


def _doubling(span: float, first: float, longest: float) -> NDArray[np.float64]:
    ends, step = [0.0], first
    while step < longest and ends[-1] + 2 * _STEPS_OF_ONE_LENGTH * step < span:
        ends += [ends[-1] + step * (i + 1) for i in range(_STEPS_OF_ONE_LENGTH)]
        step *= 2
    rest = span - ends[-1]
    even = np.arange(1, max(1, int(np.ceil(rest / min(step, longest) - 1e-9))) + 1)
    return np.append(ends, ends[-1] + rest * even / even[-1])


class _System:
    """C du/dt = -K u + b of the cell; nodes that lie in the hole do not exist."""

    def __init__(
        self,
        z_mm: NDArray[np.float64],
        faces_mm: NDArray[np.float64],
        n_hole: int,
        floor: int,
        material: Material,
        losses: Losses,
    ) -> None:
        n_r, n_z = faces_mm.size - 1, z_mm.size
        share = np.ones((n_r, n_z - 1))
        share[:n_hole, floor:] = 0.0
        area = np.pi * np.diff((faces_mm * 1e-3) ** 2)
        height = node_heights_mm(z_mm, share) * 1e-3
        exists = height > 0
        number = np.full((n_r, n_z), -1)
        number[exists] = np.arange(int(exists.sum()))
        down = material.conductivity_through_w_mk * area[:, None] * share / (np.diff(z_mm) * 1e-3)
        middle = (faces_mm[1:] + faces_mm[:-1]) / 2
        per_height = material.conductivity_in_plane_w_mk * 2 * np.pi * faces_mm[1:-1] / np.diff(middle)
        out = per_height[:, None] * np.minimum(height[1:], height[:-1])
        pairs = [(number[:, :-1], number[:, 1:], down), (number[:-1], number[1:], out)]
        a, b, g = (np.concatenate([np.ravel(pair[i]) for pair in pairs]) for i in range(3))
        a, b, g = a[g > 0], b[g > 0], g[g > 0]
        film = np.zeros((n_r, n_z))
        radiated = 4 * losses.radiation_emissivity * _STEFAN_BOLTZMANN_W_M2K4 * (losses.ambient_c + 273.15) ** 3
        film[:, 0] += area * (losses.front_w_m2k + radiated)
        film[n_hole:, -1] += area[n_hole:] * (losses.back_w_m2k + radiated)
        film[:n_hole, floor] += area[:n_hole] * (losses.hole_floor_w_m2k + radiated)
        size = int(exists.sum())
        values, rows, columns = np.concatenate([g, g, -g, -g]), np.r_[a, b, a, b], np.r_[b, a, a, b]
        conduction: Any = coo_array((values, (rows, columns)), shape=(size, size)).tocsc()
        self.rate: Any = (conduction - diags_array(film[exists])).tocsc()
        density = material.density_kg_m3 * material.heat_capacity_j_kgk
        self.capacity = (density * area[:, None] * height)[exists]
        self.face = number[:, 0]
        self.input = np.zeros(size)
        self.input[self.face] = area
        self._factors = lru_cache(maxsize=64)(self._factorise)

    def _factorise(self, dt_s: float) -> Any:
        return splu((diags_array(self.capacity) - _GAMMA * dt_s * self.rate).tocsc())

    def step(
        self, state: NDArray[np.float64], dt_s: float, flux_w_m2: float, flux_end_w_m2: float
    ) -> NDArray[np.float64]:
        """Advance under a flux that goes straight from one value to the other."""
        solve = self._factors(float(f"{dt_s:.9g}")).solve
        early = flux_w_m2 + _GAMMA * (flux_end_w_m2 - flux_w_m2)
        first = solve(self.rate @ state + early * self.input)
        second = solve(self.rate @ (state + (1 - _GAMMA) * dt_s * first) + flux_end_w_m2 * self.input)
        return np.asarray(state + dt_s * ((1 - _GAMMA) * first + _GAMMA * second))


def _march(system: _System, heating: Heating, plan: list[Segment], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise of the face at every time, float64 (T, R)."""
    state = np.zeros(system.capacity.size)
    if heating.kind == "flash":
        state = heating.energy_j_m2 * system.input / system.capacity
    rise = np.zeros((times.size, system.face.size))
    for segment in plan:
        surfaces = [state[system.face]]
        for start, stop in pairwise(segment.times_s.tolist()):
            state = system.step(state, stop - start, *flux_line(heating, start, stop))
            surfaces.append(state[system.face])
        table = np.stack(surfaces)
        for index in np.flatnonzero((times > segment.times_s[0]) & (times <= segment.times_s[-1] * (1 + 1e-12))):
            first, weights = frame_weights(segment, float(times[index]))
            rise[index] = weights @ table[first : first + weights.size]
    return rise
