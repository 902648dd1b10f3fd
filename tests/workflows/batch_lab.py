"""A folder of small recordings for tests of batches, and what their results are."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Collection
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np

from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.workflows.results import list_results
from thermo_qc.workflows.run_index import INDEX

RESULT_ENDINGS = {".h5", ".csv", ".png"}
_WRITTEN = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d\+00:00| UTC)")
_PRELOADED = (
    "batch_lab",
    "thermo_qc.cli.model_verbs",
    "thermo_qc.cli.verbs",
    "thermo_qc.workflows.cv",
    "thermo_qc.workflows.watch",
    "thermo_qc.training",
)


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
    """SHA-256 of every result and table, by name; of records and pages without the moment when they were written."""

    def content(path: Path) -> bytes:
        text = path.read_bytes()
        return _WRITTEN.sub(b"TIME", text) if path.name.endswith((".html", "n.json", "t.json")) else text

    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(content(path)).hexdigest()
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
    for row in kept:
        row["warnings"] = None if row["warnings"] is None else json.loads(row["warnings"])
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
        preexec_fn=_mind_interrupts if os.name == "posix" else None,  # noqa: PLW1509 - it sets one signal, nothing else
    )


def _mind_interrupts() -> None:
    """Undo what a shell does to programs in its background, which ignore SIGINT and hand that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Forked:
    """The program in a session of its own, forked from a process that has imported everything.

    That is where most of the time of a small run goes otherwise. Its workers are forked from it for the same reason.
    """

    def __init__(self, *arguments: object) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOADED))
        self._process = context.Process(target=_program, args=([*map(str, arguments)],))
        self._process.start()
        self.pid = int(self._process.pid or 0)

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        return None if self._process.is_alive() else self._process.exitcode

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def communicate(self) -> None:
        """Wait for its end."""
        self._process.join()
        self._process.close()


def _program(arguments: list[str]) -> None:
    import torch

    from thermo_qc.cli import main
    from thermo_qc.workflows import batch_workers

    os.setsid()
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    torch.set_num_threads(1)
    batch_workers.get_context = lambda _: get_context("fork")  # type: ignore[attr-defined,assignment,misc]
    raise SystemExit(main(arguments))


def children_of(pid: int) -> list[int]:
    """Processes that a process has started and that still run; none where the system does not say."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] not in ("Z", "X"):
            found.append(int(entry.parent.name))
    return sorted(found)


def json_lines(text: str) -> list[dict[str, object]]:
    """Parse one JSON object per line."""
    return [json.loads(line) for line in text.splitlines()]
