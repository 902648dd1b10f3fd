"""Binary decision trees as flat arrays, and the walk of samples down to their leaves, by NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermo_qc.errors import ModelError

__all__ = ["BLOCK", "LEAF", "Trees", "as_samples", "rounded_down"]

LEAF = -1
BLOCK = 8192
SHRINK = 0.7


@dataclass(frozen=True, kw_only=True, eq=False)
class Trees:
    """Decision trees; the nodes of tree `i` start at ``roots[i]``.

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
    n_features : int
        Features of a sample.

    Raises
    ------
    ModelError
        When the arrays do not belong together.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    children: NDArray[np.int32]
    roots: NDArray[np.int32]
    n_features: int

    def __post_init__(self) -> None:
        n = self.feature.size
        shapes = (self.feature.shape == (n,), self.threshold.shape == (n,), self.children.shape == (n, 2))
        if n == 0 or self.roots.ndim != 1 or self.roots.size == 0 or not all(shapes):
            raise ModelError("the arrays of the trees do not belong together; train the model again")
        inside = all(int(a.min()) >= 0 and int(a.max()) < n for a in (self.children, self.roots))
        if not inside or not LEAF <= int(self.feature.min()) <= int(self.feature.max()) < self.n_features:
            raise ModelError("a tree points outside its own arrays; train the model again")
        leaf, own = self.feature == LEAF, np.arange(n)[:, None]
        if not ((self.children == own)[leaf].all() and (self.children > own)[~leaf].all()):
            raise ModelError("the trees run in circles; train the model again")

    @cached_property
    def _looked_at(self) -> NDArray[np.intp]:
        """Feature of each node in the integer type that NumPy indexes with; a leaf looks at feature 0 and stays."""
        return np.maximum(self.feature, 0).astype(np.intp)

    @cached_property
    def _next(self) -> NDArray[np.intp]:
        return self.children.ravel().astype(np.intp)

    @cached_property
    def _inner(self) -> NDArray[np.bool_]:
        return np.asarray(self.feature != LEAF)

    def leaves(self, block: NDArray[np.float32]) -> Iterator[NDArray[np.intp]]:
        """Walk the samples of a block (N, F) down each tree, those that reached a leaf dropping out.

        Yields
        ------
        ndarray of int, shape (N,)
            Leaf of each sample, tree after tree; overwritten by the next tree's.
        """
        flat, first = block.ravel(), np.arange(len(block)) * self.n_features
        leaf = np.empty(len(block), dtype=np.intp)
        for root in self.roots.tolist():
            leaf.fill(root)
            offset, node, active = first, leaf, None
            while self.feature[root] != LEAF and len(block):
                right = flat.take(offset + self._looked_at.take(node)) > self.threshold.take(node)
                node = self._next.take(2 * node + right)
                inner = self._inner.take(node)
                n_inner = int(np.count_nonzero(inner))
                if n_inner <= SHRINK * node.size:
                    if active is None:
                        active = np.arange(len(block))
                    leaf[active] = node
                    if n_inner == 0:
                        break
                    kept = np.flatnonzero(inner)
                    offset, node, active = offset.take(kept), node.take(kept), active.take(kept)
            yield leaf


def as_samples(values: ArrayLike, n_features: int, what: str) -> NDArray[np.float32]:
    """Flatten samples (N, ...) to float32 (N, F).

    Raises
    ------
    ModelError
        When `what` ("the forest") was trained on samples of another size.
    """
    samples = np.asarray(values, dtype=np.float32)
    samples = np.ascontiguousarray(samples.reshape(len(samples), -1 if samples.size else n_features))
    if samples.shape[1] != n_features:
        raise ModelError(f"a sample has {samples.shape[1]} features, {what} was trained on {n_features}")
    return samples


def rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Largest float32 not above the threshold: samples are float32, so every comparison keeps its outcome."""
    with np.errstate(over="ignore"):
        rounded = threshold.astype(np.float32)
    above = rounded.astype(np.float64) > threshold
    return np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)
