"""The maps of thermal diffusivity through a plate of known thickness."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.thermography.diffusivity import diffusivity_from_half_rise, diffusivity_from_peak, half_rise_time
from thermo_qc.thermography.scene import Layer, Scene
from thermo_qc.thermography.slab_fit import fit_slab
from thermo_qc.thermography.tsr import check_tsr, fit_block
from thermo_qc.thermography.tsr_depth import dense_part, second_derivative_noise, second_derivative_peak
from thermo_qc.thermography.warn_once import warn_once

__all__ = ["DiffusivityEstimate", "DiffusivityMaps"]

logger = logging.getLogger(__name__)
DiffusivityEstimate = Literal["parker", "tsr", "slab"]
_FACES: dict[str, tuple[DiffusivityEstimate, ...]] = {"front": ("tsr", "slab"), "rear": ("parker", "slab")}
_PLATE = "one-dimensional heat flow through a plate of even, known thickness: sound pixels only"
_LIMITS = {
    "parker": f"0.1388 L^2 / t_half of the rear face after a flash, no losses; {_PLATE}",
    "tsr": f"L^2 / (pi t2) of the front face after a flash, no losses; {_PLATE}",
    "slab": f"least squares on the slab heated evenly from start to stop, losses equal on both faces; {_PLATE}",
}
_TITLES = {"parker": "Parker's half-rise time", "tsr": "TSR", "slab": "least squares on the slab"}
_SOURCES = {"parker": "10.1063/1.1728417", "tsr": "10.1117/1.1566969", "slab": "10.1137/0710036"}
_FLASH = "the heating is no flash: this estimate takes the heating for instant; use the slab's"


@dataclass(frozen=True, kw_only=True)
class DiffusivityMaps:
    """Options of the diffusivity maps.

    Parameters
    ----------
    face : {"front", "rear"}
        Which face the camera sees; the front is the heated one.
    estimates : tuple of {"parker", "tsr", "slab"}
        "tsr" and "slab" for the front, "parker" and "slab" for the rear; these when empty.
    thickness_mm : float, optional
        The recording's when None.
    losses : bool
        Fit losses on the slab model too: slower, for curves that fall after the plate has evened out.
    offset : bool
        Fit a constant to each pixel on the slab model too: where the cold frame is the mean of few frames.
    range_mm2_s : tuple of two floats, optional
        Diffusivities among which the slab's best is sought, see `fit_slab`.
    smooth_frames : int
        Odd length of the moving mean before Parker's half-rise time.
    order : int
        Of the TSR polynomial.
    noise_factor : float
        TSR peaks below so many standard deviations of the noise do not count.
    t_start_s, t_end_s : float, optional
        Part of the cooling after the flash's middle or the heating stop.
    """

    face: Literal["front", "rear"] = "front"
    estimates: tuple[DiffusivityEstimate, ...] = ()
    thickness_mm: float | None = None
    losses: bool = False
    offset: bool = False
    range_mm2_s: tuple[float, float] | None = None
    smooth_frames: int = 1
    order: int = 9
    noise_factor: float = 5.0
    t_start_s: float | None = None
    t_end_s: float | None = None

    def __post_init__(self) -> None:
        if self.face not in _FACES:
            raise ConfigError(f"diffusivity.face is '{self.face}', expected front or rear")
        allowed = _FACES[self.face]
        if any(one not in allowed for one in self.estimates) or len(set(self.estimates)) < len(self.estimates):
            raise ConfigError(
                f"diffusivity.estimates are {list(self.estimates)}, expected some of {', '.join(allowed)} for the "
                f"{self.face} face, each once"
            )
        if self.thickness_mm is not None and not (np.isfinite(self.thickness_mm) and self.thickness_mm > 0):
            raise ConfigError(f"diffusivity.thickness_mm is {self.thickness_mm}, expected a positive length")
        if self.range_mm2_s is not None and not 0 < self.range_mm2_s[0] < self.range_mm2_s[1] < np.inf:
            raise ConfigError(f"diffusivity.range_mm2_s is {list(self.range_mm2_s)}, expected a positive range")
        if self.smooth_frames < 1 or self.smooth_frames % 2 == 0:
            raise ConfigError(f"diffusivity.smooth_frames is {self.smooth_frames}, expected an odd number of frames")
        if not 3 <= self.order <= 12 or not self.noise_factor >= 0:
            raise ConfigError(
                f"diffusivity.order is {self.order} and noise_factor {self.noise_factor}, expected 3 to 12, "
                "and 0 or more"
            )

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part, times, zero = scene.cooling(self.t_start_s, self.t_end_s)
        self._check(scene, times)
        common: dict[str, Any] = {
            "method": "thermal diffusivity",
            "face": self.face,
            "thickness_mm": self._thickness(scene),
            "noise": scene.noise,
            "clock_zero_s": zero,
            "t_start_s": float(times[0]),
            "t_end_s": float(times[-1]),
            "n_frames": part.stop - part.start,
        }
        layers = []
        for estimate in self._estimates():
            facts = {
                **common,
                "estimate": estimate,
                "limits": _LIMITS[estimate],
                "reference": _SOURCES[estimate],
                **self._settings(estimate, scene),
            }
            if estimate != "slab" and scene.excitation.kind != "flash":
                warn_once(logger, scene, f"diffusivity ({estimate}): {_FLASH}")
                facts["warning"] = _FLASH
            name = f"diffusivity_{estimate}"
            layers.append(Layer(name=name, unit="mm2/s", title=f"Diffusivity by {_TITLES[estimate]}", metadata=facts))
            if estimate == "slab":
                layers += [
                    Layer(name=f"{name}_error", unit="mm2/s", title="Its standard error", metadata=facts),
                    Layer(name=f"{name}_amplitude", unit=scene.unit, title="Final rise without losses", metadata=facts),
                    Layer(name=f"{name}_residual", unit=scene.unit, title="What the slab leaves", metadata=facts),
                ]
                if self.losses:
                    layers.append(Layer(name=f"{name}_biot", unit="1", title="Biot number of losses", metadata=facts))
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, times, _ = scene.cooling(self.t_start_s, self.t_end_s)
        thickness, curves = self._thickness(scene), rise[part]
        maps: list[NDArray[np.float64]] = []
        for estimate in self._estimates():
            if estimate == "parker":
                half = half_rise_time(curves, self._instant(scene, times), smooth_frames=self.smooth_frames)
                maps.append(diffusivity_from_half_rise(half, thickness))
            elif estimate == "tsr":
                axis = self._instant(scene, times)
                dense = dense_part(axis)
                axis = axis[dense]
                fit = fit_block(curves[dense], axis, self.order, None, r2=False)
                time, value = second_derivative_peak(fit, n_times=200, margin=0.12)
                limit = self.noise_factor * second_derivative_noise(fit, axis, time, float(scene.noise or 0.0))
                maps.append(diffusivity_from_peak(np.where(value > limit, time, np.nan), thickness))
            else:
                pulse = self._pulse(scene)
                slab = fit_slab(
                    curves,
                    times + pulse,
                    thickness_mm=thickness,
                    pulse_s=pulse,
                    face=self.face,
                    losses=self.losses,
                    offset=self.offset,
                    range_mm2_s=self.range_mm2_s,
                )
                maps += [slab.diffusivity_mm2_s, slab.standard_error_mm2_s, slab.amplitude, slab.residual]
                maps += [slab.biot] if self.losses else []
        return np.stack(maps)

    def _check(self, scene: Scene, times: NDArray[np.float64]) -> None:
        if scene.excitation.kind == "periodic":
            raise SequenceError("the diffusivity needs a flash or a pulse, not a periodic heating")
        thickness, estimates, pulse = self._thickness(scene), self._estimates(), self._pulse(scene)
        if "tsr" in estimates:
            axis = self._instant(scene, times)
            check_tsr(axis[dense_part(axis)], self.order, None)
            if self.noise_factor > 0 and not scene.noise:
                raise MissingFactError("diffusivity by TSR needs the camera noise; give netd_k, or noise_factor 0")
        if "parker" in estimates and self.smooth_frames > times.size - 2:
            raise SequenceError(f"{times.size} frames are in the window, too few for smooth_frames")
        if "slab" in estimates:  # the models are computed here, once, before several threads want them
            fit_slab(
                np.empty((times.size, 0), dtype=np.float32),
                times + pulse,
                thickness_mm=thickness,
                pulse_s=pulse,
                face=self.face,
                losses=self.losses,
                offset=self.offset,
                range_mm2_s=self.range_mm2_s,
            )

    def _settings(self, estimate: DiffusivityEstimate, scene: Scene) -> dict[str, Any]:
        if estimate == "parker":
            return {"smooth_frames": self.smooth_frames}
        if estimate == "tsr":
            return {"order": self.order, "noise_factor": self.noise_factor}
        searched = None if self.range_mm2_s is None else list(self.range_mm2_s)
        return {"losses": self.losses, "offset": self.offset, "range_mm2_s": searched, "pulse_s": self._pulse(scene)}

    def _estimates(self) -> tuple[DiffusivityEstimate, ...]:
        return self.estimates or _FACES[self.face]

    def _thickness(self, scene: Scene) -> float:
        thickness = scene.thickness_mm if self.thickness_mm is None else self.thickness_mm
        if thickness is None:
            raise MissingFactError("the diffusivity needs the thickness of the plate; give thickness_mm")
        return thickness

    def _pulse(self, scene: Scene) -> float:
        """Length of the pulse; a flash counts as instant in its middle, where the cooling's clock has its zero."""
        stop, start = scene.excitation.stop_s, scene.excitation.start_s
        return 0.0 if scene.excitation.kind == "flash" or stop is None else stop - start

    def _instant(self, scene: Scene, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give times after the middle of the heating: to first order that of an instant one."""
        return np.asarray(times + self._pulse(scene) / 2)
