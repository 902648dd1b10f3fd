"""Random forest over curves: trained by scikit-learn, kept as plain arrays, applied by NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermo_qc.errors import ConfigError, ModelError, TrainingError, UnknownNameError, suggestion
from thermo_qc.models.trees import BLOCK, LEAF, Trees, as_samples, rounded_down

__all__ = ["FOREST_PARAMETERS", "Forest", "check_forest_parameters", "checked_samples"]

FOREST_PARAMETERS: tuple[str, ...] = (
    "n_trees",
    "max_depth",
    "min_samples_leaf",
    "max_features",
    "max_samples",
    "criterion",
    "class_weight",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Forest:
    """Decision trees as flat arrays; the nodes of tree `i` start at ``roots[i]``.

    Parameters
    ----------
    feature : ndarray of int32, shape (M,)
        Feature that a node looks at, -1 in a leaf.
    threshold : ndarray of float32, shape (M,)
        A sample goes left when its feature is not greater.
    children : ndarray of int32, shape (M, 2)
        Left and right node; a leaf points at itself.
    roots : ndarray of int32, shape (n_trees,)
        First node of each tree.
    probability : ndarray of float32, shape (M, K)
        Share of the classes among a node's training samples.
    n_features : int
        Features of a sample.

    References
    ----------
    Breiman, L. (2001). Random forests. Machine Learning 45. https://doi.org/10.1023/A:1010933404324
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    children: NDArray[np.int32]
    roots: NDArray[np.int32]
    probability: NDArray[np.float32]
    n_features: int

    def __post_init__(self) -> None:
        if self.probability.ndim != 2 or self.probability.shape[:1] != self.feature.shape:
            raise ModelError("the arrays of the forest do not belong together; train the model again")
        self._trees  # noqa: B018 - checks the other arrays

    @cached_property
    def _trees(self) -> Trees:
        return Trees(
            feature=self.feature,
            threshold=self.threshold,
            children=self.children,
            roots=self.roots,
            n_features=self.n_features,
        )

    @property
    def n_classes(self) -> int:
        """Number of classes with sound."""
        return int(self.probability.shape[1])

    @classmethod
    def fit(
        cls,
        curves: ArrayLike,
        labels: ArrayLike,
        *,
        n_classes: int,
        n_trees: int = 100,
        max_depth: int | None = None,
        min_samples_leaf: int = 1,
        max_features: str | float | int | None = "sqrt",
        max_samples: float | None = None,
        criterion: str = "gini",
        class_weight: str | Mapping[int, float] | None = None,
        sample_weight: ArrayLike | None = None,
        n_jobs: int | None = 1,
        seed: int = 0,
        **unknown: Any,
    ) -> Forest:
        """Train a forest.

        Parameters
        ----------
        curves : array, shape (N, ...)
            Samples; further axes are flattened.
        labels : array of int, shape (N,)
            Classes 0 to `n_classes` - 1; a class without samples gets probability 0.
        n_classes : int
            Classes with sound.
        n_trees, max_depth, min_samples_leaf, max_features, max_samples, criterion, class_weight
            See `sklearn.ensemble.RandomForestClassifier` (`n_trees` is its n_estimators); class weights may also be
            "none".
        sample_weight : array, shape (N,), optional
            Weight of each sample.
        n_jobs : int, optional
            Threads; -1 for all.
        seed : int
            Same seed, same forest.
        **unknown
            Refused with "did you mean".

        Returns
        -------
        Forest

        Raises
        ------
        TrainingError
            When there are no samples or the labels do not fit.
        UnknownNameError, ConfigError
            When a parameter is not known or wrong.
        """
        check_forest_parameters(unknown)
        from sklearn.ensemble import RandomForestClassifier

        samples, classes = checked_samples(curves, labels, n_classes)
        classifier = RandomForestClassifier(
            n_estimators=n_trees,
            max_depth=max_depth,
            min_samples_leaf=min_samples_leaf,
            max_features=max_features,
            max_samples=max_samples,
            criterion=criterion,
            class_weight=_class_weight(class_weight, classes),
            n_jobs=n_jobs,
            random_state=seed,
        )
        try:
            classifier.fit(samples, classes, sample_weight=sample_weight)
        except ValueError as error:
            raise ConfigError(f"the forest cannot be trained: {str(error).splitlines()[0]}") from error
        return cls.from_sklearn(classifier, n_classes)

    @classmethod
    def from_sklearn(cls, classifier: Any, n_classes: int) -> Forest:
        """Take over the trees of a fitted `sklearn.ensemble.RandomForestClassifier` with integer classes."""
        trees = [estimator.tree_ for estimator in classifier.estimators_]
        offsets = np.cumsum([0, *(tree.node_count for tree in trees)])
        columns = np.asarray(classifier.classes_, dtype=np.int64)
        parts: list[tuple[NDArray[Any], ...]] = []
        for tree, offset in zip(trees, offsets, strict=False):
            own = np.arange(tree.node_count)
            leaf = tree.children_left == -1
            left, right = (np.where(leaf, own, child) + offset for child in (tree.children_left, tree.children_right))
            share = np.zeros((tree.node_count, n_classes))
            value = tree.value[:, 0, :]
            share[:, columns] = value / value.sum(axis=1, keepdims=True)
            parts.append((np.where(leaf, LEAF, tree.feature), tree.threshold, np.stack([left, right], axis=1), share))
        feature, threshold, children, probability = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return cls(
            feature=feature.astype(np.int32),
            threshold=rounded_down(threshold),
            children=children.astype(np.int32),
            roots=offsets[:-1].astype(np.int32),
            probability=probability.astype(np.float32),
            n_features=int(classifier.n_features_in_),
        )

    def predict_proba(self, curves: ArrayLike) -> NDArray[np.float32]:
        """Mean over the trees of the classes' shares.

        Parameters
        ----------
        curves : array, shape (N, ...)
            Samples as for `fit`.

        Returns
        -------
        ndarray of float32, shape (N, K)

        Raises
        ------
        ModelError
            When a sample has another number of features.
        """
        samples = as_samples(curves, self.n_features, "the forest")
        result = np.empty((len(samples), self.n_classes), dtype=np.float32)
        for start in range(0, len(samples), BLOCK):
            block = samples[start : start + BLOCK]
            total = np.zeros((len(block), self.n_classes))
            for leaf in self._trees.leaves(block):
                total += self.probability.take(leaf, axis=0)
            result[start : start + BLOCK] = total / self.roots.size
        return result

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the forest as named arrays."""
        names = ("feature", "threshold", "children", "roots", "probability")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Forest:
        """Rebuild a forest from `arrays`; `ModelError` when they do not belong together."""
        types = {
            "feature": "int32",
            "threshold": "float32",
            "children": "int32",
            "roots": "int32",
            "probability": "float32",
        }
        if set(arrays) != set(types) or any(str(arrays[name].dtype) != kind for name, kind in types.items()):
            raise ModelError(
                f"the forest's arrays are {sorted(arrays)}, expected {sorted(types)}; train the model again"
            )
        return cls(**arrays, n_features=n_features)


def check_forest_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that `Forest.fit` does not take from a configuration."""
    for name in parameters:
        if name not in FOREST_PARAMETERS:
            raise UnknownNameError(f"the forest has no parameter '{name}'{suggestion(name, FOREST_PARAMETERS)}")


