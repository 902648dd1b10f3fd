from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from thermo_qc.errors import ConfigError, ModelError, TrainingError, UnknownNameError
from thermo_qc.models import Forest

RNG = np.random.default_rng(0)
CURVES = RNG.normal(size=(400, 6, 2)).astype(np.float32)
LABELS = (CURVES[:, 2, 0] > 0.3).astype(int) + 2 * (CURVES[:, 4, 1] > 1.0)


@given(seed=st.integers(0, 10**6), depth=st.sampled_from([None, 1, 5]), weight=st.sampled_from([None, "balanced"]))
@settings(deadline=None, max_examples=8)
def test_probabilities_equal_those_of_scikit_learn(seed, depth, weight):
    flat = CURVES.reshape(len(CURVES), -1)
    classifier = RandomForestClassifier(n_estimators=7, max_depth=depth, class_weight=weight, random_state=seed)
    classifier.fit(flat, LABELS)
    forest = Forest.from_sklearn(classifier, n_classes=4)
    # The training values sit exactly beside the thresholds; the rounded ones sit on a grid.
    fresh = np.random.default_rng(seed).normal(size=(300, 12)).astype(np.float32).round(1)
    for samples in (flat, fresh):
        assert forest.predict_proba(samples) == pytest.approx(classifier.predict_proba(samples), abs=1e-6)


def test_thresholds_between_float32_numbers_keep_their_side():
    values = np.array([1.0, 1.0 + 3 * 2.0**-23], dtype=np.float32)
    flat = np.repeat(values, 50)[:, None]
    forest = Forest.fit(flat, np.repeat([0, 1], 50), n_classes=2, n_trees=3)
    assert forest.predict_proba(values[:, None]) == pytest.approx(np.eye(2), abs=1e-6)


def test_same_seed_same_forest():
    first, second, other = (Forest.fit(CURVES, LABELS, n_classes=4, n_trees=3, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first.arrays().values(), second.arrays().values(), strict=True))
    assert not np.array_equal(first.threshold, other.threshold)


def test_a_class_without_samples_gets_no_probability():
    forest = Forest.fit(CURVES, np.where(LABELS == 1, 0, LABELS), n_classes=6, n_trees=3)
    result = forest.predict_proba(CURVES)
    assert result.shape == (400, 6)
    assert not result[:, [1, 4, 5]].any()
    assert result.sum(axis=1) == pytest.approx(np.ones(400), abs=1e-6)


def test_class_weights_move_the_decision():
    labels = (RNG.random(400) < 0.1).astype(int)
    shares = {
        str(weight): Forest.fit(CURVES, labels, n_classes=2, n_trees=5, max_depth=2, class_weight=weight)
        .predict_proba(CURVES)[:, 1]
        .mean()
        for weight in ("none", "balanced", {0: 1.0, 1: 30.0})
    }
    assert shares["none"] < 0.2
    assert 0.4 < shares["balanced"] < shares["{0: 1.0, 1: 30.0}"]
    weighted = Forest.fit(CURVES, labels, n_classes=2, n_trees=5, max_depth=2, sample_weight=1.0 + 30.0 * labels)
    assert weighted.predict_proba(CURVES)[:, 1].mean() > 0.4


def test_arrays_rebuild_the_forest():
    forest = Forest.fit(CURVES, LABELS, n_classes=4, n_trees=3, n_jobs=2)
    again = Forest.from_arrays(forest.arrays(), n_features=12)
    assert np.array_equal(again.predict_proba(CURVES), forest.predict_proba(CURVES))
    assert forest.predict_proba(np.empty((0, 6, 2))).shape == (0, 4)


def test_a_single_leaf_is_a_forest():
    forest = Forest.fit(CURVES, np.zeros(400), n_classes=2, n_trees=2)
    assert forest.predict_proba(CURVES[:3]) == pytest.approx(np.array([[1.0, 0.0]] * 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature": np.array([99], dtype=np.int32)}, "points outside"),
        ({"children": np.array([[5, 5]], dtype=np.int32)}, "points outside"),
        ({"roots": np.array([3], dtype=np.int32)}, "points outside"),
        ({"feature": np.array([0], dtype=np.int32)}, "run in circles"),
        ({"threshold": np.zeros(2, dtype=np.float32)}, "do not belong together"),
        ({"roots": np.array([], dtype=np.int32)}, "do not belong together"),
        ({"threshold": np.zeros(1)}, "the forest's arrays are"),
        ({"extra": np.zeros(1)}, "the forest's arrays are"),
    ],
)
def test_impossible_arrays_are_refused(changes, message):
    leaf = {
        "feature": np.array([-1], dtype=np.int32),
        "threshold": np.zeros(1, dtype=np.float32),
        "children": np.zeros((1, 2), dtype=np.int32),
        "roots": np.zeros(1, dtype=np.int32),
        "probability": np.array([[1.0, 0.0]], dtype=np.float32),
    }
    Forest.from_arrays(leaf, n_features=12)
    with pytest.raises(ModelError, match=message):
        Forest.from_arrays({**leaf, **changes}, n_features=12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_tree": 5}, UnknownNameError, "has no parameter 'n_tree'; did you mean 'n_trees'"),
        ({"n_trees": "many"}, ConfigError, "cannot be trained"),
        ({"max_depth": -1}, ConfigError, "cannot be trained"),
        ({"class_weight": "balancd"}, ConfigError, "did you mean 'balanced'"),
        ({"class_weight": 3}, ConfigError, "expected none, balanced"),
        ({"labels": LABELS[:5]}, TrainingError, "one label per curve"),
        ({"labels": LABELS + 200}, TrainingError, "expected 0 to 3"),
        ({"curves": CURVES[:0], "labels": LABELS[:0]}, TrainingError, "0 curves came"),
    ],
)
def test_wrong_training_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Forest.fit(**{"curves": CURVES, "labels": LABELS, "n_classes": 4, "n_trees": 2, **arguments})


def test_other_curves_are_refused():
    forest = Forest.fit(CURVES, LABELS, n_classes=4, n_trees=2)
    with pytest.raises(ModelError, match="a sample has 10 features, the forest was trained on 12"):
        forest.predict_proba(CURVES[:, :5])
