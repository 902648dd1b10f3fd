"""Gradient boosting: trees that add up, grown by scikit-learn, kept as arrays, applied by NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermo_qc.errors import ModelError, TrainingError
from thermo_qc.models.classical.linear import check_present
from thermo_qc.models.classical.samples import checked_arrays, draw_samples, spread
from thermo_qc.models.parameters import integer, number
from thermo_qc.models.trees import BLOCK, LEAF, Trees, as_samples

__all__ = ["GradientBoosting", "bin_edges", "in_bins"]

_AGREE = 1e-4
_BINS = 255


@dataclass(frozen=True, kw_only=True, eq=False)
class GradientBoosting:
    """Trees whose values add up to one number per class (one in all with two classes).

    Parameters
    ----------
    feature, threshold, children, roots
        See `Trees`.
    value : ndarray of float64, shape (M,)
        What a leaf adds.
    column : ndarray of int32, shape (n_trees,)
        Which number a tree adds to.
    baseline : ndarray of float64, shape (P,), or (1,) with two classes
        Where the numbers start.
    present : ndarray of int32, shape (P,)
        Classes that training saw.
    n_classes, n_features : int
        Classes with sound; features of a sample.

    References
    ----------
    Friedman, J. H. (2001). Greedy function approximation: a gradient boosting machine. Annals of Statistics 29(5).
    https://doi.org/10.1214/aos/1013203451
    Ke, G. et al. (2017). LightGBM: a highly efficient gradient boosting decision tree. NeurIPS (the histograms).
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    children: NDArray[np.int32]
    roots: NDArray[np.int32]
    value: NDArray[np.float64]
    column: NDArray[np.int32]
    baseline: NDArray[np.float64]
    present: NDArray[np.int32]
    n_classes: int
    n_features: int

    @cached_property
    def _trees(self) -> Trees:
        return Trees(
            feature=self.feature,
            threshold=self.threshold,
            children=self.children,
            roots=self.roots,
            n_features=self.n_features,
        )

    @classmethod
    def fit(
        cls,
        samples: ArrayLike,
        labels: ArrayLike,
        *,
        n_classes: int,
        seed: int = 0,
        n_jobs: int = 1,
        n_rounds: int = 100,
        learning_rate: float = 0.1,
        max_leaves: int = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        penalty: float = 0.0,
        class_weight: str = "none",
        max_samples: int | None = None,
    ) -> GradientBoosting:
        """Train on samples (N, ...).

        Parameters
        ----------
        samples, labels, n_classes, class_weight, max_samples
            See `draw_samples`.
        seed : int
            Same seed, same trees.
        n_jobs : int
            Threads.
        n_rounds : int
            Rounds; each grows a tree, or one for each class where there are more than two.
        learning_rate : float
            Share of each tree's values that is added.
        max_leaves, max_depth, min_samples_leaf : int
            Size of the trees.
        penalty : float
            Quadratic penalty on the leaves' values.

        Raises
        ------
        TrainingError, ConfigError
            When samples or options are wrong.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits

        classifier = HistGradientBoostingClassifier(
            max_iter=integer("n_rounds", n_rounds, 1, 10_000),
            learning_rate=number("learning_rate", learning_rate, 1e-6, 10.0),
            max_leaf_nodes=integer("max_leaves", max_leaves, 2, 4096),
            max_depth=None if max_depth is None else integer("max_depth", max_depth, 1, 64),
            min_samples_leaf=integer("min_samples_leaf", min_samples_leaf, 1, 1_000_000),
            l2_regularization=number("penalty", penalty, 0.0, 1e9),
            early_stopping=False,
            random_state=seed,
        )
        drawn = draw_samples(
            samples,
            labels,
            n_classes=n_classes,
            max_samples=max_samples,
            class_weight=class_weight,
            rng=np.random.default_rng(seed),
        )
        edges = bin_edges(drawn.samples)
        binned = in_bins(drawn.samples, edges)
        seen = slice(None, None, max(1, len(binned) // 200))
        with threadpool_limits(limits=max(1, n_jobs), user_api="openmp"):
            classifier.fit(binned, drawn.classes, sample_weight=drawn.weights)
            there = classifier.predict_proba(binned[seen])
        grown = cls.from_sklearn(classifier, edges, n_classes)
        if np.abs(grown.predict_proba(drawn.samples[seen])[:, grown.present] - there).max() > _AGREE:
            raise TrainingError(
                "this version of scikit-learn keeps its boosted trees in another way; install one from 1.5 to 1.9"
            )
        return grown

    @classmethod
    def from_sklearn(cls, classifier: Any, edges: Sequence[NDArray[np.float32]], n_classes: int) -> GradientBoosting:
        """Take over the trees of a `HistGradientBoostingClassifier` of scikit-learn fitted on `in_bins(..., edges)`."""
        rounds = classifier._predictors
        nodes = [tree.nodes for trees in rounds for tree in trees]
        offsets = np.cumsum([0, *(len(own) for own in nodes)])
        whole = np.concatenate(nodes)
        start = np.repeat(offsets[:-1], [len(own) for own in nodes])
        leaf, own = whole["is_leaf"].astype(bool), np.arange(len(whole))
        left, right = (np.where(leaf, own, whole[side].astype(np.int64) + start) for side in ("left", "right"))
        return cls(
            feature=np.where(leaf, LEAF, whole["feature_idx"]).astype(np.int32),
            threshold=_thresholds(whole, edges),
            children=np.stack([left, right], axis=1).astype(np.int32),
            roots=offsets[:-1].astype(np.int32),
            value=np.where(leaf, whole["value"], 0.0),
            column=np.array([number for trees in rounds for number in range(len(trees))], dtype=np.int32),
            baseline=np.array(classifier._baseline_prediction, dtype=np.float64).ravel(),
            present=np.asarray(classifier.classes_, dtype=np.int32),
            n_classes=n_classes,
            n_features=int(classifier.n_features_in_),
        )

    def predict_proba(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Probabilities (N, K) of samples (N, ...)."""
        values = as_samples(samples, self.n_features, "the gradient boosting")
        result = np.empty((len(values), self.n_classes), dtype=np.float32)
        for start in range(0, len(values), BLOCK):
            block = values[start : start + BLOCK]
            total = np.tile(self.baseline[:, None], (1, len(block)))
            for column, leaf in zip(self.column.tolist(), self._trees.leaves(block), strict=True):
                total[column] += self.value.take(leaf)
            if len(total) == 1:
                total = np.concatenate([np.zeros_like(total), total])
            powers = np.exp(total - total.max(axis=0))
            result[start : start + BLOCK] = spread((powers / powers.sum(axis=0)).T, self.present, self.n_classes)
        return result

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the trees as named arrays."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if not name.startswith("n_")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, n_features: int, n_classes: int) -> GradientBoosting:
        """Rebuild it from `arrays`; `ModelError` when they do not belong together."""
        found = dict(arrays)
        n, m, trees = (len(found.get(name, ())) for name in ("present", "feature", "roots"))
        numbers = n if n > 2 else 1
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {
            "feature": ("int32", (m,)),
            "threshold": ("float32", (m,)),
            "children": ("int32", (m, 2)),
            "roots": ("int32", (trees,)),
            "value": ("float64", (m,)),
            "column": ("int32", (trees,)),
            "baseline": ("float64", (numbers,)),
            "present": ("int32", (n,)),
        }
        checked_arrays(found, shapes, "the gradient boosting")
        check_present(found["present"], n_classes)
        if trees and not 0 <= int(found["column"].min()) <= int(found["column"].max()) < numbers:
            raise ModelError("the gradient boosting adds to classes that it does not know; train the model again")
        rebuilt = cls(**found, n_features=n_features, n_classes=n_classes)
        rebuilt._trees  # noqa: B018 - checks the trees
        return rebuilt


def bin_edges(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Values of each feature of samples (N, F) at which the trees may split, at most 254, growing.

    scikit-learn would find them too, but takes minutes over it where samples are weighted.
    """
    steps = np.linspace(0.0, 1.0, _BINS + 1)[1:-1]
    found = [np.unique(np.quantile(column, steps, method="lower")) for column in samples.T]
    return [edges[edges < column.max()].astype(np.float32) for edges, column in zip(found, samples.T, strict=True)]


def in_bins(samples: NDArray[np.float32], edges: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the number of each feature's bin, float32 (N, F): k where the feature is above k edges."""
    columns = [np.searchsorted(own, column, side="left") for own, column in zip(edges, samples.T, strict=True)]
    return np.stack(columns, axis=1).astype(np.float32)


def _thresholds(nodes: NDArray[Any], edges: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Edges that the nodes' thresholds between two bins stand for; 0 in leaves."""
    result = np.zeros(len(nodes), dtype=np.float32)
    for node in np.flatnonzero(nodes["is_leaf"] == 0):
        result[node] = edges[nodes["feature_idx"][node]][int(nodes["num_threshold"][node])]
    return result
