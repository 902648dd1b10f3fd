from __future__ import annotations

import numpy as np
import pytest
import torch
from training_cases import build_experiment, run

from thermo_qc.config import ExperimentConfig
from thermo_qc.errors import ConfigError
from thermo_qc.models import CURVE_MODELS, load_trained
from thermo_qc.representation import Representation, TimeAxis
from thermo_qc.training.inputs import curves_by_case
from thermo_qc.training.neighbours import GatheredCurves

SMALL = {
    "mlp": {"widths": [24]},
    "rnn": {"hidden": 16},
    "lstm": {"hidden": 8, "layers": 2},
    "gru": {"hidden": 8},
    "cnn1d": {"channels": [12, 12], "kernel": 3},
    "rescnn1d": {"channels": [12], "kernels": [3, 3]},
    "inceptiontime": {"depth": 3, "filters": 4, "bottleneck": 4, "kernels": [3, 5]},
    "tcn": {"channels": [12, 12], "kernel": 2},
    "transformer": {"width": 16, "heads": 2, "layers": 1, "feed_forward": 16},
}


def with_neighbours(experiment: ExperimentConfig, mode: str = "all") -> ExperimentConfig:
    recipe = experiment.representation.model_copy(update={"neighbourhood": 3, "neighbourhood_mode": mode})
    return experiment.model_copy(update={"representation": recipe})


@pytest.mark.parametrize("name", sorted(CURVE_MODELS))
def test_every_curve_network_is_trained_on_neighbourhoods_and_saved(cases, tmp_path, name):
    settings = build_experiment("curve", name, SMALL[name], epochs=4, batch_size=64)
    settings = with_neighbours(settings, "ring" if name == "lstm" else "all")
    rate = settings.train.optimiser.model_copy(update={"learning_rate": 0.02})
    train = settings.train.model_copy(update={"optimiser": rate})
    model = run(cases, settings.model_copy(update={"train": train}), tmp_path)
    truth = cases[1].class_map
    found = model.probabilities(cases[1].sequence)
    assert (found.argmax(axis=0) == truth)[truth != 255].mean() > 0.9
    again = load_trained(tmp_path / "model.safetensors")
    assert again.representation.neighbourhood == 3
    assert np.allclose(again.probabilities(cases[1].sequence, batch_size=100), found, atol=1e-6)


@pytest.mark.parametrize("mode", ["all", "ring"])
def test_gathered_training_curves_equal_those_that_are_copied(cases, mode):
    recipe = Representation(time=TimeAxis(n_steps=5), neighbourhood=3, neighbourhood_mode=mode)
    recipe = recipe.fit([case.sequence for case in cases], [case.labelled for case in cases])
    curves, labels, numbers = curves_by_case(cases, recipe)
    assert isinstance(curves, GatheredCurves)
    whole = np.concatenate([recipe.curves(case.sequence, case.labelled) for case in cases])
    assert curves.shape == whole.shape
    assert np.array_equal(curves.numpy(), whole)
    chosen = torch.tensor([1000, 3, 700, 3])
    assert np.array_equal(curves[chosen].numpy(), whole[chosen.numpy()])
    assert np.array_equal(curves[10:13].numpy(), whole[10:13])
    assert np.array_equal(labels.numpy(), np.concatenate([case.class_map[case.labelled] for case in cases]))
    assert numbers.tolist() == [0] * int(cases[0].labelled.sum()) + [1] * int(cases[1].labelled.sum())


def test_a_forest_takes_neighbourhoods_too(cases, tmp_path):
    model = run(cases, with_neighbours(build_experiment("forest", "random_forest", {"n_trees": 3})), tmp_path)
    assert model.forest is not None
    assert model.forest.n_features == 6 * 2 * 9


def test_even_neighbourhoods_are_refused_in_a_configuration():
    with pytest.raises(ValueError, match="neighbourhood is 2, expected an odd number"):
        ExperimentConfig.model_validate(
            {"name": "x", "representation": {"neighbourhood": 2}, "model": {"kind": "curve", "name": "mlp"}}
        )
    with pytest.raises(ConfigError, match="expected an odd number"):
        Representation(neighbourhood=4)
