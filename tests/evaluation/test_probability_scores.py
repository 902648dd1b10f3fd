"""Scores of probabilities and of pixels against scikit-learn, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from thermo_qc.errors import ConfigError, TruthError
from thermo_qc.evaluation import (
    SCALARS,
    average_precision,
    block_confusions,
    confusion_matrix,
    metric_intervals,
    pixel_metrics,
    tally_probabilities,
)
from thermo_qc.evaluation.metric_intervals import stacked_metrics

NAMES = ("sound", "near", "deep")


def random_map(seed: int, shape: tuple[int, int] = (40, 50)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.choice(3, size=shape, p=[0.7, 0.2, 0.1]).astype(np.uint8)
    logits = rng.normal(size=(3, *shape)) + 1.5 * (np.arange(3)[:, None, None] == true)
    probability = np.exp(logits) / np.exp(logits).sum(axis=0)
    return true, probability.astype(np.float32)


def test_average_precision_equals_scikit_learn():
    true, probability = random_map(0)
    tally = tally_probabilities(true, probability)
    for number in range(3):
        expected = sk.average_precision_score(true.ravel() == number, probability[number].ravel())
        assert average_precision(true == number, probability[number]) == pytest.approx(expected, abs=1e-12)
        assert tally.average_precisions()[number] == pytest.approx(expected, abs=1e-3)
    coarse = np.round(probability[1], 1)
    expected = sk.average_precision_score(true.ravel() == 1, coarse.ravel())
    assert average_precision(true == 1, coarse) == pytest.approx(expected, abs=1e-12)


def test_calibration_equals_scikit_learn():
    true, probability = random_map(1)
    found = tally_probabilities(true, probability).calibration("defect")
    defect = 1.0 - probability[0].astype(np.float64).ravel()
    share, mean = calibration_curve(true.ravel() > 0, defect, n_bins=15)
    filled = [count > 0 for count in found.count]
    np.testing.assert_allclose(np.array(found.share)[filled], share, atol=1e-12)
    np.testing.assert_allclose(np.array(found.mean_probability)[filled], mean, atol=1e-6)
    weights = np.array(found.count)[filled] / true.size
    assert found.expected_error == pytest.approx(np.sum(weights * np.abs(share - mean)), abs=1e-6)
    top = tally_probabilities(true, probability).calibration("top")
    assert sum(top.count) == true.size and np.isnan(top.share[0])  # the likeliest of three is never below 1/3


def test_calibrated_probabilities_have_no_error():
    rng = np.random.default_rng(2)
    defect = rng.random((300, 300))
    true = (rng.random((300, 300)) < defect).astype(np.uint8)
    exact = tally_probabilities(true, np.stack([1 - defect, defect])).calibration()
    sure = np.where(defect > 0.5, 0.99, 0.01)
    assert exact.expected_error < 0.01
    assert tally_probabilities(true, np.stack([1 - sure, sure])).calibration().expected_error > 0.2


def test_pixel_metrics_equal_scikit_learn():
    true, probability = random_map(3)
    predicted = probability.argmax(axis=0).astype(np.uint8)
    found = pixel_metrics(confusion_matrix(true, predicted, 3), NAMES)
    y, z = true.ravel(), predicted.ravel()
    precision, recall, f1, support = sk.precision_recall_fscore_support(y, z)
    iou = sk.jaccard_score(y, z, average=None)
    for number, name in enumerate(NAMES):
        expected = {
            "precision": precision[number],
            "recall": recall[number],
            "f1": f1[number],
            "iou": iou[number],
            "support": support[number],
        }
        assert found["per_class"][name] == pytest.approx(expected)
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, z))
    assert found["matthews"] == pytest.approx(sk.matthews_corrcoef(y, z))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, z))


def test_stacked_metrics_are_the_pixel_metrics():
    rng = np.random.default_rng(4)
    stack = rng.integers(0, 40, size=(12, 3, 3))
    stack[0] = 0
    stack[1, 1] = 0  # absent class
    stack[2, :, 2] = 0  # never predicted
    stack[3] = np.diag([5, 0, 0])  # one class only
    stack[4, :, 1:] = 0  # only sound predicted
    scalars, classes = stacked_metrics(stack)
    for position, matrix in enumerate(stack):
        expected = pixel_metrics(matrix, NAMES)
        for name in SCALARS:
            assert scalars[name][position] == pytest.approx(expected[name], nan_ok=True), (position, name)
        for number, label in enumerate(NAMES):
            for name in ("precision", "recall", "f1", "iou"):
                assert classes[name][position, number] == pytest.approx(expected["per_class"][label][name], nan_ok=True)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_order_of_pixels_and_names_of_classes_do_not_matter(seed):
    true, probability = random_map(seed, (12, 15))
    rng = np.random.default_rng(seed)
    places = rng.permutation(true.size)
    mixed = true.ravel()[places].reshape(15, 12), probability.reshape(3, -1)[:, places].reshape(3, 15, 12)
    one, two = tally_probabilities(true, probability), tally_probabilities(*mixed)
    assert one.average_precisions() == two.average_precisions()
    assert one.calibration().expected_error == pytest.approx(two.calibration().expected_error)
    swap = np.array([0, 2, 1], np.uint8)
    swapped = tally_probabilities(swap[true], probability[swap])
    assert swapped.average_precisions() == tuple(one.average_precisions()[number] for number in swap)
    predicted = probability.argmax(axis=0).astype(np.uint8)
    figures = pixel_metrics(confusion_matrix(true, predicted, 3), NAMES)
    turned = pixel_metrics(confusion_matrix(swap[true], swap[predicted], 3), NAMES)
    for name in SCALARS:
        assert figures[name] == pytest.approx(turned[name], nan_ok=True)
    halves = [tally_probabilities(true[rows], probability[:, rows]) for rows in (slice(0, 5), slice(5, None))]
    assert (halves[0] + halves[1]).average_precisions() == one.average_precisions()


def test_absent_classes_are_nan_and_out_of_means():
    true, probability = random_map(5)
    true[true == 2] = 0
    tally = tally_probabilities(true, probability)
    assert np.isnan(tally.average_precisions()[2]) and tally.support[2] == 0
    assert tally.mean_average_precision() == pytest.approx(np.mean(tally.average_precisions()[:2]))
    nothing = tally_probabilities(np.full(true.shape, 255, np.uint8), probability)
    assert np.isnan(nothing.mean_average_precision()) and np.isnan(nothing.calibration().expected_error)
    assert np.isnan(average_precision(np.zeros(4, bool), np.ones(4)))


def test_pixels_without_verdict_are_left_out():
    true, probability = random_map(6)
    verdict = np.where(true == 1, 255, 0).astype(np.uint8)
    tally = tally_probabilities(true, probability, predicted=verdict)
    assert tally.support == (int((true == 0).sum()), 0, int((true == 2).sum()))


def test_intervals_come_from_groups():
    rng = np.random.default_rng(7)
    true, predicted = rng.integers(0, 2, (2, 64, 96)).astype(np.uint8)
    blocks = block_confusions(true, predicted, 2, block_px=16)
    assert len(blocks) == 24
    np.testing.assert_array_equal(np.sum(blocks, axis=0), confusion_matrix(true, predicted, 2))
    found = metric_intervals(blocks, ("sound", "defect"), rng=np.random.default_rng(0))
    low, high = found.scalars["accuracy"]
    value = pixel_metrics(np.sum(blocks, axis=0), ("sound", "defect"))["accuracy"]
    assert low < value < high and found.n_groups == 24
    spread = np.std([np.trace(block) / block.sum() for block in blocks]) / np.sqrt(24)
    assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.25)
    repeated = metric_intervals([block * 100 for block in blocks], ("sound", "defect"), rng=np.random.default_rng(0))
    assert repeated.scalars["accuracy"] == pytest.approx((low, high))  # more pixels of one group are no more evidence


def test_too_few_groups_have_no_interval():
    found = metric_intervals([np.eye(2, dtype=np.int64)] * 4, ("sound", "defect"), rng=np.random.default_rng(0))
    assert found.reason == "4 groups of pixels are too few to resample; at least 5 are needed"
    assert np.isnan(found.scalars["accuracy"]).all() and np.isnan(found.per_class["defect"]["iou"]).all()
    one = metric_intervals([np.diag([9, 0])] * 6, ("sound", "defect"), rng=np.random.default_rng(0))
    assert np.isnan(one.scalars["defect_iou"]).all() and one.scalars["accuracy"] == (1.0, 1.0)


def test_wrong_input_in_one_line():
    true, probability = random_map(8)
    with pytest.raises(TruthError, match="probability has 10 x 50 pixels, the truth has 40 x 50"):
        tally_probabilities(true, probability[:, :10])
    with pytest.raises(TruthError, match=r"expected \(classes, rows, columns\)"):
        tally_probabilities(true, probability[0])
    with pytest.raises(TruthError, match="truth holds class 2, expected 0 to 1"):
        tally_probabilities(true, probability[:2])
    with pytest.raises(TruthError, match="not numbers from 0 to 1"):
        tally_probabilities(true, 3 * probability)
    with pytest.raises(TruthError, match="of 3 and of 2 classes do not add up"):
        tally_probabilities(true, probability) + tally_probabilities(np.minimum(true, 1), probability[:2])
    with pytest.raises(TruthError, match="some scores are not finite"):
        average_precision(np.ones(2, bool), np.array([np.nan, 1.0]))
    with pytest.raises(ConfigError, match="expected at least 100"):
        metric_intervals([], NAMES, rng=np.random.default_rng(0), n_resamples=3)
    with pytest.raises(ConfigError, match="block_px is 0"):
        block_confusions(true, true, 3, block_px=0)
