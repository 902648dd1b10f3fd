"""Opening a large recording reads little of it; blocks of curves come as they lie in the file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from thermo_qc.io import read_sequence, reader, sha256_of, with_hash, write_sequence
from thermo_qc.sequence import ThermalSequence

SHAPE = (300, 70, 50)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    frames = np.arange(np.prod(SHAPE), dtype=np.int64).astype(np.uint16).reshape(SHAPE)
    path = tmp_path_factory.mktemp("native") / "plate.h5"
    write_sequence(ThermalSequence(frames=frames, times_s=np.arange(300.0), unit="counts"), path)
    return path, frames


def _anonymous(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["/MetaData"].attrs["ThermoQC"]


def test_a_large_file_is_not_hashed_at_opening(
    recording: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "foreign.h5"
    path.write_bytes(recording[0].read_bytes())
    _anonymous(path)
    assert read_sequence(path).source.sha256 == sha256_of(path)
    monkeypatch.setattr(reader, "HASH_BYTES", 1000)
    monkeypatch.setattr(reader, "sha256_of", lambda _: pytest.fail("the whole file was read"))
    assert read_sequence(path).source.sha256 == ""


def test_the_hash_follows_on_demand(
    recording: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "foreign.h5"
    path.write_bytes(recording[0].read_bytes())
    _anonymous(path)
    monkeypatch.setattr(reader, "HASH_BYTES", 1000)
    opened = read_sequence(path)
    assert with_hash(opened, path).source.sha256 == sha256_of(path)
    assert with_hash(opened, tmp_path / "other.h5") is opened
    known = with_hash(opened, path)
    assert with_hash(known, path) is known


@pytest.mark.parametrize(
    "key",
    [
        np.s_[:, 3:40, 5:9],
        np.s_[10:290, :, 7],
        np.s_[::-1, 60:, ::3],
        np.s_[5, 2:4, :],
        np.s_[:, :, :],
        np.s_[100:103, 1:2, 1:2],
    ],
)
def test_every_way_of_reading_gives_the_same_numbers(recording: tuple[Path, np.ndarray], key: tuple) -> None:
    path, frames = recording
    np.testing.assert_array_equal(read_sequence(path).frames[key], frames[key])


def test_curves_of_a_block_are_contiguous(recording: tuple[Path, np.ndarray]) -> None:
    block = read_sequence(recording[0]).frames[:, 0:32, 0:32]
    assert np.moveaxis(block, 0, -1).flags.c_contiguous
