from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, UnknownNameError
from thermo_qc.models import CURVE_MODELS, build_curve_network, parameter_count
from thermo_qc.models.curve.convolutional import pool

TINY = {
    "mlp": {"widths": [16]},
    "rnn": {"hidden": 12},
    "lstm": {"hidden": 8},
    "gru": {"hidden": 8},
    "cnn1d": {"channels": [8, 8], "kernel": 3},
    "rescnn1d": {"channels": [8, 8], "kernels": [3, 3]},
    "inceptiontime": {"depth": 3, "filters": 4, "bottleneck": 4, "kernels": [3, 5]},
    "tcn": {"channels": [8, 8], "kernel": 3},
    "transformer": {"width": 16, "heads": 2, "layers": 1, "feed_forward": 16},
}


def tiny(name, n_steps=12, n_channels=1, n_classes=2, **more):
    chosen = {**TINY[name], **more}
    return build_curve_network(name, n_steps=n_steps, n_channels=n_channels, n_classes=n_classes, **chosen)


def test_every_network_of_the_issue_is_there():
    assert set(CURVE_MODELS) == set(TINY)


@given(
    name=st.sampled_from(sorted(CURVE_MODELS)),
    n_steps=st.integers(1, 20),
    n_channels=st.integers(1, 4),
    n_classes=st.integers(2, 6),
)
@settings(deadline=None, max_examples=15)
def test_any_curve_becomes_logits(name, n_steps, n_channels, n_classes):
    network = tiny(name, n_steps, n_channels, n_classes).eval()
    curves = torch.randn(3, n_steps, n_channels)
    assert network(curves).shape == (3, n_classes)
    features = network.embed(curves)
    assert features.shape == (3, network.n_features)
    assert torch.equal(network.head(features), network(curves))


@pytest.mark.parametrize("name", sorted(CURVE_MODELS))
def test_default_sizes_are_small_and_any_length_fits(name):
    for n_steps in (1, 70):
        network = build_curve_network(name, n_steps=n_steps, n_channels=9, n_classes=6).eval()
        assert parameter_count(network) < 300_000
        with torch.inference_mode():
            assert torch.isfinite(network(torch.randn(2, n_steps, 9))).all()


@pytest.mark.parametrize("name", sorted(CURVE_MODELS))
def test_the_curve_of_another_pixel_changes_nothing(name):
    network = tiny(name, dropout=0.3).eval()
    curves = torch.randn(5, 12, 1)
    together, alone = network(curves), torch.cat([network(curve[None]) for curve in curves])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(CURVE_MODELS) - {"mlp"}))
def test_the_order_of_the_steps_matters(name):
    network = tiny(name).eval()
    curves = torch.randn(4, 12, 1)
    assert not torch.allclose(network(curves), network(curves.flip(1)), atol=1e-4)


def test_a_temporal_network_looks_back_as_far_as_it_says():
    torch.manual_seed(0)  # of units that are all silent nothing is seen
    network = build_curve_network("tcn", n_steps=40, n_channels=1, n_classes=2, channels=[4, 4], kernel=3).eval()
    curves = torch.randn(1, 40, 1).requires_grad_()
    network(curves).sum().backward()
    seen = torch.nonzero(curves.grad[0, :, 0])
    assert seen.min() >= 40 - (1 + 2 * 2 * (2**2 - 1))
    assert seen.max() == 39


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("lstm", {"hidden": 8, "layers": 2, "bidirectional": False, "dropout": 0.2}),
        ("lstm", {"hidden": 8, "layers": 1, "bidirectional": True, "dropout": 0.2}),
        ("lstm", {"hidden": 8, "layers": 1, "bidirectional": True, "at_once": 4}),
        ("cnn1d", {"channels": [4, 6], "kernel": 3, "batch_norm": False, "pooling": "mean"}),
        ("cnn1d", {"channels": [4], "kernel": 1, "pooling": "max", "dropout": 0.3}),
        ("cnn1d", {"channels": [4, 6, 8], "kernel": 3, "halve": True, "pooling": "segments"}),
        ("rescnn1d", {"channels": [4], "kernels": [3], "pooling": "segments"}),
        ("mlp", {"widths": [6, 5], "batch_norm": False, "dropout": 0.2}),
        ("rnn", {"hidden": 5, "layers": 2, "bidirectional": True, "dropout": 0.1}),
        ("gru", {"hidden": 5, "layers": 1, "bidirectional": False}),
        ("rescnn1d", {"channels": [4, 6], "kernels": [5, 3], "dropout": 0.2, "pooling": "mean"}),
        ("inceptiontime", {"depth": 4, "filters": 3, "bottleneck": 2, "kernels": [3, 7], "dropout": 0.2}),
        ("tcn", {"channels": [4, 6], "kernel": 2, "dropout": 0.2}),
        ("transformer", {"width": 9, "heads": 3, "layers": 1, "feed_forward": 7, "dropout": 0.2}),
    ],
)
def test_every_parameter_shapes_the_network(name, parameters):
    network = build_curve_network(name, n_steps=10, n_channels=2, n_classes=3, **parameters)
    assert network.build_parameters == parameters
    assert parameter_count(network) != parameter_count(build_curve_network(name, n_steps=10, n_channels=2, n_classes=3))
    loss = network(torch.randn(4, 10, 2)).square().mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("n_steps", [16, 21])
