"""From a class map to indications; every measure is one pass over the map, however many regions there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import TruthError
from thermo_qc.indications.indication import Indication
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["connected_regions", "find_indications"]

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)
RING_GAP_PX = 2.0
RING_WIDTH_PX = 5.0
Floats = NDArray[np.float64]


def connected_regions(class_map: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """Label the connected regions of defect pixels of any class (neighbours by edge or corner).

    Parameters
    ----------
    class_map : ndarray of uint8, shape (Y, X)
        0 sound, 255 not to be used, anything else a defect.

    Returns
    -------
    labels : ndarray of int32, shape (Y, X)
        0 outside, 1..n in the order of the first pixel.
    n : int
    """
    defect = (class_map != 0) & (class_map != IGNORE_LABEL)
    labels = np.zeros(class_map.shape, dtype=np.int32)
    n = ndimage.label(defect, structure=_EIGHT_NEIGHBOURS, output=labels)
    return labels, int(n)


def find_indications(
    class_map: NDArray[np.uint8],
    probability: NDArray[np.float32],
    *,
    class_names: Sequence[str],
    depth_mm: NDArray[np.float32] | None = None,
    pixel_pitch_mm: float | None = None,
    signal: NDArray[np.float32] | None = None,
    min_area_px: int = 1,
) -> tuple[Indication, ...]:
    """List the regions of a class map.

    Each connected region of defect pixels (8 neighbours, all defect classes together) is one indication; its class is
    the one with the largest probability summed over the region.

    Parameters
    ----------
    class_map : ndarray of uint8, shape (Y, X)
        0 sound, 1..K-1 defect classes, 255 not to be used.
    probability : ndarray of float32, shape (K, Y, X)
        Class probabilities.
    class_names : sequence of str
        K names, the first is sound.
    depth_mm : ndarray of float32, shape (Y, X), optional
        Depth from the inspected face, mm; NaN where there is none.
    pixel_pitch_mm : float, optional
        Edge of a pixel, mm.
    signal : ndarray of float32, shape (Y, X), optional
        Image for the contrast-to-noise ratio; NaN pixels are left out.
    min_area_px : int
        Smaller regions are not listed.

    Returns
    -------
    tuple of Indication
        Largest first; regions of equal size from top to bottom.

    Raises
    ------
    TruthError
        When sizes, classes or the pitch do not fit.

    References
    ----------
    Contrast to noise: |mu_d - mu_s| / sqrt((sd_d^2 + sd_s^2) / 2) between the region and the sound pixels that are more
    than 2 and at most 7 pixels from it and nearer to it than to any other region.
    """
    _check(class_map, probability, class_names, pixel_pitch_mm)
    _check_images(class_map, {"depth map": depth_mm, "signal image": signal})
    labels, n = connected_regions(class_map)
    if n == 0:
        return ()
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    defect = labels > 0
    of = labels[defect]
    sums = np.stack([_sums(of, image[defect], n) for image in probability[1:]])
    if not np.isfinite(sums).all():
        raise TruthError("probability is not finite at some defect pixels; mark pixels without a value with class 255")
    classes = sums.argmax(axis=0) + 1
    rows, columns = np.nonzero(defect)
    centre_x, centre_y = _sums(of, columns, n) / area, _sums(of, rows, n) / area
    boxes = ndimage.find_objects(labels)
    depths = np.full(n, np.nan) if depth_mm is None else _known_mean(of, depth_mm[defect], n)
    ratios = np.full(n, np.nan) if signal is None else _contrast_to_noise(labels, class_map == 0, signal, n)
    wanted = [region for region in np.lexsort((np.arange(n), -area)).tolist() if area[region] >= min_area_px]
    return tuple(
        Indication(
            id=number,
            class_index=int(classes[region]),
            class_name=class_names[classes[region]],
            centroid_x_px=float(centre_x[region]),
            centroid_y_px=float(centre_y[region]),
            bbox_px=_box(boxes[region]),
            area_px=int(area[region]),
            depth_mm=_or_none(depths[region]),
            mean_probability=float(sums[classes[region] - 1, region] / area[region]),
            cnr=_or_none(ratios[region]),
            **_in_mm(
                float(centre_x[region]), float(centre_y[region]), _box(boxes[region]), int(area[region]), pixel_pitch_mm
            ),
        )
        for number, region in enumerate(wanted, start=1)
    )


def _check(
    class_map: NDArray[Any],
    probability: NDArray[Any],
    class_names: Sequence[str],
    pixel_pitch_mm: float | None,
) -> None:
    shape = class_map.shape
    if len(shape) != 2 or len(class_names) < 2 or probability.shape != (len(class_names), *shape):
        raise TruthError(
            f"class map {shape} and probability {probability.shape} do not fit {len(class_names)} classes; "
            "expected (Y, X) and (K, Y, X)"
        )
    wrong = class_map[(class_map != IGNORE_LABEL) & (class_map >= len(class_names))]
    if wrong.size:
        raise TruthError(f"class map holds class {wrong[0]}, expected 0 to {len(class_names) - 1} or {IGNORE_LABEL}")
    if pixel_pitch_mm is not None and not (np.isfinite(pixel_pitch_mm) and pixel_pitch_mm > 0):
        raise TruthError(f"pixel pitch is {pixel_pitch_mm} mm, expected a positive length or None when unknown")


def _check_images(class_map: NDArray[Any], images: dict[str, NDArray[Any] | None]) -> None:
    for name, image in images.items():
        if image is not None and image.shape != class_map.shape:
            raise TruthError(
                f"{name} has shape {image.shape}, the class map {class_map.shape}; make both from one recording"
            )


def _sums(labels: NDArray[np.int32], values: NDArray[Any], n: int) -> Floats:
    """Sum of the values of each label 1..n, (n,)."""
    return np.bincount(labels, weights=values.astype(np.float64), minlength=n + 1)[1:].astype(np.float64)


def _moments(labels: NDArray[np.int32], values: NDArray[Any], n: int) -> tuple[Floats, Floats, Floats]:
    """Count, mean and variance of the finite values of each label, (n,) each; NaN where there is none."""
    known = np.isfinite(values)
    labels, values = labels[known], values[known].astype(np.float64)
    count = np.bincount(labels, minlength=n + 1)[1:].astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean = _sums(labels, values, n) / count
        variance = _sums(labels, (values - mean[labels - 1]) ** 2, n) / count
    return count, mean, variance


def _known_mean(labels: NDArray[np.int32], values: NDArray[Any], n: int) -> Floats:
    return _moments(labels, values, n)[1]


def _contrast_to_noise(labels: NDArray[np.int32], sound: NDArray[np.bool_], signal: NDArray[Any], n: int) -> Floats:
    """Contrast to noise of every region against its own ring, (n,); NaN where the ring has fewer than two pixels."""
    distance, (rows, columns) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    ring = sound & (distance > RING_GAP_PX) & (distance <= RING_GAP_PX + RING_WIDTH_PX)
    owner = labels[rows[ring], columns[ring]]
    _, mean_d, var_d = _moments(labels[labels > 0], signal[labels > 0], n)
    count_s, mean_s, var_s = _moments(owner, signal[ring], n)
    noise = np.sqrt(0.5 * (var_d + var_s))
    usable = (count_s >= 2) & (noise > 0)
    ratios: Floats = np.full(n, np.nan)
    ratios[usable] = np.abs(mean_d - mean_s)[usable] / noise[usable]
    return ratios


def _box(slices: tuple[slice, slice]) -> tuple[int, int, int, int]:
    rows, columns = slices
    return int(columns.start), int(rows.start), int(columns.stop), int(rows.stop)


def _in_mm(
    x_px: float, y_px: float, box: tuple[int, int, int, int], area_px: int, pitch_mm: float | None
) -> dict[str, Any]:
    if pitch_mm is None:
        names = ("centroid_x_mm", "centroid_y_mm", "bbox_mm", "area_mm2", "equivalent_diameter_mm")
        return dict.fromkeys(names)
    area_mm2 = area_px * pitch_mm**2
    return {
        "centroid_x_mm": (x_px + 0.5) * pitch_mm,
        "centroid_y_mm": (y_px + 0.5) * pitch_mm,
        "bbox_mm": tuple(edge * pitch_mm for edge in box),
        "area_mm2": area_mm2,
        "equivalent_diameter_mm": float(np.sqrt(4 * area_mm2 / np.pi)),
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
