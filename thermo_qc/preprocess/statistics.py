"""Statistics of every pixel over time, collected once in bounded memory; noise from second differences in time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.sequence import ThermalSequence

__all__ = ["PixelStatistics", "estimate_noise", "pixel_statistics"]

NOISE_FRAMES = 128
NOISE_SAMPLES = 2_000_000
MAD_TO_STD = 1.482602218505602


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelStatistics:
    """What every pixel does over time.

    Parameters
    ----------
    n_finite : ndarray of int64, shape (Y, X)
        Finite values.
    mean, std, minimum, maximum : ndarray of float64, shape (Y, X)
        Of the finite values; NaN where there are none.
    noise : ndarray of float64, shape (Y, X)
        White noise in time, see `estimate_noise`; NaN where it cannot be told.
    """

    n_finite: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    noise: NDArray[np.float64]


def pixel_statistics(sequence: ThermalSequence) -> PixelStatistics:
    """Collect the statistics of all pixels, reading the sequence once in bands of rows."""
    window = _noise_window(sequence.times_s)
    parts = [_statistics_of(block, sequence.times_s, window) for _, block in sequence.blocks()]
    count, mean, std, low, high, noise = (np.concatenate([part[i] for part in parts]) for i in range(6))
    return PixelStatistics(n_finite=count.astype(np.int64), mean=mean, std=std, minimum=low, maximum=high, noise=noise)


def _statistics_of(
    block: NDArray[np.float32], times_s: NDArray[np.float64], window: slice
) -> tuple[NDArray[np.float64], ...]:
    """Frame by frame, which stays in the processor's cache; frames without gaps, the rule, need no masks."""
    block, shape = _frame_after_frame(block), block.shape[1:]
    count, total = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    low, high = (np.full(shape, value, dtype=block.dtype) for value in (np.inf, -np.inf))
    gaps = [None if finite.all() else ~finite for finite in map(np.isfinite, block)]
    for frame, gap in zip(block, gaps, strict=True):
        count += 1 if gap is None else ~gap
        total += frame if gap is None else np.where(gap, 0.0, frame)
        np.minimum(low, frame if gap is None else np.where(gap, np.inf, frame), out=low)
        np.maximum(high, frame if gap is None else np.where(gap, -np.inf, frame), out=high)
    known, safe = count > 0, np.maximum(count, 1)
    mean = total / safe
    square = np.zeros(shape)
    for frame, gap in zip(block, gaps, strict=True):
        deviation = frame - mean if gap is None else np.where(gap, 0.0, frame - mean)
        square += deviation * deviation
    square /= safe
    noise = np.full(shape, np.nan)
    if times_s.size >= 3:
        residual = np.abs(_second_differences(block[window], times_s[window]))
        whole = np.isfinite(residual).all(axis=0)
        noise[whole] = MAD_TO_STD * np.median(np.ascontiguousarray(residual[:, whole].T), axis=1)
    maps = (np.where(known, values, np.nan) for values in (mean, np.sqrt(square), low, high))
    return (count.astype(np.float64), *maps, noise)


def _frame_after_frame(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lay the pixels of a frame side by side in memory; those of native files lie apart, which is ten times slower."""
    pixels = block.transpose(1, 2, 0)
    if block.flags.c_contiguous or not (pixels.flags.c_contiguous and block.size):
        return np.ascontiguousarray(block)
    return np.asarray(cv2.transpose(pixels.reshape(-1, len(block)))).reshape(block.shape)


def _noise_window(times_s: NDArray[np.float64]) -> slice:
    """Frames in which the signal is closest to a straight line: the cold frames, else the end of the recording."""
    n_cold, n = int((times_s < 0).sum()), times_s.size
    if n_cold >= 12:
        return slice(max(0, n_cold - NOISE_FRAMES), n_cold)
    return slice(n - min(n, NOISE_FRAMES, max(12, n // 4)), n)


def _second_differences(block: NDArray[np.float32], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deviation of every frame from the line between its neighbours, scaled to the standard deviation of one frame."""
    step = np.diff(times_s)
    after = (step[:-1] / (step[:-1] + step[1:]))[:, None, None]
    before = 1.0 - after
    values = block.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    deviation = values[1:-1] - before * values[:-2] - after * values[2:]
    return np.asarray(deviation / np.sqrt(1.0 + before**2 + after**2))


def estimate_noise(sequence: ThermalSequence) -> float:
    """Estimate the camera's white noise in time, in the unit of the frames.

    The deviation of each frame from the line between its two neighbours holds no slow signal, only noise; its median
    absolute value over frames and pixels is scaled to a standard deviation. Twelve cold frames or more are used where
    they exist, else the last quarter of the recording. Where quantisation hides the noise (more than half of the
    deviations are zero), the root mean square of all but the largest percent stands in.

    Parameters
    ----------
    sequence : ThermalSequence
        At least three frames.

    Returns
    -------
    float
        Standard deviation of one pixel in one frame.

    Raises
    ------
    SequenceError
        When there are fewer than three frames, or no pixel with finite values in them.
    """
    if sequence.n_frames < 3:
        raise SequenceError(f"{sequence.n_frames} frames came, expected at least 3 to tell the noise")
    window = _noise_window(sequence.times_s)
    deviations = np.concatenate(list(_sampled_deviations(sequence, window)))
    if deviations.size == 0:
        raise SequenceError(
            "no pixel has finite values in the frames for the noise estimate; check the recording for NaN"
        )
    median = float(np.median(deviations))
    if median > 0:
        return MAD_TO_STD * median
    kept = deviations[deviations <= np.quantile(deviations, 0.99)]
    return float(np.sqrt((kept**2).mean()))


def _sampled_deviations(sequence: ThermalSequence, window: slice) -> list[NDArray[np.float64]]:
    height, width = sequence.frame_shape
    n_rows = max(1, min(height, NOISE_SAMPLES // ((window.stop - window.start) * width)))
    parts = []
    for row in np.unique(np.linspace(0, height - 1, n_rows).round().astype(int)).tolist():
        block = np.asarray(sequence.frames[window, row : row + 1, :], dtype=np.float32)
        deviation = np.abs(_second_differences(block, sequence.times_s[window]))
        parts.append(deviation[np.isfinite(deviation)])
    return parts
