"""A defect map and acceptance criteria become ACCEPT, REJECT or REVIEW, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thermo_qc.inspection.criteria import Criteria, CriteriaRegion, Limit
from thermo_qc.inspection.defect_map import DefectMap
from thermo_qc.inspection.measure import Measured, Measures, measure

__all__ = ["Finding", "Outcome", "PlatePlace", "Verdict", "VerdictWord", "conclude", "judge"]

Outcome = Literal["pass", "fail", "uncertain"]
VerdictWord = Literal["accept", "reject", "review"]
Matrix = NDArray[np.float64]


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


@dataclass(frozen=True, kw_only=True)
class PlatePlace:
    """Where the frame lies on the plate.

    Parameters
    ----------
    matrix : ndarray of float64, shape (3, 3), optional
        Homography from pixels (the centre of the first is 0) to plate mm; None when unknown.
    size_mm : tuple of float, optional
        Width and height of the plate; None when unknown.
    margin_mm : float
        Border of the plate that is not inspected.
    """

    matrix: Matrix | None = None
    size_mm: tuple[float, float] | None = None
    margin_mm: float = 0.0

    def coordinates(self, shape: tuple[int, int]) -> tuple[Matrix, Matrix] | None:
        """Plate coordinates of the pixel centres, two float64 (Y, X); None when unknown."""
        if self.matrix is None:
            return None
        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
        x, y, w = (row[0] * columns + row[1] * rows + row[2] for row in self.matrix)
        with np.errstate(divide="ignore", invalid="ignore"):
            return x / w, y / w


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """The verdict on a part.

    Parameters
    ----------
    word : {"accept", "reject", "review"}
        The verdict.
    reasons : tuple of str
        One line each, what decides first.
    findings : tuple of Finding
        One for each limit and part of the plate.
    doubts : tuple of str
        Reasons to let people look that no limit gives.
    measures : Measures
        Indications and suspects.
    """

    word: VerdictWord
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    doubts: tuple[str, ...]
    measures: Measures


def judge(
    prediction: DefectMap,
    criteria: Criteria,
    *,
    place: PlatePlace | None = None,
    min_area_px: int = 1,
    signal: NDArray[np.float32] | None = None,
    class_bands_mm: Mapping[str, tuple[float, float]] | None = None,
    doubts: Sequence[str] = (),
) -> Verdict:
    """Judge a part by its defect map.

    Parameters
    ----------
    prediction : DefectMap
        Map.
    criteria : Criteria
        Limits.
    place : PlatePlace, optional
        Where the frame lies on the plate; regions need it.
    min_area_px : int
        Smaller regions are no indications.
    signal : ndarray of float32, shape (Y, X), optional
        Image for the contrast to noise.
    class_bands_mm : mapping, optional
        Depths from, to of each class.
    doubts : sequence of str
        Reasons for a review that come from elsewhere: what the recording could not have shown.

    Returns
    -------
    Verdict
        REJECT when a limit is broken whatever is uncertain, else REVIEW when one may be broken or there is a doubt.

    Raises
    ------
    UnknownNameError
        When the criteria name a class that the map does not know.
    """
    criteria.check_classes(prediction.class_names)
    place = place or PlatePlace()
    measures = measure(
        prediction,
        uncertain=criteria.uncertain,
        min_area_px=min_area_px,
        signal=signal,
        class_bands_mm=class_bands_mm,
    )
    own = list(prediction.notes)
    if not prediction.inspected.any():
        own.append("no pixel was inspected: there is no signal in the recording or in its region")
    findings: list[Finding] = []
    lengths = prediction.pixel_pitch_mm is not None
    if not lengths and any(limit.needs_lengths for _, limits in criteria.scopes() for limit in limits):
        own.append("pixel_pitch_mm is not known, so no size in mm can be judged; give --pixel-pitch-mm")
    coordinates = place.coordinates(prediction.shape)
    outside = np.ones(prediction.shape, dtype=bool)
    scopes: list[tuple[str, NDArray[np.bool_], tuple[Limit, ...]]] = []
    for region in criteria.regions:
        if coordinates is None:
            own.append(
                f"where the plate lies in the frame is not known, so region '{region.name}' cannot be judged; register "
                "the recording, or name the --plate that fills the frame"
            )
            continue
        mask, doubt = _region_mask(region, coordinates, prediction, criteria)
        own += [doubt] if doubt else []
        outside &= ~mask
        scopes.append((f"region '{region.name}'", mask, region.limits))
    scopes.insert(0, ("the plate", outside, criteria.limits))
    if coordinates is not None and place.size_mm is not None and criteria.limits:
        own += _inspected_doubt(place, coordinates, prediction, criteria)
    for scope, mask, limits in scopes:
        touching = set(np.unique(measures.labels[mask]).tolist())
        items = [item for item in measures.items if item.id in touching]
        for limit in limits:
            if lengths or not limit.needs_lengths:
                findings.append(_judge_limit(scope, limit, items, mask, prediction, measures))
    return conclude(findings, (*own, *doubts), measures)


def conclude(findings: Sequence[Finding], doubts: Sequence[str], measures: Measures) -> Verdict:
    """Give the verdict on findings and doubts, and order the reasons."""
    failed = [finding.text for finding in findings if finding.outcome == "fail"]
    open_ones = [finding.text for finding in findings if finding.outcome == "uncertain"]
    word: VerdictWord = "reject" if failed else "review" if open_ones or doubts else "accept"
    kept = [f"all {len(findings)} limits are kept" if len(findings) > 1 else "the limit is kept"]
    reasons = [*failed, *open_ones, *doubts] or kept
    return Verdict(word=word, reasons=tuple(reasons), findings=tuple(findings), doubts=tuple(doubts), measures=measures)


def _region_mask(
    region: CriteriaRegion, coordinates: tuple[Matrix, Matrix], prediction: DefectMap, criteria: Criteria
) -> tuple[NDArray[np.bool_], str]:
    mask = region.holds(*coordinates)
    if not mask.any():
        return mask, f"region '{region.name}' has no pixel in the frame, so it cannot be judged"
    share = float(prediction.inspected[mask].mean())
    if share < criteria.uncertain.least_inspected_fraction and not region.ignore:
        return mask, (
            f"only {100 * share:.0f} % of region '{region.name}' was inspected, at least "
            f"{100 * criteria.uncertain.least_inspected_fraction:g} % is wanted"
        )
    return mask, ""


def _inspected_doubt(
    place: PlatePlace, coordinates: tuple[Matrix, Matrix], prediction: DefectMap, criteria: Criteria
) -> list[str]:
    """Compare the inspected part of the plate, without its margin and the ignored regions, with what is wanted."""
    assert place.size_mm is not None
    (x, y), margin = coordinates, place.margin_mm
    with np.errstate(invalid="ignore"):
        on_plate = (x > margin) & (x < place.size_mm[0] - margin) & (y > margin) & (y < place.size_mm[1] - margin)
    for region in criteria.regions:
        if region.ignore:
            on_plate &= ~region.holds(x, y)
    share = float(prediction.inspected[on_plate].mean()) if on_plate.any() else 0.0
    pitch = prediction.pixel_pitch_mm
    if pitch is not None:  # what of the plate lies outside the frame
        whole = (place.size_mm[0] - 2 * margin) * (place.size_mm[1] - 2 * margin) / pitch**2
        ignored = sum(_area(region.outline_mm) / pitch**2 for region in criteria.regions if region.ignore)
        share = min(share, share * on_plate.sum() / max(1.0, whole - ignored) * 1.02)
    if share >= criteria.uncertain.least_inspected_fraction:
        return []
    least = 100 * criteria.uncertain.least_inspected_fraction
    return [f"only {100 * share:.0f} % of the plate was inspected, at least {least:g} % is wanted"]


def _area(outline: Sequence[tuple[float, float]]) -> float:
    x, y = np.asarray(outline, dtype=np.float64).T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


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


def _judge_limit(
    scope: str,
    limit: Limit,
    items: Sequence[Measured],
    mask: NDArray[np.bool_],
    prediction: DefectMap,
    measures: Measures,
) -> Finding:
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
    return np.argwhere(measures.labels[y0:y1, x0:x1] == item.id) + (y0, x0)


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
