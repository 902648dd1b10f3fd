"""Leak-safe folds: what belongs together is tested together, and what lies near it is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import FoldError, choose
from thermo_qc.evaluation.balance import balance_groups
from thermo_qc.evaluation.fold_checks import fold_warnings
from thermo_qc.evaluation.items import FoldItem, check_items
from thermo_qc.evaluation.placement import place_items
from thermo_qc.evaluation.regions import Region, block_regions, defect_regions, guard_masks, guard_width_mm
from thermo_qc.evaluation.splits import Splits
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["FOLD_KINDS", "make_splits"]

DEFAULT_FOLDS = 5
_ALIGNED_MM = 3.0
_OTHER_WAYS = {
    "acquisition": "folds by defect or block cut one recording",
    "plate": "fold by acquisition, defect or block",
    "condition": "fold by acquisition, defect or block",
    "defect": "fold by block or acquisition",
    "block": "make block_mm smaller or fold by acquisition",
    "random_pixel": "the recordings have too few labelled pixels",
}


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What `make_splits` was asked for."""

    by: str
    k: int | None
    guard_mm: float | None
    block_mm: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """Folds before they are checked."""

    fold_maps: dict[str, NDArray[np.int16]]
    n_folds: int
    groups: tuple[tuple[str, ...], ...] = ()
    guards: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    guard_mm: float | None = None
    warnings: tuple[str, ...] = ()


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
    drawn = draw(items, _Request(by=by, k=k, guard_mm=guard_mm, block_mm=block_mm, seed=seed))
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


def _group_folds(items: Sequence[FoldItem], request: _Request) -> _Drawn:
    """Whole recordings, grouped by acquisition, plate or condition."""
    names = [str(getattr(item, request.by)) for item in items]
    unnamed = [item.key for item, name in zip(items, names, strict=True) if not name]
    if unnamed:
        raise FoldError(
            f"no {request.by} is given for {', '.join(unnamed)}; name it in the manifest or fold by something else"
        )
    groups = list(dict.fromkeys(names))
    n_folds = _n_folds(request, len(groups), len(groups))
    counts = np.zeros((len(groups), 256), dtype=np.int64)
    for item, name in zip(items, names, strict=True):
        counts[groups.index(name)] += _class_counts(item.class_map[item.valid])
    fold_of = dict(zip(groups, balance_groups(counts, n_folds, seed=request.seed), strict=True))
    maps = {
        item.key: np.where(item.valid, fold_of[name], -1).astype(np.int16)
        for item, name in zip(items, names, strict=True)
    }
    return _Drawn(fold_maps=maps, n_folds=n_folds, groups=_names_by_fold(fold_of, n_folds))


def _spatial_folds(items: Sequence[FoldItem], request: _Request) -> _Drawn:
    """Defects or blocks, held out in all recordings of their plate, with a guard ring."""
    pieces: dict[str, list[FoldItem]] = {}
    for item in items:
        pieces.setdefault(item.piece, []).append(item)
    planes, regions = [], list[Region]()
    for piece in pieces.values():
        plane = place_items(piece, tolerance_mm=_ALIGNED_MM)
        planes.append(plane)
        regions += defect_regions(plane) if request.by == "defect" else block_regions(plane, request.block_mm)
    n_folds = _n_folds(
        request, len(regions), len(regions) if request.by == "defect" else min(DEFAULT_FOLDS, len(regions))
    )
    class_maps = {item.key: item.class_map for item in items}
    counts = np.stack(
        [sum(_class_counts(class_maps[key][mask]) for key, mask in region.masks.items()) for region in regions]
    )
    folds = balance_groups(counts, n_folds, seed=request.seed)
    maps = {item.key: np.full(item.shape, -1, dtype=np.int16) for item in items}
    for region, fold in zip(regions, folds, strict=True):
        for key, mask in region.masks.items():
            maps[key][mask] = fold
    guards: dict[str, NDArray[np.bool_]] = {}
    widths = []
    for plane, piece in zip(planes, pieces.values(), strict=True):
        width = guard_width_mm(piece, request.guard_mm)
        if width is None:
            raise FoldError(
                f"plate '{plane.piece}': the width of the guard ring is unknown; give the material (diffusivity) or folds.guard_mm"
            )
        guards |= guard_masks(plane, maps, n_folds, width)
        widths.append(width)
    names = _names_by_fold(dict(zip([region.name for region in regions], folds, strict=True)), n_folds)
    return _Drawn(fold_maps=maps, n_folds=n_folds, groups=names, guards=guards, guard_mm=max(widths))


def _random_folds(items: Sequence[FoldItem], request: _Request) -> _Drawn:
    """Single pixels at random, each class of each recording spread over all folds."""
    n_pixels = sum(int(item.valid.sum()) for item in items)
    n_folds = _n_folds(request, n_pixels, DEFAULT_FOLDS)
    rng = np.random.default_rng(request.seed)
    maps = {}
    for item in items:
        fold_map = np.full(item.class_map.size, -1, dtype=np.int16)
        classes = np.where(item.valid, item.class_map, IGNORE_LABEL).ravel()
        for value in np.unique(classes[classes != IGNORE_LABEL]):
            members = rng.permutation(np.flatnonzero(classes == value))
            fold_map[members] = (np.arange(members.size) + rng.integers(n_folds)) % n_folds
        maps[item.key] = fold_map.reshape(item.shape)
    warning = "random pixels: training and test pixels are neighbours and see the same heat; for the leakage gap only"
    return _Drawn(fold_maps=maps, n_folds=n_folds, warnings=(warning,))


FOLD_KINDS: dict[str, Callable[[Sequence[FoldItem], _Request], _Drawn]] = {
    "acquisition": _group_folds,
    "plate": _group_folds,
    "condition": _group_folds,
    "defect": _spatial_folds,
    "block": _spatial_folds,
    "random_pixel": _random_folds,
}


def _n_folds(request: _Request, n_groups: int, default: int) -> int:
    noun = {"random_pixel": "pixel"}.get(request.by, request.by)
    if n_groups < 2:
        raise FoldError(f"folds by {noun} need at least 2 groups, the data has {n_groups}; {_OTHER_WAYS[request.by]}")
    if request.k is not None and request.k > n_groups:
        raise FoldError(
            f"{request.k} folds by {noun} were asked for, the data has {n_groups} group(s); set k to at most {n_groups}, or "
            f"{_OTHER_WAYS[request.by]}"
        )
    return default if request.k is None else request.k


def _class_counts(classes: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bincount(classes, minlength=256).astype(np.int64)


def _names_by_fold(fold_of: dict[str, int], n_folds: int) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(name for name, fold in fold_of.items() if fold == wanted) for wanted in range(n_folds))
