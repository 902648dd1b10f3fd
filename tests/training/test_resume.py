"""A killed run continues with the figures of an undisturbed one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from training_cases import SMALL_UNET, assert_same_weights, make_case, run

from thermo_qc.errors import TrainingError


class StopError(Exception):
    pass


def stop_after(epochs):
    def report(epoch, _epochs, _loss):
        if epoch > epochs:
            raise StopError

    return report


@pytest.mark.parametrize(
    ("kind", "name", "parameters", "options"),
    [
        (
            "curve",
            "cnn1d",
            {"dropout": 0.3},
            {"class_balanced": True, "schedule": {"name": "plateau", "patience_epochs": 1}, "validation_fraction": 0.2},
        ),
        (
            "curve",
            "lstm",
            {"hidden": 8},
            {"optimiser": {"name": "sgd", "learning_rate": 0.1}, "schedule": {"warmup_epochs": 1}},
        ),
        ("segmentation", "unet", SMALL_UNET, {"crop_px": 16, "samples_per_epoch": 3}),
    ],
)
def test_a_stopped_run_ends_like_an_undisturbed_one(cases, experiment, tmp_path, kind, name, parameters, options):
    settings = experiment(kind, name, parameters, epochs=4, **options)
    whole = run(cases, settings, tmp_path / "whole")
    for epochs in (1, 2):
        with pytest.raises(StopError):
            run(cases, settings, tmp_path / "parts", progress=stop_after(epochs))
    assert (tmp_path / "parts" / "checkpoints" / "last.ckpt").is_file()
    seen = []
    resumed = run(cases, settings, tmp_path / "parts", progress=lambda epoch, *_: seen.append(epoch))
    assert seen == [3, 4]
    assert_same_weights(resumed, whole)
    assert resumed.sha256 == whole.sha256
    history = [(tmp_path / part / "history.csv").read_text() for part in ("whole", "parts")]
    assert history[0] == history[1]


def test_checkpoints_hold_tensors_and_plain_values_only(cases, experiment, tmp_path):
    with pytest.raises(StopError):
        run(cases, experiment(epochs=4, validation_fraction=0.2), tmp_path, progress=stop_after(2))
    for name in ("last", "best"):
        checkpoint = torch.load(tmp_path / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert checkpoint["thermo_qc"]["signature"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_run_killed_between_early_stop_and_saving_keeps_its_figures(cases, experiment, tmp_path, monkeypatch):
    settings = experiment(epochs=30, validation_fraction=0.3, early_stopping_epochs=1,
                          optimiser={"name": "sgd", "learning_rate": 0.5})  # fmt: skip
    whole = run(cases, settings, tmp_path / "whole")

    def fail(*_):
        raise StopError

    with monkeypatch.context() as patch:
        patch.setattr("thermo_qc.models.TrainedModel.save", fail)
        with pytest.raises(StopError):
            run(cases, settings, tmp_path / "parts")
    (tmp_path / "parts" / "history.csv").unlink()
    assert_same_weights(run(cases, settings, tmp_path / "parts"), whole)
    histories = [(tmp_path / part / "history.csv").read_text() for part in ("whole", "parts")]
    assert histories[0] == histories[1]
    assert histories[0].count("\n") < 31


def test_a_finished_model_is_returned_and_another_experiment_refused(cases, experiment, tmp_path):
    settings = experiment()
    first = run(cases, settings, tmp_path)
    stamp = (tmp_path / "model.safetensors").stat().st_mtime_ns
    assert run(cases, settings, tmp_path).sha256 == first.sha256
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == stamp
    for changed in (
        lambda: run(cases, experiment(epochs=4), tmp_path),
        lambda: run(cases, settings, tmp_path, seed=1),
        lambda: run(cases[:1], settings, tmp_path),
        lambda: run([cases[0], make_case("b", 5)], settings, tmp_path),
        lambda: run(cases, settings, tmp_path, validation_cases=[make_case("c", 7)]),
    ):
        with pytest.raises(TrainingError, match=r"model\.safetensors belongs to another experiment"):
            changed()
    again = run(cases, experiment(epochs=1), tmp_path, resume=False)
    assert again.sha256 != first.sha256


def test_a_checkpoint_of_another_experiment_is_refused_until_resume_is_off(cases, experiment, tmp_path):
    with pytest.raises(StopError):
        run(cases, experiment(epochs=4), tmp_path, progress=stop_after(1))
    with pytest.raises(TrainingError, match=r"last\.ckpt belongs to another experiment .* into another folder"):
        run(cases, experiment(epochs=3), tmp_path)
    seen = []
    run(cases, experiment(epochs=3), tmp_path, resume=False, progress=lambda epoch, *_: seen.append(epoch))
    assert seen == [1, 2, 3]


def test_a_broken_checkpoint_is_named(cases, experiment, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match=r"checkpoint .*last\.ckpt cannot be read: .*; delete it"):
        run(cases, experiment(), tmp_path)
    torch.save({"state_dict": {}}, folder / "last.ckpt")
    with pytest.raises(TrainingError, match="it was not written by thermo_qc"):
        run(cases, experiment(), tmp_path)


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from training_cases import DEPTHS, NAMES, make_case
from thermo_qc.config import ExperimentConfig
from thermo_qc.training import train_model
train_model(
    [make_case("a", 0), make_case("b", 1)],
    experiment=ExperimentConfig.model_validate_json(sys.argv[3]),
    folder=Path(sys.argv[2]), class_names=NAMES, class_depths_mm=DEPTHS, threads=1,
    progress=lambda epoch, *_: time.sleep(600 if epoch == 3 else 0),
)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_killed_by_the_system_continues(cases, experiment, tmp_path):
    settings = experiment(epochs=4, validation_fraction=0.2)
    whole = run(cases, settings, tmp_path / "whole", threads=1)
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", SCRIPT, here, str(tmp_path / "parts"), settings.model_dump_json()]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    history = tmp_path / "parts" / "history.csv"
    try:
        while not (history.is_file() and history.read_text().count("\n") == 4):  # the third epoch sleeps
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    seen = []
    resumed = run(cases, settings, tmp_path / "parts", threads=1, progress=lambda epoch, *_: seen.append(epoch))
    assert seen == [3, 4]
    assert_same_weights(resumed, whole)
    assert history.read_text() == (tmp_path / "whole" / "history.csv").read_text()
