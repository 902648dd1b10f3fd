"""Networks of our own on stacks: any size, no look beyond their squares, bands and chosen pixels as the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thermo_qc.errors import ConfigError
from thermo_qc.models import pixelwise
from thermo_qc.models.hybrid import CurveUNet
from thermo_qc.models.pixelwise import PixelCurves


def test_hybrid_takes_any_size() -> None:
    network = CurveUNet(39, 4, curve_widths=(8,), widths=(8, 12, 16)).eval()
    with torch.inference_mode():
        whole = network(torch.randn(1, 39, 21, 26))
    assert whole.shape == (1, 4, 21, 26)


@pytest.mark.parametrize(("radii", "extremes"), [((1, 2), ()), ((1,), (2,))])
def test_curve_networks_on_stacks_see_no_further_than_their_squares(
    radii: tuple[int, ...], extremes: tuple[int, ...]
) -> None:
    network = PixelCurves(39, 4, core="gru", radii=radii, extremes=extremes, core_parameters={"hidden": 6}).eval()
    stack = torch.randn(1, 39, 12, 13)
    stack[:, 32] = 1.0
    with torch.inference_mode():
        before = network(stack)
        far = stack.clone()
        far[:, :32, 6, 6] += 30.0  # beyond all that there is: the highest mean wherever it is seen
        changed = (network(far) - before).abs().amax(dim=(0, 1)) > 1e-6
    assert before.shape == (1, 4, 12, 13)
    rows, columns = np.nonzero(changed.numpy())
    assert changed[6, 6] and rows.min() == columns.min() == 4 and rows.max() == columns.max() == 8
    with pytest.raises(ConfigError, match="pixel_curves reads two residuals in every bin and 7 facts, got 32"):
        PixelCurves(32, 4)


def test_a_network_on_pixels_computes_those_that_are_wanted_alone() -> None:
    network = PixelCurves(39, 4, core="cnn1d", core_parameters={"channels": [5]}, radii=(1, 3)).eval()
    stack = torch.randn(2, 39, 9, 11)
    stack[:, 32] = 1.0
    wanted = torch.rand(2, 9, 11) < 0.3
    whole, part = network(stack), network(stack, wanted)
    assert torch.allclose(part.permute(0, 2, 3, 1)[wanted], whole.permute(0, 2, 3, 1)[wanted], atol=1e-5)
    assert torch.all(part.permute(0, 2, 3, 1)[~wanted] == 0)
    nothing = network.train()(stack, torch.zeros_like(wanted))
    assert torch.all(nothing == 0)
    nothing.sum().backward()  # a crop without labels is no reason to stop


@pytest.mark.parametrize("height", [1, 7, 23])
def test_bands_of_rows_say_what_the_whole_says(height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixelwise, "_BAND_PIXELS", 30)
    network = PixelCurves(39, 4, core_parameters={"channels": [5]}, radii=(1, 3), extremes=(5,)).eval()
    stack = torch.randn(2, 39, height, 11)
    stack[:, 32] = (torch.rand(2, height, 11) < 0.8).float()
    whole = network(stack, torch.ones(2, height, 11, dtype=torch.bool))
    with torch.inference_mode():
        assert torch.allclose(network(stack), whole, atol=1e-5)


def test_surroundings_are_means_over_the_pixels_of_the_plate() -> None:
    images, valid = torch.randn(1, 32, 8, 9), (torch.rand(1, 1, 8, 9) < 0.7).float()
    (found,) = pixelwise._Plates(valid, (2,), ()).differences(images)
    for row, column in ((0, 0), (4, 4), (7, 8)):
        square = (..., slice(max(0, row - 2), row + 3), slice(max(0, column - 2), column + 3))
        mean = (images * valid)[square].sum((2, 3)) / valid[square].sum((2, 3))
        inside = valid[..., row, column]
        assert torch.allclose(found[..., row, column], images[..., row, column] - inside * mean, atol=1e-5)


def test_extremes_are_the_highest_and_lowest_means_on_the_plate() -> None:
    images, valid = torch.randn(1, 32, 18, 15), (torch.rand(1, 1, 18, 15) < 0.7).float()
    _, *found = pixelwise._Plates(valid, (1,), (2, 8)).differences(images)
    assert len(found) == 4

    def mean_at(row: int, column: int, inner: int) -> torch.Tensor:
        square = (..., slice(max(0, row - inner), row + inner + 1), slice(max(0, column - inner), column + inner + 1))
        return (images * valid)[square].sum((2, 3)) / valid[square].sum((2, 3))

    for (above, below), inner, reach in ((found[:2], 1, 1), (found[2:], 2, 6)):
        for row, column in ((0, 0), (4, 4), (9, 7), (17, 14)):
            around = [
                mean_at(there, across, inner)
                for there in range(max(0, row - reach), min(18, row + reach + 1))
                for across in range(max(0, column - reach), min(15, column + reach + 1))
                if valid[0, 0, there, across]
            ]
            own, inside = images[..., row, column], valid[0, 0, row, column]
            highest, lowest = (
                (torch.stack(around).amax(0), torch.stack(around).amin(0)) if inside else (own, own)  # not of the plate
            )
            assert torch.allclose(above[..., row, column], own - highest, atol=1e-5)
            assert torch.allclose(below[..., row, column], own - lowest, atol=1e-5)


def test_a_clock_tells_pixels_when_something_happened() -> None:
    stack = torch.randn(1, 39, 6, 6)
    stack[:, 32] = 1.0
    turned = torch.cat([stack[:, :16].flip(1), stack[:, 16:32].flip(1), stack[:, 32:]], dim=1)
    for clock in (False, True):
        torch.manual_seed(0)
        network = PixelCurves(39, 4, radii=(1,), core_parameters={"channels": [6], "kernel": 1}, clock=clock).eval()
        assert torch.allclose(network(stack), network(turned), atol=1e-5) != clock


def test_neighbours_on_the_plate_share_what_they_are_found_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixelwise, "_BAND_PIXELS", 30)
    torch.manual_seed(0)
    network = PixelCurves(39, 4, radii=(1,), core_parameters={"channels": [4]}, smoothing_px=0.8).eval()
    stack = torch.randn(2, 39, 15, 11)
    stack[:, 32] = (torch.rand(2, 15, 11) < 0.7).float()
    own = network(stack, torch.ones(2, 15, 11, dtype=torch.bool)).detach()
    with torch.inference_mode():
        found = network(stack)
    assert torch.allclose(network(stack), found, atol=1e-5)  # as where gradients are kept
    rows, columns = torch.meshgrid(torch.arange(15.0), torch.arange(11.0), indexing="ij")
    for image, row, column in ((0, 0, 0), (0, 7, 5), (1, 14, 10), (1, 3, 8)):
        weight = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 0.8**2)) * stack[image, 32]
        weight = weight * ((rows - row).abs() <= 3) * ((columns - column).abs() <= 3)
        mean = (own[image] * weight).sum((1, 2)) / weight.sum()
        wanted = mean if stack[image, 32, row, column] else own[image, :, row, column]
        assert torch.allclose(found[image, :, row, column], wanted, atol=1e-4)
    plain = PixelCurves(39, 4, radii=(1,), core_parameters={"channels": [4]}).eval()
    plain.load_state_dict(network.state_dict())
    with torch.inference_mode():
        assert torch.allclose(plain(stack), own, atol=1e-5)


@pytest.mark.parametrize("width", [-0.1, 4.5, "wide"])
def test_a_smoothing_that_cannot_be_is_refused(width: object) -> None:
    with pytest.raises(ConfigError, match=r"model parameter 'smoothing_px' is .*, expected a number from 0 to 4"):
        PixelCurves(39, 4, smoothing_px=width)  # type: ignore[arg-type]
