"""Each true defect found or missed, and calls where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.evaluation.metrics import check_same_shape
from thermo_qc.indications import connected_regions
from thermo_qc.plate import ClassScheme
from thermo_qc.sequence import IGNORE_LABEL, Defect, Truth

__all__ = ["false_calls", "hole_table"]


def hole_table(
    truth: Truth,
    class_map: NDArray[np.uint8],
    *,
    scheme: ClassScheme,
    pixel_pitch_mm: float | None,
    key: str = "",
    fold: int | None = None,
    depth_map_mm: NDArray[np.float32] | None = None,
    depth_std_map_mm: NDArray[np.float32] | None = None,
    netd_k: float | None = None,
    min_coverage: float = 0.4,
    min_iou: float = 0.2,
    valid: NDArray[np.bool_] | None = None,
) -> list[dict[str, Any]]:
    """Say of every true defect whether the map finds it.

    A defect is found when predicted defect pixels cover at least `min_coverage` of it, and the intersection over union
    of it with all predicted regions that touch it is at least `min_iou`.

    Parameters
    ----------
    truth : Truth
        Defects by number.
    class_map : ndarray of uint8, shape (Y, X)
        Predicted classes: 0 sound, 1..K, 255 no verdict (counts as not found).
    scheme : ClassScheme
        Which class a defect of known depth is.
    pixel_pitch_mm : float, optional
        Edge of a pixel, mm; gives the equivalent diameter of defects whose diameter nobody stated.
    key, fold : str, int, optional
        Copied into the entries.
    depth_map_mm : ndarray of float32, shape (Y, X), optional
        Predicted depth, mm; NaN where sound.
    depth_std_map_mm : ndarray of float32, shape (Y, X), optional
        Its stated standard deviation, mm; adds predicted_depth_std_mm (median over the hit pixels) to the entries.
    netd_k : float, optional
        Camera noise, K; turns the peak contrast into contrast to noise.
    min_coverage, min_iou : float
        The hit rule.
    valid : ndarray of bool, shape (Y, X), optional
        Pixels that count (the test pixels of a fold, say); the truth's own ignored pixels never do.

    Returns
    -------
    list of dict
        One entry per defect with a pixel that counts: key, fold, name, number, diameter_mm, depth_mm, found, coverage,
        iou, true_class and predicted_class (indices; None when nothing is predicted there), class_right,
        predicted_depth_mm (median over the hit pixels), peak_contrast_k, contrast_to_noise, n_pixels.

    Raises
    ------
    TruthError
        When the maps have different sizes.
    PlateError
        When a defect's depth is unknown or deeper than every class of the scheme.
    """
    check_same_shape(class_map, truth.defect_index)
    usable = _usable(truth, valid)
    called = np.where(usable, class_map, np.uint8(0))
    if depth_map_mm is not None:
        check_same_shape(depth_map_mm, truth.defect_index, "predicted depth map")
    if depth_std_map_mm is not None:
        check_same_shape(depth_std_map_mm, truth.defect_index, "map of depth deviations")
    labels, _ = connected_regions(called)
    called[called == IGNORE_LABEL] = 0
    region_areas = np.bincount(labels.ravel())
    index = np.where(usable, truth.defect_index, 0)
    places = ndimage.find_objects(np.maximum(index, 0))
    table = []
    for defect in sorted(truth.defects, key=lambda entry: entry.number):
        place = places[defect.number - 1] if 0 < defect.number <= len(places) else None
        if place is None:
            continue
        hole = index[place] == defect.number
        hit = hole & (called[place] > 0)
        touching = np.unique(labels[place][hit])
        overlap = _overlap(hole, hit, int(region_areas[touching].sum()))
        depths = None if depth_map_mm is None else depth_map_mm[place][hit]
        table.append(
            {
                "key": key,
                "fold": fold,
                **_facts(defect, overlap["n_pixels"], pixel_pitch_mm),
                "found": overlap["coverage"] >= min_coverage and overlap["iou"] >= min_iou,
                **overlap,
                **_class_verdict(scheme.class_of_depth(_number(defect.depth_mm)), called[place][hit]),
                "predicted_depth_mm": _median(depths),
                **(
                    {}
                    if depth_std_map_mm is None
                    else {"predicted_depth_std_mm": _median(depth_std_map_mm[place][hit])}
                ),
                "peak_contrast_k": defect.peak_contrast_k,
                "contrast_to_noise": defect.peak_contrast_k / netd_k
                if defect.peak_contrast_k is not None and netd_k
                else None,
            }
        )
    return table


def _usable(truth: Truth, valid: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    if valid is None:
        return truth.valid
    check_same_shape(valid, truth.defect_index, "mask of valid pixels")
    return truth.valid & valid


def _facts(defect: Defect, n_pixels: int, pixel_pitch_mm: float | None) -> dict[str, Any]:
    diameter = defect.diameter_mm
    if diameter is None and pixel_pitch_mm is not None:
        diameter = float(np.sqrt(4 * n_pixels / np.pi) * pixel_pitch_mm)
    return {
        "name": defect.name or str(defect.number),
        "number": defect.number,
        "diameter_mm": diameter,
        "depth_mm": defect.depth_mm,
    }


def _overlap(hole: NDArray[np.bool_], hit: NDArray[np.bool_], called_px: int) -> dict[str, Any]:
    n_hole, n_hit = int(hole.sum()), int(hit.sum())
    return {"coverage": n_hit / n_hole, "iou": n_hit / (n_hole + called_px - n_hit), "n_pixels": n_hole}


def _class_verdict(true_class: int, predicted: NDArray[np.uint8]) -> dict[str, Any]:
    majority = int(np.bincount(predicted).argmax()) if predicted.size else None
    return {"true_class": true_class, "predicted_class": majority, "class_right": majority == true_class}


def _median(values: NDArray[np.float32] | None) -> float | None:
    known = np.array([]) if values is None else values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def false_calls(
    truth: Truth,
    class_map: NDArray[np.uint8],
    *,
    grow_px: float = 3.0,
    min_area_px: int = 1,
    valid: NDArray[np.bool_] | None = None,
) -> int:
    """Count the predicted regions that touch no true defect grown by `grow_px`.

    Parameters
    ----------
    truth : Truth
        Defects.
    class_map : ndarray of uint8, shape (Y, X)
        Predicted classes.
    grow_px : float
        A region this near to a defect is not false, pixels.
    min_area_px : int
        Smaller regions do not count.
    valid : ndarray of bool, shape (Y, X), optional
        Pixels that count; the truth's own ignored pixels never do.

    Returns
    -------
    int
        Number of false regions.

    Raises
    ------
    TruthError
        When the maps have different sizes.
    """
    check_same_shape(class_map, truth.defect_index)
    usable = _usable(truth, valid)
    labels, n = connected_regions(np.where(usable, class_map, np.uint8(0)))
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    false = areas >= min_area_px
    defects = truth.defect_index > 0
    if defects.any():
        near = ndimage.distance_transform_edt(~defects) <= grow_px
        false[np.unique(labels[near])] = False
    return int(false[1:].sum())
