import math

import pytest
import torch
from torch import nn

from thermo_qc.errors import UnknownNameError
from thermo_qc.training.optimisers import OPTIMISERS, build_optimiser, l1_penalty, parameter_groups
from thermo_qc.training.schedules import SCHEDULES, ScheduleOptions, learning_rate_factor


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_lowers_a_loss(name):
    network = small_network()
    inputs = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    target = (inputs[:, 0] > 0).long()
    optimiser = build_optimiser(name, network, learning_rate=1.0 if name == "adadelta" else 0.02)
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(network(inputs), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_weight_decay_shrinks_weights_but_not_biases(name):
    network = small_network()
    nn.init.ones_(network[0].bias)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = build_optimiser(name, network, learning_rate=1e-3, weight_decay=0.5)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    assert network[0].weight.abs().sum() < before["0.weight"].abs().sum()
    torch.testing.assert_close(network[0].bias.detach(), before["0.bias"])


def test_momentum_and_nesterov_reach_sgd():
    network = small_network()
    assert build_optimiser("sgd", network, learning_rate=0.1, momentum=0.8).param_groups[0]["nesterov"] is True
    assert build_optimiser("sgd", network, learning_rate=0.1, momentum=0.8).param_groups[0]["momentum"] == 0.8
    assert build_optimiser("sgd", network, learning_rate=0.1, nesterov=False).param_groups[0]["nesterov"] is False
    assert build_optimiser("sgd", network, learning_rate=0.1, momentum=0.0).param_groups[0]["nesterov"] is False
    assert build_optimiser("adamw", network, learning_rate=0.1, momentum=0.7).param_groups[0]["betas"][0] == 0.7
    assert build_optimiser("rmsprop", network, learning_rate=0.1, momentum=0.7).param_groups[0]["momentum"] == 0.7


def test_frozen_parameters_stay_out():
    network = small_network()
    network[0].weight.requires_grad_(False)
    held = [parameter for group in parameter_groups(network, 0.1) for parameter in group["params"]]
    assert all(parameter is not network[0].weight for parameter in held)
    assert l1_penalty(network).item() == pytest.approx(network[3].weight.abs().sum().item())
    assert l1_penalty(nn.ReLU()).item() == 0.0


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="did you mean 'adam'"):
        build_optimiser("adm", small_network(), learning_rate=0.1)
    with pytest.raises(UnknownNameError, match="did you mean 'cosine'"):
        learning_rate_factor("cosin", 0, ScheduleOptions(epochs=3))


def pytorch_rates(make, epochs, metrics=None):
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(optimiser)
    rates = []
    for epoch in range(epochs):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step(*(() if metrics is None else (metrics[epoch],)))
    return rates


def own_rates(name, epochs, losses=(), **options):
    numbers = ScheduleOptions(epochs=epochs, **options)
    return [learning_rate_factor(name, epoch, numbers, losses[:epoch]) for epoch in range(epochs)]


def test_schedules_agree_with_pytorch():
    rates = torch.optim.lr_scheduler
    assert own_rates("none", 5) == [1.0] * 5
    assert own_rates("step", 9, step_epochs=3, gamma=0.1) == pytest.approx(
        pytorch_rates(lambda optimiser: rates.StepLR(optimiser, 3, 0.1), 9)
    )
    assert own_rates("exponential", 9, gamma=0.8) == pytest.approx(
        pytorch_rates(lambda optimiser: rates.ExponentialLR(optimiser, 0.8), 9)
    )
    assert own_rates("cosine", 9, minimum_factor=0.1) == pytest.approx(
        pytorch_rates(lambda optimiser: rates.CosineAnnealingLR(optimiser, 9, 0.1), 9)
    )


def test_plateau_agrees_with_pytorch():
    losses = [1.0, 0.9, 0.95, 0.91, 0.92, 0.93, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    expected = pytorch_rates(
        lambda optimiser: torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.3, patience=2, threshold=0.0),
        len(losses),
        losses,
    )
    assert own_rates("plateau", len(losses), losses, gamma=0.3, patience_epochs=2) == pytest.approx(expected)
    assert min(expected) < 1.0


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_rises_linearly_and_then_the_schedule_starts(name):
    losses = [1.0] * 12
    rates = own_rates(name, 12, losses, warmup_epochs=3, gamma=0.5, step_epochs=2, patience_epochs=1)
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert (rates[-1] < 1.0) == (name != "none")


@pytest.mark.parametrize("name", SCHEDULES)
def test_minimum_factor_is_a_floor(name):
    rates = own_rates(name, 20, [1.0] * 20, gamma=0.01, step_epochs=1, patience_epochs=1, minimum_factor=0.2)
    assert min(rates) >= 0.2 - 1e-12
    assert all(math.isfinite(rate) for rate in rates)
