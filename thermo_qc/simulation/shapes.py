"""Outlines on the plate: of surface marks and of defects that are no round holes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, choose
from thermo_qc.simulation.conditions import check_range

__all__ = ["OutlineKind", "Outlined", "covered_share"]

OutlineKind = Literal["ellipse", "rectangle", "capsule", "mask"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outlined:
    """Something with an outline in plate coordinates.

    Parameters
    ----------
    x_mm, y_mm : float
        Centre.
    width_mm, height_mm : float
        Size along its own axes.
    turn_deg : float
        Turn of its axes about the centre, anticlockwise as seen on the inspected face.
    outline : {"ellipse", "rectangle", "capsule", "mask"}
        "capsule" is a stroke with round ends (a scratch, a paint run); "mask" is any form, from `mask`.
    mask : ndarray of bool, shape (rows, columns), optional
        Stretched over width and height, first row at the top.

    Raises
    ------
    ConfigError
        When a length is not positive, the outline is unknown, or the mask is missing, empty or not two-dimensional.
    """

    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    turn_deg: float = 0.0
    outline: OutlineKind = "ellipse"
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        what = type(self).__name__.lower()
        choose({name: name for name in get_args(OutlineKind)}, self.outline, f"{what} outline")
        for name in ("x_mm", "y_mm", "turn_deg"):
            check_range(f"{what} {name}", getattr(self, name), low=-np.inf)
        for name in ("width_mm", "height_mm"):
            check_range(f"{what} {name}", getattr(self, name), low=0, open_low=True)
        if (self.outline == "mask") != (self.mask is not None):
            raise ConfigError(f"{what} at ({self.x_mm:g}, {self.y_mm:g}) mm: outline 'mask' and a mask go together")
        if self.mask is not None and (self.mask.ndim != 2 or not self.mask.any()):
            raise ConfigError(f"{what} mask has shape {self.mask.shape} and may be empty, expected (rows, columns)")

    def covers(self, x_mm: NDArray[Any], y_mm: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell which points of the plate lie inside; bool of the shape that x and y broadcast to."""
        angle = np.deg2rad(self.turn_deg)
        right, down = x_mm - self.x_mm, y_mm - self.y_mm
        u = np.cos(angle) * right - np.sin(angle) * down
        v = np.sin(angle) * right + np.cos(angle) * down
        a, b = self.width_mm / 2, self.height_mm / 2
        if self.outline == "ellipse":
            return np.asarray((u / a) ** 2 + (v / b) ** 2 <= 1)
        if self.outline == "rectangle":
            return np.asarray((np.abs(u) <= a) & (np.abs(v) <= b))
        if self.outline == "capsule":
            radius = min(a, b)
            out_u, out_v = np.maximum(np.abs(u) - (a - radius), 0), np.maximum(np.abs(v) - (b - radius), 0)
            return np.asarray(out_u**2 + out_v**2 <= radius**2)
        return self._in_mask(u / a, v / b)

    def _in_mask(self, s: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Look points up whose coordinates run from -1 to 1 over the mask."""
        mask = np.asarray(self.mask, dtype=bool)
        column, row = (
            np.floor(np.nan_to_num((value + 1) / 2, nan=-1.0) * n).astype(np.int64)
            for value, n in zip((s, t), mask.shape[::-1], strict=True)
        )
        inside = (column >= 0) & (column < mask.shape[1]) & (row >= 0) & (row < mask.shape[0])
        return np.asarray(inside & mask[np.clip(row, 0, mask.shape[0] - 1), np.clip(column, 0, mask.shape[1] - 1)])

    @property
    def area_mm2(self) -> float:
        """Area inside the outline."""
        a, b = self.width_mm, self.height_mm
        if self.mask is not None:
            return a * b * float(np.mean(self.mask))
        side = min(a, b)
        return {"ellipse": np.pi * a * b / 4, "rectangle": a * b, "capsule": np.pi * side**2 / 4 + a * b - side**2}[
            self.outline
        ]

    def facts(self) -> dict[str, Any]:
        """Everything for the record, JSON types; a mask by its shape and share."""
        kept = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "mask"}
        if self.mask is not None:
            kept["mask"] = {"shape": list(self.mask.shape), "share": float(np.mean(self.mask))}
        return kept


def covered_share(
    item: Outlined,
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
    cell_x_mm: float,
    cell_y_mm: float,
    *,
    points: int = 16,
) -> NDArray[np.float64]:
    """Share of each cell that lies inside an outline.

    Parameters
    ----------
    item : Outlined
        What covers.
    x_mm, y_mm : ndarray of float64, shapes (X,) and (Y,)
        Cell centres.
    cell_x_mm, cell_y_mm : float
        Cell size.
    points : int
        Points per side of a cell that are tested.

    Returns
    -------
    ndarray of float64, shape (Y, X)
        0 to 1.
    """
    reach = np.hypot(item.width_mm, item.height_mm) / 2
    rows = np.flatnonzero(np.abs(y_mm - item.y_mm) < reach + cell_y_mm)
    columns = np.flatnonzero(np.abs(x_mm - item.x_mm) < reach + cell_x_mm)
    share = np.zeros((y_mm.size, x_mm.size))
    if rows.size and columns.size:
        offsets = (np.arange(points) + 0.5) / points - 0.5
        x = (x_mm[columns, None] + offsets * cell_x_mm)[None, :, None, :]
        y = (y_mm[rows, None] + offsets * cell_y_mm)[:, None, :, None]
        share[rows[:, None], columns] = item.covers(x, y).mean(axis=(2, 3))
    return share
