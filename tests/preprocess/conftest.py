"""Plates whose mean curve is known in closed form, and frames that count how they are read."""

from __future__ import annotations

import numpy as np
import pytest

from thermo_qc.sequence import Excitation, ThermalSequence


class FileLikeFrames:
    """Frames that are no array, like those of a file; remembers the largest piece that was read."""

    def __init__(self, frames):
        self._frames, self.largest = frames, 0

    @property
    def shape(self):
        return self._frames.shape

    @property
    def dtype(self):
        return self._frames.dtype

    def __getitem__(self, key):
        piece = self._frames[key]
        self.largest = max(self.largest, piece.size)
        return piece


def mean_rise(kind, times_s, stop_s):
    """Rise of a half-space's face at unit flux or energy (Carslaw and Jaeger; Osiander and Spicer)."""
    after = np.maximum(times_s, 0.0)
    if kind == "flash":
        return np.where(times_s >= 0, 10 / np.sqrt(np.maximum(after, 0.02)), 0.0)
    if kind == "step":
        return 2 * np.sqrt(after)
    if kind == "long_pulse":
        return 5 * (np.sqrt(after) - np.sqrt(np.maximum(times_s - stop_s, 0.0)))
    if kind == "cooling":
        return 10 / np.sqrt(times_s - times_s[0] + 1.0)
    return np.zeros_like(times_s)


@pytest.fixture
def record():
    """Record a plate under a lamp that is brighter on the right."""

    def build(
        kind="long_pulse", *, noise_k=0.02, stop_s=60.0, rate_hz=1.0, n_frames=150, n_cold=15, shape=(20, 24), seed=0
    ):
        times = (np.arange(n_frames) - n_cold) / rate_hz
        lamp = np.linspace(0.8, 1.0, shape[1])[None, None, :] * np.linspace(1.0, 0.9, shape[0])[None, :, None]
        frames = 22.0 + mean_rise(kind, times, stop_s)[:, None, None] * lamp
        frames = frames + np.random.default_rng(seed).normal(0, 1, frames.shape) * noise_k
        known = kind if kind in {"flash", "step", "long_pulse"} else "unknown"
        return ThermalSequence(
            frames=frames.astype(np.float32), times_s=times, unit="degC", excitation=Excitation(kind=known)
        )

    return build


@pytest.fixture
def file_like():
    return FileLikeFrames
