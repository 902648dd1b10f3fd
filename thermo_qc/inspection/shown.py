"""Whether a recording could have shown what the criteria forbid: the smallest defect to be rejected and its d'."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from thermo_qc.errors import ThermoQCError
from thermo_qc.evaluation import DetectionLimits, InspectionSetup
from thermo_qc.inspection.criteria import Criteria
from thermo_qc.inspection.limit import Limit
from thermo_qc.inspection.recorded_setup import RecordedSetup, hole_in
from thermo_qc.sequence import Material

__all__ = ["Shown", "ShownCase", "check_shown"]


@dataclass(frozen=True, kw_only=True)
class ShownCase:
    """The smallest defect that a limit rejects, at the greatest depth that it speaks of.

    Parameters
    ----------
    scope, limit : str
        Which limit.
    diameter_mm, depth_mm : float
        The defect, a flat-bottom hole.
    d_prime : float, optional
        Detectability index of the honest observer; None when the set-up is not known.
    word : str
        "detectable", "borderline", "cannot be seen" or "unknown".
    """

    scope: str
    limit: str
    diameter_mm: float
    depth_mm: float
    d_prime: float | None
    word: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a recording could have shown.

    Parameters
    ----------
    cases : tuple of ShownCase
        One for each limit whose smallest defect is stated.
    missing : tuple of str
        What is not known, with the way out.
    doubts : tuple of str
        Reasons for a review; empty when everything is detectable.
    """

    cases: tuple[ShownCase, ...]
    missing: tuple[str, ...]
    doubts: tuple[str, ...]


def check_shown(
    criteria: Criteria,
    recorded: RecordedSetup,
    *,
    class_depths_mm: Mapping[str, float] | None = None,
) -> Shown:
    """Check that the smallest defect each limit rejects was detectable in a recording.

    Parameters
    ----------
    criteria : Criteria
        Limits; those without a size (number, spacing or share alone, without `smallest_diameter_mm`) say of no defect
        that it must be found.
    recorded : RecordedSetup
        Set-up.
    class_depths_mm : mapping of str to float, optional
        Greatest depth of each class, by name.

    Returns
    -------
    Shown
    """
    cases: list[ShownCase] = []
    missing: list[str] = list(recorded.missing)
    sizeless = 0
    for scope, limits in criteria.scopes():
        for limit in limits:
            diameter = limit.smallest_diameter_mm if limit.max_diameter_mm is None else limit.max_diameter_mm
            if diameter is None:
                sizeless += 1
                continue
            depth, name = _deepest(limit, criteria, class_depths_mm or {}, recorded.thickness_mm)
            if depth is None:
                missing.append(f"how deep {name} lies (deepest_mm, or detect_depth_mm in the limit of the criteria)")
                continue
            cases.append(_case(scope, limit, diameter, depth, recorded, criteria.detection))
    if not cases and sizeless and not missing:
        missing.append("the smallest defect that must be found (smallest_diameter_mm in a limit of the criteria)")
    missing = list(dict.fromkeys(missing))
    doubts = [
        f"whether the recording could have shown what the criteria forbid is not known: {what} is missing"
        for what in missing
    ]
    doubts += [
        _doubt(case, recorded, criteria.detection) for case in cases if case.word in ("borderline", "cannot be seen")
    ]
    doubts += [
        f"no d' could be computed for a defect of {case.diameter_mm:.3g} mm at {case.depth_mm:.3g} mm"
        for case in cases
        if case.word == "unknown" and recorded.setup is not None
    ]
    return Shown(cases=tuple(cases), missing=tuple(missing), doubts=tuple(doubts))


def _doubt(case: ShownCase, recorded: RecordedSetup, limits: DetectionLimits) -> str:
    return (
        f"a defect of {case.diameter_mm:.3g} mm at {case.depth_mm:.3g} mm, which {case.limit} forbids, "
        f"{'is borderline' if case.word == 'borderline' else case.word} in this recording: d' {case.d_prime:.3g}, "
        f"at least {limits.detectable:g} is wanted{_too_short(case, recorded)}"
    )


def _too_short(case: ShownCase, recorded: RecordedSetup) -> str:
    """Say how deep heat reaches in the recording, where that is less than the depth asked for."""
    assert recorded.setup is not None and recorded.material is not None  # of what an index is known
    diffusivity = recorded.material.diffusivity_through_mm2_s
    reach = math.sqrt(diffusivity * recorded.setup.duration_s)
    if reach >= case.depth_mm:
        return ""
    return (
        f"; it is too short: in {recorded.setup.duration_s:.3g} s heat reaches {reach:.2g} mm (sqrt(alpha t)), record "
        f"for at least {case.depth_mm**2 / diffusivity:.2g} s"
    )


def _deepest(
    limit: Limit, criteria: Criteria, class_depths_mm: Mapping[str, float], thickness_mm: float | None
) -> tuple[float | None, str]:
    """Greatest depth at which a limit's smallest defect must be seen, and whom a missing one concerns."""
    if limit.detect_depth_mm is not None:
        return limit.detect_depth_mm, ""
    deepest = criteria.deepest_mm
    if limit.depth_mm is not None:
        end = limit.depth_mm[1] if deepest is None else min(limit.depth_mm[1], deepest)
        return (None, limit.subject) if thickness_mm is not None and end >= thickness_mm else (end, "")
    if limit.classes is not None:
        known = [class_depths_mm[name] for name in limit.classes if name in class_depths_mm]
        if len(known) == len(limit.classes):
            return (max(known) if deepest is None else min(max(known), deepest)), ""
    return deepest, limit.subject


def _case(
    scope: str, limit: Limit, diameter: float, depth: float, recorded: RecordedSetup, detection: DetectionLimits
) -> ShownCase:
    d_prime: float | None = None
    setup, material, thickness = recorded.setup, recorded.material, recorded.thickness_mm
    if setup is not None and material is not None and thickness is not None and depth < thickness:
        try:
            d_prime = _index(material, thickness, round(depth, 6), round(diameter, 6), setup)
        except ThermoQCError:
            d_prime = None
    words = f"{limit.name or 'the limit'} for {limit.subject}"
    where = words if scope == "the plate" else f"{words} in {scope}"
    word = "unknown" if d_prime is None else detection.word(d_prime)
    return ShownCase(scope=scope, limit=where, diameter_mm=diameter, depth_mm=depth, d_prime=d_prime, word=word)


@lru_cache(maxsize=1024)
def _index(material: Material, thickness: float, depth: float, diameter: float, setup: InspectionSetup) -> float:
    return hole_in(material, thickness, depth, diameter, setup).detectability().background
