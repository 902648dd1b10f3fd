"""Layers along time against PyTorch's own, and what they make of weights and of learning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thermo_qc.models import build_curve_network
from thermo_qc.models.curve.along_time import TimeConv, TimeLayers, TimeNorm, TimePool, as_rows, over_time

CONVOLUTIONAL = ("cnn1d", "rescnn1d", "inceptiontime", "tcn")


@settings(max_examples=25, deadline=None)
@given(
    before=st.integers(1, 6),
    after=st.integers(1, 5),
    kernel=st.sampled_from((1, 3, 5, 9)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    bias=st.booleans(),
    steps=st.integers(8, 20),
)
def test_convolution_is_that_of_pytorch(before, after, kernel, stride, dilation, bias, steps):
    torch.manual_seed(0)
    padding = dilation * (kernel // 2)
    known = nn.Conv1d(before, after, kernel, stride, padding, dilation, bias=bias)
    ours = TimeConv(before, after, kernel, stride, padding, dilation, bias=bias)
    ours.load_state_dict(known.state_dict())
    curves = torch.randn(4, steps, before)
    found = over_time(ours(as_rows(curves)))
    torch.testing.assert_close(found, known(curves.transpose(1, 2)), rtol=1e-5, atol=1e-5)


def test_pooling_is_that_of_pytorch():
    curves = torch.randn(3, 11, 4)
    expected = nn.MaxPool1d(3, stride=1, padding=1)(curves.transpose(1, 2))
    torch.testing.assert_close(over_time(TimePool()(as_rows(curves))), expected)


def test_curves_are_looked_at_without_a_copy():
    curves = torch.randn(5, 16, 3)
    rows = as_rows(curves)
    assert rows.data_ptr() == curves.data_ptr()
    assert rows.is_contiguous(memory_format=torch.channels_last)


def test_normalisation_has_the_state_and_the_values_of_pytorch():
    known, ours = nn.BatchNorm1d(4), TimeNorm(4)
    ours.load_state_dict(known.state_dict())
    for _ in range(3):
        curves = torch.randn(8, 10, 4) * 3 + 1
        torch.testing.assert_close(over_time(ours(as_rows(curves))), known(curves.transpose(1, 2)))
    for name, value in known.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("last", ["relu", "norm", "conv"])
def test_layers_in_one_pass_give_what_they_give_one_by_one(bias, last):
    torch.manual_seed(1)
    layers = TimeLayers(TimeConv(3, 5, 3, padding=1, bias=bias), TimeNorm(5), nn.ReLU(), TimeConv(5, 4, 3, bias=bias))
    if last != "conv":
        layers.append(TimeNorm(4))
    if last == "relu":
        layers.append(nn.ReLU())
    curves = torch.randn(16, 12, 3)
    for _ in range(5):
        layers(as_rows(curves + torch.randn(3)))  # statistics that are not those of a fresh layer
    layers.eval()
    expected = layers(as_rows(curves)).detach()
    before = curves.clone()
    with torch.no_grad():
        found = layers(as_rows(curves))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(curves, before)


def test_a_normalisation_that_takes_its_statistics_anew_does_so_without_gradients():
    layers = TimeLayers(TimeConv(3, 5, 3), TimeNorm(5)).eval()
    layers[1].train()
    before = layers[1].running_mean.clone()
    with torch.no_grad():
        layers(as_rows(torch.randn(16, 12, 3) + 2.0))
    assert not torch.equal(before, layers[1].running_mean)


def test_an_activation_alone_leaves_its_input_as_it_is():
    curves = torch.randn(2, 6, 3)
    before = curves.clone()
    with torch.no_grad():
        TimeLayers(nn.ReLU()).eval()(as_rows(curves))
    assert torch.equal(curves, before)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_predictions_are_those_of_the_network_while_it_learns(name):
    torch.manual_seed(2)
    network = build_curve_network(name, n_steps=32, n_channels=3, n_classes=4)
    curves = torch.randn(40, 32, 3)
    network.train()
    for _ in range(3):
        network(curves + torch.randn(3))
    network.eval()
    with torch.no_grad():
        found = network(curves)
    np.testing.assert_allclose(found.numpy(), network(curves).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_weights_have_the_shapes_that_saved_models_have(name):
    state = build_curve_network(name, n_steps=32, n_channels=3, n_classes=4).state_dict()
    kernels = [
        value for key, value in state.items() if value.ndim > 1 and "head" not in key and not key.endswith("original0")
    ]
    assert kernels
    assert all(value.ndim == 3 for value in kernels)
