"""Random forest over curves: trained by scikit-learn, kept as plain arrays, applied by NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermo_qc.errors import ConfigError, ModelError, TrainingError, UnknownNameError, suggestion

__all__ = ["FOREST_PARAMETERS", "Forest", "check_forest_parameters"]

FOREST_PARAMETERS: tuple[str, ...] = (
    "n_trees",
    "max_depth",
    "min_samples_leaf",
    "max_features",
    "max_samples",
    "criterion",
    "class_weight",
)
LEAF = -1
BLOCK = 8192
SHRINK = 0.7


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
        n = self.feature.size
        shapes = (self.threshold.shape == (n,), self.children.shape == (n, 2), self.probability.shape[:1] == (n,))
        if n == 0 or self.roots.size == 0 or self.probability.ndim != 2 or not all(shapes):
            raise ModelError("the arrays of the forest do not belong together; train the model again")
        inside = all(int(a.min()) >= 0 and int(a.max()) < n for a in (self.children, self.roots))
        if not inside or not LEAF <= int(self.feature.min()) <= int(self.feature.max()) < self.n_features:
            raise ModelError("the forest points outside its own arrays; train the model again")
        leaf = self.feature == LEAF
        own = np.arange(n)[:, None]
        if not ((self.children == own)[leaf].all() and (self.children > own)[~leaf].all()):
            raise ModelError("the trees of the forest run in circles; train the model again")

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

        samples, classes = _checked_samples(curves, labels, n_classes)
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
            threshold=_rounded_down(threshold),
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
        samples = np.asarray(curves, dtype=np.float32)
        samples = np.ascontiguousarray(samples.reshape(len(samples), -1 if samples.size else self.n_features))
        if samples.shape[1] != self.n_features:
            raise ModelError(f"a sample has {samples.shape[1]} features, the forest was trained on {self.n_features}")
        result = np.empty((len(samples), self.n_classes), dtype=np.float32)
        tables = _Tables.of(self)
        for start in range(0, len(samples), BLOCK):
            result[start : start + BLOCK] = self._block(samples[start : start + BLOCK], tables)
        return result

    def _block(self, block: NDArray[np.float32], tables: _Tables) -> NDArray[np.float64]:
        """Walk all samples of a block down each tree, those that reached a leaf dropping out."""
        flat, total = block.ravel(), np.zeros((len(block), self.n_classes))
        first = np.arange(len(block)) * self.n_features
        leaf = np.empty(len(block), dtype=np.intp)
        for root in self.roots.tolist():
            leaf.fill(root)
            offset, node, active = first, leaf, None
            while self.feature[root] != LEAF:
                right = flat.take(offset + tables.feature.take(node)) > self.threshold.take(node)
                node = tables.children.take(2 * node + right)
                inner = tables.inner.take(node)
                n_inner = int(np.count_nonzero(inner))
                if n_inner <= SHRINK * node.size:
                    if active is None:
                        active = np.arange(len(block))
                    leaf[active] = node
                    if n_inner == 0:
                        break
                    kept = np.flatnonzero(inner)
                    offset, node, active = offset.take(kept), node.take(kept), active.take(kept)
            total += self.probability.take(leaf, axis=0)
        return total / self.roots.size

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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tables:
    """The forest's tables in the integer type that NumPy indexes with; a leaf looks at feature 0 and stays."""

    feature: NDArray[np.intp]
    children: NDArray[np.intp]
    inner: NDArray[np.bool_]

    @classmethod
    def of(cls, forest: Forest) -> _Tables:
        """Make the tables once per prediction."""
        return cls(
            feature=np.maximum(forest.feature, 0).astype(np.intp),
            children=forest.children.ravel().astype(np.intp),
            inner=forest.feature != LEAF,
        )


def check_forest_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that `Forest.fit` does not take from a configuration."""
    for name in parameters:
        if name not in FOREST_PARAMETERS:
            raise UnknownNameError(f"the forest has no parameter '{name}'{suggestion(name, FOREST_PARAMETERS)}")


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Largest float32 not above the threshold: samples are float32, so every comparison keeps its outcome."""
    rounded = threshold.astype(np.float32)
    above = rounded.astype(np.float64) > threshold
    return np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)


def _checked_samples(
    curves: ArrayLike, labels: ArrayLike, n_classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
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
