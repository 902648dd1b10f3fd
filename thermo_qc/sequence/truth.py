"""What is known to be in a recorded plate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import TruthError

__all__ = ["IGNORE_LABEL", "Defect", "Truth"]

IGNORE_LABEL = 255
_LARGEST_NUMBER = int(np.iinfo(np.int16).max)


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One true defect of a recording.

    Parameters
    ----------
    number : int
        Value of this defect in `Truth.defect_index`, 1 to 32767.
    depth_mm : float, optional
        Distance from the inspected face, mm; None when unknown.
    diameter_mm : float, optional
        Diameter, or equivalent diameter of another shape, mm.
    name : str
        For tables ("D12"); the number stands in when empty.
    peak_contrast_k : float, optional
        Largest noise-free contrast against the sound plate during the recording, K; known for simulations only.

    Raises
    ------
    TruthError
        When the number is out of range, or depth or diameter is negative or not finite.
    """

    number: int
    depth_mm: float | None = None
    diameter_mm: float | None = None
    name: str = ""
    peak_contrast_k: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.number <= _LARGEST_NUMBER:
            raise TruthError(
                f"defect number is {self.number}, expected 1 to {_LARGEST_NUMBER}; 0 is sound, -1 not used"
            )
        for name, value in (("depth_mm", self.depth_mm), ("diameter_mm", self.diameter_mm)):
            if value is not None and not (isfinite(value) and value >= 0):
                raise TruthError(
                    f"defect {self.name or self.number} has {name} {value}, expected a length, or nothing when unknown"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What is known to be in the recorded plate, pixel by pixel.

    Parameters
    ----------
    defect_index : ndarray of int16, shape (Y, X)
        0 sound, n > 0 the defect with that number, -1 not to be used (outside the plate, excluded, doubtful).
    depth_mm : ndarray of float32, shape (Y, X)
        Distance of the defect from the inspected face, mm; NaN where sound or unknown.
    defects : tuple of Defect
        One entry per number in `defect_index`.

    Raises
    ------
    TruthError
        When the maps are not of one shape (Y, X), hold something else than whole numbers from -1, or a defect on the
        map is not listed exactly once.
    """

    defect_index: NDArray[np.int16]
    depth_mm: NDArray[np.float32]
    defects: tuple[Defect, ...] = ()

    def __post_init__(self) -> None:
        depth = np.asarray(self.depth_mm, dtype=np.float32)
        given = np.asarray(self.defect_index)
        if given.ndim != 2 or depth.shape != given.shape:
            raise TruthError(
                f"truth maps have shapes {given.shape} and {depth.shape}, expected one shape (Y, X); "
                "use maps of one frame"
            )
        index = _whole_numbers(given)
        listed = [defect.number for defect in self.defects]
        twice = sorted({number for number in listed if listed.count(number) > 1})
        if twice:
            raise TruthError(f"defects {twice} are listed more than once; give each its own number")
        missing = sorted(set(np.unique(index).tolist()) - {-1, 0, *listed})
        if missing:
            raise TruthError(f"defects {missing} are on the map but not in the list {listed}; list each number once")
        object.__setattr__(self, "defect_index", index)
        object.__setattr__(self, "depth_mm", depth)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self.defect_index.shape[0], self.defect_index.shape[1]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Pixels that may be used for training and evaluation, bool (Y, X)."""
        return self.defect_index >= 0

    def crop(self, rows: slice, columns: slice) -> Truth:
        """Return the part of the maps under the slices; defects outside it stay listed."""
        return replace(self, defect_index=self.defect_index[rows, columns], depth_mm=self.depth_mm[rows, columns])

    def restricted_to(self, mask: NDArray[np.bool_]) -> Truth:
        """Return the truth with every pixel outside `mask` (bool, (Y, X)) marked as not to be used.

        Raises
        ------
        TruthError
            When the mask is of another size.
        """
        if mask.shape != self.shape:
            raise TruthError(
                f"region mask has shape {mask.shape}, the truth has {self.shape}; draw it on the same frame"
            )
        return replace(
            self,
            defect_index=np.where(mask, self.defect_index, -1).astype(np.int16),
            depth_mm=np.where(mask, self.depth_mm, np.nan).astype(np.float32),
        )


def _whole_numbers(given: NDArray[Any]) -> NDArray[np.int16]:
    if given.dtype == np.int16 and (given.size == 0 or given.min() >= -1):
        return given
    if given.dtype.kind not in "biuf" or not np.isin(given, np.arange(-1, _LARGEST_NUMBER + 1)).all():
        raise TruthError(f"the map of defects holds other values than whole numbers from -1 to {_LARGEST_NUMBER}")
    return given.astype(np.int16)
