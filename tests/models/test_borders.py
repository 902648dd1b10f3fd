"""Plates that reach the border of the image go on beyond it for networks that look at shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thermo_qc.models import TrainedModel
from thermo_qc.models.borders import continued, within
from thermo_qc.models.hybrid import CurveUNet
from thermo_qc.models.pixelwise import PixelCurves
from thermo_qc.representation import PhysicalRepresentation

NAN = float("nan")


def test_the_last_pixels_go_on_and_gaps_stay_gaps() -> None:
    stack = np.arange(1, 13, dtype=np.float32).reshape(1, 3, 4)
    valid = np.ones((3, 4), dtype=bool)
    valid[0], valid[:, 3], valid[2, 1] = False, False, False  # reaches the left and, but for a gap, the lower side
    whole, sides = continued(stack * valid, valid, 2)
    assert sides == ((0, 2), (2, 0))
    np.testing.assert_array_equal(
        whole[0],
        [[0, 0, 0, 0, 0, 0], [5, 5, 5, 6, 7, 0], [9, 9, 9, 0, 11, 0], [9, 9, 9, 0, 11, 0], [9, 9, 9, 0, 11, 0]],
    )
    np.testing.assert_array_equal(within(whole, sides), stack * valid)


def test_a_plate_inside_the_image_is_left_as_it_is() -> None:
    stack, valid = np.ones((2, 6, 6), dtype=np.float32), np.zeros((6, 6), dtype=bool)
    for inside in (valid, np.pad(np.ones((4, 4), dtype=bool), 1)):
        whole, sides = continued(stack, inside)
        assert whole is stack and sides == ((0, 0), (0, 0)) and within(whole, sides).shape == stack.shape


@given(height=st.integers(1, 9), width=st.integers(1, 9), margin=st.integers(0, 20), seed=st.integers(0, 9))
def test_within_undoes_it(height: int, width: int, margin: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stack = rng.normal(size=(2, height, width)).astype(np.float32)
    whole, sides = continued(stack, rng.random((height, width)) < 0.4, margin)
    np.testing.assert_array_equal(within(whole, sides), stack)
    assert whole.shape == (2, height + sum(sides[0]), width + sum(sides[1]))


def model(network: torch.nn.Module, name: str) -> TrainedModel:
    return TrainedModel(
        kind="segmentation",
        name=name,
        representation=PhysicalRepresentation(n_heating=4, n_cooling=12),
        class_names=("sound", "defect"),
        class_depths_mm=(NAN, NAN),
        network=network.eval(),
        parameters={"depth_head": True},
        metadata={},
    )


@pytest.fixture
def stack() -> np.ndarray:
    given = np.random.default_rng(0).normal(size=(39, 20, 24)).astype(np.float32)
    given[32] = 1.0
    given[:, :3] = 0.0  # the plate reaches three sides
    return given


def test_predictions_look_beyond_and_training_does_not(stack: np.ndarray) -> None:
    torch.manual_seed(0)
    network = CurveUNet(39, 4, curve_widths=(8,), widths=(8, 12), surroundings=(2,))
    trained = model(network, "curve_unet")
    larger, sides = continued(stack, stack[32] > 0)
    assert larger.shape == (39, 36, 56)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(larger)[None])[0].numpy()
        plain = network(torch.from_numpy(stack)[None])[0].numpy()
    found = trained.stack_outputs(stack)
    assert found.shape == (4, 20, 24)
    np.testing.assert_allclose(found[2:], within(wanted, sides)[2:], rtol=1e-4, atol=1e-5)
    assert np.abs(found[2:] - plain[2:])[:, :, -1].max() > 1e-3
    for options in ({"tile_px": 16}, {"tta": True}):
        assert trained.stack_outputs(stack, **options).shape == (4, 20, 24)


def test_networks_of_single_pixels_see_the_image_alone(stack: np.ndarray) -> None:
    torch.manual_seed(0)
    network = PixelCurves(39, 4, radii=(1,)).eval()
    with torch.inference_mode():
        plain = network(torch.from_numpy(stack)[None])[0].numpy()
    np.testing.assert_allclose(model(network, "pixel_curves").stack_outputs(stack)[2:], plain[2:], rtol=1e-4, atol=1e-5)
