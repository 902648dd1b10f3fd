"""What tells neighbouring pixels apart near the face counts as noise: defects behind a weave stay visible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from thermo_qc.errors import ModelError
from thermo_qc.representation import PhysicalRepresentation, load_representation, residual_channels, time_bins
from thermo_qc.sequence import Excitation, ThermalSequence

SHAPE = (48, 56)
SPOT = np.hypot(*np.meshgrid(np.arange(56) - 30, np.arange(48) - 25)) < 9
SOUND = np.hypot(*np.meshgrid(np.arange(56) - 30, np.arange(48) - 25)) > 14
LATE = slice(12 + 30, 12 + 50)  # bins of the cooling that show the spot


def grain(seed: int, width_px: int) -> NDArray[np.float64]:
    """Random squares of some width, of unit standard deviation."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((-(-SHAPE[0] // width_px), -(-SHAPE[1] // width_px)))
    return np.kron(coarse, np.ones((width_px, width_px)))[: SHAPE[0], : SHAPE[1]] / coarse.std()


def flashed(*, texture: float = 0.0, width_px: int = 2, noise_k: float = 0.02, power: float = 1.0) -> ThermalSequence:
    """A half-space after a flash; a spot stays 3 % warmer from late on, a pattern near the face fades soon."""
    times = np.arange(-5, 500) / 10.0 + 0.05
    after = np.maximum(times, 0.05)
    curve = np.where(times > 0, 3.0 / np.sqrt(after), 0.0)
    late = 0.03 * after**3 / (after**3 + 8.0**3)
    pattern = grain(3, width_px) * texture
    share = late[:, None, None] * SPOT + pattern / (1.0 + after / 0.5)[:, None, None] ** 2
    noise = np.random.default_rng(1).normal(0, noise_k, (times.size, *SHAPE))
    frames = power * (curve[:, None, None] * (1.0 + share) + noise)
    return ThermalSequence(
        frames=frames.astype(np.float32), times_s=times, unit="degC", excitation=Excitation(kind="flash"), ambient_c=0.0
    )


def seen(sequence: ThermalSequence, *, texture: bool) -> float:
    """How far the spot stands out of the sound pixels' scatter, in the mean of the late bins of the first residual."""
    recipe = PhysicalRepresentation(background_order=0, texture=texture)
    image = np.sinh(recipe.stack(sequence)[LATE]).mean(axis=0)
    return float(image[SPOT].mean() - image[SOUND].mean()) / float(image[SOUND].std())


def test_without_texture_nothing_changes() -> None:
    plain, watched = (
        PhysicalRepresentation(background_order=0, texture=texture).stack(flashed()) for texture in (False, True)
    )
    np.testing.assert_array_equal(plain, watched)


@pytest.mark.parametrize("width_px", [1, 2, 6])
def test_a_defect_behind_a_weave_stands_out(width_px: int) -> None:
    quiet = seen(flashed(noise_k=0.01), texture=True)
    woven = flashed(texture=0.2, width_px=width_px, noise_k=0.01)
    hidden, found = (seen(woven, texture=texture) for texture in (False, True))
    assert hidden < 0.35 * quiet
    assert found > 2.0 * hidden and found > 0.6 * quiet


@settings(max_examples=3, deadline=None)
@given(factor=st.floats(0.2, 30.0))
def test_power_and_noise_together_change_nothing(factor: float) -> None:
    recipe = PhysicalRepresentation(background_order=0, texture=True)
    plain, scaled = (recipe.stack(flashed(texture=0.02, power=power)) for power in (1.0, factor))
    np.testing.assert_allclose(scaled[:128], plain[:128], atol=0.03)


def test_noise_of_early_bins_alone_is_raised() -> None:
    """The pattern's residuals come to about one noise; those of late bins keep the camera's."""
    sequence = flashed(texture=0.1)
    image = np.sinh(PhysicalRepresentation(background_order=0, texture=True).stack(sequence)[12:64][:, SOUND])
    spread = image.std(axis=1)
    present = spread > 0
    assert spread[present].min() > 0.5 and spread[present].max() < 2.5
    blind = np.sinh(PhysicalRepresentation(background_order=0).stack(sequence)[12:64][:, SOUND])
    assert blind.std(axis=1).max() > 3.0


