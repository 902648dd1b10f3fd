"""Indications of several maps together: share found, false calls per square metre, errors of place and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thermo_qc.errors import FoldError
from thermo_qc.evaluation.intervals import Proportion, Rate, clopper_pearson, poisson_rate
from thermo_qc.evaluation.matching import DefectMatch, Matching

__all__ = ["ErrorSummary", "IndicationSummary", "summarise_matchings"]


@dataclass(frozen=True, kw_only=True)
class ErrorSummary:
    """Errors of one measure, mm.

    Parameters
    ----------
    n : int
        Defects that have it.
    bias, rms, median_absolute, largest_absolute : float
        Mean, root mean square, median and largest of the errors' size; NaN when n is 0.
    """

    n: int
    bias: float
    rms: float
    median_absolute: float
    largest_absolute: float


@dataclass(frozen=True, kw_only=True)
class IndicationSummary:
    """What several maps say of their defects.

    Parameters
    ----------
    hits : Proportion
        Defects found of all, with the Clopper-Pearson interval. Recordings of one plate show the same defects: the
        interval is of looks, as if they were independent.
    true_regions : Proportion
        Predicted regions that are no false call, of all.
    false_calls_per_m2 : Rate
        On sound material, exact Poisson interval; NaN when the area is unknown or none.
    position_mm, size_mm, half_maximum_size_mm : ErrorSummary
        Over the defects found whose regions touch no other defect. The bias of the position is not defined for a
        length: its mean stands there.
    largest_false_call_mm2 : float
        NaN when there is none, or the pitch is unknown.
    rule : str
        The overlap rule.
    statement : str
        What could not be said, and why; empty otherwise.
    """

    hits: Proportion
    true_regions: Proportion
    false_calls_per_m2: Rate
    position_mm: ErrorSummary
    size_mm: ErrorSummary
    half_maximum_size_mm: ErrorSummary
    largest_false_call_mm2: float
    rule: str
    statement: str


def summarise_matchings(matchings: Sequence[Matching], *, confidence: float = 0.95) -> IndicationSummary:
    """Join the matchings of several maps.

    Parameters
    ----------
    matchings : sequence of Matching
        One per map, all by one rule.
    confidence : float
        Of the intervals.

    Returns
    -------
    IndicationSummary

    Raises
    ------
    FoldError
        When there are none, or they were made by different rules.
    """
    if not matchings:
        raise FoldError("there are no matched maps to summarise; evaluate at least one recording")
    rules = {matching.rule for matching in matchings}
    if len(rules) > 1:
        raise FoldError("maps were matched by different overlap rules; match all of them by one")
    defects = [defect for matching in matchings for defect in matching.defects]
    found = [defect for defect in defects if defect.found]
    calls = [call for matching in matchings for call in matching.false_calls]
    n_regions = sum(matching.n_regions for matching in matchings)
    area = float(sum(matching.sound_m2 for matching in matchings))
    alone = [defect for defect in found if not defect.shared]
    largest = max((call.area_mm2 for call in calls), default=float("nan"))
    return IndicationSummary(
        hits=clopper_pearson(len(found), len(defects), confidence),
        true_regions=clopper_pearson(n_regions - len(calls), n_regions, confidence),
        false_calls_per_m2=_rate(len(calls), area, confidence),
        position_mm=_errors([defect.position_error_mm for defect in alone]),
        size_mm=_errors([defect.size_error_mm for defect in alone]),
        half_maximum_size_mm=_errors([defect.half_maximum_error_mm for defect in alone]),
        largest_false_call_mm2=largest,
        rule=rules.pop(),
        statement=_statement(defects, area, len(found) - len(alone)),
    )


def _rate(count: int, area: float, confidence: float) -> Rate:
    if np.isnan(area):
        nan = float("nan")
        return Rate(count=count, exposure=nan, value=nan, low=nan, high=nan, confidence=confidence)
    return poisson_rate(count, area, confidence)


def _errors(values: Sequence[float]) -> ErrorSummary:
    known = np.array([value for value in values if np.isfinite(value)], dtype=np.float64)
    if known.size == 0:
        nan = float("nan")
        return ErrorSummary(n=0, bias=nan, rms=nan, median_absolute=nan, largest_absolute=nan)
    return ErrorSummary(
        n=int(known.size),
        bias=float(known.mean()),
        rms=float(np.sqrt(np.mean(known**2))),
        median_absolute=float(np.median(np.abs(known))),
        largest_absolute=float(np.abs(known).max()),
    )


def _statement(defects: Sequence[DefectMatch], area: float, n_shared: int) -> str:
    parts = []
    if not defects:
        parts.append("no recording shows a defect, so there is nothing to find and no share found")
    if np.isnan(area):
        parts.append("the pixel pitch of a recording is unknown, so there is no area and no error in mm")
    elif area == 0:
        parts.append("no sound material lies far enough from the defects, so there is no rate of false calls")
    if n_shared:
        parts.append(f"{n_shared} defects found share a region with another one: their place and size are left out")
    return "; ".join(parts)
