"""Curves of representative places of a recording: sound material, and one hole of every depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.sequence import Defect, ThermalSequence, Truth

__all__ = ["DefectCurve", "PixelCurves", "representative_curves"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DefectCurve:
    """Mean curve over the middle of one defect.

    Parameters
    ----------
    name : str
        Name of the defect.
    depth_mm : float
        Distance from the inspected face, mm.
    diameter_mm : float, optional
        Diameter, mm.
    rise, contrast : ndarray of float64, shape (T,)
        Rise above the cold plate; rise minus that of the sound ring round the defect.
    """

    name: str
    depth_mm: float
    diameter_mm: float | None
    rise: Floats
    contrast: Floats


@dataclass(frozen=True, kw_only=True)
class PixelCurves:
    """Curves of one recording after the start of its heating.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Positive times, s from the start of the heating.
    sound : ndarray of float64, shape (T,)
        Mean rise of the sound place that is farthest from every defect.
    defects : tuple of DefectCurve
        Near the surface first.
    unit : str
        Unit of rise and contrast.
    heating_stop_s : float, optional
        End of the heating.
    noise : float, optional
        Noise of a single pixel, in `unit`.
    """

    times_s: Floats
    sound: Floats
    defects: tuple[DefectCurve, ...]
    unit: str
    heating_stop_s: float | None = None
    noise: float | None = None


def representative_curves(sequence: ThermalSequence, truth: Truth, *, max_defects: int = 9) -> PixelCurves | None:
    """Take curves over the middle of the largest defect of every depth, and over sound material.

    The middle of a defect are its pixels within half its radius (one pixel at least); its sound ring lies between one
    and a half and two and a half radii, two pixels from the defect at least, without pixels of other defects.

    Parameters
    ----------
    sequence : ThermalSequence
        The recording; frames may be lazy.
    truth : Truth
        Known defects on the pixels of the recording.
    max_defects : int
        At most so many depths, spread evenly over those there are.

    Returns
    -------
    PixelCurves or None
        None when the truth has no defect of known depth, no sound pixel, or the recording no frame after the start of
        the heating.
    """
    chosen = _largest_of_each_depth(truth)
    if len(chosen) > max_defects:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, max_defects).round().astype(int)]
    sound = _sound_place(truth)
    warm = sequence.times_s > 0
    if not chosen or not sound.any() or not warm.any():
        return None
    places = [_places(truth, defect.number) for defect in chosen]
    means = _mean_curves(sequence, [sound, *(mask for pair in places for mask in pair)])
    cold = sequence.times_s < 0
    base = means[:, cold].mean(axis=1) if cold.any() else means[:, 0]
    rise = (means - base[:, None])[:, warm]
    curves = tuple(
        DefectCurve(
            name=defect.name or f"defect {defect.number}",
            depth_mm=float(defect.depth_mm or 0.0),
            diameter_mm=defect.diameter_mm,
            rise=rise[1 + 2 * i],
            contrast=rise[1 + 2 * i] - rise[2 + 2 * i],
        )
        for i, defect in enumerate(chosen)
    )
    kelvin = sequence.unit in {"K", "degC"}
    return PixelCurves(
        times_s=sequence.times_s[warm],
        sound=rise[0],
        defects=curves,
        unit="K" if kelvin else "counts",
        heating_stop_s=sequence.excitation.stop_s,
        noise=sequence.netd_k if kelvin else None,
    )


def _largest_of_each_depth(truth: Truth) -> list[Defect]:
    sizes = {defect.number: int((truth.defect_index == defect.number).sum()) for defect in truth.defects}
    best: dict[float, Defect] = {}
    for defect in truth.defects:
        if defect.depth_mm is None or sizes[defect.number] == 0:
            continue
        depth = round(float(defect.depth_mm), 2)
        if depth not in best or sizes[defect.number] > sizes[best[depth].number]:
            best[depth] = defect
    return [best[depth] for depth in sorted(best)]


def _sound_place(truth: Truth) -> NDArray[np.bool_]:
    """3 x 3 pixels round the valid sound pixel that is farthest from every defect and from the border."""
    free = np.pad(truth.defect_index == 0, 1)
    distance = ndimage.distance_transform_edt(free)[1:-1, 1:-1]
    place = np.zeros(truth.shape, dtype=bool)
    if distance.max() > 0:
        place[np.unravel_index(int(distance.argmax()), truth.shape)] = True
        place = ndimage.binary_dilation(place, structure=np.ones((3, 3), dtype=bool)) & (truth.defect_index == 0)
    return place


def _places(truth: Truth, number: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Middle of a defect and the sound ring round it; the ring falls back to all sound pixels when it is empty."""
    inside = truth.defect_index == number
    rows, columns = np.nonzero(inside)
    y, x = np.mgrid[0 : truth.shape[0], 0 : truth.shape[1]]
    distance = np.hypot(y - rows.mean(), x - columns.mean())
    radius = float(np.sqrt(rows.size / np.pi))
    middle = inside & (distance <= max(0.5 * radius, float(distance[inside].min())))
    ring = (
        (truth.defect_index == 0)
        & (distance >= max(1.5 * radius, radius + 2))
        & (distance <= max(2.5 * radius, radius + 4))
    )
    return middle, ring if ring.any() else truth.defect_index == 0


def _mean_curves(sequence: ThermalSequence, masks: list[NDArray[np.bool_]]) -> Floats:
    """Mean curve over each mask, NaN pixels left out, (M, T); one pass in bounded memory."""
    sums = np.zeros((len(masks), sequence.n_frames))
    counts = np.zeros_like(sums)
    for rows, block in sequence.blocks():
        for i, mask in enumerate(masks):
            if mask[rows].any():
                values = block[:, mask[rows]].astype(np.float64)
                known = np.isfinite(values)
                sums[i] += np.where(known, values, 0.0).sum(axis=1)
                counts[i] += known.sum(axis=1)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means
