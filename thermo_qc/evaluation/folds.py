"""Leak-safe folds: what belongs together is tested together, and what lies near it is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from thermo_qc.errors import FoldError, choose
from thermo_qc.evaluation.draw import Drawn, Request, draw_frames, draw_groups, draw_pixels
from thermo_qc.evaluation.fold_checks import fold_warnings
from thermo_qc.evaluation.items import FoldItem, check_items
from thermo_qc.evaluation.spatial import draw_spatial
from thermo_qc.evaluation.splits import Splits
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["FOLD_KINDS", "make_splits"]

FOLD_KINDS: dict[str, Callable[[Sequence[FoldItem], Request], Drawn]] = {
    "acquisition": draw_groups,
    "plate": draw_groups,
    "condition": draw_groups,
    "defect": draw_spatial,
    "depth": draw_spatial,
    "block": draw_spatial,
    "random_pixel": draw_pixels,
    "random_frame": draw_frames,
}


def make_splits(
    items: Sequence[FoldItem],
    *,
    by: str,
    k: int | None = None,
    guard_mm: float | None = None,
    block_mm: float = 60.0,
    seed: int = 0,
    inner_by: str | None = None,
    inner_k: int | None = None,
) -> Splits:
    """Divide labelled recordings into folds; every usable pixel is tested in exactly one of them.

    Parameters
    ----------
    items : sequence of FoldItem
        Labelled recordings.
    by : {"acquisition", "plate", "condition", "defect", "depth", "block", "random_pixel", "random_frame"}
        What is held out together. Defects and blocks are held out in all recordings of their plate at once, with a
        guard ring round them; "depth" holds out all defects of one depth, so that no fold trains on a depth that it
        tests. Random pixels and random frames leak: they only serve to show by how much.
    k : int, optional
        Number of folds; None leaves out one group at a time (five folds for blocks and random pixels).
    guard_mm : float, optional
        Least distance between training and test pixels of defect and block folds, mm; None takes the widest
        `FoldItem.guard_mm` of the plate.
    block_mm : float
        Edge of the blocks, mm.
    seed : int
        Order in which equal groups are dealt out.
    inner_by : str, optional
        What the inner folds hold out together; as `by` when only `inner_k` is given.
    inner_k : int, optional
        Number of inner folds of each fold's training pixels, on which thresholds and hyper-parameters may be chosen
        (`Splits.inner`); None leaves out one inner group at a time where `inner_by` is given, else there are none.

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
        frame_folds=drawn.frame_folds,
    )
    splits = replace(splits, warnings=(*splits.warnings, *fold_warnings(splits, items)))
    if inner_by is None and inner_k is None:
        return splits
    if splits.frame_folds:
        raise FoldError("random-frame folds only show a leakage gap and have no inner folds; leave inner_k out")
    options = {"by": inner_by or by, "k": inner_k, "guard_mm": guard_mm, "block_mm": block_mm, "seed": seed}
    return replace(splits, inner=tuple(_inner(splits, items, fold, options) for fold in range(splits.n_folds)))


def _inner(splits: Splits, items: Sequence[FoldItem], fold: int, options: Mapping[str, Any]) -> Splits:
    """Fold the training pixels of one fold."""
    parts = []
    for item in items:
        trained = splits.train_mask(fold, item.key)
        if trained.any():
            parts.append(replace(item, class_map=np.where(trained, item.class_map, IGNORE_LABEL).astype(np.uint8)))
    try:
        return make_splits(parts, **options)
    except FoldError as error:
        raise FoldError(f"inner folds of fold {fold}: {error}") from error
