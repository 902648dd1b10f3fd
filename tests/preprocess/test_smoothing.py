"""Smoothing in time and space against SciPy, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.signal import savgol_filter

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError, UnknownNameError
from thermo_qc.preprocess import smooth_in_space, smooth_in_time
from thermo_qc.sequence import Excitation, ThermalSequence

TIME = [{}, {"method": "gaussian"}, {"method": "median"}, {"window_frames": 21, "order": 3}]
SPACE = [{}, {"size_px": 2.5}, {"method": "median"}, {"method": "median", "size_px": 5}]


def noise(n_frames=40, shape=(9, 11), seed=0, times=None):
    frames = np.random.default_rng(seed).normal(20, 1, (n_frames, *shape))
    times = np.arange(float(n_frames)) + 1.0 if times is None else times
    periodic = Excitation(kind="periodic", frequency_hz=0.1)
    return ThermalSequence(frames=frames, times_s=times, unit="K", excitation=periodic)


@pytest.mark.parametrize(("window", "order"), [(5, 2), (11, 2), (21, 3), (3, 0), (9, 8)])
def test_savitzky_golay_is_that_of_scipy(window, order):
    sequence = noise()
    smooth = smooth_in_time(sequence, window_frames=window, order=order)
    np.testing.assert_allclose(smooth.frames, savgol_filter(sequence.frames, window, order, axis=0), atol=2e-6)


def test_gaussian_is_that_of_scipy_away_from_the_ends():
    sequence = noise(60)
    smooth = smooth_in_time(sequence, method="gaussian", sigma_frames=2.0)
    reference = ndimage.gaussian_filter1d(sequence.frames, 2.0, axis=0, truncate=4.0)
    np.testing.assert_allclose(smooth.frames[8:-8], reference[8:-8], atol=1e-5)


def test_median_is_that_of_scipy_away_from_the_ends():
    sequence = noise()
    smooth = smooth_in_time(sequence, method="median", window_frames=5)
    reference = ndimage.median_filter(sequence.frames, size=(5, 1, 1))
    np.testing.assert_allclose(smooth.frames[2:-2], reference[2:-2], rtol=1e-6)


def test_uneven_times_keep_a_parabola():
    times = np.cumsum(np.random.default_rng(1).uniform(0.1, 2.0, 50))
    sequence = noise(50, times=times)
    parabola = (3 - 0.4 * times + 0.05 * times**2)[:, None, None] + np.zeros((1, 4, 5))
    smooth = smooth_in_time(replace(sequence, frames=parabola), window_frames=9)
    np.testing.assert_allclose(smooth.frames, parabola, rtol=1e-5)


@pytest.mark.parametrize("kind", ["long_pulse", "flash", "step"])
def test_less_noise_and_no_bias_at_start_and_stop(simulate, kind):
    quiet = simulate(kind, quiet=True)
    noisy = simulate(kind, fixed_pattern_k=0.0, seed=5)
    smooth = smooth_in_time(noisy)
    error = smooth.frames - quiet.frames
    assert error[60:90].std() < 0.6 * (noisy.frames - quiet.frames)[60:90].std()
    # Nothing of the heating leaks into the frames before it.
    assert np.abs(error[:20].mean()) < 0.003
    cuts = {"long_pulse": [21, 101], "flash": [21], "step": [21]}[kind]
    assert smooth.history[-1].parameters["divided_before_frames"] == cuts
    unknown = replace(noisy, excitation=Excitation())
    found = smooth_in_time(unknown).history[-1].parameters["divided_before_frames"]
    assert np.abs(np.array(found) - cuts).max() <= 1


@pytest.mark.parametrize("options", TIME, ids=str)
def test_gaps_in_time(options):
    sequence = noise()
    frames = sequence.frames.copy()
    frames[10] = np.nan
    frames[20:23, 4, 5] = np.nan
    frames[:, 0, 0] = np.nan
    smooth = smooth_in_time(replace(sequence, frames=frames), **options).frames
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(frames))
    line = 2.0 + 0.1 * np.arange(40.0)[:, None, None]
    straight = np.where(np.isnan(frames), np.nan, line)
    if options.get("method") is None:
        kept = smooth_in_time(replace(sequence, frames=straight), **options).frames
        np.testing.assert_allclose(kept, straight, rtol=1e-5)


@pytest.mark.parametrize("options", TIME, ids=str)
def test_files_in_time(simulate, file_like, options):
    sequence = simulate(seed=2)
    whole = smooth_in_time(sequence, **options).frames
    source = file_like(sequence.frames)
    lazy = smooth_in_time(replace(sequence, frames=source), **options)
    assert lazy.is_lazy
    for key in [(slice(95, 104), slice(3, 5), slice(None)), (slice(None, None, 60), 4, 5), (-1, slice(2), 3)]:
        np.testing.assert_allclose(lazy.frames[key], whole[key], atol=1e-6)
    source.largest = 0
    lazy.frames[100, :, :]
    assert source.largest <= 21 * sequence.frames[0].size


@settings(deadline=None, max_examples=10)
@given(level=st.floats(-300, 300), gain=st.floats(0.01, 10), options=st.sampled_from(TIME))
def test_smoothing_in_time_commutes_with_level_and_gain(level, gain, options):
    sequence = noise(30, (3, 4))
    other = replace(sequence, frames=level + gain * sequence.frames)
    expected = level + gain * smooth_in_time(sequence, **options).frames
    np.testing.assert_allclose(smooth_in_time(other, **options).frames, expected, atol=1e-4)


def test_short_stretches_are_one_window():
    sequence = noise(4)
    np.testing.assert_allclose(
        smooth_in_time(sequence, order=0).frames, np.broadcast_to(sequence.frames.mean(axis=0), (4, 9, 11)), rtol=1e-6
    )
    one = replace(sequence, frames=sequence.frames[:1], times_s=sequence.times_s[:1])
    np.testing.assert_allclose(smooth_in_time(one).frames, one.frames, rtol=1e-6)


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_gaussian_in_space_is_that_of_scipy_away_from_the_rim(sigma):
    sequence = noise(3, (40, 50))
    smooth = smooth_in_space(sequence, size_px=sigma)
    reference = ndimage.gaussian_filter(sequence.frames, (0, sigma, sigma), truncate=4.0)
    reach = int(np.ceil(4 * sigma))
    inner = (slice(None), slice(reach, -reach), slice(reach, -reach))
    np.testing.assert_allclose(smooth.frames[inner], reference[inner], atol=2e-3)


def test_median_in_space_is_that_of_scipy():
    sequence = noise(3, (20, 30))
    smooth = smooth_in_space(sequence, method="median", size_px=5)
    np.testing.assert_allclose(
        smooth.frames, ndimage.median_filter(sequence.frames, (1, 5, 5), mode="nearest"), rtol=1e-6
    )


@pytest.mark.parametrize("options", SPACE, ids=str)
def test_gaps_in_space_neither_give_nor_get(options):
    sequence = noise(2, (20, 30))
    frames = np.full(sequence.frames.shape, 7.0)
    frames[:, :, :8] = np.nan
    frames[1, 5, 20] = np.inf
    smooth = smooth_in_space(replace(sequence, frames=frames), **options).frames
    np.testing.assert_array_equal(np.isfinite(smooth), np.isfinite(frames))
    np.testing.assert_allclose(smooth[np.isfinite(smooth)], 7.0, rtol=1e-6)


@pytest.mark.parametrize("options", SPACE, ids=str)
def test_files_in_space(file_like, options):
    sequence = noise(5, (24, 30))
    sequence.frames[:, 3:6, 10] = np.nan
    whole = smooth_in_space(sequence, **options).frames
    lazy = smooth_in_space(replace(sequence, frames=file_like(sequence.frames)), **options)
    assert lazy.is_lazy
    for key in [(slice(1, 4), slice(5, 9), slice(3, 20, 2)), (2, 0, slice(None)), (slice(None), 23, 29)]:
        np.testing.assert_allclose(lazy.frames[key], whole[key], rtol=1e-6)


def test_noise_falls_as_it_should():
    sequence = noise(4, (80, 90))
    sigma = 2.0
    smooth = smooth_in_space(sequence, size_px=sigma).frames[:, 10:-10, 10:-10]
    assert smooth.std() == pytest.approx(1 / (2 * np.sqrt(np.pi) * sigma), rel=0.1)


def test_millimetres():
    sequence = replace(noise(2, (20, 20)), pixel_pitch_mm=0.5)
    smooth = smooth_in_space(sequence, size_mm=1.0)
    np.testing.assert_array_equal(smooth.frames, smooth_in_space(sequence, size_px=2.0).frames)
    assert smooth.history[-1].parameters == {"method": "gaussian", "size_px": 2.0, "size_mm": 1.0}


def test_errors():
    sequence = noise()
    with pytest.raises(UnknownNameError, match="unknown smoothing in time 'savgl'; did you mean 'savgol'"):
        smooth_in_time(sequence, method="savgl")
    with pytest.raises(ConfigError, match="order came with the smoothing 'median', which takes window_frames"):
        smooth_in_time(sequence, method="median", order=2)
    with pytest.raises(ConfigError, match="window_frames came with the smoothing 'gaussian', which takes sigma_frames"):
        smooth_in_time(sequence, method="gaussian", window_frames=5)
    for window in (4, 1, 5.5, True):
        with pytest.raises(ConfigError, match=f"window_frames is {window}, expected an odd number"):
            smooth_in_time(sequence, window_frames=window)
    for order in (5, -1, 2.5):
        with pytest.raises(ConfigError, match=f"order is {order}, expected a whole number from 0 to 8 below"):
            smooth_in_time(sequence, window_frames=5, order=order)
    with pytest.raises(ConfigError, match="sigma_frames is 0, expected more than 0"):
        smooth_in_time(sequence, method="gaussian", sigma_frames=0.0)
    with pytest.raises(UnknownNameError, match="unknown smoothing in space 'gausian'; did you mean 'gaussian'"):
        smooth_in_space(sequence, method="gausian")
    with pytest.raises(SequenceError, match="size_px 1 and size_mm 2 came, expected one of them"):
        smooth_in_space(sequence, size_px=1, size_mm=2)
    with pytest.raises(MissingFactError, match="a size of 2 mm needs the pixel pitch"):
        smooth_in_space(sequence, size_mm=2)
    for size in (0, -1, 500, float("nan")):
        with pytest.raises(SequenceError, match="size of the smoothing is"):
            smooth_in_space(sequence, size_px=size)
