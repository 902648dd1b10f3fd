"""Noise estimates and the verdict on recordings that are good, poor and in between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import SequenceError
from thermo_qc.preprocess import assess_recording, estimate_noise, pixel_statistics
from thermo_qc.sequence import Excitation, Material, ThermalSequence

GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.3,
    conductivity_in_plane_w_mk=0.4,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)


@pytest.mark.parametrize("kind", ["long_pulse", "step", "flash", "none"])
@pytest.mark.parametrize("n_cold", [0, 15])
def test_noise_of_every_kind(record, kind, n_cold):
    assert estimate_noise(record(kind, noise_k=0.05, n_cold=n_cold)) == pytest.approx(0.05, rel=0.06)


@settings(deadline=None, max_examples=15)
@given(noise=st.floats(0.01, 10), level=st.floats(-100, 300), slope=st.floats(-1, 1), seed=st.integers(0, 99))
def test_noise_on_uneven_times_ignores_level_and_slope(noise, level, slope, seed):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.2, 3.0, 80))
    frames = level + slope * times[:, None, None] + rng.normal(0, noise, (80, 12, 12))
    sequence = ThermalSequence(frames=frames, times_s=times, unit="K")
    assert estimate_noise(sequence) == pytest.approx(noise, rel=0.12)


def test_noise_below_the_quantisation_step(record):
    sequence = record("none", noise_k=0.1)
    counts = replace(sequence, frames=np.round(sequence.frames), unit="counts")
    assert estimate_noise(counts) == 0.0
    sequence = record("none", noise_k=0.25, n_cold=0)
    counts = replace(sequence, frames=np.round(sequence.frames).astype(np.int16), unit="counts")
    assert 0.05 < estimate_noise(counts) < 0.5


def test_noise_with_missing_values(record):
    frames = record(noise_k=0.05).frames.copy()
    frames[::7, 3, 3], frames[:, 5, 5] = np.nan, np.inf
    sequence = replace(record(), frames=frames)
    assert estimate_noise(sequence) == pytest.approx(0.05, rel=0.06)
    with pytest.raises(SequenceError, match="no pixel has finite values"):
        estimate_noise(replace(sequence, frames=np.full(frames.shape, np.nan)))


def test_noise_needs_three_frames(record):
    sequence = record()
    with pytest.raises(SequenceError, match="2 frames came, expected at least 3"):
        estimate_noise(replace(sequence, frames=sequence.frames[:2], times_s=sequence.times_s[:2]))


def test_noise_samples_rows_of_large_frames(record, monkeypatch, file_like):
    monkeypatch.setattr("thermo_qc.preprocess.statistics.NOISE_SAMPLES", 2000)
    source = file_like(record(noise_k=0.05).frames)
    assert estimate_noise(replace(record(), frames=source)) == pytest.approx(0.05, rel=0.2)
    assert source.largest <= 38 * 24


def test_statistics_of_pixels(record):
    sequence = record(noise_k=0.05)
    frames = sequence.frames.copy()
    frames[5, 1, 1], frames[:, 2, 2] = np.nan, np.nan
    statistics = pixel_statistics(replace(sequence, frames=frames))
    assert (statistics.n_finite[0, 0], statistics.n_finite[1, 1], statistics.n_finite[2, 2]) == (150, 149, 0)
    for name, function in [("mean", np.mean), ("std", np.std), ("minimum", np.min), ("maximum", np.max)]:
        values = getattr(statistics, name)
        assert values[0, 0] == pytest.approx(function(frames[:, 0, 0], axis=0), rel=1e-5)
        assert np.isnan(values[2, 2])
    assert np.median(statistics.noise[3:]) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("columns", [slice(None), slice(3, 17)])
def test_statistics_do_not_depend_on_how_the_frames_lie_in_memory(record, columns):
    frames = record(noise_k=0.05).frames.copy()
    frames[5, 1, 4] = np.nan
    pixel_after_pixel = np.ascontiguousarray(frames.transpose(1, 2, 0)).transpose(2, 0, 1)  # as native files give them
    one, other = (
        pixel_statistics(replace(record(), frames=values[:, :, columns])) for values in (frames, pixel_after_pixel)
    )
    for name, values in vars(one).items():
        np.testing.assert_array_equal(getattr(other, name), values, err_msg=name)


def test_good_recording(record):
    sequence = replace(record(), excitation=Excitation(kind="long_pulse", stop_s=60.0), thickness_mm=8.0)
    quality = assess_recording(sequence, material=GFRP)
    assert quality.verdict == "good"
    assert quality.problems == ()
    assert quality.noise == pytest.approx(0.02, rel=0.06)
    assert quality.detected_heating_stop_s == pytest.approx(60, abs=0.3)
    assert quality.n_cold_frames == 15
    assert quality.duration_s == 134.0
    assert quality.reachable_depth_mm == pytest.approx(np.sqrt(0.3 / 1.9 * 134.0))
    assert quality.remarks == ("Heat travels about 4.6 mm in 134 s.",)
    assert (quality.n_nan_pixels, quality.n_dead_pixels, quality.n_saturated_pixels, quality.constant) == (
        0,
        0,
        0,
        False,
    )


def test_own_material_comes_first_and_depth_is_left_open_without(record):
    quick = replace(GFRP, conductivity_through_w_mk=1.2)
    quality = assess_recording(replace(record(), material=quick), material=GFRP)
    assert quality.reachable_depth_mm == pytest.approx(2 * np.sqrt(0.3 / 1.9 * 134.0))
    unknown = assess_recording(record())
    assert unknown.reachable_depth_mm is None
    assert any("material is unknown" in remark for remark in unknown.remarks)


def test_too_short_for_its_thickness(record):
    quality = assess_recording(replace(record(), thickness_mm=17.0), material=GFRP)
    assert quality.verdict == "usable"
    assert any("4.6 mm in 134 s, less than half of the 17 mm plate" in problem for problem in quality.problems)


def test_without_cold_frames(record):
    quality = assess_recording(record("cooling", n_cold=0))
    assert quality.verdict == "usable"
    assert any("No cold frames" in problem for problem in quality.problems)
    assert any("neither stated nor visible" in remark for remark in quality.remarks)


def test_stated_and_visible_stop_disagree(record):
    sequence = replace(record(), excitation=Excitation(kind="long_pulse", stop_s=30.0))
    remarks = assess_recording(sequence).remarks
    assert any("stated as 30 s, the curves show it at 60" in remark for remark in remarks)
    unstated = assess_recording(record()).remarks
    assert any("not stated; the curves show it at 60" in remark for remark in unstated)
    for kind in ("flash", "step"):
        assert not any("heating stop" in remark for remark in assess_recording(record(kind)).remarks)


@pytest.mark.parametrize("bits", [8, 12, 14, 16])
def test_saturation_at_the_end_of_the_counts(record, bits):
    sequence = record(noise_k=0.05)
    top = 2**bits - 1
    scaled = sequence.frames * (top / 40.0)
    frames = np.minimum(np.round(scaled), top).astype(np.uint8 if bits == 8 else np.uint16)
    quality = assess_recording(replace(sequence, frames=frames, unit="counts"))
    clipped = np.round(scaled) >= top
    assert quality.n_saturated_frames == clipped.any(axis=(1, 2)).sum() > 0
    assert quality.n_saturated_pixels == clipped.any(axis=0).sum() > 0
    assert quality.verdict != "good"
    assert any("saturate" in problem for problem in quality.problems)


def test_saturation_at_an_unknown_upper_end(record):
    sequence = record(noise_k=0.05)
    quality = assess_recording(replace(sequence, frames=np.minimum(sequence.frames, 50.0)))
    long_enough = (sequence.frames >= 50.0).sum(axis=0) >= 2
    assert quality.n_saturated_pixels == long_enough.sum() > 4
    assert quality.n_saturated_frames > 0
    assert quality.value_max == 50.0


@pytest.mark.parametrize("noise_k", [0.0, 0.02])
@pytest.mark.parametrize("kind", ["long_pulse", "step", "flash"])
def test_no_saturation_without_a_plateau(record, kind, noise_k):
    sequence = record(kind, noise_k=noise_k)
    assert assess_recording(sequence).n_saturated_pixels == 0
    quantised = replace(sequence, frames=np.round(sequence.frames, 2))
    assert assess_recording(quantised).n_saturated_pixels == 0


def test_a_stuck_hot_pixel_is_dead_not_saturated(record):
    frames = record().frames.copy()
    frames[:, 7, 7] = 400.0
    quality = assess_recording(replace(record(), frames=frames))
    assert (quality.n_dead_pixels, quality.n_saturated_pixels) == (1, 0)
    assert quality.value_max < 100
    assert any("1 dead pixels" in remark for remark in quality.remarks)


def test_many_dead_pixels_are_a_problem(record):
    frames = record().frames.copy()
    frames[:, ::5, ::6] = 0.0
    quality = assess_recording(replace(record(), frames=frames))
    assert quality.verdict == "usable"
    assert any("16 dead pixels (3.3 %)" in problem for problem in quality.problems)


def test_missing_values(record):
    frames = record().frames.copy()
    frames[:, :2] = np.nan
    quality = assess_recording(replace(record(), frames=frames))
    assert (quality.n_nan_pixels, quality.verdict) == (48, "usable")
    frames[:, :15] = np.nan
    assert assess_recording(replace(record(), frames=frames)).verdict == "poor"
    empty = assess_recording(replace(record(), frames=np.full(frames.shape, np.nan)))
    assert (empty.verdict, empty.value_max, empty.noise) == ("poor", None, None)
    assert "No pixel has a finite value." in empty.problems


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (np.full((30, 4, 5), 21.0), "All pixels keep one value"),
        (np.random.default_rng(0).normal(20, 0.1, (30, 4, 5)), "no more than noise"),
    ],
)
def test_recordings_of_nothing_are_poor(frames, sentence):
    quality = assess_recording(ThermalSequence(frames=frames, times_s=np.arange(-5.0, 25.0), unit="degC"))
    assert quality.verdict == "poor"
    assert any(sentence in problem for problem in quality.problems)


def test_few_frames_and_frames_before_the_heating_only(record):
    sequence = record()
    short = replace(sequence, frames=sequence.frames[14:16], times_s=sequence.times_s[14:16])
    quality = assess_recording(short)
    assert quality.noise is None
    assert any("Only 2 frames" in problem for problem in quality.problems)
    early = assess_recording(sequence.between(None, -1.0))
    assert early.verdict == "poor"
    assert any("check the time base" in problem for problem in early.problems)
    assert early.reachable_depth_mm is None


def test_bounded_memory(record, file_like, monkeypatch):
    sequence = record()
    source = file_like(sequence.frames)
    lazy = replace(sequence, frames=source)
    monkeypatch.setattr(ThermalSequence.blocks, "__defaults__", (4 * 150 * 24 * 2,))
    monkeypatch.setattr("thermo_qc.preprocess.reference.frame_bands.__defaults__", (8 * 20 * 24 * 9,))
    assert assess_recording(lazy) == assess_recording(sequence)
    assert source.largest <= 150 * 24 * 2
