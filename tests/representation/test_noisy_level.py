"""The noise of few cold frames, which all bins of a pixel share, is taken out as far as it is known to be noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from thermo_qc.representation import PhysicalRepresentation, load_representation, time_bins
from thermo_qc.representation.bins import TimeBins
from thermo_qc.representation.sound_curves import sound_projector
from thermo_qc.representation.texture import with_texture
from thermo_qc.sequence import Excitation, ThermalSequence

SHAPE = (40, 50)
SPOT = np.zeros(SHAPE, dtype=bool)
SPOT[12:22, 20:34] = True


def flashed(n_cold: int, *, contrast: float = 0.0, texture: float = 0.0) -> ThermalSequence:
    times = np.arange(-n_cold, 600) / 20.0 + 0.02
    after = np.maximum(times, 0.02)
    curve = np.where(times > 0, 4.0 / np.sqrt(after), 0.0)[:, None, None]
    rng = np.random.default_rng(11)
    grown = contrast * (after / 2.0 * np.exp(1.0 - after / 2.0))[:, None, None] * SPOT
    waves = np.sin(np.arange(SHAPE[1]) / 2) * np.sin(np.arange(SHAPE[0]) / 2)[:, None]
    spread = texture * np.exp(-after / 0.3)[:, None, None] * waves
    frames = 20.0 + curve * (1.0 + grown + spread) + rng.normal(0, 0.03, (times.size, *SHAPE))
    return ThermalSequence(
        frames=frames.astype(np.float32), times_s=times, unit="degC", excitation=Excitation(kind="flash"), netd_k=0.03
    )


def seen(sequence: ThermalSequence, *, noisy_level: bool, texture: bool = False) -> NDArray[np.float32]:
    """Both residuals before their compression, (2, 64, Y, X)."""
    recipe = PhysicalRepresentation(background_order=0, texture=texture, noisy_level=noisy_level)
    return np.asarray(np.sinh(recipe.stack(sequence)[:128]).reshape(2, 64, *SHAPE))


def test_sound_plates_show_the_noise_of_their_bins_after_one_cold_frame() -> None:
    sequence = flashed(1)
    present = PhysicalRepresentation().bins_of(sequence).present
    plain, mended = (seen(sequence, noisy_level=noisy)[0, present].std(axis=(1, 2)) for noisy in (False, True))
    assert plain.max() > 3.0
    assert mended.max() < 1.2 and mended.min() > 0.6


def test_defects_stand_out_more() -> None:
    sequence = flashed(1, contrast=0.03)
    strength = []
    for noisy in (False, True):
        first = seen(sequence, noisy_level=noisy)[0]
        signal = (first[:, SPOT].mean(axis=1) - first[:, ~SPOT].mean(axis=1)) / np.maximum(
            first[:, ~SPOT].std(axis=1), 0.5
        )
        strength.append(float(np.sqrt((signal**2).sum())))
    assert strength[1] > 1.2 * strength[0]


def test_many_cold_frames_leave_little_to_take_out() -> None:
    sequence = flashed(400, contrast=0.03)
    plain, mended = (seen(sequence, noisy_level=noisy) for noisy in (False, True))
    np.testing.assert_array_equal(plain[1], mended[1])
    spot = [part[0, -20:][:, SPOT].mean(axis=1) for part in (plain, mended)]
    np.testing.assert_allclose(spot[1], spot[0], rtol=0.2, atol=0.1)


def test_without_cold_frames_nothing_changes() -> None:
    sequence = flashed(0)
    plain, mended = (seen(sequence, noisy_level=noisy) for noisy in (False, True))
    np.testing.assert_array_equal(plain, mended)


def test_texture_is_found_behind_the_noise_of_one_cold_frame() -> None:
    """The gain of a pixel is read wrong by the cold frame's noise, which hides what tells neighbours apart."""
    sequence = flashed(1, texture=0.02)
    bins = PhysicalRepresentation().bins_of(sequence)
    values = np.tensordot(bins.weights, np.asarray(sequence.frames, dtype=np.float64), axes=1).astype(np.float32)
    curves = values[bins.present].reshape(int(bins.present.sum()), -1)
    median = np.median(curves, axis=1).astype(np.float64)
    valid = np.ones(SHAPE, dtype=bool)
    blind, found = (
        with_texture(curves, median, bins, 0.03, valid, level) / bins.noise for level in (0.0, 0.03 * bins.level_noise)
    )
    first = np.flatnonzero(bins.present & ~bins.heated)[0]
    assert blind[first] < 1.05 and found[first : first + 3].min() > 1.4
    np.testing.assert_allclose(found[-10:], 1.0)


def _setting() -> tuple[NDArray[np.float64], TimeBins, NDArray[np.intp], NDArray[np.float32]]:
    bins = time_bins(np.arange(-3, 500) / 10.0 + 0.05, heating_stop_s=5.0)
    rows = np.flatnonzero(bins.present)
    sigma = (0.02 * bins.noise[rows]).astype(np.float32)
    curve = 3.0 / np.sqrt(bins.elapsed_s[rows] + 1.0)
    return curve / sigma, bins, rows, sigma


def test_it_lies_between_a_level_that_is_known_and_one_that_is_not() -> None:
    median, bins, rows, sigma = _setting()
    assert bins.level_noise == pytest.approx(3**-0.5)
    known = sound_projector(median, bins, rows, sigma, everything=False)
    hardly = sound_projector(median, bins, rows, sigma, everything=False, level_noise=1e-9)
    np.testing.assert_allclose(hardly, known, atol=1e-6)
    unknown = sound_projector(median, bins, rows, sigma, everything=False, level_noise=1e4)
    constant = 1.0 / sigma
    np.testing.assert_allclose(unknown @ constant, 0.0, atol=1e-3)
    free = replace(bins, cold=False)
    np.testing.assert_allclose(unknown, sound_projector(median, free, rows, sigma, everything=False), atol=1e-4)
    half = sound_projector(median, bins, rows, sigma, everything=False, level_noise=0.02)
    np.testing.assert_allclose(half @ median, 0.0, atol=1e-6 * np.linalg.norm(median))
    left = [float(np.linalg.norm(projector @ constant)) for projector in (known, half, unknown)]
    assert left[0] > left[1] > left[2]


def test_what_is_left_of_a_constant_is_what_statistics_say() -> None:
    """Of a level of variance L the residual keeps the posterior share: noise of the fit over that and L."""
    median, bins, rows, sigma = _setting()
    level = 0.01
    known = sound_projector(median, bins, rows, sigma, everything=False)
    constant = 1.0 / sigma.astype(np.float64)
    information = float(constant @ known @ constant)  # of the level, when the gain is unknown
    kept = 1.0 / (1.0 + level**2 * information)
    half = sound_projector(median, bins, rows, sigma, everything=False, level_noise=level)
    np.testing.assert_allclose(half @ constant, kept * (known @ constant), rtol=1e-5, atol=1e-6 * constant.max())


def test_saved_and_read_back() -> None:
    saved = PhysicalRepresentation(noisy_level=True).to_metadata()
    assert saved["format_version"] == "physical-3" and saved["noisy_level"] is True
    again = load_representation(saved, {})
    assert isinstance(again, PhysicalRepresentation) and again.noisy_level
