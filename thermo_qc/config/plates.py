"""Schema of a plate specification."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from thermo_qc.config.base import Strict
from thermo_qc.config.facts import MaterialConfig

__all__ = ["ClassBand", "HoleConfig", "PlateConfig"]


class HoleConfig(Strict):
    """One flat-bottom hole: centre on the inspected face, diameter, and depth in the plate's convention."""

    name: str = ""
    x_mm: float
    y_mm: float
    diameter_mm: PositiveFloat
    depth_mm: PositiveFloat


class ClassBand(Strict):
    """One defect class: every defect not deeper than this (``.inf``: no limit), and deeper than the class before."""

    name: str = Field(min_length=1)
    max_depth_mm: float = Field(gt=0, allow_inf_nan=True)


class PlateConfig(Strict):
    """A plate with flat-bottom holes; lengths in mm, depth convention "drilled" (from the back) or "ligament"."""

    name: str = Field(min_length=1)
    width_mm: PositiveFloat
    height_mm: PositiveFloat
    thickness_mm: PositiveFloat
    depth_convention: Literal["drilled", "ligament"]
    material: MaterialConfig
    holes: tuple[HoleConfig, ...] = ()
    class_schemes: dict[str, tuple[ClassBand, ...]] = Field(default_factory=dict)
    edge_margin_mm: NonNegativeFloat = 0.0
