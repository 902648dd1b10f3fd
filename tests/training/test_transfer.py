"""An earlier model as the start: weights, head, representation, frozen layers, stages, statistics."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training_cases import DEPTHS, NAMES, SMALL_UNET, assert_same_weights, build_experiment, make_case, run, weights

from thermo_qc.config.transfer import FreezingConfig
from thermo_qc.errors import ConfigError, ModelError, UnknownNameError
from thermo_qc.models import load_trained
from thermo_qc.training.freezing import layers_of, plan_freezing, planned
from thermo_qc.training.history import read_history

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    run([make_case("a", 0), make_case("b", 1)], build_experiment(epochs=2), folder)
    return folder


def tuned(start, folder, cases, **options):
    transfer = {"from": str(start), **options.pop("transfer", {})}
    return run(cases, build_experiment(transfer=transfer, **options), folder)


def changed(one, other):
    before, after = weights(one), weights(other)
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_training_goes_on_from_the_weights_and_scales_of_the_start(start, cases, tmp_path):
    first = load_trained(start / "model.safetensors")
    model = tuned(start, tmp_path / "on", cases[:1], epochs=1, optimiser={"learning_rate": 1e-12})
    for name in set(weights(first)) - {n for n in weights(first) if n.endswith(STATISTICS)}:
        np.testing.assert_allclose(weights(model)[name], weights(first)[name], atol=1e-9, err_msg=name)
    for name, values in first.representation.arrays().items():
        np.testing.assert_array_equal(model.representation.arrays()[name], values)
    again = tuned(
        start / "model.safetensors", tmp_path / "again", cases[:1], epochs=1, optimiser={"learning_rate": 1e-12}
    )
    assert again.sha256 == model.sha256  # the path of the start has no part in it
    assert model.metadata["experiment"]["train"]["transfer"]["from"] == f"sha256:{first.sha256}"


def test_another_recipe_is_fitted_anew_and_said(start, cases, tmp_path, caplog):
    settings = build_experiment(epochs=1, transfer={"from": str(start)})
    other = settings.representation.model_copy(update={"normalise": "none"})
    model = run(cases, settings.model_copy(update={"representation": other}), tmp_path)
    assert "its scales are fitted anew" in caplog.text
    assert model.representation.normalise == "none"


def test_other_classes_get_a_new_head_which_is_said(start, tmp_path, caplog):
    cases = [make_case("a", 0, n_classes=2)]
    settings = build_experiment(epochs=1, optimiser={"learning_rate": 1e-12}, transfer={"from": str(start)})
    model = run(cases, settings, tmp_path, class_names=NAMES[:2], class_depths_mm=DEPTHS[:2])
    assert "knows the classes sound, shallow, deep, this one sound, shallow: the head is made anew" in caplog.text
    first = weights(load_trained(start / "model.safetensors"))
    assert weights(model)["head.weight"].shape[0] == 2
    np.testing.assert_allclose(weights(model)["features.0.weight"], first["features.0.weight"], atol=1e-9)


def test_known_classes_may_be_missing_in_the_new_data(start, tmp_path, caplog):
    model = tuned(start, tmp_path, [make_case("a", 0, n_classes=2)], epochs=1)
    assert "no training pixel is of class deep" in caplog.text
    assert model.class_names == NAMES


@pytest.mark.parametrize("freeze", ["encoder", "all_but_head"])
def test_frozen_layers_stay_and_the_head_learns(start, cases, tmp_path, freeze):
    options = {"freeze": freeze, "batch_norm": "freeze_statistics"}
    model = tuned(start, tmp_path, cases, epochs=1, transfer=options, averaging={})
    assert changed(load_trained(start / "model.safetensors"), model) == {"head.weight", "head.bias"}


def test_statistics_learn_on_unless_they_are_frozen(start, cases, tmp_path):
    first = load_trained(start / "model.safetensors")
    free = tuned(start, tmp_path / "free", cases, epochs=1, transfer={"freeze": "all_but_head"})
    assert {name.rsplit(".", 1)[1] for name in changed(first, free) if not name.startswith("head")} == set(STATISTICS)
    held = tuned(start, tmp_path / "held", cases, epochs=1, transfer={"batch_norm": "freeze_statistics"})
    assert not any(name.endswith(STATISTICS) for name in changed(first, held))
    assert "features.0.weight" in changed(first, held)


def test_stages_unfreeze_from_the_top_at_smaller_rates(start, cases, tmp_path):
    stages = [{"epochs": 1, "unfreeze": 0.4}, {"epochs": 1, "unfreeze": "features.3", "learning_rate_factor": 0.01}]
    transfer = {"freeze": "all_but_head", "stages": stages, "batch_norm": "freeze_statistics"}
    model = tuned(start, tmp_path, cases, epochs=4, schedule={"name": "none"}, transfer=transfer)
    rates = [row["learning_rate"] for row in read_history(tmp_path / "history.csv")]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])
    touched = {name.rsplit(".", 1)[0] for name in changed(load_trained(start / "model.safetensors"), model)}
    assert touched == {"head", "features.7", "features.6", "features.3"}  # 3 of 7 layers, then one by its name


def test_a_stopped_run_with_stages_noise_average_and_curriculum_continues_alike(start, cases, tmp_path):
    options = {
        "epochs": 4,
        "transfer": {"freeze": "encoder", "stages": [{"epochs": 2}]},
        "averaging": {"start_fraction": 0.25},
        "gradient_noise": {"eta": 0.01},
        "curriculum": {"start_fraction": 0.5},
        "calibrate": "temperature",
        "validation_fraction": 0.2,
    }
    whole = tuned(start, tmp_path / "whole", cases, **options)

    class StopError(Exception):
        pass

    def stop(epoch, *_):
        if epoch > 2:
            raise StopError

    settings = build_experiment(**{**options, "transfer": {"from": str(start), **options["transfer"]}})
    with pytest.raises(StopError):
        run(cases, settings, tmp_path / "parts", progress=stop)
    resumed = run(cases, settings, tmp_path / "parts")
    assert_same_weights(resumed, whole)
    assert resumed.sha256 == whole.sha256


def test_segmenter_keeps_its_encoder(cases, tmp_path):
    base = {"epochs": 1, "crop_px": 16, "samples_per_epoch": 2}
    first = run(cases, build_experiment("segmentation", "unet", SMALL_UNET, **base), tmp_path / "first")
    transfer = {"from": str(tmp_path / "first"), "freeze": "encoder", "batch_norm": "freeze_statistics"}
    parameters = {**SMALL_UNET, "encoder_weights": "imagenet"}  # nothing is fetched: the start's weights take its place
    model = run(cases, build_experiment("segmentation", "unet", parameters, transfer=transfer, **base), tmp_path / "on")
    parts = {name.split(".")[1] for name in changed(first, model)}
    assert parts == {"decoder", "segmentation_head"}


def test_fine_tuning_keeps_the_adapter_before_a_pretrained_encoder(cases, tmp_path):
    parameters = {"encoder": "mobileone_s0", "adapter": True}
    settings = build_experiment("segmentation", "unet", parameters, epochs=1, crop_px=32, batch_size=1)
    first = run(cases[:1], settings, tmp_path / "first")
    told = replace(first, parameters={"encoder": "mobileone_s0", "encoder_weights": "imagenet"})  # as its training had
    told.save(tmp_path / "told.safetensors")
    again = build_experiment(
        "segmentation",
        "unet",
        dict(told.parameters),
        epochs=1,
        crop_px=32,
        batch_size=1,
        transfer={"from": str(tmp_path / "told.safetensors")},
    )
    model = run(cases[:1], again, tmp_path / "on")
    assert set(weights(model)) == set(weights(first)) and "adapter.weight" in weights(model)


def test_layers_run_from_the_bottom_to_the_head():
    network = nn.Sequential()
    network.add_module("head", nn.Linear(4, 2))
    network.add_module("encoder", nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    head = frozenset({"head.weight", "head.bias"})
    assert [name for name, _ in layers_of(network, head)] == ["encoder.0", "encoder.1", "head"]
    plan = plan_freezing(network, head=head, freeze="encoder", epochs=3, stages=[(1, 0.5, 0.1)], freeze_statistics=True)
    plan.apply(network.train(), 0)
    assert {n for n, p in network.named_parameters() if p.requires_grad} == head
    assert not network.encoder[1].training and network.training
    plan.apply(network, 2)
    assert {n for n, p in network.named_parameters() if p.requires_grad} == head | {
        "encoder.1.weight",
        "encoder.1.bias",
    }
    assert (plan.rate_factor(1), plan.rate_factor(2)) == (1.0, 0.1)
    with pytest.raises(UnknownNameError, match="no part 'decoder'; it has encoder"):
        plan_freezing(network, head=head, freeze="encoder", epochs=3, stages=[(1, ("decoder",), 0.1)])
    with pytest.raises(ConfigError, match="take all 1 epochs"):
        plan_freezing(network, head=head, freeze="encoder", epochs=1, stages=[(1, 1.0, 0.1)])


def test_statistics_may_learn_for_some_epochs_before_they_freeze():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    head = frozenset({"2.weight", "2.bias"})
    config = FreezingConfig(batch_norm="freeze_statistics", statistics_epochs=2)
    plan = planned(config, network, head=head, epochs=4, option="x")
    learning = []
    for epoch in range(4):
        plan.apply(network.train(), epoch)
        learning.append(network[1].training)
        assert all(parameter.requires_grad for parameter in network.parameters())
    assert learning == [True, True, False, False]


def test_the_calibration_of_the_start_does_not_outlive_its_weights(start, cases, tmp_path):
    """An offset that a general model needs hides defects once the weights have changed."""
    first = load_trained(start / "model.safetensors")
    warm = replace(first, metadata={**first.metadata, "temperature": 1.5, "defect_offset": -1.0, "depth_spread": 0.9})
    kept = run(cases, build_experiment(epochs=1), tmp_path / "kept", start=warm)
    assert kept.temperature == 1.0 and "defect_offset" not in kept.metadata and kept.metadata["depth_spread"] == 0.9
    settings = build_experiment(epochs=1, calibrate="temperature", validation_fraction=0.2)
    other = run(cases, settings, tmp_path / "new", start=warm)
    assert other.temperature not in (1.0, 1.5)


def test_what_cannot_be_started_from_is_refused(start, cases, tmp_path):
    def go(source, experiment=None, **transfer):
        settings = experiment or build_experiment(epochs=1, transfer={"from": str(source), **transfer})
        run(cases, settings, tmp_path / "run")

    with pytest.raises(ModelError, match=r"do not fit this network .* tensors differ, the first is"):
        go(start, build_experiment("curve", "lstm", transfer={"from": str(start)}))
    with pytest.raises(ModelError, match=r"gone\.safetensors does not exist"):
        go(tmp_path / "gone.safetensors")
    with pytest.raises(ModelError, match=r"holds no model\.safetensors; name a model file"):
        go(tmp_path)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((start / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(ModelError, match="is damaged"):
        go(cut)
    hostile = tmp_path / "hostile.safetensors"
    torch.save({"weights": nn.Linear(2, 2)}, hostile)  # a pickle under the right name
    with pytest.raises(ModelError, match="is no model file of thermo_qc or is damaged"):
        go(hostile)
    forest = build_experiment("forest", "random_forest", {"n_trees": 2})
    run(cases, forest, tmp_path / "forest")
    with pytest.raises(ModelError, match="of kind 'forest', which cannot be trained further"):
        go(tmp_path / "forest")
    with pytest.raises(ConfigError, match="freezes layers or statistics, but training starts from fresh weights"):
        go("", build_experiment(transfer={"freeze": "encoder"}))
    assert not (tmp_path / "run" / "model.safetensors").exists()
