"""What acts on the plate: lamps, the form of the heating and the losses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, choose

__all__ = ["Heating", "HeatingKind", "Lamp", "Losses", "lamp_level"]

HeatingKind = Literal["flash", "long_pulse", "step"]
_FWHM_PER_SIGMA = float(2 * np.sqrt(2 * np.log(2)))


def check_range(what: str, value: float, *, low: float, high: float = np.inf, open_low: bool = False) -> None:
    """Refuse a number that is not finite or lies outside ``low..high``.

    Raises
    ------
    ConfigError
        With the name of the option, what came and the limits.
    """
    if not np.isfinite(value) or value < low or value > high or (open_low and value <= low):
        bound = f"greater than {low:g}" if open_low else f"at least {low:g}"
        limit = f" and at most {high:g}" if np.isfinite(high) else ""
        raise ConfigError(f"{what} is {value:g}, expected a finite number {bound}{limit}")


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """Gaussian bell over even light: 1 at its centre, `edge_level` far away.

    Parameters
    ----------
    x_mm, y_mm : float
        Centre in plate coordinates; it may lie off the plate.
    width_mm : float
        Full width of the bell at half its height above `edge_level`.
    edge_level : float
        Level far from the centre, 0 to 1.
    """

    x_mm: float
    y_mm: float
    width_mm: float = 300.0
    edge_level: float = 0.7

    def __post_init__(self) -> None:
        check_range("lamp x_mm", self.x_mm, low=-np.inf)
        check_range("lamp y_mm", self.y_mm, low=-np.inf)
        check_range("lamp width_mm", self.width_mm, low=0, open_low=True)
        check_range("lamp edge_level", self.edge_level, low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class Heating:
    """Heat absorbed by the inspected face from time zero on.

    Parameters
    ----------
    kind : {"flash", "long_pulse", "step"}
        "flash" gives `energy_j_m2` at once, "long_pulse" `flux_w_m2` for `duration_s`, "step" to the end.
    flux_w_m2 : float
        Absorbed flux density at the brightest point of the plate.
    duration_s : float
        Length of a long pulse.
    energy_j_m2 : float
        Absorbed energy density of a flash at the brightest point of the plate.
    lamps : tuple of Lamp
        Their mean is the pattern; none means even light.

    Raises
    ------
    ConfigError
        When the kind is unknown or a number is not positive.
    """

    kind: HeatingKind = "long_pulse"
    flux_w_m2: float = 1000.0
    duration_s: float = 60.0
    energy_j_m2: float = 10_000.0
    lamps: tuple[Lamp, ...] = ()

    def __post_init__(self) -> None:
        choose({name: name for name in get_args(HeatingKind)}, self.kind, "heating kind")
        for name in ("flux_w_m2", "duration_s", "energy_j_m2"):
            check_range(f"heating.{name}", getattr(self, name), low=0, open_low=True)

    @property
    def stop_s(self) -> float | None:
        """End of the heating, s; None for a step (it goes on) and a flash (it takes no time)."""
        return self.duration_s if self.kind == "long_pulse" else None

    def flux_at(self, t_s: float) -> float:
        """Absorbed flux density at the brightest point at `t_s` >= 0, W/m2 (a flash is an initial condition: 0)."""
        if self.kind == "flash":
            return 0.0
        return self.flux_w_m2 if self.kind == "step" or t_s < self.duration_s else 0.0


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Heat loss to ambient.

    Parameters
    ----------
    front_w_m2k, back_w_m2k, hole_floor_w_m2k, edge_w_m2k : float
        Heat transfer coefficients, W/(m2 K); walls of holes are insulated.
    radiation_emissivity : float
        Front, back and hole floors radiate with this emissivity as well (Stefan-Boltzmann, not linearised).
    ambient_c : float
        Temperature of the surroundings and of the plate before heating, degC.
    """

    front_w_m2k: float = 10.0
    back_w_m2k: float = 10.0
    hole_floor_w_m2k: float = 10.0
    edge_w_m2k: float = 0.0
    radiation_emissivity: float = 0.0
    ambient_c: float = 22.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name.endswith("_w_m2k"):
                check_range(f"loss.{field.name}", getattr(self, field.name), low=0)
        check_range("loss.radiation_emissivity", self.radiation_emissivity, low=0, high=1)
        check_range("loss.ambient_c", self.ambient_c, low=-273.15)


def lamp_level(lamps: tuple[Lamp, ...], x_mm: NDArray[Any], y_mm: NDArray[Any]) -> NDArray[np.float64]:
    """Relative heat flux on the plate, 1 at the brightest of the given points.

    Parameters
    ----------
    lamps : tuple of Lamp
        The mean of their patterns is taken; none gives 1 everywhere.
    x_mm, y_mm : ndarray, shapes that broadcast to (Y, X)
        Plate coordinates.

    Returns
    -------
    ndarray of float64, shape (Y, X)
        Largest value 1.

    Raises
    ------
    ConfigError
        When the lamps leave the plate dark.
    """
    shape = np.broadcast_shapes(x_mm.shape, y_mm.shape)
    if not lamps:
        return np.ones(shape)
    total = np.zeros(shape)
    for lamp in lamps:
        sigma = lamp.width_mm / _FWHM_PER_SIGMA
        bell = np.exp(-((x_mm - lamp.x_mm) ** 2 + (y_mm - lamp.y_mm) ** 2) / (2 * sigma**2))
        total += lamp.edge_level + (1 - lamp.edge_level) * bell
    brightest = float(total.max())
    if not brightest > 1e-6 * len(lamps):
        raise ConfigError("the lamps leave the plate dark; move them to the plate, widen them or raise edge_level")
    return total / brightest
