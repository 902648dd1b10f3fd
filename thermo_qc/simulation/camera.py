"""The camera: what its pixels see of the plate, and what it adds to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from thermo_qc.errors import ConfigError
from thermo_qc.sequence import Excitation, HistoryEntry, Material, ThermalSequence, Truth
from thermo_qc.simulation.conditions import check_range
from thermo_qc.simulation.placement import Placement
from thermo_qc.simulation.solver import PlateSolution

__all__ = ["record_plate"]

_MAX_SAMPLES = 8
_STUCK_RANGE_K = (-30.0, 80.0)


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
    material: Material | None = None,
    peak_contrasts_k: Mapping[int, float] | None = None,
    specimen_id: str = "",
    acquisition_id: str = "",
    parameters: Mapping[str, Any] | None = None,
) -> ThermalSequence:
    """Record a simulated plate with an infrared camera.

    A pixel sees the mean over its area, the surroundings are at ambient temperature, then the optics blur. Added in
    this order: a fixed pattern (pixels and columns), drift of the whole picture, white noise, stuck pixels, steps.

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
    }
    for name, value in camera.items():
        check_range(f"camera.{name}", value, low=0, high=0.5 if name == "dead_fraction" else np.inf)
    frames = _seen_rise(solution, placement, pixel_pitch_mm)
    _blur(frames, blur_px)
    frames += np.float32(solution.losses.ambient_c)
    _add_noise(frames, rng, netd_k=netd_k, fixed_pattern_k=fixed_pattern_k, drift_k=drift_k)
    _stick_pixels(frames, rng, dead_fraction, solution.losses.ambient_c)
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
                step="record_plate", parameters={**camera, "placement": asdict(placement), **dict(parameters or {})}
            ),
        ),
        truth=_truth(solution, placement, pixel_pitch_mm, peak_contrasts_k),
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
        "solver": dict(solution.parameters),
        "n_steps": solution.n_steps,
        "energy_error": solution.energy.relative_error,
    }


def _truth(solution: PlateSolution, placement: Placement, pitch: float, contrasts: Mapping[int, float] | None) -> Truth:
    plate = solution.plate
    truth = plate.truth_at(*placement.plate_coordinates(plate.width_mm, plate.height_mm, pitch))
    if contrasts is None:
        return truth
    missing = sorted({defect.number for defect in truth.defects} - set(contrasts))
    if missing:
        raise ConfigError(f"peak contrasts came for holes {sorted(contrasts)}, missing: {missing}; give one per hole")
    return replace(
        truth, defects=tuple(replace(defect, peak_contrast_k=contrasts[defect.number]) for defect in truth.defects)
    )


def _seen_rise(solution: PlateSolution, placement: Placement, pitch: float) -> NDArray[np.float32]:
    """Mean rise over each pixel's area, 0 in the surroundings, float32 (T, Y, X)."""
    width, height = solution.plate.width_mm, solution.plate.height_mm
    shape = placement.frame_shape(width, height, pitch)
    weights = _pixel_weights(solution, placement, pitch)
    n_frames = solution.times_s.size
    frames = np.empty((n_frames, *shape), dtype=np.float32)
    band = max(1, 2**24 // weights.shape[1])
    for start in range(0, n_frames, band):
        cells = solution.rise_k[start : start + band].reshape(-1, weights.shape[1]).astype(np.float32, copy=False)
        frames[start : start + band] = (weights @ cells.T).T.reshape(-1, *shape)
    return frames


def _pixel_weights(solution: PlateSolution, placement: Placement, pitch: float) -> sparse.csr_array:
    """Weight of every cell in every pixel, float32 (Y * X, cells): points in the pixel, bilinear between cells."""
    plate, x_axis, y_axis = solution.plate, solution.x_mm, solution.y_mm
    cell_x, cell_y = 2 * x_axis[0], 2 * y_axis[0]
    samples = int(np.clip(np.ceil(2 * pitch / min(cell_x, cell_y)), 2, _MAX_SAMPLES))
    x, y = placement.plate_coordinates(plate.width_mm, plate.height_mm, pitch, samples)
    rows, columns = x.shape
    pixel = (np.arange(rows)[:, None] // samples) * (columns // samples) + np.arange(columns)[None, :] // samples
    inside = (x >= 0) & (x <= plate.width_mm) & (y >= 0) & (y <= plate.height_mm)
    pixel, u, v = pixel[inside], x[inside] / cell_x - 0.5, y[inside] / cell_y - 0.5
    u, v = np.clip(u, 0, x_axis.size - 1), np.clip(v, 0, y_axis.size - 1)
    i, j = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    i_next, j_next = np.minimum(i + 1, x_axis.size - 1), np.minimum(j + 1, y_axis.size - 1)
    parts = [
        (jj * x_axis.size + ii, wx * wy / samples**2)
        for ii, wx in ((i, 1 - (u - i)), (i_next, u - i))
        for jj, wy in ((j, 1 - (v - j)), (j_next, v - j))
    ]
    cells, values = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
    shape = (rows // samples * (columns // samples), x_axis.size * y_axis.size)
    return sparse.csr_array((values.astype(np.float32), (np.tile(pixel, 4), cells)), shape=shape)


def _blur(frames: NDArray[np.float32], blur_px: float) -> None:
    if blur_px > 0:
        for frame in frames:
            cv2.GaussianBlur(frame, (0, 0), blur_px, dst=frame, borderType=cv2.BORDER_REPLICATE)


def _add_noise(
    frames: NDArray[np.float32], rng: np.random.Generator, *, netd_k: float, fixed_pattern_k: float, drift_k: float
) -> None:
    """Add fixed pattern, drift and white noise."""
    n_frames, height, width = frames.shape
    pattern = rng.standard_normal((height, width)) + rng.standard_normal(width)
    frames += (fixed_pattern_k / np.sqrt(2) * pattern).astype(np.float32)
    frames += (drift_k * _drift_shape(n_frames, rng)).astype(np.float32)[:, None, None]
    for frame in frames:
        frame += np.float32(netd_k) * rng.standard_normal((height, width), dtype=np.float32)


def _drift_shape(n_frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Slow random curve (line and two half waves) that starts at 0 and has range 1, float64 (T,)."""
    s = np.linspace(0, 1, n_frames)
    line, first, second = rng.standard_normal(3)
    curve = line * s + first * np.sin(np.pi * s) / 2 + second * np.sin(2 * np.pi * s) / 4
    return np.asarray((curve - curve[0]) / max(float(np.ptp(curve)), 1e-12), dtype=np.float64)


def _stick_pixels(frames: NDArray[np.float32], rng: np.random.Generator, fraction: float, ambient_c: float) -> None:
    """Hold a share of the pixels at one random value each."""
    _, height, width = frames.shape
    stuck = rng.choice(height * width, size=round(fraction * height * width), replace=False)
    values = ambient_c + rng.uniform(*_STUCK_RANGE_K, size=stuck.size)
    frames.reshape(frames.shape[0], -1)[:, stuck] = values.astype(np.float32)
