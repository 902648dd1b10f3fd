"""Splits survive their file bit by bit, and a changed file is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thermo_qc.errors import CorruptFileError, FoldError, InputError, OutputError
from thermo_qc.evaluation import Splits, make_splits


def assert_same(first, second):
    assert first.sha256 == second.sha256
    assert first.keys == second.keys
    for key in first.keys:
        for fold in range(first.n_folds):
            assert np.array_equal(first.test_mask(fold, key), second.test_mask(fold, key))
            assert np.array_equal(first.train_mask(fold, key), second.train_mask(fold, key))
    for name in ("by", "n_folds", "seed", "groups", "guard_mm", "block_mm", "warnings"):
        assert getattr(first, name) == getattr(second, name)


@pytest.mark.parametrize("by", ["acquisition", "defect", "block", "random_pixel"])
def test_round_trip_of_every_kind(make_item, tmp_path, by):
    items = [make_item("a/1"), make_item("b ü", turns=1, coordinates=True), make_item("c")]
    splits = make_splits(items, by=by, k=3, block_mm=25.0)
    splits.save(tmp_path / "splits.json")
    loaded = Splits.load(tmp_path / "splits.json")
    assert_same(splits, loaded)
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "splits.json").read_bytes()


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_round_trip_of_any_masks(tmp_path_factory, data):
    n_folds = data.draw(st.integers(2, 4))
    shapes = data.draw(st.lists(hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), min_size=1, max_size=3))
    maps = {
        f"r{n}": data.draw(hnp.arrays(np.int16, shape, elements=st.integers(-1, n_folds - 1)))
        for n, shape in enumerate(shapes)
    }
    guards = {"r0": data.draw(hnp.arrays(bool, (n_folds, *shapes[0])))} if data.draw(st.booleans()) else {}
    splits = Splits(by="block", n_folds=n_folds, seed=3, fold_maps=maps, guards=guards, guard_mm=0.1, block_mm=1 / 3)
    path = tmp_path_factory.mktemp("splits") / "splits.json"
    splits.save(path)
    assert_same(splits, Splits.load(path))


def test_file_is_small_and_readable(make_item, tmp_path):
    splits = make_splits([make_item(key, pitch_mm=0.5) for key in "abcd"], by="acquisition")
    splits.save(tmp_path / "splits.json")
    assert (tmp_path / "splits.json").stat().st_size < 3000
    content = json.loads((tmp_path / "splits.json").read_text(encoding="utf-8"))
    assert content["folds"][2] == {"fold": 2, "test_keys": ["c"], "train_keys": ["a", "b", "d"]}


def test_sha256_sees_every_bit(make_item):
    splits = make_splits([make_item("a")], by="defect")
    fold_map = splits.fold_maps["a"].copy()
    fold_map[5, 5] = (fold_map[5, 5] + 1) % splits.n_folds
    guard = splits.guards["a"].copy()
    guard[0, 5, 5] ^= True
    changed = [
        replace(splits, fold_maps={"a": fold_map}),
        replace(splits, guards={"a": guard}),
        replace(splits, seed=1),
        replace(splits, warnings=("x",)),
        replace(splits, fold_maps={"b": splits.fold_maps["a"]}, guards={}),
    ]
    assert len({splits.sha256, *(other.sha256 for other in changed)}) == 6


def test_sha256_is_the_same_on_every_machine():
    splits = Splits(by="plate", n_folds=2, seed=0, fold_maps={"a": np.array([[0, 1], [-1, 1]], np.int16)})
    assert splits.sha256 == "08a5cd5024893e5a3a9c5cc75326617c09b6d970c96b769160748c66ba271351"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(seed=5), r"sha256 is .* expected .* changed or cut"),
        (lambda c: c.pop("recordings"), "content is broken .'recordings'"),
        (lambda c: c["recordings"][0].update(fold_map="%%%"), "content is broken"),
        (lambda c: c["recordings"][0].update(shape=[4, 4]), "content is broken .mask of"),
        (lambda c: c["recordings"][0].update(shape=[10**6, 10**6]), "content is broken .shape"),
        (lambda c: c.update(n_folds=2), "content is broken"),
        (lambda c: c.update(n_folds=float("inf")), "content is broken"),
        (lambda c: c["recordings"][0].update(shape=[1]), "content is broken"),
        (
            lambda c: c["recordings"][0].update(fold=70000, valid=c["recordings"][0]["guards"][0]),
            "content is broken|sha256",
        ),
        (lambda c: c.update(format="other 1"), "format is 'other 1', expected 'thermo_qc splits 1'"),
    ],
)
def test_changed_files_are_refused(make_item, tmp_path, change, message):
    path = tmp_path / "splits.json"
    make_splits([make_item("a")], by="defect").save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CorruptFileError, match=message):
        Splits.load(path)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\x00\x01", "[" * 200_000])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "splits.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CorruptFileError, match="make the splits again"):
        Splits.load(path)


def test_missing_file_and_folder(tmp_path, make_item):
    with pytest.raises(InputError, match=r"none.json does not exist"):
        Splits.load(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        Splits.load(tmp_path)
    with pytest.raises(OutputError):
        make_splits([make_item("a")], by="defect").save(Path(tmp_path))


def test_questions_about_other_folds_and_recordings(make_item):
    splits = make_splits([make_item("a")], by="defect")
    with pytest.raises(FoldError, match="fold 4 was asked for, these splits have folds 0 to 3"):
        splits.test_mask(4, "a")
    with pytest.raises(FoldError, match=r"recording 'z' is not in these splits .they hold a.; make new splits"):
        splits.train_mask(0, "z")


def test_maps_that_contradict_one_another():
    fold_map = np.zeros((2, 2), np.int16)
    with pytest.raises(FoldError, match=r"fold map of 'a' is empty or names folds outside 0..1"):
        Splits(by="plate", n_folds=2, seed=0, fold_maps={"a": fold_map + 2})
    with pytest.raises(FoldError, match="guard of 'a' has shape"):
        Splits(by="plate", n_folds=2, seed=0, fold_maps={"a": fold_map}, guards={"a": np.zeros((1, 2, 2), bool)})
    with pytest.raises(FoldError, match="without a fold map"):
        Splits(by="plate", n_folds=2, seed=0, fold_maps={"a": fold_map}, guards={"b": np.zeros((2, 2, 2), bool)})
