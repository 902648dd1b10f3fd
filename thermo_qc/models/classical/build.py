"""The table of classical classifiers, and how one is trained or rebuilt by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermo_qc.errors import ModelError, choose
from thermo_qc.models.classical.boosting import GradientBoosting
from thermo_qc.models.classical.linear import LogisticRegression
from thermo_qc.models.classical.svm import SupportVectors
from thermo_qc.models.classical.threshold import Threshold
from thermo_qc.models.forest import FOREST_PARAMETERS, Forest
from thermo_qc.models.parameters import check_names

__all__ = ["CLASSIFIERS", "Classifier", "check_classifier", "fit_classifier", "load_classifier"]


class Classifier(Protocol):
    """What every classical classifier can do once it is trained."""

    @property
    def n_features(self) -> int:
        """Features of a sample."""

    @property
    def n_classes(self) -> int:
        """Classes with sound."""

    def predict_proba(self, samples: ArrayLike, /) -> NDArray[np.float32]:
        """Probabilities (N, K) of samples (N, ...)."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that a prediction needs, by name."""


CLASSIFIERS: dict[str, Any] = {
    "logistic_regression": LogisticRegression,
    "svm": SupportVectors,
    "random_forest": Forest,
    "gradient_boosting": GradientBoosting,
    "threshold": Threshold,
}
_GIVEN = {"n_classes", "seed", "n_jobs", "sample_weight"}


def check_classifier(name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse names and parameters that do not exist.

    Raises
    ------
    UnknownNameError
        With "did you mean".
    """
    own = inspect.signature(choose(CLASSIFIERS, name, "classical model").fit).parameters.values()
    known = [p.name for p in own if p.kind is p.KEYWORD_ONLY and p.name not in _GIVEN]
    check_names(f"classical model '{name}'", parameters, FOREST_PARAMETERS if name == "random_forest" else known)


def fit_classifier(
    name: str,
    samples: ArrayLike,
    labels: ArrayLike,
    *,
    n_classes: int,
    seed: int = 0,
    n_jobs: int = 1,
    **parameters: Any,
) -> Classifier:
    """Train a classical classifier.

    Parameters
    ----------
    name : str
        Key of `CLASSIFIERS`.
    samples : array, shape (N, ...)
        Features; further axes are flattened.
    labels : array of int, shape (N,)
        Classes 0 to `n_classes` - 1.
    n_classes : int
        Classes with sound.
    seed : int
        Same seed, same classifier.
    n_jobs : int
        Threads.
    **parameters
        The classifier's own, see its `fit`.

    Returns
    -------
    Classifier

    Raises
    ------
    UnknownNameError, ConfigError, TrainingError
        When a name, a parameter or the samples are wrong.
    """
    check_classifier(name, parameters)
    trained: Classifier = CLASSIFIERS[name].fit(
        samples, labels, n_classes=n_classes, seed=seed, n_jobs=n_jobs, **parameters
    )
    return trained


def load_classifier(name: str, arrays: Mapping[str, NDArray[Any]], *, n_features: int, n_classes: int) -> Classifier:
    """Rebuild a classifier from its arrays.

    Raises
    ------
    ModelError
        When they do not belong together.
    """
    kind = choose(CLASSIFIERS, name, "classical model")
    if kind is not Forest:
        rebuilt: Classifier = kind.from_arrays(arrays, n_features=n_features, n_classes=n_classes)
        return rebuilt
    forest = Forest.from_arrays(arrays, n_features=n_features)
    if forest.n_classes != n_classes:
        raise ModelError(f"the forest knows {forest.n_classes} classes, the model names {n_classes}")
    return forest
