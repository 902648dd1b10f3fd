"""The camera: what its pixels see of the plate, and what it adds to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.sequence import Excitation, HistoryEntry, Material, ThermalSequence, Truth
from thermo_qc.simulation.buried_truth import with_buried
from thermo_qc.simulation.conditions import check_range
from thermo_qc.simulation.disturbances import (
    add_column_noise,
    add_drift_and_noise,
    add_flicker,
    add_shutter,
    frame_jitter_s,
    shift_frames,
    stick_pixels,
)
from thermo_qc.simulation.placement import Placement
from thermo_qc.simulation.solver import PlateSolution
from thermo_qc.simulation.view import add_reflection, pixel_weights, seen_emissivity, seen_rise

__all__ = ["record_plate"]

_LARGEST = {"dead_fraction": 0.5, "flicker_fraction": 0.5, "emissivity": 0.999}


def record_plate(
    solution: PlateSolution,
    *,
    rng: np.random.Generator,
    placement: Placement | None = None,
    pixel_pitch_mm: float = 2.0,
    netd_k: float = 0.025,
    blur_px: float = 0.5,
    fixed_pattern_k: float = 0.02,
    dead_fraction: float = 0.0,
    drift_k: float = 0.0,
    quantisation_k: float = 0.01,
    column_noise_k: float = 0.0,
    flicker_fraction: float = 0.0,
    flicker_k: float = 0.5,
    flicker_dwell_s: float = 20.0,
    shutter_interval_s: float = 0.0,
    shutter_jump_k: float = 0.2,
    shutter_pattern_k: float = 0.01,
    shutter_frozen_frames: int = 0,
    jitter_s: float = 0.0,
    reflection_k: float = 0.0,
    emissivity: float = 0.95,
    reflected_offset_k: float = 0.0,
    material: Material | None = None,
    peak_contrasts_k: Mapping[int, float] | None = None,
    specimen_id: str = "",
    acquisition_id: str = "",
    parameters: Mapping[str, Any] | None = None,
) -> ThermalSequence:
    """Record a simulated plate with an infrared camera.

    A pixel sees the mean over its area, the surroundings are at ambient temperature; marks change the emissivity, the
    lamps are reflected, then the optics blur. Added in this order: a fixed pattern (pixels and columns), drift of the
    whole picture, white noise, column noise, flickering pixels, shutter jumps, stuck pixels, steps. Options that are
    off (0) change no number; what was drawn stands in the history.

    Parameters
    ----------
    solution : PlateSolution
        The noise-free plate.
    rng : numpy.random.Generator
        Source of everything random.
    placement : Placement, optional
        Where the plate lies; upright and centred when None.
    pixel_pitch_mm : float
        Edge of a pixel on the plate.
    netd_k : float
        Standard deviation of the white noise.
    blur_px : float
        Standard deviation of the Gaussian blur.
    fixed_pattern_k : float
        Standard deviation of a pattern that is the same in all frames, half of its variance by columns.
    dead_fraction : float
        Share of pixels stuck at one value, 0 to 0.5.
    drift_k : float
        Range of a slow common drift over the recording.
    quantisation_k : float
        Step of the readings; 0 for none.
    column_noise_k : float
        Standard deviation of an offset of each column that is drawn anew in every frame.
    flicker_fraction : float
        Share of pixels that jump between two levels, 0 to 0.5.
    flicker_k, flicker_dwell_s : float
        Distance of the two levels, and mean time on one of them.
    shutter_interval_s : float
        Time between corrections with a closed shutter; 0 for none.
    shutter_jump_k, shutter_pattern_k : float
        Standard deviations of the jump of the common level, and of each pixel's own, at every correction.
    shutter_frozen_frames : int
        Frames that repeat the last one while the shutter is closed.
    jitter_s : float
        Standard deviation of the difference between the time when a frame was taken and the one that it states.
    reflection_k : float
        Apparent rise by reflected light at the brightest point while the lamps give `flux_w_m2`; follows the flux and
        its pattern, and (1 - emissivity).
    emissivity : float
        Of the unmarked surface, and what the camera is set to, below 1.
    reflected_offset_k : float
        Temperature of what the plate mirrors less that of the surroundings; the camera is set to it.
    material : Material, optional
        Nominal constants for the metadata; the plate specification's when None.
    peak_contrasts_k : mapping of int to float, optional
        Noise-free peak contrast by hole number, for the truth.
    specimen_id, acquisition_id : str
        Names for the metadata; the specimen defaults to the plate's name.
    parameters : mapping, optional
        More facts for the history, JSON types only.

    Returns
    -------
    ThermalSequence
        In degC, float32, with truth.

    Raises
    ------
    ConfigError
        When a number is out of range.
    """
    placement = placement or Placement()
    camera = {
        "pixel_pitch_mm": pixel_pitch_mm,
        "netd_k": netd_k,
        "blur_px": blur_px,
        "fixed_pattern_k": fixed_pattern_k,
        "dead_fraction": dead_fraction,
        "drift_k": drift_k,
        "quantisation_k": quantisation_k,
        "column_noise_k": column_noise_k,
        "flicker_fraction": flicker_fraction,
        "flicker_k": flicker_k,
        "flicker_dwell_s": flicker_dwell_s,
        "shutter_interval_s": shutter_interval_s,
        "shutter_jump_k": shutter_jump_k,
        "shutter_pattern_k": shutter_pattern_k,
        "shutter_frozen_frames": shutter_frozen_frames,
        "jitter_s": jitter_s,
        "reflection_k": reflection_k,
        "emissivity": emissivity,
        "reflected_offset_k": reflected_offset_k,
    }
    _check(camera, solution)
    spawned = dict(zip(_SOURCES, _spawn(rng, camera), strict=True))
    times = solution.times_s
    weights = pixel_weights(solution, placement, pixel_pitch_mm)
    shape = placement.frame_shape(solution.plate.width_mm, solution.plate.height_mm, pixel_pitch_mm)
    frames = seen_rise(solution, weights, shape)
    around_k = solution.losses.ambient_rise_k(times).astype(np.float32)
    if around_k.any():
        frames += around_k[:, None, None] * (1 - np.asarray(weights.sum(axis=1), dtype=np.float32).reshape(shape))
    late_s = np.zeros(times.size)
    if jitter_s > 0:
        late_s = frame_jitter_s(times, spawned["jitter_s"], jitter_s)
        shift_frames(frames, times, late_s)
    factor: NDArray[np.float32] | float = 1.0
    if solution.marks:
        seen = seen_emissivity(solution, placement, pixel_pitch_mm, emissivity)
        mirrored = (around_k + np.float32(reflected_offset_k))[:, None, None]
        frames -= mirrored
        frames *= seen / np.float32(emissivity)
        frames += mirrored
        factor = (1 - seen) / np.float32(1 - emissivity)
    if reflection_k > 0:
        add_reflection(frames, solution, weights, times + late_s, reflection_k, factor)
    _blur(frames, blur_px)
    frames += np.float32(solution.losses.ambient_c)
    add_drift_and_noise(frames, rng, netd_k=netd_k, fixed_pattern_k=fixed_pattern_k, drift_k=drift_k)
    drawn: dict[str, Any] = {}
    if column_noise_k > 0:
        add_column_noise(frames, spawned["column_noise_k"], column_noise_k)
    if flicker_fraction > 0:
        drawn |= add_flicker(
            frames,
            times,
            spawned["flicker_fraction"],
            fraction=flicker_fraction,
            step_k=flicker_k,
            dwell_s=flicker_dwell_s,
        )
    if shutter_interval_s > 0:
        drawn |= add_shutter(
            frames,
            times,
            spawned["shutter_interval_s"],
            interval_s=shutter_interval_s,
            jump_k=shutter_jump_k,
            pattern_k=shutter_pattern_k,
            frozen_frames=shutter_frozen_frames,
        )
    stick_pixels(frames, rng, dead_fraction, solution.losses.ambient_c)
    if quantisation_k > 0:
        frames /= np.float32(quantisation_k)
        np.rint(frames, out=frames)
        frames *= np.float32(quantisation_k)
    plate, heating = solution.plate, solution.heating
    return ThermalSequence(
        frames=frames,
        times_s=solution.times_s,
        unit="degC",
        pixel_pitch_mm=pixel_pitch_mm,
        excitation=Excitation(
            kind="unknown" if heating.kind == "coded" else heating.kind,
            stop_s=heating.stop_s,
            flux_w_m2=None if heating.kind == "flash" else heating.flux_w_m2,
            frequency_hz=heating.frequency_hz if heating.kind == "periodic" else None,
        ),
        ambient_c=solution.losses.ambient_c,
        thickness_mm=plate.thickness_mm,
        netd_k=netd_k or None,
        material=material or plate.material,
        camera=f"simulated, {1e3 * netd_k:g} mK",
        specimen_id=specimen_id or plate.name,
        acquisition_id=acquisition_id,
        history=(
            HistoryEntry(step="solve_plate", parameters=_solution_facts(solution)),
            HistoryEntry(
                step="record_plate",
                parameters={**camera, **drawn, "placement": asdict(placement), **dict(parameters or {})},
            ),
        ),
        truth=_truth(solution, placement, pixel_pitch_mm, peak_contrasts_k),
    )


_SOURCES = ("jitter_s", "column_noise_k", "flicker_fraction", "shutter_interval_s")


def _spawn(rng: np.random.Generator, camera: Mapping[str, float]) -> list[np.random.Generator]:
    """Give what is on its own random source, so that it leaves the noise as it is without."""
    return rng.spawn(len(_SOURCES)) if any(camera[name] > 0 for name in _SOURCES) else [rng] * len(_SOURCES)


def _check(camera: Mapping[str, float], solution: PlateSolution) -> None:
    for name, value in camera.items():
        low = -np.inf if name == "reflected_offset_k" else 0.0
        open_low = name in ("emissivity", "flicker_dwell_s")
        check_range(f"camera.{name}", value, low=low, high=_LARGEST.get(name, np.inf), open_low=open_low)
    if camera["reflection_k"] > 0 and solution.heating.side == "back":
        raise ConfigError("camera.reflection_k is set, but the lamps are behind the plate; use 0 or heating.side front")
    if camera["reflection_k"] > 0 and solution.heating.kind == "flash":
        raise ConfigError("camera.reflection_k is set, but a flash is over before any frame; use 0 or a long_pulse")
    if camera["reflected_offset_k"] != 0 and not solution.marks:
        raise ConfigError(
            "camera.reflected_offset_k is set, but the camera knows it and no mark has another emissivity; add "
            "marks or use 0"
        )


def _solution_facts(solution: PlateSolution) -> dict[str, Any]:
    """Collect what the plate was simulated with, JSON types."""
    heating = asdict(solution.heating)
    heating.update(lamps=list(heating["lamps"]), samples=list(heating["samples"]))
    return {
        "plate": solution.plate.name,
        "material": asdict(solution.material),
        "heating": heating,
        "losses": asdict(solution.losses),
        "marks": [mark.facts() for mark in solution.marks],
        "buried": [item.facts() | {"kind": type(item).__name__.lower()} for item in solution.buried],
        "layers": [asdict(layer) for layer in solution.layers],
        "solver": dict(solution.parameters),
        "n_steps": solution.n_steps,
        "energy_error": solution.energy.relative_error,
    }


def _truth(solution: PlateSolution, placement: Placement, pitch: float, contrasts: Mapping[int, float] | None) -> Truth:
    plate = solution.plate
    x, y = placement.plate_coordinates(plate.width_mm, plate.height_mm, pitch)
    truth = with_buried(plate.truth_at(x, y), solution.buried, x, y)
    if contrasts is None:
        return truth
    missing = sorted({defect.number for defect in truth.defects} - set(contrasts))
    if missing:
        raise ConfigError(f"peak contrasts came for holes {sorted(contrasts)}, missing: {missing}; give one per hole")
    return replace(
        truth, defects=tuple(replace(defect, peak_contrast_k=contrasts[defect.number]) for defect in truth.defects)
    )


def _blur(frames: NDArray[np.float32], blur_px: float) -> None:
    if blur_px > 0:
        for frame in frames:
            cv2.GaussianBlur(frame, (0, 0), blur_px, dst=frame, borderType=cv2.BORDER_REPLICATE)
