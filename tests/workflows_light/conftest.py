"""A small recorded plate on disk."""

from __future__ import annotations

import numpy as np
import pytest

from thermo_qc.io import write_sequence
from thermo_qc.sequence import Excitation, ThermalSequence

PLATE = """
name: little
width_mm: 60
height_mm: 40
thickness_mm: 5
depth_convention: ligament
material: {name: GFRP, conductivity_through_w_mk: 0.3, conductivity_in_plane_w_mk: 0.4, density_kg_m3: 1900,
  heat_capacity_j_kgk: 1000}
holes:
  - {name: A, x_mm: 15, y_mm: 20, diameter_mm: 12, depth_mm: 1}
  - {name: B, x_mm: 45, y_mm: 12, diameter_mm: 10, depth_mm: 2}
"""


@pytest.fixture
def plate_file(tmp_path):
    path = tmp_path / "little.yaml"
    path.write_text(PLATE, encoding="utf-8")
    return path


@pytest.fixture
def sequence():
    times = np.arange(-12.0, 60.0)
    rise = 4 * (np.sqrt(np.maximum(times, 0)) - np.sqrt(np.maximum(times - 20, 0)))
    frames = 21 + rise[:, None, None] * np.ones((1, 30, 44))
    frames += np.random.default_rng(0).normal(0, 0.02, frames.shape)
    frames[:, 4, 7] = 90.0
    return ThermalSequence(
        frames=frames.astype(np.float32),
        times_s=times,
        unit="degC",
        excitation=Excitation(kind="long_pulse", stop_s=20.0),
    )


@pytest.fixture
def recording(tmp_path, sequence):
    path = tmp_path / "plate7.h5"
    write_sequence(sequence, path)
    return path
