"""Uneven heating taken out of simulated plates whose evenly heated twin is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import MissingFactError, SequenceError, UnknownNameError
from thermo_qc.preprocess import correct_heating_by_early_frames, correct_heating_by_surface, subtract_cold_frame
from thermo_qc.preprocess.surface import fit_weights, solve_surface, surface_basis
from thermo_qc.sequence import ThermalSequence


@pytest.fixture(scope="module")
def plates(simulate):
    """Rise under one lamp and under even light, the plate's inner part, noise-free optics."""

    def pair(kind="long_pulse", quiet=True):
        parts = (simulate(kind, even=even, quiet=quiet, background_mm=0.0) for even in (False, True))
        return [subtract_cold_frame(part).crop(slice(2, -2), slice(2, -2)) for part in parts]

    return pair


def unevenness(frame, twin, chosen):
    """Scatter of the ratio to the evenly heated twin."""
    ratio = frame[chosen] / twin[chosen]
    return float(ratio.std() / ratio.mean())


@pytest.mark.parametrize(("kind", "left"), [("long_pulse", 0.12), ("flash", 0.12), ("step", 0.12)])
def test_early_frames_remove_the_lamp(plates, kind, left):
    uneven, even = plates(kind)
    corrected = correct_heating_by_early_frames(uneven, (0.5, 2.0))
    twin = correct_heating_by_early_frames(even, (0.5, 2.0))
    everywhere = np.ones(even.frame_shape, dtype=bool)
    before = unevenness(uneven.frames[150], even.frames[150], everywhere)
    assert before > 0.04
    # Lateral conduction has evened a little of the lamp's pattern out by then.
    assert unevenness(corrected.frames[150], twin.frames[150], everywhere) < left * before + 0.004


def test_early_frames_keep_the_median_and_write_down_the_limit(plates):
    uneven, _ = plates()
    corrected = correct_heating_by_early_frames(uneven, (0.5, 2.0))
    part = (uneven.times_s >= 0.5) & (uneven.times_s <= 2.0)
    early = corrected.frames[part].mean(axis=0)
    np.testing.assert_allclose(early, np.median(uneven.frames[part].mean(axis=0)), rtol=1e-5)
    parameters = corrected.history[-1].parameters
    assert parameters["n_frames"] == part.sum()
    assert parameters["diffusion_length_mm"] == pytest.approx(np.sqrt(0.30 / 1.9 * 2.0), rel=1e-6)
    assert corrected.unit == uneven.unit


def test_early_frames_count_pixels_that_stay_cold(simulate, caplog):
    rise = subtract_cold_frame(simulate(background_mm=6.0))
    corrected = correct_heating_by_early_frames(rise, (0.5, 4.0))
    cold = rise.frames[(rise.times_s >= 0.5) & (rise.times_s <= 4.0)].mean(axis=0) < 0.05
    lost = np.isnan(corrected.frames).any(axis=0)
    assert lost[cold].all() and cold.sum() > 100
    assert corrected.history[-1].parameters["n_pixels_without_rise"] == lost.sum()
    assert "hardly rise in the early window" in caplog.text


@pytest.mark.parametrize("mode", ["divide", "subtract"])
def test_a_known_surface_is_removed_exactly(plates, mode):
    _, even = plates()
    flat = replace(even, frames=np.repeat(even.frames[:, :1, :1], 20, axis=1).repeat(30, axis=2), truth=None)
    y, x = np.mgrid[-1:1:20j, -1:1:30j]
    pattern = 1 + 0.2 * x - 0.1 * y + 0.15 * x * y - 0.1 * x**2
    frames = flat.frames * pattern if mode == "divide" else flat.frames + pattern
    corrected = correct_heating_by_surface(replace(flat, frames=frames), order=2, mode=mode)
    # The mean over the frame stays, the pattern does not.
    target = flat.frames * pattern.mean() if mode == "divide" else flat.frames + pattern.mean()
    np.testing.assert_allclose(corrected.frames, target, atol=2e-4)


@pytest.mark.parametrize(("order", "left"), [(1, 0.5), (2, 0.25), (3, 0.2)])
def test_a_surface_removes_the_lamp_but_not_the_holes(plates, order, left):
    uneven, even = plates()
    sound = uneven.truth.defect_index == 0
    corrected = correct_heating_by_surface(uneven, order=order, mask=sound)
    twin = correct_heating_by_surface(even, order=order, mask=sound)
    before = unevenness(uneven.frames[150], even.frames[150], sound)
    assert unevenness(corrected.frames[150], twin.frames[150], sound) < left * before
    shallow = uneven.truth.defect_index == 4
    contrast = [
        float(one.frames[150][shallow].mean() / one.frames[150][sound].mean()) for one in (corrected, twin, even)
    ]
    assert contrast[0] == pytest.approx(contrast[1], rel=0.02)
    assert contrast[0] > 1 + 0.6 * (contrast[2] - 1)


def test_defects_have_no_say_without_a_mask():
    y, x = np.mgrid[-1:1:40j, -1:1:50j]
    true = 5 + x - 0.5 * y
    rng = np.random.default_rng(0)
    image = true + rng.normal(0, 0.02, true.shape)
    hole = (x - 0.3) ** 2 + (y + 0.2) ** 2 < 0.1
    image[hole] += 3.0
    basis = surface_basis(image.shape, 1)
    robust, left_out = solve_surface(image, basis, np.ones_like(hole))
    plain = np.linalg.lstsq(basis.reshape(3, -1).T, image.ravel(), rcond=None)[0]
    error = np.abs(np.tensordot(robust, basis, axes=1) - true).max()
    assert error < 0.005
    assert np.abs(np.tensordot(plain, basis, axes=1) - true).max() > 0.1
    assert left_out == pytest.approx(hole.mean(), abs=0.01)


