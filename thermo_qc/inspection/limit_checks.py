"""One limit against the indications of one part of the plate: kept, broken, or open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thermo_qc.inspection.defect_map import DefectMap
from thermo_qc.inspection.limit import Limit
from thermo_qc.inspection.measure import Measured, Measures

__all__ = ["Finding", "Outcome", "check_limit"]

Outcome = Literal["pass", "fail", "uncertain"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one limit says of one part of the plate.

    Parameters
    ----------
    scope : str
        "the plate" or "region 'name'".
    limit : str
        The limit in words.
    outcome : {"pass", "fail", "uncertain"}
        Uncertain: kept or broken, depending on what is uncertain of the indications.
    text : str
        What was found, in a sentence.
    ids : tuple of int
        Indications that break it, or may.
    """

    scope: str
    limit: str
    outcome: Outcome
    text: str
    ids: tuple[int, ...] = ()


def _concerned(limit: Limit, item: Measured) -> tuple[bool, bool]:
    """Whether a limit certainly, and whether it possibly speaks of an indication."""
    if limit.classes is not None:
        wanted = set(limit.classes)
        return set(item.classes) <= wanted, bool(set(item.classes) & wanted)
    if limit.depth_mm is not None:
        if item.depth_mm is None:
            return False, True
        (low, high), (start, end) = item.depth_mm, limit.depth_mm
        return start <= low and high <= end, low <= end and start <= high
    return True, True


def check_limit(
    scope: str,
    limit: Limit,
    items: Sequence[Measured],
    mask: NDArray[np.bool_],
    prediction: DefectMap,
    measures: Measures,
) -> Finding:
    """Check one limit in one part of the plate.

    Parameters
    ----------
    scope : str
        Which part.
    limit : Limit
        What is allowed there.
    items : sequence of Measured
        Indications and suspects that touch the part.
    mask : ndarray of bool, shape (Y, X)
        Its pixels.
    prediction : DefectMap
        Map.
    measures : Measures
        Pixels of all indications.

    Returns
    -------
    Finding
    """
    pitch = prediction.pixel_pitch_mm
    least = limit.smallest_diameter_mm
    outcomes: list[tuple[Outcome, str, tuple[int, ...]]] = []
    certain, possible = [], []
    for item in items:
        surely, maybe = _concerned(limit, item)
        low, high = item.diameters_mm(pitch) if pitch is not None else (float(item.area_px[0]), float(item.area_px[1]))
        counts_surely = item.area_px[0] > 0 and (least is None or low >= least)
        counts_maybe = least is None or high >= least
        if surely and counts_surely:
            certain.append(item)
        if maybe and counts_maybe:
            possible.append(item)
    if limit.max_diameter_mm is not None and pitch is not None:
        outcomes += _sizes(limit, items, pitch)
    if limit.max_number is not None:
        outcomes.append(_number(limit, certain, possible))
    if limit.min_spacing_mm is not None and pitch is not None:
        outcomes += _spacing(limit.min_spacing_mm, certain, possible, measures, pitch)
    if limit.max_total_fraction is not None:
        outcomes.append(_fraction(limit.max_total_fraction, certain, possible, mask & prediction.inspected, measures))
    worst: Outcome = "pass"
    for level in ("uncertain", "fail"):
        if any(outcome == level for outcome, _, _ in outcomes):
            worst = level
    bad = [(text, ids) for outcome, text, ids in outcomes if outcome == worst]
    words = _words(limit)
    where = "" if scope == "the plate" else f"{scope}: "
    text = f"{where}{words}: kept" if worst == "pass" else f"{where}{'; '.join(text for text, _ in bad)} ({words})"
    ids = tuple(dict.fromkeys(number for _, one in bad for number in one)) if worst != "pass" else ()
    return Finding(scope=scope, limit=words, outcome=worst, text=text, ids=ids)


