"""Plate specifications: holes in millimetres become class and depth maps on any pixel grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import PlateConfig, load_config
from thermo_qc.errors import InputError, PlateError, UnknownNameError, suggestion
from thermo_qc.sequence import IGNORE_LABEL, Defect, Material, Truth

__all__ = ["BINARY", "ClassScheme", "Hole", "PlateSpec", "load_plate", "pixel_centres_mm", "shipped_plates"]


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
        if len(self.class_names) != len(self.max_depth_mm) + 1 or len(self.max_depth_mm) < 1:
            raise PlateError(f"class scheme '{self.name}' has {len(self.max_depth_mm)} bands for {len(self.class_names)} names")
        if len(set(self.class_names)) != len(self.class_names):
            raise PlateError(f"class scheme '{self.name}' names a class twice: {', '.join(self.class_names)}")
        if any(b <= a for a, b in zip(self.max_depth_mm, self.max_depth_mm[1:], strict=False)):
            raise PlateError(f"class scheme '{self.name}' has bands {self.max_depth_mm}; max_depth_mm must grow from band to band")

    @property
    def n_classes(self) -> int:
        """Number of classes with sound."""
        return len(self.class_names)

    def class_of_depth(self, depth_mm: float) -> int:
        """Class (1..K) of a defect at this depth.

        Raises
        ------
        PlateError
            When the depth is unknown and there is more than one band, or lies below the deepest band.
        """
        if np.isnan(depth_mm) and len(self.max_depth_mm) == 1:
            return 1
        position = int(np.searchsorted(self.max_depth_mm, depth_mm))
        if np.isnan(depth_mm) or position >= len(self.max_depth_mm):
            raise PlateError(
                f"a defect at {depth_mm:g} mm has no class in scheme '{self.name}' (bands up to {self.max_depth_mm[-1]:g} mm); "
                "give its depth, add a band or use scheme 'binary'"
            )
        return position + 1

    def class_map(self, truth: Truth) -> NDArray[np.uint8]:
        """Class of every pixel, uint8 (Y, X): 0 sound, 1..K by depth, 255 not to be used."""
        result = np.zeros(truth.shape, dtype=np.uint8)
        depths = {defect.number: np.nan if defect.depth_mm is None else defect.depth_mm for defect in truth.defects}
        for number in np.unique(truth.defect_index):
            if number > 0:
                result[truth.defect_index == number] = self.class_of_depth(depths[int(number)])
        result[truth.defect_index < 0] = IGNORE_LABEL
        return result

    def class_depths_mm(self, truths: tuple[Truth, ...]) -> tuple[float, ...]:
        """Mean depth of the defects of each class, NaN for sound and for classes without a defect of known depth."""
        depths: list[list[float]] = [[] for _ in self.class_names]
        for defect in (defect for truth in truths for defect in truth.defects if defect.depth_mm is not None):
            depths[self.class_of_depth(float(defect.depth_mm or 0.0))].append(float(defect.depth_mm or 0.0))
        return tuple(float(np.mean(values)) if values else float("nan") for values in depths)


BINARY = ClassScheme(name="binary", class_names=("sound", "defect"), max_depth_mm=(float("inf"),))


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
        When holes lie outside, overlap, or are deeper than the plate.
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
        for hole in self.holes:
            radius = hole.diameter_mm / 2
            if not (radius <= hole.x_mm <= self.width_mm - radius and radius <= hole.y_mm <= self.height_mm - radius):
                raise PlateError(
                    f"plate '{self.name}': hole {hole.name} at ({hole.x_mm:g}, {hole.y_mm:g}) mm, diameter {hole.diameter_mm:g} mm, "
                    f"reaches outside the {self.width_mm:g} x {self.height_mm:g} mm plate"
                )
            if not 0 < hole.depth_mm < self.thickness_mm:
                raise PlateError(
                    f"plate '{self.name}': hole {hole.name} leaves {hole.depth_mm:g} mm of a {self.thickness_mm:g} mm plate; "
                    "check thickness_mm and depth_convention"
                )
        for a, b in combinations(self.holes, 2):
            if np.hypot(a.x_mm - b.x_mm, a.y_mm - b.y_mm) < (a.diameter_mm + b.diameter_mm) / 2:
                raise PlateError(f"plate '{self.name}': holes {a.name} and {b.name} overlap; move one or make one smaller")
        object.__setattr__(self, "schemes", {"binary": BINARY, **self.schemes})

    @cached_property
    def defects(self) -> tuple[Defect, ...]:
        """The holes as `Defect` entries of a `Truth`."""
        return tuple(
            Defect(number=hole.number, depth_mm=hole.depth_mm, diameter_mm=hole.diameter_mm, name=hole.name) for hole in self.holes
        )

    def scheme(self, name: str) -> ClassScheme:
        """Class scheme by name, "did you mean" for a typo."""
        if name not in self.schemes:
            raise UnknownNameError(f"plate '{self.name}' has no class scheme '{name}'{suggestion(name, self.schemes)}")
        return self.schemes[name]

    def truth_at(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> Truth:
        """Truth on pixels whose centres lie at the given plate coordinates.

        Parameters
        ----------
        x_mm, y_mm : ndarray of float64, shape (Y, X)
            Plate coordinates of the pixel centres; pixels outside the plate (or in its margin) become -1.

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
        on_plate = (x_mm >= margin) & (x_mm <= self.width_mm - margin) & (y_mm >= margin) & (y_mm <= self.height_mm - margin)
        index[~on_plate], depth[~on_plate] = -1, np.nan
        return Truth(defect_index=index, depth_mm=depth, defects=self.defects)

    def truth(self, pixel_pitch_mm: float) -> Truth:
        """Truth on a grid of this pixel pitch that covers the plate, pixel centres at (i + 0.5) pitch."""
        return self.truth_at(*pixel_centres_mm(self.frame_shape(pixel_pitch_mm), pixel_pitch_mm))

    def frame_shape(self, pixel_pitch_mm: float) -> tuple[int, int]:
        """Rows and columns of a frame that covers the plate at this pixel pitch."""
        if not pixel_pitch_mm > 0:
            raise PlateError(f"pixel pitch is {pixel_pitch_mm} mm, expected a positive length")
        shape = (max(1, round(self.height_mm / pixel_pitch_mm)), max(1, round(self.width_mm / pixel_pitch_mm)))
        if shape[0] * shape[1] > 10**8:
            raise PlateError(f"pixel pitch {pixel_pitch_mm} mm makes {shape[0]} x {shape[1]} pixels; is it really in mm?")
        return shape


