"""Folds by depth, of random frames, and nested ones: what they keep apart, their file, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from thermo_qc.config import FoldConfig
from thermo_qc.errors import FoldError
from thermo_qc.evaluation import Splits, make_splits


@pytest.fixture(scope="module")
def items(make_item):
    return [
        make_item(key, plate=f"plate {key}", guard_mm=4.0, n_frames=21 + number) for number, key in enumerate("abc")
    ]


def depths_in(item, mask):
    values = item.truth.depth_mm[mask & (item.truth.defect_index > 0)]
    return set(np.unique(values).tolist())


def test_no_fold_trains_on_a_depth_that_it_tests(items, tmp_path):
    splits = make_splits(items, by="depth")
    assert splits.groups == (("depth 1 mm",), ("depth 5 mm",))  # of all three plates at once
    for fold in range(2):
        tested = set().union(*(depths_in(item, splits.test_mask(fold, item.key)) for item in items))
        trained = set().union(*(depths_in(item, splits.train_mask(fold, item.key)) for item in items))
        assert tested and trained and not tested & trained
    used = sum(splits.test_mask(fold, "a").astype(int) for fold in range(2))
    np.testing.assert_array_equal(used, items[0].valid)
    splits.save(tmp_path / "splits.json")
    assert Splits.load(tmp_path / "splits.json").sha256 == splits.sha256


def test_a_plate_without_defects_is_a_group_of_its_own(items, make_item):
    plain = make_item("d", plate="plain", guard_mm=4.0)
    empty = replace(plain.truth, defect_index=np.minimum(plain.truth.defect_index, 0), defects=())
    plain = replace(plain, truth=empty, class_map=np.minimum(plain.class_map, 0) + 255 * (plain.class_map == 255))
    splits = make_splits([*items, replace(plain, class_map=plain.class_map.astype(np.uint8))], by="depth")
    assert "plain: no defect" in {name for names in splits.groups for name in names} and splits.n_folds == 3


def test_random_frames_share_all_pixels_and_no_frame(items, tmp_path):
    splits = make_splits(items, by="random_frame", k=4, seed=3)
    assert splits.leaky and "same pixels" in splits.warnings[0]
    for item in items:
        frames = np.stack([splits.test_frames(fold, item.key) for fold in range(4)])
        assert frames.shape == (4, item.n_frames) and (frames.sum(axis=0) == 1).all()
        assert frames.sum(axis=1).min() >= item.n_frames // 4
        np.testing.assert_array_equal(splits.train_frames(1, item.key), ~frames[1])
        for mask in (splits.train_mask(1, item.key), splits.test_mask(1, item.key)):
            np.testing.assert_array_equal(mask, item.valid)
    splits.save(tmp_path / "splits.json")
    loaded = Splits.load(tmp_path / "splits.json")
    assert loaded.sha256 == splits.sha256 != make_splits(items, by="random_frame", k=4, seed=4).sha256
    np.testing.assert_array_equal(loaded.test_frames(2, "b"), splits.test_frames(2, "b"))
    assert make_splits(items, by="acquisition").test_frames(0, "a") is None


def test_inner_folds_stay_inside_the_training_pixels(items, tmp_path):
    splits = make_splits(items, by="acquisition", inner_by="defect", inner_k=2)
    assert len(splits.inner) == splits.n_folds == 3
    for fold, inner in enumerate(splits.inner):
        assert set(inner.keys) == set(splits.train_keys(fold))
        for key in inner.keys:
            for part in range(2):
                tested, trained = inner.test_mask(part, key), inner.train_mask(part, key)
                assert not (tested & trained).any()
                assert not ((tested | trained) & ~splits.train_mask(fold, key)).any()
    splits.save(tmp_path / "splits.json")
    loaded = Splits.load(tmp_path / "splits.json")
    assert loaded.sha256 == splits.sha256 != make_splits(items, by="acquisition").sha256
    np.testing.assert_array_equal(loaded.inner[1].train_mask(0, "a"), splits.inner[1].train_mask(0, "a"))
    assert len(make_splits(items, by="acquisition", inner_k=2).inner[0].groups) == 2


def test_folds_that_do_not_exist_say_why(items):
    with pytest.raises(FoldError, match="inner folds of fold 0: 3 folds by acquisition were asked for"):
        make_splits(items, by="acquisition", inner_k=3)
    with pytest.raises(FoldError, match="have no inner folds; leave inner_k out"):
        make_splits(items, by="random_frame", inner_k=2)
    with pytest.raises(FoldError, match="number of frames of a is unknown"):
        make_splits([replace(items[0], n_frames=None), *items[1:]], by="random_frame")
    with pytest.raises(FoldError, match="11 folds by frame were asked for, the data has 10 groups"):
        make_splits(items, by="random_frame", k=11)
    shallow = tuple(replace(defect, depth_mm=None) for defect in items[0].truth.defects)
    unknown = replace(items[0], truth=replace(items[0].truth, defects=shallow))
    with pytest.raises(FoldError, match="'a': the depth of defect H1 is unknown"):
        make_splits([unknown], by="depth")
    one = replace(items[0], plate="one")
    splits = make_splits(items, by="acquisition")
    with pytest.raises(FoldError, match="inner folds for 1 of 3 folds"):
        replace(splits, inner=(splits,))
    with pytest.raises(FoldError, match="other recordings than fold maps"):
        replace(splits, frame_folds={"a": np.zeros(3, np.int16)})
    assert make_splits([one], by="depth").n_folds == 2


def test_the_configuration_knows_all_kinds():
    config = FoldConfig.model_validate({"by": "depth", "inner_by": "defect", "inner_k": 3})
    assert (config.k, config.inner_by, config.inner_k) == (None, "defect", 3)
    assert FoldConfig.model_validate({"by": "random_frame"}).by == "random_frame"
