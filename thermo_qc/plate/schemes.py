"""Class schemes: depths of defects become classes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import PlateError
from thermo_qc.sequence import IGNORE_LABEL, Truth

__all__ = ["BINARY", "ClassScheme"]


@dataclass(frozen=True, kw_only=True)
class ClassScheme:
    """Depth bands with names: class 0 is sound, class k the k-th band in the order of growing depth.

    Parameters
    ----------
    name : str
        Name of the scheme ("binary", "regions", "depths").
    class_names : tuple of str
        Names of all classes, the first is "sound".
    max_depth_mm : tuple of float
        Deepest defect of each defect class, increasing, mm from the inspected face.
    """

    name: str
    class_names: tuple[str, ...]
    max_depth_mm: tuple[float, ...]

    def __post_init__(self) -> None:
        scheme = f"class scheme '{self.name}'"
        if not self.max_depth_mm:
            raise PlateError(f"{scheme} has no bands; give at least one with its name and max_depth_mm")
        if len(self.class_names) != len(self.max_depth_mm) + 1:
            raise PlateError(
                f"{scheme} has {len(self.class_names)} class names for {len(self.max_depth_mm)} bands, expected one "
                "name for sound and one for each band"
            )
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice:
            raise PlateError(f"{scheme} has the class name '{twice[0]}' twice; give each class its own")
        if not all(b > a for a, b in pairwise((0.0, *self.max_depth_mm))):
            shown = ", ".join(f"{depth:g}" for depth in self.max_depth_mm)
            raise PlateError(
                f"{scheme} has bands up to {shown} mm; max_depth_mm must be positive and grow from band to band"
            )

    @property
    def n_classes(self) -> int:
        """Number of classes with sound."""
        return len(self.class_names)

    def class_of_depth(self, depth_mm: float) -> int:
        """Class (1..K) of a defect at this depth; a band's own `max_depth_mm` belongs to it.

        Parameters
        ----------
        depth_mm : float
            Distance from the inspected face, mm; NaN when unknown.

        Raises
        ------
        PlateError
            When the depth is unknown and there is more than one band, or lies below the deepest band.
        """
        if np.isnan(depth_mm):
            if len(self.max_depth_mm) == 1:
                return 1
            raise PlateError(
                f"a defect of unknown depth has no class in scheme '{self.name}'; give its depth or use scheme 'binary'"
            )
        position = int(np.searchsorted(self.max_depth_mm, depth_mm))
        if position >= len(self.max_depth_mm):
            raise PlateError(
                f"a defect at {depth_mm:g} mm has no class in scheme '{self.name}', whose bands end at "
                f"{self.max_depth_mm[-1]:g} mm; add a band or use scheme 'binary'"
            )
        return position + 1

    def class_map(self, truth: Truth) -> NDArray[np.uint8]:
        """Class of every pixel.

        Parameters
        ----------
        truth : Truth
            Defects on a pixel grid.

        Returns
        -------
        ndarray of uint8, shape (Y, X)
            0 sound, 1..K by depth, 255 not to be used.

        Raises
        ------
        PlateError
            When a defect on the map has no class, see `class_of_depth`.
        """
        result = np.zeros(truth.shape, dtype=np.uint8)
        present = set(np.unique(truth.defect_index).tolist())
        for defect in truth.defects:
            if defect.number in present:
                depth_mm = float("nan") if defect.depth_mm is None else defect.depth_mm
                result[truth.defect_index == defect.number] = self.class_of_depth(depth_mm)
        result[truth.defect_index < 0] = IGNORE_LABEL
        return result

    def class_depths_mm(self, truths: tuple[Truth, ...]) -> tuple[float, ...]:
        """Mean depth of the defects of each class, NaN for sound and for classes without a defect of known depth."""
        known = [defect.depth_mm for truth in truths for defect in truth.defects if defect.depth_mm is not None]
        depths: list[list[float]] = [[] for _ in self.class_names]
        for depth_mm in known:
            depths[self.class_of_depth(depth_mm)].append(depth_mm)
        return tuple(float(np.mean(values)) if values else float("nan") for values in depths)


BINARY = ClassScheme(name="binary", class_names=("sound", "defect"), max_depth_mm=(float("inf"),))
