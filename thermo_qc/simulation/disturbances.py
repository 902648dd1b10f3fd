"""What a camera adds to the picture: patterns, drift, noise, shutter jumps, bad pixels, frames at wrong times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "add_column_noise",
    "add_drift_and_noise",
    "add_flicker",
    "add_shutter",
    "frame_jitter_s",
    "shift_frames",
    "stick_pixels",
]

STUCK_RANGE_K = (-30.0, 80.0)
Frames = NDArray[np.float32]


def add_drift_and_noise(
    frames: Frames, rng: np.random.Generator, *, netd_k: float, fixed_pattern_k: float, drift_k: float
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


def stick_pixels(frames: Frames, rng: np.random.Generator, fraction: float, ambient_c: float) -> None:
    """Hold a share of the pixels at one random value each."""
    _, height, width = frames.shape
    stuck = rng.choice(height * width, size=round(fraction * height * width), replace=False)
    values = ambient_c + rng.uniform(*STUCK_RANGE_K, size=stuck.size)
    frames.reshape(frames.shape[0], -1)[:, stuck] = values.astype(np.float32)


def add_column_noise(frames: Frames, rng: np.random.Generator, std_k: float) -> None:
    """Add an offset to every column of every frame, drawn anew each time."""
    n_frames, _, width = frames.shape
    frames += np.float32(std_k) * rng.standard_normal((n_frames, 1, width), dtype=np.float32)


def add_flicker(
    frames: Frames,
    times_s: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    fraction: float,
    step_k: float,
    dwell_s: float,
) -> dict[str, Any]:
    """Let a share of the pixels jump between two levels `step_k` apart (telegraph noise), `dwell_s` on average each.

    Returns
    -------
    dict
        "flickering_px": their places (row, column), JSON types.
    """
    n_frames, height, width = frames.shape
    places = rng.choice(height * width, size=round(fraction * height * width), replace=False)
    flips = 0.5 * (1 - np.exp(-2 * np.diff(times_s, prepend=times_s[0]) / dwell_s))
    state = np.cumsum(rng.random((n_frames, places.size)) < flips[:, None], axis=0) % 2
    frames.reshape(n_frames, -1)[:, places] += (step_k * (state ^ rng.integers(0, 2, places.size))).astype(np.float32)
    return {"flickering_px": [[int(place) // width, int(place) % width] for place in np.sort(places)]}


def add_shutter(
    frames: Frames,
    times_s: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    interval_s: float,
    jump_k: float,
    pattern_k: float,
    frozen_frames: int,
) -> dict[str, Any]:
    """Close the shutter every `interval_s`: the picture stands still, then comes back at another level and pattern.

    Returns
    -------
    dict
        "shutter_frames": the first frame at each new level; "shutter_jumps_k": how far the common level went up.
    """
    n_frames, height, width = frames.shape
    due = times_s[0] + interval_s * np.arange(1, int((times_s[-1] - times_s[0]) / interval_s) + 1)
    starts = np.unique(np.searchsorted(times_s, due - 1e-9))
    starts = starts[(starts > 0) & (starts + frozen_frames < n_frames)]
    jumps = jump_k * rng.standard_normal(starts.size)
    level = np.zeros((height, width), dtype=np.float32)
    place = 0
    for start, jump in zip(starts.tolist(), jumps, strict=True):
        frames[place:start] += level
        frames[start : start + frozen_frames] = frames[start - 1]
        level += np.float32(jump) + np.float32(pattern_k) * rng.standard_normal((height, width), dtype=np.float32)
        place = start + frozen_frames
    frames[place:] += level
    return {
        "shutter_frames": [int(start) + frozen_frames for start in starts],
        "shutter_jumps_k": [round(float(jump), 6) for jump in jumps],
    }


def frame_jitter_s(times_s: NDArray[np.float64], rng: np.random.Generator, std_s: float) -> NDArray[np.float64]:
    """Draw how much later than stated each frame was taken: normal, within half a frame, inside the recording, (T,)."""
    if times_s.size < 2:
        return np.zeros(times_s.size)
    gap = np.diff(times_s)
    low, high = -np.append(0.0, gap) / 2, np.append(gap, 0.0) / 2
    return np.clip(std_s * rng.standard_normal(times_s.size), low, high)


def shift_frames(frames: Frames, times_s: NDArray[np.float64], late_s: NDArray[np.float64]) -> None:
    """Show each frame `late_s` later than it was, on the straight line to the next (or last) frame."""
    before = frames[0].copy()
    for index in range(frames.shape[0]):
        now = frames[index].copy()
        late = late_s[index]
        if late > 0:
            frames[index] += np.float32(late / (times_s[index + 1] - times_s[index])) * (frames[index + 1] - now)
        elif late < 0:
            frames[index] += np.float32(-late / (times_s[index] - times_s[index - 1])) * (before - now)
        before = now
