"""Random damage to files of every format: either they load, or one clear line says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import tifffile

from thermo_qc.errors import ThermoQCError
from thermo_qc.io import read_sequence, write_any
from thermo_qc.io.native_write import write_sequence
from thermo_qc.sequence import ThermalSequence

N_VERSIONS = 15


def _make(path: Path, sequence: ThermalSequence) -> dict[str, Any]:
    frames = np.asarray(sequence.frames)
    if path.name == "gzip.h5":
        write_sequence(sequence, path, compression="gzip")
    elif path.suffix in {".h5", ".npz"}:
        write_any(sequence, path)
    elif path.suffix == ".npy":
        np.save(path, frames)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, frames, photometric="minisblack", compression="zlib" if path.stem == "zlib" else None)
    else:
        scipy.io.savemat(path, {"x": frames, "t": "text"}, do_compression=path.stem == "zlib")
        return {"axes": "tyx"}
    return {}


@pytest.mark.parametrize("name", ["a.h5", "gzip.h5", "a.npz", "a.npy", "a.tif", "zlib.tif", "a.mat", "zlib.mat"])
def test_damage_is_reported_in_one_line(tmp_path: Path, full_sequence: ThermalSequence, name: str) -> None:
    path = tmp_path / name
    options = {"frame_rate_hz": 1.0, **_make(path, full_sequence)}
    whole = path.read_bytes()
    read_sequence(path, **options).loaded()
    rng = np.random.default_rng(sum(name.encode()))
    refused = 0
    for version in range(N_VERSIONS):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 1500 * (1 + version % 3)), size=3):
            damaged[place] = rng.integers(0, 256)
        if version % 5 == 0:
            del damaged[rng.integers(1, len(damaged)) :]
        path.write_bytes(damaged)
        try:
            read_sequence(path, **options).loaded()
        except ThermoQCError as error:
            refused += 1
            assert str(path.parent) in str(error) and "\n" not in str(error)
    assert refused > 0
