"""Detectability of flat-bottom holes from their simulated cells: one hole, or every hole of a plate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from thermo_qc.errors import PlateError
from thermo_qc.evaluation.bounds import cramer_rao_bound
from thermo_qc.evaluation.hole_window import HoleWindow, PixelRings
from thermo_qc.evaluation.items import diffusion_length_mm
from thermo_qc.evaluation.observer import Detectability, DetectionLimits, Nuisance
from thermo_qc.evaluation.setup import InspectionSetup
from thermo_qc.plate import PlateSpec
from thermo_qc.sequence import Material
from thermo_qc.simulation import lamp_level
from thermo_qc.simulation.cell import CellSolution, solve_cell

__all__ = ["HoleDetectability", "hole_depth_bounds", "hole_detectability", "plate_detectability", "simulate_hole"]

_PIXELS_ACROSS = 12  # a finer camera is represented by pixels of this size, with as much less noise
_STEP = 0.02  # of the finite differences, relative
_LEVEL_GRID = 64  # points per side of the plate that are searched for the brightest one


@dataclass(frozen=True, kw_only=True)
class HoleDetectability:
    """What a recording can show of one hole.

    Parameters
    ----------
    number, name : int, str
        The hole in its plate.
    depth_mm, diameter_mm : float
        Material left above it, and its size.
    level : float
        Relative light there.
    index : Detectability
        Indices d' and the word.
    depth_bound_mm : float
        Cramer-Rao bound: smallest standard deviation of its depth, nuisances unknown, diameter known.
    depth_bound_joint_mm : float
        The same where its diameter is unknown as well.
    """

    number: int
    name: str
    depth_mm: float
    diameter_mm: float
    level: float
    index: Detectability
    depth_bound_mm: float
    depth_bound_joint_mm: float


def simulate_hole(
    material: Material,
    *,
    thickness_mm: float,
    depth_mm: float,
    diameter_mm: float,
    setup: InspectionSetup,
    level: float = 1.0,
) -> HoleWindow:
    """Simulate one hole in a wide plate, and the camera's window round it.

    The window reaches from the wall of the hole as far as heat does in the plane during the recording,
    sqrt(4 alpha t), on all four sides.

    Parameters
    ----------
    material : Material
        Constants.
    thickness_mm, depth_mm, diameter_mm : float
        Plate and hole.
    setup : InspectionSetup
        Heating, losses, camera and recording.
    level : float
        Relative light at the hole; the rise is proportional to it.

    Returns
    -------
    HoleWindow

    Raises
    ------
    ConfigError
        When a number is out of range.
    """
    times, counts = setup.samples()
    reach = diffusion_length_mm(material.diffusivity_in_plane_mm2_s, setup.duration_s)
    half = diameter_mm / 2 + reach
    cell = solve_cell(
        material=material,
        thickness_mm=thickness_mm,
        depth_mm=depth_mm,
        diameter_mm=diameter_mm,
        times_s=times,
        reach_mm=np.sqrt(2.0) * half - diameter_mm / 2,
        heating=setup.heating,
        losses=setup.losses,
    )
    return look_at_cell(
        cell, frames_averaged=counts, half_width_mm=half, diameter_mm=diameter_mm, setup=setup, level=level
    )


def look_at_cell(
    cell: CellSolution,
    *,
    frames_averaged: NDArray[np.float64],
    half_width_mm: float,
    diameter_mm: float,
    setup: InspectionSetup,
    level: float = 1.0,
) -> HoleWindow:
    """Look at a simulated cell with the camera of a set-up.

    Parameters
    ----------
    cell : CellSolution
        The cell, under full light.
    frames_averaged : ndarray of float64, shape (T,)
        Number of frames that each of its instants stands for.
    half_width_mm : float
        From the axis of the hole to the border of the window.
    diameter_mm : float
        Of the hole; pixels far smaller are joined.
    setup : InspectionSetup
        Camera.
    level : float
        Relative light; the rise is proportional to it.
    """
    joined = max(1, int(diameter_mm / _PIXELS_ACROSS / setup.pixel_pitch_mm))
    rings = PixelRings(
        r_mm=cell.r_mm,
        half_width_mm=half_width_mm,
        pixel_pitch_mm=joined * setup.pixel_pitch_mm,
        blur_px=setup.blur_px / joined,
    )
    return HoleWindow(
        times_s=cell.times_s,
        frames_averaged=frames_averaged,
        contrast_k=level * cell.contrast_k,
        sound_k=level * cell.sound_k,
        rings=rings,
        noise_k=setup.noise_k,
        pixels_joined=joined,
    )


def hole_detectability(
    material: Material,
    *,
    thickness_mm: float,
    depth_mm: float,
    diameter_mm: float,
    setup: InspectionSetup,
    level: float = 1.0,
    limits: DetectionLimits | None = None,
) -> Detectability:
    """Compute the detectability of one hole in a wide plate; see `simulate_hole`.

    Raises
    ------
    ConfigError
        When a number is out of range.
    """
    window = simulate_hole(
        material, thickness_mm=thickness_mm, depth_mm=depth_mm, diameter_mm=diameter_mm, setup=setup, level=level
    )
    return window.detectability(limits)


def hole_depth_bounds(
    material: Material,
    *,
    thickness_mm: float,
    depth_mm: float,
    diameter_mm: float,
    setup: InspectionSetup,
    level: float = 1.0,
    nuisance: Nuisance = "background",
) -> tuple[float, float]:
    """Cramer-Rao bound of the depth of one hole, by central differences of the simulation.

    Parameters
    ----------
    material, thickness_mm, depth_mm, diameter_mm, setup, level
        As for `simulate_hole`.
    nuisance : {"none", "pixel", "background"}
        What is unknown besides.

    Returns
    -------
    known, joint : float
        Smallest standard deviation of the depth in mm, with the diameter known and with the diameter unknown.

    Raises
    ------
    ConfigError
        When a number is out of range.

    References
    ----------
    S. M. Kay, Fundamentals of Statistical Signal Processing I: Estimation Theory, Prentice Hall 1993, sections 3.6-3.9.
    """
    step_depth = _STEP * min(depth_mm, thickness_mm - depth_mm)
    step_diameter = _STEP * diameter_mm
    here = simulate_hole(
        material, thickness_mm=thickness_mm, depth_mm=depth_mm, diameter_mm=diameter_mm, setup=setup, level=level
    )

    def contrast(depth: float, diameter: float) -> NDArray[np.float64]:
        moved = simulate_hole(
            material, thickness_mm=thickness_mm, depth_mm=depth, diameter_mm=diameter, setup=setup, level=level
        )
        r = np.clip(here.rings.r_mm, moved.rings.r_mm[0], moved.rings.r_mm[-1])
        return np.asarray(CubicSpline(moved.rings.r_mm, moved.contrast_k, axis=1)(r))

    by_depth = contrast(depth_mm + step_depth, diameter_mm) - contrast(depth_mm - step_depth, diameter_mm)
    by_size = contrast(depth_mm, diameter_mm + step_diameter) - contrast(depth_mm, diameter_mm - step_diameter)
    rest = np.stack(
        [here.rest(by_depth / (2 * step_depth), nuisance), here.rest(by_size / (2 * step_diameter), nuisance)]
    )[..., None]
    known = cramer_rao_bound(rest[:1], noise_k=1.0, nuisance="none")[0]
    joint = cramer_rao_bound(rest, noise_k=1.0, nuisance="none")[0]
    return float(known), float(joint)


def plate_detectability(
    plate: PlateSpec,
    *,
    setup: InspectionSetup,
    material: Material | None = None,
    limits: DetectionLimits | None = None,
    bounds: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[HoleDetectability, ...]:
    """Compute the detectability of every hole of a plate.

    Each hole is simulated alone in a wide plate under the light that falls on its centre: neighbours, edges and the
    slope of the light are left out. A hole takes about 0.1 s on one core, with the depth bounds six times that.

    Parameters
    ----------
    plate : PlateSpec
        Geometry; its material is used unless `material` is given.
    setup : InspectionSetup
        Heating with its lamps, losses, camera and recording.
    material : Material, optional
        Constants of this specimen.
    limits : DetectionLimits, optional
        6.5 and 30.
    bounds : bool
        Whether the Cramer-Rao bounds of the depth are wanted; NaN without.
    progress : callable, optional
        Called with the number of finished holes and of all holes.

    Returns
    -------
    tuple of HoleDetectability
        In the order of the plate's holes.

    Raises
    ------
    PlateError
        When the plate has no holes.
    ConfigError
        When a number is out of range.
    """
    if not plate.holes:
        raise PlateError(f"plate '{plate.name}' has no holes; detectability is a property of defects, add some")
    constants = material or plate.material
    found = []
    for number, (hole, level) in enumerate(zip(plate.holes, _levels(plate, setup), strict=True), start=1):
        case: dict[str, Any] = {
            "thickness_mm": plate.thickness_mm,
            "depth_mm": hole.depth_mm,
            "diameter_mm": hole.diameter_mm,
            "setup": setup,
            "level": level,
        }
        known, joint = hole_depth_bounds(constants, **case) if bounds else (np.nan, np.nan)
        found.append(
            HoleDetectability(
                number=hole.number,
                name=hole.name,
                depth_mm=hole.depth_mm,
                diameter_mm=hole.diameter_mm,
                level=level,
                index=hole_detectability(constants, **case, limits=limits),
                depth_bound_mm=known,
                depth_bound_joint_mm=joint,
            )
        )
        if progress is not None:
            progress(number, len(plate.holes))
    return tuple(found)


def _levels(plate: PlateSpec, setup: InspectionSetup) -> list[float]:
    """Relative light at the centre of every hole, 1 at the brightest place of the plate."""
    x, y = (
        ((np.arange(_LEVEL_GRID) + 0.5) * side / _LEVEL_GRID).tolist() for side in (plate.width_mm, plate.height_mm)
    )
    grid_x, grid_y = (axis.ravel() for axis in np.meshgrid(x, y))
    all_x = np.append([hole.x_mm for hole in plate.holes], grid_x)
    all_y = np.append([hole.y_mm for hole in plate.holes], grid_y)
    return [float(level) for level in lamp_level(setup.heating.lamps, all_x, all_y)[: len(plate.holes)]]
