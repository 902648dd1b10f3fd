import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.training.augment import StackAugmenter, pad_stack

STILL = {"flip": False, "rotate90": False, "affine_probability": 0.0, "gain_fraction": 0.0, "noise_std": 0.0}


def coordinates(height=40, width=30, channels=3):
    """A stack whose channels tell where a value came from, beyond the range 0..1, with labels that agree."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    stack = np.stack([rows - 20, columns * 3, *([rows + columns] * (channels - 2))], axis=-1)
    return stack, ((rows // 8 + columns // 8) % 3).astype(np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_nothing_switched_on_changes_nothing():
    stack, labels = coordinates()
    out, marks = StackAugmenter(**STILL)(stack, labels, rng())
    np.testing.assert_array_equal(out, stack)
    np.testing.assert_array_equal(marks, labels)
    assert out.dtype == np.float32 and marks.dtype == np.uint8


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_flips_and_turns_move_labels_with_values(seed):
    stack, labels = coordinates()
    out, marks = StackAugmenter(**{**STILL, "flip": True, "rotate90": True})(stack, labels, rng(seed))
    rows, columns = (out[:, :, 0] + 20).astype(int), (out[:, :, 1] / 3).astype(int)
    np.testing.assert_array_equal(marks, labels[rows, columns])
    assert sorted(marks.ravel()) == sorted(labels.ravel())


def test_all_eight_orientations_occur():
    stack, labels = coordinates(8, 8)
    augment = StackAugmenter(**{**STILL, "flip": True, "rotate90": True})
    seen = {augment(stack, labels, rng(seed))[0].tobytes() for seed in range(80)}
    assert len(seen) == 8


def test_affine_moves_labels_to_the_nearest_pixel_and_knows_nothing_beyond():
    stack, labels = coordinates(60, 60)
    augment = StackAugmenter(**{**STILL, "affine_probability": 1.0, "rotate_deg": 20.0, "shift_fraction": 0.2})
    out, marks = augment(stack, labels, rng(4))
    known = marks != 255
    assert 0.5 < known.mean() < 1.0
    assert set(np.unique(marks)) <= {0, 1, 2, 255}
    assert out.min() >= stack.min() - 1e-3 and out.max() <= stack.max() + 1e-3  # reflected, nothing invented
    rows, columns = out[:, :, 0] + 20, out[:, :, 1] / 3
    inner = known & (rows > 1) & (rows < 58) & (columns > 1) & (columns < 58)
    inner &= (np.abs(rows % 8 - 4) < 3) & (np.abs(columns % 8 - 4) < 3)  # away from the borders of the labels
    np.testing.assert_array_equal(
        marks[inner], labels[rows[inner].round().astype(int), columns[inner].round().astype(int)]
    )


@pytest.mark.parametrize("channels", [1, 5, 33, 600])
def test_any_number_of_channels_moves_alike(channels):
    image = np.random.default_rng(0).normal(0, 5, (20, 20, 1)).astype(np.float32)
    stack = np.repeat(image, channels, axis=2)
    labels = np.zeros((20, 20), dtype=np.uint8)
    augment = StackAugmenter(**{**STILL, "flip": True, "rotate90": True, "affine_probability": 1.0})
    out, _ = augment(stack, labels, rng(3))
    alone, _ = augment(image, labels, rng(3))
    assert out.shape == stack.shape
    np.testing.assert_allclose(out, np.repeat(alone, channels, axis=2), atol=1e-4)
    assert out.min() < -1 and out.max() > 1  # nothing was clipped to 0..1


def test_same_seed_same_sample():
    stack, labels = coordinates()
    augment = StackAugmenter(crop_px=16)
    first, again, other = (augment(stack, labels, rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, 39), st.integers(0, 29), st.sampled_from([9, 16, 30, 48]))
def test_crops_have_their_size_and_contain_the_focus(seed, row, column, crop):
    stack, labels = coordinates()
    out, marks = StackAugmenter(crop_px=crop, **STILL)(stack, labels, rng(seed), focus=(row, column))
    assert out.shape == (crop, crop, 3) and marks.shape == (crop, crop)
    assert ((out[:, :, 0] == row - 20) & (out[:, :, 1] == 3 * column)).any()


def test_a_crop_in_the_interior_has_no_invented_surroundings():
    stack, labels = coordinates(80, 80)
    augment = StackAugmenter(crop_px=20, **{**STILL, "affine_probability": 1.0})
    _, marks = augment(stack, labels, rng(1), focus=(40, 40))
    assert (marks != 255).all()


def test_gain_and_noise_have_the_given_strength():
    stack = np.full((64, 64, 2), 10.0, dtype=np.float32)
    labels = np.zeros((64, 64), dtype=np.uint8)
    gains = [
        StackAugmenter(**{**STILL, "gain_fraction": 0.2})(stack, labels, rng(seed))[0].mean() / 10 for seed in range(40)
    ]
    assert 0.8 <= min(gains) < 0.85 and 1.15 < max(gains) <= 1.2
    noisy = StackAugmenter(**{**STILL, "noise_std": 0.5})
    scale = np.array([1.0, 4.0], dtype=np.float32)
    levels = np.array([noisy(stack, labels, rng(seed), channel_std=scale)[0].std(axis=(0, 1)) for seed in range(20)])
    assert 0.4 < levels[:, 0].max() <= 0.52
    np.testing.assert_allclose(levels[:, 1] / levels[:, 0], 4.0, rtol=0.1)


def test_padding_reflects_values_and_ignores_labels():
    stack, labels = coordinates(4, 6)
    out, marks = pad_stack(stack, labels, 8, 6)
    assert out.shape == (8, 6, 3) and (marks == 255).sum() == 24
    np.testing.assert_array_equal(out[1], stack[1])
    np.testing.assert_array_equal(out[2:6], stack)
    assert pad_stack(stack, labels, 3, 3)[0] is stack
