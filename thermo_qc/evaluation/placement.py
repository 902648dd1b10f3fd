"""Where the recordings of one piece lie on it: one grid in plate coordinates for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import FoldError
from thermo_qc.evaluation.items import FoldItem

__all__ = ["MisplacedError", "Placed", "Plane", "place_items"]

_MAX_CELLS = 10**8
Points = dict[int, tuple[float, float]]


class MisplacedError(FoldError):
    """Recordings of one plate do not lie on one another in plate coordinates."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """A recording with the plate coordinates of its pixel centres, mm, and its pixel pitch, mm."""

    item: FoldItem
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    pitch_mm: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """Square cells in plate coordinates that all recordings of one piece share.

    Parameters
    ----------
    piece : str
        Name of the plate.
    placed : tuple of Placed
        Its recordings.
    unverified : tuple of str
        Keys of recordings without coordinates that share no whole defect with the first one, so that nothing shows
        whether they lie as they are taken to.
    """

    piece: str
    placed: tuple[Placed, ...]
    unverified: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.shape[0] * self.shape[1] > _MAX_CELLS:
            height, width = (n * self.pitch_mm for n in self.shape)
            raise FoldError(
                f"plate '{self.piece}': the pixels spread over {width:g} x {height:g} mm "
                f"at a pitch of {self.pitch_mm:g} mm; check x_mm, y_mm and the pixel pitch (registration)"
            )

    @cached_property
    def pitch_mm(self) -> float:
        """Edge of a cell: the smallest pixel pitch."""
        return min(placed.pitch_mm for placed in self.placed)

    @cached_property
    def bounds_mm(self) -> tuple[float, float, float, float]:
        """Smallest x and y, largest x and y of the usable pixels' centres."""
        x = np.concatenate([placed.x_mm[placed.item.valid] for placed in self.placed])
        y = np.concatenate([placed.y_mm[placed.item.valid] for placed in self.placed])
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        x0, y0, x1, y1 = self.bounds_mm
        return round((y1 - y0) / self.pitch_mm) + 1, round((x1 - x0) / self.pitch_mm) + 1

    def cells(self, placed: Placed) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column of the cell nearest to each usable pixel, (N,) each, in row order."""
        x0, y0, _, _ = self.bounds_mm
        valid = placed.item.valid
        rows = np.rint((placed.y_mm[valid] - y0) / self.pitch_mm).astype(np.intp)
        columns = np.rint((placed.x_mm[valid] - x0) / self.pitch_mm).astype(np.intp)
        return np.clip(rows, 0, self.shape[0] - 1), np.clip(columns, 0, self.shape[1] - 1)

    @cached_property
    def rounding_mm(self) -> float:
        """Largest distance of a usable pixel's centre from the centre of its cell; 0 for aligned grids."""
        x0, y0, _, _ = self.bounds_mm
        worst = 0.0
        for placed in self.placed:
            rows, columns = self.cells(placed)
            valid = placed.item.valid
            away = np.hypot(
                placed.x_mm[valid] - x0 - columns * self.pitch_mm, placed.y_mm[valid] - y0 - rows * self.pitch_mm
            )
            worst = max(worst, float(away.max()))
        return 0.0 if worst < 1e-6 * self.pitch_mm else worst

    def distance_mm(self, cells: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Distance of every cell to the nearest marked one, (rows, columns), mm; infinite when none is marked."""
        if not cells.any():
            return np.full(cells.shape, np.inf)
        result: NDArray[np.float64] = ndimage.distance_transform_edt(~cells, sampling=self.pitch_mm)
        return result


def place_items(items: Sequence[FoldItem], *, tolerance_mm: float) -> Plane:
    """Put the recordings of one piece on one plane.

    Recordings that carry `x_mm` and `y_mm` use them; the others use (i + 0.5) * pitch. Where their common defects then
    do not lie on one another, a recording without coordinates is turned, mirrored and shifted onto the first one by
    the centres of the defects that both show whole.

    Parameters
    ----------
    items : sequence of FoldItem
        Recordings of one plate.
    tolerance_mm : float
        How far apart the centres of one defect may lie.

    Returns
    -------
    Plane

    Raises
    ------
    FoldError
        When a pixel pitch is missing or coordinates are not finite.
    MisplacedError
        When the defects cannot be brought together.
    """
    ordered = sorted(items, key=lambda item: item.x_mm is None)
    first = _place(ordered[0])
    reference, placed, unverified = _centres(first), {first.item.key: first}, []
    for item in ordered[1:]:
        placed[item.key] = _place_onto(reference, item, first.item.key, tolerance_mm)
        if item.x_mm is None and not reference.keys() & _centres(placed[item.key]).keys():
            unverified.append(item.key)
    return Plane(piece=items[0].piece, placed=tuple(placed[item.key] for item in items), unverified=tuple(unverified))


def _place_onto(reference: Points, item: FoldItem, first_key: str, tolerance_mm: float) -> Placed:
    """Place a recording so that its defects lie on the reference."""
    placed = _place(item)
    tolerance_mm = max(tolerance_mm, 2 * placed.pitch_mm)
    if item.x_mm is None and _apart_mm(reference, _centres(placed)) > tolerance_mm:
        placed = _turn_onto(reference, placed)
    apart = _apart_mm(reference, _centres(placed))
    if apart > tolerance_mm:
        raise MisplacedError(
            f"plate '{item.piece}': the defects of '{item.key}' lie up to {apart:.3g} mm from those of '{first_key}'; "
            "register both to the plate (x_mm, y_mm) or fold by acquisition"
        )
    return placed


def _place(item: FoldItem) -> Placed:
    pitch = item.pixel_pitch_mm
    if item.x_mm is not None and item.y_mm is not None:
        x, y = np.asarray(item.x_mm, dtype=np.float64), np.asarray(item.y_mm, dtype=np.float64)
        if not (np.isfinite(x[item.valid]).all() and np.isfinite(y[item.valid]).all()):
            raise FoldError(
                f"'{item.key}': x_mm or y_mm is not finite at usable pixels; restrict the truth to the plate"
            )
        if pitch is None:
            pitch = float(np.median(np.hypot(np.diff(x, axis=1), np.diff(y, axis=1)))) if x.shape[1] > 1 else 1.0
        return Placed(item=item, x_mm=x, y_mm=y, pitch_mm=pitch)
    if pitch is None:
        raise FoldError(
            f"'{item.key}' has no pixel pitch, folds by defect or block need one; "
            "give pixel_pitch_mm or fold by acquisition"
        )
    rows, columns = np.mgrid[0 : item.shape[0], 0 : item.shape[1]]
    return Placed(item=item, x_mm=(columns + 0.5) * pitch, y_mm=(rows + 0.5) * pitch, pitch_mm=pitch)


def _centres(placed: Placed) -> Points:
    """Centre (mm) of every defect that shows whole: away from the frame's edge and from ignored pixels, by number."""
    index = np.where(placed.item.valid, placed.item.truth.defect_index, 0)
    inside = ndimage.binary_erosion(placed.item.valid, structure=np.ones((3, 3), dtype=bool), border_value=0)
    numbers = np.setdiff1d(np.unique(index[index > 0]), index[~inside])
    if numbers.size == 0:
        return {}
    x, y = (np.atleast_1d(ndimage.mean(grid, index, numbers)) for grid in (placed.x_mm, placed.y_mm))
    return {int(n): (float(a), float(b)) for n, a, b in zip(numbers, x, y, strict=True)}


def _apart_mm(reference: Points, other: Points) -> float:
    """Largest distance between the centres of one defect; 0 when they share none."""
    common = reference.keys() & other.keys()
    return max((float(np.hypot(*np.subtract(reference[n], other[n]))) for n in common), default=0.0)


def _turn_onto(reference: Points, placed: Placed) -> Placed:
    """Turn, mirror and shift by least squares over the common defects (orthogonal Procrustes); as it is below three."""
    own = _centres(placed)
    common = sorted(reference.keys() & own.keys())
    if len(common) < 3:
        return placed
    target = np.array([reference[n] for n in common])
    source = np.array([own[n] for n in common])
    u, _, vt = np.linalg.svd((source - source.mean(axis=0)).T @ (target - target.mean(axis=0)))
    grid = np.stack([placed.x_mm, placed.y_mm], axis=-1) - source.mean(axis=0)
    moved = grid @ (u @ vt) + target.mean(axis=0)
    return Placed(item=placed.item, x_mm=moved[..., 0], y_mm=moved[..., 1], pitch_mm=placed.pitch_mm)
