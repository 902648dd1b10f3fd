"""`DefectMap`: what a model says about every pixel of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import InputError
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["DefectMap"]


@dataclass(frozen=True, kw_only=True, eq=False)
class DefectMap:
    """Class, probability and depth of every pixel.

    Parameters
    ----------
    class_map : ndarray of uint8, shape (Y, X)
        Likeliest class (of models with a threshold of their own, the likeliest defect from that probability of any
        defect on): 0 sound, 1..K-1 defects, 255 outside the inspected region or without a signal.
    probability : ndarray of float32, shape (K, Y, X)
        Probability of each class; 0 outside the region.
    depth_mm : ndarray of float32, shape (Y, X)
        Expected depth of a defect below the inspected face; NaN where sound or unknown.
    class_names : tuple of str
        Names of the classes, sound first.
    pixel_pitch_mm : float, optional
        Edge of a pixel on the plate.
    model_sha256 : tuple of str
        Hashes of the models that took part.
    input_sha256 : str
        Hash of the recording's file; empty when unknown.
    depth_std_mm : ndarray of float32, shape (Y, X), optional
        Standard deviation of the depth, from models that state one; NaN where the depth is.
    options : mapping
        How the models were asked, where it changes the numbers: "tta" when turns and mirror images were averaged,
        "temperature" and "defect_threshold" of each model where one was calibrated. JSON types.
    notes : tuple of str
        Where the recording lies outside what the models were trained for.

    Raises
    ------
    InputError
        When the parts do not belong together.
    """

    class_map: NDArray[np.uint8]
    probability: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    class_names: tuple[str, ...]
    pixel_pitch_mm: float | None = None
    model_sha256: tuple[str, ...] = ()
    input_sha256: str = ""
    depth_std_mm: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "model_sha256", tuple(self.model_sha256))
        object.__setattr__(self, "notes", tuple(self.notes))
        shape = self.class_map.shape
        if len(shape) != 2 or self.depth_mm.shape != shape or self.probability.shape != (len(self.class_names), *shape):
            raise InputError(
                f"defect map of shape {shape} came with depths {self.depth_mm.shape}, probabilities "
                f"{self.probability.shape} and {len(self.class_names)} class names; expected the same frame for all"
            )
        if self.depth_std_mm is not None and self.depth_std_mm.shape != shape:
            raise InputError(f"defect map of shape {shape} came with depth deviations {self.depth_std_mm.shape}")
        used = self.class_map[self.class_map != IGNORE_LABEL]
        if used.size and int(used.max()) >= len(self.class_names):
            raise InputError(f"defect map holds class {int(used.max())}, expected at most {len(self.class_names) - 1}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.class_map.shape[0], self.class_map.shape[1]

    @property
    def inspected(self) -> NDArray[np.bool_]:
        """Pixels inside the inspected region, bool (Y, X)."""
        return np.asarray(self.class_map != IGNORE_LABEL)

    @property
    def defect(self) -> NDArray[np.bool_]:
        """Pixels of any defect class, bool (Y, X)."""
        return np.asarray(self.inspected & (self.class_map > 0))
