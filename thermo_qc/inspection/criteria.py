"""Acceptance criteria: limits of size, number, spacing and share, for the plate and for regions of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, UnknownNameError, suggestion
from thermo_qc.evaluation import DetectionLimits
from thermo_qc.inspection.limit import LIMIT_KINDS, Limit

__all__ = ["Criteria", "CriteriaRegion", "Uncertain"]


@dataclass(frozen=True, kw_only=True)
class CriteriaRegion:
    """A part of the plate with its own limits; outline in plate mm, corners in order.

    Raises
    ------
    ConfigError
        When it has no area, crosses itself, or has neither limits nor `ignore`.
    """

    name: str
    outline_mm: tuple[tuple[float, float], ...]
    limits: tuple[Limit, ...] = ()
    ignore: bool = False

    def __post_init__(self) -> None:
        where = f"region '{self.name}'"
        if self.ignore == bool(self.limits):
            both = "limits and 'ignore'" if self.ignore else "neither limits nor 'ignore: true'"
            raise ConfigError(f"{where} has {both}; give one of them")
        points = np.asarray(self.outline_mm, dtype=np.float64)
        x, y = points.T
        area = 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
        if not np.isfinite(points).all() or area <= 0:
            raise ConfigError(f"{where} has no area; give corners that are not on one line")
        if _crosses_itself(points):
            raise ConfigError(f"{where} crosses its own outline; give the corners in their order round it")

    def holds(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points lie inside, bool of the same shape; NaN lies outside."""
        inside = np.zeros(x_mm.shape, dtype=bool)
        points = list(self.outline_mm)
        with np.errstate(invalid="ignore"):
            for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
                if y0 != y1:
                    inside ^= ((y_mm < y0) != (y_mm < y1)) & (x_mm < x0 + (y_mm - y0) * (x1 - x0) / (y1 - y0))
        return np.asarray(inside & np.isfinite(x_mm) & np.isfinite(y_mm))


@dataclass(frozen=True, kw_only=True)
class Uncertain:
    """When a result is too uncertain for a verdict.

    Parameters
    ----------
    possible_from, certain_from : float
        Probabilities of a defect: an indication has at least the pixels from `certain_from` on, and at most those from
        `possible_from` on. Where a limit lies between the two sizes, people decide.
    class_share : float
        Share of an indication's probability from which on a class is possible.
    depth_sigmas : float
        Half width of the interval of its depth, in standard deviations.
    least_inspected_fraction : float
        Of the plate, where it is known, and of each region.

    Raises
    ------
    ConfigError
        When the probabilities are not in order.
    """

    possible_from: float = 0.3
    certain_from: float = 0.7
    class_share: float = 0.2
    depth_sigmas: float = 2.0
    least_inspected_fraction: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.possible_from <= self.certain_from <= 1:
            raise ConfigError(
                f"uncertain: possible_from is {self.possible_from:g} and certain_from {self.certain_from:g}, expected "
                "two probabilities above 0, the second one not smaller"
            )


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """Acceptance criteria of a part.

    Parameters
    ----------
    name, reference : str
        What they are called, and the drawing or specification that they come from.
    limits : tuple of Limit
        For what lies, at least in part, outside all regions.
    regions : tuple of CriteriaRegion
        An indication is judged by every region that it touches.
    deepest_mm : float, optional
        Depth to which defects are sought where a limit does not say.
    uncertain : Uncertain
        When people decide.
    detection : DetectionLimits
        From which d' on a recording could have shown a defect.

    Raises
    ------
    ConfigError
        When limits contradict one another or two regions have one name.
    """

    name: str
    reference: str = ""
    limits: tuple[Limit, ...] = ()
    regions: tuple[CriteriaRegion, ...] = ()
    deepest_mm: float | None = None
    uncertain: Uncertain = field(default_factory=Uncertain)
    detection: DetectionLimits = field(default_factory=DetectionLimits)

    def __post_init__(self) -> None:
        name, count = Counter(region.name for region in self.regions).most_common(1)[0] if self.regions else ("", 1)
        if count > 1:
            raise ConfigError(f"criteria '{self.name}' have {count} regions '{name}'; give each its own name")
        for scope, limits in self.scopes():
            _check_limits(scope, limits)

    def scopes(self) -> list[tuple[str, tuple[Limit, ...]]]:
        """Names of all parts of the plate with their limits."""
        return [("the plate", self.limits), *((f"region '{region.name}'", region.limits) for region in self.regions)]

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Refuse classes that a model does not know.

        Raises
        ------
        UnknownNameError
            With "did you mean".
        """
        known = tuple(class_names[1:])
        for scope, limits in self.scopes():
            for wanted in (name for limit in limits for name in limit.classes or ()):
                if wanted not in known:
                    raise UnknownNameError(
                        f"criteria '{self.name}', {scope}: the model has no class of defects '{wanted}'"
                        f"{suggestion(wanted, known)}"
                    )

    def check_plate(self, width_mm: float, height_mm: float) -> None:
        """Refuse regions that do not lie on a plate.

        Raises
        ------
        ConfigError
            With the region's name.
        """
        for region in self.regions:
            x, y = np.asarray(region.outline_mm).T
            if x.min() < 0 or y.min() < 0 or x.max() > width_mm or y.max() > height_mm:
                raise ConfigError(
                    f"criteria '{self.name}': region '{region.name}' reaches outside the {width_mm:g} x {height_mm:g} "
                    "mm plate; correct its corners (mm from the top left corner of the inspected face)"
                )


def _check_limits(scope: str, limits: Iterable[Limit]) -> None:
    for one, other in combinations(limits, 2):
        for kind in LIMIT_KINDS:
            if one.within_mm != other.within_mm and kind == "max_number":
                continue
            for wide, narrow in ((one, other), (other, one)):
                if not wide.covers(narrow) or wide.value(kind) is None or narrow.value(kind) is None:
                    continue
                a, b = wide.value(kind), narrow.value(kind)
                assert a is not None and b is not None
                looser = b < a if kind == "min_spacing_mm" else b > a
                same = narrow.covers(wide)
                if same or looser:
                    what = "the same limit is given twice" if same else "the wider limit never lets it count"
                    raise ConfigError(
                        f"{scope}: {kind} is {a:.4g} for {wide.subject} and {b:.4g} for {narrow.subject}; {what}, "
                        "correct or remove one"
                    )
    for wide in limits:
        if wide.max_number == 0 and wide.within_mm is None and wide.smallest_diameter_mm is None:
            for narrow in limits:
                if narrow is not wide and wide.covers(narrow):
                    raise ConfigError(
                        f"{scope}: no indication is allowed for {wide.subject}, so the limit for {narrow.subject} "
                        "contradicts it; remove one"
                    )


def _crosses_itself(points: NDArray[np.float64]) -> bool:
    """Whether two sides of a polygon that are no neighbours cross."""
    n = len(points)
    sides = [(points[k], points[(k + 1) % n]) for k in range(n)]

    def turn(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> float:
        return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    for i, j in combinations(range(n), 2):
        if j - i in (1, n - 1):
            continue
        (a, b), (c, d) = sides[i], sides[j]
        if turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0:
            return True
    return False
