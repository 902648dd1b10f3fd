"""From a 640 x 512 recording of 1000 frames to its defect map: the curve networks of ``configs/`` and what ships.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_predict_speed.py``. ``THERMO_QC_BENCH`` names a
folder that keeps the recording (0.7 GB), ``THERMO_QC_BENCH_THREADS`` the threads of PyTorch (2). Weights of the curve
networks are random, which their speed does not depend on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bench_recording import make_recording

from thermo_qc.config import CorpusExperimentConfig, ExperimentConfig, load_config
from thermo_qc.inspection import load_model
from thermo_qc.io import read_sequence
from thermo_qc.models import TrainedModel, build_network
from thermo_qc.representation import PhysicalRepresentation, Representation

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
ROOT = Path(__file__).parents[2]
SHAPE = (1000, 512, 640)
THREADS = os.environ.get("THERMO_QC_BENCH_THREADS", "2")
CHILD = """
import json, resource, sys, time
import torch
from thermo_qc.inspection import load_model, predict_sequence
from thermo_qc.io import read_sequence
from thermo_qc.workflows.evaluate import set_threads
set_threads(int(sys.argv[3]))
models, sequence = load_model(sys.argv[1]), read_sequence(sys.argv[2])
runs = []
for _ in range(2):
    start = time.perf_counter(), time.process_time()
    predict_sequence(models, sequence)
    runs.append((time.perf_counter() - start[0], time.process_time() - start[1]))
start = time.perf_counter()
for first in range(0, len(sequence.times_s), 50):
    sequence.frames[first : first + 50, :, :]
read_s = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"wall_s": min(runs)[0], "cpu_s": min(runs)[1], "read_s": read_s, "peak_gib": peak}))
"""
NAMES = ("cnn1d", "lstm", "general_cnn1d", "general_lstm", "general", "general_fine")


def model_file(name: str, recording: Path, folder: Path) -> str:
    """Name of what ships, else a file with the network of a configuration."""
    if name in ("general", "general_fine"):
        return name
    path = ROOT / "configs" / f"{name}.yaml"
    if name.startswith("general"):
        corpus = load_config(CorpusExperimentConfig, path)
        representation, network = PhysicalRepresentation(**corpus.representation.model_dump()), corpus.model
        kind, parameters, n_classes = "segmentation", {**network.parameters, "depth_head": True}, 2
    else:
        experiment = load_config(ExperimentConfig, path)
        representation = Representation.from_config(experiment.representation).fit([read_sequence(recording)])
        network, kind, parameters, n_classes = experiment.model, "curve", experiment.model.parameters, 3
    torch.manual_seed(0)
    model = TrainedModel(
        kind=kind,
        name=network.name,
        representation=representation,
        class_names=("sound", "defect", "deep defect")[:n_classes],
        class_depths_mm=(float("nan"), 1.0, 4.0)[:n_classes],
        network=build_network(
            kind, network.name, representation=representation, n_classes=n_classes, parameters=dict(parameters)
        ),
        parameters=dict(parameters),
    )
    model.save(folder / f"{name}.safetensors")
    return str(folder / f"{name}.safetensors")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("THERMO_QC_BENCH")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("bench")
    folder.mkdir(parents=True, exist_ok=True)
    return make_recording(folder / "flash_1000.h5", SHAPE)


@pytest.mark.parametrize("name", NAMES)
def test_from_file_to_map(name: str, recording: Path, tmp_path: Path) -> None:
    model = model_file(name, recording, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, model, str(recording), THREADS], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"\n{name:>14}: {found['wall_s']:.1f} s from file to map ({found['cpu_s']:.1f} s of CPU, {THREADS} threads), "
        f"{found['wall_s'] / max(found['read_s'], 1e-9):.1f} times the reading alone ({found['read_s']:.1f} s), "
        f"peak {found['peak_gib']:.1f} GiB"
    )
    assert load_model(model)
