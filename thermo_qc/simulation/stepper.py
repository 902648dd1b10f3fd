"""One time step of the whole plate, and the heat that comes and goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.sequence import Material
from thermo_qc.simulation.columns import Columns, column_kinds
from thermo_qc.simulation.conditions import Heating, Losses, lamp_level
from thermo_qc.simulation.grid import PlateGrid
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
    """State of the plate: node temperatures (Z, N) above ambient, and the heat that came and went."""

    def __init__(
        self,
        grid: PlateGrid,
        material: Material,
        heating: Heating,
        losses: Losses,
        dtype: np.dtype[Any],
        *,
        absorption: NDArray[np.float64] | None = None,
    ) -> None:
        self._losses, self._area, self._dtype = losses, grid.cell_area_m2, dtype
        self._ambient_k = losses.ambient_c + 273.15
        radiated = 4 * losses.radiation_emissivity * STEFAN_BOLTZMANN_W_M2K4 * self._ambient_k**3
        self._n_sources = 3 if radiated > 0 else 1
        self._ramp = bool(np.isfinite(largest_step_s(heating)))
        self._kinds = column_kinds(grid)
        self._columns = Columns(
            self._kinds,
            grid.z_mm,
            material,
            front_w_m2k=losses.front_w_m2k + radiated,
            back_w_m2k=losses.back_w_m2k + radiated,
            floor_w_m2k=losses.hole_floor_w_m2k + radiated,
            n_sources=self._n_sources,
            ramp=self._ramp,
            dtype=dtype,
        )
        self._volume, self._face = (
            LateralConduction(grid, material, n_layers=n, edge_w_m2k=losses.edge_w_m2k, dtype=dtype)
            for n in (grid.z_mm.size, 1)
        )
        self._nodes, n_columns = grid.z_mm.size, grid.hole.size
        self.level = lamp_level(heating.lamps, grid.x_mm[None, :], grid.y_mm[:, None]).ravel()
        if absorption is not None:
            self.level = self.level * absorption.ravel()
        self._input = np.zeros((self._nodes + self._n_sources + self._ramp, n_columns), dtype=dtype)
        self._output = np.zeros((self._nodes + 1, n_columns), dtype=dtype)
        self._pending_s = 0.0  # the second half step in the plane waits for the first one of the next step
        self._extrapolate: tuple[float, NDArray[Any]] | None = None
        self._absorbed = self._lost = 0.0
        if heating.kind == "flash":
            self._output[0] = heating.energy_j_m2 * self.level / self._columns.capacity_j_m2k[0, 0]
            self._absorbed = heating.energy_j_m2 * float(self.level.sum()) * self._area

    def surface(self) -> NDArray[Any]:
        """Rise of the inspected face now, (N,)."""
        face: NDArray[Any] = self._output[:1].copy()
        if self._pending_s > 0:
            self._face.advance(self._output[:1], self._pending_s, face)
        return face.reshape(-1)

    def step(self, dt_s: float, flux_w_m2: float, flux_end_w_m2: float | None = None) -> None:
        """Advance by `dt_s` under a flux at the brightest point that is constant or goes straight to its end value."""
        self._advance_in_plane(self._pending_s + dt_s / 2)
        growth = 0.0 if flux_end_w_m2 is None else flux_end_w_m2 - flux_w_m2
        sources = self._input[self._nodes : self._nodes + self._n_sources]
        if self._n_sources > 1:
            sources[...] = -self._radiation_w_m2(dt_s)
            sources[0] += flux_w_m2 * self.level
        else:
            sources[0] = flux_w_m2 * self.level
        if self._ramp:
            self._input[-1] = growth * self.level
        self._absorbed += (flux_w_m2 + growth / 2) * dt_s * float(self.level.sum()) * self._area
        matrices = self._columns.matrices(dt_s).matrices
        columns, starts = self._kinds.columns, self._kinds.starts
        np.matmul(matrices[0], self._input, out=self._output)
        if columns.size:
            before = self._input[:, columns]
            after = np.empty((self._nodes + 1, columns.size), dtype=self._dtype)
            for kind in range(1, starts.size):
                part = slice(starts[kind - 1], starts[kind])
                after[:, part] = matrices[kind] @ before[:, part]
            self._output[:, columns] = after
        self._lost += float(self._output[-1].sum(dtype=np.float64)) * self._area
        self._pending_s = dt_s / 2

    def energy(self) -> EnergyBalance:
        """Close the last step and add up."""
        if self._losses.edge_w_m2k > 0:
            self._advance_in_plane(self._pending_s)
            self._output[: self._nodes] = self._input[: self._nodes]
            self._pending_s = 0.0
        return EnergyBalance(
            absorbed_j=self._absorbed, lost_j=self._lost, stored_j=self._stored(self._output[: self._nodes])
        )

    def _advance_in_plane(self, dt_s: float) -> None:
        temperatures = self._output[: self._nodes]
        self._volume.advance(temperatures, dt_s, self._input[: self._nodes])
        if self._losses.edge_w_m2k > 0:  # nothing else takes heat here
            self._lost += self._stored(temperatures) - self._stored(self._input[: self._nodes])

    def _stored(self, temperatures: NDArray[Any]) -> float:
        capacity = self._columns.capacity_j_m2k
        total = float(capacity[0] @ temperatures.sum(axis=1, dtype=np.float64))
        extra = capacity[self._kinds.of_column] - capacity[0]
        return (total + float(np.sum(extra.T * temperatures[:, self._kinds.columns], dtype=np.float64))) * self._area

    def _radiation_w_m2(self, dt_s: float) -> NDArray[Any]:
        """Radiation beyond its linear part from each surface, temperatures extrapolated to half the step, (3, N)."""
        now = np.zeros((3, self._output.shape[1]), dtype=np.float64)
        now[0], now[1] = self._output[0], self._output[self._nodes - 1]
        columns, kind = self._kinds.columns, self._kinds.of_column
        now[2, columns] = self._output[self._kinds.floor[kind], columns]
        middle = now
        if self._extrapolate is not None:
            last_dt_s, last = self._extrapolate
            middle = now + (now - last) * (dt_s / (2 * last_dt_s))
        self._extrapolate = (dt_s, now)
        ambient, scale = self._ambient_k, self._losses.radiation_emissivity * STEFAN_BOLTZMANN_W_M2K4
        beyond = scale * ((ambient + middle) ** 4 - ambient**4 - 4 * ambient**3 * middle)
        share = np.zeros((3, beyond.shape[1]))
        share[0], share[1] = 1.0, 1.0
        share[1, columns], share[2, columns] = 1.0 - self._kinds.hole[kind], self._kinds.hole[kind]
        self._lost += float(np.sum(beyond * share)) * dt_s * self._area
        return beyond.astype(self._dtype)
