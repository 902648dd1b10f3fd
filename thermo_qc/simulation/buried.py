"""What lies inside a plate: delaminations, inclusions and layers of other materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.sequence import Material
from thermo_qc.simulation.conditions import check_range
from thermo_qc.simulation.shapes import Outlined

__all__ = ["BuriedDefect", "Delamination", "Filling", "Inclusion", "LayerOf", "fill_layers", "filling_of"]

_GAP_MM = 0.05  # a delamination is spread over this much to both sides, so that it lies at its depth on the nodes


@dataclass(frozen=True, kw_only=True, eq=False)
class BuriedDefect(Outlined):
    """A defect inside the plate; outlines as in `Outlined`.

    Parameters
    ----------
    depth_mm : float
        Distance from the inspected face to its upper side.
    name : str
        For tables; "B1", "B2", ... in their order when empty.
    """

    depth_mm: float
    name: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(f"{type(self).__name__.lower()} depth_mm", self.depth_mm, low=0, open_low=True)

    @property
    def span_mm(self) -> tuple[float, float]:
        """Depths between which it lies."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Delamination(BuriedDefect):
    """A gap too thin to hold heat, across which heat meets a resistance; conduction in the plane goes on.

    Parameters
    ----------
    resistance_m2k_w : float
        Thermal resistance; 0.004 is a tenth of a millimetre of air.
    """

    resistance_m2k_w: float = 0.004

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("delamination resistance_m2k_w", self.resistance_m2k_w, low=0, open_low=True)

    @property
    def span_mm(self) -> tuple[float, float]:
        """Depths between which the resistance is spread."""
        half = min(_GAP_MM, self.depth_mm / 4)
        return self.depth_mm - half, self.depth_mm + half


@dataclass(frozen=True, kw_only=True, eq=False)
class Inclusion(BuriedDefect):
    """A flat piece of another material.

    Parameters
    ----------
    thickness_mm : float
        Its thickness.
    material : Material
        Its constants.
    """

    thickness_mm: float
    material: Material

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("inclusion thickness_mm", self.thickness_mm, low=0, open_low=True)

    @property
    def span_mm(self) -> tuple[float, float]:
        """Depths between which it lies."""
        return self.depth_mm, self.depth_mm + self.thickness_mm

    def facts(self) -> dict[str, Any]:
        """Everything for the record, JSON types."""
        return super().facts() | {"material": asdict(self.material)}


@dataclass(frozen=True, kw_only=True)
class LayerOf:
    """A layer of another material over the whole plate, no defect: `thickness_mm` from `depth_mm` on."""

    depth_mm: float
    thickness_mm: float
    material: Material

    def __post_init__(self) -> None:
        check_range("layer depth_mm", self.depth_mm, low=0)
        check_range("layer thickness_mm", self.thickness_mm, low=0, open_low=True)

    @property
    def span_mm(self) -> tuple[float, float]:
        """Depths between which it lies."""
        return self.depth_mm, self.depth_mm + self.thickness_mm


@dataclass(frozen=True, kw_only=True)
class Filling:
    """What a buried defect does to the intervals between nodes ``first .. last - 1``, over the plate's material.

    Parameters
    ----------
    first, last : int
        Nodes at its upper and lower side.
    through, capacity : float
        Conductivity and heat capacity per volume over those of the plate's material; for a delamination (`series`)
        the conductance over that without it.
    in_plane : tuple of float
        Conductivities along x and y over those of the plate's material.
    series : bool
        Whether `through` multiplies what is there (a resistance in series) rather than replaces it.
    """

    first: int
    last: int
    through: float
    in_plane: tuple[float, float]
    capacity: float
    series: bool = False


def filling_of(item: BuriedDefect | LayerOf, z_mm: NDArray[np.float64], plate: Material) -> Filling:
    """Place a buried defect or layer on the nodes of a plate.

    Raises
    ------
    ConfigError
        When it does not lie inside the plate.
    """
    top, bottom = item.span_mm
    if bottom > z_mm[-1] + 1e-6 or (isinstance(item, BuriedDefect) and bottom > z_mm[-1] - 1e-3):
        raise ConfigError(
            f"{type(item).__name__.lower()} from {top:g} to {bottom:g} mm does not lie inside the {z_mm[-1]:g} mm "
            "plate; correct depth_mm or thickness_mm"
        )
    first, last = (int(np.argmin(np.abs(z_mm - depth))) for depth in (top, bottom))
    if isinstance(item, (Inclusion, LayerOf)):
        own = item.material
        (own_x, own_y), (plate_x, plate_y) = own.conductivities_in_plane_w_mk, plate.conductivities_in_plane_w_mk
        return Filling(
            first=first,
            last=last,
            through=own.conductivity_through_w_mk / plate.conductivity_through_w_mk,
            in_plane=(own_x / plate_x, own_y / plate_y),
            capacity=own.density_kg_m3 * own.heat_capacity_j_kgk / (plate.density_kg_m3 * plate.heat_capacity_j_kgk),
        )
    if not isinstance(item, Delamination):
        raise ConfigError(f"{type(item).__name__} is no defect that the solver knows; use Delamination or Inclusion")
    height = 1e-3 * float(z_mm[last] - z_mm[first])
    share = 1 / (1 + item.resistance_m2k_w * plate.conductivity_through_w_mk / height)
    return Filling(first=first, last=last, through=share, in_plane=(1.0, 1.0), capacity=1.0, series=True)


def fill_layers(layers: Sequence[LayerOf], z_mm: NDArray[np.float64], plate: Material) -> NDArray[np.float64]:
    """Conductivities through, along x and y, and heat capacity of each interval over the plate's, (4, Z - 1)."""
    base = np.ones((4, z_mm.size - 1))
    for layer in layers:
        part = filling_of(layer, z_mm, plate)
        base[:, part.first : part.last] = np.array([part.through, *part.in_plane, part.capacity])[:, None]
    return base
