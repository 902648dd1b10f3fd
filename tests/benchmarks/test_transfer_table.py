"""What training on a corpus, and fine-tuning on one recording, are worth: from scratch, general, fine-tuned.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_transfer_table.py``. ``THERMO_QC_RUNS`` names the
folder with the runs of ``thermo-qc train configs/general_*.yaml`` (general_lstm, general_cnn1d, ...; those that are not
there are left out), ``THERMO_QC_BENCH`` the folder with recordings. Every network is scored on five acquisitions of the
calibrated plate (other lamps, flux, camera, pose), after it saw the first one alone, the corpus alone, or both.
``THERMO_QC_BENCH_EPOCHS`` (20) shortens what is trained here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from general_scores import Score, pooled, score_recording
from test_general_model import ACQUISITIONS, calibrated

from thermo_qc.inspection import load_model, predict_sequence
from thermo_qc.io import read_sequence
from thermo_qc.models import TrainedModel, build_network
from thermo_qc.workflows import finetune

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
NETWORKS = {
    "LSTM": "general_lstm",
    "1D-CNN": "general_cnn1d",
    "U-Net": "general_unet",
    "DeepLabV3+": "general_deeplabv3plus",
    "MANet": "general_manet",
    "hybrid": "general",
}
EPOCHS, SAMPLES = int(os.environ.get("THERMO_QC_BENCH_EPOCHS", "20")), 24
SCRATCH_RATE = 2e-3


def _model(name: str) -> TrainedModel:
    path = Path(os.environ.get("THERMO_QC_RUNS", "runs")) / name / "model.safetensors"
    if not path.is_file() and name != "general":
        pytest.skip(f"{path} is not there; train it with thermo-qc train configs/{name}.yaml")
    return load_model(path if path.is_file() else "general")[0]


def _fresh(model: TrainedModel) -> TrainedModel:
    """Return the same network with the weights that a training starts from."""
    import torch

    torch.manual_seed(0)
    network = build_network(
        model.kind,
        model.name,
        representation=model.representation,
        n_classes=len(model.class_names),
        parameters=model.parameters,
    )
    kept = {name: value for name, value in model.metadata.items() if name not in ("temperature", "defect_offset")}
    return replace(model, network=network.eval(), metadata=kept)


def _tuned(start: TrainedModel, home: Path, recording: Path, rate: float | None, threads: int) -> TrainedModel:
    statistics = () if rate is None else ("train.transfer.batch_norm=train",)  # a fresh network has none to keep
    home.mkdir(parents=True, exist_ok=True)
    start.save(home / "start.safetensors")
    finetune.run(
        home / "start.safetensors",
        recording,
        home / "run",
        plate="gfrp_calibrated",
        epochs=EPOCHS,
        learning_rate=rate,
        overrides=(f"train.samples_per_epoch={SAMPLES}", *statistics),
        threads=threads,
        overwrite=True,
        progress=False,
    )
    return load_model(home / "run")[0]


def _scored(model: TrainedModel, recordings: dict[str, tuple[Path, dict[int, float]]]) -> Score:
    scores = []
    for path, indices in recordings.values():
        sequence = read_sequence(path)
        scores.append(score_recording(sequence, predict_sequence((model,), sequence), indices))
    return pooled(scores)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[int, float]]]:
    given = os.environ.get("THERMO_QC_BENCH")
    home = Path(given) if given else tmp_path_factory.mktemp("bench")
    return {name: calibrated(home, name) for name in ACQUISITIONS}


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, dict[str, float]]]:
    rows: dict[str, dict[str, float]] = {}
    yield rows
    print("\n" + json.dumps(rows, indent=1))


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_from_scratch_general_and_fine_tuned(
    network: str,
    recordings: dict[str, tuple[Path, dict[int, float]]],
    table: dict[str, dict[str, float]],
    tmp_path: Path,
) -> None:
    general = _model(NETWORKS[network])
    first, *others = recordings
    unseen = {name: recordings[name] for name in others}
    print()
    found = {}
    for how in ("from scratch", "general", "fine-tuned"):
        start = time.perf_counter()
        model = general
        if how != "general":
            begin, rate = (_fresh(general), SCRATCH_RATE) if how == "from scratch" else (general, None)
            model = _tuned(begin, tmp_path / how.replace(" ", "_"), recordings[first][0], rate, threads=1)
        took = time.perf_counter() - start
        found[how] = _scored(model, unseen)
        print(found[how].line(f"{network} {how}"), f" training {took:.0f} s")
    table[network] = {how: round(score.f1, 4) for how, score in found.items()}
    assert all(score.detectable > 50 for score in found.values())
