"""Flickering pixels: noise far above that of the neighbours, or jumps between levels (telegraph noise)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import SequenceError
from thermo_qc.preprocess.dead import LARGEST_CLUSTER_PX, find_dead_pixels
from thermo_qc.preprocess.heating import heating_of_curve
from thermo_qc.preprocess.inward import InwardFrames
from thermo_qc.preprocess.jumps import candidates
from thermo_qc.preprocess.reference import mean_curve
from thermo_qc.preprocess.statistics import MAD_TO_STD, estimate_noise
from thermo_qc.preprocess.views import settle
from thermo_qc.sequence import ThermalSequence

__all__ = ["find_flickering_pixels", "repair_pixels"]

BAND_BYTES = 64 * 2**20
SCALES = (1, 4, 16)
FEWEST_HITS = 6
FEWEST_BLOCKS = 8
HALO_PX = 3
NOISE_FLOOR = 5e-4


def find_flickering_pixels(
    sequence: ThermalSequence, *, noise_ratio: float = 3.0, jump_sigmas: float = 7.0
) -> NDArray[np.bool_]:
    """Find pixels that flicker beside calm neighbours.

    Of every pixel's curve the median of its 3 x 3 neighbourhood is taken off, frame by frame: what the plate and the
    camera as a whole do is gone. A pixel flickers when (1) the noise of the rest (median absolute second difference
    in time) is `noise_ratio` times the camera's and the median of that of the 5 x 5 pixels round it, or (2) second
    differences of the rest, of single frames or of means of 4 or 16 frames, exceed `jump_sigmas` standard deviations
    of that noise at six places or more: three jumps between two levels, of which each bends the curve twice. Frames at
    a start or end of the heating, at jumps of the whole picture, and where the plate itself bends much have no part in
    (2). Connected groups of more than 30 such pixels are no flickering pixels but a disturbance of a region, and left
    alone.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording with at least 5 frames, read twice: in bands of frames, and in bands of rows.
    noise_ratio : float
        Greater than 1.
    jump_sigmas : float
        At least 5: below it the noise of a large recording alone would be told.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        Pixels that are dead by `find_dead_pixels` may be among them.

    Raises
    ------
    SequenceError
        When a limit is too low or there are fewer than 5 frames.

    References
    ----------
    M. J. Kirton and M. J. Uren, Advances in Physics 38 (1989) 367, 10.1080/00018738900101122 (telegraph noise)
    """
    if not noise_ratio > 1 or not jump_sigmas >= 5:
        raise SequenceError(
            f"noise_ratio is {noise_ratio:g} and jump_sigmas {jump_sigmas:g}, expected more than 1 and at least 5"
        )
    if sequence.n_frames < 5:
        raise SequenceError(f"{sequence.n_frames} frames came, expected at least 5 to tell flickering from noise")
    plate, camera_noise = _plate_bends(sequence), estimate_noise(sequence)
    found = np.zeros(sequence.frame_shape, dtype=bool)
    for rows, inner, block in _bands_with_halo(sequence):
        found[rows] = _flickering(block, plate, camera_noise, noise_ratio, jump_sigmas)[inner]
    labels, n_groups = ndimage.label(found, structure=np.ones((3, 3), dtype=int))
    sizes = np.bincount(labels.ravel(), minlength=n_groups + 1)
    return np.asarray(found & (sizes <= LARGEST_CLUSTER_PX)[labels])


def _plate_bends(sequence: ThermalSequence) -> dict[int, NDArray[np.float64]]:
    """How far the plate as a whole bends, by scale: inf at starts and ends of the heating, lost frames and jumps."""
    curve = mean_curve(sequence)
    calm = np.isfinite(curve)
    heating, excitation = heating_of_curve(curve, sequence.times_s), sequence.excitation
    for time in (heating.start_s, heating.stop_s, excitation.start_s, excitation.stop_s):
        if time is not None:
            place = int(np.searchsorted(sequence.times_s, time))
            calm[max(0, place - 1) : place + 2] = False
    for place in candidates(np.diff(curve, prepend=np.nan)):
        calm[place - 1 : place + 1] = False
    filled = np.where(calm, curve, np.inf)[:, None]
    bends = {scale: _bends(_means(filled, scale)) for scale in SCALES}
    return {scale: np.nan_to_num(np.abs(values[:, 0]), nan=np.inf) for scale, values in bends.items()}


def _bands_with_halo(sequence: ThermalSequence) -> Iterator[tuple[slice, slice, NDArray[np.float32]]]:
    """Bands of rows with neighbours above and below: rows, their place in the block, block (T, rows, X)."""
    height, width = sequence.frame_shape
    step = max(1, BAND_BYTES // (4 * sequence.n_frames * width) - 2 * HALO_PX)
    for start in range(0, height, step):
        stop = min(start + step, height)
        first, last = max(0, start - HALO_PX), min(height, stop + HALO_PX)
        block = np.array(sequence.frames[:, first:last, :], dtype=np.float32)
        yield slice(start, stop), slice(start - first, stop - first), block


def _flickering(
    block: NDArray[np.float32],
    plate: dict[int, NDArray[np.float64]],
    camera_noise: float,
    noise_ratio: float,
    jump_sigmas: float,
) -> NDArray[np.bool_]:
    typical = _typical_range(block)
    rest = _beside_neighbours(block)
    noise = _temporal_noise(rest)
    known = np.isfinite(noise)
    around = cv2.medianBlur(np.where(known, noise, _middle(noise)).astype(np.float32), 5)
    # On a slope the middle row of a 3 x 3 neighbourhood is its own median: calmer than the camera is.
    floor = max(NOISE_FLOOR * typical, _smallest_step(block) / np.sqrt(12), camera_noise)
    reference = np.maximum(around, floor)
    found = known & (np.nan_to_num(noise) > noise_ratio * reference)
    for scale in SCALES:
        found |= _hits(rest, plate[scale], scale, jump_sigmas * reference / np.sqrt(scale)) >= FEWEST_HITS
    return np.asarray(found & known)


def _beside_neighbours(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frames less their 3 x 3 median, NaN where they are; works in the block's own memory."""
    for frame in block:
        finite = np.isfinite(frame)
        filled = frame if finite.all() else np.where(finite, frame, _middle(frame)).astype(np.float32)
        frame -= cv2.medianBlur(filled, 3)
        frame[~finite] = np.nan
    return block


