"""Temperature scaling: the temperature is found, kept with the model, and used in predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_cases import SMALL_UNET, build_experiment, make_case, run

from thermo_qc.errors import ConfigError, ModelError, TrainingError
from thermo_qc.models import load_trained
from thermo_qc.models.calibrated import checked_temperature, tempered
from thermo_qc.training import expected_calibration_error, fit_temperature


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def drawn(temperature, n=20000):
    """Logits whose true classes are drawn at a temperature."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, (n, 3))
    truth = softmax(logits / temperature)
    return logits, np.array([(rng.random(n)[:, None] > truth.cumsum(1)).sum(1)]).ravel().clip(0, 2).astype(np.uint8)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_the_temperature_of_the_truth_is_found(temperature):
    logits, labels = drawn(temperature)
    found = fit_temperature(softmax(logits), labels)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.ece_after < 0.012 and found.nll_after <= found.nll_before + 1e-9
    assert found.n_pixels == labels.size
    if temperature != 1.0:
        assert found.ece_before > 3 * found.ece_after


def test_calibration_error_counts_the_gap_of_each_bin():
    sure = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10, np.float32)
    labels = np.array([0] * 5 + [1] * 5 + [1] * 6 + [0] * 4)
    assert expected_calibration_error(sure, labels) == pytest.approx(0.5 * 0.4, abs=1e-6)
    assert np.isnan(expected_calibration_error(sure[:0], labels[:0]))
    with pytest.raises(TrainingError, match="calibration has no labelled pixel"):
        fit_temperature(sure[:0], labels[:0])


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(-8, 8), min_size=3, max_size=3), st.floats(0.3, 5))
def test_tempered_probabilities_are_those_of_divided_logits(logits, temperature):
    row = np.array([logits])
    np.testing.assert_allclose(tempered(softmax(row), temperature), softmax(row / temperature), atol=2e-6)


def test_the_model_keeps_and_uses_its_temperature(cases, tmp_path):
    options = {"epochs": 1, "calibrate": "temperature"}
    model = run(cases[:1], build_experiment(**options), tmp_path, validation_cases=cases[1:])
    plain = run(cases[:1], build_experiment(epochs=1), tmp_path / "plain", validation_cases=cases[1:])
    assert model.temperature != 1.0 and plain.temperature == 1.0
    before, after = (one.probabilities(cases[1].sequence) for one in (plain, model))
    np.testing.assert_allclose(after, tempered(before, model.temperature, axis=0), atol=1e-5)
    used = cases[1].labelled
    calibration = model.metadata["calibration"]
    assert calibration["n_pixels"] == used.sum()
    labels = cases[1].class_map[used]
    assert calibration["ece_after"] == pytest.approx(expected_calibration_error(after[:, used].T, labels), abs=1e-4)
    assert calibration["nll_after"] < calibration["nll_before"]
    np.testing.assert_array_equal(load_trained(tmp_path / "model.safetensors").probabilities(cases[1].sequence), after)


def test_a_forest_can_be_calibrated_too(cases, tmp_path):
    settings_ = build_experiment(
        "forest", "random_forest", {"n_trees": 5}, calibrate="temperature", validation_fraction=0.3
    )
    model = run(cases, settings_, tmp_path)
    assert model.temperature != 1.0
    np.testing.assert_allclose(model.probabilities(cases[0].sequence).sum(0), 1.0, atol=1e-5)


def test_calibration_needs_something_to_calibrate_on(cases, tmp_path):
    with pytest.raises(ConfigError, match=r"nothing to calibrate on; set train\.validation_fraction"):
        run(cases, build_experiment(calibrate="temperature"), tmp_path)


@pytest.mark.parametrize("value", [0, -1.0, "hot", True, float("inf")])
def test_a_strange_temperature_is_refused(value):
    with pytest.raises(ModelError, match=r"the model's temperature is .*, expected a number above 0"):
        checked_temperature({"temperature": value})


def test_turns_and_mirror_images_are_averaged(tmp_path):
    case = make_case("a", shape=(24, 32))
    model = run([case], build_experiment("segmentation", "unet", SMALL_UNET, epochs=1), tmp_path)
    sequence = case.sequence
    mean = model.probabilities(sequence, tta=True)
    assert mean.shape == (3, 24, 32)
    assert not np.allclose(mean, model.probabilities(sequence), atol=1e-4)
    stack = model.representation.stack(sequence)
    turned = np.ascontiguousarray(np.rot90(stack[..., ::-1], 1, axes=(1, 2)))
    back = np.rot90(model.stack_outputs(turned, tta=True), -1, axes=(1, 2))[..., ::-1]
    np.testing.assert_allclose(back, mean, atol=1e-5)  # the mean does not depend on how the plate lies
    curves = run([case], build_experiment(epochs=1), tmp_path / "curve")
    with pytest.raises(ConfigError, match=r"test-time turns \(tta\) need a segmentation model, this is .* 'curve'"):
        curves.probabilities(sequence, tta=True)
