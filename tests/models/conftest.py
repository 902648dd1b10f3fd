"""One small recording, its fitted representations and models made once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thermo_qc.models import Forest, TrainedModel, build_network
from thermo_qc.representation import Representation, TimeAxis
from thermo_qc.sequence import Excitation, ThermalSequence

CLASSES = ("sound", "shallow", "deep")
DEPTHS = (float("nan"), 2.0, 6.0)
STEPS = TimeAxis(n_steps=6)


def make_recording(shape: tuple[int, int] = (40, 48), seed: int = 0, end_s: float = 200.0) -> ThermalSequence:
    times = np.arange(-8.0, end_s, 4.0)
    late = np.maximum(times - 60.0, 0.0)
    heat = np.sqrt(np.maximum(times, 0.0)) - np.sqrt(late)
    y, x = np.mgrid[: shape[0], : shape[1]]
    disc = (x - shape[1] / 3) ** 2 + (y - shape[0] / 2) ** 2 <= 25
    contrast = np.exp(-(((late - 50.0) / 40.0) ** 2)) * (times > 60.0)
    rise = 3.0 * heat[:, None, None] + contrast[:, None, None] * disc
    rise = rise + np.random.default_rng(seed).normal(0.0, 0.03, rise.shape)
    return ThermalSequence(
        frames=(22.0 + rise).astype(np.float32),
        times_s=times,
        unit="degC",
        pixel_pitch_mm=2.0,
        excitation=Excitation(kind="long_pulse", stop_s=60.0),
    )


@pytest.fixture(scope="session")
def recording() -> ThermalSequence:
    return make_recording()


@pytest.fixture(scope="session")
def representation(recording: ThermalSequence) -> Representation:
    return Representation(time=STEPS).fit([recording])


@pytest.fixture(scope="session")
def labels(recording: ThermalSequence) -> np.ndarray:
    y, x = np.mgrid[: recording.frame_shape[0], : recording.frame_shape[1]]
    return ((x - 16) ** 2 + (y - 20) ** 2 <= 25).astype(np.uint8)


@pytest.fixture(scope="session")
def forest(recording: ThermalSequence, representation: Representation, labels: np.ndarray) -> Forest:
    return Forest.fit(representation.curves(recording), labels.ravel(), n_classes=3, n_trees=8, max_depth=6)


def wrapped(kind: str, name: str, representation: Representation, **parts: object) -> TrainedModel:
    return TrainedModel(
        kind=kind,  # type: ignore[arg-type]
        name=name,
        representation=representation,
        class_names=CLASSES,
        class_depths_mm=DEPTHS,
        metadata={"class_scheme": "depths", "loss": float("nan")},
        **parts,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session")
def models(representation: Representation, forest: Forest) -> dict[str, TrainedModel]:
    """One untrained model of each kind."""
    torch.manual_seed(0)
    made = {"forest": wrapped("forest", "random_forest", representation, forest=forest)}
    choices = {
        "curve": ("cnn1d", {"channels": [8], "kernel": 3, "dropout": 0.1}),
        "segmentation": ("unet", {"encoder": "resnet18", "encoder_depth": 3, "decoder_channels": [16, 8, 4]}),
    }
    for kind, (name, parameters) in choices.items():
        network = build_network(kind, name, representation=representation, n_classes=3, parameters=parameters)
        made[kind] = wrapped(kind, name, representation, network=network)
    return made
