"""The optimiser that makes the steps of layers orthogonal."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from thermo_qc.training import build_optimiser
from thermo_qc.training.muon import Muon, orthogonalised


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 99), scale=st.floats(1e-3, 1e3))
def test_singular_values_come_near_one_and_singular_vectors_stay(rows, columns, seed, scale) -> None:
    torch.manual_seed(seed)
    left, _, right = torch.linalg.svd(torch.randn(rows, columns, dtype=torch.float64), full_matrices=False)
    values = torch.linspace(1.0, 0.3, left.shape[1], dtype=torch.float64)
    found = orthogonalised(scale * (left * values) @ right)
    inside = left.T @ found @ right.T
    assert torch.allclose(inside, torch.diag(torch.diagonal(inside)), atol=1e-6)
    assert torch.diagonal(inside).min() > 0.6 and torch.diagonal(inside).max() < 1.3


def test_a_matrix_without_gradient_stays_zero() -> None:
    assert not orthogonalised(torch.zeros(20, 30)).any()


@pytest.mark.parametrize("shape", [(32, 24, 3, 3), (24, 48)])
def test_a_layer_steps_as_far_as_adamw_would_whatever_its_gradient_is(shape) -> None:
    for scale in (1e-4, 1.0, 1e4):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.zeros(shape))
        weight.grad = scale * torch.randn(shape)
        Muon([{"params": [weight]}], lr=0.1).step()
        assert 0.7 * 0.02 < float(weight.detach().square().mean().sqrt()) < 1.2 * 0.02


def test_steps_follow_the_nesterov_momentum_of_a_layer() -> None:
    torch.manual_seed(0)
    weight, gradients = nn.Parameter(torch.zeros(16, 20)), torch.randn(3, 16, 20)
    muon = Muon([{"params": [weight]}], lr=0.5, momentum=0.8)
    kept, wanted = torch.zeros(16, 20), torch.zeros(16, 20)
    for gradient in gradients:
        weight.grad = gradient.clone()
        muon.step()
        kept = 0.8 * kept + 0.2 * gradient
        wanted = wanted - 0.5 * 0.2 * 20**0.5 * orthogonalised(0.2 * gradient + 0.8 * kept)
    assert torch.allclose(weight, wanted, atol=1e-6)


def test_biases_and_layers_of_few_outputs_step_as_with_adamw() -> None:
    def parameters() -> list[nn.Parameter]:
        torch.manual_seed(0)
        return [nn.Parameter(torch.randn(shape)) for shape in ((4, 64, 1, 1), (64,), (64, 7))]

    ours, theirs = parameters(), parameters()
    muon = Muon([{"params": ours}], lr=1e-2, weight_decay=0.1)
    adamw = torch.optim.AdamW(theirs, lr=1e-2, weight_decay=0.1)
    for number in range(5):
        for one, other in zip(ours, theirs, strict=True):
            torch.manual_seed(number)
            one.grad = torch.randn(one.shape)
            other.grad = one.grad.clone()
        muon.step()
        adamw.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_weights_decay_and_what_has_no_gradient_stays() -> None:
    weight, still = nn.Parameter(torch.ones(16, 16)), nn.Parameter(torch.ones(16, 16))
    weight.grad = torch.zeros(16, 16)
    Muon([{"params": [weight, still], "weight_decay": 0.5}], lr=0.1).step()
    assert torch.allclose(weight, torch.full((16, 16), 0.95)) and torch.equal(still, torch.ones(16, 16))


def test_a_closure_is_called_and_its_loss_returned() -> None:
    network = nn.Linear(16, 16)
    muon = build_optimiser("muon", network, learning_rate=0.1)

    def closure() -> torch.Tensor:
        muon.zero_grad()
        loss = network(torch.ones(2, 16)).square().mean()
        loss.backward()
        return loss

    first = muon.step(closure)
    assert muon.step(closure) < first


@pytest.mark.parametrize("rounded", [torch.float32, torch.bfloat16])
def test_steps_go_on_from_a_saved_state(rounded) -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 2, 1))

    def steps(one: nn.Module, optimiser: torch.optim.Optimizer, numbers: range) -> None:
        for number in numbers:
            torch.manual_seed(number)
            optimiser.zero_grad()
            one(torch.randn(2, 8, 6, 6)).square().mean().backward()
            optimiser.step()

    def muon(one: nn.Module) -> Muon:
        return Muon([{"params": list(one.parameters()), "weight_decay": 0.01}], lr=0.01, rounded=rounded)

    whole = network()
    steps(whole, muon(whole), range(4))
    begun = network()
    optimiser = muon(begun)
    steps(begun, optimiser, range(2))
    ended = network()
    ended.load_state_dict(begun.state_dict())
    again = muon(ended)
    again.load_state_dict(optimiser.state_dict())
    steps(ended, again, range(2, 4))
    for one, other in zip(whole.parameters(), ended.parameters(), strict=True):
        assert torch.equal(one, other)
