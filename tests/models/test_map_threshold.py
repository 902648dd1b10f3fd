"""The best classical map as a method: one feature, one direction, one threshold."""

from __future__ import annotations

import numpy as np
import pytest

from thermo_qc.config import ModelConfig, RepresentationConfig
from thermo_qc.errors import ConfigError, ModelError, TrainingError, UnknownNameError
from thermo_qc.models.classical import Features, Threshold
from thermo_qc.models.classical.map_features import map_features, map_layers
from thermo_qc.models.classical.threshold import best_threshold
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.training.classical import fit_classical


@pytest.fixture(scope="module")
def sequence() -> ThermalSequence:
    """A plate whose corner cools more slowly after a flash."""
    times = np.concatenate([[-2.0, -1.0], np.arange(1.0, 33.0)])
    rng = np.random.default_rng(0)
    frames = rng.normal(0.0, 0.01, (times.size, 12, 14))
    rise = 4.0 / np.sqrt(times[2:])[:, None, None] * np.ones((12, 14))
    rise[:, :4, :4] *= (1.0 + 0.3 * np.log1p(times[2:]))[:, None, None]
    frames[2:] += rise
    return ThermalSequence(
        frames=frames.astype(np.float32), times_s=times, unit="K", excitation=Excitation(kind="flash", stop_s=0.01)
    )


def test_best_threshold_is_that_of_trying_all() -> None:
    rng = np.random.default_rng(1)
    defect = rng.random(60) < 0.3
    score = np.round(rng.normal(size=60) + 1.2 * defect, 1)  # with ties
    found, threshold = best_threshold(score, defect)
    tried = []
    for value in np.unique(score) - 0.05:
        called = score > value
        tried.append(2 * (called & defect).sum() / (called.sum() + defect.sum()))
    assert found == pytest.approx(max(tried))
    called = score > threshold
    assert 2 * (called & defect).sum() / (called.sum() + defect.sum()) == pytest.approx(found)


@pytest.mark.parametrize(("direction", "sign"), [(0, 1.0), (1, -1.0), (2, 0.0)])
def test_feature_direction_and_classes_are_found(direction: int, sign: float) -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 400)
    signs = np.where(rng.random(400) < 0.5, -1.0, 1.0) if sign == 0 else sign
    samples = rng.normal(size=(400, 3))
    samples[:, 1] = signs * (4.0 * labels + rng.normal(0, 0.3, 400))
    model = Threshold.fit(samples, labels, n_classes=3)
    assert model.choice.tolist() == [1, direction, 3]
    probability = model.predict_proba(samples)
    assert probability.sum(axis=1) == pytest.approx(np.ones(400), abs=1e-6)
    assert (probability.argmax(axis=1) == labels).mean() > 0.97
    again = Threshold.from_arrays(model.arrays(), n_features=3, n_classes=3)
    assert np.array_equal(again.predict_proba(samples), probability)


def test_maps_do_not_depend_on_heat_or_labels(sequence: ThermalSequence) -> None:
    values = map_features(sequence, ("ppt", "pct"))
    assert values.shape == (168, len(map_layers(sequence, ("ppt", "pct")))) and np.isfinite(values).all()
    twice = sequence.with_frames(2 * np.asarray(sequence.frames), "twice")
    pulse = map_features(sequence, ("pct",))[:, 0]
    assert np.abs(map_features(twice, ("pct",))[:, 0]) == pytest.approx(np.abs(pulse), abs=0.02)
    assert np.median(pulse) == pytest.approx(0.0, abs=1e-3)


def test_fit_finds_the_corner(sequence: ThermalSequence) -> None:
    from thermo_qc.training import Case

    labels = np.zeros((12, 14), dtype=np.uint8)
    labels[:4, :4] = 1
    config = ModelConfig(kind="classical", name="threshold", parameters={"features": "maps", "maps": ["ppt", "pct"]})
    case = Case(key="a", sequence=sequence, class_map=labels)
    recipe = RepresentationConfig.model_validate({"time": {"n_steps": 6}})
    options = {"n_classes": 2, "seed": 0, "n_jobs": 1, "device": "cpu"}
    representation, model = fit_classical(config, recipe, [case], **options)
    found = model.probabilities(representation, sequence).argmax(axis=1).reshape(12, 14)
    assert (found == labels).mean() > 0.97
    assert model.description()["maps"] == ["ppt", "pct"]
    faults = [
        ({"features": "maps", "maps": "pct"}, ConfigError, "expected a list of different methods"),
        ({"features": "maps", "maps": ["pcd"]}, UnknownNameError, "did you mean 'pct'"),
        ({"features": "curves", "maps": ["pct"]}, ConfigError, "is for features: maps"),
    ]
    for parameters, kind, text in faults:
        with pytest.raises(kind, match=text):
            fit_classical(config.model_copy(update={"parameters": parameters}), recipe, [case], **options)


def test_what_is_refused() -> None:
    with pytest.raises(TrainingError, match="label both"):
        Threshold.fit(np.zeros((3, 1)), [0, 0, 0], n_classes=2)
    model = Threshold.fit(np.arange(4.0)[:, None], [0, 0, 1, 1], n_classes=2)
    with pytest.raises(ModelError, match="a sample has 2 features"):
        model.predict_proba(np.zeros((3, 2)))
    for name, value in (("choice", np.array([5, 0, 1], np.int32)), ("scale", np.array([0.0, -1.0]))):
        with pytest.raises(ModelError, match="the arrays of the threshold"):
            Threshold.from_arrays({**model.arrays(), name: value}, n_features=1, n_classes=2)
    with pytest.raises(ModelError, match="wrong parts"):
        Features(kind="maps")
