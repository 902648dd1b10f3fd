"""One feature, one direction, one threshold: the best classical map as a method like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermo_qc.errors import ModelError, TrainingError
from thermo_qc.models.classical.samples import checked_arrays
from thermo_qc.models.trees import as_samples

__all__ = ["DIRECTIONS", "Threshold"]

DIRECTIONS = ("above", "below", "away from zero")
_BINS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Threshold:
    """A pixel is a defect where one of its features lies beyond a threshold.

    Parameters
    ----------
    choice : ndarray of int32, shape (3,)
        The feature, its direction (`DIRECTIONS`), and how many features there are.
    scale : ndarray of float64, shape (2,)
        Threshold, and the width over which the probability of a defect rises through one half.
    edges : ndarray of float64, shape (B,)
        Scores above the threshold that separate the classes of defects.
    classes : ndarray of int32, shape (B + 1,)
        Class of a defect between them: the most frequent one there in training.
    n_classes : int
        Classes with sound.
    """

    choice: NDArray[np.int32]
    scale: NDArray[np.float64]
    edges: NDArray[np.float64]
    classes: NDArray[np.int32]
    n_classes: int

    @property
    def n_features(self) -> int:
        """Features of a sample."""
        return int(self.choice[2])

    @classmethod
    def fit(cls, samples: ArrayLike, labels: ArrayLike, *, n_classes: int, seed: int = 0, n_jobs: int = 1) -> Threshold:
        """Choose feature, direction and threshold with the highest F1 of "defect" over the training pixels.

        Parameters
        ----------
        samples : array, shape (N, ...)
            Features; further axes are flattened.
        labels : array of int, shape (N,)
            Classes, 0 for sound.
        n_classes : int
            Classes with sound.
        seed, n_jobs : int
            Not used: nothing is drawn, and there is one thread.

        Raises
        ------
        TrainingError
            When there are no defects or no sound pixels.
        """
        y = np.asarray(labels).astype(np.int64).ravel()
        x = np.asarray(samples, dtype=np.float32).reshape(len(y), -1)
        if not (y > 0).any() or not (y == 0).any():
            raise TrainingError("a threshold needs sound pixels and pixels of defects to be chosen on; label both")
        best = (-1.0, 0, 0, 0.0)
        for feature in range(x.shape[1]):
            for direction in range(len(DIRECTIONS)):
                f1, threshold = best_threshold(_directed(x[:, feature], direction), y > 0)
                if f1 > best[0]:
                    best = (f1, feature, direction, threshold)
        _, feature, direction, threshold = best
        score = _directed(x[:, feature], direction)
        low, high = np.quantile(score[y == 0], (0.16, 0.84))
        edges, classes = _classes_by_score(score, y, threshold, n_classes)
        return cls(
            choice=np.array([feature, direction, x.shape[1]], dtype=np.int32),
            scale=np.array([threshold, max(float(high - low) / 2, 1e-6)]),
            edges=edges,
            classes=classes,
            n_classes=n_classes,
        )

    def predict_proba(self, samples: ArrayLike, /) -> NDArray[np.float32]:
        """Probabilities (N, K): a logistic function of the distance from the threshold, all of it for one class."""
        x = as_samples(samples, self.n_features, "the threshold")
        score = _directed(x[:, int(self.choice[0])], int(self.choice[1]))
        distance = np.clip((score - self.scale[0]) / self.scale[1], -60.0, 60.0)
        defect = 1.0 / (1.0 + np.exp(-distance))
        result = np.zeros((len(x), self.n_classes), dtype=np.float32)
        result[:, 0] = 1.0 - defect
        result[np.arange(len(x)), self.classes[np.searchsorted(self.edges, score)]] = defect
        return result

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that a prediction needs, by name."""
        return {"choice": self.choice, "scale": self.scale, "edges": self.edges, "classes": self.classes}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, n_features: int, n_classes: int) -> Threshold:
        """Rebuild it from its arrays.

        Raises
        ------
        ModelError
            When they do not belong together.
        """
        shapes = {"choice": ("int32", (3,)), "scale": ("float64", (2,))}
        checked_arrays(
            dict(arrays), {**shapes, "edges": ("float64", (None,)), "classes": ("int32", (None,))}, "the threshold"
        )
        choice, scale, edges, classes = (arrays[name] for name in ("choice", "scale", "edges", "classes"))
        if (
            classes.size != edges.size + 1
            or choice[2] != n_features
            or not 0 <= choice[0] < n_features
            or not 0 <= choice[1] < 3
        ):
            raise ModelError("the arrays of the threshold do not belong together; train the model again")
        if not (scale[1] > 0 and ((classes > 0) & (classes < n_classes)).all()):
            raise ModelError("the arrays of the threshold hold impossible values; train the model again")
        return cls(choice=choice, scale=scale, edges=edges, classes=classes, n_classes=n_classes)


def best_threshold(score: NDArray[np.float64], defect: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the highest F1 of "score above the threshold", and that threshold, half way to the next score below.

    Parameters
    ----------
    score : ndarray of float64, shape (N,)
        Finite scores.
    defect : ndarray of bool, shape (N,)
        What is to be found; at least one.

    Examples
    --------
    >>> best_threshold(np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True]))
    (1.0, 1.5)
    """
    order = np.argsort(score)[::-1]
    ordered = score[order]
    hits = np.cumsum(defect[order])
    called = np.arange(1, len(score) + 1)
    f1 = 2.0 * hits / (called + hits[-1])
    last_of_tie = np.append(ordered[1:] < ordered[:-1], True)
    place = int(np.argmax(np.where(last_of_tie, f1, -1.0)))
    below = ordered[place + 1] if place + 1 < len(ordered) else ordered[place] - 1.0
    return float(f1[place]), float((ordered[place] + below) / 2)


def _directed(values: NDArray[Any], direction: int) -> NDArray[np.float64]:
    known = np.asarray(values, dtype=np.float64)
    return (known, -known, np.abs(known))[direction]


def _classes_by_score(
    score: NDArray[np.float64], labels: NDArray[np.int64], threshold: float, n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Divide the scores of called defects into bins of equal counts, and name the most frequent class of each."""
    called = (score > threshold) & (labels > 0)
    n_bins = int(np.clip(called.sum() // 20, 1, _BINS)) if n_classes > 2 else 1
    edges = np.unique(np.quantile(score[called], np.arange(1, n_bins) / n_bins)) if n_bins > 1 else np.empty(0)
    places = np.searchsorted(edges, score[called])
    overall = int(np.bincount(labels[called], minlength=n_classes).argmax()) if called.any() else 1
    classes = np.full(edges.size + 1, overall, dtype=np.int32)
    for number in range(edges.size + 1):
        own = labels[called][places == number]
        if own.size:
            classes[number] = int(np.bincount(own, minlength=n_classes).argmax())
    return edges.astype(np.float64), classes
