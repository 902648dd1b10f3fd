"""The maps of virtual waves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.thermography.scene import Layer, Scene, plain_number
from thermo_qc.thermography.virtual_wave import slab_rise, virtual_wave_kernel
from thermo_qc.thermography.virtual_wave_inverse import (
    Regulariser,
    VirtualWaveOperator,
    choose_regularisation,
    find_echo,
    invert_non_negative,
    virtual_wave_operator,
)

__all__ = ["VirtualWaveMaps"]

_LIMITS = (
    "one dimension (defects wider than deep), no losses, opaque surface, a known diffusivity (depth goes with its "
    "square root); echoes of warmer places only; with a first rise of 1000 times the noise, slabs come out 1 to 4 % "
    "shallow with non_negative and 4 to 11 % without, with 100 times up to 25 %; holes of a simulated plate with "
    "losses and sideways spread, 12 to 26 %; heights depend on the regularisation"
)


@dataclass(frozen=True, kw_only=True)
class VirtualWaveMaps:
    """Options of the virtual wave maps: depth and height of the strongest echo, and the wave at chosen depths.

    Parameters
    ----------
    diffusivity_mm2_s : float, optional
        Through the thickness; the recording's material when None.
    regulariser : {"tikhonov", "tsvd"}
        How the inversion is kept from amplifying noise.
    parameter : float, optional
        Its strength against the largest singular value, between 0 and 1. When None, by the discrepancy principle for a
        back face in the middle of the searched depths, with the sound plate's energy and the camera's noise.
    non_negative : bool
        Forbid negative waves (Tikhonov only): narrower echoes, at more than ten times the work.
    n_iterations : int
        Steps for that.
    pulse : {"auto", "impulse", "rectangular"}
        Form of the heating: "auto" takes a flash as an impulse, all else as constant heating from start to stop.
    t_start_s, t_end_s : float, optional
        Part of the cooling, after the flash's middle or the heating stop.
    min_depth_mm, max_depth_mm : float, optional
        Where the strongest echo is looked for; by default from twice the shallowest depth that the first frame resolves
        to 1.2 thicknesses, or 1.5 diffusion lengths ``sqrt(alpha t)`` where the thickness is not known.
    depths_mm : tuple of float
        Depths of the wave's images; `n_images` evenly in ln depth over the searched ones when empty.
    n_images : int
        How many, when `depths_mm` is empty; 0 for none.
    noise_factor : float
        Echoes below this many times the noise of the plain inversion are NaN.
    """

    diffusivity_mm2_s: float | None = None
    regulariser: Literal["tikhonov", "tsvd"] = "tikhonov"
    parameter: float | None = None
    non_negative: bool = True
    n_iterations: int = 60
    pulse: Literal["auto", "impulse", "rectangular"] = "auto"
    t_start_s: float | None = None
    t_end_s: float | None = None
    min_depth_mm: float | None = None
    max_depth_mm: float | None = None
    depths_mm: tuple[float, ...] = ()
    n_images: int = 4
    noise_factor: float = 4.0

    def __post_init__(self) -> None:
        for name in ("diffusivity_mm2_s", "min_depth_mm", "max_depth_mm"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ConfigError(f"virtual_wave.{name} is {value}, expected a positive number or none")
        if self.regulariser not in ("tikhonov", "tsvd"):
            raise ConfigError(f"virtual_wave.regulariser is '{self.regulariser}', expected tikhonov or tsvd")
        if self.non_negative and self.regulariser != "tikhonov":
            raise ConfigError("virtual_wave.non_negative goes with the regulariser tikhonov; set it to false for tsvd")
        if self.pulse not in ("auto", "impulse", "rectangular"):
            raise ConfigError(f"virtual_wave.pulse is '{self.pulse}', expected auto, impulse or rectangular")
        if self.parameter is not None and not 0 < self.parameter < 1:
            raise ConfigError(f"virtual_wave.parameter is {self.parameter}, expected a number between 0 and 1")
        if self.n_iterations < 1 or self.n_images < 0 or not self.noise_factor >= 0:
            raise ConfigError("virtual_wave.n_iterations must be at least 1, n_images and noise_factor at least 0")
        if any(not depth > 0 for depth in self.depths_mm):
            raise ConfigError(f"virtual_wave.depths_mm are {list(self.depths_mm)}, expected positive depths")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part, times, pulse = self._times(scene)
        alpha = self._diffusivity(scene)
        operator = self._operator(scene)
        low, high = self._range(scene, operator.depths_mm)
        common: dict[str, Any] = {
            "method": "virtual wave",
            "diffusivity_mm2_s": alpha,
            "regulariser": self.regulariser,
            "parameter": operator.parameter,
            "non_negative": self.non_negative,
            "n_iterations": self.n_iterations if self.non_negative else 0,
            "pulse_s": pulse,
            "clock_zero_s": float(scene.times_s[part.start] - times[0]),
            "t_start_s": float(times[0]),
            "t_end_s": float(times[-1]),
            "n_frames": part.stop - part.start,
            "min_depth_mm": low,
            "max_depth_mm": high,
            "resolution_mm": {
                plain_number(depth): operator.resolution_mm(depth, alpha, times, pulse)
                for depth in np.geomspace(low, high, 5)[1:-1]
            },
            "resolution": "full width at half height of the plain inversion, by depth in mm",
            "noise": scene.noise,
            "noise_factor": self.noise_factor,
            "limits": _LIMITS,
            "source": "Burgholzer et al., J. Appl. Phys. 121 (2017) 105102",
        }
        layers = [
            Layer(name=f"virtual_wave_{name}", unit=unit, title=f"Virtual wave: {name} of its echo", metadata=common)
            for name, unit in (("depth", "mm"), ("height", scene.unit))
        ]
        layers += [
            Layer(
                name=f"virtual_wave_{plain_number(depth)}mm",
                unit=scene.unit,
                title=f"Virtual wave at {depth:.3g} mm",
                scale="sequential" if self.non_negative else "diverging",
                metadata={**common, "depth_mm": float(depth)},
            )
            for depth in self._images(scene, operator.depths_mm)
        ]
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, _, _ = self._times(scene)
        operator = self._operator(scene)
        depths = operator.depths_mm
        curves = rise[part]
        if self.non_negative:
            wave = invert_non_negative(curves, operator, n_iterations=self.n_iterations)
        else:
            wave = (curves.T @ operator.matrix.T.astype(curves.dtype)).T
        threshold = self.noise_factor * (scene.noise or 0.0) * operator.noise_gain
        low, high = self._range(scene, depths)
        found = find_echo(wave, depths, threshold, low_mm=low, high_mm=high)
        wanted = np.log(self._images(scene, depths))
        place = np.clip((wanted - np.log(depths[0])) / np.log(depths[1] / depths[0]), 0, depths.size - 1)
        below = np.minimum(place.astype(np.int64), depths.size - 2)
        share = (place - below)[:, None]
        return np.concatenate([np.stack(found), (1 - share) * wave[below] + share * wave[below + 1]])

    def _times(self, scene: Scene) -> tuple[slice, NDArray[np.float64], float]:
        """Frames, their times after the impulse or after the pulse's start, and the pulse's length."""
        part, times, zero = scene.cooling(self.t_start_s, self.t_end_s)
        impulse = self.pulse == "impulse" or (self.pulse == "auto" and scene.excitation.kind == "flash")
        stop = scene.excitation.stop_s
        length = 0.0 if impulse or stop is None else stop - scene.excitation.start_s
        return part, times if length == 0 else times + zero - scene.excitation.start_s, length

    def _diffusivity(self, scene: Scene) -> float:
        if self.diffusivity_mm2_s is not None:
            return self.diffusivity_mm2_s
        if scene.material is None:
            raise MissingFactError("the virtual wave needs the diffusivity; give diffusivity_mm2_s or a material")
        return scene.material.diffusivity_through_mm2_s

    def _range(self, scene: Scene, depths: NDArray[np.float64]) -> tuple[float, float]:
        high = self.max_depth_mm or (1.2 * scene.thickness_mm if scene.thickness_mm else 0.3 * float(depths[-1]))
        low, high = self.min_depth_mm or 2 * float(depths[0]), min(high, float(depths[-2]))
        if not low < high:
            raise SequenceError(
                f"echoes are wanted from {low:.3g} to {high:.3g} mm, expected a growing range; the frames used show "
                f"{depths[0]:.3g} to {depths[-1]:.3g} mm"
            )
        return low, high

    def _images(self, scene: Scene, depths: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.depths_mm:
            return np.geomspace(*self._range(scene, depths), self.n_images)
        outside = [depth for depth in self.depths_mm if not depths[0] <= depth <= depths[-1]]
        if outside:
            raise ConfigError(
                f"virtual_wave.depths_mm has {outside}, expected {depths[0]:.3g} to {depths[-1]:.3g} mm, which the "
                "frames show"
            )
        return np.asarray(self.depths_mm)

    def _operator(self, scene: Scene) -> VirtualWaveOperator:
        part, times, pulse = self._times(scene)
        alpha, parameter = self._diffusivity(scene), self.parameter
        if parameter is None:
            if scene.noise is None or scene.sound is None:
                raise MissingFactError(
                    "the virtual wave's regularisation is chosen from the camera noise and the sound plate; give "
                    "netd_k and a sound region, or parameter"
                )
            axis = _inverse(times.tobytes(), alpha, 0.5, "tikhonov", pulse).depths_mm
            depth = float(np.sqrt(np.prod(self._range(scene, axis))))
            sound = scene.reference()[part].tobytes()
            parameter = _parameter(times.tobytes(), sound, scene.noise, alpha, self.regulariser, pulse, depth)
        return _inverse(times.tobytes(), alpha, parameter, self.regulariser, pulse)


@lru_cache(maxsize=8)
def _inverse(
    times: bytes, alpha: float, parameter: float, regulariser: Regulariser, pulse: float
) -> VirtualWaveOperator:
    return virtual_wave_operator(np.frombuffer(times), alpha, parameter, regulariser=regulariser, pulse_s=pulse)


@lru_cache(maxsize=8)
def _parameter(
    times: bytes, sound: bytes, noise: float, alpha: float, regulariser: Regulariser, pulse: float, depth_mm: float
) -> float:
    axis, curve = np.frombuffer(times), np.frombuffer(sound)
    surface = virtual_wave_kernel(np.zeros(1), axis, alpha, pulse)[:, 0]
    source = float(surface @ curve / (surface @ surface))
    if not source > 0:
        raise SequenceError("the sound plate is not warmer than before the heating; check cold frames and sound region")
    model = source * slab_rise(depth_mm, axis, alpha, pulse)
    return choose_regularisation(model, noise, axis, alpha, regulariser=regulariser, pulse_s=pulse)
