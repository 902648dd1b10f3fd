"""Throughput of a batch: 40 recordings of 320 x 256 x 300, two workers of one thread each against one.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_batch_throughput.py``.
``THERMO_QC_BENCH_RECORDINGS`` and ``THERMO_QC_BENCH_REPEATS`` (40 and 3) shorten it, ``THERMO_QC_BENCH_MODEL`` takes a
model that ships, or a path, instead of the 1D-CNN that is trained here. The kinds of runs alternate, and their medians
are compared, because other work on the machine disturbs all.

A worker of one thread computes in one thread and reads and writes beside it in two more. Left alone on two cores it
takes more than one of them, so that a single worker is measured both ways: free, and with one core for all it does.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from thermo_qc.cli import main
from thermo_qc.inspection import load_model, predict_sequence
from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.workflows import simulate

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory and times are read from /proc"),
]
N_RECORDINGS = int(os.environ.get("THERMO_QC_BENCH_RECORDINGS", "40"))
N_REPEATS = int(os.environ.get("THERMO_QC_BENCH_REPEATS", "3"))
MODEL = os.environ.get("THERMO_QC_BENCH_MODEL", "")
KINDS = {"one worker": (1, 2), "one worker on one core": (1, 1), "two workers": (2, 2)}  # workers, cores
SHAPE = (300, 256, 320)
N_FILES = 4  # the others are further names of these
PLATE = {
    "name": "bench",
    "width_mm": 80.0,
    "height_mm": 64.0,
    "thickness_mm": 8.0,
    "depth_convention": "ligament",
    "material": {
        "name": "GFRP",
        "conductivity_through_w_mk": 0.3,
        "conductivity_in_plane_w_mk": 0.4,
        "density_kg_m3": 1900.0,
        "heat_capacity_j_kgk": 1000.0,
    },
    "holes": [
        {"name": "S1", "x_mm": 22, "y_mm": 20, "diameter_mm": 14, "depth_mm": 1.0},
        {"name": "D1", "x_mm": 58, "y_mm": 44, "diameter_mm": 16, "depth_mm": 3.0},
    ],
    "class_schemes": {
        "regions": [{"name": "surface defect", "max_depth_mm": 2.0}, {"name": "in-depth defect", "max_depth_mm": 8.0}]
    },
}
SIMULATION = {
    "plate": "plate.yaml",
    "heating": {"kind": "long_pulse", "flux_w_m2": 1500.0, "duration_s": 20.0},
    "solver": {"lateral_mm": 2.0, "depth_cells": 10, "max_step_s": 5.0},
    "recording": {"frame_rate_hz": 3.75, "cold_s": 4.0, "duration_s": 76.0},
    "camera": {"pixel_pitch_mm": 0.25, "netd_k": 0.02},
}
ON_CORES = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{}])
from thermo_qc.cli import main
sys.exit(main())
"""
EXPERIMENT = {
    "name": "cnn",
    "data": {"class_scheme": "regions"},
    "model": {"kind": "curve", "name": "cnn1d"},
    "train": {"epochs": 1, "batch_size": 256, "samples_per_epoch": 2048},
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run."""

    seconds_each: float
    wall_s: float
    outside: float
    memory_early: float
    memory_late: float
    memory_peak: float


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    for name, content in (("plate", PLATE), ("simulation", SIMULATION), ("cnn", EXPERIMENT)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    simulate.run(folder / "simulation.yaml", folder / "first.h5")
    sequence = read_sequence(folder / "first.h5").loaded()
    frames = np.asarray(sequence.frames)[: SHAPE[0], 24 : 24 + SHAPE[1], 24 : 24 + SHAPE[2]]
    times_s = sequence.times_s[: SHAPE[0]]
    assert frames.shape == SHAPE
    if not MODEL:
        _train(folder)
    (folder / "in").mkdir()
    for number in range(N_RECORDINGS):
        path = folder / "in" / f"plate{number}.h5"
        if number < N_FILES:
            noise = np.random.default_rng(number).normal(0, 0.02, SHAPE).astype(np.float32)
            write_sequence(replace(sequence, frames=frames + noise, times_s=times_s, truth=None), path)
        else:
            os.link(folder / "in" / f"plate{number % N_FILES}.h5", path)
    return folder


def _train(folder: Path) -> None:
    manifest = {"recordings": [{"key": "first", "recording": "first.h5", "plate": "plate.yaml"}]}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    arguments = ["train", folder / "cnn.yaml", "--manifest", folder / "manifest.yaml", "-o", folder / "model"]
    assert main([*map(str, arguments), "--threads", "1"]) == 0


def _model(bench: Path) -> Path:
    return Path(MODEL) if MODEL else bench / "model"


def _run(bench: Path, out: Path, workers: int, cores: int) -> Measured:
    command = ["predict", _model(bench), bench / "in", "-o", out, "--workers", workers, "--threads", 1, "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_CORES.format(cores), *map(str, command)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    samples: list[tuple[float, float]] = []
    watcher = threading.Thread(target=_watch, args=(process, samples))
    watcher.start()
    assert process.stdout is not None
    with process.stdout as stream:
        lines = [(time.monotonic(), json.loads(line)) for line in stream]
    assert process.wait() == 0
    watcher.join()
    moments = [moment for moment, _ in lines]
    parts = [(line["read_s"], line["compute_s"], line["write_s"]) for _, line in lines]
    assert len(lines) == N_RECORDINGS
    working = [size for moment, size in samples if moments[0] <= moment <= moments[-1]]
    third = max(1, len(working) // 3)
    return Measured(
        seconds_each=(moments[-1] - moments[workers - 1]) / (len(moments) - workers),
        wall_s=time.monotonic() - start,
        outside=sum(read + write for read, _, write in parts) / sum(map(sum, parts)),
        memory_early=statistics.median(working[:third]),
        memory_late=statistics.median(working[-third:]),
        memory_peak=max(working),
    )


def _watch(process: subprocess.Popen[str], samples: list[tuple[float, float]]) -> None:
    """Sum up the memory of a process and of those that it started, MiB."""
    while process.poll() is None:
        family, grown = {process.pid}, True
        parents = _parents()
        while grown:
            more = {pid for pid, parent in parents.items() if parent in family} - family
            grown = bool(more)
            family |= more
        samples.append((time.monotonic(), sum(map(_resident_mib, family))))
        time.sleep(0.25)


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            except OSError:
                continue
    return found


def _resident_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def test_two_workers_against_one(bench: Path, tmp_path: Path) -> None:
    runs: dict[str, list[Measured]] = {kind: [] for kind in KINDS}
    for repeat in range(N_REPEATS):
        for kind, (workers, cores) in KINDS.items():
            runs[kind].append(_run(bench, tmp_path / f"{kind}{repeat}", workers, cores))
            print(f"\n{kind}: {runs[kind][-1]}, load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"\n{N_RECORDINGS} recordings of 320 x 256 x 300, {MODEL or 'cnn1d'}, medians of {N_REPEATS} runs each")
    each = {kind: statistics.median(one.seconds_each for one in measured) for kind, measured in runs.items()}
    for kind, measured in runs.items():
        early, late, peak, wall, outside = (
            statistics.median(getattr(one, name) for one in measured)
            for name in ("memory_early", "memory_late", "memory_peak", "wall_s", "outside")
        )
        print(f"  {kind}: {each[kind]:.2f} s each, {wall:.0f} s with the start of the processes;", end=" ")
        print(f"reading and writing are {100 * outside:.0f} % of the seconds of the steps, which overlap;", end=" ")
        print(f"{early:.0f} MiB in the first third, {late:.0f} in the last, peak {peak:.0f}")
        assert late < 1.2 * early
    for kind in list(KINDS)[:2]:
        print(f"  two workers do {each[kind] / each['two workers']:.2f} times as much as {kind}")


def test_share_of_the_network(bench: Path) -> None:
    import torch

    torch.set_num_threads(1)
    (model,) = load_model(_model(bench))
    sequence = read_sequence(bench / "in" / "plate0.h5").loaded()
    started, spent = [0.0], [0.0]
    network = model.network
    assert network is not None
    network.register_forward_pre_hook(lambda *_: started.__setitem__(0, time.perf_counter()))
    network.register_forward_hook(lambda *_: spent.__setitem__(0, spent[0] + time.perf_counter() - started[0]))
    shares = []
    for _ in range(N_REPEATS):
        spent[0] = 0.0
        start = time.perf_counter()
        predict_sequence(model, sequence)
        shares.append(spent[0] / (time.perf_counter() - start))
    print(f"\nthe network itself takes {100 * statistics.median(shares):.0f} % of predict_sequence")
    assert 0 < statistics.median(shares) <= 1
