"""Leak-safe folds: what belongs together is tested together, and what lies near it is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from thermo_qc.errors import FoldError, choose
from thermo_qc.evaluation.draw import Drawn, Request, draw_groups, draw_pixels
from thermo_qc.evaluation.fold_checks import fold_warnings
from thermo_qc.evaluation.items import FoldItem, check_items
from thermo_qc.evaluation.spatial import draw_spatial
from thermo_qc.evaluation.splits import Splits

__all__ = ["FOLD_KINDS", "make_splits"]

FOLD_KINDS: dict[str, Callable[[Sequence[FoldItem], Request], Drawn]] = {
    "acquisition": draw_groups,
    "plate": draw_groups,
    "condition": draw_groups,
    "defect": draw_spatial,
    "block": draw_spatial,
    "random_pixel": draw_pixels,
}


def make_splits(
    items: Sequence[FoldItem],
    *,
    by: str,
    k: int | None = None,
    guard_mm: float | None = None,
    block_mm: float = 60.0,
    seed: int = 0,
) -> Splits:
    """Divide labelled recordings into folds; every usable pixel is tested in exactly one of them.

    Parameters
    ----------
    items : sequence of FoldItem
        Labelled recordings.
    by : {"acquisition", "plate", "condition", "defect", "block", "random_pixel"}
        What is held out together. Defects and blocks are held out in all recordings of their plate at once, with a
        guard ring round them. Random pixels leak: they only serve to show by how much.
    k : int, optional
        Number of folds; None leaves out one group at a time (five folds for blocks and random pixels).
    guard_mm : float, optional
        Least distance between training and test pixels of defect and block folds, mm; None takes the widest
        `FoldItem.guard_mm` of the plate.
    block_mm : float
        Edge of the blocks, mm.
    seed : int
        Order in which equal groups are dealt out.

    Returns
    -------
    Splits
        Groups are dealt out so that the folds hold about equal shares of every class.

    Raises
    ------
    FoldError
        When there are fewer groups than folds, a recording lacks what the folds need, or a fold cannot train.
    UnknownNameError
        When `by` is none of the above.

    Examples
    --------
    >>> import numpy as np
    >>> from thermo_qc.sequence import Truth
    >>> empty = Truth(defect_index=np.zeros((4, 4)), depth_mm=np.full((4, 4), np.nan))
    >>> item = {"truth": empty, "class_map": np.zeros((4, 4), np.uint8)}
    >>> splits = make_splits([FoldItem(key=a, acquisition=a, **item) for a in "abc"], by="acquisition")
    >>> splits.n_folds, splits.test_keys(0), splits.train_keys(0)
    (3, ('a',), ('b', 'c'))
    """
    draw = choose(FOLD_KINDS, by, "kind of folds")
    check_items(items)
    if k is not None and k < 2:
        raise FoldError(f"{k} folds were asked for; cross-validation needs at least 2")
    if guard_mm is not None and not (np.isfinite(guard_mm) and guard_mm >= 0):
        raise FoldError(f"guard_mm is {guard_mm}, expected a length of 0 mm or more")
    if not (np.isfinite(block_mm) and block_mm > 0):
        raise FoldError(f"block_mm is {block_mm}, expected a length above 0 mm")
    drawn = draw(items, Request(by=by, k=k, guard_mm=guard_mm, block_mm=block_mm, seed=seed))
    splits = Splits(
        by=by,
        n_folds=drawn.n_folds,
        seed=seed,
        fold_maps=drawn.fold_maps,
        guards=drawn.guards,
        groups=drawn.groups,
        guard_mm=drawn.guard_mm,
        block_mm=block_mm if by == "block" else None,
        warnings=drawn.warnings,
    )
    return replace(splits, warnings=(*splits.warnings, *fold_warnings(splits, items)))
