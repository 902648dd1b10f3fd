"""Indications with what is uncertain of them: size between two probabilities, possible classes, interval of depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.indications import Indication, connected_regions, find_indications
from thermo_qc.inspection.criteria import Uncertain
from thermo_qc.inspection.defect_map import DefectMap

__all__ = ["Measured", "Measures", "measure"]

Bands = Mapping[str, tuple[float, float]]
Labels = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An indication, or a place that may be one, with what is uncertain of it.

    Parameters
    ----------
    indication : Indication
        As called; of a suspect, as its likely pixels would make it.
    suspect : bool
        Not called a defect, but possibly one.
    area_px : tuple of int
        Pixels that are certain to belong to it, and pixels that possibly do.
    defect_probability : float
        Mean probability of any defect over its pixels.
    classes : tuple of str
        Classes that it possibly has.
    depth_mm : tuple of float, optional
        Interval of its depth: from the deviation that the model states, else the depths of its possible classes; None
        when neither is known.
    """

    indication: Indication
    suspect: bool
    area_px: tuple[int, int]
    defect_probability: float
    classes: tuple[str, ...]
    depth_mm: tuple[float, float] | None

    @property
    def id(self) -> int:
        """Number of the indication."""
        return self.indication.id

    def diameters_mm(self, pixel_pitch_mm: float) -> tuple[float, float]:
        """Smallest and largest equivalent diameter."""
        low, high = (float(np.sqrt(4 * area / np.pi) * pixel_pitch_mm) for area in self.area_px)
        return low, high


@dataclass(frozen=True, kw_only=True, eq=False)
class Measures:
    """All indications of a map.

    Parameters
    ----------
    items : tuple of Measured
        Called ones first, largest first, then suspects.
    labels : ndarray of int32, shape (Y, X)
        Number of the indication whose called (of a suspect: possible) pixel this is, else 0.
    possible, certain : ndarray of int32, shape (Y, X)
        The same for the pixels that possibly and that certainly belong to it.
    """

    items: tuple[Measured, ...]
    labels: Labels
    possible: Labels
    certain: Labels


def measure(
    prediction: DefectMap,
    *,
    uncertain: Uncertain,
    min_area_px: int = 1,
    signal: NDArray[np.float32] | None = None,
    class_bands_mm: Bands | None = None,
) -> Measures:
    """Find the indications of a map and what is uncertain of them.

    The pixels that possibly belong to an indication are those with a probability of any defect of at least
    `possible_from` that are connected with it, each given to the nearest indication; certain ones have at least
    `certain_from`. Connected places of possible pixels without an indication are suspects.

    Parameters
    ----------
    prediction : DefectMap
        Map.
    uncertain : Uncertain
        Limits of probability, share of classes, width of intervals.
    min_area_px : int
        Smaller ones are left out.
    signal : ndarray of float32, shape (Y, X), optional
        Image for the contrast to noise.
    class_bands_mm : mapping, optional
        Depths from, to of each class by name: classes that a stated interval of depth touches are possible as well;
        where the model states none, the interval is that of the possible classes.

    Returns
    -------
    Measures
    """
    probability = np.where(prediction.inspected, 1.0 - prediction.probability[0], 0.0)
    labels, n_called = _called(prediction.class_map, min_area_px)
    likely = np.asarray((probability >= uncertain.possible_from) | (labels > 0))
    grown, suspects = _grown(likely, labels, min_area_px)
    suspect_map = np.zeros_like(prediction.class_map)
    suspect_map[suspects > 0] = prediction.probability[1:, suspects > 0].argmax(axis=0) + 1
    common: dict[str, Any] = {
        "class_names": prediction.class_names,
        "pixel_pitch_mm": prediction.pixel_pitch_mm,
        "signal": signal,
        "min_area_px": min_area_px,
    }
    called = find_indications(prediction.class_map, prediction.probability, depth_mm=prediction.depth_mm, **common)
    others = find_indications(suspect_map, prediction.probability, **common)
    others = tuple(replace(one, id=one.id + n_called) for one in others)
    second, _ = _called(suspect_map, min_area_px)
    possible = grown + np.where(second > 0, second + n_called, 0).astype(np.int32)
    certain = np.where(probability >= uncertain.certain_from, possible, 0).astype(np.int32)
    labels = np.where(second > 0, second + n_called, labels).astype(np.int32)
    n = n_called + len(others)
    sizes = [np.bincount(found.ravel(), minlength=n + 1).tolist() for found in (certain, labels, possible)]
    boxes = ndimage.find_objects(labels, max_label=n) if n else []
    items = []
    for one in (*called, *others):
        box = boxes[one.id - 1]
        inside = labels[box] == one.id
        low, own, high = (size[one.id] for size in sizes)
        suspect = one.id > n_called
        items.append(
            _measured(one, prediction, box, inside, uncertain, class_bands_mm or {}, (low, max(own, high)), suspect)
        )
    return Measures(items=tuple(items), labels=labels, possible=possible, certain=certain)


