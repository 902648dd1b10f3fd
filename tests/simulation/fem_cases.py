"""Third-party finite elements for `fem_comparison`: what their files state, and what is fitted on sound material."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import erf

from thermo_qc.io import read_sequence
from thermo_qc.plate import PlateSpec
from thermo_qc.sequence import Material
from thermo_qc.simulation import Heating, Inclusion, Losses, solve_plate

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A sequence of the finite elements, and what its file states.

    Parameters
    ----------
    name : str
        Of the file.
    plate : PlateSpec
        The view, as if it ended there.
    inclusion : Inclusion
        The defect with its stated volume.
    heating : Heating
        The pulse.
    times_s : ndarray, shape (T,)
        Of the frames, 0 at the start of the pulse.
    rise_k : ndarray, shape (T, Y, X)
        Above the first frame.
    mask : ndarray of bool, shape (Y, X)
        The file's.
    pitch_mm : float
        Of its pixels.
    """

    name: str
    plate: PlateSpec
    inclusion: Inclusion
    heating: Heating
    times_s: Array
    rise_k: Array
    mask: NDArray[np.bool_]
    pitch_mm: float

    @property
    def pixels_mm(self) -> Array:
        """Centres of the pixels along either axis."""
        return (np.arange(self.mask.shape[0]) + 0.5) * self.pitch_mm

    @property
    def first_s(self) -> float:
        """Three pulse lengths after the pulse."""
        return 4 * self.heating.duration_s

    def at(self, end_s: float, count: int) -> Case:
        """The case at `count` frames, logarithmically spaced from three pulse lengths after the pulse to `end_s`."""
        within = np.flatnonzero((self.times_s >= self.first_s) & (self.times_s <= end_s))
        kept = within[np.unique(np.rint(np.geomspace(1, within.size, count)).astype(int)) - 1]
        return replace(self, times_s=self.times_s[kept], rise_k=self.rise_k[kept])


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What was fitted on sound material: half width of the heated square, film coefficient of both faces."""

    heated_half_mm: float
    film_w_m2k: float


def read_case(path: Path) -> Case:
    """Read a file of pyThermoNDT's simulations."""
    sequence = read_sequence(path)
    with h5py.File(path) as file:
        rows = json.loads(json.loads(file["/MetaData"].attrs["SimulationParameter"]))
    stated = {row[0]: float(row[3]) for row in rows[1:] if isinstance(row[3], int | float)}
    millimetres = {name: 1e3 * value for name, value in stated.items()}
    frames = np.asarray(sequence.frames, dtype=np.float64)
    material = sequence.material
    assert material is not None and sequence.truth is not None and sequence.pixel_pitch_mm is not None
    filling = Material(
        name="inclusion",
        conductivity_through_w_mk=stated["k3_def"],
        conductivity_in_plane_w_mk=stated["k1_def"],
        conductivity_y_w_mk=stated["k2_def"],
        density_kg_m3=stated["rho_def"],
        heat_capacity_j_kgk=stated["cp_def"],
    )
    inclusion = Inclusion(  # both axes of the frames run against those of the parameters
        x_mm=millimetres["X_mat"] / 2 - millimetres["posX_def"],
        y_mm=millimetres["Y_mat"] / 2 - millimetres["posY_def"],
        width_mm=millimetres["X_def"],
        height_mm=millimetres["Y_def"],
        turn_deg=-float(np.rad2deg(stated["orient_def"])),
        outline={2: "rectangle", 3: "ellipse"}[int(stated["shape"])],
        depth_mm=millimetres["dp_def"],
        thickness_mm=millimetres["th_def"],
        material=filling,
    )
    plate = PlateSpec(
        name=path.stem,
        width_mm=millimetres["X_mat"],
        height_mm=millimetres["Y_mat"],
        thickness_mm=millimetres["th_mat"],
        material=material,
        holes=(),
    )
    return Case(
        name=path.stem,
        plate=plate,
        inclusion=inclusion,
        heating=Heating(flux_w_m2=stated["P_p"], duration_s=stated["t_p"]),
        times_s=np.asarray(sequence.times_s),
        rise_k=frames - frames[0],
        mask=np.asarray(sequence.truth.defect_index > 0),
        pitch_mm=sequence.pixel_pitch_mm,
    )


