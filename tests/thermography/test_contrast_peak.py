"""Smoothing as a matrix product, and peaks of contrasts against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import savgol_coeffs

from thermo_qc.errors import SequenceError
from thermo_qc.thermography import find_contrast_peak, half_space_response, slab_response
from thermo_qc.thermography.local_fit import interpolation_matrix, local_polynomial_matrix, log_grid

TIMES = np.arange(1, 401) * 0.05


def test_local_polynomials_keep_polynomials_of_ln_t():
    grid = log_grid(TIMES, 30)
    logs = np.log(TIMES)
    curve = 2 - 0.7 * logs + 0.3 * logs**2
    value = local_polynomial_matrix(TIMES, grid) @ curve
    np.testing.assert_allclose(value, 2 - 0.7 * np.log(grid) + 0.3 * np.log(grid) ** 2, rtol=1e-9)
    slope = local_polynomial_matrix(TIMES, grid, derivative=1) @ curve
    np.testing.assert_allclose(slope, (-0.7 + 0.6 * np.log(grid)) / grid, rtol=1e-8, atol=1e-9)


def test_interpolation_equals_numpy_and_a_mean():
    at = np.array([0.05, 0.333, 7.77, 20.0])
    curve = np.random.default_rng(0).normal(size=TIMES.size)
    np.testing.assert_allclose(interpolation_matrix(TIMES, at) @ curve, np.interp(at, TIMES, curve), rtol=1e-9)
    middle = interpolation_matrix(TIMES, TIMES[[200]], 5)[0]
    np.testing.assert_allclose(middle[198:203], savgol_coeffs(5, 1), atol=1e-12)
    assert interpolation_matrix(TIMES, np.array([0.338]), 1)[0].argmax() == 6
    with pytest.raises(SequenceError, match=r"\[21.0\] s are wanted of frames from 0.05 to 20 s"):
        interpolation_matrix(TIMES, np.array([1.0, 21.0]))
    with pytest.raises(SequenceError, match="500 frames are to be averaged of 400"):
        interpolation_matrix(TIMES, at, 500)


def test_peak_slope_time_of_a_wide_defect_in_a_thick_plate():
    """t_s = 3.64 L^2 / (pi^2 alpha), between frames."""
    alpha = 0.4
    for depth in (0.8, 1.1, 1.5):
        defect = slab_response(TIMES, thickness_mm=depth, diffusivity_mm2_s=alpha)
        sound = depth / np.sqrt(np.pi * alpha) * half_space_response(TIMES)
        peak = find_contrast_peak(defect, sound, TIMES, noise=0.0, slope=True, width=0.1)
        assert peak.time_s == pytest.approx(3.64 * depth**2 / (np.pi**2 * alpha), rel=0.01)


def test_largest_contrast_between_frames_and_above_the_noise():
    sound = 1 / np.sqrt(TIMES)
    contrast = 0.5 * TIMES / 3.33 * np.exp(1 - TIMES / 3.33)
    rng = np.random.default_rng(0)
    curves = np.stack([sound + contrast, sound, sound + contrast, sound - contrast], axis=1)
    exact = find_contrast_peak(curves[:, :1], sound, TIMES, noise=0.0, width=0.05)
    assert exact.time_s[0] == pytest.approx(3.33, rel=1e-3)
    assert exact.height[0] == pytest.approx(0.5, rel=1e-3)
    noisy = curves + rng.normal(0, 0.02, curves.shape)
    noisy[5, 2] = np.nan
    found = find_contrast_peak(noisy, sound, TIMES, noise=0.02, width=0.3)
    assert found.time_s[0] == pytest.approx(3.33, rel=0.1)
    assert np.isnan(found.time_s[1:]).all() and np.isnan(found.height[1:]).all()
    assert np.isnan(found.largest[2]) and np.isfinite(found.largest[[0, 1, 3]]).all()


def test_a_plateau_has_no_peak():
    sound = 1 / np.sqrt(TIMES)
    rise = sound + 0.3 * (1 - np.exp(-TIMES))
    noisy = rise[:, None] + np.random.default_rng(0).normal(0, 0.02, (TIMES.size, 500))
    found = find_contrast_peak(noisy, sound, TIMES, noise=0.02)
    assert np.isnan(found.time_s).mean() > 0.99 and (found.largest > 0.28).all()


def test_noise_alone_makes_no_peak():
    sound = 1 / np.sqrt(TIMES)
    noise = np.random.default_rng(1).normal(0, 0.02, (TIMES.size, 2000))
    for slope in (False, True):
        found = find_contrast_peak(sound[:, None] + noise, sound, TIMES, noise=0.02, slope=slope)
        assert np.isfinite(found.time_s).mean() < 0.002


def test_blocks_equal_the_whole_and_shape_is_kept():
    rng = np.random.default_rng(2)
    curves = rng.normal(size=(400, 4, 5)).astype(np.float32)
    whole = find_contrast_peak(curves, np.zeros(400), TIMES, noise=0.1)
    assert whole.time_s.shape == (4, 5)
    parts = [find_contrast_peak(curves[:, i], np.zeros(400), TIMES, noise=0.1).time_s for i in range(4)]
    np.testing.assert_allclose(np.stack(parts), whole.time_s, rtol=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(SequenceError, match=r"curves have shape \(4,\), the sound curve \(4,\)"):
        find_contrast_peak(np.ones(4), np.ones(4), TIMES[:4], noise=0.0)
    with pytest.raises(SequenceError, match="times start at -1 s, expected positive ones"):
        find_contrast_peak(np.ones(6), np.ones(6), np.arange(-1.0, 5.0), noise=0.0)
    with pytest.raises(SequenceError, match="3 frames from 1 s came, expected 5 or more"):
        local_polynomial_matrix(np.arange(1.0, 4.0), np.array([2.0]))
