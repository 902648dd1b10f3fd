"""Noise-free contrast of holes against the same plate without them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.plate import Hole, PlateSpec
from thermo_qc.sequence import Material
from thermo_qc.simulation.buried import BuriedDefect, LayerOf
from thermo_qc.simulation.conditions import Heating, Losses
from thermo_qc.simulation.grid import hole_fraction, needed_depths_mm
from thermo_qc.simulation.kernels import Kernels
from thermo_qc.simulation.marks import Mark
from thermo_qc.simulation.schedule import lagrange_weights
from thermo_qc.simulation.shapes import covered_share
from thermo_qc.simulation.solver import PlateSolution, solve_plate

__all__ = ["peak_contrasts_k", "solve_sound_plate"]

_COARSE_MM = 8.0


def solve_sound_plate(
    plate: PlateSpec,
    *,
    times_s: NDArray[np.float64],
    material: Material | None = None,
    heating: Heating | None = None,
    losses: Losses | None = None,
    lateral_mm: float = _COARSE_MM,
    depth_cells: int = 24,
    max_step_s: float = 2.0,
    dtype: Literal["float32", "float64"] = "float32",
    marks: tuple[Mark, ...] = (),
    buried: tuple[BuriedDefect, ...] = (),
    layers: tuple[LayerOf, ...] = (),
    progress: Callable[[float], None] | None = None,
    threads: int | None = None,
    kernels: Kernels | None = None,
) -> PlateSolution:
    """Solve the same plate without its holes and buried defects, on the same nodes through the thickness.

    Only lamps and edges vary in the plane of a sound plate, over far more than a cell; so coarse cells do.

    Parameters
    ----------
    plate : PlateSpec
        The plate with its holes.
    times_s, material, heating, losses, depth_cells, max_step_s, dtype, marks, buried, layers, progress
        As for `solve_plate`.
    threads, kernels
        As for `solve_plate`.
    lateral_mm : float
        Cell size in the plane; plates smaller than that get one cell.

    Returns
    -------
    PlateSolution
        Of the plate without holes.

    Raises
    ------
    ConfigError
        As for `solve_plate`.
    """
    return solve_plate(
        replace(plate, holes=()),
        times_s=times_s,
        material=material,
        heating=heating,
        losses=losses,
        lateral_mm=min(lateral_mm, plate.width_mm, plate.height_mm),
        depth_cells=depth_cells,
        max_step_s=max_step_s,
        dtype=dtype,
        floors_mm=needed_depths_mm(plate, buried, layers),
        layers=layers,
        marks=marks,
        progress=progress,
        threads=threads,
        kernels=kernels,
    )


def peak_contrasts_k(
    solution: PlateSolution, sound: PlateSolution, *, centre_fraction: float = 0.5
) -> dict[int, float]:
    """Largest contrast of each hole and buried defect during the recording.

    Contrast is the mean rise over the hole's centre region less the rise of the sound plate at the same place and time.

    Parameters
    ----------
    solution : PlateSolution
        The plate with holes.
    sound : PlateSolution
        The same plate without, at the same times (`solve_sound_plate`); its cells may be larger.
    centre_fraction : float
        Diameter of the centre region over that of the hole; 0 interpolates at the centre alone (cubic).

    Returns
    -------
    dict of int to float
        Peak contrast in K by number, buried defects after the holes; negative where they stay cooler (the largest
        deviation counts there).

    Raises
    ------
    ConfigError
        When the two solutions have different times.
    """
    if not np.array_equal(solution.times_s, sound.times_s):
        raise ConfigError(
            "the plates with and without holes were solved at different times; use the same times_s for both"
        )
    peaks = {
        hole.number: float(np.max(_centre_rise(solution, hole, centre_fraction) - _centre_rise(sound, hole, 0.0)))
        for hole in solution.plate.holes
    }
    for number, item in enumerate(solution.buried, start=len(peaks) + 1):
        contrast = _outline_contrast(solution, sound, item, centre_fraction)
        peaks[number] = float(contrast[np.argmax(np.abs(contrast))])
    return peaks


def _outline_contrast(
    solution: PlateSolution, sound: PlateSolution, item: BuriedDefect, fraction: float
) -> NDArray[np.float64]:
    """Contrast over the middle part of an outline (all of a mask) against the sound plate there, float64 (T,)."""
    part = 1.0 if item.mask is not None else max(fraction, 0.1)
    region = replace(item, width_mm=item.width_mm * part, height_mm=item.height_mm * part)
    share = covered_share(region, solution.x_mm, solution.y_mm, _cell(solution.x_mm), _cell(solution.y_mm))
    rows, columns = np.nonzero(share)
    weights = share[rows, columns] / share.sum()
    around = sum(
        weight * sound.rise_k[:, row, column].astype(np.float64)
        for row, column, weight in _on_other_cells(solution, sound, rows, columns, weights)
    )
    return np.asarray(solution.rise_k[:, rows, columns].astype(np.float64) @ weights - around)


def _on_other_cells(
    solution: PlateSolution,
    sound: PlateSolution,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    weights: NDArray[np.float64],
) -> list[tuple[int, int, float]]:
    """Cells of the sound plate and their weights that stand for weighted cells of the other, by cubics."""
    total = np.zeros((sound.y_mm.size, sound.x_mm.size))
    for row, column, weight in zip(rows, columns, weights, strict=True):
        across, along = _cubic(sound.y_mm, solution.y_mm[row]), _cubic(sound.x_mm, solution.x_mm[column])
        total += weight * np.outer(across, along)
    places = np.argwhere(total)
    return [(int(row), int(column), float(total[row, column])) for row, column in places]


def _centre_rise(solution: PlateSolution, hole: Hole, fraction: float) -> NDArray[np.float64]:
    """Rise over the centre region at every time, float64 (T,)."""
    weights = np.zeros((solution.y_mm.size, solution.x_mm.size))
    if fraction > 0:
        cell_x, cell_y = (_cell(axis) for axis in (solution.x_mm, solution.y_mm))
        region = replace(hole, diameter_mm=hole.diameter_mm * fraction)
        weights = hole_fraction(region, solution.x_mm, solution.y_mm, cell_x, cell_y)
    if weights.sum() == 0:
        weights = np.outer(_cubic(solution.y_mm, hole.y_mm), _cubic(solution.x_mm, hole.x_mm))
    rows, columns = np.nonzero(weights)
    values: NDArray[Any] = solution.rise_k[:, rows, columns].astype(np.float64)
    return np.asarray(values @ weights[rows, columns] / weights.sum(), dtype=np.float64)


def _cell(centres: NDArray[np.float64]) -> float:
    """Cell size of an axis that starts at the plate's border."""
    return float(2 * centres[0])


def _cubic(centres: NDArray[np.float64], at: float) -> NDArray[np.float64]:
    """Weights of the cubic through the four nearest cell centres (fewer on a smaller grid)."""
    first = int(np.clip(np.searchsorted(centres, at) - 2, 0, max(0, centres.size - 4)))
    near = centres[first : first + 4]
    weights = np.zeros(centres.size)
    weights[first : first + 4] = lagrange_weights(near, at)
    return weights
