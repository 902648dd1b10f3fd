"""A defect map and acceptance criteria become ACCEPT, REJECT or REVIEW, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.inspection.criteria import Criteria, CriteriaRegion
from thermo_qc.inspection.defect_map import DefectMap
from thermo_qc.inspection.limit import Limit
from thermo_qc.inspection.limit_checks import Finding, check_limit
from thermo_qc.inspection.measure import Measures, measure

__all__ = ["PlatePlace", "Verdict", "VerdictWord", "conclude", "judge"]

VerdictWord = Literal["accept", "reject", "review"]
Matrix = NDArray[np.float64]


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
                findings.append(check_limit(scope, limit, items, mask, prediction, measures))
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
