"""Normalisations by their defining property."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.config import RepresentationConfig
from thermo_qc.errors import UnknownNameError
from thermo_qc.preprocess import (
    PIXEL_MODES,
    SEQUENCE_MODES,
    normalise,
    normalise_pixels,
    normalise_sequence,
    subtract_cold_frame,
)
from thermo_qc.sequence import ThermalSequence


@pytest.fixture
def rise(record):
    return subtract_cold_frame(record()).between(1.0, None)


def test_modes_are_those_of_the_configuration():
    assert set(PIXEL_MODES) | set(SEQUENCE_MODES) == set(
        get_args(RepresentationConfig.model_fields["normalise"].annotation)
    )


def test_pixel_modes(rise):
    standard = normalise_pixels(rise, "pixel_standard")
    np.testing.assert_allclose(standard.frames.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standard.frames.std(axis=0), 1, rtol=1e-4)
    minmax = normalise_pixels(rise, "pixel_minmax").frames
    np.testing.assert_allclose(minmax.min(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(minmax.max(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(normalise_pixels(rise, "pixel_mean").frames.mean(axis=0), 1, rtol=1e-5)
    assert standard.unit == "counts"
    assert (standard.history[-1].step, standard.history[-1].parameters) == (
        "normalise_pixels",
        {"mode": "pixel_standard"},
    )


def test_sequence_modes(rise):
    standard = normalise_sequence(rise, "sequence_standard").frames
    assert standard.mean() == pytest.approx(0, abs=1e-5)
    assert standard.std() == pytest.approx(1, rel=1e-5)
    minmax = normalise_sequence(rise, "sequence_minmax")
    assert (minmax.frames.min(), minmax.frames.max()) == (0.0, 1.0)
    assert minmax.history[-1].step == "normalise_sequence"


@settings(deadline=None, max_examples=20)
@given(
    gain=st.floats(0.01, 100),
    level=st.floats(-50, 50),
    mode=st.sampled_from(["pixel_standard", "pixel_minmax", "sequence_standard", "sequence_minmax"]),
)
def test_gain_and_level_have_no_influence(gain, level, mode):
    frames = np.random.default_rng(0).normal(size=(12, 3, 4))
    one, other = (
        normalise(ThermalSequence(frames=values, times_s=np.arange(12.0), unit="K"), mode).frames
        for values in (frames, gain * frames + level)
    )
    np.testing.assert_allclose(one, other, atol=2e-2 if gain < 0.1 else 1e-3)


def test_pixel_mean_removes_the_lamp(record):
    flat = normalise(subtract_cold_frame(record(noise_k=0.0)).between(1.0, None), "pixel_mean").frames
    assert np.ptp(flat, axis=(1, 2)).max() < 1e-3


@pytest.mark.parametrize("mode", ["pixel_standard", "pixel_minmax", "pixel_mean"])
def test_pixels_without_signal_become_zero_and_missing_ones_stay_missing(rise, mode):
    frames = np.array(rise.frames)
    frames[:, 2, 3], frames[:, 4, 5], frames[5, 6, 7] = 0.0, np.nan, np.nan
    result = normalise(replace(rise, frames=frames), mode).frames
    assert (result[:, 2, 3] == 0).all()
    assert np.isnan(result[:, 4, 5]).all()
    assert np.isnan(result[:, 6, 7]).sum() == 1
    assert np.isfinite(np.delete(result.reshape(len(result), -1), [4 * 24 + 5, 6 * 24 + 7], axis=1)).all()


@pytest.mark.parametrize("mode", [*PIXEL_MODES[1:], *SEQUENCE_MODES[1:]])
def test_constant_and_empty_sequences(rise, mode):
    constant = normalise(replace(rise, frames=np.full((134, 2, 2), 7.0)), mode).frames
    assert np.isin(constant, [0.0, 1.0]).all()
    assert (constant == (1.0 if mode == "pixel_mean" else 0.0)).all()
    assert np.isnan(normalise(replace(rise, frames=np.full((134, 2, 2), np.nan)), mode).frames).all()


def test_none_changes_nothing(rise):
    assert normalise(rise, "none") is rise
    assert normalise_sequence(rise, "none") is rise


def test_frames_in_a_file_stay_there(rise, file_like):
    lazy = normalise(replace(rise, frames=file_like(rise.frames)), "pixel_minmax")
    assert lazy.is_lazy
    np.testing.assert_array_equal(lazy.loaded().frames, normalise(rise, "pixel_minmax").frames)


def test_unknown_modes_are_refused(rise):
    with pytest.raises(UnknownNameError, match="did you mean 'pixel_standard'"):
        normalise(rise, "pixel_standart")
    with pytest.raises(UnknownNameError, match="unknown normalisation of pixels 'sequence_minmax'"):
        normalise_pixels(rise, "sequence_minmax")
    with pytest.raises(UnknownNameError, match="unknown normalisation of sequences"):
        normalise_sequence(rise, "pixel_mean")
