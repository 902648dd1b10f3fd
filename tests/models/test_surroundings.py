"""How a pixel differs from its surroundings: on backgrounds of any height, blind to what lies outside the plate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError
from thermo_qc.models import hybrid
from thermo_qc.models.hybrid import CurveUNet
from thermo_qc.models.surroundings import compressed, expanded, less_surroundings


@given(st.floats(-1e4, 1e4, width=32))
def test_expanding_undoes_compressing_and_both_are_the_hyperbolic_sine(noise: float) -> None:
    value = torch.tensor([noise])
    assert compressed(value).item() == pytest.approx(float(np.arcsinh(noise)), rel=1e-5, abs=1e-6)
    assert expanded(compressed(value)).item() == pytest.approx(noise, rel=1e-4, abs=1e-5)
    assert compressed(-value).item() == -compressed(value).item()
    assert expanded(torch.tensor([1e30])).isfinite().all()


def seen(noises: np.ndarray, valid: np.ndarray | None = None, cell_px: int = 2) -> np.ndarray:
    plate = torch.ones(1, 1, *noises.shape) if valid is None else torch.from_numpy(valid).float()[None, None]
    given_noises = torch.from_numpy(noises).float()[None, None] * plate
    found = less_surroundings(given_noises, compressed(given_noises), plate, cell_px)
    return np.sinh(found[0, 0].numpy())


@settings(deadline=None, max_examples=50)
@given(st.floats(-300, 300), st.floats(-20, 20), st.sampled_from([2, 4, 8]))
def test_a_pixel_stands_out_of_its_surroundings_by_what_it_differs_from_their_mean(
    level: float, difference: float, cell_px: int
) -> None:
    noises = np.full((32, 32), level)
    noises[16, 17] += difference
    found = seen(noises, cell_px=cell_px)
    pixels = (3 * cell_px) ** 2  # all cells that the interpolation reads there hold this pixel
    mean = ((pixels - 1) * np.arcsinh(level) + np.arcsinh(level + difference)) / pixels
    assert found[16, 17] == pytest.approx(level + difference - np.sinh(mean), abs=2e-4 * (abs(level) + 20))
    assert abs(found[:3, :3]).max() < 2e-4 * abs(level) + 1e-5


@pytest.mark.parametrize("level", [-300.0, -2.0, 0.0, 30.0, 300.0])
@pytest.mark.parametrize("cell_px", [4, 8])
def test_a_faint_pixel_is_as_faint_on_any_level(level: float, cell_px: int) -> None:
    noises = np.full((32, 32), level)
    noises[16, 17] += 3.0
    assert seen(noises, cell_px=cell_px)[16, 17] == pytest.approx(3.0, rel=0.05)


def test_compressed_differences_lose_what_differences_in_noises_keep() -> None:
    level = np.full((16, 16), 100.0)
    level[8, 8] += 3.0
    after = np.arcsinh(103.0) - np.arcsinh(100.0)
    assert after < 0.03 and seen(level, cell_px=4)[8, 8] == pytest.approx(3.0, abs=0.1)


def test_a_strong_defect_moves_what_is_around_it_little() -> None:
    noises = np.full((24, 24), 30.0)
    noises[8:10, 8:10] = 1000.0  # 4 of the 144 pixels round a cell of 4
    mean = noises[6:18, 6:18].mean()
    assert abs(seen(noises, cell_px=4)[13, 13]) < 0.2 * (mean - 30.0)


def test_what_lies_outside_the_plate_has_no_part_in_it() -> None:
    valid = np.zeros((16, 16), dtype=bool)
    valid[:, :9] = True
    noises = np.random.default_rng(0).normal(5.0, 1.0, (16, 16))
    found = seen(noises, valid)
    assert np.all(found[:, 9:] == 0)
    assert abs(found[:, :9].mean()) < 0.1  # zeros beside the plate would make it 1 to 3 there
    noises[:, 9:] = 1e6
    np.testing.assert_array_equal(seen(noises, valid), found)


def test_a_hybrid_compares_and_takes_any_size() -> None:
    network = CurveUNet(39, 4, curve_widths=(8,), widths=(8, 12), surroundings=(2, 8)).eval()
    assert network.curves[0].in_channels == 39 + 2 * 32 and network.multiple == 8
    stack = torch.randn(1, 39, 21, 26)
    stack[:, 32] = 1.0
    with torch.inference_mode():
        whole = network(stack)
        assert whole.shape == (1, 4, 21, 26)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = network(stack)
    assert torch.allclose(rough.float(), whole, atol=0.1 * float(whole.abs().max()))


def test_the_first_layer_stays_in_single_precision() -> None:
    network = CurveUNet(39, 4, curve_widths=(8,), widths=(8, 12), surroundings=(2,))
    stack = 8.0 + 0.01 * torch.randn(1, 39, 8, 8)  # bfloat16 knows 8.00 and 8.06
    wanted = network._first(stack)
    seen: list[torch.Tensor] = []
    network.curves[1].register_forward_pre_hook(lambda _module, given: seen.append(given[0].detach().clone()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(stack)
    assert seen[0].dtype == torch.float32 and torch.equal(seen[0], wanted)


def first_layer_at_once(network: CurveUNet, stack: torch.Tensor) -> torch.Tensor:
    residuals, valid = stack[:, : network.n_residuals], stack[:, network.n_residuals : network.n_residuals + 1]
    found = [less_surroundings(expanded(residuals), residuals, valid, cell) for cell in network.surroundings]
    return network.curves[0](torch.cat([stack, *found], dim=1))


def test_gradients_of_the_first_layer_are_those_of_all_channels_at_once() -> None:
    torch.manual_seed(0)
    network = CurveUNet(39, 4, curve_widths=(8,), widths=(8, 12), surroundings=(2, 8))
    stack, weight = torch.randn(2, 39, 16, 24), network.curves[0].weight
    stack[:, 32] = 1.0
    wanted = torch.randn(2, 8, 16, 24)
    (expected,) = torch.autograd.grad((first_layer_at_once(network, stack) * wanted).sum(), weight)
    (whole,) = torch.autograd.grad((network._first(stack) * wanted).sum(), weight)
    (rounded,) = torch.autograd.grad((network._first(stack, torch.bfloat16) * wanted).sum(), weight)
    torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-3)
    assert rounded.dtype == torch.float32 and not torch.equal(rounded, whole)
    assert float((rounded - whole).norm() / whole.norm()) < 0.005
    assert torch.equal(network._first(stack, torch.bfloat16), network._first(stack))
    stack.requires_grad_()
    (of_input,) = torch.autograd.grad((network._first(stack) * wanted).sum(), stack)
    (known,) = torch.autograd.grad((first_layer_at_once(network, stack) * wanted).sum(), stack)
    torch.testing.assert_close(of_input, known, rtol=1e-3, atol=1e-3)


def test_channels_one_after_the_other_say_what_all_at_once_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hybrid, "_AT_ONCE", 16)
    network = CurveUNet(39, 4, curve_widths=(8, 6), widths=(8, 12), surroundings=(2, 8))
    for part in network.curves:
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.running_mean)
    stack = torch.randn(2, 39, 16, 24)
    stack[:, 32] = (torch.rand(2, 16, 24) < 0.8).float()
    stack[:, :32] *= stack[:, 32:33]
    network.eval()
    torch.testing.assert_close(network._first(stack), first_layer_at_once(network, stack), rtol=1e-4, atol=1e-5)
    whole = network(stack)
    with torch.inference_mode():
        torch.testing.assert_close(network(stack), whole, rtol=1e-4, atol=1e-5)
    (alone,) = (found for first, found in network._differences(stack, 32) if first == 32)
    expected = less_surroundings(expanded(stack[:, :32]), stack[:, :32], stack[:, 32:33], 8)
    torch.testing.assert_close(alone, expected)
    places = [first for first, _ in network._differences(stack, 16)]
    assert places == [0, 32, 16, 48]  # both cells of a part


@pytest.mark.parametrize(
    ("channels", "surroundings", "message"),
    [
        (39, (3,), "model parameter 'surroundings' is 3"),
        (39, (2, 64), "model parameter 'surroundings' .* 64"),
        (32, (2,), "two residuals in every bin and 7 facts, got 32 channels; use them with the physical"),
        (7, (2,), "two residuals in every bin and 7 facts, got 7 channels"),
    ],
)
def test_surroundings_that_cannot_be_are_refused(channels: int, surroundings: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CurveUNet(channels, 4, surroundings=surroundings)


def test_what_saves_memory_says_the_same() -> None:
    noises = torch.linspace(-40.0, 40.0, 4 * 16 * 16).reshape(1, 4, 16, 16)
    valid = (torch.arange(256).reshape(1, 1, 16, 16) % 7 > 0).float()
    residuals = compressed(noises) * valid
    kept, given = residuals.clone(), noises.clone()
    with torch.no_grad():
        one = less_surroundings(expanded(residuals), residuals, valid, 4)
        small = compressed(noises)
    assert torch.equal(one, less_surroundings(expanded(residuals), residuals, valid, 4))
    assert torch.equal(small, compressed(noises))
    assert torch.equal(residuals, kept) and torch.equal(noises, given)  # what comes in stays as it is
