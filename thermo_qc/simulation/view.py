"""What the pixels of a camera see of the plate: its mean over their area, emissivity, reflected lamps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from thermo_qc.simulation.conditions import lamp_level
from thermo_qc.simulation.marks import emissivity_map
from thermo_qc.simulation.placement import Placement
from thermo_qc.simulation.profile import relative_flux
from thermo_qc.simulation.solver import PlateSolution

__all__ = ["add_reflection", "pixel_weights", "seen_emissivity", "seen_rise"]

_MAX_SAMPLES = 8


def seen_rise(solution: PlateSolution, weights: sparse.csr_array, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Mean rise over each pixel's area, 0 in the surroundings, float32 (T, Y, X)."""
    n_frames = solution.times_s.size
    frames = np.empty((n_frames, *shape), dtype=np.float32)
    band = max(1, 2**24 // weights.shape[1])
    for start in range(0, n_frames, band):
        cells = solution.rise_k[start : start + band].reshape(-1, weights.shape[1]).astype(np.float32, copy=False)
        frames[start : start + band] = (weights @ cells.T).T.reshape(-1, *shape)
    return frames


def pixel_weights(solution: PlateSolution, placement: Placement, pitch: float) -> sparse.csr_array:
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


def seen_emissivity(solution: PlateSolution, placement: Placement, pitch: float, nominal: float) -> NDArray[np.float32]:
    """Mean emissivity over each pixel's area, `nominal` where there is no mark, float32 (Y, X)."""
    plate = solution.plate
    x, y = placement.plate_coordinates(plate.width_mm, plate.height_mm, pitch, _MAX_SAMPLES)
    fine = emissivity_map(solution.marks, x, y, nominal)
    rows, columns = (side // _MAX_SAMPLES for side in fine.shape)
    means = fine.reshape(rows, _MAX_SAMPLES, columns, _MAX_SAMPLES).mean(axis=(1, 3))
    return np.asarray(means, dtype=np.float32)


def add_reflection(
    frames: NDArray[np.float32],
    solution: PlateSolution,
    weights: sparse.csr_array,
    times_s: NDArray[np.float64],
    reflection_k: float,
    factor: NDArray[np.float32] | float,
) -> None:
    """Add the light of the lamps that the plate throws back: where they shine, as bright, and as long."""
    level = lamp_level(solution.heating.lamps, solution.x_mm[None, :], solution.y_mm[:, None])
    pattern = (weights @ level.astype(np.float32).ravel()).reshape(frames.shape[1:]) * np.float32(reflection_k) * factor
    for frame, share in zip(frames, relative_flux(solution.heating, times_s), strict=True):
        if share > 0:
            frame += np.float32(share) * pattern
