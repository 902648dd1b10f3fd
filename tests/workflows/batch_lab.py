"""A folder of small recordings for tests of batches, and what their results are."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

from thermo_qc.io import read_sequence, write_sequence

RESULT_ENDINGS = {".h5", ".csv", ".png"}


def make_recordings(folder: Path, source: Path, n_recordings: int) -> list[Path]:
    """Write recordings that differ a little, each of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    sequence = read_sequence(source).loaded()
    paths = []
    for number in range(n_recordings):
        path = folder / f"plate{number}.h5"
        write_sequence(sequence, path)
        with h5py.File(path, "r+") as file:
            largest = max(_datasets(file), key=lambda dataset: dataset.size)
            frames = largest[...]
            noise = np.random.default_rng(number).normal(0, 0.01, frames.shape)
            largest[...] = (frames + noise).astype(frames.dtype)
        paths.append(path)
    return paths


def _datasets(file: h5py.File) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


def results_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every result and table, by name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in RESULT_ENDINGS
    }


def litter_of(folder: Path) -> list[str]:
    """What an interrupted run may have left."""
    return [path.name for path in folder.rglob("*") if path.name.endswith((".part", ".lock"))]


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start the program in a session of its own, one thread to each process."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, "1")}
    return subprocess.Popen(
        [sys.executable, "-m", "thermo_qc", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def json_lines(text: str) -> list[dict[str, object]]:
    """Parse one JSON object per line."""
    return [json.loads(line) for line in text.splitlines()]