def _words(limit: Limit) -> str:
    """Put a limit into words."""
    parts = []
    if limit.max_area_mm2 is not None:
        parts.append(f"area at most {limit.max_area_mm2:g} mm²")
    if limit.max_equivalent_diameter_mm is not None:
        parts.append(f"equivalent diameter at most {limit.max_equivalent_diameter_mm:g} mm")
    if limit.max_number is not None:
        window = "" if limit.within_mm is None else f" in any {limit.within_mm:g} x {limit.within_mm:g} mm"
        count = "no indication" if limit.max_number == 0 else f"at most {limit.max_number} indications"
        parts.append(f"{count}{window}")
    if limit.min_spacing_mm is not None:
        parts.append(f"at least {limit.min_spacing_mm:g} mm apart")
    if limit.max_total_fraction is not None:
        parts.append(f"together at most {100 * limit.max_total_fraction:g} % of the area")
    if limit.smallest_diameter_mm is not None:
        parts.append(f"counted from {limit.smallest_diameter_mm:g} mm on")
    title = f"{limit.name}: " if limit.name else ""
    return f"{title}{limit.subject}: {', '.join(parts)}"


def describe(item: Measured) -> str:
    """Name an indication with its place."""
    one = item.indication
    kind = "a suspect place" if item.suspect else "indication"
    return f"{kind} {one.id} ('{one.class_name}')"


def _sizes(limit: Limit, items: Sequence[Measured], pitch: float) -> list[tuple[Outcome, str, tuple[int, ...]]]:
    allowed = limit.max_diameter_mm
    assert allowed is not None
    found: list[tuple[Outcome, str, tuple[int, ...]]] = []
    for item in items:
        surely, maybe = _concerned(limit, item)
        low, high = item.diameters_mm(pitch)
        if not maybe or high <= allowed:
            continue
        if surely and low > allowed:
            size = _size_text(limit, item)
            found.append(("fail", f"{describe(item)} has {size}", (item.id,)))
            continue
        found.append(("uncertain", f"{describe(item)} {_why_open(limit, item, (low, high), allowed)}", (item.id,)))
    return found


def _size_text(limit: Limit, item: Measured) -> str:
    shown = item.indication.equivalent_diameter_mm or 0.0
    if limit.max_area_mm2 is not None:
        return f"an area of {np.pi * shown**2 / 4:.3g} mm²"
    return f"a diameter of {shown:.3g} mm"


def _why_open(limit: Limit, item: Measured, sizes: tuple[float, float], allowed: float) -> str:
    low, high = sizes
    surely, _ = _concerned(limit, item)
    if limit.max_area_mm2 is not None:
        span = f"an area of {np.pi * low**2 / 4:.3g} to {np.pi * high**2 / 4:.3g} mm²"
    else:
        span = f"a diameter of {low:.3g} to {high:.3g} mm"
    parts = []
    if low <= allowed:
        parts.append(
            f"has {span} between the probabilities of a certain and a possible defect"
            if low > 0
            else f"is a defect with a probability of {item.defect_probability:.2f} only, of {span}"
        )
    else:
        parts.append(f"has {span}")
    if not surely:
        if limit.depth_mm is not None:
            depth = item.depth_mm
            parts.append(
                "its depth is not known"
                if depth is None
                else f"its depth of {depth[0]:.3g} to {depth[1]:.3g} mm lies on both sides of a limit of the range"
            )
        else:
            parts.append(f"its class may be {' or '.join(repr(name) for name in item.classes)}")
    return ", and ".join(parts)


def _number(
    limit: Limit, certain: Sequence[Measured], possible: Sequence[Measured]
) -> tuple[Outcome, str, tuple[int, ...]]:
    allowed = limit.max_number
    assert allowed is not None
    low, low_ids = _most_within(certain, limit.within_mm)
    high, high_ids = _most_within(possible, limit.within_mm)
    if low > allowed:
        return "fail", f"{low} indication{'s' * (low > 1)}", low_ids
    if high > allowed:
        return "uncertain", f"{low} certain and {high} possible indications", high_ids
    return "pass", "", ()


