"""Transient heat conduction in a plate with flat-bottom holes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.plate import PlateSpec
from thermo_qc.sequence import Material
from thermo_qc.simulation.columns import Columns, column_kinds
from thermo_qc.simulation.conditions import Heating, Losses, check_range, lamp_level
from thermo_qc.simulation.grid import PlateGrid, build_grid
from thermo_qc.simulation.lateral import LateralConduction
from thermo_qc.simulation.schedule import Segment, frame_weights, plan_segments

__all__ = ["EnergyBalance", "PlateSolution", "solve_plate"]

STEFAN_BOLTZMANN_W_M2K4 = 5.670374419e-8
_LOG = logging.getLogger(__name__)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class PlateSolution:
    """Noise-free temperature rise of the inspected face, in plate coordinates.

    Parameters
    ----------
    plate : PlateSpec
        The plate.
    material : Material
        Constants that were used.
    heating, losses : Heating, Losses
        What acted on it.
    times_s : ndarray of float64, shape (T,)
        Time of each frame; 0 is the start of the heating.
    rise_k : ndarray of float32 or float64, shape (T, Y, X)
        Temperature above ambient.
    x_mm, y_mm : ndarray of float64, shapes (X,) and (Y,)
        Cell centres.
    level : ndarray of float64, shape (Y, X)
        Relative heat flux, 1 at the brightest cell.
    energy : EnergyBalance
        Heat at the end.
    n_steps : int
        Time steps taken.
    parameters : dict
        Solver settings, for the record.
    """

    plate: PlateSpec
    material: Material
    heating: Heating
    losses: Losses
    times_s: NDArray[np.float64]
    rise_k: NDArray[Any]
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    level: NDArray[np.float64]
    energy: EnergyBalance
    n_steps: int
    parameters: dict[str, Any]


def solve_plate(
    plate: PlateSpec,
    *,
    times_s: NDArray[np.float64],
    material: Material | None = None,
    heating: Heating | None = None,
    losses: Losses | None = None,
    lateral_mm: float = 2.0,
    depth_cells: int = 24,
    max_step_s: float = 2.0,
    dtype: Literal["float32", "float64"] = "float32",
    floors_mm: tuple[float, ...] | None = None,
    progress: Callable[[float], None] | None = None,
) -> PlateSolution:
    """Heat a plate and return the temperature rise of its inspected face.

    Finite volumes in plate coordinates, holes are missing material. A time step is a Strang splitting of second order:
    half a step in the plane (stabilised explicit), a whole step through the thickness (exact, by matrix exponentials,
    losses and heating included), half a step in the plane. It is stable for any step, cell and material. Steps are
    short after each switch of the heating and grow to `max_step_s`; frames are on the steps or read off between them.

    Parameters
    ----------
    plate : PlateSpec
        Geometry; its material is used unless `material` is given.
    times_s : ndarray of float64, shape (T,)
        Wanted frames, strictly increasing; frames at t <= 0 show the cold plate.
    material : Material, optional
        Constants of this specimen.
    heating : Heating, optional
        Default: 1 kW/m2, even, for 60 s.
    losses : Losses, optional
        Default: 10 W/(m2 K) on front, back and hole floors.
    lateral_mm : float
        Cell size in the plane; see `build_grid` for cells that a hole cuts.
    depth_cells : int
        Cells through the thickness.
    max_step_s : float
        Longest time step.
    dtype : {"float32", "float64"}
        Type of the state.
    floors_mm : tuple of float, optional
        Depths that must be nodes; those of the plate's holes when None.
    progress : callable, optional
        Called with the finished fraction, 0 to 1, after each step.

    Returns
    -------
    PlateSolution

    Raises
    ------
    ConfigError
        When a setting is impossible for this plate.

    References
    ----------
    G. Strang, SIAM J. Numer. Anal. 5 (1968) 506, 10.1137/0705041

    Examples
    --------
    >>> from thermo_qc.plate import load_plate
    >>> solution = solve_plate(load_plate("gfrp_calibrated"), times_s=np.array([0.0, 30.0, 60.0]), lateral_mm=10)
    >>> solution.rise_k.shape
    (3, 29, 32)
    """
    material, heating, losses = material or plate.material, heating or Heating(), losses or Losses()
    times = _checked_times(times_s)
    check_range("solver.max_step_s", max_step_s, low=0, open_low=True)
    grid = build_grid(plate, lateral_mm=lateral_mm, depth_cells=depth_cells, floors_mm=floors_mm)
    first_step = _first_step_s(grid, material, times)
    switches = () if heating.stop_s is None else (heating.stop_s,)
    segments = plan_segments(switches, float(times[-1]), first_step_s=first_step, max_step_s=max_step_s)
    stepper = _Stepper(grid, material, heating, losses, np.dtype(dtype))
    rise = np.zeros((times.size, *grid.shape), dtype=dtype)
    n_steps = sum(segment.times_s.size - 1 for segment in segments)
    done = 0
    for segment in segments:
        surfaces = [stepper.surface()]
        flux = heating.flux_at(float(segment.times_s[:2].mean()))
        for dt in np.diff(segment.times_s):
            stepper.step(float(dt), flux)
            surfaces.append(stepper.surface())
            done += 1
            if progress is not None:
                progress(done / n_steps)
        _read_frames(segment, surfaces, times, rise)
    energy = stepper.energy()
    _LOG.debug("%d steps on %s cells, energy closes to %.1e", n_steps, grid.shape, energy.relative_error)
    settings = {"lateral_mm": lateral_mm, "depth_cells": depth_cells, "max_step_s": max_step_s, "dtype": dtype}
    return PlateSolution(
        plate=plate,
        material=material,
        heating=heating,
        losses=losses,
        times_s=times,
        rise_k=rise,
        x_mm=grid.x_mm,
        y_mm=grid.y_mm,
        level=stepper.level.reshape(grid.shape),
        energy=energy,
        n_steps=n_steps,
        parameters=settings,
    )


def _checked_times(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    times = np.asarray(times_s, dtype=np.float64)
    if (
        times.ndim != 1
        or times.size == 0
        or not np.isfinite(times).all()
        or (np.diff(times) <= 0).any()
        or times[-1] <= 0
    ):
        raise ConfigError(
            "the frame times do not strictly increase to an end after zero; "
            "check recording.frame_rate_hz and recording.duration_s"
        )
    return times


def _first_step_s(grid: PlateGrid, material: Material, times: NDArray[np.float64]) -> float:
    """Quarter of the time that heat takes through the first cell, at most the first frame's time."""
    first_cell = float(grid.z_mm[1] ** 2 / (4 * material.diffusivity_through_mm2_s))
    return min(first_cell, float(times[times > 0][0]))


