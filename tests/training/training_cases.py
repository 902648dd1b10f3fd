"""Tiny labelled recordings (cooling plates with warm spots of two classes), experiments and runs for the tests."""

from __future__ import annotations

import numpy as np

from thermo_qc.config import ExperimentConfig
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.training import Case, train_model

NAMES = ("sound", "shallow", "deep")
DEPTHS = (float("nan"), 1.0, 2.5)
SMALL_UNET = {"encoder": "tu-test_resnet", "decoder_channels": [32, 16, 16, 8, 8]}


def make_case(key: str = "a", seed: int = 0, shape: tuple[int, int] = (24, 24), n_classes: int = 3) -> Case:
    rng = np.random.default_rng(seed)
    times = np.arange(-3.0, 27.0)
    class_map = np.zeros(shape, dtype=np.uint8)
    class_map[4:10, 4:10] = 1
    if n_classes > 2:
        class_map[13:20, 12:20] = 2
    class_map[0, :] = 255
    after = np.clip(times - 4.0, 0.0, None)[:, None, None]
    heated = (times > 0)[:, None, None]
    extra = np.where(class_map == 1, 1.5, 0.0) * np.exp(-after / 4.0) + np.where(class_map == 2, 1.0, 0.0) * (
        after / 10.0 * np.exp(-after / 10.0)
    )
    frames = 20.0 + heated * (8.0 / np.sqrt(1.0 + after) + extra) + 0.02 * rng.standard_normal((times.size, *shape))
    return Case(
        key=key,
        sequence=ThermalSequence(
            frames=frames.astype(np.float32),
            times_s=times,
            unit="K",
            excitation=Excitation(kind="long_pulse", start_s=0.0, stop_s=4.0),
        ),
        class_map=class_map,
    )


def build_experiment(
    kind: str = "curve", name: str = "cnn1d", parameters: dict[str, object] | None = None, **train: object
) -> ExperimentConfig:
    """Build a small experiment; keywords replace fields of `train`."""
    settings = {"epochs": 3, "batch_size": 128 if kind == "curve" else 2, **train}
    return ExperimentConfig.model_validate(
        {
            "name": "tiny",
            "representation": {"time": {"n_steps": 6}},
            "model": {"kind": kind, "name": name, "parameters": parameters or {}},
            "train": settings,
        }
    )


def run(cases, experiment, folder, **options):
    fixed = {"class_names": NAMES, "class_depths_mm": DEPTHS, "progress": False}
    return train_model(cases, experiment=experiment, folder=folder, **{**fixed, **options})


def weights(model):
    return {name: value.numpy() for name, value in model.network.state_dict().items()}


def assert_same_weights(one, other):
    for name, value in weights(one).items():
        np.testing.assert_array_equal(value, weights(other)[name], err_msg=name)
