"""Tiny recordings and files that the reader tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from thermo_qc.sequence import Defect, Excitation, HistoryEntry, Material, Source, ThermalSequence, Truth

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture
def shared_file() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"{name} is not here")
        return SHARED / name

    return find


@pytest.fixture
def frames() -> np.ndarray:
    """Frames (T, Y, X) = (5, 4, 3), every value different."""
    return np.arange(60, dtype=np.float32).reshape(5, 4, 3)


@pytest.fixture
def truth() -> Truth:
    index = np.array([[0, 1, 1], [0, 0, 0], [2, 2, -1], [0, -1, -1]], dtype=np.int16)
    depth = np.where(index == 1, 1.25, np.nan).astype(np.float32)
    return Truth(
        defect_index=index,
        depth_mm=depth,
        defects=(
            Defect(number=1, depth_mm=1.25, diameter_mm=7.85, name="A1", peak_contrast_k=0.125),
            Defect(number=2),
        ),
    )


@pytest.fixture
def full_sequence(frames: np.ndarray, truth: Truth) -> ThermalSequence:
    """A sequence in which every field is set."""
    return ThermalSequence(
        frames=frames,
        times_s=np.array([-1.0, 0.0, 0.5, 2.0, 7.25]),
        unit="degC",
        pixel_pitch_mm=0.7,
        excitation=Excitation(kind="long_pulse", stop_s=1.5, flux_w_m2=900.0, frequency_hz=0.1),
        ambient_c=22.5,
        emissivity=0.95,
        thickness_mm=17.0,
        netd_k=0.025,
        material=Material(
            name="GFRP",
            conductivity_through_w_mk=0.3,
            conductivity_in_plane_w_mk=0.4,
            density_kg_m3=1900.0,
            heat_capacity_j_kgk=1000.0,
        ),
        camera="LWIR 640, 30°",
        specimen_id="plate 7",
        acquisition_id="a-1",
        source=Source(path="orig.seq", sha256="ab" * 32, format_name="X"),
        history=(HistoryEntry(step="crop", parameters={"rows": [0, 4], "note": None, "deep": {"a": 1.5}}),),
        truth=truth,
    )


@pytest.fixture
def write_hdf5(tmp_path: Path, frames: np.ndarray) -> Callable[..., Path]:
    """Write a minimal pyThermoNDT file; keywords replace datasets by their path, None leaves one out."""

    def write(name: str = "foreign.h5", **datasets: Any) -> Path:
        content: dict[str, Any] = {
            "/Data/Tdata": np.moveaxis(frames, 0, -1),
            "/MetaData/DomainValues": np.arange(5) * 0.5,
        }
        content |= {"/" + path.replace("__", "/"): value for path, value in datasets.items()}
        with h5py.File(tmp_path / name, "w") as file:
            for path, value in content.items():
                if value is not None:
                    file[path] = value
        return tmp_path / name

    return write


def assert_same(left: ThermalSequence, right: ThermalSequence) -> None:
    """Compare two sequences field by field."""
    np.testing.assert_array_equal(left.frames[:, :, :], right.frames[:, :, :])
    assert np.dtype(left.frames.dtype).newbyteorder("=") == np.dtype(right.frames.dtype).newbyteorder("=")
    np.testing.assert_array_equal(left.times_s, right.times_s)
    names = ("unit", "pixel_pitch_mm", "excitation", "ambient_c", "emissivity", "thickness_mm", "netd_k", "material")
    for name in (*names, "camera", "specimen_id", "acquisition_id", "history"):
        assert getattr(left, name) == getattr(right, name), name
    assert (left.truth is None) == (right.truth is None)
    if left.truth is not None and right.truth is not None:
        np.testing.assert_array_equal(left.truth.defect_index, right.truth.defect_index)
        np.testing.assert_array_equal(left.truth.depth_mm, right.truth.depth_mm)
        assert left.truth.defects == right.truth.defects


@pytest.fixture(name="assert_same")
def assert_same_fixture() -> Callable[[ThermalSequence, ThermalSequence], None]:
    return assert_same
