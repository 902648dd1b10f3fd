"""One limit: what is allowed of some indications."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

from thermo_qc.errors import ConfigError

__all__ = ["LIMIT_KINDS", "Limit"]

LIMIT_KINDS = ("max_equivalent_diameter_mm", "max_number", "min_spacing_mm", "max_total_fraction")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What is allowed of some indications.

    Parameters
    ----------
    name : str
        For people.
    classes : tuple of str, optional
        Only indications of these classes.
    depth_mm : tuple of float, optional
        Only indications with a depth from, to.
    max_area_mm2, max_equivalent_diameter_mm : float, optional
        Largest single indication; one of the two.
    max_number : int, optional
        Most indications in the whole scope, or in any square of the edge `within_mm`.
    within_mm : float, optional
        See there.
    min_spacing_mm : float, optional
        Smallest gap from edge to edge between two indications.
    max_total_fraction : float, optional
        Largest share of the inspected area that all indications together may have.
    smallest_diameter_mm : float, optional
        Smaller indications do not count for number, spacing and share.
    detect_depth_mm : float, optional
        Depth at which the recording must have been able to show what this limit forbids.

    Raises
    ------
    ConfigError
        When the limit limits nothing or contradicts itself.
    """

    name: str = ""
    classes: tuple[str, ...] | None = None
    depth_mm: tuple[float, float] | None = None
    max_area_mm2: float | None = None
    max_equivalent_diameter_mm: float | None = None
    max_number: int | None = None
    within_mm: float | None = None
    min_spacing_mm: float | None = None
    max_total_fraction: float | None = None
    smallest_diameter_mm: float | None = None
    detect_depth_mm: float | None = None

    def __post_init__(self) -> None:
        where = f"the limit for {self.subject}"
        if self.classes is not None and self.depth_mm is not None:
            raise ConfigError(f"{where} names classes and a range of depths; give one of them")
        if self.depth_mm is not None and not self.depth_mm[0] < self.depth_mm[1]:
            raise ConfigError(f"{where} has no depth between its ends; give the smaller depth first")
        if self.max_area_mm2 is not None and self.max_equivalent_diameter_mm is not None:
            same = sqrt(4 * self.max_area_mm2 / pi)
            raise ConfigError(
                f"{where} allows an area of {self.max_area_mm2:g} mm2, which is a diameter of {same:.3g} mm, and a "
                f"diameter of {self.max_equivalent_diameter_mm:g} mm; both limit the size, give one of them"
            )
        if not any(self.value(kind) is not None for kind in LIMIT_KINDS):
            raise ConfigError(
                f"{where} limits nothing; give max_area_mm2, max_equivalent_diameter_mm, max_number, min_spacing_mm or "
                "max_total_fraction"
            )
        if self.within_mm is not None and self.max_number is None:
            raise ConfigError(f"{where} has within_mm without max_number; it belongs to a number")
        self._check_together(where)

    def _check_together(self, where: str) -> None:
        size, smallest = self.max_diameter_mm, self.smallest_diameter_mm
        if self.max_number == 0 and self.within_mm is None:
            other = next((kind for kind in LIMIT_KINDS if kind != "max_number" and self.value(kind) is not None), None)
            if other is not None:
                raise ConfigError(f"{where} allows no indication (max_number 0), so {other} contradicts it; keep one")
        if smallest is not None and size is not None and smallest > size:
            raise ConfigError(
                f"{where} does not count indications below {smallest:g} mm, but allows none above {size:.3g} mm; "
                "smallest_diameter_mm must not be larger"
            )
        if self.depth_mm is not None and self.detect_depth_mm is not None and self.detect_depth_mm > self.depth_mm[1]:
            raise ConfigError(
                f"{where} ends at {self.depth_mm[1]:g} mm, but wants defects shown at {self.detect_depth_mm:g} mm; "
                "detect_depth_mm must lie in the range"
            )

    @property
    def max_diameter_mm(self) -> float | None:
        """Largest allowed equivalent diameter."""
        if self.max_area_mm2 is not None:
            return sqrt(4 * self.max_area_mm2 / pi)
        return self.max_equivalent_diameter_mm

    @property
    def needs_lengths(self) -> bool:
        """Whether sizes in mm are needed."""
        return any(
            value is not None
            for value in (self.max_diameter_mm, self.within_mm, self.min_spacing_mm, self.smallest_diameter_mm)
        )

    @property
    def subject(self) -> str:
        """Whom the limit speaks of."""
        if self.classes is not None:
            return " and ".join(f"'{name}'" for name in self.classes)
        if self.depth_mm is not None:
            return f"depths of {self.depth_mm[0]:g} to {self.depth_mm[1]:g} mm"
        return "all indications"

    def value(self, kind: str) -> float | None:
        """Give what one of `LIMIT_KINDS` allows; an area as its diameter."""
        return self.max_diameter_mm if kind == "max_equivalent_diameter_mm" else getattr(self, kind)

    def covers(self, other: Limit) -> bool:
        """Whether everything that the other limit speaks of is spoken of by this one, too."""
        if self.classes is None and self.depth_mm is None:
            return True
        if self.classes is not None:
            return other.classes is not None and set(other.classes) <= set(self.classes)
        if self.depth_mm is None or other.depth_mm is None:
            return False
        return self.depth_mm[0] <= other.depth_mm[0] and other.depth_mm[1] <= self.depth_mm[1]
