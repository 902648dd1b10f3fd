"""Predicted regions against true defects: hits, misses, false calls, and errors of place and size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import TruthError
from thermo_qc.evaluation.half_maximum import half_maximum_diameters
from thermo_qc.evaluation.metrics import check_same_shape
from thermo_qc.indications import connected_regions
from thermo_qc.sequence import Truth

__all__ = ["DefectMatch", "FalseCall", "Matching", "check_same_pitch", "match_indications", "sound_pixels"]

SOUND_DISTANCE_PX = 3.0
_PITCH_TOLERANCE = 1e-3  # relative


@dataclass(frozen=True, kw_only=True)
class DefectMatch:
    """One true defect and the predicted regions that touch it.

    Parameters
    ----------
    number, name : int, str
        The defect.
    depth_mm, diameter_mm : float
        As stated; the diameter from the pixels where nobody stated it; NaN when unknown.
    n_pixels : int
        Its pixels that count.
    found : bool
        By the overlap rule.
    coverage, iou : float
        Share of its pixels that are called, and intersection over union with all regions that touch it.
    n_regions : int
        Predicted regions that touch it.
    shared : bool
        Whether one of them touches another defect as well: place and size are then of both together.
    error_x_mm, error_y_mm, position_error_mm : float
        Centre of the regions minus centre of the defect, and its length; NaN when nothing touches it or the pitch is
        unknown.
    predicted_diameter_mm, size_error_mm : float
        Equivalent diameter of the regions, and that minus the equivalent diameter of the true pixels.
    half_maximum_diameter_mm, half_maximum_error_mm : float
        The same from the -6 dB (half-maximum) contour of the signal; NaN without a signal, or where it does not fall to
        half its peak near the defect.
    """

    number: int
    name: str
    depth_mm: float
    diameter_mm: float
    n_pixels: int
    found: bool
    coverage: float
    iou: float
    n_regions: int
    shared: bool
    error_x_mm: float
    error_y_mm: float
    position_error_mm: float
    predicted_diameter_mm: float
    size_error_mm: float
    half_maximum_diameter_mm: float
    half_maximum_error_mm: float


@dataclass(frozen=True, kw_only=True)
class FalseCall:
    """A predicted region that touches no defect.

    Parameters
    ----------
    area_px : int
        Its pixels.
    x_px, y_px : float
        Its centre, pixels.
    area_mm2, diameter_mm, x_mm, y_mm : float
        In mm; NaN when the pitch is unknown.
    """

    area_px: int
    x_px: float
    y_px: float
    area_mm2: float
    diameter_mm: float
    x_mm: float
    y_mm: float


@dataclass(frozen=True, kw_only=True)
class Matching:
    """All defects and all regions of one map.

    Parameters
    ----------
    defects : tuple of DefectMatch
        By number.
    false_calls : tuple of FalseCall
        Largest first.
    n_regions : int
        Predicted regions that count.
    sound_m2 : float
        Area of sound material farther than `grow_px` from any defect, square metres; NaN when the pitch is unknown.
    rule : str
        The overlap rule, for people.
    """

    defects: tuple[DefectMatch, ...]
    false_calls: tuple[FalseCall, ...]
    n_regions: int
    sound_m2: float
    rule: str = field(default="")


def check_same_pitch(predicted_mm: float | None, true_mm: float | None) -> float | None:
    """Give back the common pixel pitch; None when nobody knows it.

    Raises
    ------
    TruthError
        When prediction and truth state different pitches, or a pitch is not a positive length.
    """
    known = [pitch for pitch in (true_mm, predicted_mm) if pitch is not None]
    for pitch in known:
        if not (np.isfinite(pitch) and pitch > 0):
            raise TruthError(f"pixel pitch is {pitch} mm, expected a positive length or None when unknown")
    if len(known) == 2 and abs(known[0] - known[1]) > _PITCH_TOLERANCE * known[0]:
        raise TruthError(
            f"the prediction has a pixel pitch of {known[1]:g} mm, the truth of {known[0]:g} mm; "
            "predict and label the same frame, or correct the pitch of one of them"
        )
    return known[0] if known else None


def sound_pixels(
    truth: Truth, *, grow_px: float = SOUND_DISTANCE_PX, valid: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Pixels of sound material farther than `grow_px` from any defect (between pixel centres), bool (Y, X).

    Raises
    ------
    TruthError
        When the mask of valid pixels has another size.
    """
    usable = truth.valid if valid is None else truth.valid & valid_of(truth, valid)
    defects = truth.defect_index > 0
    if not defects.any():
        return usable
    return np.asarray(usable & (ndimage.distance_transform_edt(~defects) > grow_px))