def test_large_frames_are_sampled():
    image = np.random.default_rng(0).normal(1, 0.1, (300, 400))
    pixels, weights = fit_weights(image, surface_basis(image.shape, 2), np.ones(image.shape, dtype=bool))
    assert pixels.size == weights.size <= 20_000
    assert pixels.max() > 0.99 * image.size


def test_subtraction_follows_every_frame_and_keeps_its_mean(plates):
    uneven, _ = plates()
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in uneven.frame_shape), indexing="ij")
    sound = uneven.truth.defect_index == 0
    pattern = x + 0.5 * y
    reflection = np.sin(uneven.times_s)[:, None, None] * (pattern - pattern[sound].mean())
    disturbed = replace(uneven, frames=uneven.frames + reflection)
    clean, other = (correct_heating_by_surface(one, mode="subtract", mask=sound) for one in (uneven, disturbed))
    np.testing.assert_allclose(other.frames, clean.frames, atol=1e-4)
    np.testing.assert_allclose(other.frames[:, sound].mean(axis=1), disturbed.frames[:, sound].mean(axis=1), atol=1e-4)


def test_missing_pixels_and_frames(plates):
    uneven, _ = plates()
    frames = uneven.frames.copy()
    frames[:, :, 0] = np.nan
    frames[100] = np.nan
    frames[120, 5:9] = np.nan
    sequence = replace(uneven, frames=frames)
    for corrected in (
        correct_heating_by_surface(sequence, mode="subtract"),
        correct_heating_by_surface(sequence),
        correct_heating_by_early_frames(sequence, (0.5, 2.0)),
    ):
        np.testing.assert_array_equal(np.isnan(corrected.frames), np.isnan(frames))
    found = correct_heating_by_surface(sequence, mode="subtract")
    assert found.history[-1].parameters["n_frames_with_gaps"] == 2


@pytest.mark.parametrize("mode", ["divide", "subtract"])
def test_frames_in_a_file(plates, file_like, mode):
    uneven, _ = plates()
    lazy = replace(uneven, frames=file_like(uneven.frames))
    for function in (
        lambda one: correct_heating_by_surface(one, mode=mode),
        lambda one: correct_heating_by_early_frames(one, (0.5, 2.0)),
    ):
        whole, part = function(uneven).frames, function(lazy)
        assert part.is_lazy
        for key in [(slice(30, 60, 7), slice(3, 9), slice(4, 20, 2)), (-1, 5, slice(None))]:
            np.testing.assert_allclose(part.frames[key], whole[key], atol=1e-6)


@settings(deadline=None, max_examples=4)
@given(gain=st.floats(0.01, 100))
def test_gain_goes_through(plates, gain):
    uneven, _ = plates()
    more = replace(uneven, frames=uneven.frames.astype(np.float64) * gain)
    for function in (correct_heating_by_surface, lambda one: correct_heating_by_early_frames(one, (0.5, 2.0))):
        np.testing.assert_allclose(function(more).frames, gain * function(uneven).frames, rtol=1e-3, atol=1e-4 * gain)


def test_errors(plates, simulate):
    uneven, _ = plates()
    with pytest.raises(MissingFactError, match=r"temperatures in degC, expected their rise; subtract the cold frame"):
        correct_heating_by_early_frames(simulate(), (0.5, 2.0))
    with pytest.raises(MissingFactError, match=r"frames before the heating are at 2\d+ K, expected a rise"):
        correct_heating_by_surface(replace(simulate(), unit="K"))
    with pytest.raises(SequenceError, match=r"no frame lies between 500 s and 600 s"):
        correct_heating_by_early_frames(uneven, (500.0, 600.0))
    with pytest.raises(SequenceError, match=r"the median rise between -9 s and -5 s is .*, expected more than"):
        correct_heating_by_early_frames(uneven, (-9.0, -5.0))
    with pytest.raises(SequenceError, match=r"mask of sound pixels has shape \(2, 2\)"):
        correct_heating_by_surface(uneven, mask=np.ones((2, 2), dtype=bool))
    with pytest.raises(SequenceError, match="mask of sound pixels is empty"):
        correct_heating_by_early_frames(uneven, (0.5, 2.0), mask=np.zeros(uneven.frame_shape, dtype=bool))
    with pytest.raises(UnknownNameError, match="unknown mode of the surface 'dvide'; did you mean 'divide'"):
        correct_heating_by_surface(uneven, mode="dvide")
    for order in (7, -1, 1.5, True):
        with pytest.raises(SequenceError, match="order of the surface is"):
            correct_heating_by_surface(uneven, order=order)
    few = np.zeros(uneven.frame_shape, dtype=bool)
    few[:2, :4] = True
    with pytest.raises(SequenceError, match="8 pixels are left for a surface of 6 terms, expected at least 18"):
        correct_heating_by_surface(uneven, mask=few)


def test_a_surface_through_zero_is_refused_or_counted(caplog):
    x = np.linspace(-1, 1, 40)
    frames = np.broadcast_to(1 + 2 * x, (5, 20, 40)).copy()
    sequence = ThermalSequence(frames=frames, times_s=np.arange(5.0), unit="K")
    with pytest.raises(SequenceError, match="the surface falls to -1 at a mean of 1, expected it well above 0"):
        correct_heating_by_surface(sequence, order=1)
    mask = frames[0] > 0.2
    corrected = correct_heating_by_surface(sequence, order=1, mask=mask)
    count = corrected.history[-1].parameters["n_pixels_without_surface"]
    assert count == np.isnan(corrected.frames[0]).sum() > 0
    assert "no positive value" in caplog.text
