"""Time axes and resampling: exact on lines, quieter by averaging, bounded in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import SequenceError
from thermo_qc.preprocess import linear_times_s, log_times_s, resample_times, resampling_matrix


def test_time_axes():
    np.testing.assert_allclose(linear_times_s(0.0, 10.0, 5), [0, 2.5, 5, 7.5, 10])
    times = log_times_s(0.1, 100.0, 4)
    np.testing.assert_allclose(times, [0.1, 1, 10, 100])
    assert (times[0], times[-1]) == (0.1, 100.0)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (linear_times_s, (1.0, 1.0, 5), "5 steps from 1 s to 1 s are no time axis"),
        (linear_times_s, (0.0, 1.0, 1), "give at least 2 steps"),
        (log_times_s, (0.0, 1.0, 5), "expected a time greater than 0"),
        (linear_times_s, (0.0, float("nan"), 5), "no time axis"),
    ],
)
def test_impossible_axes_are_refused(make, arguments, message):
    with pytest.raises(SequenceError, match=message):
        make(*arguments)


@st.composite
def axes(draw):
    steps = draw(st.lists(st.floats(0.05, 5.0), min_size=4, max_size=60))
    old = np.cumsum(steps) - draw(st.floats(0, 20))
    share = draw(st.lists(st.floats(0, 1), min_size=1, max_size=30, unique=True))
    new = np.unique(old[0] + np.sort(share) * (old[-1] - old[0]))
    return old, new


@settings(deadline=None, max_examples=60)
@given(axes(), st.floats(-5, 5), st.floats(-3, 3))
def test_lines_are_reproduced_and_weights_sum_to_one(times, level, slope):
    old, new = times
    weights = resampling_matrix(old, new)
    assert weights.shape == (new.size, old.size)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_allclose(
        weights @ (level + slope * old), level + slope * new, atol=1e-8 * (1 + np.abs(old).max())
    )


def test_same_times_change_nothing():
    times = np.array([0.0, 0.3, 1.0, 4.0])
    np.testing.assert_allclose(resampling_matrix(times, times), np.eye(4), atol=1e-12)


def test_sparse_frames_are_interpolated():
    weights = resampling_matrix(np.array([0.0, 1.0, 3.0]), np.array([0.5, 2.5]))
    np.testing.assert_allclose(weights, [[0.5, 0.5, 0], [0, 0.25, 0.75]])


def test_dense_frames_are_averaged(record):
    flat = record("none", noise_k=1.0, n_frames=1000, n_cold=0, rate_hz=10.0)
    resampled = resample_times(flat, np.linspace(1.0, 99.0, 50))
    assert resampled.frames.shape == (50, 20, 24)
    assert resampled.frames[1:-1].std() == pytest.approx(1 / np.sqrt(20), rel=0.05)
    assert resampled.frames.mean() == pytest.approx(22.0, abs=0.01)


def test_bins_do_not_reach_before_the_first_time():
    old = np.arange(0.0, 100.0)
    weights = resampling_matrix(old, np.linspace(40.0, 90.0, 6))
    assert not weights[:, :40].any()
    assert not weights[:, 91:].any()


def test_a_curve_keeps_its_shape_on_log_times(record):
    sequence = record(noise_k=0.0, n_frames=600, rate_hz=2.0)
    times = 60.0 + log_times_s(2.0, 200.0, 24)
    resampled = resample_times(sequence, times)
    expected = 22 + 5 * (np.sqrt(times) - np.sqrt(times - 60)) * 0.8
    np.testing.assert_allclose(resampled.frames[:, 0, 0], expected, atol=0.06)
    np.testing.assert_array_equal(resampled.times_s, times)
    assert resampled.history[-1].step == "resample_times"
    assert resampled.history[-1].parameters["n_steps"] == 24


def test_missing_values_spoil_only_their_own_steps(record):
    frames = record(noise_k=0.0).frames.copy()
    frames[20, 3, 3] = np.nan
    resampled = resample_times(replace(record(), frames=frames), record().times_s[::1])
    assert np.isnan(resampled.frames).sum() == 1
    assert np.isnan(resampled.frames[20, 3, 3])
    frames[:, 3, 3] = np.inf
    resampled = resample_times(replace(record(), frames=frames), linear_times_s(0, 100, 20))
    assert np.isnan(resampled.frames[:, 3, 3]).all()
    assert np.isfinite(resampled.frames).sum() == 20 * 479


def test_millikelvins_survive_on_a_high_level(record):
    times = np.arange(100.0)
    frames = (300.0 + 1e-3 * np.sin(times / 10)[:, None, None]) * np.ones((1, 2, 2))
    sequence = replace(record(), frames=frames, times_s=times, unit="K")
    resampled = resample_times(sequence, linear_times_s(0, 99, 12))
    exact = resampling_matrix(times, linear_times_s(0, 99, 12)) @ frames[:, 0, 0]
    np.testing.assert_allclose(resampled.frames[:, 0, 0], exact, atol=4e-5)


def test_read_in_bands(record, file_like):
    sequence = record()
    source = file_like(sequence.frames)
    lazy = resample_times(replace(sequence, frames=source), linear_times_s(0, 100, 10))
    np.testing.assert_array_equal(lazy.frames, resample_times(sequence, linear_times_s(0, 100, 10)).frames)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ([0.0, 200.0], "from 0 s to 200 s are wanted, the recording runs from -15 s to 134 s"),
        ([-17.0, 3.0], "from -17 s"),
        ([3.0, 3.0], "strictly increase"),
        ([3.0, float("nan")], "strictly increase"),
        ([], "strictly increase"),
    ],
)
def test_impossible_times_are_refused(record, new, message):
    with pytest.raises(SequenceError, match=message):
        resample_times(record(), np.array(new))


def test_half_a_frame_beyond_the_end_is_tolerated_and_one_frame_is_enough():
    weights = resampling_matrix(np.array([0.0, 1.0, 2.0]), np.array([-0.4, 2.4]))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (resampling_matrix(np.array([5.0]), np.array([5.0])) == 1.0).all()
