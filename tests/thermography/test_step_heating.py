"""Straight lines of step heating and of the cooling against closed forms and np.polyfit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, SequenceError
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.thermography import StepHeatingMaps, compute_maps, fit_line, fit_sqrt_time, make_method

FLUX, EFFUSIVITY = 1000.0, 755.0


def test_thick_plate_has_slope_two_q_over_e_root_pi():
    times = np.arange(1, 200) * 0.3
    fit = fit_sqrt_time(2 * FLUX / EFFUSIVITY * np.sqrt(times / np.pi), times)
    assert fit.slope == pytest.approx(2 * FLUX / (EFFUSIVITY * np.sqrt(np.pi)))
    assert fit.intercept == pytest.approx(0, abs=1e-10)
    assert fit.r2 == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lines_equal_polyfit(dtype):
    rng = np.random.default_rng(0)
    places = np.sort(rng.uniform(0, 9, 60))
    values = (rng.normal(size=(60, 3, 4)) + places[:, None, None] * rng.normal(size=(3, 4)) + 20).astype(dtype)
    fit = fit_line(values, places)
    flat = values.reshape(60, -1).astype(np.float64)
    slope, intercept = np.polyfit(places, flat, 1)
    left = flat - np.outer(places, slope) - intercept
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(fit.slope.ravel(), slope, atol=tolerance)
    np.testing.assert_allclose(fit.intercept.ravel(), intercept, atol=20 * tolerance)
    np.testing.assert_allclose(fit.r2.ravel(), 1 - left.var(axis=0) / flat.var(axis=0), atol=tolerance)
    assert fit.slope.dtype == dtype


@settings(deadline=None, max_examples=25)
@given(scale=st.floats(0.1, 100), shift=st.floats(-50, 50), seed=st.integers(0, 99))
def test_scaling_the_rise_scales_the_line(scale, shift, seed):
    values = np.random.default_rng(seed).normal(size=(20, 3))
    places = np.arange(20.0)
    first, second = fit_line(values, places), fit_line(scale * values + shift, places)
    np.testing.assert_allclose(second.slope, scale * first.slope, atol=1e-9 * scale)
    np.testing.assert_allclose(second.intercept, scale * first.intercept + shift, atol=1e-8 * (scale + 1))
    np.testing.assert_allclose(second.r2, first.r2, atol=1e-7)


def test_curves_without_value_or_spread():
    values = np.stack([np.arange(9.0), np.full(9, 3.0), np.where(np.arange(9) == 4, np.nan, 1.0)], axis=1)
    fit = fit_line(values, np.arange(9.0))
    np.testing.assert_array_equal(np.isnan(fit.slope), [False, False, True])
    np.testing.assert_array_equal(np.isnan(fit.r2), [False, True, True])
    assert fit.slope[1] == 0
    assert fit.intercept[1] == 3


def test_refusals():
    with pytest.raises(SequenceError, match=r"shape \(5,\) and times \(4,\)"):
        fit_line(np.zeros(5), np.zeros(4))
    with pytest.raises(SequenceError, match="expected at least 3"):
        fit_line(np.zeros(2), np.arange(2.0))
    with pytest.raises(SequenceError, match="first time is -1 s"):
        fit_sqrt_time(np.zeros(5), np.arange(-1.0, 4.0))


def recording(kind="step", stop_s=20.0) -> ThermalSequence:
    """Thick plates of different effusivity, heated from 0 to the stop and cooling after it."""
    times = np.arange(-10, 400) * 0.1 + 0.05
    strength = np.linspace(1, 3, 12).reshape(3, 4)
    root = np.sqrt(np.maximum(times, 0)) - np.sqrt(np.maximum(times - stop_s, 0))
    if kind == "flash":
        root = np.where(times > stop_s, 1 / np.sqrt(np.maximum(times - stop_s / 2, 1e-3)), 0)
    frames = root[:, None, None] * strength
    frames[:, 2, 3] = np.nan
    return ThermalSequence(frames=frames, times_s=times, unit="K", excitation=Excitation(kind=kind, stop_s=stop_s))


def test_maps_of_the_heating():
    method = make_method("step_heating", {"t_start_s": 1.0, "t_end_s": 15.0})
    maps = compute_maps(recording(), {"step_heating": method}, threads=1, tile_values=410 * 4)
    good = np.arange(12).reshape(3, 4) < 11
    np.testing.assert_allclose(maps["step_slope"][good], np.linspace(1, 3, 12)[:-1], rtol=1e-5)
    np.testing.assert_allclose(maps["step_intercept"][good], 0, atol=1e-5)
    np.testing.assert_allclose(maps["step_r2"][good], 1, atol=1e-5)
    assert all(np.isnan(image.values[2, 3]) for image in maps.images)
    layer = maps.images[0].layer
    assert layer.unit == "K/s^0.5"
    assert 1 <= layer.metadata["t_start_s"] < 1.1 and 14.9 < layer.metadata["t_end_s"] <= 15
    assert layer.metadata["clock_zero_s"] == 0


def test_maps_of_the_cooling():
    maps = compute_maps(recording("flash", 0.1), {"step_heating": StepHeatingMaps(part="cooling")}, threads=1)
    good = np.arange(12).reshape(3, 4) < 11
    np.testing.assert_allclose(maps["step_cooling_slope"][good], -0.5, atol=1e-4)
    np.testing.assert_allclose(maps["step_cooling_intercept"][good], np.log(np.linspace(1, 3, 12)[:-1]), atol=1e-4)
    both = compute_maps(recording(), {"step_heating": StepHeatingMaps(part="both")}, threads=1)
    assert len(both.images) == 6


def test_floor_keeps_pixels_below_zero():
    sequence = recording()
    values = np.array(sequence.frames)
    values[300:, 0, 0] = -1.0
    cold = ThermalSequence(frames=values, times_s=sequence.times_s, unit="K", excitation=sequence.excitation)
    method = {name: StepHeatingMaps(part="cooling", floor=floor) for name, floor in (("none", None), ("floor", 0.5))}
    slopes = [
        compute_maps(cold, {"step_heating": one}, threads=1)["step_cooling_slope"][0, 0] for one in method.values()
    ]
    assert np.isfinite(slopes).all()
    assert slopes[0] != pytest.approx(slopes[1], rel=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "all"}, "part is 'all'"),
        ({"floor": -1.0, "part": "both"}, "floor is -1.0"),
        ({"floor": 1.0}, "need part cooling or both"),
        ({"part": "cooling", "t_end_s": 4.0}, "are of the heating"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        StepHeatingMaps(**options)


def test_windows_without_frames():
    with pytest.raises(SequenceError, match="0 frames are in the window of the heating"):
        compute_maps(recording(), {"step_heating": StepHeatingMaps(t_start_s=50.0)})
    with pytest.raises(SequenceError, match="2 frames are in the window of the cooling"):
        compute_maps(recording(), {"step_heating": StepHeatingMaps(part="cooling", cooling_end_s=0.2)})
