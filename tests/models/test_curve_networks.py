from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, UnknownNameError
from thermo_qc.models import CURVE_MODELS, build_curve_network, parameter_count


@given(
    name=st.sampled_from(sorted(CURVE_MODELS)),
    n_steps=st.integers(1, 20),
    n_channels=st.integers(1, 4),
    n_classes=st.integers(2, 6),
)
@settings(deadline=None, max_examples=15)
def test_any_curve_becomes_logits(name, n_steps, n_channels, n_classes):
    network = build_curve_network(name, n_steps=n_steps, n_channels=n_channels, n_classes=n_classes).eval()
    assert network(torch.randn(3, n_steps, n_channels)).shape == (3, n_classes)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("lstm", {"hidden": 8, "layers": 2, "bidirectional": False, "dropout": 0.2}),
        ("lstm", {"hidden": 8, "layers": 1, "bidirectional": True, "dropout": 0.2}),
        ("cnn1d", {"channels": [4, 6], "kernel": 3, "batch_norm": False, "pooling": "mean"}),
        ("cnn1d", {"channels": [4], "kernel": 1, "pooling": "max", "dropout": 0.3}),
    ],
)
def test_every_parameter_shapes_the_network(name, parameters):
    network = build_curve_network(name, n_steps=10, n_channels=2, n_classes=3, **parameters)
    assert network.build_parameters == parameters
    assert parameter_count(network) != parameter_count(build_curve_network(name, n_steps=10, n_channels=2, n_classes=3))
    loss = network(torch.randn(4, 10, 2)).square().mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_dropout_acts_in_training_alone():
    network = build_curve_network("lstm", n_steps=5, n_channels=1, n_classes=2, dropout=0.5)
    curves = torch.randn(8, 5, 1)
    assert not torch.equal(network(curves), network(curves))
    network.eval()
    assert torch.equal(network(curves), network(curves))


@pytest.mark.parametrize("name", sorted(CURVE_MODELS))
def test_a_network_learns_when_a_curve_rises_early_or_late(name):
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (256,))
    curves = torch.randn(256, 12, 1) * 0.1
    curves[labels == 0, 2:5] += 1.0
    curves[labels == 1, 7:10] -= 1.0
    network = build_curve_network(name, n_steps=12, n_channels=1, n_classes=2)
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(25):
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
        ("lstm", {"dropout": 1.0}, ConfigError, "from 0 to below 1"),
        ("cnn1d", {"channels": 32}, ConfigError, "expected a list"),
        ("cnn1d", {"kernel": 4}, ConfigError, "'kernel' is 4"),
        ("cnn1d", {"pooling": "men"}, ConfigError, "did you mean 'mean'"),
    ],
)
def test_wrong_parameters_are_refused(name, parameters, error, message):
    with pytest.raises(error, match=message):
        build_curve_network(name, n_steps=5, n_channels=1, n_classes=2, **parameters)
