"""The heating stop in recordings of every kind, against closed forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.preprocess import detect_heating_stop
from thermo_qc.preprocess.heating import stop_of_curve
from thermo_qc.sequence import Excitation

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.mark.parametrize("noise_k", [0.0, 0.03, 0.2])
@pytest.mark.parametrize("stop_s", [30.0, 47.3, 60.9])
def test_long_pulse_to_a_fraction_of_a_frame(record, noise_k, stop_s):
    assert detect_heating_stop(record(stop_s=stop_s, noise_k=noise_k)) == pytest.approx(stop_s, abs=0.25)


def test_long_pulse_without_cold_frames(record):
    assert detect_heating_stop(record(n_cold=0)) == pytest.approx(60, abs=0.25)


def test_heating_of_a_few_frames(record):
    assert detect_heating_stop(record(stop_s=4.0)) == pytest.approx(4.0, abs=1.0)


@pytest.mark.parametrize("noise_k", [0.0, 0.1])
def test_flash_is_the_hottest_frame(record, noise_k):
    assert detect_heating_stop(record("flash", noise_k=noise_k)) == 0.0


@pytest.mark.parametrize("noise_k", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["step", "cooling", "none"])
def test_no_stop_in_the_recording(record, kind, noise_k):
    assert detect_heating_stop(record(kind, noise_k=noise_k)) is None


def test_flash_without_cold_frames_is_cooling_only(record):
    assert detect_heating_stop(record("flash", n_cold=0)) is None


def test_periodic_excitation_has_no_stop(record):
    assert detect_heating_stop(replace(record(), excitation=Excitation(kind="periodic", frequency_hz=0.01))) is None


def test_plate_that_saturates_at_a_steady_state():
    times = np.arange(300.0)
    curve = 5 * (1 - np.exp(-times / 20)) + np.random.default_rng(0).normal(0, 0.01, 300)
    assert stop_of_curve(curve, times) is None


def test_slow_drift_after_the_end_does_not_hide_the_stop(record):
    sequence = record()
    drift = 0.005 * sequence.times_s[:, None, None]
    assert detect_heating_stop(replace(sequence, frames=sequence.frames + drift)) == pytest.approx(60, abs=0.3)


def test_missing_frames_and_pixels(record):
    frames = record().frames.copy()
    frames[20], frames[70], frames[:, 4, 4] = np.nan, np.nan, np.inf
    assert detect_heating_stop(replace(record(), frames=frames)) == pytest.approx(60, abs=0.3)


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_too_few_frames(record, n_frames):
    sequence = record()
    short = replace(sequence, frames=sequence.frames[:n_frames], times_s=sequence.times_s[:n_frames])
    assert detect_heating_stop(short) is None


@settings(deadline=None, max_examples=15)
@given(stop_s=st.floats(8, 120), gain=st.floats(0.01, 100), level=st.floats(-50, 350), shift=st.floats(-1000, 1000))
def test_gain_level_and_origin_have_no_influence(stop_s, gain, level, shift):
    times = np.arange(-5.0, 200.0)
    rise = np.sqrt(np.maximum(times, 0)) - np.sqrt(np.maximum(times - stop_s, 0))
    assert stop_of_curve(level + gain * rise, times + shift) - shift == pytest.approx(stop_s, abs=0.2)


def test_real_cooling_has_none():
    path = DATA / "real" / "cfrp_pulsed_60x105x120.mat"
    if not path.exists():
        pytest.skip("shared data are absent")
    from thermo_qc.io import read_sequence

    assert detect_heating_stop(read_sequence(path, variable="F1.images", frame_rate_hz=10.0)) is None
