"""From file to maps: TSR, PPT and PCT of 640 x 512 x 1000 frames beside NumPy, SciPy and scikit-learn.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks``. ``THERMO_QC_BENCH`` names a folder that keeps the
recordings (0.7 GB, and 13.4 GB for the long one); without it they are made anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
from bench_recording import make_recording
from sklearn.decomposition import PCA

from thermo_qc.io import read_sequence
from thermo_qc.thermography import compute_maps, make_method, read_maps

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
SHAPE = (1000, 512, 640)
PART = 16
METHODS = {
    "tsr": {"order": 5, "n_times": 8, "synthetic": False, "r2": False, "peak": False},
    "ppt": {"n_frequencies": 10},
    "pct": {"n_components": 6},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("THERMO_QC_BENCH")
    path = Path(kept) if kept else tmp_path_factory.mktemp("bench")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def recording(folder: Path) -> Path:
    return make_recording(folder / "flash_1000.h5", SHAPE)


def best_of(count: int, function: Callable[[], Any]) -> tuple[float, Any]:
    best, result = np.inf, None
    for _ in range(count):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def table(title: str, rows: list[tuple[str, str]]) -> None:
    print(f"\n{title}")
    for name, text in rows:
        print(f"  {name:62} {text}")


def test_file_to_maps_beside_its_peers(recording: Path) -> None:
    sequence = read_sequence(recording)
    methods = {name: make_method(name, options) for name, options in METHODS.items()}
    read_s, raw = best_of(
        2, lambda: np.concatenate([sequence.frames[:, r : r + 32, :-1] for r in range(0, 512, 32)], 1)
    )
    ours_s, maps = best_of(3, lambda: compute_maps(sequence, methods))
    first_s, _ = best_of(3, lambda: compute_maps(sequence, {name: methods[name] for name in ("tsr", "ppt")}))
    raw = np.asarray(sequence.loaded().frames).reshape(SHAPE[0], -1)
    cooling, times, _ = maps.scene.cooling()
    cold = raw[sequence.times_s < 0].mean(axis=0, dtype=np.float64)
    rise = raw[cooling].astype(np.float32) - cold.astype(np.float32)
    log_s, _ = best_of(2, lambda: np.log(rise))
    polyfit_s, _ = best_of(1, lambda rise=rise: np.polyfit(np.log(times), np.log(rise), 5))
    rfft_s, _ = best_of(2, lambda: scipy.fft.rfft(rise, axis=0, workers=2))
    pca_s, _ = best_of(1, lambda: PCA(6, svd_solver="randomized", random_state=0).fit(rise))
    gemm_s, _ = best_of(2, lambda: rise[:, :65536].T.copy().T @ rise[:, :65536].T)
    gflops = 2 * rise.shape[0] ** 2 * 65536 / gemm_s / 1e9
    peers_s = polyfit_s + rfft_s + pca_s
    gram_s = 2 * rise.shape[0] ** 2 * rise.shape[1] / (gflops * 1e9)
    arithmetic_s = 2 * read_s + log_s / 2 + gram_s
    table(
        "640 x 512 x 1000 uint16, warm cache",
        [
            ("read the native file in blocks of curves", f"{read_s:.2f} s"),
            ("thermo_qc: file -> TSR 5 + PPT 10 + PCT 6 (44 + 6 maps)", f"{ours_s:.2f} s"),
            ("  of it TSR and PPT alone", f"{first_s:.2f} s"),
            ("peers, array in memory: np.polyfit of np.log", f"{polyfit_s:.2f} s (np.log {log_s:.2f} s of it)"),
            ("  scipy.fft.rfft, 2 workers", f"{rfft_s:.2f} s"),
            ("  sklearn PCA(6, randomized)", f"{pca_s:.2f} s"),
            ("peers together / thermo_qc", f"{peers_s / ours_s:.1f}"),
            (f"reading twice, logarithm on 2 cores, Gram matrix at {gflops:.0f} GFLOP/s", f"{arithmetic_s:.2f} s"),
            ("thermo_qc / that", f"{ours_s / arithmetic_s:.2f}"),
        ],
    )
    errors = accuracy(maps, raw[cooling, ::PART] - cold[::PART], times, rise)
    table("largest relative error against float64", [(name, f"{value:.1e}") for name, value in errors.items()])
    assert errors["TSR coefficients"] < 1e-4
    assert errors["PPT amplitude"] < 1e-4
    assert errors["PPT phase, rad"] < 1e-4
    assert errors["PCT subspace angle, rad"] < 1e-3


def accuracy(maps: Any, part: Any, times: Any, rise: Any) -> dict[str, float]:
    """Compare with float64: TSR and PPT on every PART-th pixel, PCT on all."""
    names = [image.layer.name for image in maps.images]

    def found(start: str) -> Any:
        return np.stack([maps[name].ravel()[::PART] for name in names if name.startswith(start)]).astype(np.float64)

    errors: dict[str, float] = {}
    expected = np.polyfit(np.log(times), np.log(part), 5)[::-1]
    difference = np.abs(found("tsr_a") - expected).max(axis=1)
    errors["TSR coefficients"] = float((difference / np.abs(expected).max(axis=1)).max())
    spectrum = (times[1] - times[0]) * np.fft.rfft(part, axis=0)[1:11]
    difference = np.abs(found("ppt_amplitude") - np.abs(spectrum)) / np.abs(spectrum)
    errors["PPT amplitude"] = float(difference.max())
    errors["PPT phase, rad"] = float(np.abs(np.angle(np.exp(1j * (found("ppt_phase") - np.angle(spectrum))))).max())
    curves = rise.T.astype(np.float64)
    curves -= curves.mean(axis=1, keepdims=True)
    curves /= curves.std(axis=1, keepdims=True)
    gram = curves.T @ curves
    exact = scipy.linalg.eigh(gram, subset_by_index=[gram.shape[0] - 6, gram.shape[0] - 1])[1]
    eofs = [image.layer.metadata["eof"] for image in maps.images if image.layer.name.startswith("pct_")]
    angles = scipy.linalg.subspace_angles(exact, np.array(eofs).T)
    errors["PCT subspace angle, rad"] = float(angles.max())
    return errors


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize(("n_frames", "limit_gib"), [(1000, 1.5), (20000, 2.0)])
def test_peak_memory_of_the_maps_verb(folder: Path, tmp_path: Path, n_frames: int, limit_gib: float) -> None:
    recording = make_recording(folder / f"flash_{n_frames}.h5", (n_frames, 512, 640))
    options = [
        f"--set={name}.{key}={json.dumps(value)}" for name, part in METHODS.items() for key, value in part.items()
    ]
    code = (  # of this process alone: getrusage would count what its parent had before
        "import pathlib, re, sys; from thermo_qc.cli import main; code = main(sys.argv[1:]); "
        "status = pathlib.Path('/proc/self/status').read_text(); "
        "print('PEAK', int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) / 2**20); sys.exit(code)"
    )
    arguments = ["-o", str(tmp_path), "--no-pictures", *options, "--methods", *METHODS]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "maps", str(recording), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    elapsed = time.perf_counter() - start
    peak_gib = float(done.stdout.split("PEAK")[1])
    size_gb = recording.stat().st_size / 1e9
    table(f"thermo-qc maps on {size_gb:.1f} GB", [("peak memory", f"{peak_gib:.2f} GiB"), ("time", f"{elapsed:.1f} s")])
    assert len(read_maps(tmp_path / f"{recording.stem}.maps.h5").images) == 48
    assert peak_gib < limit_gib
