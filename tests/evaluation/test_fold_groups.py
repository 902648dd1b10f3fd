"""Folds of whole recordings and of random pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import FoldError, UnknownNameError
from thermo_qc.evaluation import FOLD_KINDS, FoldItem, diffusion_length_mm, make_splits
from thermo_qc.evaluation.balance import balance_groups


def assert_partition(splits, items):
    for item in items:
        tested = sum(splits.test_mask(fold, item.key).astype(int) for fold in range(splits.n_folds))
        assert np.array_equal(tested, item.valid.astype(int))
        for fold in range(splits.n_folds):
            train = splits.train_mask(fold, item.key)
            assert not (train & splits.test_mask(fold, item.key)).any()
            assert not (train & ~item.valid).any()


def test_leaves_out_one_acquisition_at_a_time(make_item):
    items = [make_item(key) for key in "abc"]
    splits = make_splits(items, by="acquisition")
    assert [splits.test_keys(fold) for fold in range(splits.n_folds)] == [("a",), ("b",), ("c",)]
    assert splits.train_keys(1) == ("a", "c")
    assert splits.groups == (("a",), ("b",), ("c",))
    assert splits.guards == {} and splits.warnings == () and not splits.leaky
    assert_partition(splits, items)


def test_recordings_of_one_group_stay_together(make_item):
    items = [make_item(f"{piece}{n}", plate=piece) for piece in "pqr" for n in range(2)]
    splits = make_splits(items, by="plate", k=2)
    for fold in range(2):
        pieces = {key[0] for key in splits.test_keys(fold)}
        assert pieces.isdisjoint(key[0] for key in splits.train_keys(fold))
    assert_partition(splits, items)


def test_condition_folds(make_item):
    items = [make_item("a", condition="flash"), make_item("b", condition="pulse"), make_item("c", condition="flash")]
    splits = make_splits(items, by="condition")
    assert splits.n_folds == 2
    assert splits.test_keys(0) == ("a", "c")


def test_group_folds_spread_the_classes(make_item):
    sound, full = make_item("s").truth, make_item("f")
    bare = np.where(sound.defect_index > 0, 0, full.class_map).astype(np.uint8)
    items = [make_item(f"full{n}") for n in range(3)] + [make_item(f"bare{n}", class_map=bare) for n in range(3)]
    for seed in range(5):
        splits = make_splits(items, by="acquisition", k=3, seed=seed)
        for fold in range(3):
            assert sorted(key[:4] for key in splits.test_keys(fold)) == ["bare", "full"]


def test_random_pixels_cover_everything_and_say_that_they_leak(make_item):
    items = [make_item("a"), make_item("b")]
    splits = make_splits(items, by="random_pixel", k=4)
    assert splits.leaky
    assert "leakage gap only" in splits.warnings[0]
    assert_partition(splits, items)
    for value in (0, 1, 2):
        sizes = [sum(int((i.class_map[splits.test_mask(f, i.key)] == value).sum()) for i in items) for f in range(4)]
        assert max(sizes) - min(sizes) <= 1


def test_random_pixels_follow_the_seed(make_item):
    item = make_item("a")
    first, again, other = (make_splits([item], by="random_pixel", seed=seed) for seed in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256
    assert first.n_folds == 5


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_no_fold_stays_empty_and_order_is_normal(data):
    n_groups = data.draw(st.integers(2, 12))
    n_folds = data.draw(st.integers(2, n_groups))
    counts = np.array(
        data.draw(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=n_groups, max_size=n_groups))
    )
    folds = balance_groups(counts, n_folds, seed=data.draw(st.integers(0, 5)))
    assert set(folds) == set(range(n_folds))
    assert list(dict.fromkeys(folds)) == list(range(n_folds))


def test_equal_groups_are_dealt_out_evenly():
    sizes = np.bincount(balance_groups(np.tile([90, 5, 5], (10, 1)), 5))
    assert sizes.tolist() == [2, 2, 2, 2, 2]


@pytest.mark.parametrize("by", ["acquisition", "plate", "condition"])
def test_more_folds_than_groups(make_item, by):
    items = [make_item("a", condition="1", plate="1"), make_item("b", condition="2", plate="2")]
    with pytest.raises(FoldError, match=rf"5 folds by {by} were asked for, the data has 2 groups; set k to at most 2"):
        make_splits(items, by=by, k=5)


def test_one_group_is_not_enough(make_item):
    with pytest.raises(FoldError, match="need at least 2 groups, the data has 1; fold by defect or block"):
        make_splits([make_item("a")], by="acquisition")


def test_single_fold_is_refused(make_item):
    with pytest.raises(FoldError, match="1 folds were asked for; cross-validation needs at least 2"):
        make_splits([make_item("a"), make_item("b")], by="acquisition", k=1)


def test_group_without_a_name(make_item):
    with pytest.raises(FoldError, match="no condition is given for b; name it in the manifest"):
        make_splits([make_item("a"), make_item("b", condition="")], by="condition")


def test_typo_in_the_kind_of_folds(make_item):
    with pytest.raises(UnknownNameError, match="unknown kind of folds 'blocks'; did you mean 'block'"):
        make_splits([make_item("a")], by="blocks")
    kinds = {"acquisition", "plate", "condition", "defect", "depth", "block", "random_pixel", "random_frame"}
    assert set(FOLD_KINDS) == kinds


def test_no_recordings_and_recordings_twice(make_item):
    with pytest.raises(FoldError, match="no labelled recordings"):
        make_splits([], by="acquisition")
    with pytest.raises(FoldError, match="recordings come twice: a"):
        make_splits([make_item("a"), make_item("a")], by="acquisition")


def test_recording_without_a_usable_pixel(make_item):
    blank = np.full(make_item("a").shape, 255, dtype=np.uint8)
    with pytest.raises(FoldError, match="no pixel of b may be used"):
        make_splits([make_item("a"), make_item("b", class_map=blank)], by="acquisition")


def test_fold_that_would_train_on_one_class(make_item):
    bare = np.where(make_item("a").class_map == 255, 255, 0).astype(np.uint8)
    with pytest.raises(
        FoldError, match="fold 0 of 2 by acquisition would train on class 0 only, the data has classes 0, 1, 2"
    ):
        make_splits([make_item("a"), make_item("b", class_map=bare)], by="acquisition")


def test_class_that_a_fold_cannot_learn_is_told(make_item):
    full = make_item("a").class_map
    without_deep = np.where(full == 2, 0, full).astype(np.uint8)
    splits = make_splits([make_item("a"), make_item("b", class_map=without_deep)], by="acquisition")
    assert splits.warnings == ("fold 0 trains without class 2: it cannot find that class",)


def test_fold_with_nothing_to_find_is_told(make_item):
    bare = np.where(make_item("a").class_map == 255, 255, 0).astype(np.uint8)
    items = [make_item("a"), make_item("b"), make_item("c", class_map=bare)]
    assert make_splits(items, by="acquisition").warnings == (
        "fold 2 tests sound pixels only: its defect figures are empty",
    )
    alone = make_splits([make_item("c", class_map=bare), make_item("d", class_map=bare)], by="acquisition")
    assert alone.warnings == ("all recordings show class 0 only: there is nothing to tell apart",)


def test_items_check_their_maps(make_item):
    item = make_item("a")
    with pytest.raises(FoldError, match=r"the class map has \(3, 3\) pixels, the truth \(40, 50\)"):
        make_item("a", class_map=np.zeros((3, 3), np.uint8))
    with pytest.raises(FoldError, match="only one of x_mm and y_mm"):
        make_item("a", x_mm=np.zeros(item.shape))
    with pytest.raises(FoldError, match=r"pixel pitch is -1\.0 mm"):
        make_item("a", pixel_pitch_mm=-1.0)
    with pytest.raises(FoldError, match="guard is nan mm"):
        make_item("a", guard_mm=float("nan"))
    with pytest.raises(FoldError, match=r"y_mm has \(2, 2\) pixels"):
        FoldItem(key="a", truth=item.truth, class_map=item.class_map, x_mm=np.zeros(item.shape), y_mm=np.zeros((2, 2)))


def test_diffusion_length():
    assert diffusion_length_mm(0.25, 100.0) == pytest.approx(10.0)
    assert diffusion_length_mm(0.25, -3.0) == 0.0
    with pytest.raises(FoldError, match=r"diffusivity 0\.0 mm2/s over 1\.0 s"):
        diffusion_length_mm(0.0, 1.0)