def valid_of(truth: Truth, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give back a mask that fits the truth; see `check_same_shape` for what is raised."""
    check_same_shape(valid, truth.defect_index, "mask of valid pixels")
    return valid


def match_indications(
    truth: Truth,
    class_map: NDArray[np.uint8],
    *,
    pixel_pitch_mm: float | None = None,
    min_coverage: float = 0.4,
    min_iou: float = 0.2,
    grow_px: float = SOUND_DISTANCE_PX,
    min_area_px: int = 1,
    valid: NDArray[np.bool_] | None = None,
    signal: NDArray[np.floating] | None = None,
) -> Matching:
    """Match the connected regions of a map with the true defects.

    A defect is found when predicted pixels cover at least `min_coverage` of it and the intersection over union of it
    with all regions that touch it is at least `min_iou` (the rule of `hole_table`). A region that touches no defect
    grown by `grow_px` is a false call.

    Parameters
    ----------
    truth : Truth
        Defects by number.
    class_map : ndarray of uint8, shape (Y, X)
        Predicted classes: 0 sound, 255 no verdict.
    pixel_pitch_mm : float, optional
        Edge of a pixel, mm; without it there are no lengths and areas.
    min_coverage, min_iou : float
        The hit rule.
    grow_px : float
        A region this near to a defect is not false; sound material begins beyond it.
    min_area_px : int
        Smaller regions are left out altogether.
    valid : ndarray of bool, shape (Y, X), optional
        Pixels that count; the truth's own ignored pixels never do.
    signal : ndarray, shape (Y, X), optional
        Image for the half-maximum sizes (probability of a defect, contrast, ...); NaN has no part.

    Returns
    -------
    Matching

    Raises
    ------
    TruthError
        When sizes differ or the pitch is no length.
    """
    check_same_shape(class_map, truth.defect_index)
    if signal is not None:
        check_same_shape(signal, truth.defect_index, "signal image")
    pitch = check_same_pitch(None, pixel_pitch_mm)
    usable = truth.valid if valid is None else truth.valid & valid_of(truth, valid)
    labels, n = connected_regions(np.where(usable, class_map, np.uint8(0)))
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    small = areas < min_area_px
    if small[1:].any():
        labels[small[labels]] = 0
        areas[small] = 0
    areas[0] = 0
    index = np.where(usable, np.maximum(truth.defect_index, 0), 0).astype(np.int64)
    measured = _measure(labels, n)
    length = float("nan") if pitch is None else pitch
    sound = sound_pixels(truth, grow_px=grow_px, valid=valid)
    return Matching(
        defects=_match_defects(truth, index, labels, areas, measured, length, min_coverage, min_iou, signal),
        false_calls=_false_calls(truth, labels, areas, measured, length, grow_px),
        n_regions=int((areas > 0).sum()),
        sound_m2=float(sound.sum()) * length**2 * 1e-6,
        rule=(
            f"found: at least {100 * min_coverage:g} % of the defect is called, and the intersection over union with "
            f"all regions that touch it is at least {min_iou:g}; false: farther than {grow_px:g} px from any defect"
        ),
    )


def _measure(labels: NDArray[np.integer], n: int) -> NDArray[np.float64]:
    """Pixels and sums of columns and rows of each label 0..n, (3, n + 1)."""
    rows, columns = np.nonzero(labels)
    of = labels[rows, columns]
    return np.stack([np.bincount(of, weights=w, minlength=n + 1) for w in (np.ones(of.size), columns, rows)])


def _match_defects(
    truth: Truth,
    index: NDArray[np.int64],
    labels: NDArray[np.int32],
    areas: NDArray[np.int64],
    regions: NDArray[np.float64],
    pitch_mm: float,
    min_coverage: float,
    min_iou: float,
    signal: NDArray[np.floating] | None,
) -> tuple[DefectMatch, ...]:
    top = int(index.max(initial=0))
    holes = _measure(index, top)
    hit = (index > 0) & (labels > 0)
    n_hit = np.bincount(index[hit], minlength=top + 1)
    pairs = np.unique(index[hit] * areas.size + labels[hit])
    of_defect, of_region = pairs // areas.size, pairs % areas.size
    touched = np.stack([np.bincount(of_defect, weights=part[of_region], minlength=top + 1) for part in regions])
    n_touching = np.bincount(of_defect, minlength=top + 1)
    several = np.bincount(of_region, minlength=areas.size) > 1
    shared = np.bincount(of_defect, weights=several[of_region], minlength=top + 1) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = touched[1:] / touched[0] - holes[1:] / holes[0]
    halves = np.full(top + 1, np.nan) if signal is None else half_maximum_diameters(signal, index, valid=truth.valid)
    found = []
    for defect in sorted(truth.defects, key=lambda entry: entry.number):
        number = defect.number
        if number > top or holes[0, number] == 0:
            continue
        n_pixels = int(holes[0, number])
        coverage = n_hit[number] / n_pixels
        iou = n_hit[number] / (n_pixels + touched[0, number] - n_hit[number])
        true_mm = _diameter(n_pixels, pitch_mm)
        called_mm = _diameter(touched[0, number], pitch_mm) if n_touching[number] else float("nan")
        error = centre[:, number] * pitch_mm
        half_mm = float(halves[number]) * pitch_mm
        found.append(
            DefectMatch(
                number=number,
                name=defect.name or str(number),
                depth_mm=_number(defect.depth_mm),
                diameter_mm=true_mm if defect.diameter_mm is None else float(defect.diameter_mm),
                n_pixels=n_pixels,
                found=bool(coverage >= min_coverage and iou >= min_iou),
                coverage=float(coverage),
                iou=float(iou),
                n_regions=int(n_touching[number]),
                shared=bool(shared[number]),
                error_x_mm=float(error[0]),
                error_y_mm=float(error[1]),
                position_error_mm=float(np.hypot(*error)),
                predicted_diameter_mm=called_mm,
                size_error_mm=called_mm - true_mm,
                half_maximum_diameter_mm=half_mm,
                half_maximum_error_mm=half_mm - true_mm,
            )
        )
    return tuple(found)


def _false_calls(
    truth: Truth,
    labels: NDArray[np.int32],
    areas: NDArray[np.int64],
    regions: NDArray[np.float64],
    pitch_mm: float,
    grow_px: float,
) -> tuple[FalseCall, ...]:
    false = areas > 0
    defects = truth.defect_index > 0
    if defects.any():
        near = ndimage.distance_transform_edt(~defects) <= grow_px
        false[np.unique(labels[near])] = False
    numbers = np.flatnonzero(false)
    order = numbers[np.lexsort((numbers, -areas[numbers]))]
    return tuple(_false_call(regions[:, number], pitch_mm) for number in order)


def _false_call(region: NDArray[np.float64], pitch_mm: float) -> FalseCall:
    area, x, y = float(region[0]), float(region[1] / region[0]), float(region[2] / region[0])
    return FalseCall(
        area_px=int(area),
        x_px=x,
        y_px=y,
        area_mm2=area * pitch_mm**2,
        diameter_mm=_diameter(area, pitch_mm),
        x_mm=(x + 0.5) * pitch_mm,
        y_mm=(y + 0.5) * pitch_mm,
    )


def _diameter(n_pixels: Any, pitch_mm: float) -> float:
    """Diameter of the disc of equal area, mm."""
    return float(np.sqrt(4 * float(n_pixels) / np.pi) * pitch_mm)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
