"""Pixel metrics against scikit-learn and against what cannot be known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from thermo_qc.errors import TruthError
from thermo_qc.evaluation import SCALARS, confusion_matrix, pixel_metrics

NAMES = ("sound", "near", "deep")
labels = hnp.arrays(np.uint8, 40, elements=st.sampled_from([0, 1, 2, 255]))


def figures(true, predicted):
    return pixel_metrics(confusion_matrix(np.array(true, np.uint8), np.array(predicted, np.uint8), 3), NAMES)


def same(a, b):
    return (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b)


@settings(deadline=None, max_examples=20)
@given(true=labels, predicted=hnp.arrays(np.uint8, 40, elements=st.integers(0, 2)))
def test_equal_to_scikit_learn(true, predicted):
    ours = figures(true, predicted)
    true, predicted = true[true != 255], predicted[true != 255]
    assert ours["n_pixels"] == true.size
    if true.size == 0:
        return
    assert ours["confusion"] == reference.confusion_matrix(true, predicted, labels=[0, 1, 2]).tolist()
    assert ours["accuracy"] == pytest.approx(reference.accuracy_score(true, predicted))
    parts = reference.precision_recall_fscore_support(true, predicted, labels=[0, 1, 2], zero_division=np.nan)
    iou = reference.jaccard_score(true, predicted, labels=[0, 1, 2], average=None, zero_division=0)
    present = [k for k in range(3) if (true == k).any()]
    for k in present:
        entry = ours["per_class"][NAMES[k]]
        expected = [parts[0][k], parts[1][k], parts[2][k], iou[k], parts[3][k]]
        assert all(
            same(entry[n], v) for n, v in zip(("precision", "recall", "f1", "iou", "support"), expected, strict=True)
        )
    assert ours["balanced_accuracy"] == pytest.approx(np.mean([parts[1][k] for k in present]))
    assert ours["macro_f1"] == pytest.approx(np.mean([parts[2][k] for k in present]))
    if len(present) > 1:
        assert ours["matthews"] == pytest.approx(reference.matthews_corrcoef(true, predicted))
    defect, called = true > 0, predicted > 0
    if defect.any():
        assert ours["defect_iou"] == pytest.approx(reference.jaccard_score(defect, called))
        assert ours["defect_f1"] == pytest.approx(reference.f1_score(defect, called))
        assert ours["defect_recall"] == pytest.approx(reference.recall_score(defect, called))
        assert same(ours["defect_precision"], reference.precision_score(defect, called, zero_division=np.nan))
    if not defect.all():
        assert ours["false_call_fraction"] == pytest.approx(called[~defect].mean())


@settings(deadline=None, max_examples=30)
@given(true=labels, predicted=labels, seed=st.integers(0, 9))
def test_order_of_pixels_does_not_matter(true, predicted, seed):
    order = np.random.default_rng(seed).permutation(true.size)
    first = confusion_matrix(true, predicted, 3)
    assert np.array_equal(first, confusion_matrix(true[order].reshape(5, 8), predicted[order].reshape(5, 8), 3))
    assert first.sum() == ((true != 255) & (predicted != 255)).sum()


@settings(deadline=None, max_examples=30)
@given(true=labels, predicted=labels)
def test_renaming_defect_classes_leaves_the_defect_figures(true, predicted):
    swapped = np.arange(256, dtype=np.uint8)
    swapped[[1, 2]] = 2, 1
    a, b = figures(true, predicted), figures(swapped[true], swapped[predicted])
    assert all(same(a[name], b[name]) for name in SCALARS)
    for one, other in ((1, 2), (2, 1)):
        mine, theirs = a["per_class"][NAMES[one]], b["per_class"][NAMES[other]]
        assert all(same(mine[key], theirs[key]) for key in mine)


def test_absent_class_is_not_a_number_and_stays_out_of_the_means():
    ours = figures([0, 0, 0, 1, 1], [0, 0, 2, 1, 0])
    assert all(math.isnan(ours["per_class"]["deep"][name]) for name in ("precision", "recall", "f1", "iou"))
    assert ours["per_class"]["deep"]["support"] == 0
    assert ours["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert ours["false_call_fraction"] == pytest.approx(1 / 3)


def test_perfect_prediction():
    ours = figures([0, 1, 2, 255], [0, 1, 2, 0])
    assert [ours[name] for name in SCALARS] == [1.0] * 9 + [0.0]


def test_sound_only_has_no_defect_figures():
    ours = figures([0, 0, 0], [0, 1, 0])
    assert all(
        math.isnan(ours[name]) for name in ("defect_iou", "defect_f1", "defect_recall", "defect_precision", "matthews")
    )
    assert ours["accuracy"] == pytest.approx(2 / 3) and ours["false_call_fraction"] == pytest.approx(1 / 3)


def test_defects_only_have_no_false_calls():
    assert math.isnan(figures([1, 2], [1, 1])["false_call_fraction"])


def test_never_called_class_has_no_precision_but_recall_zero():
    ours = figures([0, 1, 1], [0, 0, 0])
    near = ours["per_class"]["near"]
    assert math.isnan(near["precision"]) and (near["recall"], near["f1"], near["iou"]) == (0.0, 0.0, 0.0)
    assert ours["matthews"] == 0.0


@pytest.mark.parametrize("true", [[], [255, 255]])
def test_nothing_to_score(true):
    ours = figures(true, [0] * len(true))
    assert ours["n_pixels"] == 0
    assert all(math.isnan(ours[name]) for name in SCALARS)


def test_pixels_without_a_verdict_are_counted_out():
    assert figures([0, 1, 1], [0, 255, 1])["n_pixels"] == 2


def test_maps_of_different_size():
    with pytest.raises(
        TruthError, match=r"prediction has 3 x 4 pixels, the truth has 4 x 4 \(rows x columns\); predict and label"
    ):
        confusion_matrix(np.zeros((4, 4), np.uint8), np.zeros((3, 4), np.uint8), 2)


def test_label_outside_the_classes():
    with pytest.raises(TruthError, match="prediction holds class 7, expected 0 to 2 or 255"):
        figures([0, 0], [0, 7])
    with pytest.raises(TruthError, match="truth holds class 3, expected 0 to 2 or 255"):
        figures([0, 3], [0, 0])


def test_matrix_of_other_classes():
    with pytest.raises(
        TruthError, match=r"confusion matrix has shape \(2, 2\), expected \(3, 3\) for sound, near, deep"
    ):
        pixel_metrics(np.zeros((2, 2), np.int64), NAMES)
