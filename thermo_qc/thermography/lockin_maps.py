"""The maps of lock-in thermography."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.thermography.lockin import fit_lockin, four_point
from thermo_qc.thermography.scene import Layer, Scene

__all__ = ["LockinMaps"]

FLUX_PHASES_RAD = {"sine": -np.pi / 2, "cosine": 0.0, "minus_cosine": np.pi}
_LIMITS = (
    "amplitude is half of the swing; steady state: the start-up transient must be over, or fitted; a thick plate has "
    "phase -pi/4; depth reach about 1.8 sqrt(alpha / (pi f)) in phase"
)


@dataclass(frozen=True, kw_only=True)
class LockinMaps:
    """Options of the lock-in maps: `fit_lockin` of every pixel's curve during the periodic heating.

    Parameters
    ----------
    frequency_hz : float, optional
        Of the excitation; the recording's own when None.
    reference : {"sine", "cosine", "minus_cosine"}
        The heat flux after the start of the excitation: ``1 + sin``, which is also the first harmonic of a lamp that is
        on for the first half of each period; ``1 + cos``; or ``1 - cos``, a lamp that starts dark.
    skip_periods : int
        Periods left out at the start, while the plate warms up.
    drift_order : int
        Order of the polynomial drift, 0 to 8.
    transient_s : float, optional
        Time constant of an exponential start-up transient that is fitted too.
    n_harmonics : int
        How many multiples of the frequency, with the first.
    four_point : bool
        Maps of the four-point method too, as a check, over whole periods.
    interpolate : bool
        Let the four-point method take values between frames.
    """

    frequency_hz: float | None = None
    reference: Literal["sine", "cosine", "minus_cosine"] = "sine"
    skip_periods: int = 1
    drift_order: int = 1
    transient_s: float | None = None
    n_harmonics: int = 1
    four_point: bool = False
    interpolate: bool = False

    def __post_init__(self) -> None:
        if self.frequency_hz is not None and not (np.isfinite(self.frequency_hz) and self.frequency_hz > 0):
            raise ConfigError(f"lockin.frequency_hz is {self.frequency_hz}, expected a positive frequency")
        if self.reference not in FLUX_PHASES_RAD:
            raise ConfigError(f"lockin.reference is '{self.reference}', expected one of {', '.join(FLUX_PHASES_RAD)}")
        if self.skip_periods < 0:
            raise ConfigError(f"lockin.skip_periods is {self.skip_periods}, expected 0 or more")
        if not 0 <= self.drift_order <= 8:
            raise ConfigError(f"lockin.drift_order is {self.drift_order}, expected 0 to 8")
        if self.n_harmonics < 1:
            raise ConfigError(f"lockin.n_harmonics is {self.n_harmonics}, expected at least 1")
        if self.transient_s is not None and not self.transient_s > 0:
            raise ConfigError(f"lockin.transient_s is {self.transient_s}, expected a positive time or none")
        if self.interpolate and not self.four_point:
            raise ConfigError("lockin.interpolate is for the four-point method; set four_point too")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part, times, frequency = self._window(scene)
        self.compute(np.zeros((scene.times_s.size, 1), dtype=np.float32), scene)
        common: dict[str, Any] = {
            "method": "lock-in",
            "frequency_hz": frequency,
            "drift_order": self.drift_order,
            "transient_s": self.transient_s,
            "reference": f"1 + {self.reference}".replace("+ minus_cosine", "- cosine"),
            "phase": "of the temperature less that of the heat flux, rad; negative where the temperature lags",
            "clock_zero_s": scene.excitation.start_s,
            "t_start_s": float(times[0]),
            "t_end_s": float(times[-1]),
            "n_frames": part.stop - part.start,
            "limits": _LIMITS,
            "source": "Busse, Wu, Karpen, J. Appl. Phys. 71 (1992) 3962",
        }
        if scene.noise is not None:
            common["amplitude_noise"] = scene.noise * float(np.sqrt(2 / times.size))
        numbers = range(1, self.n_harmonics + 1)
        layers = [_amplitude(f"lockin_amplitude{_suffix(k)}", k, frequency, scene, common) for k in numbers]
        layers += [_phase(f"lockin_phase{_suffix(k)}", k, frequency, common) for k in numbers]
        for name, unit, title in (
            ("offset", scene.unit, "drift in the middle of the window"),
            ("residual", scene.unit, "standard deviation of what the fit leaves"),
            ("r2", "1", "share of what the drift leaves that the oscillation explains"),
        ):
            layers.append(Layer(name=f"lockin_{name}", unit=unit, title=f"Lock-in {title}", metadata=common))
        if self.four_point:
            check = {**common, "method": "lock-in, four-point", "limits": "no drift is taken off"}
            layers.append(_amplitude("lockin_four_point_amplitude", 1, frequency, scene, check))
            layers.append(_phase("lockin_four_point_phase", 1, frequency, check))
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, times, frequency = self._window(scene)
        flux = FLUX_PHASES_RAD[self.reference]
        fit = fit_lockin(
            rise[part],
            times,
            frequency,
            n_harmonics=self.n_harmonics,
            drift_order=self.drift_order,
            transient_s=self.transient_s,
            reference_phase_rad=flux,
        )
        maps = [fit.amplitude, fit.phase_rad, fit.offset[None], fit.residual[None], fit.r2[None]]
        if self.four_point:
            check = four_point(rise[part], times, frequency, interpolate=self.interpolate, reference_phase_rad=flux)
            maps += [check.amplitude[None], check.phase_rad[None]]
        return np.concatenate(maps)

    def _window(self, scene: Scene) -> tuple[slice, NDArray[np.float64], float]:
        frequency = self.frequency_hz or scene.excitation.frequency_hz
        if not frequency:
            raise MissingFactError("lock-in needs the excitation's frequency; give frequency_hz")
        part, times = scene.heating()
        kept = int(np.searchsorted(times, self.skip_periods / frequency * (1 - 1e-9)))
        if times.size - kept < 2:
            raise SequenceError(
                f"the heating lasts {times[-1] * frequency:.3g} periods of {frequency:g} Hz, expected more than the "
                f"{self.skip_periods} to skip"
            )
        return slice(part.start + kept, part.stop), times[kept:], float(frequency)


def _suffix(number: int) -> str:
    return "" if number == 1 else f"_{number}f"


def _amplitude(name: str, number: int, frequency: float, scene: Scene, metadata: dict[str, Any]) -> Layer:
    title = f"Lock-in amplitude at {number * frequency:.4g} Hz"
    return Layer(name=name, unit=scene.unit, title=title, metadata={**metadata, "harmonic": number})


def _phase(name: str, number: int, frequency: float, metadata: dict[str, Any]) -> Layer:
    title = f"Lock-in phase at {number * frequency:.4g} Hz"
    return Layer(name=name, unit="rad", title=title, scale="cyclic", metadata={**metadata, "harmonic": number})