def test_segments_are_means_of_eighths_of_the_time(n_steps):
    features = torch.randn(3, 2, n_steps)
    expected = torch.nn.functional.adaptive_avg_pool1d(features, 8).flatten(1)
    assert torch.allclose(pool(features, "segments"), expected, atol=1e-6)


@pytest.mark.parametrize(("pooling", "tells"), [("mean_max", False), ("segments", True)])
def test_segments_keep_when_something_happened(pooling, tells):
    options = {"channels": [4], "kernel": 1, "pooling": pooling, "batch_norm": False}
    network = build_curve_network("cnn1d", n_steps=16, n_channels=1, n_classes=2, **options).eval()
    curves = torch.randn(2, 16, 1)
    assert torch.allclose(network(curves), network(curves.flip(1)), atol=1e-5) != tells


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_steps_read_at_once_are_one_step_of_all_their_channels(name):
    network = build_curve_network(name, n_steps=10, n_channels=2, n_classes=3, hidden=4, at_once=4).eval()
    plain = build_curve_network(name, n_steps=3, n_channels=8, n_classes=3, hidden=4).eval()
    plain.load_state_dict(network.state_dict())
    curves = torch.randn(5, 10, 2)
    filled = torch.cat([curves, torch.zeros(5, 2, 2)], dim=1)
    torch.testing.assert_close(network(curves), plain(filled.reshape(5, 3, 8)))


def test_halving_leaves_half_of_the_steps_to_every_further_convolution():
    options = {"channels": [4, 5, 6], "kernel": 3, "halve": True}
    network = build_curve_network("cnn1d", n_steps=20, n_channels=1, n_classes=2, **options)
    assert network.features(torch.randn(1, 1, 1, 20)).shape == (1, 6, 1, 5)


@pytest.mark.parametrize("name", sorted(CURVE_MODELS))
def test_dropout_acts_in_training_alone(name):
    network = tiny(name, dropout=0.5)
    curves = torch.randn(8, 12, 1)
    assert not torch.equal(network(curves), network(curves))
    network.eval()
    assert torch.equal(network(curves), network(curves))


@pytest.mark.parametrize("name", sorted(CURVE_MODELS))
def test_a_network_learns_when_a_curve_rises_early_or_late(name):
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (96,))
    curves = torch.randn(96, 12, 1) * 0.1
    curves[labels == 0, 2:5] += 1.0
    curves[labels == 1, 7:10] -= 1.0
    network = tiny(name)
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(20):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(curves), labels).backward()
        optimiser.step()
    assert (network.eval()(curves).argmax(dim=1) == labels).float().mean() > 0.95


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("ltsm", {}, UnknownNameError, "unknown curve model 'ltsm'; did you mean 'lstm'"),
        ("lstm", {"hiden": 3}, UnknownNameError, "curve model 'lstm' has no parameter 'hiden'; did you mean 'hidden'"),
        ("lstm", {"hidden": 10**9}, ConfigError, "'hidden' is 1000000000, expected a whole number from 1 to 2048"),
        ("lstm", {"layers": True}, ConfigError, "'layers' is True"),
        ("lstm", {"bidirectional": "yes"}, ConfigError, "expected true or false"),
        ("lstm", {"at_once": 6}, ConfigError, "'at_once' is 6, expected a whole number from 1 to 5"),
        ("lstm", {"dropout": 1.0}, ConfigError, "from 0 to below 1"),
        ("cnn1d", {"channels": 32}, ConfigError, "expected a list"),
        ("cnn1d", {"kernel": 4}, ConfigError, "'kernel' is 4"),
        ("cnn1d", {"pooling": "men"}, ConfigError, "did you mean 'mean'"),
        ("cnn1d", {"channels": [4] * 4, "halve": True}, ConfigError, "5 steps cannot be halved 3 times; use fewer"),
        ("cnn1d", {"halve": 2}, ConfigError, "'halve' is 2, expected true or false"),
        ("rescn1d", {}, UnknownNameError, "unknown curve model 'rescn1d'; did you mean 'rescnn1d'"),
        ("rescnn1d", {"kernels": [4]}, ConfigError, "'kernels' is 4"),
        ("mlp", {"widths": []}, ConfigError, "expected a list of 1 to 12 whole numbers"),
        ("inceptiontime", {"depth": 0}, ConfigError, "'depth' is 0"),
        ("tcn", {"kernel": 1}, ConfigError, "'kernel' is 1, expected a whole number from 2 to 15"),
        ("transformer", {"width": 10, "heads": 4}, ConfigError, "'width' is 10, expected a multiple of the 4 heads"),
    ],
)
def test_wrong_parameters_are_refused(name, parameters, error, message):
    with pytest.raises(error, match=message):
        build_curve_network(name, n_steps=5, n_channels=1, n_classes=2, **parameters)
