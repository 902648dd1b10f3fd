"""Blind frequency of the closed form of a layer's phase, and of simulated recordings of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from thermo_qc.errors import SequenceError
from thermo_qc.thermography import (
    CLOSED_FORM_FACTOR,
    blind_frequency,
    compute_ppt,
    depth_from_blind_frequency_mm,
    phase_noise_rad,
    slab_response,
    spectrum_matrix,
)

ALPHA = 0.2
FREQUENCIES = np.geomspace(1e-4, 5.0, 400)


def layer_phase(frequencies, depth_mm):
    """Phase of an insulated layer after a flash less that of a thick plate: of coth(sqrt(i omega / alpha) L)."""
    sigma = np.sqrt(2j * np.pi * np.asarray(frequencies) / ALPHA)
    return np.angle(1 / np.tanh(sigma * depth_mm))


def thick_phase(frequencies):
    return np.full(np.shape(frequencies), -np.pi / 4)


@pytest.mark.parametrize("depth_mm", [0.5, 1.3, 4.0])
def test_noise_free_contrast_vanishes_at_half_pi(depth_mm):
    phase = thick_phase(FREQUENCIES) + layer_phase(FREQUENCIES, depth_mm)
    found = blind_frequency(phase, thick_phase(FREQUENCIES), FREQUENCIES, threshold_rad=1e-4)
    assert depth_from_blind_frequency_mm(found, ALPHA, np.pi / 2) == pytest.approx(depth_mm, rel=1e-3)


@pytest.mark.parametrize("threshold", [0.03, 0.1])
def test_threshold_lowers_the_factor(threshold):
    depths = np.array([0.7, 1.0, 2.5])
    phase = np.stack([layer_phase(FREQUENCIES, z) for z in depths], axis=1)
    found = blind_frequency(phase, np.zeros(400), FREQUENCIES, threshold_rad=threshold)
    factor = brentq(lambda x: np.angle(1 / np.tanh((1 + 1j) * x)) + threshold, 0.8, np.pi / 2)
    np.testing.assert_allclose(depth_from_blind_frequency_mm(found, ALPHA, factor), depths, rtol=1e-3)


def test_phases_wrap_and_shapes_are_kept():
    phase = layer_phase(FREQUENCIES, 1.0)
    plain = blind_frequency(phase, np.zeros(400), FREQUENCIES, threshold_rad=0.05)
    turned = (np.stack([phase, phase]).T + 3.1 + np.pi) % (2 * np.pi) - np.pi
    found = blind_frequency(turned, np.full(400, 3.1), FREQUENCIES, threshold_rad=np.full((400, 2), 0.05))
    np.testing.assert_allclose(found, plain, rtol=1e-9)
    assert blind_frequency(turned.reshape(400, 2, 1), np.zeros(400), FREQUENCIES, threshold_rad=9.0).shape == (2, 1)


def test_no_contrast_or_no_end_of_it_is_nan():
    low = FREQUENCIES[:100]
    phase = np.stack([0.01 * np.ones(100), layer_phase(low, 0.01), np.full(100, np.nan)], axis=1)
    found = blind_frequency(phase, np.zeros(100), low, threshold_rad=0.05)
    assert np.isnan(found).all()


@pytest.mark.parametrize("times", [np.arange(1, 600) * 0.05 + 0.015, np.arange(1, 401) * 0.1])
def test_recorded_curves_give_the_spectrum_of_whole_ones(times):
    """Frames from 0.07 or 0.1 s to 30 or 40 s, without the first moments and the end of the cooling."""
    depths = np.array([0.8, 1.0, 1.3, 1.6])
    curves = np.stack([slab_response(times, thickness_mm=z, diffusivity_mm2_s=ALPHA) / z for z in depths], axis=1)
    sound = 1 / np.sqrt(np.pi * ALPHA * times)
    wanted = np.geomspace(1 / 30, 2.0, 64)
    matrix = spectrum_matrix(times, wanted)
    phase = np.angle(matrix @ curves)
    inside = slice(12, 45)
    expected = layer_phase(wanted, 1.0)[inside]
    found = ((phase[:, 1] - np.angle(matrix @ sound) + np.pi) % (2 * np.pi) - np.pi)[inside]
    np.testing.assert_allclose(found, expected, atol=0.02)
    blind = blind_frequency(phase, np.angle(matrix @ sound), wanted, threshold_rad=0.03)
    np.testing.assert_allclose(depth_from_blind_frequency_mm(blind, ALPHA, CLOSED_FORM_FACTOR), depths, rtol=0.02)
    with pytest.raises(SequenceError, match="times start at 0 s"):
        spectrum_matrix(times - times[0], wanted)


def test_noise_of_the_phase():
    rng = np.random.default_rng(0)
    times = np.arange(200) * 0.1
    curve = 5 * np.exp(-times)
    found = compute_ppt(curve[:, None] + rng.normal(0, 0.05, (200, 4000)), times, (2, 5, 20))
    clean = compute_ppt(curve, times, (2, 5, 20))
    expected = phase_noise_rad(clean.amplitude, 0.05, np.full(200, 0.1))
    np.testing.assert_allclose(found.phase_rad.std(axis=1), expected, rtol=0.06)
    each = phase_noise_rad(clean.amplitude, 0.05, np.full((3, 200), 0.1))
    np.testing.assert_allclose(each, expected)
    assert np.isinf(phase_noise_rad(np.zeros(1), 0.1, np.ones(3)))


def test_bad_input_is_refused():
    with pytest.raises(SequenceError, match=r"phases have shape \(3,\)"):
        blind_frequency(np.zeros(3), np.zeros(400), FREQUENCIES, threshold_rad=0.1)
    with pytest.raises(SequenceError, match="not positive and increasing"):
        blind_frequency(np.zeros(2), np.zeros(2), np.array([2.0, 1.0]), threshold_rad=0.1)
    with pytest.raises(SequenceError, match=r"diffusivity is -1\.0 mm2/s and C1 1\.82"):
        depth_from_blind_frequency_mm(np.ones(1), -1.0)
