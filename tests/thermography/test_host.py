"""Higher-order statistics beside SciPy's, their invariances, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, SequenceError
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.thermography import central_moments, compute_maps, make_method


def test_equal_to_scipy():
    rng = np.random.default_rng(0)
    curves = rng.gamma(2.0, 1.0, (200, 4, 5))
    skewness, kurtosis, fifth = central_moments(curves, (3, 4, 5))
    np.testing.assert_allclose(skewness, scipy.stats.skew(curves, axis=0), rtol=1e-10)
    np.testing.assert_allclose(kurtosis, scipy.stats.kurtosis(curves, axis=0, fisher=False), rtol=1e-10)
    expected = scipy.stats.moment(curves, 5, axis=0) / curves.std(axis=0) ** 5
    np.testing.assert_allclose(fifth, expected, rtol=1e-10)
    np.testing.assert_allclose(central_moments(curves.astype(np.float32))[0], skewness, rtol=1e-4)


def test_known_values():
    two_points = np.array([0.0, 0.0, 0.0, 1.0])  # a fair share of 1/4: skewness (1 - 2 p) / sqrt(p (1 - p))
    skewness, kurtosis = central_moments(two_points)
    assert float(skewness) == pytest.approx(0.5 / np.sqrt(0.1875))
    assert float(kurtosis) == pytest.approx((1 - 6 * 0.1875) / 0.1875 + 3)
    half_space = central_moments(1 / np.sqrt(np.linspace(0.1, 10, 2000)))
    assert half_space[0] > 2 and half_space[1] > 6


@settings(deadline=None, max_examples=25)
@given(gain=st.floats(0.1, 50), offset=st.floats(-20, 20), seed=st.integers(0, 100))
def test_gain_and_offset_drop_out_and_a_mirror_turns_the_skewness(gain, offset, seed):
    curves = np.random.default_rng(seed).gamma(2.0, 1.0, (60, 3))
    plain = central_moments(curves)
    np.testing.assert_allclose(central_moments(gain * curves + offset), plain, rtol=1e-6)
    np.testing.assert_allclose(central_moments(-curves), plain * [[-1], [1]], rtol=1e-9)


def test_flat_and_broken_curves_are_nan():
    curves = np.ones((10, 3))
    curves[:, 1] = np.arange(10)
    curves[4, 2] = np.nan
    moments = central_moments(curves)
    assert np.isnan(moments[:, 0]).all() and np.isfinite(moments[:, 1]).all() and np.isnan(moments[:, 2]).all()


def test_bad_input_is_refused():
    with pytest.raises(SequenceError, match="at least 3 frames"):
        central_moments(np.ones((2, 4)))
    with pytest.raises(SequenceError, match="expected some from 3 on"):
        central_moments(np.ones((5, 4)), (2,))
    with pytest.raises(ConfigError, match=r"host\.orders are \[2\]"):
        make_method("host", {"orders": [2]})


def test_maps_are_the_moments_of_the_cooling():
    rng = np.random.default_rng(1)
    times = np.arange(50) * 0.1 - 0.45
    frames = np.where(times[:, None, None] > 0, 5 / np.sqrt(np.maximum(times, 0.05))[:, None, None], 0) * np.ones(
        (50, 6, 7)
    )
    frames = 20 + frames * rng.uniform(0.5, 1.5, (6, 7)) + rng.normal(0, 0.05, frames.shape)
    plate = ThermalSequence(
        frames=frames, times_s=times, unit="degC", excitation=Excitation(kind="flash", start_s=0.0, stop_s=0.01)
    )
    maps = compute_maps(plate, {"host": make_method("host", {"orders": [3, 4, 6], "t_start_s": 0.5})})
    after = times - 0.005 >= 0.5
    expected = central_moments(frames[after] - frames[times < 0].mean(axis=0), (3, 4, 6))
    for name, values in zip(("host_skewness", "host_kurtosis", "host_moment_6"), expected, strict=True):
        np.testing.assert_allclose(maps[name], values, rtol=1e-3)
    whole = compute_maps(plate, {"host": make_method("host", {"frames": "all"})})
    np.testing.assert_allclose(whole["host_skewness"], central_moments(frames)[0], rtol=1e-3)
