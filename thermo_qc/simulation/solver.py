"""Transient heat conduction in a plate with flat-bottom holes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.plate import PlateSpec
from thermo_qc.sequence import Material
from thermo_qc.simulation.buried import BuriedDefect, LayerOf
from thermo_qc.simulation.conditions import Heating, Losses, check_range
from thermo_qc.simulation.grid import PlateGrid, build_grid
from thermo_qc.simulation.kernels import Kernels, NumpyKernels
from thermo_qc.simulation.marks import Mark, absorption_map
from thermo_qc.simulation.profile import flux_line, flux_switches_s, largest_step_s
from thermo_qc.simulation.schedule import Segment, frame_weights, plan_segments
from thermo_qc.simulation.stepper import EnergyBalance, Stepper

__all__ = ["PlateSolution", "solve_plate"]

_LOG = logging.getLogger(__name__)


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
    marks : tuple of Mark
        Marks on the inspected face.
    buried : tuple of BuriedDefect
        Delaminations and inclusions.
    layers : tuple of LayerOf
        Layers of other materials.
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
    marks: tuple[Mark, ...] = ()
    buried: tuple[BuriedDefect, ...] = ()
    layers: tuple[LayerOf, ...] = ()


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
    marks: tuple[Mark, ...] = (),
    buried: tuple[BuriedDefect, ...] = (),
    layers: tuple[LayerOf, ...] = (),
    progress: Callable[[float], None] | None = None,
    threads: int | None = None,
    kernels: Kernels | None = None,
) -> PlateSolution:
    """Heat a plate and return the temperature rise of its inspected face.

    Finite volumes in plate coordinates, holes are missing material. A time step is a Strang splitting of second order:
    half a step in the plane (stabilised explicit), a whole step through the thickness (exact, by matrix exponentials,
    losses and heating included), half a step in the plane. It is stable for any step, cell and material. Steps are
    short after each switch of the heating and grow to `max_step_s` (shorter where the flux swings, which is a straight
    line over a step with exactly its heat); frames are on the steps or read off between them.

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
        Longest time step; holes that are small for the conductivity in the plane ask for shorter ones by themselves.
    dtype : {"float32", "float64"}
        Type of the state.
    floors_mm : tuple of float, optional
        Depths that must be nodes; those of the plate's holes when None.
    marks : tuple of Mark
        Marks on the inspected face, which may absorb more or less.
    buried : tuple of BuriedDefect
        Delaminations and inclusions; they may lie above one another, later ones replace what they overlap.
    layers : tuple of LayerOf
        Layers of other materials than the plate's; later ones replace what they overlap.
    progress : callable, optional
        Called with the finished fraction, 0 to 1, after each step.
    threads : int, optional
        Threads of a large plate; None leaves everything to the calling thread (and BLAS to its own setting). Numbers
        depend on it by their rounding at most.
    kernels : Kernels, optional
        Where the state lives, a GPU for example, in place of NumPy arrays in `threads`.

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
    if heating.side == "back" and any(mark.absorption != 1 for mark in marks):
        raise ConfigError("a mark absorbs otherwise, but heating.side is 'back'; set its absorption to 1")
    grid = build_grid(
        plate,
        lateral_mm=lateral_mm,
        depth_cells=depth_cells,
        floors_mm=floors_mm,
        material=material,
        buried=buried,
        layers=layers,
        even=heating.side == "back",
    )
    first_step = _first_step_s(grid, material, times)
    switches = flux_switches_s(heating, float(times[-1]))
    max_step = min(max_step_s, _splitting_limit_s(plate, material, buried, lateral_mm), largest_step_s(heating))
    segments = plan_segments(switches, float(times[-1]), first_step_s=first_step, max_step_s=max_step)
    absorption = absorption_map(marks, grid.x_mm, grid.y_mm, grid.cell_x_mm, grid.cell_y_mm) if marks else None
    rise = np.zeros((times.size, *grid.shape), dtype=dtype)
    n_steps = sum(segment.times_s.size - 1 for segment in segments)
    with NumpyKernels(np.dtype(dtype), threads) as numpy:
        stepper = Stepper(
            grid, material, heating, losses, np.dtype(dtype), absorption=absorption, kernels=kernels or numpy
        )
        done = 0
        for segment in segments:
            surfaces = [stepper.surface()]
            for start, stop in pairwise(segment.times_s.tolist()):
                stepper.step(stop - start, *flux_line(heating, start, stop))
                surfaces.append(stepper.surface())
                done += 1
                if progress is not None:
                    progress(done / n_steps)
            _read_frames(segment, surfaces, times, rise)
        energy = stepper.energy()
    if losses.ambient_drift_k_min != 0:
        rise += losses.ambient_rise_k(times).astype(rise.dtype)[:, None, None]
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
        marks=tuple(marks),
        buried=tuple(buried),
        layers=tuple(layers),
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


def _splitting_limit_s(
    plate: PlateSpec, material: Material, buried: tuple[BuriedDefect, ...], lateral_mm: float
) -> float:
    """Tenth of the time that heat takes in the plane across the smallest defect's radius: 1 % of the rise there."""
    radii = [hole.diameter_mm / 2 for hole in plate.holes]
    radii += [max(min(item.width_mm, item.height_mm) / 2, lateral_mm) for item in buried]
    smallest = min(radii, default=np.inf)
    fastest = max(material.conductivities_in_plane_w_mk) / (material.density_kg_m3 * material.heat_capacity_j_kgk)
    return float(0.1 * smallest**2 / (1e6 * fastest))


def _read_frames(
    segment: Segment, surfaces: list[NDArray[Any]], times: NDArray[np.float64], rise: NDArray[Any]
) -> None:
    """Fill in the frames that lie in a segment (its end included, its start not)."""
    for index in np.flatnonzero((times > segment.times_s[0]) & (times <= segment.times_s[-1] * (1 + 1e-12))):
        first, weights = frame_weights(segment, float(times[index]))
        frame = sum(float(weight) * surfaces[first + i] for i, weight in enumerate(weights))
        rise[index] = np.asarray(frame).reshape(rise.shape[1:])
