"""What is known about a recording besides its frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import Any, Literal

from thermo_qc.errors import SequenceError

__all__ = ["EXCITATION_KINDS", "UNITS", "Excitation", "ExcitationKind", "HistoryEntry", "Material", "Source", "Unit"]

Unit = Literal["K", "degC", "counts"]
ExcitationKind = Literal["flash", "long_pulse", "step", "periodic", "unknown"]
UNITS: tuple[str, ...] = ("K", "degC", "counts")
EXCITATION_KINDS: tuple[str, ...] = ("flash", "long_pulse", "step", "periodic", "unknown")


@dataclass(frozen=True, kw_only=True)
class Excitation:
    """How the plate was heated; times on the sequence's own time axis.

    Parameters
    ----------
    kind : {"flash", "long_pulse", "step", "periodic", "unknown"}
        Form of the excitation.
    start_s : float
        Start of the excitation, s; 0 by definition of time zero.
    stop_s : float, optional
        End of the heating, s; None when unknown.
    flux_w_m2 : float, optional
        Absorbed heat flux density while heating, W/m2.
    frequency_hz : float, optional
        Frequency of a periodic excitation.

    Raises
    ------
    SequenceError
        When the kind is unknown, the stop is not after the start, or a number is impossible.
    """

    kind: ExcitationKind = "unknown"
    start_s: float = 0.0
    stop_s: float | None = None
    flux_w_m2: float | None = None
    frequency_hz: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in EXCITATION_KINDS:
            raise SequenceError(f"excitation kind is '{self.kind}', expected one of {', '.join(EXCITATION_KINDS)}")
        if not isfinite(self.start_s):
            raise SequenceError(f"heating start is {self.start_s} s, expected a time; 0 when the axis starts with it")
        if self.stop_s is not None and not (isfinite(self.stop_s) and self.stop_s >= self.start_s):
            raise SequenceError(
                f"heating stop {self.stop_s} s is before its start {self.start_s} s; give the stop in seconds after "
                "the start of the excitation"
            )
        for name, value in (("flux_w_m2", self.flux_w_m2), ("frequency_hz", self.frequency_hz)):
            if value is not None and not (isfinite(value) and value >= 0):
                raise SequenceError(f"{name} is {value}, expected a positive number or nothing when unknown")


@dataclass(frozen=True, kw_only=True)
class Material:
    """Thermal constants of a plate.

    Parameters
    ----------
    name : str
        For people.
    conductivity_through_w_mk, conductivity_in_plane_w_mk : float
        Thermal conductivity through the thickness and in the plane (along x where y differs), W/(m K).
    density_kg_m3 : float
        Density, kg/m3.
    heat_capacity_j_kgk : float
        Specific heat capacity, J/(kg K).
    conductivity_y_w_mk : float, optional
        Thermal conductivity along y of the plate, W/(m K); None: as along x.

    Raises
    ------
    SequenceError
        When a constant is not a positive, finite number.

    Examples
    --------
    >>> gfrp = Material(
    ...     name="GFRP",
    ...     conductivity_through_w_mk=0.30,
    ...     conductivity_in_plane_w_mk=0.40,
    ...     density_kg_m3=1900.0,
    ...     heat_capacity_j_kgk=1000.0,
    ... )
    >>> round(gfrp.diffusivity_through_mm2_s, 3)
    0.158
    """

    name: str
    conductivity_through_w_mk: float
    conductivity_in_plane_w_mk: float
    density_kg_m3: float
    heat_capacity_j_kgk: float
    conductivity_y_w_mk: float | None = None

    def __post_init__(self) -> None:
        for name in (
            "conductivity_through_w_mk",
            "conductivity_in_plane_w_mk",
            "density_kg_m3",
            "heat_capacity_j_kgk",
            "conductivity_y_w_mk",
        ):
            value = getattr(self, name)
            if value is None and name == "conductivity_y_w_mk":
                continue
            if not (isfinite(value) and value > 0):
                raise SequenceError(f"material '{self.name}': {name} is {value}, expected a positive number")

    @property
    def diffusivity_through_mm2_s(self) -> float:
        """Thermal diffusivity through the thickness, alpha = k / (rho c), mm2/s."""
        return 1e6 * self.conductivity_through_w_mk / (self.density_kg_m3 * self.heat_capacity_j_kgk)

    @property
    def conductivities_in_plane_w_mk(self) -> tuple[float, float]:
        """Thermal conductivities along x and y, W/(m K)."""
        along_x = self.conductivity_in_plane_w_mk
        return along_x, along_x if self.conductivity_y_w_mk is None else self.conductivity_y_w_mk

    @property
    def diffusivity_in_plane_mm2_s(self) -> float:
        """Thermal diffusivity in the plane (the geometric mean where x and y differ), mm2/s."""
        along_x, along_y = self.conductivities_in_plane_w_mk
        return 1e6 * sqrt(along_x * along_y) / (self.density_kg_m3 * self.heat_capacity_j_kgk)

    @property
    def effusivity_w_s05_m2k(self) -> float:
        """Thermal effusivity e = sqrt(k rho c), W s^0.5 / (m2 K)."""
        return sqrt(self.conductivity_through_w_mk * self.density_kg_m3 * self.heat_capacity_j_kgk)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a sequence came from: file name, SHA-256 of its bytes (hex) and format name.

    The hash is empty when there is no file, or when nobody has read the whole of a large one yet: opening a recording
    does not (`thermo_qc.io.with_hash` does).
    """

    path: str
    sha256: str = ""
    format_name: str = ""


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One processing step: the function's name and the keywords it ran with (JSON types only)."""

    step: str
    parameters: dict[str, Any] = field(default_factory=dict)
