import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import TrainingError
from thermo_qc.training.augment import StackAugmenter
from thermo_qc.training.datasets import (
    Case,
    CurveBatches,
    FixedBatches,
    class_counts,
    class_shares,
    draw_balanced,
    even_batches,
)
from thermo_qc.training.stacks import StackBatches, stack_pair

COUNTS = np.array([80, 15, 5])


def curve_batches(**options):
    labels = torch.from_numpy(np.repeat(np.arange(3), COUNTS).astype(np.uint8))
    curves = torch.arange(100, dtype=torch.float32)[:, None, None].expand(100, 4, 2)
    return CurveBatches(curves, labels, **{"counts": COUNTS, "batch_size": 32, "seed": 1, **options})


def test_case_refuses_a_map_of_another_size(case):
    with pytest.raises(TrainingError, match=r"case 'a' has a class map of \(3, 3\), frames of \(24, 24\)"):
        Case(key="a", sequence=case.sequence, class_map=np.zeros((3, 3), np.uint8))


def test_class_counts_ignore_255_and_refuse_strays():
    np.testing.assert_array_equal(class_counts([np.array([[0, 1, 255, 1]], np.uint8)], 3), [1, 2, 0])
    with pytest.raises(TrainingError, match="labels hold class 4, the class scheme has classes 0 to 2"):
        class_counts([np.array([[0, 4]], np.uint8)], 3)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 500), st.integers(2, 70))
def test_batches_are_even_complete_and_never_single(n_samples, batch_size):
    batches = even_batches(n_samples, batch_size)
    sizes = [part.stop - part.start for part in batches]
    assert sum(sizes) == n_samples and batches[0].start == 0
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
    assert min(sizes) > 1 or batch_size == 2 or n_samples == 3


def test_an_epoch_holds_every_curve_once_in_an_order_of_its_own():
    batches = curve_batches()
    first, second = batches.draw(0), batches.draw(1)
    assert sorted(first) == sorted(second) == list(range(100))
    assert list(first) != list(second)
    np.testing.assert_array_equal(first, curve_batches().draw(0))
    assert list(first) != list(curve_batches(seed=2).draw(0))


def test_iterating_gives_the_curves_of_the_draw():
    batches = curve_batches(samples_per_epoch=70)
    batches.epoch = 3
    inputs, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_array_equal(inputs[:, 0, 0].numpy(), batches.draw(3))
    np.testing.assert_array_equal(labels.numpy(), batches.labels[batches.draw(3)].numpy())
    assert len(batches) == 3 and len(labels) == 70


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"class_balanced": True}, [1 / 3, 1 / 3, 1 / 3]),
        ({"sound_fraction": 0.4}, [0.4, 0.45, 0.15]),
        ({"sound_fraction": 0.4, "class_balanced": True}, [0.4, 0.3, 0.3]),
    ],
)
def test_shares_of_the_classes(options, expected):
    np.testing.assert_allclose(class_shares(COUNTS, **options), expected)
    batches = curve_batches(samples_per_epoch=300, **options)
    drawn = np.bincount(batches.labels.numpy()[batches.draw(0)], minlength=3)
    np.testing.assert_allclose(drawn, 300 * np.array(expected), atol=1)


def test_no_wish_no_shares():
    assert class_shares(COUNTS) is None


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200), st.integers(0, 10**6))
def test_balanced_draws_use_every_member_before_repeating(number, seed):
    members = [np.arange(7), np.arange(100, 103)]
    drawn = draw_balanced(members, np.array([0.5, 0.5]), number, np.random.default_rng(seed))
    assert drawn.size == number
    for group in members:
        counts = np.array([np.count_nonzero(drawn == member) for member in group])
        assert counts.max() - counts.min() <= 1


def test_fixed_batches_repeat():
    pairs = [(torch.zeros(2), torch.ones(2))]
    batches = FixedBatches(pairs)
    assert len(batches) == 1
    assert [id(batch) for batch in batches] == [id(batch) for batch in batches]


STILL = {"flip": False, "rotate90": False, "affine_probability": 0.0, "gain_fraction": 0.0, "noise_std": 0.0}


def stack_batches(augmenter=None, **options):
    generator = np.random.default_rng(0)
    labels = [np.zeros((20, 30), np.uint8), np.zeros((24, 24), np.uint8)]
    labels[0][3:6, 3:6], labels[1][10:12, 10:12], labels[1][:, :2] = 1, 2, 255
    stacks = [generator.normal(size=(5, *label.shape)).astype(np.float32) for label in labels]
    counts = class_counts(labels, 3)
    augmenter = augmenter or StackAugmenter()
    return StackBatches(
        stacks, labels, **{"counts": counts, "augmenter": augmenter, "batch_size": 2, "seed": 1, **options}
    )


def test_whole_recordings_are_padded_to_one_size():
    batches = stack_batches(StackAugmenter(**STILL))
    ((inputs, labels),) = list(batches)
    assert inputs.shape == (2, 5, 24, 30) and labels.shape == (2, 24, 30)
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert sorted((labels == 255).sum(dim=(1, 2)).tolist()) == [4 * 30, 6 * 24 + 2 * 24]


def test_samples_depend_on_seed_epoch_and_index_alone():
    one, four = (stack_batches(StackAugmenter(crop_px=12), samples_per_epoch=6, threads=n) for n in (1, 4))
    one.epoch = four.epoch = 2
    for (a, x), (b, y) in zip(one, four, strict=True):
        assert torch.equal(a, b) and torch.equal(x, y)
    four.epoch = 3
    assert not any(torch.equal(a, b) for (a, _), (b, _) in zip(one, four, strict=True))


def test_default_number_of_samples_covers_the_cases():
    assert stack_batches().n_samples == 2
    assert stack_batches(StackAugmenter(crop_px=10)).n_samples == 6 + 6


def test_balanced_crops_hold_their_class():
    batches = stack_batches(StackAugmenter(crop_px=8, **STILL), samples_per_epoch=30, class_balanced=True)
    plan = batches.draw(0)
    held = [int(batches.labels[case][focus]) for case, focus in plan]
    assert np.bincount(held, minlength=3).tolist() == [10, 10, 10]
    for index, (case, focus) in enumerate(plan):
        _, labels = batches.sample(index, 0, case, focus)
        assert labels.shape == (8, 8) and held[index] in labels


def test_sound_fraction_places_crops():
    batches = stack_batches(StackAugmenter(crop_px=8), samples_per_epoch=20, sound_fraction=0.25)
    held = [int(batches.labels[case][focus]) for case, focus in batches.draw(0)]
    assert held.count(0) == 5


def test_stack_pair_of_one_size_keeps_values():
    stack = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    inputs, labels = stack_pair([(stack, np.ones((4, 6), np.uint8))])
    np.testing.assert_array_equal(inputs[0].numpy(), np.moveaxis(stack, -1, 0))
    assert labels.dtype == torch.uint8