def _called(class_map: NDArray[np.uint8], min_area_px: int) -> tuple[Labels, int]:
    """Label regions with the numbers that `find_indications` gives them; their number."""
    regions, n = connected_regions(class_map)
    area = np.bincount(regions.ravel(), minlength=n + 1)[1:]
    wanted = [region for region in np.lexsort((np.arange(n), -area)).tolist() if area[region] >= min_area_px]
    numbers = np.zeros(n + 1, dtype=np.int32)
    numbers[np.asarray(wanted, dtype=np.intp) + 1] = np.arange(1, len(wanted) + 1)
    return numbers[regions], len(wanted)


def _grown(likely: NDArray[np.bool_], labels: Labels, min_area_px: int) -> tuple[Labels, Labels]:
    """Give likely pixels to the indication nearest in their component; label components without one."""
    components, n = ndimage.label(likely, structure=np.ones((3, 3), dtype=bool))
    has = np.zeros(n + 1, dtype=bool)
    has[np.unique(components[labels > 0])] = True
    has[0] = False
    grown = labels.copy()
    if labels.any():
        rows, columns = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
        nearest = labels[rows, columns]
        home = components[rows, columns]
        mine = has[components] & (labels == 0)
        grown[mine] = np.where(home == components, nearest, 0)[mine]
        boxes = ndimage.find_objects(components)
        for component in np.unique(components[mine & (grown == 0)]):  # the nearest one lay in another component
            box = boxes[component - 1]
            inside = components[box] == component
            rows, columns = ndimage.distance_transform_edt(
                ~(inside & (labels[box] > 0)), return_distances=False, return_indices=True
            )
            lost = inside & (grown[box] == 0)
            grown[box][lost] = labels[box][rows, columns][lost]
    alone = np.where(has[components], 0, components)
    area = np.bincount(alone.ravel(), minlength=n + 1)
    alone[area[alone] < min_area_px] = 0
    return grown.astype(np.int32), alone.astype(np.int32)


def _measured(
    one: Indication,
    prediction: DefectMap,
    box: tuple[slice, slice],
    inside: NDArray[np.bool_],
    uncertain: Uncertain,
    bands: Bands,
    area_px: tuple[int, int],
    suspect: bool,
) -> Measured:
    shares = prediction.probability[:, box[0], box[1]][:, inside].mean(axis=1, dtype=np.float64)
    defect = float(1.0 - shares[0])
    names = prediction.class_names
    likely = {
        name for name, share in zip(names[1:], shares[1:], strict=True) if share >= uncertain.class_share * defect
    }
    likely.add(one.class_name)
    interval = _stated_interval(prediction, box, inside, uncertain.depth_sigmas)
    if interval is not None:
        likely |= {name for name in names[1:] if name in bands and _overlap(bands[name], interval)}
    elif likely <= set(bands):
        interval = min(bands[name][0] for name in likely), max(bands[name][1] for name in likely)
    return Measured(
        indication=one,
        suspect=suspect,
        area_px=(0, area_px[1]) if suspect else area_px,
        defect_probability=defect,
        classes=tuple(name for name in names[1:] if name in likely),
        depth_mm=interval,
    )


def _stated_interval(
    prediction: DefectMap, box: tuple[slice, slice], inside: NDArray[np.bool_], sigmas: float
) -> tuple[float, float] | None:
    """Mean depth less and more so many of the deviations that the model states; None where it states none."""
    if prediction.depth_std_mm is None:
        return None
    depths = prediction.depth_mm[box][inside].astype(np.float64)
    stated = prediction.depth_std_mm[box][inside].astype(np.float64)
    known = np.isfinite(depths) & np.isfinite(stated)
    if not known.any():
        return None
    mean, spread = float(depths[known].mean()), float(stated[known].mean())  # the errors of neighbours are alike
    return max(0.0, mean - sigmas * spread), mean + sigmas * spread


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[1] and other[0] <= one[1]
