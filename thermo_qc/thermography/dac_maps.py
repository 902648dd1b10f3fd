"""The maps of differential absolute contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.thermography.dac import amplitude_weights, dac_law, fit_sound_part
from thermo_qc.thermography.local_fit import interpolation_matrix
from thermo_qc.thermography.scene import Layer, Scene, plain_number

__all__ = ["DACMaps"]

_LIMITS = (
    "one-dimensional heat flow, no losses and even power during the pulse: losses and sideways flow make late sound "
    "pixels negative; a defect that shows before t' (or before the first frame used) is scaled by its own warmth"
)


@dataclass(frozen=True, kw_only=True)
class DACMaps:
    """Options of differential absolute contrast, which needs no sound region.

    Parameters
    ----------
    times_s : tuple of float
        Times after the flash's middle or the heating stop; `n_times` of them evenly over ln t when empty.
    n_times : int
        How many, when `times_s` is empty.
    reference : {"interpolated", "time"}
        t' of each pixel's own (`interpolated_dac`), or one `t_reference_s` for all.
    t_reference_s : float, optional
        That time on the same clock, with reference "time"; negative ones lie in the heating (long pulse).
    form : {"auto", "half_space", "slab"}
        The sound plate's law; "auto" takes the slab where thickness and diffusivity are known.
    thickness_mm, diffusivity_mm2_s : float, optional
        The recording's when None.
    heating : bool
        Whether the search for t' starts in the heating (long pulse; needs frames free of the lamps' reflection).
    noise_factor, n_frames
        Of the search for t', see `fit_sound_part`; with reference "time" the amplitude at t' is read off `n_frames`.
    t_start_s, t_end_s : float, optional
        Part of the cooling that is used.
    """

    times_s: tuple[float, ...] = ()
    n_times: int = 6
    reference: Literal["interpolated", "time"] = "interpolated"
    t_reference_s: float | None = None
    form: Literal["auto", "half_space", "slab"] = "auto"
    thickness_mm: float | None = None
    diffusivity_mm2_s: float | None = None
    heating: bool = False
    noise_factor: float = 5.0
    n_frames: int = 5
    t_start_s: float | None = None
    t_end_s: float | None = None

    def __post_init__(self) -> None:
        if self.reference not in ("interpolated", "time"):
            raise ConfigError(f"dac.reference is '{self.reference}', expected interpolated or time")
        if (self.reference == "time") != (self.t_reference_s is not None):
            raise ConfigError(
                f"dac.reference is '{self.reference}' and t_reference_s {self.t_reference_s}; give a time with "
                "reference time, and none with interpolated"
            )
        if self.form not in ("auto", "half_space", "slab"):
            raise ConfigError(f"dac.form is '{self.form}', expected auto, half_space or slab")
        if self.form == "half_space" and not (self.thickness_mm is None and self.diffusivity_mm2_s is None):
            raise ConfigError("dac.thickness_mm and diffusivity_mm2_s belong to form slab; leave them out")
        for name in ("thickness_mm", "diffusivity_mm2_s"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ConfigError(f"dac.{name} is {value}, expected a positive number")
        if self.heating and (self.reference == "time" or self.t_start_s is not None):
            raise ConfigError("dac.heating starts the search for t' with the heating; leave t_start_s and t' out")
        if self.n_times < 1 or self.n_frames < 1 or not self.noise_factor > 0:
            raise ConfigError(
                f"dac.n_times is {self.n_times}, n_frames {self.n_frames} and noise_factor {self.noise_factor}, "
                "expected positive numbers"
            )

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        plan = self._plan(scene)
        common: dict[str, Any] = {
            "method": "differential absolute contrast",
            "form": "half_space" if plan.thickness_mm is None else "slab",
            "thickness_mm": plan.thickness_mm,
            "diffusivity_mm2_s": plan.diffusivity_mm2_s,
            "pulse_s": plan.pulse_s,
            "reference_time": self.reference,
            "t_reference_s": self.t_reference_s,
            "noise": scene.noise,
            "noise_factor": self.noise_factor,
            "n_frames": self.n_frames,
            "clock_zero_s": plan.zero_s,
            "t_start_s": float(plan.times_s[0] - plan.shift_s),
            "t_end_s": float(plan.times_s[-1] - plan.shift_s),
            "limits": _LIMITS,
            "reference": "10.21611/qirt.2002.004",
        }
        layers = [
            Layer(
                name=f"dac_{plain_number(time)}s",
                unit=scene.unit,
                title=f"Differential absolute contrast at {time:.4g} s",
                scale="diverging",
                metadata={**common, "time_s": float(time)},
            )
            for time in plan.at_s
        ]
        if self.reference == "interpolated":
            layers.append(
                Layer(
                    name="dac_reference_time",
                    unit="s",
                    title="Time t' at which the pixel leaves the sound plate's law",
                    metadata={**common, "never": "the last time of the window"},
                )
            )
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        plan = self._plan(scene)
        curves = rise[plan.part]
        reader, law_there = plan.reader()
        if self.reference == "time":
            weights = plan.amplitude(float(self.t_reference_s or 0.0), self.n_frames)
            operator = (reader - np.outer(law_there, weights)).astype(np.float32)
            return np.asarray(operator @ curves)
        fit = fit_sound_part(
            curves,
            plan.law,
            plan.times_s,
            noise=float(scene.noise or 0.0),
            noise_factor=self.noise_factor,
            n_frames=self.n_frames,
        )
        contrast = reader.astype(np.float32) @ curves - np.outer(law_there, fit.amplitude)
        return np.concatenate([contrast, fit.t_reference_s[None] - plan.shift_s])

    def _plan(self, scene: Scene) -> _Plan:
        part, times, zero = scene.cooling(self.t_start_s, self.t_end_s)
        kind, start = scene.excitation.kind, scene.excitation.start_s
        if kind == "periodic":
            raise SequenceError("differential absolute contrast needs a flash or a pulse, not a periodic heating")
        pulse = 0.0 if kind == "flash" else zero - start
        early = self.heating or (self.t_reference_s is not None and self.t_reference_s < times[0])
        if early and pulse > 0:
            part = slice(scene.heating()[0].start, part.stop)
        elif self.heating:
            raise SequenceError("dac.heating is for long pulses; a flash leaves no frames in the heating")
        if self.reference == "interpolated" and not scene.noise:
            raise MissingFactError("dac needs the camera noise to find t'; give netd_k, or reference time with a t'")
        thickness, diffusivity = self._slab(scene)
        at = np.asarray(self.times_s) if self.times_s else _spread(times, self.n_times)
        plan = _Plan(
            part=part,
            times_s=scene.times_s[part] - (zero - pulse),
            at_s=at,
            shift_s=pulse,
            zero_s=zero,
            pulse_s=pulse,
            thickness_mm=thickness,
            diffusivity_mm2_s=diffusivity,
        )
        plan.reader()
        if self.t_reference_s is not None:
            plan.amplitude(self.t_reference_s, self.n_frames)
        elif plan.times_s.size < self.n_frames + 2:
            raise SequenceError(f"{plan.times_s.size} frames are in the window of the contrast; widen it")
        return plan

    def _slab(self, scene: Scene) -> tuple[float | None, float | None]:
        if self.form == "half_space":
            return None, None
        material = scene.material
        thickness = self.thickness_mm if self.thickness_mm is not None else scene.thickness_mm
        diffusivity = self.diffusivity_mm2_s
        if diffusivity is None and material is not None:
            diffusivity = material.diffusivity_through_mm2_s
        if thickness is None or diffusivity is None:
            if self.form == "auto" and self.thickness_mm is None and self.diffusivity_mm2_s is None:
                return None, None
            raise MissingFactError("the finite-plate form needs thickness and diffusivity; give both, or half_space")
        return thickness, diffusivity


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """Frames that take part, their times on the law's clock (`shift_s` ahead of the maps'), and the law."""

    part: slice
    times_s: NDArray[np.float64]
    at_s: NDArray[np.float64]
    shift_s: float
    zero_s: float
    pulse_s: float
    thickness_mm: float | None
    diffusivity_mm2_s: float | None

    @property
    def law(self) -> NDArray[np.float64]:
        return self._law(self.times_s)

    def _law(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return dac_law(
            times_s, pulse_s=self.pulse_s, thickness_mm=self.thickness_mm, diffusivity_mm2_s=self.diffusivity_mm2_s
        )

    def reader(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Matrix that reads curves off at the wanted times, and the law read off in the same way."""
        matrix = interpolation_matrix(self.times_s, self.at_s + self.shift_s)
        return matrix, matrix @ self.law

    def amplitude(self, t_reference_s: float, n_frames: int) -> NDArray[np.float64]:
        frames = min(max(2, n_frames), self.times_s.size)
        return amplitude_weights(self.times_s, self.law, t_reference_s + self.shift_s, frames)


def _spread(times_s: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    low, high = np.log(times_s[0]), np.log(times_s[-1])
    return np.clip(np.exp(np.linspace(low, high, n + 1)[1:]), times_s[0], times_s[-1])
