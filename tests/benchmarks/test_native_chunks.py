"""One frame and a block of curves from the same native file: the chunking beside others, through plain h5py as well.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.io.native_write import CHUNK
from thermo_qc.sequence import ThermalSequence

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]
SHAPE = (1000, 512, 640)
OTHERS = ((512, 640, 1), (32, 32, 32), (16, 16, 128), (32, 32, 128), (16, 32, 64), (8, 8, 256), (8, 8, 1000))


def median_ms(function: Callable[[], Any], count: int = 9) -> float:
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return 1e3 * float(np.median(taken))


def test_frame_and_curves_of_several_chunkings(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 60000, SHAPE, dtype=np.uint16)
    path = tmp_path / "native.h5"
    write_sequence(ThermalSequence(frames=frames, times_s=np.arange(1000.0), unit="counts"), path)
    sequence = read_sequence(path)
    numbers = iter(range(3, 1000, 97))
    ours = (
        median_ms(lambda: read_sequence(path)),
        median_ms(lambda: sequence.frames[next(numbers), :, :]),
        median_ms(lambda: sequence.frames[:, 200:264, 300:364]),
    )
    print(f"\n640 x 512 x 1000 uint16, chunks {CHUNK} of (rows, columns, frames), warm cache")
    print(f"  thermo_qc: open {ours[0]:.1f} ms, one frame {ours[1]:.1f} ms, 64 x 64 curves {ours[2]:.1f} ms")
    print("  h5py, (rows, columns, frames) of a chunk: one frame, 64 x 64 curves, all in bands")
    for chunk in (CHUNK, *OTHERS):
        other = tmp_path / "other.h5"
        with h5py.File(other, "w") as file:
            file.create_dataset("d", data=np.moveaxis(frames, 0, -1), chunks=chunk)
        with h5py.File(other) as file:
            data = file["d"]
            frame_ms = median_ms(lambda data=data: data[:, :, 500], 3)
            curves_ms = median_ms(lambda data=data: data[200:264, 300:364, :], 3)
            all_ms = median_ms(lambda data=data: [data[r : r + 64] for r in range(0, 512, 64)], 1)
        print(f"  {chunk!s:16} {frame_ms:8.1f} ms {curves_ms:8.1f} ms {all_ms:8.0f} ms")
    np.testing.assert_array_equal(sequence.frames[:, 200:264, 300:364], frames[:, 200:264, 300:364])
