"""Facts of plate and recording scale and shift the channels of a hybrid's layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from thermo_qc.errors import ConfigError, ModelError
from thermo_qc.models.hybrid import CurveUNet

SIZES = {"curve_widths": (8, 6), "widths": (8, 12, 10)}


def stacks(*facts: float) -> Tensor:
    """One stack for each value of the last fact; some pixels lie beside the plate."""
    given = torch.randn(1, 39, 12, 16, generator=torch.Generator().manual_seed(1)).repeat(len(facts), 1, 1, 1)
    given[:, 32] = 1.0
    given[:, 33:38] = torch.linspace(-2.0, 2.0, 5)[:, None, None]
    given[:, 38] = torch.tensor(facts)[:, None, None]
    given[:, :, :, 13:] = 0.0
    return given


def taught(**options: object) -> CurveUNet:
    torch.manual_seed(3)
    network = CurveUNet(39, 4, facts_units=5, **SIZES, **options).eval()  # type: ignore[arg-type]
    assert network.facts is not None
    nn.init.normal_(network.facts.changes.weight, std=0.3)
    nn.init.normal_(network.facts.changes.bias, std=0.3)
    return network


def plain(network: CurveUNet, stack: Tensor) -> CurveUNet:
    """Return the network without facts whose normalisations are scaled and shifted as the facts of a stack ask."""
    same = CurveUNet(39, 4, **SIZES, surroundings=network.surroundings).eval()  # type: ignore[arg-type]
    same.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("facts.")})
    assert network.facts is not None
    found = list(network.facts(network._facts(stack)))
    norms = [part for part in same.curves if isinstance(part, nn.BatchNorm2d)]
    for block in (*same.down, *reversed(same.up)):
        norms += [block.first_norm, block.second_norm]
    for norm, change in zip(norms, found, strict=True):
        scale, shift = (part.flatten() for part in change[0])
        norm.weight.data, norm.bias.data = norm.weight * (1 + scale), norm.bias * (1 + scale) + shift
    return same


@pytest.mark.parametrize("surroundings", [(), (2, 4)])
@torch.inference_mode()
def test_every_image_of_a_batch_is_changed_by_its_own_facts(surroundings: tuple[int, ...]) -> None:
    network, given = taught(surroundings=surroundings), stacks(-1.0, 0.5, 3.0)
    for said, stack in zip(network(given), given, strict=True):
        torch.testing.assert_close(said, plain(network, stack[None])(stack[None])[0], rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_facts_change_nothing_before_training_and_everything_after() -> None:
    torch.manual_seed(3)
    fresh, given = CurveUNet(39, 4, facts_units=5, **SIZES).eval(), stacks(-1.0, 3.0)  # type: ignore[arg-type]
    torch.testing.assert_close(fresh(given), plain(fresh, given[:1])(given), rtol=0, atol=0)
    network = taught()
    network.curves[0].weight[:, 32:] = 0.0  # the curve encoder itself reads no facts
    one, other = network(given)
    assert (one - other).abs().max() > 0.1


@torch.inference_mode()
def test_facts_are_those_of_the_valid_pixels() -> None:
    network, given = taught(), stacks(0.5)
    expected = torch.tensor([[1.0, -2.0, -1.0, 0.0, 1.0, 2.0, 0.5]])
    torch.testing.assert_close(network._facts(given), expected)
    torch.testing.assert_close(network._facts(torch.zeros_like(given)), torch.zeros(1, 7))
    torch.testing.assert_close(network._facts(given[..., :3]), expected)  # a part of the plate knows the same


def test_facts_learn() -> None:
    network = CurveUNet(39, 4, facts_units=5, **SIZES)  # type: ignore[arg-type]
    network(stacks(-1.0, 3.0)).square().sum().backward()
    assert network.facts is not None
    gradient = network.facts.changes.weight.grad
    assert gradient is not None and (gradient.abs().amax(1) > 0).float().mean() > 0.9  # of every layer


@pytest.mark.parametrize(
    ("channels", "units", "message"),
    [
        (39, -1, "model parameter 'facts_units' is -1"),
        (39, 2.5, "model parameter 'facts_units' is 2.5"),
        (32, 4, "facts_units need two residuals in every bin and 7 facts, got 32 channels; use them with the physical"),
    ],
)
def test_units_that_cannot_be_are_refused(channels: int, units: float, message: str) -> None:
    with pytest.raises((ConfigError, ModelError), match=message):
        CurveUNet(channels, 4, facts_units=units)  # type: ignore[arg-type]
