"""Drawing folds of whole recordings and of random pixels, and what all kinds of folds share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import FoldError
from thermo_qc.evaluation.balance import balance_groups
from thermo_qc.evaluation.items import FoldItem
from thermo_qc.sequence import IGNORE_LABEL

__all__ = [
    "DEFAULT_FOLDS",
    "Drawn",
    "Request",
    "class_counts",
    "draw_frames",
    "draw_groups",
    "draw_pixels",
    "names_by_fold",
]

DEFAULT_FOLDS = 5
_WAYS_OUT = {
    "acquisition": "fold by defect or block, which cut within a recording",
    "plate": "fold by acquisition, defect or block",
    "condition": "fold by acquisition, defect or block",
    "defect": "fold by block or acquisition",
    "depth": "fold by defect, block or acquisition",
    "block": "make block_mm smaller or fold by acquisition",
    "random_pixel": "label more pixels",
    "random_frame": "record more frames",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `make_splits` was asked for."""

    by: str
    k: int | None
    guard_mm: float | None
    block_mm: float
    seed: int

    def n_folds(self, n_groups: int, default: int) -> int:
        """Check the number of folds against the number of groups.

        Raises
        ------
        FoldError
            When there are too few groups.
        """
        noun = self.by.removeprefix("random_")
        if n_groups < 2:
            raise FoldError(f"folds by {noun} need at least 2 groups, the data has {n_groups}; {_WAYS_OUT[self.by]}")
        if self.k is not None and self.k > n_groups:
            raise FoldError(
                f"{self.k} folds by {noun} were asked for, the data has {n_groups} groups; "
                f"set k to at most {n_groups}, or {_WAYS_OUT[self.by]}"
            )
        return default if self.k is None else self.k


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Folds before they are checked; the fields are those of `Splits`."""

    fold_maps: dict[str, NDArray[np.int16]]
    n_folds: int
    groups: tuple[tuple[str, ...], ...] = ()
    guards: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    guard_mm: float | None = None
    warnings: tuple[str, ...] = ()
    frame_folds: dict[str, NDArray[np.int16]] = field(default_factory=dict)


def draw_groups(items: Sequence[FoldItem], request: Request) -> Drawn:
    """Whole recordings, grouped by acquisition, plate or condition.

    Raises
    ------
    FoldError
        When a recording does not say what group it is of, or there are too few groups.
    """
    names = [str(getattr(item, request.by)) for item in items]
    unnamed = [item.key for item, name in zip(items, names, strict=True) if not name]
    if unnamed:
        raise FoldError(
            f"no {request.by} is given for {', '.join(unnamed)}; name it in the manifest or fold by something else"
        )
    groups = list(dict.fromkeys(names))
    n_folds = request.n_folds(len(groups), default=len(groups))
    counts = np.zeros((len(groups), 256), dtype=np.int64)
    for item, name in zip(items, names, strict=True):
        counts[groups.index(name)] += class_counts(item.class_map[item.valid])
    fold_of = dict(zip(groups, balance_groups(counts, n_folds, seed=request.seed), strict=True))
    folds = [fold_of[name] for name in names]
    maps = {item.key: np.where(item.valid, fold, -1).astype(np.int16) for item, fold in zip(items, folds, strict=True)}
    return Drawn(fold_maps=maps, n_folds=n_folds, groups=names_by_fold(fold_of, n_folds))


def draw_pixels(items: Sequence[FoldItem], request: Request) -> Drawn:
    """Single pixels at random, each class of each recording spread over all folds.

    Raises
    ------
    FoldError
        When there are fewer pixels than folds.
    """
    n_folds = request.n_folds(sum(int(item.valid.sum()) for item in items), default=DEFAULT_FOLDS)
    rng = np.random.default_rng(request.seed)
    maps = {}
    dealt = np.zeros(256, dtype=np.int64)
    for item in items:
        fold_map = np.full(item.class_map.size, -1, dtype=np.int16)
        classes = np.where(item.valid, item.class_map, IGNORE_LABEL).ravel()
        for value in np.unique(classes[classes != IGNORE_LABEL]):
            members = rng.permutation(np.flatnonzero(classes == value))
            fold_map[members] = (np.arange(members.size) + dealt[value]) % n_folds
            dealt[value] += members.size
        maps[item.key] = fold_map.reshape(item.shape)
    warning = "random pixels: training and test pixels are neighbours and see the same heat; for the leakage gap only"
    return Drawn(fold_maps=maps, n_folds=n_folds, warnings=(warning,))


def draw_frames(items: Sequence[FoldItem], request: Request) -> Drawn:
    """Single frames at random: every fold trains and tests all pixels, on different frames of the same recordings.

    Raises
    ------
    FoldError
        When the number of frames is unknown or smaller than twice the number of folds.
    """
    unknown = [item.key for item in items if item.n_frames is None]
    if unknown:
        raise FoldError(f"the number of frames of {', '.join(unknown)} is unknown; give n_frames or fold by pixels")
    shortest = min(int(item.n_frames or 0) for item in items)
    n_folds = request.n_folds(shortest // 2, default=DEFAULT_FOLDS)
    rng = np.random.default_rng(request.seed)
    frames = {}
    for item in items:
        places = np.arange(int(item.n_frames or 0)) % n_folds
        frames[item.key] = rng.permutation(places).astype(np.int16)
    maps = {item.key: np.where(item.valid, 0, -1).astype(np.int16) for item in items}
    warning = (
        "random frames: training and test frames show the same pixels, and each fold tests every pixel; for the "
        "leakage gap only"
    )
    return Drawn(fold_maps=maps, n_folds=n_folds, warnings=(warning,), frame_folds=frames)


def class_counts(classes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of each class, int64 (256,)."""
    return np.bincount(classes, minlength=256).astype(np.int64)


def names_by_fold(fold_of: Mapping[str, int], n_folds: int) -> tuple[tuple[str, ...], ...]:
    """Names of the groups in each fold."""
    return tuple(tuple(name for name, fold in fold_of.items() if fold == wanted) for wanted in range(n_folds))
