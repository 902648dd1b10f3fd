"""Ranges that random plates are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from thermo_qc.errors import ConfigError

__all__ = ["MaterialRange", "PlateRanges", "Range"]

Range = tuple[float, float]
DEFECT_KINDS = ("hole", "delamination", "inclusion", "impact")
HEATING_KINDS = ("flash", "long_pulse", "step")


@dataclass(frozen=True, kw_only=True)
class MaterialRange:
    """A family of materials.

    Parameters
    ----------
    name : str
        For people.
    conductivity_through_w_mk, anisotropy, density_kg_m3, heat_capacity_j_kgk : tuple of float
        Smallest and largest value; anisotropy is the conductivity in the plane over that through the thickness.
    weight : float
        Share of the plates, relative to the other families.
    unequal_share : float
        Share of its plates that conduct less along y than along x: by anything from the conductivity through the
        thickness to that along x, logarithmically even.
    """

    name: str
    conductivity_through_w_mk: Range
    anisotropy: Range
    density_kg_m3: Range
    heat_capacity_j_kgk: Range
    weight: float = 1.0
    unequal_share: float = 0.0

    def __post_init__(self) -> None:
        _check(self, f"material '{self.name}': ", zero=())
        if not 0 <= self.unequal_share <= 1:
            raise ConfigError(
                f"material '{self.name}': unequal_share is {self.unequal_share:g}, expected a share from 0 to 1"
            )


@dataclass(frozen=True, kw_only=True)
class PlateRanges:
    """What may come out when a plate and its recording are drawn; pairs are (smallest, largest).

    Parameters
    ----------
    materials : tuple of MaterialRange
        Families.
    tolerance : float
        The specimen's constants lie within this share of the nominal ones.
    thickness_mm : tuple of float
        Thickness, logarithmically even.
    pitch_share : tuple of float
        Pixel pitch over thickness times the cube root of the anisotropy, logarithmically even.
    pitch_mm : tuple of float
        Limits of the pixel pitch.
    side_px : tuple of int
        Length of each side in pixels.
    fourier : tuple of float
        Recording time times diffusivity over thickness squared, logarithmically even.
    recording_s : tuple of float
        Limits of the recording time.
    heating : mapping of str to float
        Share of "flash", "long_pulse" and "step".
    pulse_share : tuple of float
        Length of a long pulse over the recording time, logarithmically even.
    peak_rise_k : tuple of float
        Rise of sound material at the end of the heating.
    sound_share : float
        Share of plates without defects.
    n_defects : tuple of int
        On the other plates.
    defects : mapping of str to float
        Share of "hole", "delamination", "inclusion" and "impact" (a delamination of irregular form).
    diameter_px : tuple of float
        Diameter of defects in pixels, logarithmically even.
    widest_share : float
        Largest diameter over the shorter side of the plate.
    inclusion_mm : tuple of float
        Thickness of inclusions, evenly drawn.
    depth_share : tuple of float
        Depth over thickness, evenly drawn.
    width_over_depth : tuple of float
        Limits of diameter over depth, times the root of the anisotropy: heat in the plane blurs narrower ones away.
    marked_share : float
        Share of plates with marks on the surface.
    n_marks : tuple of int
        On those.
    n_lamps : tuple of int
        Lamps; 0 is even light.
    loss_w_m2k : tuple of float
        Heat transfer coefficient of each face; floors of holes have that of the back.
    edge_w_m2k : tuple of float, optional
        Of the edges, logarithmically even; large where a plate goes on beyond the heated view. Without it from 0 to
        the largest of the faces.
    reflection_k : tuple of float
        Apparent rise by reflected lamps while they shine.

    Raises
    ------
    ConfigError
        When a range is upside down, a share is none, or a kind is unknown.
    """

    materials: tuple[MaterialRange, ...]
    tolerance: float = 0.1
    thickness_mm: Range = (3.0, 18.0)
    pitch_share: Range = (0.09, 0.3)
    pitch_mm: Range = (0.4, 3.0)
    side_px: tuple[int, int] = (72, 120)
    fourier: Range = (0.12, 1.2)
    recording_s: Range = (20.0, 900.0)
    heating: Mapping[str, float] = field(default_factory=lambda: {"long_pulse": 0.75, "flash": 0.2, "step": 0.05})
    pulse_share: Range = (0.04, 0.4)
    peak_rise_k: Range = (8.0, 40.0)
    sound_share: float = 0.1
    n_defects: tuple[int, int] = (2, 14)
    defects: Mapping[str, float] = field(
        default_factory=lambda: {"hole": 0.6, "delamination": 0.2, "inclusion": 0.1, "impact": 0.1}
    )
    diameter_px: Range = (3.5, 16.0)
    widest_share: float = 0.3
    inclusion_mm: Range = (0.1, 1.0)
    depth_share: Range = (0.06, 0.8)
    width_over_depth: Range = (0.5, 12.0)
    marked_share: float = 0.35
    n_marks: tuple[int, int] = (1, 3)
    n_lamps: tuple[int, int] = (0, 3)
    loss_w_m2k: Range = (5.0, 16.0)
    edge_w_m2k: Range | None = None
    reflection_k: Range = (0.0, 2.0)

    def __post_init__(self) -> None:
        if not self.materials:
            raise ConfigError("random plates need a family of materials, none came")
        _check(self, "", zero=("n_defects", "n_marks", "n_lamps", "loss_w_m2k", "reflection_k"))
        for name in ("tolerance", "sound_share", "marked_share", "widest_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name):g}, expected a share from 0 to 1")
        for name, known in (("heating", HEATING_KINDS), ("defects", DEFECT_KINDS)):
            shares = getattr(self, name)
            unknown = sorted(set(shares) - set(known))
            if unknown or not shares or min(shares.values()) < 0 or sum(shares.values()) <= 0:
                raise ConfigError(f"{name} is {dict(shares)}, expected shares of {', '.join(known)}")
        if self.depth_share[1] >= 0.98:
            raise ConfigError(f"depth_share ends at {self.depth_share[1]:g}, expected below 0.98 of the thickness")


def _check(ranges: object, where: str, *, zero: tuple[str, ...]) -> None:
    """Refuse pairs that are not growing, finite and positive (or not negative, where `zero` says so)."""
    for entry in fields(ranges):  # type: ignore[arg-type]
        value = getattr(ranges, entry.name)
        if not (isinstance(value, tuple) and len(value) == 2 and all(isinstance(end, int | float) for end in value)):
            continue
        low, high = value
        if not (np.isfinite(high) and low <= high and (low > 0 or (low == 0 and entry.name in zero))):
            raise ConfigError(f"{where}{entry.name} is {list(value)}, expected a smallest and a largest positive value")
