"""Folds by defect and by block: plate coordinates, guard rings, recordings that lie differently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from thermo_qc.errors import FoldError
from thermo_qc.evaluation import make_splits
from thermo_qc.evaluation.placement import MisplacedError, place_items
from thermo_qc.plate import pixel_centres_mm


def coordinates(item, turned):
    """Plate coordinates of the pixel centres, independent of the code under test."""
    x, y = pixel_centres_mm((40, 50) if item.pixel_pitch_mm == 2.0 else (80, 100), item.pixel_pitch_mm)
    return np.stack([turned(x), turned(y)], axis=-1)


def smallest_gap_mm(splits, items, places):
    """Smallest distance between a training and a test pixel of any two recordings of the plate."""
    gap = np.inf
    for fold in range(splits.n_folds):
        tested = np.concatenate([places[i.key][splits.test_mask(fold, i.key)] for i in items])
        trained = np.concatenate([places[i.key][splits.train_mask(fold, i.key)] for i in items])
        gap = min(gap, cKDTree(tested).query(trained)[0].min())
    return gap


def three_views(make_item, *, given_coordinates):
    views = {"straight": (0, False, 2.0), "turned": (1, False, 2.0), "mirrored": (2, True, 1.0)}
    items, places = [], {}
    for key, (turns, mirrored, pitch) in views.items():
        item = make_item(key, turns=turns, mirrored=mirrored, pitch_mm=pitch, coordinates=given_coordinates)
        items.append(item)
        places[key] = coordinates(item, lambda g, t=turns, m=mirrored: np.rot90(g[:, ::-1] if m else g, t))
    return items, places


@pytest.mark.parametrize("by", ["defect", "block"])
@pytest.mark.parametrize("given_coordinates", [True, False])
def test_every_pixel_once_and_the_ring_holds_across_recordings(make_item, by, given_coordinates):
    items, places = three_views(make_item, given_coordinates=given_coordinates)
    splits = make_splits(items, by=by, k=4, block_mm=25.0)
    for item in items:
        tested = sum(splits.test_mask(fold, item.key).astype(int) for fold in range(splits.n_folds))
        assert np.array_equal(tested, item.valid.astype(int))
    assert splits.guard_mm == 8.0
    assert smallest_gap_mm(splits, items, places) >= 8.0 - 1e-6


def test_ring_is_exact_on_one_recording(make_item):
    item = make_item("a")
    splits = make_splits([item], by="defect", guard_mm=6.0)
    x, y = pixel_centres_mm(item.shape, 2.0)
    points = np.stack([x, y], axis=-1)
    for fold in range(splits.n_folds):
        distance = cKDTree(points[splits.test_mask(fold, "a")]).query(points)[0]
        assert np.array_equal(splits.train_mask(fold, "a"), item.valid & (distance >= 6.0 - 1e-9))


@settings(deadline=None, max_examples=15)
@given(guard=st.floats(0, 9), block=st.floats(18, 33), seed=st.integers(0, 3))
def test_ring_of_any_width(make_item, guard, block, seed):
    item = make_item("a")
    try:
        splits = make_splits([item], by="block", k=3, guard_mm=guard, block_mm=block, seed=seed)
    except FoldError as error:  # a ring that takes all of a class
        assert "guard ring" in str(error)
        reject()
    x, y = pixel_centres_mm(item.shape, 2.0)
    assert smallest_gap_mm(splits, [item], {"a": np.stack([x, y], axis=-1)}) >= guard - 1e-6


def test_one_defect_at_a_time_with_its_surroundings(make_item):
    item = make_item("a")
    splits = make_splits([item], by="defect")
    assert splits.groups == (("small: defect H1",), ("small: defect H2",), ("small: defect H3",), ("small: defect H4",))
    x, y = pixel_centres_mm(item.shape, 2.0)
    defects = item.truth.defect_index > 0
    nearest = cKDTree(np.stack([x[defects], y[defects]], axis=-1)).query(np.stack([x, y], axis=-1), k=1)
    expected = item.truth.defect_index[defects][nearest[1]]
    for fold in range(4):
        tested = splits.test_mask(fold, "a")
        number = item.truth.defect_index[tested].max()
        assert number == fold + 1
        own = cKDTree(np.stack([x[item.truth.defect_index == number], y[item.truth.defect_index == number]], axis=-1))
        assert own.query(np.stack([x[tested], y[tested]], axis=-1))[0] == pytest.approx(nearest[0][tested])
        assert (expected[tested] == number).mean() > 0.9


def test_same_spot_is_tested_in_the_same_fold_in_every_recording(make_item):
    items, _ = three_views(make_item, given_coordinates=True)
    straight, turned = items[0], items[1]
    splits = make_splits(items, by="block", k=3, block_mm=20.0)
    assert np.array_equal(np.rot90(splits.fold_maps[straight.key], 1), splits.fold_maps[turned.key])


def test_blocks_without_a_ring_still_keep_the_same_spot_out(make_item):
    items, places = three_views(make_item, given_coordinates=True)
    splits = make_splits(items[:2], by="block", guard_mm=0.0, k=3, block_mm=20.0)
    assert smallest_gap_mm(splits, items[:2], places) > 1.0


def test_defect_missing_from_one_recording_keeps_its_surroundings(make_item):
    whole, partial = make_item("whole"), make_item("partial")
    index = partial.truth.defect_index.copy()
    index[index == 4] = -1
    truth = type(partial.truth)(defect_index=index, depth_mm=partial.truth.depth_mm, defects=partial.truth.defects)
    ignored = np.where(index < 0, 255, partial.class_map).astype(np.uint8)
    partial = make_item("partial", class_map=ignored, truth=truth)
    splits = make_splits([whole, partial], by="defect")
    both = partial.valid
    assert np.array_equal(splits.fold_maps["whole"][both], splits.fold_maps["partial"][both])


def test_pieces_are_separate_groups(make_item):
    items = [make_item("a", plate="p"), make_item("b", plate="q")]
    splits = make_splits(items, by="defect", k=2)
    assert sum(len(names) for names in splits.groups) == 8
    unnamed = [make_item("a", plate=""), make_item("b", plate="")]
    assert sum(len(names) for names in make_splits(unnamed, by="defect", k=2).groups) == 8


def test_sound_plate_is_one_group(make_item, plate):
    bare = plate.truth(2.0)
    bare = type(bare)(defect_index=np.minimum(bare.defect_index, 0), depth_mm=np.full(bare.shape, np.nan))
    item = make_item("bare", plate="sound", truth=bare, class_map=np.zeros(bare.shape, np.uint8))
    splits = make_splits([make_item("a"), item], by="defect", k=2)
    assert any("sound: no defect" in names for names in splits.groups)


def test_blocks_spread_the_classes(make_item):
    item = make_item("a")
    splits = make_splits([item], by="block", k=2, block_mm=33.0, guard_mm=0.0)
    for value in (1, 2):
        share = (item.class_map[splits.test_mask(0, "a")] == value).sum() / (item.class_map == value).sum()
        assert 0.3 < share < 0.7


def test_small_rest_joins_the_last_block(make_item):
    names = [
        name
        for fold in make_splits([make_item("a")], by="block", k=2, block_mm=40.0, guard_mm=0.0).groups
        for name in fold
    ]
    assert sorted(names) == [f"small: block {r},{c}" for r in range(2) for c in range(2)]


def test_guard_that_takes_everything(make_item):
    with pytest.raises(
        FoldError, match=r"fold 0 of 4 by defect has no pixel left to train on \(the guard ring of 500 mm"
    ):
        make_splits([make_item("a")], by="defect", guard_mm=500.0)


def test_unknown_guard_pitch_and_impossible_lengths(make_item):
    with pytest.raises(FoldError, match=r"guard ring is unknown for a; give the material .* or folds.guard_mm"):
        make_splits([make_item("a", guard_mm=None)], by="defect")
    assert make_splits([make_item("a", guard_mm=None)], by="defect", guard_mm=5.0).guard_mm == 5.0
    with pytest.raises(FoldError, match="'a' has no pixel pitch"):
        make_splits([make_item("a", pixel_pitch_mm=None)], by="block")
    with pytest.raises(FoldError, match="guard_mm is -1, expected"):
        make_splits([make_item("a")], by="block", guard_mm=-1)
    with pytest.raises(FoldError, match="block_mm is 0, expected"):
        make_splits([make_item("a")], by="block", block_mm=0)


def test_pitch_comes_from_coordinates(make_item):
    item = make_item("a", pixel_pitch_mm=None, coordinates=True)
    assert place_items([item], tolerance_mm=3.0).pitch_mm == pytest.approx(2.0)


def test_more_folds_than_defects_or_blocks(make_item):
    with pytest.raises(FoldError, match="9 folds by defect were asked for, the data has 4 groups"):
        make_splits([make_item("a")], by="defect", k=9)
    with pytest.raises(FoldError, match="need at least 2 groups, the data has 1; make block_mm smaller"):
        make_splits([make_item("a")], by="block", block_mm=500.0)


def test_recordings_that_cannot_be_brought_together(make_item):
    straight = make_item("a")
    stretched = make_item("b", pixel_pitch_mm=2.6)
    with pytest.raises(MisplacedError, match=r"defects of 'b' lie up to [\d.]+ mm from those of 'a'; register both"):
        make_splits([straight, stretched], by="block", block_mm=25.0)
    splits = make_splits([straight, stretched], by="defect")
    assert "do not lie on one another" in splits.warnings[0]
    for fold in range(4):
        for item in (straight, stretched):
            assert item.truth.defect_index[splits.test_mask(fold, item.key)].max() == fold + 1
            assert not (item.truth.defect_index[splits.train_mask(fold, item.key)] == fold + 1).any()


def test_recordings_without_a_common_defect_are_told(make_item):
    one, two = make_item("a"), make_item("b")
    left = np.where(np.arange(50) < 25, one.class_map, 255).astype(np.uint8)
    right = np.where(np.arange(50) >= 25, two.class_map, 255).astype(np.uint8)
    items = [make_item("a", class_map=left), make_item("b", class_map=right)]
    warnings = make_splits(items, by="block", k=2, block_mm=25.0, guard_mm=2.0).warnings
    assert "no common defect shows whether b lie as a does" in warnings[0]


def test_coordinates_that_make_no_sense(make_item):
    item = make_item("a", coordinates=True)
    holed = np.where(item.valid, np.nan, 0.0)
    with pytest.raises(FoldError, match="x_mm or y_mm is not finite"):
        make_splits([make_item("a", x_mm=holed, y_mm=item.y_mm)], by="block")
    wide = np.linspace(0, 1e7, item.truth.defect_index.size).reshape(item.shape)
    with pytest.raises(FoldError, match=r"the pixels spread over .* check x_mm"):
        make_splits([make_item("a", x_mm=wide, y_mm=item.y_mm * 10)], by="block")