def sound_half(case: Case) -> NDArray[np.bool_]:
    """The half of the view that is farther from the defect, (Y, X)."""
    far = case.pixels_mm < case.plate.height_mm / 2
    if case.inclusion.y_mm < case.plate.height_mm / 2:
        far = ~far
    return np.broadcast_to(far[:, None], case.mask.shape)


def fit_surroundings(case: Case, *, depth_cells: int = 24) -> Surroundings:
    """Fit the heated square and the films on the sound half, least squares.

    The square comes from the form of the mean profiles along x and y (each over its mean, so that waves in time that
    all pixels share drop out) in the later three quarters of the recording, the films from the mean level in all of it.
    """
    used = case.at(float(case.times_s[-1]), 50)
    rows = sound_half(case)[:, 0]
    late = used.times_s > used.times_s[-1] / 4
    profiles = used.rise_k[late][:, rows].mean(axis=1), used.rise_k[late][:, rows].mean(axis=2)
    wanted = [profile / profile.mean(axis=1, keepdims=True) for profile in profiles]

    def form(half: Array) -> Array:
        models = _spread(used, 0, float(half[0]))[late], _spread(used, 1, float(half[0]))[late][:, rows]
        errors = (m / m.mean(axis=1, keepdims=True) - w for m, w in zip(models, wanted, strict=True))
        return np.concatenate([error.ravel() for error in errors])

    half = float(least_squares(form, np.array([case.plate.width_mm])).x[0])
    share = _spread(used, 0, half).mean(axis=1) * _spread(used, 1, half)[:, rows].mean(axis=1)
    level = used.rise_k[:, rows].mean(axis=(1, 2)) / share

    def loss(root: Array) -> Array:
        return _slab(used, film_w_m2k=float(root[0]) ** 2, depth_cells=depth_cells) / level - 1

    film = float(least_squares(loss, np.array([1.0]), diff_step=0.05, xtol=1e-3).x[0]) ** 2
    return Surroundings(heated_half_mm=half, film_w_m2k=film)


def _slab(case: Case, *, film_w_m2k: float, depth_cells: int) -> Array:
    """Rise of the heated face of one column, (T,)."""
    losses = Losses(front_w_m2k=film_w_m2k, back_w_m2k=film_w_m2k)
    column = replace(case.plate, width_mm=1.0, height_mm=1.0)
    solution = solve_plate(
        column,
        times_s=case.times_s,
        heating=case.heating,
        losses=losses,
        lateral_mm=1.0,
        depth_cells=depth_cells,
        max_step_s=float(case.times_s[-1]) / 100,
        dtype="float64",
    )
    return np.asarray(solution.rise_k[:, 0, 0])


def _spread(case: Case, axis: int, half_mm: float) -> Array:
    """Share of the heat of a heated strip that is left at the pixels along an axis (0: x), (T, pixels)."""
    material = case.plate.material
    density = 1e-6 * material.density_kg_m3 * material.heat_capacity_j_kgk
    since = case.times_s - case.heating.duration_s / 2
    length = np.sqrt(4 * material.conductivities_in_plane_w_mk[axis] / density * since)[:, None]
    from_centre = case.pixels_mm - (case.plate.width_mm, case.plate.height_mm)[axis] / 2
    return np.asarray((erf((from_centre + half_mm) / length) + erf((half_mm - from_centre) / length)) / 2)


def edge_films_w_m2k(case: Case) -> Array:
    """Film coefficients that the frames show at the view's left and upper edge, k dT/dx / T, (T, 2)."""
    near = 8
    places = 1e-3 * case.pixels_mm[:near]
    profiles = case.rise_k[:, sound_half(case)[:, 0]].mean(axis=1), case.rise_k[:, :, 20:35].mean(axis=2)
    fits = [np.polyfit(places, profile[:, :near].T, 2) for profile in profiles]
    return np.stack(
        [k * fit[1] / fit[2] for k, fit in zip(case.plate.material.conductivities_in_plane_w_mk, fits, strict=True)],
        axis=1,
    )
