"""Plates whose mean curve is known in closed form, and frames that count how they are read."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from thermo_qc.plate import Hole, PlateSpec
from thermo_qc.sequence import Excitation, Material, ThermalSequence
from thermo_qc.simulation import Heating, Lamp, Placement, frame_times_s, record_plate, solve_plate


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


GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.30,
    conductivity_in_plane_w_mk=0.40,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)
HOLES = ((16.0, 14.0, 12.0, 1.3), (44.0, 14.0, 10.0, 3.0), (18.0, 38.0, 12.0, 2.0), (44.0, 36.0, 14.0, 1.0))


@pytest.fixture(scope="session")
def solved():
    """Solve a small plate with four holes under one lamp beside it, or under even light, once each."""

    @cache
    def solve(kind="long_pulse", even=False):
        holes = tuple(
            Hole(number=i, name=f"H{i}", x_mm=x, y_mm=y, diameter_mm=d, depth_mm=z)
            for i, (x, y, d, z) in enumerate(HOLES, start=1)
        )
        plate = PlateSpec(name="small", width_mm=60.0, height_mm=50.0, thickness_mm=8.0, material=GFRP, holes=holes)
        lamps = () if even else (Lamp(x_mm=10.0, y_mm=10.0, width_mm=110.0),)
        heating = Heating(kind=kind, duration_s=40.0, lamps=lamps)
        return solve_plate(plate, times_s=frame_times_s(2.0, 10.0, 100.0), heating=heating, lateral_mm=2.0)

    return solve


@pytest.fixture(scope="session")
def simulate(solved):
    """Record that plate: 2 Hz, 20 cold frames, heating from 0 to 40 s, cooling to 100 s."""

    def record(kind="long_pulse", *, seed=0, even=False, quiet=False, background_mm=6.0, **camera):
        silent = {"netd_k": 0.0, "fixed_pattern_k": 0.0, "quantisation_k": 0.0} if quiet else {}
        return record_plate(
            solved(kind, even),
            rng=np.random.default_rng(seed),
            pixel_pitch_mm=1.5,
            placement=Placement(background_mm=background_mm),
            **(silent | camera),
        )

    return record
