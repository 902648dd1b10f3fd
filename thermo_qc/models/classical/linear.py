"""Logistic regression: trained by scikit-learn, kept as one matrix, applied by NumPy."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermo_qc.errors import ModelError
from thermo_qc.models.classical.samples import Standard, checked_arrays, draw_samples, spread
from thermo_qc.models.parameters import integer, number
from thermo_qc.models.trees import as_samples

__all__ = ["LogisticRegression"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class LogisticRegression:
    """Linear functions of the features whose softmax is the probability of the classes.

    Parameters
    ----------
    weights : ndarray of float64, shape (P, F)
        One row for each class that training saw.
    bias : ndarray of float64, shape (P,)
        Constants.
    present : ndarray of int32, shape (P,)
        Those classes.
    n_classes : int
        Classes with sound; one that training did not see gets probability 0.

    References
    ----------
    Cox, D. R. (1958). The regression analysis of binary sequences. Journal of the Royal Statistical Society B 20(2).
    https://doi.org/10.1111/j.2517-6161.1958.tb00292.x
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    present: NDArray[np.int32]
    n_classes: int

    @property
    def n_features(self) -> int:
        """Features of a sample."""
        return int(self.weights.shape[1])

    @classmethod
    def fit(
        cls,
        samples: ArrayLike,
        labels: ArrayLike,
        *,
        n_classes: int,
        seed: int = 0,
        n_jobs: int = 1,
        inverse_penalty: float = 1.0,
        max_iterations: int = 500,
        class_weight: str = "none",
        max_samples: int | None = None,
    ) -> LogisticRegression:
        """Train on samples (N, ...); features are standardised.

        Parameters
        ----------
        samples, labels, n_classes, class_weight, max_samples
            See `draw_samples`.
        seed : int
            Of the draw.
        n_jobs : int
            Not used: the solver has one thread.
        inverse_penalty : float
            Inverse of the strength of the quadratic penalty (C of scikit-learn).
        max_iterations : int
            Most iterations of the solver.

        Raises
        ------
        TrainingError, ConfigError
            When samples or options are wrong.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression as Regression

        del n_jobs
        classifier = Regression(
            C=number("inverse_penalty", inverse_penalty, 1e-9, 1e9),
            max_iter=integer("max_iterations", max_iterations, 1, 1_000_000),
        )
        drawn = draw_samples(
            samples,
            labels,
            n_classes=n_classes,
            max_samples=max_samples,
            class_weight=class_weight,
            rng=np.random.default_rng(seed),
        )
        standard = Standard.of(drawn.samples)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            classifier.fit(standard.apply(drawn.samples), drawn.classes, sample_weight=drawn.weights)
        if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
            log.warning(
                "the logistic regression has not settled within %d iterations; raise max_iterations", max_iterations
            )
        return cls.from_sklearn(classifier, standard, n_classes)

    @classmethod
    def from_sklearn(cls, classifier: Any, standard: Standard, n_classes: int) -> LogisticRegression:
        """Take over a fitted `sklearn.linear_model.LogisticRegression` of standardised samples."""
        weights, bias = classifier.coef_ / standard.scale, classifier.intercept_
        bias = bias - weights @ standard.mean
        if len(weights) == 1:  # two classes: the first counts from zero
            weights, bias = np.vstack([np.zeros_like(weights), weights]), np.concatenate([[0.0], bias])
        present = np.asarray(classifier.classes_, dtype=np.int32)
        return cls(weights=weights, bias=bias, present=present, n_classes=n_classes)

    def predict_proba(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Probabilities (N, K) of samples (N, ...)."""
        values = as_samples(samples, self.n_features, "the logistic regression").astype(np.float64)
        logits = values @ self.weights.T + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return spread(powers / powers.sum(axis=1, keepdims=True), self.present, self.n_classes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the model as named arrays."""
        return {"weights": self.weights, "bias": self.bias, "present": self.present}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, n_features: int, n_classes: int) -> LogisticRegression:
        """Rebuild it from `arrays`; `ModelError` when they do not belong together."""
        found = dict(arrays)
        n = len(found.get("present", ()))
        shapes = {"weights": ("float64", (n, n_features)), "bias": ("float64", (n,)), "present": ("int32", (n,))}
        checked_arrays(found, shapes, "the logistic regression")
        check_present(found["present"], n_classes)
        return cls(**found, n_classes=n_classes)


def check_present(present: NDArray[Any], n_classes: int) -> None:
    """Refuse lists of classes that are not two or more of 0 to `n_classes` - 1 in growing order."""
    if present.size < 2 or present[0] < 0 or present[-1] >= n_classes or (np.diff(present) <= 0).any():
        raise ModelError(
            f"the classifier knows the classes {present.tolist()}, the model has {n_classes}; train the model again"
        )
