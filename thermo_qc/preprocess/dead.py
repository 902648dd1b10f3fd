"""Dead pixels: found by what they do over time beside their neighbours, replaced by the neighbours' median."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import SequenceError
from thermo_qc.preprocess.frames import repaired
from thermo_qc.preprocess.statistics import MAD_TO_STD, PixelStatistics, pixel_statistics
from thermo_qc.sequence import ThermalSequence

__all__ = ["dead_from_statistics", "find_dead_pixels", "replace_dead_pixels"]

LARGEST_CLUSTER_PX = 30
OUTLIER_SIGMAS = 10.0
OUTLIER_SHARE = 0.02
FLICKER_RATIO = 8.0
FLICKER_SHARE = 0.005
STUCK_SHARE = 0.05


def find_dead_pixels(sequence: ThermalSequence) -> NDArray[np.bool_]:
    """Find pixels without a usable signal.

    A pixel is dead when (1) it lacks values that other pixels have, (2) it does not follow the scene (constant, or
    next to no range and noise), (3) its mean or its standard deviation over time lies outside those of its neighbours
    by more than they differ among themselves, ten robust standard deviations of such differences and two percent of
    the map's spread, or (4) its noise is eight times that of its neighbours and of the plate and half a percent of the
    plate's range. Connected groups of more than 30 such pixels are no dead pixels but regions (outside the plate,
    masked, saturated) and left alone.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording, read once in bands of rows.

    Returns
    -------
    ndarray of bool, shape (Y, X)
    """
    return dead_from_statistics(pixel_statistics(sequence))


def dead_from_statistics(statistics: PixelStatistics) -> NDArray[np.bool_]:
    """Find dead pixels in statistics that were collected before, see `find_dead_pixels`."""
    most = int(statistics.n_finite.max())
    if most == 0:
        return np.zeros(statistics.n_finite.shape, dtype=bool)
    bad = (statistics.n_finite < most) | _stuck(statistics)
    bad |= _outliers(statistics.mean, bad) | _outliers(statistics.std, bad) | _flickering(statistics, bad)
    labels, n_groups = ndimage.label(bad, structure=np.ones((3, 3), dtype=int))
    sizes = np.bincount(labels.ravel(), minlength=n_groups + 1)
    return np.asarray(bad & (sizes <= LARGEST_CLUSTER_PX)[labels])


def _stuck(statistics: PixelStatistics) -> NDArray[np.bool_]:
    spread = statistics.maximum - statistics.minimum
    known = np.isfinite(spread)
    typical = float(np.median(spread[known]))
    if typical <= 0:
        return np.zeros(spread.shape, dtype=bool)
    quiet = np.nan_to_num(statistics.noise, nan=np.inf) < STUCK_SHARE * _median(statistics.noise)
    stuck: NDArray[np.bool_] = known & ((spread == 0) | (quiet & (spread < STUCK_SHARE * typical)))
    return stuck


def _outliers(values: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels beyond the second largest or second smallest of their neighbours (so a hot pair is still seen)."""
    live = np.where(bad, np.nan, values)
    low, middle, high = _neighbour_ranks(live)
    excess = np.fmax(live - high, low - live)
    spread = live[np.isfinite(live)]
    if spread.size < 9:
        return np.zeros(bad.shape, dtype=bool)
    difference = np.abs(live - middle)
    sigma = MAD_TO_STD * _median(difference)
    bottom, top = np.quantile(spread, [0.01, 0.99])
    limit = max(OUTLIER_SIGMAS * sigma, OUTLIER_SHARE * (top - bottom), 1e-5 * float(np.abs(spread).max()))
    return np.asarray(np.nan_to_num(excess, nan=0.0) > np.fmax(limit, high - low))


def _flickering(statistics: PixelStatistics, bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    noise = np.where(bad, np.nan, statistics.noise)
    typical = _median(noise)
    _, _, high = _neighbour_ranks(noise)
    least = FLICKER_SHARE * _median(statistics.maximum - statistics.minimum)
    limit = np.maximum(FLICKER_RATIO * np.fmax(np.nan_to_num(high, nan=0.0), typical), least)
    return np.asarray(np.nan_to_num(noise, nan=0.0) > limit)


def _median(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else 0.0


def _neighbour_ranks(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Second smallest, median and second largest of the eight neighbours; NaN below three finite ones."""
    height, width = values.shape
    # Mirrored edges keep a corner of a smooth slope from looking like an outlier.
    modes = ["reflect" if length > 1 else "edge" for length in values.shape]
    padded = np.pad(np.pad(values, ((1, 1), (0, 0)), modes[0]), ((0, 0), (1, 1)), modes[1])  # type: ignore[call-overload]
    shifts = [(dy, dx) for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    stack = np.sort(np.stack([padded[dy : dy + height, dx : dx + width] for dy, dx in shifts]), axis=0)
    count = np.isfinite(stack).sum(axis=0)
    enough = count >= 3
    picks = (np.ones_like(count), count // 2, np.maximum(count - 2, 0))
    taken = (np.take_along_axis(stack, pick[None], axis=0)[0] for pick in picks)
    return tuple(np.where(enough, values, np.nan) for values in taken)


def replace_dead_pixels(sequence: ThermalSequence, dead: NDArray[np.bool_] | None = None) -> ThermalSequence:
    """Replace dead pixels by the median of their live neighbours, frame by frame.

    The neighbourhood grows from 3 x 3 to 7 x 7 pixels until it holds three live ones; pixels without any keep what
    they have.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; frames in a file stay there.
    dead : ndarray of bool, shape (Y, X), optional
        The pixels; found by `find_dead_pixels` when None.

    Returns
    -------
    ThermalSequence
        With unchanged type of the frames, except that integers become float32.

    Raises
    ------
    SequenceError
        When the mask has another shape than the frames.
    """
    dead = find_dead_pixels(sequence) if dead is None else np.asarray(dead, dtype=bool)
    if dead.shape != sequence.frame_shape:
        raise SequenceError(f"mask of dead pixels has shape {dead.shape}, the frames have {sequence.frame_shape}")
    return sequence.with_frames(
        repaired(sequence.frames, dead), "replace_dead_pixels", parameters={"n_dead_pixels": int(dead.sum())}
    )
