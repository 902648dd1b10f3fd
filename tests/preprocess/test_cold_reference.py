"""Cold frames and reference curves, in memory and from a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from thermo_qc.errors import MissingFactError, SequenceError, TruthError
from thermo_qc.preprocess import cold_frame, mean_curve, reference_curve, subtract_cold_frame, subtract_reference


def test_cold_frame_is_the_mean_before_time_zero(record):
    sequence = record()
    np.testing.assert_allclose(cold_frame(sequence), np.asarray(sequence.frames[:15], float).mean(axis=0))
    rise = subtract_cold_frame(sequence)
    np.testing.assert_allclose(rise.frames, sequence.frames - cold_frame(sequence), atol=1e-5)
    assert rise.unit == "K"
    assert rise.frames.dtype == np.float32
    assert (rise.history[-1].step, rise.history[-1].parameters) == ("subtract_cold_frame", {"n_cold_frames": 15})


def test_fixed_pattern_disappears(record):
    sequence = record(noise_k=0.0)
    pattern = np.random.default_rng(1).normal(0, 5, sequence.frame_shape)
    striped = replace(sequence, frames=sequence.frames + pattern)
    np.testing.assert_allclose(subtract_cold_frame(striped).frames, subtract_cold_frame(sequence).frames, atol=1e-5)


def test_counts_stay_counts_and_integers_do_not_wrap(record):
    sequence = record()
    counts = replace(sequence, frames=np.round(100 * sequence.frames[::-1]).astype(np.uint16), unit="counts")
    rise = subtract_cold_frame(counts)
    assert rise.unit == "counts"
    assert rise.frames.min() < -100


def test_cold_frame_ignores_missing_values(record):
    frames = record().frames.copy()
    frames[3, 2, 2], frames[4, 2, 2], frames[:, 5, 5] = np.nan, np.inf, np.nan
    cold = cold_frame(replace(record(), frames=frames))
    assert cold[2, 2] == pytest.approx(22, abs=0.05)
    assert np.isnan(cold[5, 5])
    assert np.isfinite(cold).sum() == cold.size - 1


def test_no_cold_frame_is_refused_with_the_way_out(record):
    with pytest.raises(MissingFactError, match=r"first time 0 s, expected a negative one.*heating_start_s"):
        subtract_cold_frame(record(n_cold=0))


@pytest.mark.parametrize("step", [subtract_cold_frame, subtract_reference])
def test_frames_in_a_file_stay_there(record, file_like, step):
    sequence = record()
    source = file_like(sequence.frames)
    lazy = step(replace(sequence, frames=source))
    assert lazy.is_lazy
    assert source.largest <= 15 * 20 * 24 or step is subtract_reference
    expected = step(sequence).frames
    np.testing.assert_array_equal(lazy.loaded().frames, expected)
    for key in [
        (slice(3, 9), slice(2, 5), slice(None)),
        (4, slice(None), slice(1, 3)),
        (slice(None), 3, 4),
        (-1, -1, -1),
        (slice(0, 0), slice(None), slice(None)),
        (slice(None), slice(None, None, 2), slice(None)),
    ]:
        np.testing.assert_array_equal(lazy.frames[key], expected[key])


def test_median_reference_ignores_a_minority_of_defects(record):
    sequence = subtract_cold_frame(record(noise_k=0.0))
    hot = sequence.frames.copy()
    hot[:, :6, :6] += 5
    reference, with_defect = (reference_curve(replace(sequence, frames=frames)) for frames in (sequence.frames, hot))
    assert np.abs(with_defect - reference).max() < 0.03 * reference.max()
    assert np.abs(mean_curve(replace(sequence, frames=hot)) - mean_curve(sequence)).max() == pytest.approx(
        5 * 36 / 480, rel=1e-4
    )


def test_sound_region_mean_and_its_difference(record):
    sequence = record()
    mask = np.zeros(sequence.frame_shape, dtype=bool)
    mask[3:8, 4:9] = True
    curve = reference_curve(sequence, mask)
    np.testing.assert_allclose(curve, sequence.frames[:, mask].mean(axis=1, dtype=float))
    np.testing.assert_allclose(
        reference_curve(sequence, mask, statistic="median"), np.median(sequence.frames[:, mask], axis=1), rtol=1e-6
    )
    difference = subtract_reference(sequence, mask)
    np.testing.assert_allclose(difference.frames[:, mask].mean(axis=1), 0, atol=1e-5)
    assert difference.history[-1].parameters == {"reference": "mean", "sound_region": True}
    assert difference.unit == "K"
    given = subtract_reference(sequence, curve=curve)
    np.testing.assert_array_equal(given.frames, difference.frames)
    assert given.history[-1].parameters["reference"] == "given"


def test_reference_skips_missing_values(record):
    frames = record(noise_k=0.0).frames.copy()
    frames[:, 0, 0], frames[7] = np.nan, np.nan
    curve = reference_curve(replace(record(), frames=frames))
    assert np.isnan(curve[7])
    assert np.isfinite(np.delete(curve, 7)).all()


def test_reference_in_small_bands_is_the_same(record, monkeypatch):
    from thermo_qc.preprocess import reference

    sequence = record()
    whole = reference_curve(sequence)
    bands = [part for part, _ in reference.frame_bands(sequence, max_bytes=8 * 20 * 24 * 7)]
    assert len(bands) == 22
    monkeypatch.setattr(reference.frame_bands, "__defaults__", (8 * 20 * 24 * 7,))
    np.testing.assert_array_equal(reference_curve(sequence), whole)


def test_bad_regions_are_refused(record):
    sequence = record()
    with pytest.raises(SequenceError, match="sound region has shape"):
        reference_curve(sequence, np.ones((2, 2), dtype=bool))
    with pytest.raises(TruthError, match="no pixel"):
        reference_curve(sequence, np.zeros(sequence.frame_shape, dtype=bool))
    with pytest.raises(SequenceError, match="one value per frame"):
        subtract_reference(sequence, curve=np.ones(3))
