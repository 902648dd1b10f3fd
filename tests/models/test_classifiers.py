from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression as ReferenceRegression
from sklearn.svm import SVC

from thermo_qc.errors import ConfigError, ModelError, TrainingError, UnknownNameError
from thermo_qc.models.classical import (
    CLASSIFIERS,
    GradientBoosting,
    LogisticRegression,
    SupportVectors,
    fit_classifier,
    load_classifier,
)
from thermo_qc.models.classical.boosting import bin_edges, in_bins
from thermo_qc.models.classical.samples import Standard, draw_samples

RNG = np.random.default_rng(0)
SCALES = np.array([1.0, 50.0, 0.01, 3.0], dtype=np.float32)
CURVES = (RNG.normal(size=(400, 2, 2)).astype(np.float32) + 2.0) * SCALES.reshape(2, 2)
FLAT = CURVES.reshape(400, 4)
FRESH = ((np.random.default_rng(1).normal(size=(200, 4)) + 2.0) * SCALES).astype(np.float32)
LEARNERS = sorted(set(CLASSIFIERS) - {"threshold"})  # that of a single map: test_map_threshold.py
QUICK = {
    "logistic_regression": {},
    "svm": {"max_samples": 150},
    "random_forest": {"n_trees": 5},
    "gradient_boosting": {"n_rounds": 8, "min_samples_leaf": 5},
}


