"""Contrasts by their formulas, PPT against the fast Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import SequenceError, TruthError, UnknownNameError
from thermo_qc.thermography import (
    absolute_contrast,
    compute_ppt,
    contrast_to_noise,
    normalised_contrast,
    running_contrast,
    signal_to_noise_db,
    standard_contrast,
)

SOUND = np.array([0.0, 4.0, 2.0, 1.0])
RISE = np.array([[0.0, 6.0, 4.0, 1.5], [0.0, 4.0, 2.0, 1.0]]).T.reshape(4, 1, 2)


def test_contrasts_by_hand():
    np.testing.assert_allclose(absolute_contrast(RISE, SOUND)[:, 0, 0], [0, 2, 2, 0.5])
    np.testing.assert_allclose(running_contrast(RISE, SOUND)[1:, 0, 0], [0.5, 1.0, 0.5])
    assert np.isnan(running_contrast(RISE, SOUND)[0]).all()
    np.testing.assert_allclose(normalised_contrast(RISE, SOUND)[:, 0, 0], [0, 0, 4 / 6 - 0.5, 0.0])
    np.testing.assert_allclose(normalised_contrast(RISE, SOUND, index=3)[:, 0, 0], [0, 0, 4 / 1.5 - 2, 0], atol=1e-12)
    np.testing.assert_allclose(standard_contrast(RISE + 20, SOUND + 20)[1:, 0, 0], [1.5, 2.0, 1.5])


def test_sound_pixels_have_no_contrast():
    assert (absolute_contrast(RISE, SOUND)[:, 0, 1] == 0).all()
    assert (normalised_contrast(RISE, SOUND)[:, 0, 1] == 0).all()
    np.testing.assert_allclose(standard_contrast(RISE, SOUND)[1:, 0, 1], 1)


@settings(deadline=None, max_examples=20)
@given(energy=st.floats(0.1, 10), ambient=st.floats(-20, 40))
def test_relative_contrasts_do_not_depend_on_energy_or_ambient(energy, ambient):
    np.testing.assert_allclose(
        running_contrast(energy * RISE, energy * SOUND), running_contrast(RISE, SOUND), atol=1e-9
    )
    np.testing.assert_allclose(
        standard_contrast(energy * RISE + ambient, energy * SOUND + ambient)[1:],
        standard_contrast(RISE, SOUND)[1:],
        rtol=1e-6,
    )


def test_curves_must_match():
    with pytest.raises(SequenceError, match=r"expected \(T, ...\) and \(T,\)"):
        absolute_contrast(RISE, SOUND[:-1])
    with pytest.raises(SequenceError, match="frame 4 is wanted of 4 frames"):
        standard_contrast(RISE, SOUND, index=4)


def test_noise_ratios_by_hand():
    image = np.array([[5.0, 7.0, np.nan], [1.0, 3.0, 2.0]])
    defect = np.array([[True, True, True], [False] * 3])
    sound = np.array([[False] * 3, [True, True, False]])
    assert contrast_to_noise(image, defect, sound) == pytest.approx(4 / 1.0)
    assert signal_to_noise_db(image, defect, sound) == pytest.approx(20 * np.log10(4.0))


def test_noise_ratios_without_spread():
    image = np.array([[2.0, 1.0]])
    left = np.array([[True, False]])
    assert contrast_to_noise(image, left, ~left) == np.inf
    assert contrast_to_noise(image, left, left) == 0.0
    assert signal_to_noise_db(image, left, left) == -np.inf


def test_regions_must_fit_and_hold_something():
    image = np.ones((2, 2))
    with pytest.raises(SequenceError, match="sound region has shape"):
        contrast_to_noise(image, image > 0, np.ones((3, 2), dtype=bool))
    with pytest.raises(TruthError, match="the defect region has no pixel"):
        signal_to_noise_db(image, image < 0, image > 0)


def test_ppt_equals_the_fourier_transform():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(31, 3, 2))
    times = 2.0 + 0.25 * np.arange(31)
    ppt = compute_ppt(frames, times, bins=(0, 1, 5, 15))
    expected = 0.25 * np.fft.rfft(frames, axis=0)[[0, 1, 5, 15]]
    np.testing.assert_allclose(ppt.amplitude * np.exp(1j * ppt.phase_rad), expected, atol=1e-12)
    np.testing.assert_allclose(ppt.frequencies_hz, np.fft.rfftfreq(31, 0.25)[[0, 1, 5, 15]])


def test_ppt_window_and_known_phase():
    times = np.arange(64) * 0.1
    wave = np.cos(2 * np.pi * 4 * np.arange(64) / 64 - 0.7)
    plain, hann = (compute_ppt(wave, times, bins=(4, 9), window=window) for window in ("none", "hann"))
    assert plain.phase_rad[0] == pytest.approx(-0.7)
    assert plain.amplitude[0] == pytest.approx(0.1 * 32)
    assert hann.phase_rad[0] == pytest.approx(-0.7)
    assert hann.amplitude[0] == pytest.approx(0.1 * 16)


def test_ppt_refuses_bad_input():
    times, wave = np.arange(8.0), np.ones(8)
    with pytest.raises(SequenceError, match="not evenly spaced"):
        compute_ppt(wave, times**1.1)
    with pytest.raises(SequenceError, match="expected some of 0 to 4"):
        compute_ppt(wave, times, bins=(5,))
    with pytest.raises(UnknownNameError, match="did you mean 'hann'"):
        compute_ppt(wave, times, window="han")
    with pytest.raises(SequenceError, match=r"expected \(T, ...\)"):
        compute_ppt(wave, times[:-1])