def _read_frames(
    segment: Segment, surfaces: list[NDArray[Any]], times: NDArray[np.float64], rise: NDArray[Any]
) -> None:
    """Fill in the frames that lie in a segment (its end included, its start not)."""
    for index in np.flatnonzero((times > segment.times_s[0]) & (times <= segment.times_s[-1] * (1 + 1e-12))):
        first, weights = frame_weights(segment, float(times[index]))
        frame = sum(float(weight) * surfaces[first + i] for i, weight in enumerate(weights))
        rise[index] = np.asarray(frame).reshape(rise.shape[1:])


class _Stepper:
    """State of the plate: node temperatures (Z, N) above ambient, and the heat that came and went."""

    def __init__(
        self, grid: PlateGrid, material: Material, heating: Heating, losses: Losses, dtype: np.dtype[Any]
    ) -> None:
        self._losses, self._area, self._dtype = losses, grid.cell_area_m2, dtype
        self._ambient_k = losses.ambient_c + 273.15
        radiated = 4 * losses.radiation_emissivity * STEFAN_BOLTZMANN_W_M2K4 * self._ambient_k**3
        self._n_sources = 3 if radiated > 0 else 1
        self._kinds = column_kinds(grid)
        self._columns = Columns(
            self._kinds,
            grid.z_mm,
            material,
            front_w_m2k=losses.front_w_m2k + radiated,
            back_w_m2k=losses.back_w_m2k + radiated,
            floor_w_m2k=losses.hole_floor_w_m2k + radiated,
            n_sources=self._n_sources,
            dtype=dtype,
        )
        self._volume, self._face = (
            LateralConduction(grid, material, n_layers=n, edge_w_m2k=losses.edge_w_m2k, dtype=dtype)
            for n in (grid.z_mm.size, 1)
        )
        self._nodes, n_columns = grid.z_mm.size, grid.hole.size
        self.level = lamp_level(heating.lamps, grid.x_mm[None, :], grid.y_mm[:, None]).ravel()
        self._input = np.zeros((self._nodes + self._n_sources, n_columns), dtype=dtype)
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

    def step(self, dt_s: float, flux_w_m2: float) -> None:
        """Advance by `dt_s` under a constant flux at the brightest point."""
        self._advance_in_plane(self._pending_s + dt_s / 2)
        sources = self._input[self._nodes :]
        sources[0] = flux_w_m2 * self.level
        self._absorbed += flux_w_m2 * dt_s * float(self.level.sum()) * self._area
        if self._n_sources > 1:
            self._add_radiation(sources, dt_s)
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

    def _add_radiation(self, sources: NDArray[Any], dt_s: float) -> None:
        """Add what radiates beyond its linear part, surface temperatures extrapolated to half the step."""
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
        sources -= beyond.astype(self._dtype)
        share = np.zeros((3, beyond.shape[1]))
        share[0], share[1] = 1.0, 1.0
        share[1, columns], share[2, columns] = 1.0 - self._kinds.hole[kind], self._kinds.hole[kind]
        self._lost += float(np.sum(beyond * share)) * dt_s * self._area