def _middle(values: NDArray[np.floating]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else 0.0


def _typical_range(block: NDArray[np.float32]) -> float:
    finite = np.isfinite(block)
    spread = np.where(finite, block, -np.inf).max(axis=0) - np.where(finite, block, np.inf).min(axis=0)
    return _middle(spread)


def _smallest_step(block: NDArray[np.float32]) -> float:
    """Step of quantised readings, from a sample of them; next to nothing for continuous ones."""
    values = block.reshape(-1)[:: max(1, block.size // 20_000)]
    steps = np.diff(np.unique(values[np.isfinite(values)]))
    return float(np.quantile(steps, 0.05)) if steps.size else 0.0


def _temporal_noise(rest: NDArray[np.float32]) -> NDArray[np.float32]:
    noise = np.full(rest.shape[1:], np.nan, dtype=np.float32)
    for row in range(rest.shape[1]):
        bends = np.abs(_bends(rest[:, row, :]))
        whole = np.isfinite(bends).sum(axis=0) >= 3
        if whole.any():
            noise[row, whole] = MAD_TO_STD * np.nanmedian(bends[:, whole], axis=0)
    return noise


def _bends(curves: NDArray[Any]) -> NDArray[Any]:
    """Second differences scaled to the standard deviation of one value."""
    with np.errstate(invalid="ignore"):
        return np.asarray((curves[1:-1] - (curves[:-2] + curves[2:]) / 2) / np.float32(np.sqrt(1.5)))


def _means(curves: NDArray[Any], scale: int) -> NDArray[Any]:
    """Means of `scale` frames in a row, (T // scale, n)."""
    n_blocks = curves.shape[0] // scale
    return np.asarray(curves[: n_blocks * scale].reshape(n_blocks, scale, -1).mean(axis=1))


def _hits(
    rest: NDArray[np.float32], plate: NDArray[np.float64], scale: int, limit: NDArray[np.float32]
) -> NDArray[np.intp]:
    """Count how often every pixel bends beyond its limit while the plate bends by less than that."""
    hits = np.zeros(rest.shape[1:], dtype=np.intp)
    if plate.size < FEWEST_BLOCKS:
        return hits
    quiet = plate < _middle(limit)
    for row in range(rest.shape[1]):
        bends = _bends(_means(rest[:, row, :], scale)[: plate.size + 2])
        hits[row] = (np.abs(bends[quiet]) > limit[row]).sum(axis=0)
    return hits


def repair_pixels(sequence: ThermalSequence, bad: NDArray[np.bool_] | None = None) -> ThermalSequence:
    """Replace dead and flickering pixels by the median of their good neighbours, clusters from their rim inwards.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; frames in a file stay there.
    bad : ndarray of bool, shape (Y, X), optional
        The pixels; found by `find_dead_pixels` and `find_flickering_pixels` when None.

    Returns
    -------
    ThermalSequence
        float32. A bad pixel takes, frame by frame, the median of those of its eight neighbours that are good or were
        filled before it; in frames where none of them has a value it is NaN.

    Raises
    ------
    SequenceError
        When the mask has another shape than the frames or leaves no good pixel.
    """
    counts: dict[str, int] = {}
    if bad is None:
        dead = find_dead_pixels(sequence)
        flickering = find_flickering_pixels(sequence) if sequence.n_frames >= 5 else np.zeros_like(dead)
        bad = dead | flickering
        counts = {"n_dead_pixels": int(dead.sum()), "n_flickering_pixels": int((flickering & ~dead).sum())}
    bad = np.asarray(bad, dtype=bool)
    if bad.shape != sequence.frame_shape:
        raise SequenceError(f"mask of bad pixels has shape {bad.shape}, the frames have {sequence.frame_shape}")
    if bad.all():
        raise SequenceError("all pixels are marked as bad, expected some good ones to repair them from")
    frames = settle(InwardFrames(sequence.frames, bad), sequence.frames)
    rows, columns = np.nonzero(bad)
    parameters = {
        "n_bad_pixels": int(bad.sum()),
        **counts,
        "pixels": [[int(row), int(column)] for row, column in zip(rows[:1000], columns[:1000], strict=True)],
    }
    return sequence.with_frames(frames, "repair_pixels", parameters=parameters)
