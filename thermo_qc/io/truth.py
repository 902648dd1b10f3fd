"""Known defects and regions: mask pictures, COCO and CVAT outlines, a plate seen through a homography."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import read_yaml
from thermo_qc.errors import InputError, TruthError, UnknownFormatError
from thermo_qc.io.images import picture_shape, read_picture
from thermo_qc.io.labels import check_depths, truth_from_labels
from thermo_qc.io.outlines import Outline, fill_outline, read_coco, read_cvat
from thermo_qc.plate import PlateSpec
from thermo_qc.sequence import Defect, Truth

__all__ = ["read_homography", "read_region", "read_truth", "truth_of_plate", "with_diameters"]

PICTURES = frozenset({".png", ".tif", ".tiff", ".bmp"})
OUTLINES = {".json": read_coco, ".xml": read_cvat}


def read_truth(path: Path | str, shape: tuple[int, int], depths_mm: Mapping[int | str, float] | None = None) -> Truth:
    """Read the known defects of a recording.

    Parameters
    ----------
    path : Path or str
        A mask picture (grey or palette: 0 is sound, each connected region of another value, 255 too, is a defect),
        COCO JSON or CVAT XML with the outlines of one picture (each outline is a defect, later ones lie on top).
    shape : tuple of int
        Rows and columns of the recording.
    depths_mm : mapping, optional
        Depth from the inspected face of each value of the mask or each label of the outlines, mm. An attribute
        ``depth_mm`` of an outline counts before it.

    Returns
    -------
    Truth

    Raises
    ------
    TruthError
        When the size differs from `shape`, an outline covers no pixel, or a depth belongs to nothing.
    InputError
        When the file is missing, broken or of an unknown kind.
    """
    path, depths = Path(path), dict(depths_mm or {})
    if _kind(path) == "picture":
        return truth_from_labels(_labels(path, shape), depths_mm=_whole_keys(path, depths), origin=path)
    outlines = OUTLINES[path.suffix.lower()](path, shape)
    by_label = {str(label): depth for label, depth in depths.items()}
    check_depths(by_label, sorted({outline.label for outline in outlines}), path)
    return _truth_of_outlines(path, outlines, shape, by_label)


def read_region(path: Path | str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a region: the pixels of a mask that are not 0, or those inside the outlines of a COCO or CVAT file.

    Parameters
    ----------
    path : Path or str
        Mask picture, COCO JSON or CVAT XML.
    shape : tuple of int
        Rows and columns of the recording.

    Returns
    -------
    ndarray of bool, shape (Y, X)

    Raises
    ------
    TruthError
        When the size differs from `shape` or the region is empty.
    InputError
        When the file is missing, broken or of an unknown kind.
    """
    path = Path(path)
    if _kind(path) == "picture":
        region: NDArray[np.bool_] = _labels(path, shape) != 0
    else:
        region = np.zeros(shape, dtype=np.bool_)
        for outline in OUTLINES[path.suffix.lower()](path, shape):
            region |= fill_outline(outline, shape)
    if not region.any():
        raise TruthError(f"{path} marks no pixel; mark the region with a value other than 0")
    return region


def _kind(path: Path) -> str:
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a mask; name the file inside it")
    ending = path.suffix.lower()
    if ending not in PICTURES and ending not in OUTLINES:
        raise UnknownFormatError(
            f"{path} has no known mask format; expected PNG or TIFF (grey or palette), COCO .json or CVAT .xml"
        )
    return "picture" if ending in PICTURES else "outlines"


def _labels(path: Path, shape: tuple[int, int]) -> NDArray[np.int64]:
    found = picture_shape(path)
    if found != shape:
        raise TruthError(
            f"{path} has {found[0]} x {found[1]} pixels, the frames have {shape[0]} x {shape[1]}; "
            "draw it on a frame of this recording"
        )
    labels = read_picture(path, "one channel of labels")
    if labels.dtype.kind == "f" and not (labels == np.round(labels)).all():
        raise TruthError(f"{path} holds fractions, expected whole numbers as labels; save it as a grey or palette PNG")
    return labels.astype(np.int64)


def _whole_keys(path: Path, depths: Mapping[int | str, float]) -> dict[int, float]:
    try:
        return {int(label): depth for label, depth in depths.items()}
    except ValueError:
        labels = ", ".join(str(label) for label in depths)
        raise TruthError(
            f"{path}: depths are given for {labels}; expected whole numbers, the values in the mask"
        ) from None


