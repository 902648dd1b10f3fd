"""Dead pixels of every kind among noisy, noise-free, quantised and real recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.errors import SequenceError
from thermo_qc.preprocess import find_dead_pixels, replace_dead_pixels, subtract_cold_frame

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def spoil(sequence, seed=3):
    """One pixel of each kind; returns the spoilt sequence and the mask."""
    frames = sequence.frames.copy()
    rng = np.random.default_rng(seed)
    frames[:, 3, 4] = 25.0  # stuck within the range
    frames[:, 10, 10:12] = 400.0  # a stuck pair, far outside
    frames[:, 15, 20] += 8.0  # hot
    frames[:, 6, 18] = 22 + 0.1 * (frames[:, 6, 18] - 22)  # hardly follows
    frames[:, 17, 5] += rng.normal(0, 3, len(frames))  # flickers
    frames[40:44, 8, 2] = np.nan
    frames[:, 0, 0] = np.inf
    mask = np.zeros(sequence.frame_shape, dtype=bool)
    for row, column in [(3, 4), (10, 10), (10, 11), (15, 20), (6, 18), (17, 5), (8, 2), (0, 0)]:
        mask[row, column] = True
    return replace(sequence, frames=frames), mask


@pytest.mark.parametrize("noise_k", [0.005, 0.03, 0.1])
def test_every_kind_is_found_and_nothing_else(record, noise_k):
    spoilt, mask = spoil(record(noise_k=noise_k))
    np.testing.assert_array_equal(find_dead_pixels(spoilt), mask)


@pytest.mark.parametrize("kind", ["long_pulse", "step", "flash", "cooling", "none"])
@pytest.mark.parametrize("noise_k", [0.0, 0.03])
def test_clean_recordings_have_none(record, kind, noise_k):
    assert not find_dead_pixels(record(kind, noise_k=noise_k)).any()


def test_fixed_pattern_and_defects_are_no_dead_pixels(record):
    sequence = record()
    pattern = np.random.default_rng(2).normal(0, 0.05, sequence.frame_shape)
    frames = sequence.frames + pattern
    y, x = np.mgrid[:20, :24]
    hole = (y - 9) ** 2 + (x - 12) ** 2 <= 9
    frames[40:] += 4.0 * hole
    assert not find_dead_pixels(replace(sequence, frames=frames)).any()


def test_quantised_counts_have_none(record):
    sequence = record(noise_k=0.0)
    counts = replace(sequence, frames=np.round(2 * sequence.frames).astype(np.uint8), unit="counts")
    assert not find_dead_pixels(counts).any()


def test_many_random_dead_pixels(record):
    sequence = record(shape=(40, 40))
    rng = np.random.default_rng(5)
    mask = rng.random((40, 40)) < 0.03
    frames = np.where(mask, rng.uniform(15, 60, (40, 40)), sequence.frames)
    found = find_dead_pixels(replace(sequence, frames=frames))
    np.testing.assert_array_equal(found, mask)


def test_regions_are_left_alone(record):
    frames = record().frames.copy()
    frames[:, :, :6] = np.nan
    frames[:, 12:, 15:] = 0.0
    sequence = replace(record(), frames=frames)
    assert not find_dead_pixels(sequence).any()
    np.testing.assert_array_equal(replace_dead_pixels(sequence).frames, frames)


def test_a_lost_frame_does_not_kill_pixels(record):
    frames = record().frames.copy()
    frames[50] = np.nan
    assert not find_dead_pixels(replace(record(), frames=frames)).any()


def test_nothing_finite(record):
    empty = replace(record(), frames=np.full((150, 20, 24), np.nan, dtype=np.float32))
    assert not find_dead_pixels(empty).any()


def test_one_row_and_one_pixel(record):
    assert not find_dead_pixels(record(shape=(1, 12))).any()
    assert not find_dead_pixels(record(shape=(1, 1))).any()


def test_replaced_by_the_neighbours(record):
    sequence = record()
    spoilt, mask = spoil(sequence)
    repaired = replace_dead_pixels(spoilt)
    np.testing.assert_array_equal(repaired.frames[:, ~mask], sequence.frames[:, ~mask])
    assert np.abs(repaired.frames - sequence.frames).max() < 1.0
    assert repaired.history[-1].parameters == {"n_dead_pixels": 8}


def test_median_by_hand_and_integers_become_float(record):
    frames = np.arange(2 * 3 * 3).reshape(2, 3, 3).astype(np.uint16)
    sequence = replace(record(), frames=frames, times_s=np.arange(2.0), unit="counts")
    dead = np.zeros((3, 3), dtype=bool)
    dead[1, 1] = dead[0, 0] = True
    repaired = replace_dead_pixels(sequence, dead).frames
    assert repaired.dtype == np.float32
    assert repaired[0, 1, 1] == np.median([1, 2, 3, 5, 6, 7, 8])
    assert repaired[1, 0, 0] == np.median([9 + value for value in (1, 2, 3, 5, 6, 7, 8)])


def test_neighbours_missing_in_a_frame(record):
    frames = np.ones((3, 5, 5), dtype=np.float32)
    frames[1, 2:, :] = np.nan
    frames[2] = np.nan
    dead = np.zeros((5, 5), dtype=bool)
    dead[2, 2] = True
    frames[:, 2, 2] = 7.0
    sequence = replace(record(), frames=frames, times_s=np.arange(3.0))
    assert replace_dead_pixels(sequence, dead).frames[:, 2, 2].tolist() == [1.0, 1.0, 7.0]


def test_far_from_any_live_pixel_nothing_changes(record):
    sequence = record()
    dead = np.ones(sequence.frame_shape, dtype=bool)
    dead[0, 0] = False
    repaired = replace_dead_pixels(sequence, dead).frames
    assert (repaired[:, 3, 3] == sequence.frames[:, 0, 0]).all()
    np.testing.assert_array_equal(repaired[:, 4, :], sequence.frames[:, 4, :])


def test_frames_in_a_file_are_repaired_piece_by_piece(record, file_like):
    spoilt, mask = spoil(record())
    expected = replace_dead_pixels(spoilt, mask).frames
    source = file_like(spoilt.frames)
    lazy = replace_dead_pixels(replace(spoilt, frames=source), mask)
    assert lazy.is_lazy
    for key in [
        (slice(None), slice(9, 12), slice(None)),
        (41, slice(None), slice(None)),
        (-1, slice(None), 4),
        (slice(None), 10, 11),
        (slice(2, 5), slice(0, 0), slice(None)),
    ]:
        np.testing.assert_array_equal(lazy.frames[key], expected[key])
    assert source.largest < spoilt.frames.size
    np.testing.assert_array_equal(lazy.loaded().frames, expected)
    chained = subtract_cold_frame(lazy)
    np.testing.assert_array_equal(
        np.concatenate([block for _, block in chained.blocks(max_bytes=4 * 150 * 24 * 3)], axis=1),
        subtract_cold_frame(replace_dead_pixels(spoilt, mask)).frames,
    )


def test_mask_of_another_size_is_refused(record):
    with pytest.raises(SequenceError, match="mask of dead pixels has shape"):
        replace_dead_pixels(record(), np.zeros((2, 2), dtype=bool))


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("fem/cfrp_1.3mm_ellipse_inclusion.hdf5", {}),
        ("real/cfrp_pulsed_60x105x120.mat", {"variable": "F1.images", "frame_rate_hz": 10.0}),
    ],
)
def test_files_of_others_have_none(name, facts):
    if not (DATA / name).exists():
        pytest.skip("shared data are absent")
    from thermo_qc.io import read_sequence

    sequence = read_sequence(DATA / name, **facts)
    assert not find_dead_pixels(sequence).any()
