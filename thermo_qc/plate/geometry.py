"""Plates and their holes in millimetres, and the maps that they make on any pixel grid."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import PlateError, UnknownNameError, suggestion
from thermo_qc.plate.schemes import BINARY, ClassScheme
from thermo_qc.sequence import Defect, Material, Truth

__all__ = ["Hole", "PlateSpec", "pixel_centres_mm"]

_MOST_PIXELS = 10**8


@dataclass(frozen=True, kw_only=True)
class Hole:
    """One flat-bottom hole.

    Parameters
    ----------
    number : int
        From 1, in the order of the specification.
    name : str
        For tables.
    x_mm, y_mm : float
        Centre in plate coordinates (origin at the top-left corner of the inspected face, y down).
    diameter_mm : float
        Diameter.
    depth_mm : float
        Material left between the inspected face and the floor of the hole (the ligament).
    """

    number: int
    name: str
    x_mm: float
    y_mm: float
    diameter_mm: float
    depth_mm: float


@dataclass(frozen=True, kw_only=True)
class PlateSpec:
    """A rectangular plate with flat-bottom holes, seen from the inspected face.

    Parameters
    ----------
    name : str
        For tables.
    width_mm, height_mm, thickness_mm : float
        Size along x, along y and through the plate.
    material : Material
        Nominal constants.
    holes : tuple of Hole
        Holes, numbered from 1.
    schemes : dict of str to ClassScheme
        Named class schemes; "binary" is always there.
    edge_margin_mm : float
        Border that is used neither for training nor for evaluation.

    Raises
    ------
    PlateError
        When a length is not a positive, finite number, the margin leaves nothing, holes lie outside, overlap, are
        deeper than the plate or share a name, or a scheme is called "binary".
    """

    name: str
    width_mm: float
    height_mm: float
    thickness_mm: float
    material: Material
    holes: tuple[Hole, ...] = ()
    schemes: dict[str, ClassScheme] = field(default_factory=dict)
    edge_margin_mm: float = 0.0

    def __post_init__(self) -> None:
        self._check_lengths()
        for hole in self.holes:
            self._check_hole(hole)
        for what, counts in (
            ("number", Counter(str(hole.number) for hole in self.holes)),
            ("name", Counter(hole.name for hole in self.holes)),
        ):
            value, count = max(counts.items(), key=itemgetter(1), default=("", 1))
            if count > 1:
                raise PlateError(f"plate '{self.name}': {count} holes have the {what} '{value}'; give each its own")
        for a, b in combinations(self.holes, 2):
            if np.hypot(a.x_mm - b.x_mm, a.y_mm - b.y_mm) < (a.diameter_mm + b.diameter_mm) / 2:
                raise PlateError(
                    f"plate '{self.name}': holes {a.name} and {b.name} overlap; move one or make one smaller"
                )
        if self.schemes.get("binary", BINARY) != BINARY:
            raise PlateError(f"plate '{self.name}': class scheme 'binary' is built in; give yours another name")
        object.__setattr__(self, "schemes", {"binary": BINARY, **self.schemes})

    def _check_lengths(self) -> None:
        for name in ("width_mm", "height_mm", "thickness_mm"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise PlateError(f"plate '{self.name}': {name} is {value}, expected a positive length")
        if not 0 <= self.edge_margin_mm < min(self.width_mm, self.height_mm) / 2:
            raise PlateError(
                f"plate '{self.name}': edge_margin_mm is {self.edge_margin_mm}, expected 0 or more and less than "
                f"half of the {self.width_mm:g} x {self.height_mm:g} mm plate"
            )

    def _check_hole(self, hole: Hole) -> None:
        where = f"plate '{self.name}': hole {hole.name}"
        if not (np.isfinite(hole.diameter_mm) and hole.diameter_mm > 0):
            raise PlateError(f"{where} has diameter_mm {hole.diameter_mm}, expected a positive length")
        radius = hole.diameter_mm / 2
        if not (radius <= hole.x_mm <= self.width_mm - radius and radius <= hole.y_mm <= self.height_mm - radius):
            raise PlateError(
                f"{where} at ({hole.x_mm:g}, {hole.y_mm:g}) mm, diameter {hole.diameter_mm:g} mm, reaches outside the "
                f"{self.width_mm:g} x {self.height_mm:g} mm plate; correct its place or size"
            )
        if not 0 < hole.depth_mm < self.thickness_mm:
            raise PlateError(
                f"{where} leaves {hole.depth_mm:g} mm of a {self.thickness_mm:g} mm plate; "
                "check thickness_mm and depth_convention"
            )

    @cached_property
    def defects(self) -> tuple[Defect, ...]:
        """The holes as `Defect` entries of a `Truth`."""
        return tuple(
            Defect(number=hole.number, depth_mm=hole.depth_mm, diameter_mm=hole.diameter_mm, name=hole.name)
            for hole in self.holes
        )

    def scheme(self, name: str) -> ClassScheme:
        """Class scheme by name.

        Raises
        ------
        UnknownNameError
            When the plate has none of that name; says which one was probably meant.
        """
        if name not in self.schemes:
            raise UnknownNameError(f"plate '{self.name}' has no class scheme '{name}'{suggestion(name, self.schemes)}")
        return self.schemes[name]

    def truth_at(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> Truth:
        """Truth on pixels whose centres lie at the given plate coordinates.

        Parameters
        ----------
        x_mm, y_mm : ndarray of float64, shape (Y, X)
            Plate coordinates of the pixel centres; pixels outside the plate, in its margin or at NaN become -1.

        Returns
        -------
        Truth
            A pixel belongs to a hole when its centre does.
        """
        index = np.zeros(x_mm.shape, dtype=np.int16)
        depth = np.full(x_mm.shape, np.nan, dtype=np.float32)
        for hole in self.holes:
            inside = (x_mm - hole.x_mm) ** 2 + (y_mm - hole.y_mm) ** 2 <= (hole.diameter_mm / 2) ** 2
            index[inside], depth[inside] = hole.number, hole.depth_mm
        margin = self.edge_margin_mm
        on_plate = (x_mm >= margin) & (x_mm <= self.width_mm - margin)
        on_plate &= (y_mm >= margin) & (y_mm <= self.height_mm - margin)
        index[~on_plate], depth[~on_plate] = -1, np.nan
        return Truth(defect_index=index, depth_mm=depth, defects=self.defects)

    def truth(self, pixel_pitch_mm: float) -> Truth:
        """Truth on the grid of `frame_shape`, pixel centres at (i + 0.5) pitch.

        Raises
        ------
        PlateError
            See `frame_shape`.
        """
        return self.truth_at(*pixel_centres_mm(self.frame_shape(pixel_pitch_mm), pixel_pitch_mm))

    def frame_shape(self, pixel_pitch_mm: float) -> tuple[int, int]:
        """Rows and columns of a frame of the plate: its size over the pixel pitch, rounded to the nearest whole pixel.

        Parameters
        ----------
        pixel_pitch_mm : float
            Edge of a pixel on the plate, mm.

        Raises
        ------
        PlateError
            When the pitch is not positive and finite, or makes no pixel or more than 10^8 pixels.
        """
        if not (np.isfinite(pixel_pitch_mm) and pixel_pitch_mm > 0):
            raise PlateError(f"pixel pitch is {pixel_pitch_mm} mm, expected a positive length")
        height, width = self.height_mm / pixel_pitch_mm, self.width_mm / pixel_pitch_mm
        if not (min(height, width) > 0.5 and height * width <= _MOST_PIXELS):
            raise PlateError(
                f"pixel pitch {pixel_pitch_mm:g} mm makes {height:.3g} x {width:.3g} pixels of the "
                f"{self.height_mm:g} x {self.width_mm:g} mm plate; is it really in mm?"
            )
        return max(1, round(height)), max(1, round(width))


def pixel_centres_mm(shape: tuple[int, int], pixel_pitch_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of pixel centres, (i + 0.5) pitch.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    pixel_pitch_mm : float
        Edge of a pixel on the plate, mm.

    Returns
    -------
    x_mm, y_mm : ndarray of float64, shape (Y, X)
    """
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    return (x + 0.5) * pixel_pitch_mm, (y + 0.5) * pixel_pitch_mm
