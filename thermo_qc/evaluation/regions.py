"""Groups of pixels for spatial folds: defects with their surroundings, square blocks, and the guard ring round them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import FoldError
from thermo_qc.evaluation.items import FoldItem
from thermo_qc.evaluation.placement import Placed, Plane
from thermo_qc.sequence import Defect

__all__ = ["Region", "block_regions", "defect_regions", "depth_regions", "guard_masks", "known_depths"]

_SAME_DEPTH_MM = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """One group of pixels of one piece.

    Parameters
    ----------
    name : str
        For people ("plate: defect D1", "plate: block 2,3").
    masks : dict of str to ndarray of bool, shape (Y, X)
        Its usable pixels in each recording of the piece that shows some.
    """

    name: str
    masks: dict[str, NDArray[np.bool_]]


def defect_regions(plane: Plane) -> list[Region]:
    """Give every usable pixel to its nearest defect; a piece without a defect is one region.

    The surroundings are drawn once per plate, in plate coordinates, from the defects of all its recordings, so that a
    spot belongs to the same defect in each of them. Defect pixels always belong to their own number.

    Returns
    -------
    list of Region
        In the order of the defect numbers.
    """
    labels = _nearest_defects(plane)
    if labels is None:
        return _collect(plane, _everywhere(plane), {1: f"{plane.piece}: no defect"})
    names = {d.number: f"defect {d.name or d.number}" for placed in plane.placed for d in placed.item.truth.defects}
    return _collect(plane, labels, {number: f"{plane.piece}: {name}" for number, name in names.items()})


def depth_regions(plane: Plane, depths_mm: Sequence[float]) -> list[Region]:
    """Give every usable pixel to the depth of its nearest defect; a piece without a defect is one region.

    Parameters
    ----------
    plane : Plane
        One piece.
    depths_mm : sequence of float
        The depths of all pieces, rising; a defect belongs to the last of them that it is not shallower than.

    Returns
    -------
    list of Region
        Regions of one depth have one name on every piece.

    Raises
    ------
    FoldError
        When the depth of a defect is unknown.
    """
    labels = _nearest_defects(plane)
    if labels is None:
        return _collect(plane, _everywhere(plane), {1: f"{plane.piece}: no defect"})
    step_of = np.zeros(1 + max(int(label.max()) for label in labels.values()), dtype=np.int64)
    for defect in known_depths(plane):
        if defect.number < step_of.size:
            step_of[defect.number] = int(np.searchsorted(depths_mm, (defect.depth_mm or 0.0) + _SAME_DEPTH_MM, "right"))
    names = {step: f"depth {depth:g} mm" for step, depth in enumerate(depths_mm, start=1)}
    return _collect(plane, {key: step_of[label] for key, label in labels.items()}, names)


def known_depths(plane: Plane) -> list[Defect]:
    """List the defects on a piece.

    Raises
    ------
    FoldError
        When the depth of one of them is unknown.
    """
    found = []
    for placed in plane.placed:
        present = set(np.unique(placed.item.truth.defect_index).tolist())
        for defect in placed.item.truth.defects:
            if defect.number in present and defect.depth_mm is None:
                raise FoldError(
                    f"'{placed.item.key}': the depth of defect {defect.name or defect.number} is unknown, so it has no "
                    "place in folds by depth; give it, or fold by defect"
                )
            if defect.number in present:
                found.append(defect)
    return found


def _everywhere(plane: Plane) -> dict[str, NDArray[np.int64]]:
    return {placed.item.key: placed.item.valid.astype(np.int64) for placed in plane.placed}


def _nearest_defects(plane: Plane) -> dict[str, NDArray[np.int64]] | None:
    """Give every usable pixel the number of its nearest defect (0 elsewhere); None for a piece without a defect."""
    seeds = np.zeros(plane.shape, dtype=np.int32)
    for placed in plane.placed:
        index = placed.item.truth.defect_index[placed.item.valid]
        rows, columns = plane.cells(placed)
        seeds[rows[index > 0], columns[index > 0]] = index[index > 0]
    if not seeds.any():
        return None
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    surroundings = seeds[tuple(nearest)]
    labels = {}
    for placed in plane.placed:
        index = placed.item.truth.defect_index
        own = _scatter(placed.item, surroundings[plane.cells(placed)])
        labels[placed.item.key] = np.where(placed.item.valid & (index > 0), index.astype(np.int64), own)
    return labels


def block_regions(plane: Plane, block_mm: float) -> list[Region]:
    """Cut the piece into squares of `block_mm` from the top-left usable pixel.

    A rest of less than half a block at the right and lower edge joins its neighbour.

    Returns
    -------
    list of Region
        Row by row; squares without a usable pixel are left out.
    """
    x0, y0, x1, y1 = plane.bounds_mm
    half = plane.pitch_mm / 2
    n_x, n_y = (max(1, int((length + plane.pitch_mm) / block_mm + 0.5)) for length in (x1 - x0, y1 - y0))
    labels = {}
    for placed in plane.placed:
        column = np.clip(np.floor((placed.x_mm - x0 + half) / block_mm), 0, n_x - 1)
        row = np.clip(np.floor((placed.y_mm - y0 + half) / block_mm), 0, n_y - 1)
        labels[placed.item.key] = np.where(placed.item.valid, row * n_x + column + 1, 0).astype(np.int64)
    return _collect(
        plane, labels, {r * n_x + c + 1: f"{plane.piece}: block {r},{c}" for r in range(n_y) for c in range(n_x)}
    )


def _scatter(item: FoldItem, values: NDArray[np.int32]) -> NDArray[np.int64]:
    result = np.zeros(item.shape, dtype=np.int64)
    result[item.valid] = values
    return result


def _collect(plane: Plane, labels: dict[str, NDArray[np.int64]], names: dict[int, str]) -> list[Region]:
    present = sorted({int(n) for label in labels.values() for n in np.unique(label)} - {0})
    regions = []
    for number in present:
        masks = {key: label == number for key, label in labels.items()}
        shown = {key: mask for key, mask in masks.items() if mask.any()}
        regions.append(Region(name=names.get(number, f"{plane.piece}: {number}"), masks=shown))
    return regions


def guard_masks(
    plane: Plane, fold_maps: dict[str, NDArray[np.int16]], n_folds: int, guard_mm: float
) -> dict[str, NDArray[np.bool_]]:
    """Mark the pixels too near to each fold's test pixels, those seen in other recordings of the piece included.

    A pixel stays out when it is nearer than `guard_mm` to a test pixel of any recording of the plate, or lies on the
    spot of one. Distances are Euclidean between pixel centres on the common grid; where the grids are not aligned the
    rounding to it is added, so that the ring is never narrower than asked for.

    Returns
    -------
    dict of str to ndarray of bool, shape (n_folds, Y, X)
        Per recording of the plane; test pixels themselves are not marked.
    """
    guards = {placed.item.key: np.zeros((n_folds, *placed.item.shape), dtype=bool) for placed in plane.placed}
    slack_mm = 2 * plane.rounding_mm
    cells = {placed.item.key: plane.cells(placed) for placed in plane.placed}
    for fold in range(n_folds):
        tested = np.zeros(plane.shape, dtype=bool)
        for placed in plane.placed:
            rows, columns = cells[placed.item.key]
            under_test = fold_maps[placed.item.key][placed.item.valid] == fold
            tested[rows[under_test], columns[under_test]] = True
        if not tested.any():
            continue
        distance = plane.distance_mm(tested)
        near = (distance < (guard_mm + slack_mm) * (1 - 1e-9)) | (distance <= slack_mm)
        for placed in plane.placed:
            _mark(
                guards[placed.item.key][fold], placed, near[cells[placed.item.key]], fold_maps[placed.item.key] != fold
            )
    return guards


def _mark(guard: NDArray[np.bool_], placed: Placed, near: NDArray[np.bool_], elsewhere: NDArray[np.bool_]) -> None:
    guard[placed.item.valid] = near
    guard &= elsewhere