def checked_samples(
    curves: ArrayLike, labels: ArrayLike, n_classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return samples (N, F) and classes (N,) that belong together, else raise `TrainingError`."""
    samples, classes = np.asarray(curves, dtype=np.float32), np.asarray(labels)
    if len(samples) == 0 or classes.shape != (len(samples),):
        raise TrainingError(
            f"{len(samples)} curves came with labels of shape {classes.shape}, expected one label per curve"
        )
    if classes.min() < 0 or classes.max() >= n_classes:
        raise TrainingError(f"labels run from {classes.min()} to {classes.max()}, expected 0 to {n_classes - 1}")
    return samples.reshape(len(samples), -1), classes.astype(np.int64)


def _class_weight(given: str | Mapping[int, float] | None, classes: NDArray[np.int64]) -> Any:
    if given is None or given == "none":
        return None
    if isinstance(given, str):
        if given not in {"balanced", "balanced_subsample"}:
            known = ("none", "balanced", "balanced_subsample")
            raise ConfigError(f"class_weight of the forest is '{given}'{suggestion(given, known)}")
        return given
    if isinstance(given, Mapping):
        present = set(np.unique(classes).tolist())
        return {int(key): float(value) for key, value in given.items() if int(key) in present}
    raise ConfigError(
        f"class_weight of the forest is {given!r}, expected none, balanced, balanced_subsample or a mapping"
    )
