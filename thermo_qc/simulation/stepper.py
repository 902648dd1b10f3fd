"""One time step of the whole plate, and the heat that comes and goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.sequence import Material
from thermo_qc.simulation.columns import Columns, column_kinds, light_share
from thermo_qc.simulation.conditions import Heating, Losses, lamp_level
from thermo_qc.simulation.grid import PlateGrid
from thermo_qc.simulation.kernels import Kernels, NumpyKernels
from thermo_qc.simulation.lateral import LateralConduction
from thermo_qc.simulation.profile import largest_step_s

__all__ = ["EnergyBalance", "Stepper"]

STEFAN_BOLTZMANN_W_M2K4 = 5.670374419e-8


@dataclass(frozen=True, kw_only=True)
class EnergyBalance:
    """Heat of the whole plate at the end of the simulation, J.

    Parameters
    ----------
    absorbed_j, lost_j, stored_j : float
        Taken up from the lamps, given to the surroundings, and left in the plate above ambient.
    """

    absorbed_j: float
    lost_j: float
    stored_j: float

    @property
    def relative_error(self) -> float:
        """(absorbed - lost - stored) / absorbed."""
        return (self.absorbed_j - self.lost_j - self.stored_j) / self.absorbed_j


class Stepper:
    """State of the plate: node temperatures (Z, N) above the surroundings now, and the heat that came and went."""

    def __init__(
        self,
        grid: PlateGrid,
        material: Material,
        heating: Heating,
        losses: Losses,
        dtype: np.dtype[Any],
        *,
        absorption: NDArray[np.float64] | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        self._losses, self._area = losses, grid.cell_area_m2
        self._kernels = kernels or NumpyKernels(dtype)
        self._ambient_k = losses.ambient_c + 273.15
        radiated = 4 * losses.radiation_emissivity * STEFAN_BOLTZMANN_W_M2K4 * self._ambient_k**3
        self._radiating = radiated > 0
        self._drift_k_s = losses.ambient_drift_k_min / 60
        self._time_s = 0.0
        self._ramp = bool(np.isfinite(largest_step_s(heating)))
        self._kinds = column_kinds(grid)
        self._columns = Columns(
            self._kinds,
            grid,
            material,
            light_share(grid, self._kinds, side=heating.side, absorption_mm=heating.absorption_mm),
            front_w_m2k=losses.front_w_m2k + radiated,
            back_w_m2k=losses.back_w_m2k + radiated,
            floor_w_m2k=losses.hole_floor_w_m2k + radiated,
            radiating=self._radiating,
            ramp=self._ramp,
            body=self._drift_k_s != 0,
            dtype=dtype,
        )
        self._volume, self._face = (
            self._kernels.planes(
                LateralConduction(grid, material, n_layers=n, edge_w_m2k=losses.edge_w_m2k, dtype=dtype)
            )
            for n in (grid.z_mm.size, 1)
        )
        self._nodes, n_columns = grid.z_mm.size, grid.hole.size
        self.level = lamp_level(heating.lamps, grid.x_mm[None, :], grid.y_mm[:, None]).ravel()
        if absorption is not None:
            self.level = self.level * absorption.ravel()
        self._input = self._kernels.zeros((self._columns.n_inputs, n_columns))
        self._sources = slice(self._nodes, self._nodes + self._columns.n_sources)
        self._input[-1] = -self._drift_k_s
        self._output = self._kernels.zeros((self._nodes + 1, n_columns))
        self._scratch = self._kernels.zeros((1, n_columns))
        self._level = self._kernels.from_host(self.level)
        self._pending_s = 0.0  # the second half step in the plane waits for the first one of the next step
        self._extrapolate: tuple[float, NDArray[Any]] | None = None
        self._absorbed = self._lost = 0.0
        taken = self._columns.light.sum(axis=1)
        share = np.full(n_columns, taken[0])
        share[self._kinds.columns] = taken[self._kinds.of_column]
        self._lit_m2 = float((self.level * share).sum()) * self._area
        if heating.kind == "flash":
            self._flash(heating.energy_j_m2)

    def _flash(self, energy_j_m2: float) -> None:
        """Put the heat of a flash where its light is taken up."""
        light, capacity, kind = self._columns.light, self._columns.capacity_j_m2k, self._kinds.of_column
        for node in np.flatnonzero((light > 0).any(axis=0)).tolist():
            warmth = energy_j_m2 * self.level
            rise = warmth * light[0, node] / capacity[0, node]
            own = np.divide(
                light[kind, node], capacity[kind, node], out=np.zeros(kind.size), where=light[kind, node] > 0
            )
            rise[self._kinds.columns] = warmth[self._kinds.columns] * own
            self._output[node] = self._kernels.from_host(rise)
        self._absorbed = energy_j_m2 * self._lit_m2

    def surface(self) -> NDArray[Any]:
        """Rise of the inspected face now, (N,)."""
        face = self._output[:1]
        if self._pending_s > 0:
            self._face.advance(face, self._pending_s, self._scratch)
            face = self._scratch
        return self._kernels.to_host(face).reshape(-1)

    def step(self, dt_s: float, flux_w_m2: float, flux_end_w_m2: float | None = None) -> None:
        """Advance by `dt_s` under a flux at the brightest point that is constant or goes straight to its end value."""
        self._advance_in_plane(self._pending_s + dt_s / 2)
        growth = 0.0 if flux_end_w_m2 is None else flux_end_w_m2 - flux_w_m2
        sources, light = self._input[self._sources], self._columns.light_source
        sources[light] = 0.0
        if self._radiating:
            sources[:3] = self._kernels.from_host(-self._radiation_w_m2(dt_s))
        sources[light] += flux_w_m2 * self._level
        if self._ramp:
            self._input[self._sources.stop] = growth * self._level
        self._absorbed += (flux_w_m2 + growth / 2) * dt_s * self._lit_m2
        self._time_s += dt_s
        self._kernels.through(self._columns.matrices(dt_s), self._kinds, self._input, self._output)
        self._lost += self._kernels.total(self._output[-1]) * self._area
        self._pending_s = dt_s / 2

    def energy(self) -> EnergyBalance:
        """Close the last step and add up."""
        if self._losses.edge_w_m2k > 0:
            self._advance_in_plane(self._pending_s)
            self._output[: self._nodes] = self._input[: self._nodes]
            self._pending_s = 0.0
        stored = self._stored(self._output[: self._nodes])
        if self._drift_k_s != 0:  # the state is the rise above the surroundings, the balance above their first value
            warmer = np.ones(tuple(self._output[: self._nodes].shape))
            stored += self._drift_k_s * self._time_s * self._stored_j(warmer)
        return EnergyBalance(absorbed_j=self._absorbed, lost_j=self._lost, stored_j=stored)

    def _advance_in_plane(self, dt_s: float) -> None:
        temperatures = self._output[: self._nodes]
        self._volume.advance(temperatures, dt_s, self._input[: self._nodes])
        if self._losses.edge_w_m2k > 0:  # nothing else takes heat here
            self._lost += self._stored(temperatures) - self._stored(self._input[: self._nodes])

    def _stored(self, temperatures: Any) -> float:
        return self._stored_j(self._kernels.to_host(temperatures))

    def _stored_j(self, temperatures: NDArray[Any]) -> float:
        capacity = self._columns.capacity_j_m2k
        total = float(capacity[0] @ temperatures.sum(axis=1, dtype=np.float64))
        extra = capacity[self._kinds.of_column] - capacity[0]
        return (total + float(np.sum(extra.T * temperatures[:, self._kinds.columns], dtype=np.float64))) * self._area

    def _radiation_w_m2(self, dt_s: float) -> NDArray[Any]:
        """Radiation beyond its linear part from each surface, temperatures extrapolated to half the step, (3, N)."""
        now = np.zeros((3, self._output.shape[1]), dtype=np.float64)
        now[0], now[1] = (self._kernels.to_host(self._output[node]) for node in (0, self._nodes - 1))
        columns, kind = self._kinds.columns, self._kinds.of_column
        now[2, columns] = self._kernels.to_host(self._output[self._kinds.floor[kind], columns])
        middle = now
        if self._extrapolate is not None:
            last_dt_s, last = self._extrapolate
            middle = now + (now - last) * (dt_s / (2 * last_dt_s))
        self._extrapolate = (dt_s, now)
        ambient, scale = self._ambient_k, self._losses.radiation_emissivity * STEFAN_BOLTZMANN_W_M2K4
        around = ambient + self._drift_k_s * (self._time_s + dt_s / 2)
        beyond = scale * ((around + middle) ** 4 - around**4 - 4 * ambient**3 * middle)
        share = np.zeros((3, beyond.shape[1]))
        share[0], share[1] = 1.0, 1.0
        share[1, columns], share[2, columns] = 1.0 - self._kinds.hole[kind], self._kinds.hole[kind]
        self._lost += float(np.sum(beyond * share)) * dt_s * self._area
        return beyond
