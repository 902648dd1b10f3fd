"""What acts on the plate: lamps, the form of the heating and the losses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, choose
from thermo_qc.simulation.profile import BARKER_BITS, bits_of, relative_flux

__all__ = ["Code", "Heating", "HeatingKind", "Lamp", "Losses", "Side", "Waveform", "lamp_level"]

HeatingKind = Literal["flash", "long_pulse", "step", "periodic", "coded"]
Waveform = Literal["sine", "square"]
Side = Literal["front", "back"]
Code = Literal["barker", "chirp", "samples"]
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
    kind : {"flash", "long_pulse", "step", "periodic", "coded"}
        "flash" gives `energy_j_m2` at once, "long_pulse" `flux_w_m2` for `duration_s`, "step" to the end. "periodic"
        gives ``flux_w_m2 (1 + modulation sin(2 pi frequency_hz t + phase))`` for `duration_s`, "coded" sends a
        `code`.
    flux_w_m2 : float
        Absorbed flux density at the brightest point of the plate; its mean for a periodic heating and a chirp.
    duration_s : float
        Length of a long pulse, a periodic heating or a chirp.
    energy_j_m2 : float
        Absorbed energy density of a flash at the brightest point of the plate.
    lamps : tuple of Lamp
        Their mean is the pattern; none means even light.
    frequency_hz : float
        Frequency of a periodic heating; of a chirp, the one that it starts with.
    frequency_end_hz : float
        The frequency that a chirp ends with.
    modulation : float
        Swing over mean of a periodic heating or a chirp, 0 to 1.
    waveform : {"sine", "square"}
        Of a periodic heating or a chirp; "square" is bright where the sine is positive.
    phase_deg : float
        Phase of a periodic heating at time zero: 0 rises from the mean, 90 starts bright, -90 dark.
    code : {"barker", "chirp", "samples"}
        Of a coded heating: `flux_w_m2` times the bits of the Barker code of `code_length`, or times `samples`, each for
        `bit_s`; or a linear chirp ``flux_w_m2 (1 - modulation cos(angle(t)))`` for `duration_s`.
    code_length : int
        2, 3, 4, 5, 7, 11 or 13.
    bit_s : float
        Length of a bit or of a sample.
    samples : tuple of float
        Relative flux densities, 0 to 1.
    afterglow_share : float
        After the last switch-off the lamps glow with this share of the flux before it, 0 to 1; 0 for none.
    afterglow_s : float
        Time constant of the glow, which falls exponentially.
    side : {"front", "back"}
        Where the lamps are: before the inspected face (reflection) or behind the plate (transmission; floors of holes
        are lit too, their walls are not). The camera looks at the inspected face.
    absorption_mm : float
        Depth within which a semi-transparent plate takes up all but 1/e of the light; 0 for an opaque face. What
        reaches the back or the floor of a hole leaves the plate.

    Raises
    ------
    ConfigError
        When the kind is unknown, a number is out of range, a code does not exist, or there is nothing to glow.
    """

    kind: HeatingKind = "long_pulse"
    flux_w_m2: float = 1000.0
    duration_s: float = 60.0
    energy_j_m2: float = 10_000.0
    lamps: tuple[Lamp, ...] = ()
    frequency_hz: float = 0.05
    frequency_end_hz: float = 0.2
    modulation: float = 1.0
    waveform: Waveform = "sine"
    phase_deg: float = 0.0
    code: Code = "barker"
    code_length: int = 13
    bit_s: float = 5.0
    samples: tuple[float, ...] = ()
    afterglow_share: float = 0.0
    afterglow_s: float = 5.0
    side: Side = "front"
    absorption_mm: float = 0.0

    def __post_init__(self) -> None:
        for name, kinds in (("kind", HeatingKind), ("waveform", Waveform), ("code", Code), ("side", Side)):
            choose({known: known for known in get_args(kinds)}, getattr(self, name), f"heating {name}")
        positive = (
            "flux_w_m2",
            "duration_s",
            "energy_j_m2",
            "frequency_hz",
            "frequency_end_hz",
            "bit_s",
            "afterglow_s",
        )
        for name in positive:
            check_range(f"heating.{name}", getattr(self, name), low=0, open_low=True)
        for name in ("modulation", "afterglow_share"):
            check_range(f"heating.{name}", getattr(self, name), low=0, high=1)
        check_range("heating.absorption_mm", self.absorption_mm, low=0)
        if self.absorption_mm > 0 and self.side == "back":
            raise ConfigError("heating.absorption_mm is for lamps before the plate; use 0 with side 'back'")
        check_range("heating.phase_deg", self.phase_deg, low=-np.inf)
        if self.kind == "coded":
            self._check_code()
        if self.afterglow_share > 0 and self.kind in ("flash", "step"):
            raise ConfigError(
                f"heating.afterglow_share is {self.afterglow_share:g}, but lamps of the kind '{self.kind}' are never "
                "switched off; use long_pulse, periodic or coded, or 0"
            )

    def _check_code(self) -> None:
        if self.code == "barker" and self.code_length not in BARKER_BITS:
            raise ConfigError(
                f"heating.code_length is {self.code_length}, expected one of {', '.join(map(str, BARKER_BITS))}"
            )
        if self.code == "samples":
            for position, sample in enumerate(self.samples):
                check_range(f"heating.samples[{position}]", sample, low=0, high=1)
            if not any(self.samples):
                raise ConfigError("heating.samples holds no sample above 0; give relative fluxes from 0 to 1")

    @property
    def stop_s(self) -> float | None:
        """End of the heating, s; None for a step (it goes on) and a flash (it takes no time)."""
        if self.kind == "coded" and self.code != "chirp":
            return len(bits_of(self)) * self.bit_s
        return self.duration_s if self.kind in ("long_pulse", "periodic", "coded") else None

    def flux_at(self, t_s: float) -> float:
        """Absorbed flux density at the brightest point at `t_s` >= 0, W/m2 (a flash is an initial condition: 0)."""
        return self.flux_w_m2 * float(relative_flux(self, t_s))


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
    ambient_drift_k_min : float
        From time zero on the surroundings become warmer by this much a minute.
    """

    front_w_m2k: float = 10.0
    back_w_m2k: float = 10.0
    hole_floor_w_m2k: float = 10.0
    edge_w_m2k: float = 0.0
    radiation_emissivity: float = 0.0
    ambient_c: float = 22.0
    ambient_drift_k_min: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name.endswith("_w_m2k"):
                check_range(f"loss.{field.name}", getattr(self, field.name), low=0)
        check_range("loss.radiation_emissivity", self.radiation_emissivity, low=0, high=1)
        check_range("loss.ambient_c", self.ambient_c, low=-273.15)
        check_range("loss.ambient_drift_k_min", self.ambient_drift_k_min, low=-60, high=60)

    def ambient_rise_k(self, t_s: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Temperature of the surroundings less `ambient_c` at times t, float64 of the shape of `t_s`."""
        return np.asarray(self.ambient_drift_k_min / 60 * np.maximum(np.asarray(t_s, dtype=np.float64), 0.0))


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