def labels(n: int) -> np.ndarray:
    """Classes 0 to n - 1 that depend on two features, not quite linearly."""
    score = FLAT[:, 0] + 0.02 * FLAT[:, 1] + 0.2 * RNG.normal(size=400) + 0.3 * (FLAT[:, 3] > 6)
    return np.searchsorted(np.quantile(score, np.arange(1, n) / n), score)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_logistic_regression_equals_scikit_learn(n):
    standard, classes = Standard.of(FLAT), labels(n)
    reference = ReferenceRegression(C=2.0, max_iter=500).fit(standard.apply(FLAT), classes)
    own = LogisticRegression.fit(CURVES, classes, n_classes=n, inverse_penalty=2.0)
    expected = reference.predict_proba(standard.apply(FRESH))
    assert own.predict_proba(FRESH) == pytest.approx(expected, abs=1e-6)
    assert own.predict_proba(FRESH.reshape(-1, 2, 2)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_support_vectors_equal_scikit_learn(n, kernel):
    standard, classes = Standard.of(FLAT), labels(n)
    machine = SVC(C=0.7, kernel=kernel, gamma=0.3)
    reference = CalibratedClassifierCV(machine, method="sigmoid", cv=2, ensemble=False)
    reference.fit(standard.apply(FLAT), classes)
    own = SupportVectors.from_sklearn(reference, standard, n)
    assert own.predict_proba(FRESH) == pytest.approx(reference.predict_proba(standard.apply(FRESH)), abs=1e-6)


@pytest.mark.parametrize("n", [2, 4])
def test_gradient_boosting_equals_scikit_learn(n):
    classes = labels(n)
    edges = bin_edges(FLAT)
    reference = HistGradientBoostingClassifier(max_iter=12, early_stopping=False, random_state=0)
    reference.fit(in_bins(FLAT, edges), classes, sample_weight=np.ones(400))
    own = GradientBoosting.fit(CURVES, classes, n_classes=n, n_rounds=12)
    for samples in (FLAT, FRESH, FRESH.round(1)):
        assert own.predict_proba(samples) == pytest.approx(reference.predict_proba(in_bins(samples, edges)), abs=1e-6)


def test_bins_lie_between_their_edges():
    values = np.array([[1.0], [1.0], [2.0], [5.0]], dtype=np.float32)
    edges = bin_edges(values)
    assert edges[0].tolist() == [1.0, 2.0]
    assert in_bins(np.array([[0.0], [1.0], [1.5], [2.0], [9.0]], dtype=np.float32), edges)[:, 0].tolist() == [
        0, 0, 1, 1, 2]  # fmt: skip


@pytest.mark.parametrize("name", LEARNERS)
def test_a_classifier_learns_and_is_rebuilt_from_its_arrays(name):
    classes = labels(3)
    classes[classes == 1] = 3  # training sees classes 0, 2 and 3 of 5
    trained = fit_classifier(name, CURVES, classes, n_classes=5, seed=3, **QUICK[name])
    found = trained.predict_proba(CURVES)
    assert found.shape == (400, 5)
    assert found.dtype == np.float32
    assert (found.argmax(axis=1) == classes).mean() > 0.7
    assert not found[:, [1, 4]].any()
    assert found.sum(axis=1) == pytest.approx(np.ones(400), abs=1e-5)
    arrays = trained.arrays()
    assert all(isinstance(values, np.ndarray) and values.dtype != object for values in arrays.values())
    again = load_classifier(name, arrays, n_features=4, n_classes=5)
    assert np.array_equal(again.predict_proba(CURVES), found)
    assert again.predict_proba(np.empty((0, 2, 2))).shape == (0, 5)
    same = fit_classifier(name, CURVES, classes, n_classes=5, seed=3, **QUICK[name])
    assert all(np.array_equal(values, arrays[key]) for key, values in same.arrays().items())
    with pytest.raises(ModelError, match=r"a sample has 2 features, .* was trained on 4"):
        trained.predict_proba(FLAT[:, :2])


@pytest.mark.parametrize("name", LEARNERS)
def test_damaged_arrays_are_refused(name):
    arrays = fit_classifier(name, CURVES, labels(3), n_classes=3, **QUICK[name]).arrays()
    some = sorted(set(arrays) - {"present"})[0]
    for broken in (
        {key: values for key, values in arrays.items() if key != some},
        {**arrays, some: arrays[some][..., :-1] if arrays[some].ndim > 1 else arrays[some][:-1]},
        {**arrays, "stray": np.zeros(1)},
        {**arrays, some: arrays[some].astype(np.complex64)},
    ):
        with pytest.raises(ModelError, match="train the model again"):
            load_classifier(name, broken, n_features=4, n_classes=3)
    with pytest.raises(ModelError):
        load_classifier(name, arrays, n_features=4, n_classes=2)


def test_hostile_trees_are_refused():
    arrays = GradientBoosting.fit(CURVES, labels(2), n_classes=2, n_rounds=2).arrays()
    inner = int(np.flatnonzero(arrays["feature"] >= 0)[0])
    circle, outside, column = arrays["children"].copy(), arrays["feature"].copy(), arrays["column"] + 1
    circle[inner] = inner
    outside[inner] = 99
    for change, message in (
        ({"children": circle}, "run in circles"),
        ({"feature": outside}, "points outside"),
        ({"column": column}, "adds to classes that it does not know"),
        ({"value": np.full_like(arrays["value"], np.nan)}, "do not belong together"),
        ({"present": np.array([1, 0], dtype=np.int32)}, r"knows the classes \[1, 0\], the model has 2"),
    ):
        with pytest.raises(ModelError, match=message):
            load_classifier("gradient_boosting", {**arrays, **change}, n_features=4, n_classes=2)


def test_a_draw_takes_the_classes_alike_and_weights_put_their_shares_right():
    classes = np.repeat([0, 1, 2], [350, 45, 5])
    drawn = draw_samples(FLAT, classes, n_classes=4, max_samples=60, class_weight="none", rng=np.random.default_rng(0))
    assert np.bincount(drawn.classes).tolist() == [28, 27, 5]
    shares = np.bincount(drawn.classes, weights=drawn.weights) / drawn.weights.sum()
    assert shares == pytest.approx(np.array([350, 45, 5]) / 400)
    alike = draw_samples(
        FLAT, classes, n_classes=4, max_samples=None, class_weight="balanced", rng=np.random.default_rng(0)
    )
    assert len(alike.samples) == 400
    assert np.bincount(alike.classes, weights=alike.weights) == pytest.approx(np.full(3, 400 / 3))


@pytest.mark.parametrize("name", ["logistic_regression", "svm", "gradient_boosting"])
def test_balanced_weights_call_a_rare_class_more_often(name):
    rare = (FLAT[:, 0] + 2.0 * RNG.normal(size=400) > 5.5).astype(int)
    calls = {
        weight: fit_classifier(name, CURVES, rare, n_classes=2, class_weight=weight, **QUICK[name])
        .predict_proba(CURVES)[:, 1]
        .mean()
        for weight in ("none", "balanced")
    }
    assert calls["none"] == pytest.approx(rare.mean(), abs=0.06)
    assert calls["balanced"] > 1.5 * calls["none"]


def test_a_regression_that_has_not_settled_says_so(caplog):
    fit_classifier("logistic_regression", CURVES, labels(3), n_classes=3, max_iterations=1)
    assert "not settled within 1 iterations" in caplog.text


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("gradient_bosting", {}, UnknownNameError, "unknown classical model 'gradient_bosting'; did you mean"),
        ("svm", {"kernal": "rbf"}, UnknownNameError, "'svm' has no parameter 'kernal'; did you mean 'kernel'"),
        ("random_forest", {"trees": 3}, UnknownNameError, "did you mean 'n_trees'"),
        ("svm", {"kernel": "cubic"}, ConfigError, "'kernel' is 'cubic'"),
        ("svm", {"calibration_folds": 300}, ConfigError, "'calibration_folds' is 300, expected a whole number from 2"),
        ("svm", {"max_samples": 10, "calibration_folds": 9}, ConfigError, "the svm cannot be trained"),
        ("logistic_regression", {"inverse_penalty": 0}, ConfigError, "expected a number from 1e-09 to 1e\\+09"),
        ("gradient_boosting", {"n_rounds": 0}, ConfigError, "'n_rounds' is 0"),
        ("gradient_boosting", {"class_weight": "sqrt"}, ConfigError, "'class_weight' is 'sqrt'"),
        ("logistic_regression", {"labels": np.zeros(400, dtype=int)}, TrainingError, "are of class 0, expected two"),
        ("logistic_regression", {"labels": np.zeros(3, dtype=int)}, TrainingError, "one label per curve"),
    ],
)
def test_wrong_training_is_refused(name, options, error, message):
    arguments = {"samples": CURVES, "labels": labels(3), "n_classes": 3, **options}
    with pytest.raises(error, match=message):
        fit_classifier(name, arguments.pop("samples"), arguments.pop("labels"), **arguments)
