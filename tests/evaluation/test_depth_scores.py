"""Depth errors: by depth, against stated uncertainties and bounds; what is unknown is said."""

from __future__ import annotations

import numpy as np
import pytest

from thermo_qc.errors import TruthError
from thermo_qc.evaluation import class_confusion_by_depth, depth_scores


def test_errors_by_depth():
    true = [1.0, 1.0, 1.04, 4.0, 4.0, None, 2.0]
    predicted = [1.1, 0.8, 1.04, 5.0, 4.0, 3.0, np.nan]
    scores = depth_scores(true, predicted)
    assert scores.n_left_out == 2 and scores.reason == ""
    overall = scores.overall
    assert (overall.n, overall.mae_mm) == (5, pytest.approx(0.26))
    assert overall.rmse_mm == pytest.approx(np.sqrt((0.01 + 0.04 + 1) / 5))
    assert overall.bias_mm == pytest.approx(0.18)
    assert overall.relative == pytest.approx((0.1 + 0.2 + 0.25) / 5)
    assert [row.n for row in scores.by_depth] == [3, 2]
    assert scores.by_depth[0].depth_mm == pytest.approx(3.04 / 3) and scores.by_depth[1].bias_mm == pytest.approx(0.5)
    assert np.isnan(overall.bound_ratio) and scores.coverage == {} and scores.n_unbounded == 0


def test_an_efficient_estimate_reaches_the_bound_and_its_coverage():
    rng = np.random.default_rng(0)
    true, sigma = rng.uniform(1, 8, 4000), rng.uniform(0.05, 0.4, 4000)
    predicted = true + sigma * rng.standard_normal(4000)
    scores = depth_scores(true, predicted, sigma_mm=sigma, bound_mm=sigma)
    assert scores.overall.bound_ratio == pytest.approx(1, abs=0.04)
    for level, share in scores.coverage.items():
        assert share.low < level < share.high and share.total == 4000
    half = depth_scores(true, predicted, sigma_mm=sigma / 2, bound_mm=sigma / 2)
    assert half.overall.bound_ratio == pytest.approx(2, abs=0.08) and half.coverage[0.95].value < 0.75
    log = depth_scores(true, true * np.exp(0.1 * rng.standard_normal(4000)), sigma_log=np.full(4000, 0.1))
    assert log.coverage[0.68].value == pytest.approx(0.68, abs=0.03)


def test_unknown_bounds_are_counted():
    scores = depth_scores([1.0, 2.0, 3.0], [1.1, 2.2, 3.0], bound_mm=[0.1, np.inf, None])
    assert scores.n_unbounded == 2 and scores.overall.bound_ratio == pytest.approx(1.0)
    assert np.isnan(scores.by_depth[1].bound_ratio)
    partly = depth_scores([1.0, 2.0], [1.1, 2.2], sigma_mm=[0.2, None])
    assert partly.coverage[0.9].total == 1


@pytest.mark.parametrize(
    ("true", "predicted", "reason"),
    [
        ([], [], "there is no depth to score"),
        ([None], [1.0], "the true depths are unknown"),
        ([1.0], [None], "no depth was predicted"),
        ([1.0, None], [None, 1.0], "no defect has both"),
    ],
)
def test_truth_without_depth_is_said(true, predicted, reason):
    scores = depth_scores(true, predicted)
    assert reason in scores.reason and np.isnan(scores.overall.mae_mm) and scores.by_depth == ()


def test_classes_by_depth():
    holes = [
        {"depth_mm": 1.0, "found": True, "predicted_class": 1, "true_class": 1},
        {"depth_mm": 1.02, "found": True, "predicted_class": 2, "true_class": 1},
        {"depth_mm": 5.0, "found": False, "predicted_class": None, "true_class": 2},
        {"depth_mm": None, "found": True, "predicted_class": 1, "true_class": 1},
    ]
    near, deep = class_confusion_by_depth(holes, ("sound", "near", "deep"))
    assert near == {"depth_mm": 1.01, "true_class": ["near"], "total": 2, "missed": 0, "called": {"near": 1, "deep": 1}}
    assert (deep["missed"], deep["called"]) == (1, {"near": 0, "deep": 0})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"predicted_mm": [1.0]}, "1 predicted depths for 2 true ones"),
        ({"true_mm": [0.0, 1.0]}, "a true depth is 0 mm"),
        ({"sigma_mm": [0.1], "bound_mm": None}, "1 uncertainties for 2 depths"),
        ({"sigma_mm": [0.1, -0.1]}, "uncertainty is negative"),
        ({"sigma_mm": [0.1, 0.1], "sigma_log": [0.1, 0.1]}, "in one way"),
        ({"bound_mm": [0.0, 1.0]}, "bound is not positive"),
        ({"sigma_mm": [1.0, 1.0], "levels": (1.5,)}, "level of coverage is 1.5"),
        ({"sigma_log": [1.0, 1.0], "predicted_mm": [-1.0, 2.0]}, "has no logarithm"),
    ],
)
def test_wrong_input_in_one_line(changes, text):
    with pytest.raises(TruthError, match=text):
        depth_scores(**{"true_mm": [1.0, 2.0], "predicted_mm": [1.0, 2.0], **changes})
