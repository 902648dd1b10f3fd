from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_cases import SMALL_UNET, build_experiment, run

from thermo_qc.config import ExperimentConfig
from thermo_qc.errors import ConfigError, ModelError, UnknownNameError
from thermo_qc.inspection import load_model
from thermo_qc.models import TrainedModel, load_trained
from thermo_qc.models.classical import headless
from thermo_qc.models.pixelwise import PixelCurves

QUICK = {
    "logistic_regression": {},
    "svm": {"max_samples": 200},
    "random_forest": {"n_trees": 4},
    "gradient_boosting": {"n_rounds": 4},
}


def experiment(name: str, parameters: dict[str, object], **representation: object) -> ExperimentConfig:
    base = build_experiment("classical", name, parameters).model_dump(mode="json", by_alias=True)
    recipe = {"time": {"n_steps": 6}, "tsr_order": 3, **representation}
    return ExperimentConfig.model_validate({**base, "representation": recipe})


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A curve network that sees neighbourhoods, and a segmenter, both hardly trained."""
    from training_cases import make_case

    folder = tmp_path_factory.mktemp("encoders")
    cases = [make_case("a", 0), make_case("b", 1)]
    curve = experiment("x", {}, neighbourhood=3, channels=["difference"]).model_dump(mode="json", by_alias=True)
    curve |= {"model": {"kind": "curve", "name": "mlp", "parameters": {"widths": [12, 7]}}}
    curve["train"] |= {"epochs": 1, "batch_size": 256}
    run(cases, ExperimentConfig.model_validate(curve), folder / "curve")
    run(cases, build_experiment("segmentation", "unet", {**SMALL_UNET, "dropout": 0.1}, epochs=1), folder / "stack")
    return {"curve": folder / "curve", "stack": folder / "stack" / "model.safetensors"}


def check(model: TrainedModel, path: Path, cases, least: float) -> None:
    """A model finds what it was trained on, and the same after loading, in batches of any size."""
    truth = cases[1].class_map
    found = model.probabilities(cases[1].sequence)
    assert found.shape == (3, *truth.shape)
    assert (found.argmax(axis=0) == truth)[truth != 255].mean() > least
    again = load_trained(path / "model.safetensors")
    assert again.sha256 == model.sha256
    assert np.array_equal(again.probabilities(cases[1].sequence, batch_size=97), found)


@pytest.mark.parametrize("name", sorted(QUICK))
@pytest.mark.parametrize("features", ["curves", "tsr"])
def test_classical_models_learn_and_are_saved(cases, tmp_path, name, features):
    settings = experiment(name, {**QUICK[name], "features": features}, neighbourhood=3, neighbourhood_mode="ring")
    model = run(cases, settings, tmp_path)
    assert model.classical is not None
    assert model.classical.classifier.n_features == {"curves": 6 * 2 * 2, "tsr": 4 * 2}[features]
    check(model, tmp_path, cases, 0.95)
    assert run(cases, settings, tmp_path).sha256 == model.sha256


@pytest.mark.parametrize(
    ("source", "name", "n_features"), [("curve", "logistic_regression", 7), ("stack", "random_forest", 8)]
)
def test_features_of_a_trained_network_are_used_again(cases, tmp_path, encoders, source, name, n_features):
    path = encoders[source]
    settings = experiment(name, {**QUICK[name], "features": "encoder", "encoder": str(path)})
    model = run(cases, settings, tmp_path / "run")
    assert model.classical is not None
    assert model.classical.classifier.n_features == n_features
    assert str(tmp_path.parent) not in str(model.parameters)
    hidden = path.rename(path.with_name("moved"))  # the encoder's file is needed for training alone
    try:
        check(model, tmp_path / "run", cases, 0.9)
    finally:
        hidden.rename(path)


def test_a_model_that_ships_makes_features_by_its_name(cases, tmp_path):
    settings = experiment("logistic_regression", {"features": "encoder", "encoder": "general"})
    (shipped,) = load_model("general")
    model = run(cases, settings, tmp_path)
    assert model.representation.to_metadata() == shipped.representation.to_metadata()
    assert settings.model.parameters["encoder"] == "general"
    assert model.metadata["experiment"]["model"]["parameters"]["encoder"] == f"sha256:{shipped.sha256}"
    again = load_trained(tmp_path / "model.safetensors")
    one, other = (found.probabilities(cases[0].sequence) for found in (model, again))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_networks_on_pixels_make_features_too():
    network = PixelCurves(39, 4, core="cnn1d", core_parameters={"channels": [5]}).eval()
    stack = torch.randn(1, 39, 6, 7)
    features = headless(network, "pixel_curves")(stack)
    assert features.shape == (1, 10, 6, 7)
    logits = features.permute(0, 2, 3, 1) @ network.core.head.weight.T + network.core.head.bias
    torch.testing.assert_close(logits.permute(0, 3, 1, 2), network(stack))


def test_the_features_are_the_input_of_the_encoders_last_layer(cases, tmp_path, encoders):
    settings = experiment("logistic_regression", {"features": "encoder", "encoder": str(encoders["curve"])})
    model = run(cases, settings, tmp_path)
    encoder = load_trained(encoders["curve"] / "model.safetensors")
    curves = torch.from_numpy(encoder.representation.curves(cases[0].sequence))
    with torch.inference_mode():
        expected = encoder.network.embed(curves).numpy()
    found = np.concatenate(list(model.classical.features.of(model.representation, cases[0].sequence)))
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_classical_model_is_calibrated_like_the_others(cases, tmp_path):
    settings = experiment("gradient_boosting", {"n_rounds": 3})
    train = settings.train.model_copy(update={"calibrate": "temperature", "validation_fraction": 0.3})
    model = run(cases, settings.model_copy(update={"train": train}), tmp_path)
    assert model.temperature != 1.0
    check(model, tmp_path, cases, 0.9)


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("svn", {}, UnknownNameError, "unknown classical model 'svn'; did you mean 'svm'"),
        ("svm", {"features": "curve"}, ConfigError, "features is 'curve'; did you mean 'curves'"),
        ("svm", {"features": "encoder"}, ConfigError, "features: encoder needs the path of a trained model"),
        ("svm", {"encoder": "x"}, ConfigError, "has features curves and encoder 'x'"),
        ("svm", {"features": "encoder", "encoder": "missing.safetensors"}, ModelError, "does not exist"),
        ("svm", {"slack": 1}, UnknownNameError, "has no parameter 'slack'"),
    ],
)
def test_wrong_choices_are_refused(cases, tmp_path, name, parameters, error, message):
    with pytest.raises(error, match=message):
        run(cases, experiment(name, parameters), tmp_path)


def test_a_model_without_a_network_is_no_encoder(cases, tmp_path):
    run(cases, experiment("random_forest", {"n_trees": 2}), tmp_path / "forest")
    settings = experiment("svm", {"features": "encoder", "encoder": str(tmp_path / "forest")})
    with pytest.raises(ModelError, match="is a model of kind 'classical', which has no network"):
        run(cases, settings, tmp_path / "svm")


def test_classical_models_start_from_no_other(cases, tmp_path, encoders):
    settings = experiment("svm", {})
    with pytest.raises(ConfigError, match="a classical model is always made anew"):
        run(cases, settings, tmp_path, start=load_trained(encoders["curve"] / "model.safetensors"))
