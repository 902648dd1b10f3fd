"""Dealing groups out to folds so that every fold holds its share of every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["balance_groups"]


def balance_groups(counts: NDArray[np.int64], n_folds: int, *, seed: int = 0) -> list[int]:
    """Deal groups out to folds, stratified as far as whole groups allow.

    The groups that hold most of some class come first; each goes to the fold where the classes it brings are scarcest
    so far (least sum of squared shares, the number of groups counting as one more class). No fold stays empty.

    Parameters
    ----------
    counts : ndarray of int64, shape (G, K)
        Pixels of each class in each group.
    n_folds : int
        At most G.
    seed : int
        Breaks ties between equal groups.

    Returns
    -------
    list of int
        Fold of each group, from 0 in the order in which folds first occur.
    """
    totals = counts.sum(axis=0)
    shares = counts[:, totals > 0] / totals[totals > 0]
    shares = np.column_stack([shares, np.full(len(counts), 1.0 / len(counts))])
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    order = shuffled[np.argsort(-shares[shuffled].max(axis=1), kind="stable")]
    held = np.zeros((n_folds, shares.shape[1]))
    sizes = np.zeros(n_folds, dtype=np.int64)
    fold_of = np.zeros(len(counts), dtype=np.int64)
    for group in order:
        growth = np.round(held @ shares[group], 12)
        fold = int(np.lexsort((np.arange(n_folds), sizes, growth))[0])
        fold_of[group] = fold
        held[fold] += shares[group]
        sizes[fold] += 1
    first = {int(fold): number for number, fold in enumerate(dict.fromkeys(fold_of.tolist()))}
    return [first[int(fold)] for fold in fold_of]
