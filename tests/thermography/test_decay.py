"""Exponential decay against exact curves and scipy.optimize.curve_fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from thermo_qc.errors import ConfigError, SequenceError
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.thermography import DecayMaps, compute_maps, fit_decay, make_method

TIMES = np.arange(1, 301) * 0.1


def one(t, tau, amplitude, offset):
    return amplitude * np.exp(-t / tau) + offset


def two(t, tau_1, tau_2, amplitude_1, amplitude_2, offset):
    return one(t, tau_1, amplitude_1, 0) + one(t, tau_2, amplitude_2, offset)


@settings(deadline=None, max_examples=40)
@given(tau=st.floats(0.15, 80), amplitude=st.floats(-20, 20).filter(lambda a: abs(a) > 0.01), offset=st.floats(-5, 5))
def test_one_exponential_is_found_exactly(tau, amplitude, offset):
    fit = fit_decay(one(TIMES, tau, amplitude, offset), TIMES)
    assert fit.tau_s[0] == pytest.approx(tau, rel=1e-5)
    assert fit.amplitude[0] == pytest.approx(amplitude, rel=1e-5)
    assert fit.offset == pytest.approx(offset, abs=1e-4 * abs(amplitude))
    assert fit.r2 == pytest.approx(1, abs=1e-9)


def test_uneven_times_are_allowed():
    times = np.sort(np.random.default_rng(0).uniform(0.0, 30, 80))
    fit = fit_decay(one(times, 4.0, 2.0, 1.0), times)
    np.testing.assert_allclose([fit.tau_s[0], fit.amplitude[0], fit.offset], [4.0, 2.0, 1.0], rtol=1e-6)


@pytest.mark.parametrize("ratio", [3.0, 10.0])
def test_two_exponentials_are_found(ratio):
    taus = np.geomspace(0.4, 20 / ratio, 12)
    exact = np.stack([taus, ratio * taus, np.full(12, 3.0), np.linspace(-2, 4, 12) + 0.1, np.full(12, 0.5)])
    fit = fit_decay(two(TIMES[:, None], *exact), TIMES, n_terms=2)
    np.testing.assert_allclose(np.concatenate([fit.tau_s, fit.amplitude, fit.offset[None]]), exact, rtol=1e-3)
    assert (np.diff(fit.tau_s, axis=0) > 0).all()


@pytest.mark.parametrize("n_terms", [1, 2])
def test_noisy_curves_reach_curve_fit(n_terms):
    """Same squares left, or fewer, than SciPy from the true values; same parameters."""
    rng = np.random.default_rng(3)
    model, truth = (one, [5.0, 4.0, 1.0]) if n_terms == 1 else (two, [1.0, 9.0, 4.0, 3.0, 1.0])
    rise = model(TIMES, *truth)[:, None] + rng.normal(0, 0.02, (300, 12))
    fit = fit_decay(rise, TIMES, n_terms=n_terms)
    found = np.concatenate([fit.tau_s, fit.amplitude, fit.offset[None]])
    assert np.isfinite(found).all()
    for k in range(12):
        expected, covariance = curve_fit(model, TIMES, rise[:, k], p0=truth, xtol=1e-12, ftol=1e-12)
        left = np.square(rise[:, k] - model(TIMES, *found[:, k])).sum()
        best = np.square(rise[:, k] - model(TIMES, *expected)).sum()
        assert left <= best * (1 + 1e-9)
        np.testing.assert_allclose(found[:, k], expected, atol=1e-3 * np.sqrt(np.diag(covariance)).max())
        assert fit.r2[k] == pytest.approx(1 - left / np.square(rise[:, k] - rise[:, k].mean()).sum(), abs=1e-9)


@settings(deadline=None, max_examples=15)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100), seed=st.integers(0, 50))
def test_scaling_and_shifting_the_rise(scale, shift, seed):
    rng = np.random.default_rng(seed)
    rise = one(TIMES, rng.uniform(1, 10), 3.0, 0.0) + rng.normal(0, 0.05, 300)
    first, second = fit_decay(rise, TIMES), fit_decay(scale * rise + shift, TIMES)
    assert second.tau_s[0] == pytest.approx(first.tau_s[0], rel=1e-4)
    assert second.amplitude[0] == pytest.approx(scale * first.amplitude[0], rel=1e-4)


def test_curves_that_do_not_decay_are_nan_and_say_why(caplog):
    line, constant = -TIMES, np.full(300, 2.0)
    with caplog.at_level("INFO", "thermo_qc.thermography.decay"):
        fit = fit_decay(np.stack([line, constant, np.full(300, np.nan), one(TIMES, 5, 1, 0)], axis=1), TIMES)
    np.testing.assert_array_equal(np.isnan(fit.tau_s[0]), [True, True, True, False])
    np.testing.assert_array_equal(np.isnan(fit.offset), [True, True, True, False])
    np.testing.assert_array_equal(np.isnan(fit.r2), [False, True, True, False])
    assert "2 of 4 pixels: no decay of 1 terms within 0.1 to 89.7 s" in caplog.text


def test_one_exponential_has_no_second():
    fit = fit_decay(one(TIMES, 5.0, 2.0, 0.0), TIMES, n_terms=2)
    # Either the second term is nothing, or none is told.
    assert (
        np.isnan(fit.tau_s).all()
        or np.abs(two(TIMES, *fit.tau_s, *fit.amplitude, fit.offset) - one(TIMES, 5.0, 2.0, 0.0)).max() < 1e-6
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times_s": np.zeros(3)}, r"shape \(300,\) and times \(3,\)"),
        ({"n_terms": 3}, "3 exponentials are wanted"),
        ({"times_s": TIMES - 1}, "times start at -0.9 s"),
        ({"tau_min_s": 5.0, "tau_max_s": 1.0}, "from 5 to 1 s are wanted, expected a growing range"),
        ({"times_s": TIMES + 100, "tau_min_s": 0.5}, "a hundredth of the first time"),
        ({"n_iterations": 0}, "0 iterations"),
        ({"rise": np.zeros(3), "times_s": TIMES[:3]}, "3 frames are left, expected at least 4"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(SequenceError, match=message):
        fit_decay(**{"rise": np.zeros(300), "times_s": TIMES, **change})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_terms": 0}, "n_terms is 0"),
        ({"tau_min_s": -1.0}, "decay.tau_min_s is -1.0"),
        ({"tau_max_s": 0.0}, "decay.tau_max_s is 0.0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        DecayMaps(**options)


@pytest.mark.parametrize("n_terms", [1, 2])
def test_maps_in_blocks_are_those_of_the_whole(n_terms):
    times = np.arange(-10, 300) * 0.1 + 0.05
    taus = np.linspace(2, 8, 20).reshape(4, 5)
    after = np.maximum(times, 0)[:, None, None]
    rise = two(after, taus / 6, taus, 2.0 * (n_terms - 1), 3.0, 0.7) * (times > 0)[:, None, None]
    rise[:, 1, 1] = np.nan
    sequence = ThermalSequence(
        frames=rise.astype(np.float32), times_s=times, unit="K", excitation=Excitation(kind="step", stop_s=0.001)
    )
    method = make_method("decay", {"n_terms": n_terms})
    maps = compute_maps(sequence, {"decay": method}, threads=2, tile_values=310 * 5)
    name = "decay_tau" if n_terms == 1 else "decay_tau_2"
    good = ~np.isnan(rise[0])
    np.testing.assert_allclose(maps[name][good], taus[good], rtol=2e-3)
    np.testing.assert_allclose(maps["decay_r2"][good], 1, atol=1e-6)
    assert all(np.isnan(image.values[1, 1]) for image in maps.images)
    assert [image.layer.unit for image in maps.images] == ["s"] * n_terms + ["K"] * n_terms + ["K", "1"]
    assert maps.images[0].layer.metadata["clock_zero_s"] == pytest.approx(0.001)