def _truth_of_outlines(
    path: Path, outlines: list[Outline], shape: tuple[int, int], by_label: dict[str, float]
) -> Truth:
    index = np.zeros(shape, dtype=np.int16)
    depth = np.full(shape, np.nan, dtype=np.float32)
    defects = []
    labels = [outline.label for outline in outlines]
    for number, outline in enumerate(outlines, start=1):
        inside = fill_outline(outline, shape)
        if not inside.any():
            raise TruthError(
                f"{path}: outline {number} ('{outline.label}') covers no pixel centre; check its coordinates"
            )
        outline_depth = by_label.get(outline.label) if outline.depth_mm is None else outline.depth_mm
        index[inside], depth[inside] = number, np.nan if outline_depth is None else outline_depth
        nth = labels[:number].count(outline.label)
        name = outline.label if labels.count(outline.label) == 1 else f"{outline.label}.{nth}"
        defects.append(Defect(number=number, depth_mm=outline_depth, name=name))
    return Truth(defect_index=index, depth_mm=depth, defects=tuple(defects))


def with_diameters(truth: Truth, pixel_pitch_mm: float) -> Truth:
    """Give each defect of unknown diameter that of the circle of its area, mm."""
    counts = dict(zip(*np.unique(truth.defect_index, return_counts=True), strict=True))

    def diameter(number: int) -> float | None:
        diameter_mm = 2 * float(np.sqrt(counts.get(number, 0) / np.pi)) * pixel_pitch_mm
        return diameter_mm if 0 < diameter_mm < np.inf else None

    defects = (
        defect if defect.diameter_mm is not None else replace(defect, diameter_mm=diameter(defect.number))
        for defect in truth.defects
    )
    return replace(truth, defects=tuple(defects))


def read_homography(path: Path | str) -> NDArray[np.float64]:
    """Read the 3 x 3 matrix of a registration file (YAML, key `matrix`): pixel (column, row, 1) to plate millimetres.

    Raises
    ------
    InputError
        When the file is missing, or has no invertible matrix.
    """
    path = Path(path)
    content: Any = read_yaml(path)
    try:
        matrix = np.array(content["matrix"], dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(f"{path} has no 'matrix' of 3 x 3 numbers; make it with thermo-qc register") from None
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix) < 3:
        raise InputError(f"{path}: matrix {matrix.tolist()} is no invertible 3 x 3 matrix; register again")
    return matrix


def truth_of_plate(plate: PlateSpec, matrix: NDArray[np.float64], shape: tuple[int, int]) -> tuple[Truth, float]:
    """Truth of a plate seen through a homography.

    Parameters
    ----------
    plate : PlateSpec
        The plate.
    matrix : ndarray, shape (3, 3)
        From pixel centres (column, row, 1), counted from 0, to plate millimetres.
    shape : tuple of int
        Rows and columns (Y, X).

    Returns
    -------
    truth : Truth
        Pixels outside the plate are not to be used.
    pixel_pitch_mm : float
        Mean edge of a pixel on the plate.

    Raises
    ------
    TruthError
        When no pixel of the frame lies on the plate.
    """
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    x, y, depth = np.tensordot(matrix, np.stack([columns, rows, np.ones(shape)]), axes=1)
    # Pixels on the plate lie on one side of the horizon; the sign of the matrix is free, so take the side of the plate.
    centre = np.linalg.solve(matrix, [plate.width_mm / 2, plate.height_mm / 2, 1.0])
    seen = depth * np.sign(centre[2]) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        x_mm, y_mm = (np.where(seen, values / depth, np.nan) for values in (x, y))
    truth = plate.truth_at(x_mm, y_mm)
    on_plate = (x_mm >= 0) & (x_mm <= plate.width_mm) & (y_mm >= 0) & (y_mm <= plate.height_mm)
    if not truth.valid.any():
        raise TruthError(
            f"the registration puts no pixel of {shape[0]} x {shape[1]} on plate '{plate.name}'; register it again"
        )
    # Area of a pixel: determinant of the Jacobian of the homography, det(M) / depth^3.
    areas = np.abs(np.linalg.det(matrix) / depth[on_plate] ** 3)
    return truth, float(np.sqrt(areas.mean()))