def test_what_grows_with_time_is_left_alone() -> None:
    """A third of the plate with defects, which part neighbours ever more: no texture."""
    times = np.arange(-5, 500) / 10.0 + 0.05
    after = np.maximum(times, 0.05)
    bins = time_bins(times, heating_stop_s=0.0)
    curve = np.where(times > 0, 3.0 / np.sqrt(after), 0.0)
    late = after**2 / (after**2 + 64.0)
    frames = curve[:, None, None] * (1.0 + 0.1 * late[:, None, None] * grain(4, 6) * (np.arange(56) > 36))
    frames = frames + np.random.default_rng(2).normal(0, 0.02, frames.shape)
    values = (bins.weights @ frames.reshape(len(times), -1)).reshape(-1, *SHAPE).astype(np.float32)
    plain, watched = (
        residual_channels(
            values, bins, noise=0.02, valid=np.ones(SHAPE, dtype=bool), background_order=0, texture=texture
        )
        for texture in (False, True)
    )
    assert np.abs(plain[LATE]).mean() > 1.0
    assert np.abs(watched[LATE]).mean() > 0.9 * np.abs(plain[LATE]).mean()


def test_strips_too_narrow_for_neighbours_are_read_all_the_same() -> None:
    sequence = flashed(texture=0.03)
    strip = replace(sequence, frames=np.asarray(sequence.frames)[:, :, :1])
    for part in (strip, replace(strip, frames=np.asarray(strip.frames)[:, :1])):
        assert np.isfinite(PhysicalRepresentation(background_order=0, texture=True).stack(part)).all()


def test_saved_and_read_back() -> None:
    recipe = PhysicalRepresentation(texture=True)
    saved = recipe.to_metadata()
    assert saved["format_version"] == "physical-2" and saved["texture"] is True
    again = load_representation(saved, {})
    assert isinstance(again, PhysicalRepresentation) and again.texture
    without = PhysicalRepresentation().to_metadata()
    assert without["format_version"] == "physical-1"  # earlier versions read it
    assert not {"texture", "drift"} & set(without)


def test_bins_that_texture_hides_are_left_out() -> None:
    woven = flashed(texture=0.2, noise_k=0.01)
    recipe = PhysicalRepresentation(background_order=0, texture=True)
    shown, hidden = (replace(recipe, hidden_from=limit).stack(woven)[:128] for limit in (0.0, 2.0))
    present = recipe.bins_of(woven).present
    gone = ~np.abs(hidden).reshape(2, 64, -1).any(axis=2) & present
    assert (gone[0] == gone[1]).all() and 3 < gone[0].sum() < present.sum() - 12
    first, last = np.flatnonzero(gone[0])[[0, -1]]
    assert first == np.flatnonzero(present)[0] and gone[0][first : last + 1].all()  # the earliest
    assert np.abs(shown[first]).max() > 0
    with_few = replace(recipe, hidden_from=1000.0).stack(woven)[:128]
    np.testing.assert_array_equal(with_few, shown)


def test_nothing_is_hidden_where_faces_are_smooth() -> None:
    smooth = flashed(noise_k=0.01)
    recipe = PhysicalRepresentation(background_order=0, texture=True)
    np.testing.assert_array_equal(replace(recipe, hidden_from=2.0).stack(smooth), recipe.stack(smooth))


@pytest.mark.parametrize(("limit", "texture"), [(-1.0, True), (0.5, True), (1.0, True), (2.0, False)])
def test_a_limit_that_would_hide_everything_or_nothing(limit: float, texture: bool) -> None:
    with pytest.raises(
        ModelError, match=rf"hidden_from is {limit} with texture: {texture}; expected 0, or more than 1"
    ):
        PhysicalRepresentation(texture=texture, hidden_from=limit)


def test_the_limit_is_saved() -> None:
    saved = PhysicalRepresentation(texture=True, hidden_from=2.0).to_metadata()
    assert saved["format_version"] == "physical-3" and saved["hidden_from"] == 2.0
    again = load_representation(saved, {})
    assert isinstance(again, PhysicalRepresentation) and again.hidden_from == 2.0
