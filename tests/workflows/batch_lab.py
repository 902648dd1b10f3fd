"""A folder of small recordings for tests of batches, and what their results are."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np

from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.workflows.results import list_results
from thermo_qc.workflows.run_index import INDEX

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


def results_of(folder: Path, endings: Collection[str] = RESULT_ENDINGS) -> dict[str, str]:
    """SHA-256 of every result and table, by name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in endings
    }


def check_index(folder: Path) -> None:
    """The index, as the run left it, says what one made anew from the files says; durations are only in the former."""
    with closing(sqlite3.connect(folder / INDEX)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        cursor = connection.execute("SELECT * FROM overview ORDER BY result IS NULL, result, recording")
        names = [column[0] for column in cursor.description]
        kept = [dict(zip(names, row, strict=True)) for row in cursor]
        found = connection.execute("SELECT * FROM indications ORDER BY stem, number").fetchall()
    (folder / INDEX).unlink()
    anew = list_results([folder])
    left_out = {"read_s", "compute_s", "write_s", "options", "reasons", "folder"}
    assert [{name: row[name] for name in row if name not in left_out} for row in kept] == [
        {name: row[name] for name in row if name not in left_out} for row in anew
    ]
    with closing(sqlite3.connect(folder / INDEX)) as connection:
        assert connection.execute("SELECT * FROM indications ORDER BY stem, number").fetchall() == found


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
