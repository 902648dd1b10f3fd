"""Random plates with their heating: what a network that must generalise is trained and tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.plate import Hole, PlateSpec
from thermo_qc.sequence import Material
from thermo_qc.simulation.buried import BuriedDefect, Delamination, Inclusion
from thermo_qc.simulation.conditions import Heating, Lamp, Losses
from thermo_qc.simulation.marks import Mark
from thermo_qc.simulation.ranges import MaterialRange, PlateRanges, Range

__all__ = ["RandomPlate", "draw_plate", "log_frames_s"]

_N_HEATING, _N_COOLING = 24, 120
_FIRST_SHARE = 0.002  # of the cooling time: the first frame after the heating
_MOST_DEPTHS = 7  # different ones on a plate, so that the grid through the thickness stays small
_TRIES = 60
_GAP_PX = 3.0
_AIR_W_MK = 0.026
_PTFE = Material(
    name="PTFE",
    conductivity_through_w_mk=0.25,
    conductivity_in_plane_w_mk=0.25,
    density_kg_m3=2170.0,
    heat_capacity_j_kgk=1000.0,
)
_STEEL = Material(
    name="steel",
    conductivity_through_w_mk=16.0,
    conductivity_in_plane_w_mk=16.0,
    density_kg_m3=7900.0,
    heat_capacity_j_kgk=500.0,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomPlate:
    """One drawn plate and how it is heated.

    Parameters
    ----------
    plate : PlateSpec
        Geometry with its round flat-bottom holes and the nominal material.
    material : Material
        Constants of the specimen.
    heating, losses : Heating, Losses
        What acts on it.
    marks, buried : tuple
        Marks on its surface, and defects inside.
    times_s : ndarray of float64, shape (T,)
        Instants that describe the recording: evenly spaced while the plate is heated, then logarithmically.
    pixel_pitch_mm : float
        Of the camera.
    reflection_k : float
        Apparent rise by reflected lamps while they shine.
    """

    plate: PlateSpec
    material: Material
    heating: Heating
    losses: Losses
    marks: tuple[Mark, ...]
    buried: tuple[BuriedDefect, ...]
    times_s: NDArray[np.float64]
    pixel_pitch_mm: float
    reflection_k: float


def draw_plate(rng: np.random.Generator, ranges: PlateRanges, *, name: str = "random") -> RandomPlate:
    """Draw a plate, its defects and marks, and its heating.

    Parameters
    ----------
    rng : Generator
        Random numbers; the same state gives the same plate.
    ranges : PlateRanges
        What may come out.
    name : str
        Of the plate.

    Returns
    -------
    RandomPlate
    """
    nominal = _material(rng, ranges)
    thickness = _log(rng, ranges.thickness_mm)
    spread = float(np.cbrt(nominal.conductivity_in_plane_w_mk / nominal.conductivity_through_w_mk))
    pitch = float(np.clip(_log(rng, ranges.pitch_share) * thickness * spread, *ranges.pitch_mm))
    rows, columns = (int(rng.integers(ranges.side_px[0], ranges.side_px[1] + 1)) for _ in range(2))
    diffusion_s = thickness**2 / nominal.diffusivity_through_mm2_s
    duration = float(np.clip(_log(rng, ranges.fourier) * diffusion_s, *ranges.recording_s))
    plate = PlateSpec(
        name=name,
        width_mm=columns * pitch,
        height_mm=rows * pitch,
        thickness_mm=thickness,
        material=nominal,
        edge_margin_mm=2 * pitch,
    )
    holes, buried = _defects(rng, ranges, plate, pitch)
    heating = _heating(rng, ranges, plate, duration)
    marks = _marks(rng, ranges, plate, pitch) if rng.random() < ranges.marked_share else ()
    back = float(rng.uniform(*ranges.loss_w_m2k))
    reflection = float(rng.uniform(*ranges.reflection_k)) if heating.kind != "flash" else 0.0
    return RandomPlate(
        plate=replace(plate, holes=holes),
        material=_specimen(rng, nominal, ranges.tolerance),
        heating=heating,
        losses=Losses(
            front_w_m2k=float(rng.uniform(*ranges.loss_w_m2k)),
            back_w_m2k=back,
            hole_floor_w_m2k=back,
            edge_w_m2k=(
                float(rng.uniform(0, ranges.loss_w_m2k[1]))
                if ranges.edge_w_m2k is None
                else _log(rng, ranges.edge_w_m2k)
            ),
        ),
        marks=marks,
        buried=buried,
        times_s=log_frames_s(duration, _stop_s(heating, duration)),
        pixel_pitch_mm=pitch,
        reflection_k=reflection,
    )


def log_frames_s(duration_s: float, heating_stop_s: float) -> NDArray[np.float64]:
    """Instants of a recording: 24 while the plate is heated, then 120 that lie closer the earlier they are.

    Parameters
    ----------
    duration_s : float
        Last instant.
    heating_stop_s : float
        End of the heating; 0 for a flash, `duration_s` for a step.

    Returns
    -------
    ndarray of float64
        Strictly increasing; none at or before 0.
    """
    heated = np.linspace(0.0, heating_stop_s, _N_HEATING + 1)[1:] if heating_stop_s > 0 else np.empty(0)
    left = duration_s - heating_stop_s
    if left <= 0:
        early = np.geomspace(_FIRST_SHARE * duration_s, heated[0], 12)[:-1]
        return np.concatenate([early, np.linspace(heated[0], duration_s, _N_COOLING)])
    cooled = heating_stop_s + left * np.geomspace(_FIRST_SHARE, 1.0, _N_COOLING)
    return np.concatenate([heated, cooled])


def _log(rng: np.random.Generator, limits: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


def _choice(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    names = list(shares)
    weights = np.array([shares[name] for name in names], dtype=np.float64)
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _material(rng: np.random.Generator, ranges: PlateRanges) -> Material:
    families: dict[str, MaterialRange] = {family.name: family for family in ranges.materials}
    family = families[_choice(rng, {name: one.weight for name, one in families.items()})]
    through = float(rng.uniform(*family.conductivity_through_w_mk))
    plane = through * _log(rng, family.anisotropy)
    material = Material(
        name=family.name,
        conductivity_through_w_mk=through,
        conductivity_in_plane_w_mk=plane,
        density_kg_m3=float(rng.uniform(*family.density_kg_m3)),
        heat_capacity_j_kgk=float(rng.uniform(*family.heat_capacity_j_kgk)),
    )
    if family.unequal_share > 0 and rng.random() < family.unequal_share:
        return replace(material, conductivity_y_w_mk=_log(rng, (min(through, plane), max(through, plane))))
    return material


def _specimen(rng: np.random.Generator, nominal: Material, tolerance: float) -> Material:
    through, plane, heat = (float(rng.uniform(1 - tolerance, 1 + tolerance)) for _ in range(3))
    along_y = nominal.conductivity_y_w_mk
    return replace(
        nominal,
        conductivity_through_w_mk=nominal.conductivity_through_w_mk * through,
        conductivity_in_plane_w_mk=nominal.conductivity_in_plane_w_mk * plane,
        conductivity_y_w_mk=None if along_y is None else along_y * plane,
        heat_capacity_j_kgk=nominal.heat_capacity_j_kgk * heat,
    )


def _heating(rng: np.random.Generator, ranges: PlateRanges, plate: PlateSpec, duration_s: float) -> Heating:
    kind = _choice(rng, ranges.heating)
    pulse = _log(rng, ranges.pulse_share) * duration_s
    rise = float(rng.uniform(*ranges.peak_rise_k))
    stop = {"flash": 0.0, "step": duration_s}.get(kind, pulse)
    lamps = _lamps(rng, ranges, plate)
    if kind == "flash":
        diffused = plate.material.diffusivity_through_mm2_s * 0.01 * duration_s
        return Heating(kind="flash", energy_j_m2=_heat_j_m2k(plate.material, diffused) * rise, lamps=lamps)
    flux = _flux_w_m2(plate, stop, rise)
    glow = float(rng.choice([0.0, 0.0, rng.uniform(0.0, 0.06)])) if kind == "long_pulse" else 0.0
    if kind == "step":
        return Heating(kind="step", flux_w_m2=flux, lamps=lamps)
    return Heating(
        kind="long_pulse",
        flux_w_m2=flux,
        duration_s=pulse,
        lamps=lamps,
        afterglow_share=glow,
        afterglow_s=float(rng.uniform(0.02, 0.2)) * pulse,
    )


def _heat_j_m2k(material: Material, diffused_mm2: float) -> float:
    """Energy for one kelvin at the face of a half-space whose diffusivity times time is `diffused_mm2`."""
    volumetric = material.density_kg_m3 * material.heat_capacity_j_kgk
    return volumetric * float(np.sqrt(np.pi * diffused_mm2)) * 1e-3


def _flux_w_m2(plate: PlateSpec, stop_s: float, rise_k: float) -> float:
    """Flux that warms the face by `rise_k` in `stop_s`: of a half-space, or of a plate that is warm through by then."""
    material = plate.material
    effusivity = np.sqrt(material.conductivity_through_w_mk * material.density_kg_m3 * material.heat_capacity_j_kgk)
    half_space = rise_k * effusivity * np.sqrt(np.pi) / (2 * np.sqrt(stop_s))
    through = rise_k * material.density_kg_m3 * material.heat_capacity_j_kgk * plate.thickness_mm * 1e-3 / stop_s
    return float(min(half_space, through))


def _stop_s(heating: Heating, duration_s: float) -> float:
    return {"flash": 0.0, "step": duration_s}.get(heating.kind, heating.duration_s)


def _lamps(rng: np.random.Generator, ranges: PlateRanges, plate: PlateSpec) -> tuple[Lamp, ...]:
    side = max(plate.width_mm, plate.height_mm)
    return tuple(
        Lamp(
            x_mm=float(rng.uniform(-0.2, 1.2)) * plate.width_mm,
            y_mm=float(rng.uniform(-0.2, 1.2)) * plate.height_mm,
            width_mm=float(rng.uniform(0.7, 2.0)) * side,
            edge_level=float(rng.uniform(0.4, 0.9)),
        )
        for _ in range(int(rng.integers(ranges.n_lamps[0], ranges.n_lamps[1] + 1)))
    )


def _defects(
    rng: np.random.Generator, ranges: PlateRanges, plate: PlateSpec, pitch: float
) -> tuple[tuple[Hole, ...], tuple[BuriedDefect, ...]]:
    """Defects that keep away from one another and from the edges; fewer than wanted where there is no room."""
    if rng.random() < ranges.sound_share:
        return (), ()
    shares = rng.uniform(*ranges.depth_share, size=_MOST_DEPTHS)
    holes: list[Hole] = []
    buried: list[BuriedDefect] = []
    placed: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(ranges.n_defects[0], ranges.n_defects[1] + 1))):
        depth = float(rng.choice(shares)) * plate.thickness_mm
        spot = _spot(rng, ranges, plate, pitch, depth, placed)
        if spot is None:
            continue
        x, y, diameter = spot
        kind = _choice(rng, ranges.defects)
        if kind == "hole":
            number = len(holes) + 1
            holes.append(Hole(number=number, name=f"H{number}", x_mm=x, y_mm=y, diameter_mm=diameter, depth_mm=depth))
            placed.append((x, y, diameter / 2))
        else:
            item = _buried(rng, kind, plate, depth, spot, ranges.inclusion_mm)
            buried.append(item)
            placed.append((x, y, float(np.hypot(item.width_mm, item.height_mm)) / 2))
    return tuple(holes), tuple(buried)


def _spot(
    rng: np.random.Generator,
    ranges: PlateRanges,
    plate: PlateSpec,
    pitch: float,
    depth: float,
    placed: list[tuple[float, float, float]],
) -> tuple[float, float, float] | None:
    """Place and diameter of a defect, None where none was found."""
    material = plate.material
    spread = np.sqrt(material.conductivity_in_plane_w_mk / material.conductivity_through_w_mk)
    low, high = (ratio * depth * float(spread) for ratio in ranges.width_over_depth)
    smallest, largest = (pixels * pitch for pixels in ranges.diameter_px)
    limits = max(low, smallest), min(high, largest, ranges.widest_share * min(plate.width_mm, plate.height_mm))
    if limits[0] > limits[1]:
        return None
    for _ in range(_TRIES):
        diameter = _log(rng, limits)
        room = 0.75 * diameter + _GAP_PX * pitch
        if 2 * room >= min(plate.width_mm, plate.height_mm):
            continue
        x, y = float(rng.uniform(room, plate.width_mm - room)), float(rng.uniform(room, plate.height_mm - room))
        if all(np.hypot(x - u, y - v) > room + radius for u, v, radius in placed):
            return x, y, diameter
    return None


def _buried(
    rng: np.random.Generator,
    kind: str,
    plate: PlateSpec,
    depth: float,
    spot: tuple[float, float, float],
    inclusion_mm: Range,
) -> BuriedDefect:
    x, y, diameter = spot
    stretch = float(np.sqrt(rng.uniform(0.55, 1.0)))
    outline: dict[str, Any] = {
        "x_mm": x,
        "y_mm": y,
        "width_mm": diameter * stretch,
        "height_mm": diameter / stretch if diameter / stretch < 1.4 * diameter else diameter,
        "turn_deg": float(rng.uniform(0, 180)),
    }
    gap_mm = _log(rng, (0.03, 0.4))
    if kind == "impact":
        mask = _blob(rng)
        return Delamination(
            **outline, depth_mm=depth, resistance_m2k_w=gap_mm * 1e-3 / _AIR_W_MK, outline="mask", mask=mask
        )
    form: Literal["rectangle", "ellipse"] = "rectangle" if rng.random() < 0.4 else "ellipse"
    if kind == "delamination":
        return Delamination(**outline, depth_mm=depth, resistance_m2k_w=gap_mm * 1e-3 / _AIR_W_MK, outline=form)
    thick = min(float(rng.uniform(*inclusion_mm)), 0.5 * (plate.thickness_mm - depth))
    material = _PTFE if plate.material.conductivity_through_w_mk > 0.45 or rng.random() < 0.3 else _STEEL
    return Inclusion(**outline, depth_mm=depth, thickness_mm=thick, material=material, outline=form)


def _blob(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw an irregular form in one piece: smoothed noise in a disc, cut at its median, holes filled."""
    side = 32
    v, u = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    noise = cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), 3.5)
    inside = noise / noise.std() - 3.0 * (u**2 + v**2 - 0.6) > 0
    inside[side // 2 - 2 : side // 2 + 2, side // 2 - 2 : side // 2 + 2] = True
    _, labels = cv2.connectedComponents(inside.astype(np.uint8))
    outlines, _ = cv2.findContours(
        (labels == labels[side // 2, side // 2]).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return np.asarray(cv2.drawContours(np.zeros((side, side), np.uint8), outlines, -1, 1, cv2.FILLED) > 0)


def _marks(rng: np.random.Generator, ranges: PlateRanges, plate: PlateSpec, pitch: float) -> tuple[Mark, ...]:
    """Patches and labels (other emissivity and absorption) and scratches."""
    marks = []
    for _ in range(int(rng.integers(ranges.n_marks[0], ranges.n_marks[1] + 1))):
        scratch = rng.random() < 0.35
        width = float(rng.uniform(4, 30)) * pitch
        marks.append(
            Mark(
                x_mm=float(rng.uniform(0.05, 0.95)) * plate.width_mm,
                y_mm=float(rng.uniform(0.05, 0.95)) * plate.height_mm,
                width_mm=width,
                height_mm=float(rng.uniform(0.6, 1.5)) * pitch if scratch else width * float(rng.uniform(0.3, 1.0)),
                turn_deg=float(rng.uniform(0, 180)),
                outline=str(rng.choice(["capsule"] if scratch else ["ellipse", "rectangle", "capsule"])),  # type: ignore[arg-type]
                emissivity=float(rng.uniform(0.75, 0.97)),
                absorption=float(rng.uniform(0.8, 1.2)),
            )
        )
    return tuple(marks)
