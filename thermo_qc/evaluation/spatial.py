"""Drawing folds of defects or blocks, held out in all recordings of their plate, with a guard ring round them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import FoldError
from thermo_qc.evaluation.balance import balance_groups
from thermo_qc.evaluation.depth_scores import depth_steps
from thermo_qc.evaluation.draw import DEFAULT_FOLDS, Drawn, Request, class_counts, names_by_fold
from thermo_qc.evaluation.items import FoldItem
from thermo_qc.evaluation.placement import MisplacedError, Plane, place_items
from thermo_qc.evaluation.regions import (
    Region,
    block_regions,
    defect_regions,
    depth_regions,
    guard_masks,
    known_depths,
)

__all__ = ["draw_spatial"]

_ALIGNED_MM = 3.0


def draw_spatial(items: Sequence[FoldItem], request: Request) -> Drawn:
    """Defects or all defects of one depth with their surroundings, or square blocks.

    Raises
    ------
    FoldError
        When lengths are unknown, recordings of a plate do not lie on one another, or there are too few groups.
    """
    planes, notes = _planes(items, request)
    regions: dict[str, list[Region]] = {}
    depths = _depths(planes) if request.by == "depth" else []
    for plane in planes:
        for region in _regions(plane, request, depths):
            regions.setdefault(region.name, []).append(region)
    default = len(regions) if request.by != "block" else min(DEFAULT_FOLDS, len(regions))
    n_folds = request.n_folds(len(regions), default=default)
    class_maps = {item.key: item.class_map for item in items}
    counts = np.stack([_content(parts, class_maps) for parts in regions.values()])
    fold_of = dict(zip(regions, balance_groups(counts, n_folds, seed=request.seed), strict=True))
    maps = {item.key: np.full(item.shape, -1, dtype=np.int16) for item in items}
    for name, parts in regions.items():
        for key, mask in _masks(parts):
            maps[key][mask] = fold_of[name]
    widths = {plane.piece: _guard_width_mm(items, plane.piece, request.guard_mm) for plane in planes}
    guards: dict[str, NDArray[np.bool_]] = {}
    for plane in planes:
        guards |= guard_masks(plane, maps, n_folds, widths[plane.piece])
    return Drawn(
        fold_maps=maps,
        n_folds=n_folds,
        groups=names_by_fold(fold_of, n_folds),
        guards=guards,
        guard_mm=max(widths.values()),
        warnings=notes,
    )


def _regions(plane: Plane, request: Request, depths_mm: Sequence[float]) -> list[Region]:
    if request.by == "depth":
        return depth_regions(plane, depths_mm)
    return defect_regions(plane) if request.by == "defect" else block_regions(plane, request.block_mm)


def _depths(planes: Sequence[Plane]) -> list[float]:
    """Distinct depths of the defects of all pieces, rising."""
    values = np.array([defect.depth_mm for plane in planes for defect in known_depths(plane)], dtype=np.float64)
    return [float(values[step].min()) for step in depth_steps(values, 0.05)]


def _planes(items: Sequence[FoldItem], request: Request) -> tuple[list[Plane], tuple[str, ...]]:
    """One plane per plate; defect folds do without, recording by recording, where the placement is unknown."""
    pieces: dict[str, list[FoldItem]] = {}
    for item in items:
        pieces.setdefault(item.piece, []).append(item)
    planes, notes = list[Plane](), list[str]()
    for name, members in pieces.items():
        try:
            planes.append(plane := place_items(members, tolerance_mm=_ALIGNED_MM))
            if plane.unverified:
                notes.append(
                    f"plate '{name}': no common defect shows whether {', '.join(plane.unverified)} lie as "
                    f"{members[0].key} does; this is taken for granted"
                )
        except MisplacedError:
            if request.by == "block":
                raise
            planes += [place_items([member], tolerance_mm=_ALIGNED_MM) for member in members]
            notes.append(
                f"plate '{name}': its recordings do not lie on one another, so each draws the surroundings of the "
                "defects for itself; register them (x_mm, y_mm) for one common guard ring"
            )
    return planes, tuple(notes)


def _masks(parts: Sequence[Region]) -> list[tuple[str, NDArray[np.bool_]]]:
    return [(key, mask) for part in parts for key, mask in part.masks.items()]


def _content(parts: Sequence[Region], class_maps: dict[str, NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Pixels of each class in one region, over all recordings that show it."""
    total = np.zeros(256, dtype=np.int64)
    for key, mask in _masks(parts):
        total += class_counts(class_maps[key][mask])
    return total


def _guard_width_mm(items: Sequence[FoldItem], piece: str, guard_mm: float | None) -> float:
    """Width of the ring on one piece: as asked for, else the widest of its recordings."""
    if guard_mm is not None:
        return guard_mm
    members = [item for item in items if item.piece == piece]
    unknown = [item.key for item in members if item.guard_mm is None]
    if unknown:
        raise FoldError(
            f"plate '{piece}': the width of the guard ring is unknown for {', '.join(unknown)}; "
            "give the material (its diffusivity) or folds.guard_mm"
        )
    return max(item.guard_mm for item in members if item.guard_mm is not None)
