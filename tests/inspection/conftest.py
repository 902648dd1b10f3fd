"""A small recording and forests trained on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from thermo_qc.models import Forest, TrainedModel
from thermo_qc.representation import Representation, TimeAxis
from thermo_qc.sequence import Excitation, Source, ThermalSequence

CLASSES = ("sound", "shallow", "deep")


@pytest.fixture(scope="session")
def recording() -> ThermalSequence:
    times = np.arange(-8.0, 200.0, 4.0)
    late = np.maximum(times - 60.0, 0.0)
    heat = np.sqrt(np.maximum(times, 0.0)) - np.sqrt(late)
    y, x = np.mgrid[:24, :30]
    disc = (x - 10) ** 2 + (y - 12) ** 2 <= 16
    contrast = np.exp(-(((late - 50.0) / 40.0) ** 2)) * (times > 60.0)
    rise = 3.0 * heat[:, None, None] + contrast[:, None, None] * disc
    rise = rise + np.random.default_rng(0).normal(0.0, 0.03, rise.shape)
    return ThermalSequence(
        frames=(22.0 + rise).astype(np.float32),
        times_s=times,
        unit="degC",
        pixel_pitch_mm=2.0,
        excitation=Excitation(kind="long_pulse", stop_s=60.0),
        source=Source(path="plate.h5", sha256="ab" * 32, format_name="native"),
    )


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    y, x = np.mgrid[:24, :30]
    return ((x - 10) ** 2 + (y - 12) ** 2 <= 16).astype(np.uint8)


@pytest.fixture(scope="session")
def make_model(recording: ThermalSequence, labels: np.ndarray) -> Callable[..., TrainedModel]:
    representation = Representation(time=TimeAxis(n_steps=6)).fit([recording])
    curves = representation.curves(recording)

    def make(
        seed: int = 0, class_names: tuple[str, ...] = CLASSES, depth: float = 2.0, wrong: float = 0.0
    ) -> TrainedModel:
        rng = np.random.default_rng(seed)
        taught = labels.ravel().copy()
        strange = rng.random(taught.size) < wrong
        taught[strange] = rng.integers(0, len(class_names), int(strange.sum()))
        return TrainedModel(
            kind="forest",
            name="random_forest",
            representation=representation,
            class_names=class_names,
            class_depths_mm=(float("nan"), depth, *[6.0] * (len(class_names) - 2)),
            forest=Forest.fit(curves, taught, n_classes=len(class_names), n_trees=4, max_depth=5, seed=seed),
        )

    return make
