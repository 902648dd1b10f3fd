"""Schema of acceptance criteria: what a plate may have, and when a result is too uncertain to say so."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from thermo_qc.config.base import Strict

__all__ = ["CriteriaConfig", "CriteriaRegionConfig", "LimitConfig", "UncertainConfig", "VisibilityConfig"]

Fraction = Annotated[float, Field(ge=0, le=1)]


class LimitConfig(Strict):
    """What is allowed of some indications: those of `classes`, or with depths in `depth_mm`, or all."""

    name: str = ""
    classes: tuple[str, ...] | None = Field(default=None, min_length=1)
    depth_mm: tuple[Annotated[float, Field(ge=0)], PositiveFloat] | None = None
    max_area_mm2: PositiveFloat | None = None
    max_equivalent_diameter_mm: PositiveFloat | None = None
    max_number: NonNegativeInt | None = None
    within_mm: PositiveFloat | None = None
    min_spacing_mm: PositiveFloat | None = None
    max_total_fraction: Fraction | None = None
    smallest_diameter_mm: PositiveFloat | None = None
    detect_depth_mm: PositiveFloat | None = None


class CriteriaRegionConfig(Strict):
    """A part of the plate with limits of its own instead of the plate's, or one that is not judged at all."""

    name: str = Field(min_length=1)
    rectangle_mm: tuple[float, float, float, float] | None = None
    polygon_mm: tuple[tuple[float, float], ...] | None = Field(default=None, min_length=3)
    limits: tuple[LimitConfig, ...] = ()
    ignore: bool = False


class UncertainConfig(Strict):
    """When a result is too uncertain for a verdict; see `thermo_qc.inspection.Uncertain`."""

    possible_from: Fraction = 0.3
    certain_from: Fraction = 0.7
    class_share: Fraction = 0.2
    depth_sigmas: Annotated[float, Field(ge=0)] = 2.0
    least_inspected_fraction: Fraction = 0.9


class VisibilityConfig(Strict):
    """From which detectability index d' on a recording could have shown a defect."""

    visible: PositiveFloat = 6.5
    detectable: PositiveFloat = 30.0


class CriteriaConfig(Strict):
    """Acceptance criteria of a part."""

    name: str = Field(min_length=1)
    reference: str = ""
    deepest_mm: PositiveFloat | None = None
    limits: tuple[LimitConfig, ...] = ()
    regions: tuple[CriteriaRegionConfig, ...] = ()
    uncertain: UncertainConfig = UncertainConfig()
    detectability: VisibilityConfig = VisibilityConfig()

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not self.limits and not any(region.limits for region in self.regions):
            raise ValueError("there is no limit; give at least one under 'limits' or in a region")
        return self
