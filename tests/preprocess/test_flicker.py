"""Flickering pixels of known kinds among those of simulated plates; clusters repaired from the rim inwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import SequenceError
from thermo_qc.preprocess import find_flickering_pixels, repair_pixels
from thermo_qc.sequence import ThermalSequence

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def telegraph(n_frames, amplitude, dwell, rng):
    """Two levels with at least four changes."""
    changes = np.zeros(n_frames, dtype=bool)
    changes[rng.choice(np.arange(5, n_frames - 5), max(4, n_frames // dwell), replace=False)] = True
    return amplitude * (np.cumsum(changes) % 2)


def spoil(sequence, kind, n_pixels, seed):
    rng = np.random.default_rng(seed)
    frames = np.array(sequence.frames)
    height, width = sequence.frame_shape
    # On a lattice: a pixel with two bad neighbours of three is no test of one pixel.
    rows, columns = (axis.ravel() for axis in np.meshgrid(np.arange(2, height, 5), np.arange(2, width, 5)))
    chosen = rng.choice(rows.size, n_pixels, replace=False)
    mask = np.zeros(sequence.frame_shape, dtype=bool)
    mask[rows[chosen], columns[chosen]] = True
    for row, column in np.argwhere(mask):
        if kind == "noise":
            frames[:, row, column] += rng.normal(0, 0.2, sequence.n_frames)
        else:
            amplitude, dwell = kind
            frames[:, row, column] += telegraph(sequence.n_frames, amplitude, dwell, rng)
    return replace(sequence, frames=frames), mask


@pytest.mark.parametrize("kind", ["long_pulse", "flash", "step"])
def test_undisturbed_plates_have_none(simulate, kind):
    assert sum(find_flickering_pixels(simulate(kind, seed=seed, drift_k=0.2)).sum() for seed in range(2)) == 0


@pytest.mark.parametrize(
    ("kind", "recall"), [("noise", 0.97), ((0.3, 20), 0.6), ((0.5, 40), 0.9), ((2.0, 60), 0.97)], ids=str
)
def test_recall_and_false_alarms(simulate, kind, recall):
    found = wanted = false = 0
    for seed, heating in enumerate(["long_pulse", "flash", "step"]):
        spoilt, mask = spoil(simulate(heating, seed=seed), kind, 25, seed)
        answer = find_flickering_pixels(spoilt)
        found, wanted, false = found + (answer & mask).sum(), wanted + mask.sum(), false + (answer & ~mask).sum()
    assert found >= recall * wanted
    assert false <= 0.06 * wanted  # of 3 x 1800 pixels, all of them beside a flickering one


def test_a_jump_of_the_whole_picture_is_no_flicker(simulate):
    sequence = simulate()
    frames = np.array(sequence.frames)
    for place, step in ((50, 0.6), (120, -0.9), (160, 1.2), (190, -0.7)):
        frames[place:] += step
    frames[70] = np.nan
    assert not find_flickering_pixels(replace(sequence, frames=frames)).any()


def test_noise_free_and_quantised_recordings_have_none(simulate):
    quiet = simulate(quiet=True)
    assert not find_flickering_pixels(quiet).any()
    counts = replace(quiet, frames=np.rint(4 * np.asarray(quiet.frames)).astype(np.uint16), unit="counts")
    assert not find_flickering_pixels(counts).any()


def test_pixels_without_values_are_not_told(simulate):
    sequence = simulate(background_mm=0.0)
    frames = np.array(sequence.frames)
    frames[:, :, :6] = np.nan
    frames[:, 20, 20] = np.nan
    assert not find_flickering_pixels(replace(sequence, frames=frames)).any()


def test_bands_of_a_file_give_the_same(simulate, file_like, monkeypatch):
    spoilt, _ = spoil(simulate(), (0.5, 40), 25, 0)
    whole = find_flickering_pixels(spoilt)
    monkeypatch.setattr("thermo_qc.preprocess.flicker.BAND_BYTES", 4 * spoilt.n_frames * spoilt.frame_shape[1] * 12)
    source = file_like(spoilt.frames)
    np.testing.assert_array_equal(find_flickering_pixels(replace(spoilt, frames=source)), whole)


@settings(deadline=None, max_examples=3)
@given(level=st.floats(-100, 300), gain=st.floats(0.1, 50))
def test_level_and_gain_have_no_influence(simulate, level, gain):
    spoilt, _ = spoil(simulate(), (1.0, 40), 20, 3)
    other = replace(spoilt, frames=level + gain * spoilt.frames.astype(np.float64))
    np.testing.assert_array_equal(find_flickering_pixels(other), find_flickering_pixels(spoilt))


def test_dead_and_flickering_are_repaired_together(simulate):
    quiet = simulate(quiet=True)
    spoilt, mask = spoil(simulate(seed=4), (1.0, 40), 20, 4)
    spoilt.frames[:, 30, 30] = 55.0
    repaired = repair_pixels(spoilt)
    parameters = repaired.history[-1].parameters
    assert parameters["n_dead_pixels"] >= 1
    assert parameters["n_dead_pixels"] + parameters["n_flickering_pixels"] == parameters["n_bad_pixels"]
    assert parameters["n_bad_pixels"] == len(parameters["pixels"]) == mask.sum() + 1
    inner = mask.copy()
    inner[30, 30] = True
    error = np.abs(repaired.frames - quiet.frames)[:, inner]
    assert np.median(error) < 0.05
    np.testing.assert_array_equal(repaired.frames[:, ~inner], spoilt.frames[:, ~inner])


def ramp(n_frames=3, shape=(12, 14)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    frames = np.stack([x + 2.0 * y + 5 * index for index in range(n_frames)])
    return ThermalSequence(frames=frames, times_s=np.arange(float(n_frames)), unit="K")


def test_a_cluster_is_filled_from_its_rim():
    sequence = ramp()
    bad = np.zeros((12, 14), dtype=bool)
    bad[3:8, 4:9] = True
    spoilt = replace(sequence, frames=np.where(bad, 1e4, sequence.frames))
    repaired = repair_pixels(spoilt, bad).frames
    rise = repaired - sequence.frames
    assert np.abs(rise[:, bad]).max() <= 4.0  # at most two rows of the ramp away, whatever the pixels held
    np.testing.assert_array_equal(repaired[:, ~bad], sequence.frames[:, ~bad])


def test_one_pixel_by_hand_and_frames_without_neighbours():
    frames = ramp().frames.copy()
    frames[1, 4:7, 5:8] = np.nan
    bad = np.zeros((12, 14), dtype=bool)
    bad[5, 6] = True
    repaired = repair_pixels(replace(ramp(), frames=frames), bad).frames
    assert repaired[0, 5, 6] == frames[0, 5, 6]
    assert np.isnan(repaired[1, 5, 6])


def test_lazy_repair_equals_the_whole(file_like):
    rng = np.random.default_rng(0)
    bad = rng.random((12, 14)) < 0.4
    sequence = replace(ramp(), frames=rng.normal(20, 1, (3, 12, 14)).astype(np.float32))
    whole = repair_pixels(sequence, bad).frames
    lazy = repair_pixels(replace(sequence, frames=file_like(sequence.frames)), bad)
    assert lazy.is_lazy
    for key in [(slice(None), slice(4, 6), slice(3, 9)), (1, slice(None), 5), (slice(None), 0, 0), Ellipsis, -1]:
        np.testing.assert_array_equal(lazy.frames[key], whole[key])


def test_errors(simulate):
    sequence = simulate()
    with pytest.raises(SequenceError, match=r"noise_ratio is 1 and jump_sigmas 7, expected more than 1 and at least 5"):
        find_flickering_pixels(sequence, noise_ratio=1.0)
    with pytest.raises(SequenceError, match="jump_sigmas 3"):
        find_flickering_pixels(sequence, jump_sigmas=3.0)
    with pytest.raises(SequenceError, match="4 frames came, expected at least 5"):
        find_flickering_pixels(sequence.between(None, -8.5))
    with pytest.raises(SequenceError, match=r"mask of bad pixels has shape \(2, 2\)"):
        repair_pixels(sequence, np.zeros((2, 2), dtype=bool))
    with pytest.raises(SequenceError, match="all pixels are marked as bad"):
        repair_pixels(sequence, np.ones(sequence.frame_shape, dtype=bool))


def test_real_recording_has_none():
    path = DATA / "real" / "cfrp_pulsed_60x105x120.mat"
    if not path.exists():
        pytest.skip("shared data are absent")
    from thermo_qc.io import read_sequence

    assert not find_flickering_pixels(read_sequence(path, frame_rate_hz=30, heating_stop_s=0)).any()
