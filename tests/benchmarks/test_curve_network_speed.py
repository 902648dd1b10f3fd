"""The curve networks side by side: size, speed at 64 steps, and what a short training on a small plate reaches.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_curve_network_speed.py``.
``THERMO_QC_BENCH_THREADS`` says how many threads (2).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from thermo_qc.config import ExperimentConfig
from thermo_qc.evaluation import confusion_matrix, pixel_metrics
from thermo_qc.io import load_manifest
from thermo_qc.models import CURVE_MODELS, build_curve_network, parameter_count
from thermo_qc.models.curve.along_time import as_rows, over_time
from thermo_qc.models.memory import kept_memory
from thermo_qc.training import Case, train_model
from thermo_qc.workflows import simulate
from thermo_qc.workflows.cases import class_depths_mm, load_recordings

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]

N_STEPS, N_PIXELS, BATCH = 64, 16384, 4096
THREADS = int(os.environ.get("THERMO_QC_BENCH_THREADS", "2"))
PLATE = {
    "name": "small",
    "width_mm": 110.0,
    "height_mm": 90.0,
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
        {"name": f"{depth:g}/{diameter:g}", "x_mm": x, "y_mm": y, "diameter_mm": diameter, "depth_mm": depth}
        for depth, y in ((1.0, 18), (2.5, 45), (4.0, 72))
        for diameter, x in ((14, 25), (10, 57), (7, 86))
    ],
    "class_schemes": {
        "regions": [{"name": "surface defect", "max_depth_mm": 2.0}, {"name": "in-depth defect", "max_depth_mm": 8.0}]
    },
}
SIMULATION = {
    "plate": "small.yaml",
    "heating": {"kind": "long_pulse", "flux_w_m2": 1000.0, "duration_s": 30.0},
    "solver": {"lateral_mm": 1.5, "depth_cells": 14},
    "recording": {"frame_rate_hz": 2.0, "cold_s": 4.0, "duration_s": 200.0},
    "camera": {"pixel_pitch_mm": 1.0, "netd_k": 0.03},
}


def experiment(name: str, neighbourhood: int) -> ExperimentConfig:
    return ExperimentConfig.model_validate(
        {
            "name": name,
            "representation": {
                "time": {"n_steps": N_STEPS},
                "channels": ["difference"],
                "scale": "noise_arcsinh",
                "flatten_background_px": 16,
                "neighbourhood": neighbourhood,
            },
            "model": {"kind": "curve", "name": name},
            "train": {
                "epochs": 8,
                "batch_size": 512,
                "samples_per_epoch": 8192,
                "sound_fraction": 0.8,
                "optimiser": {"learning_rate": 2e-3},
                "schedule": {"warmup_epochs": 1},
            },
        }
    )


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Case], tuple[float, ...]]:
    """One plate seen twice, the second time turned and under other lamps: to train on and to judge by."""
    folder = tmp_path_factory.mktemp("plate")
    (folder / "small.yaml").write_text(yaml.safe_dump(PLATE), encoding="utf-8")
    entries = []
    for seed, name in enumerate(("train", "test")):
        content = {**SIMULATION, "placement": {"turn_deg": 180.0 * seed}, "seed": seed}
        (folder / "simulation.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        simulate.run(folder / "simulation.yaml", folder / f"{name}.h5")
        entries.append({"key": name, "recording": f"{name}.h5", "plate": "small.yaml", "acquisition": name})
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"recordings": entries}), encoding="utf-8")
    recordings = load_recordings(load_manifest(folder / "manifest.yaml"), "regions")
    found = [Case(key=one.key, sequence=one.sequence, class_map=one.class_map) for one in recordings]
    return found, class_depths_mm(recordings)


def pixels_per_second(name: str, n_channels: int) -> float:
    network = build_curve_network(name, n_steps=N_STEPS, n_channels=n_channels, n_classes=3).eval()
    curves = torch.randn(BATCH, N_STEPS, n_channels)
    best = np.inf
    with torch.inference_mode(), kept_memory():  # as predictions do
        network(curves[:256])
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(N_PIXELS // BATCH):
                network(curves)
            best = min(best, time.perf_counter() - start)
    return N_PIXELS / best


def judged(
    name: str, neighbourhood: int, cases: list[Case], depths: tuple[float, ...], folder: Path
) -> dict[str, float]:
    start = time.perf_counter()
    names = ("sound", "surface defect", "in-depth defect")
    model = train_model(
        cases[:1],
        experiment=experiment(name, neighbourhood),
        folder=folder,
        class_names=names,
        class_depths_mm=depths,
        threads=THREADS,
        progress=False,
    )
    train_s = time.perf_counter() - start
    truth = cases[1].class_map
    found = model.probabilities(cases[1].sequence).argmax(axis=0).astype(np.uint8)
    metrics = pixel_metrics(confusion_matrix(truth[truth != 255], found[truth != 255], 3), names)
    return {
        "train_s": train_s,
        "megabytes": (folder / "model.safetensors").stat().st_size / 1e6,
        "defect_f1": float(metrics["defect_f1"]),
        "balanced_accuracy": float(metrics["balanced_accuracy"]),
    }


def test_curve_networks_side_by_side(cases, tmp_path):
    torch.set_num_threads(THREADS)
    recordings, depths = cases
    print(f"\n{N_STEPS} steps, 1 channel, {THREADS} threads; 8 epochs of 8192 curves of one simulated plate")
    print(f"{'network':>14} {'px':>2} {'params':>8} {'MB':>6} {'px/s':>8} {'train s':>8} {'F1':>6} {'bal. acc.':>9}")
    scores = {}
    for neighbourhood in (1, 3):
        for name in CURVE_MODELS:
            channels = neighbourhood**2
            network = build_curve_network(name, n_steps=N_STEPS, n_channels=channels, n_classes=3)
            speed = pixels_per_second(name, channels)
            found = judged(name, neighbourhood, recordings, depths, tmp_path / f"{name}_{neighbourhood}")
            scores[name, neighbourhood] = found["defect_f1"]
            print(
                f"{name:>14} {neighbourhood:>2} {parameter_count(network):>8} {found['megabytes']:>6.2f} {speed:>8.0f} "
                f"{found['train_s']:>8.1f} {found['defect_f1']:>6.3f} {found['balanced_accuracy']:>9.3f}",
                flush=True,
            )
    assert max(scores.values()) > 0.6
    assert np.mean([scores[name, 3] for name in CURVE_MODELS]) > np.mean([scores[name, 1] for name in CURVE_MODELS])


def _best_cpu_s(work: Callable[[], object], repeats: int = 4) -> float:
    work()
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return float(best)


def test_beside_the_layers_of_pytorch():
    """The convolutions of `configs/general_cnn1d.yaml` beside those of `torch.nn`."""
    torch.set_num_threads(THREADS)
    network = build_curve_network(
        "cnn1d", n_steps=N_STEPS, n_channels=20, n_classes=4, channels=[24, 40, 64, 96], halve=True, pooling="segments"
    )
    layers: list[torch.nn.Module] = []
    for number, (before, after) in enumerate(pairwise((20, 24, 40, 64, 96))):
        convolution = torch.nn.Conv1d(before, after, 5, 2 if number else 1, 2, bias=False)
        layers += [convolution, torch.nn.BatchNorm1d(after), torch.nn.ReLU()]
    peer = torch.nn.Sequential(*layers)
    peer.load_state_dict(network.features.state_dict())
    curves = torch.randn(BATCH, N_STEPS, 20)
    print()
    with kept_memory():
        for how in ("training", "inference"):
            network.train(how == "training"), peer.train(how == "training")

            def ours() -> torch.Tensor:
                return over_time(network.features(as_rows(curves)))

            def theirs() -> torch.Tensor:
                return peer(curves.transpose(1, 2))

            if how == "inference":
                with torch.inference_mode():
                    torch.testing.assert_close(ours(), theirs(), rtol=1e-4, atol=1e-4)
                    found = [_best_cpu_s(work) for work in (ours, theirs)]
            else:
                found = [_best_cpu_s(lambda work=work: work().square().mean().backward()) for work in (ours, theirs)]
            print(f"convolutions, {how}: torch.nn takes {found[1] / found[0]:.2f} times as long")