def pixel_centres_mm(shape: tuple[int, int], pixel_pitch_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of pixel centres, (i + 0.5) pitch.

    Returns
    -------
    x_mm, y_mm : ndarray of float64, shape (Y, X)
    """
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    return (x + 0.5) * pixel_pitch_mm, (y + 0.5) * pixel_pitch_mm


def shipped_plates() -> dict[str, Path]:
    """Plate specifications inside the package, by name."""
    folder = Path(str(resources.files("thermo_qc") / "resources" / "plates"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_plate(name_or_path: str | Path, relative_to: Path | None = None) -> PlateSpec:
    """Load a plate specification.

    Parameters
    ----------
    name_or_path : str or Path
        A YAML file, or the name of a plate that ships (``"gfrp_calibrated"``).
    relative_to : Path, optional
        Folder that relative paths start from; the working directory when None.

    Returns
    -------
    PlateSpec

    Raises
    ------
    InputError, ConfigError, PlateError
        When the file is missing, does not fit the schema or describes an impossible plate.

    Examples
    --------
    >>> len(load_plate("gfrp_calibrated").holes)
    23
    """
    text = str(name_or_path)
    if text in shipped_plates():
        return plate_from_config(load_config(PlateConfig, shipped_plates()[text]))
    path = Path(text) if relative_to is None else relative_to / text
    if path.suffix.lower() not in {".yaml", ".yml"}:
        raise InputError(f"plate '{text}' is neither a YAML file nor a plate that ships{suggestion(text, shipped_plates())}")
    return plate_from_config(load_config(PlateConfig, path))


def plate_from_config(config: PlateConfig) -> PlateSpec:
    """Build a `PlateSpec` from its schema; drilled depths become ligaments."""
    drilled = config.depth_convention == "drilled"
    holes = tuple(
        Hole(
            number=number,
            name=hole.name or f"H{number}",
            x_mm=hole.x_mm,
            y_mm=hole.y_mm,
            diameter_mm=hole.diameter_mm,
            depth_mm=round(config.thickness_mm - hole.depth_mm, 6) if drilled else hole.depth_mm,
        )
        for number, hole in enumerate(config.holes, start=1)
    )
    schemes = {
        name: ClassScheme(
            name=name,
            class_names=("sound", *(band.name for band in bands)),
            max_depth_mm=tuple(band.max_depth_mm for band in bands),
        )
        for name, bands in config.class_schemes.items()
    }
    return PlateSpec(
        name=config.name,
        width_mm=config.width_mm,
        height_mm=config.height_mm,
        thickness_mm=config.thickness_mm,
        material=Material(**config.material.model_dump()),
        holes=holes,
        schemes=schemes,
        edge_margin_mm=config.edge_margin_mm,
    )