def _most_within(items: Sequence[Measured], edge_mm: float | None) -> tuple[int, tuple[int, ...]]:
    """Most centroids inside a square of this edge, and whose they are; all of them without an edge."""
    if edge_mm is None or len(items) < 2:
        return len(items), tuple(item.id for item in items)
    places = np.array([(item.indication.centroid_x_mm, item.indication.centroid_y_mm) for item in items], dtype=float)
    ids = np.array([item.id for item in items])
    best: tuple[int, tuple[int, ...]] = (0, ())
    for left in places[:, 0]:
        column = (places[:, 0] >= left) & (places[:, 0] <= left + edge_mm)
        order = np.argsort(places[column, 1], kind="stable")
        y, numbers = places[column, 1][order], ids[column][order]
        ends = np.searchsorted(y, y + edge_mm, side="right")
        counts = ends - np.arange(y.size)
        top = int(counts.argmax())
        if counts[top] > best[0]:
            best = int(counts[top]), tuple(sorted(numbers[top : ends[top]].tolist()))
    return best


def _spacing(
    wanted_mm: float, certain: Sequence[Measured], possible: Sequence[Measured], measures: Measures, pitch: float
) -> list[tuple[Outcome, str, tuple[int, ...]]]:
    sure = {item.id for item in certain}
    found: list[tuple[Outcome, str, tuple[int, ...]]] = []
    if len(possible) < 2:
        return found
    boxes = np.array([item.indication.bbox_px for item in possible], dtype=np.float64)  # x0, y0, x1, y1
    pixels = [_pixels(item, measures) for item in possible]
    trees: dict[int, cKDTree] = {}
    for one in range(len(possible) - 1):
        rest = boxes[one + 1 :]
        across = np.maximum(rest[:, :2] - boxes[one, 2:], boxes[one, :2] - rest[:, 2:]).clip(min=0.0)
        for other in (np.flatnonzero(np.hypot(*across.T) * pitch < wanted_mm) + one + 1).tolist():
            few, many = sorted((one, other), key=lambda number: len(pixels[number]))
            tree = trees.setdefault(many, cKDTree(pixels[many]))
            apart = max(0.0, float(tree.query(pixels[few])[0].min()) - 1.0) * pitch
            if apart < wanted_mm:
                ids = possible[one].id, possible[other].id
                outcome: Outcome = "fail" if set(ids) <= sure else "uncertain"
                word = "" if outcome == "fail" else ", not both certain"
                found.append((outcome, f"indications {ids[0]} and {ids[1]} are {apart:.3g} mm apart{word}", ids))
    return found


def _pixels(item: Measured, measures: Measures) -> NDArray[np.int64]:
    """Rows and columns of an indication's pixels, (N, 2)."""
    x0, y0, x1, y1 = item.indication.bbox_px
    return np.asarray(np.argwhere(measures.labels[y0:y1, x0:x1] == item.id) + np.array([y0, x0]), dtype=np.int64)


def _fraction(
    allowed: float,
    certain: Sequence[Measured],
    possible: Sequence[Measured],
    inspected: NDArray[np.bool_],
    measures: Measures,
) -> tuple[Outcome, str, tuple[int, ...]]:
    total = int(inspected.sum())
    if not total:
        return "uncertain", "nothing was inspected", ()
    low = int(np.isin(measures.certain[inspected], [item.id for item in certain]).sum()) / total
    high = int(np.isin(measures.possible[inspected], [item.id for item in possible]).sum()) / total
    if low > allowed:
        return "fail", f"{100 * low:.3g} % of the inspected area", tuple(item.id for item in certain)
    if high > allowed:
        text = f"{100 * low:.3g} to {100 * high:.3g} % of the inspected area"
        return "uncertain", text, tuple(item.id for item in possible)
    return "pass", "", ()
