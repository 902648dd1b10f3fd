"""Whether every fold can be trained and tested, and what a reader of its figures must know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import FoldError
from thermo_qc.evaluation.items import FoldItem
from thermo_qc.evaluation.splits import Splits

__all__ = ["fold_warnings"]


def fold_warnings(splits: Splits, items: Sequence[FoldItem]) -> tuple[str, ...]:
    """Check every fold.

    Parameters
    ----------
    splits : Splits
        Folds of these recordings.
    items : sequence of FoldItem
        The recordings.

    Returns
    -------
    tuple of str
        Classes that a fold cannot learn or has nothing of to find.

    Raises
    ------
    FoldError
        When a fold has nothing to train on or to test, or would train on a single class of several.
    """
    everywhere = _classes(item.class_map[item.valid] for item in items)
    warnings = []
    for fold in range(splits.n_folds):
        tested = _classes(item.class_map[splits.test_mask(fold, item.key)] for item in items)
        trained = _classes(item.class_map[splits.train_mask(fold, item.key)] for item in items)
        if tested.size == 0:
            raise FoldError(f"fold {fold} of {splits.n_folds} tests no pixel; make fewer folds")
        _refuse_untrainable(splits, fold, trained, everywhere)
        missing = np.setdiff1d(everywhere, trained)
        if missing.size:
            warnings.append(f"fold {fold} trains without class {_listed(missing)}: it cannot find that class")
        if everywhere.max() > 0 and tested.max() == 0:
            warnings.append(f"fold {fold} tests sound pixels only: its defect figures are empty")
    if everywhere.size == 1:
        warnings.append(f"all recordings show class {_listed(everywhere)} only: there is nothing to tell apart")
    return tuple(warnings)


def _refuse_untrainable(splits: Splits, fold: int, trained: NDArray[np.uint8], everywhere: NDArray[np.uint8]) -> None:
    ring = f" (the guard ring of {splits.guard_mm:.3g} mm takes the rest)" if splits.guard_mm else ""
    advice = "make guard_mm smaller, choose another number of folds, or fold by something else"
    if trained.size == 0:
        raise FoldError(f"fold {fold} of {splits.n_folds} by {splits.by} has no pixel left to train on{ring}; {advice}")
    if trained.size == 1 and everywhere.size > 1:
        raise FoldError(
            f"fold {fold} of {splits.n_folds} by {splits.by} would train on class {_listed(trained)} only, "
            f"the data has classes {_listed(everywhere)}{ring}; {advice}"
        )


def _classes(parts: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Classes that occur in any of the parts, sorted."""
    present = np.zeros(256, dtype=bool)
    for part in parts:
        present |= np.bincount(part, minlength=256) > 0
    return np.flatnonzero(present).astype(np.uint8)


def _listed(classes: NDArray[np.uint8]) -> str:
    return ", ".join(str(value) for value in classes.tolist())
