"""TSR against polynomial fits, the half-space and the slab series."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import SequenceError
from thermo_qc.thermography import depth_from_peak_mm, fit_tsr, second_derivative_peak, synthetic, tsr_derivatives


def slab_flash_rise(times_s, depth_mm, diffusivity_mm2_s, *, terms=200):
    """Rise of an adiabatic slab's face after a unit flash, series of Carslaw and Jaeger; half-space: 1 / sqrt(pi t)."""
    n = np.arange(1, terms + 1)[:, None]
    series = 1 + 2 * np.exp(-(n**2) * depth_mm**2 / (diffusivity_mm2_s * times_s)).sum(axis=0)
    return series / np.sqrt(np.pi * times_s)


def test_same_coefficients_as_polyfit():
    rng = np.random.default_rng(1)
    times = np.geomspace(0.2, 80.0, 90)
    rise = np.exp(rng.normal(0, 0.3, (90, 3, 4))) * 5 / np.sqrt(times)[:, None, None]
    fit = fit_tsr(rise, times, order=5)
    expected = np.polyfit(np.log(times), np.log(rise).reshape(90, -1), 5)[::-1].reshape(6, 3, 4)
    np.testing.assert_allclose(fit.coefficients, expected, rtol=1e-7, atol=1e-8)
    assert fit.order == 5
    assert (fit.n_used == 90).all()
    model = np.log(synthetic(fit, times))
    residual = ((np.log(rise) - model) ** 2).sum(axis=0)
    total = ((np.log(rise) - np.log(rise).mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(fit.r2, 1 - residual / total, rtol=1e-10)


@settings(deadline=None, max_examples=20)
@given(
    coefficients=st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=7),
    start=st.floats(0.05, 200.0),
    ratio=st.floats(3.0, 300.0),
)
def test_recovers_any_polynomial_and_its_derivatives(coefficients, start, ratio):
    times = np.geomspace(start, start * ratio, 60)
    x = np.log(times / times[0]) / np.log(ratio)
    powers = np.polynomial.Polynomial(coefficients)
    rise = np.exp(powers(x))
    fit = fit_tsr(rise, times, order=len(coefficients) - 1)
    np.testing.assert_allclose(synthetic(fit, times), rise, rtol=1e-7)
    first, second = tsr_derivatives(fit, times)
    np.testing.assert_allclose(first, powers.deriv(1)(x) / np.log(ratio), atol=1e-7)
    np.testing.assert_allclose(second, powers.deriv(2)(x) / np.log(ratio) ** 2, atol=1e-6)


def test_half_space_has_slope_minus_one_half():
    times = np.geomspace(0.1, 100, 200)
    first, second = tsr_derivatives(fit_tsr(7 / np.sqrt(np.pi * times), times, 5), times[5:-5])
    np.testing.assert_allclose(first, -0.5, atol=1e-10)
    np.testing.assert_allclose(second, 0.0, atol=1e-9)


def test_step_heating_has_slope_one_half():
    times = np.geomspace(1, 100, 50)
    first, _ = tsr_derivatives(fit_tsr(np.sqrt(times), times, 3), times)
    np.testing.assert_allclose(first, 0.5, atol=1e-10)


@pytest.mark.parametrize(("depth_mm", "diffusivity"), [(1.0, 0.4), (3.0, 0.16)])
def test_slab_peaks_at_the_known_time_and_height(depth_mm, diffusivity):
    peak_s = depth_mm**2 / (np.pi * diffusivity)
    times = np.geomspace(peak_s / 6, peak_s * 6, 400)
    rise = slab_flash_rise(times, depth_mm, diffusivity)
    exact = np.gradient(np.gradient(np.log(rise), np.log(times)), np.log(times))
    assert times[exact.argmax()] == pytest.approx(peak_s, rel=0.01)
    assert exact.max() == pytest.approx(0.474, abs=0.001)
    fit = fit_tsr(rise, times, 11)
    time, height = second_derivative_peak(fit)
    assert float(time) == pytest.approx(peak_s, rel=0.02)
    assert float(height) == pytest.approx(0.474, rel=0.02)
    assert float(depth_from_peak_mm(time, diffusivity)) == pytest.approx(depth_mm, rel=0.01)
    first, _ = tsr_derivatives(fit, np.array([peak_s]))
    assert float(first[0]) == pytest.approx(-0.25, abs=0.01)


def test_no_interior_peak_is_nan_and_pixels_keep_their_place():
    times = np.geomspace(0.1, 100, 80)
    peak_s = 2.0**2 / (np.pi * 0.4)
    rise = np.stack([1 / np.sqrt(times), slab_flash_rise(times, 2.0, 0.4)], axis=1).reshape(80, 1, 2)
    time, height = second_derivative_peak(fit_tsr(rise[:, :, :1], times, 2))
    assert np.isnan(time).all() and np.isnan(height).all()
    time, _ = second_derivative_peak(fit_tsr(rise, times, 9))
    assert time.shape == (1, 2)
    assert time[0, 1] == pytest.approx(peak_s, rel=0.1)


def test_non_positive_samples_are_left_out():
    times = np.geomspace(0.1, 10, 40)
    rise = np.repeat((2 / np.sqrt(times))[:, None], 3, axis=1)
    rise[[5, 17], 0], rise[20, 1], rise[30, 1] = [0.0, -3.0], np.nan, -np.inf
    fit = fit_tsr(rise, times, 3)
    assert fit.n_used.tolist() == [38, 38, 40]
    np.testing.assert_allclose(fit.coefficients[1], -0.5, atol=1e-7)
    np.testing.assert_allclose(fit.r2, 1.0, atol=1e-9)


def test_masked_fit_equals_the_fit_of_what_is_left():
    rng = np.random.default_rng(5)
    times = np.geomspace(0.1, 10, 40)
    rise = np.exp(rng.normal(0, 0.2, 40)) / np.sqrt(times)
    holed = rise.copy()
    holed[25:] = -1.0
    expected = np.polyfit(np.log(times[:25]), np.log(rise[:25]), 3)[::-1]
    np.testing.assert_allclose(fit_tsr(holed, times, 3).coefficients, expected, rtol=1e-6, atol=1e-6)


def test_pixels_without_enough_samples_are_said(caplog):
    times = np.geomspace(0.1, 10, 20)
    rise = np.stack([1 / np.sqrt(times), -np.ones(20)], axis=1)
    with caplog.at_level(logging.WARNING):
        fit = fit_tsr(rise, times, 4)
    assert "1 of 2 pixels" in caplog.text
    assert fit.n_used.tolist() == [20, 0]
    assert np.isfinite(fit.coefficients[:, 0]).all() and np.isnan(fit.coefficients[:, 1]).all() and np.isnan(fit.r2[1])


def test_floor_keeps_every_pixel_and_is_used():
    times = np.geomspace(0.1, 10, 20)
    rise = np.stack([1 / np.sqrt(times), -np.ones(20), np.full(20, np.nan)], axis=1)
    fit = fit_tsr(rise, times, 2, floor=0.05)
    np.testing.assert_allclose(synthetic(fit, times)[:, 1], 0.05, rtol=1e-9)
    assert fit.n_used.tolist() == [20, 0, 0]
    assert fit.r2[1] == 1.0
    assert np.isnan(fit.coefficients[:, 2]).all()


def test_chunks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(4)
    times = np.geomspace(0.1, 10, 30)
    rise = np.exp(rng.normal(0, 0.1, (30, 4, 5)))
    rise[3, 2, 2] = -1
    whole = fit_tsr(rise.astype(np.float32), times, 4)
    peaks = second_derivative_peak(whole)
    monkeypatch.setattr("thermo_qc.thermography.tsr.CHUNK_VALUES", 100)
    monkeypatch.setattr("thermo_qc.thermography.tsr_depth.CHUNK_VALUES", 1000)
    np.testing.assert_allclose(fit_tsr(rise.astype(np.float32), times, 4).coefficients, whole.coefficients, atol=1e-9)
    np.testing.assert_allclose(second_derivative_peak(whole), peaks)


@pytest.mark.parametrize(
    ("rise", "times", "options", "message"),
    [
        (np.ones((4, 2)), np.arange(1.0, 6.0), {}, r"expected \(T, ...\) and \(T,\)"),
        (np.ones(4), np.arange(1.0, 5.0), {"order": 5}, "4 frames came for a TSR fit of order 5, expected at least 6"),
        (np.ones(9), np.arange(9.0), {}, "TSR times start at 0 s"),
        (np.ones(9), np.arange(9.0) + 1, {"floor": 0.0}, "TSR floor is 0.0"),
        (np.ones(9), np.arange(9.0) + 1, {"order": 0}, "order 0"),
    ],
)
def test_bad_input_is_refused(rise, times, options, message):
    with pytest.raises(SequenceError, match=message):
        fit_tsr(rise, times, **options)


def test_evaluation_needs_positive_times():
    fit = fit_tsr(np.ones(9), np.arange(9.0) + 1, 2)
    with pytest.raises(SequenceError, match="positive times only"):
        synthetic(fit, np.array([0.0]))
