"""The maps of dynamic thermal tomography."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.thermography.contrast import absolute_contrast
from thermo_qc.thermography.dtt import find_timegram, slice_tomograms, timegram_depth_mm
from thermo_qc.thermography.scene import Layer, Scene, plain_number

__all__ = ["DTTMaps"]

_LIMITS = (
    "defects warmer than the sound plate; the contrast must pass its maximum within the window (in one dimension and "
    "without losses it never does: the maximum comes from heat that spreads sideways); depth = factor * sqrt(alpha t) "
    "with a factor that depends on the width of the defect, the plate and the heating: fit it on known depths"
)


@dataclass(frozen=True, kw_only=True)
class DTTMaps:
    """Options of dynamic thermal tomography: `find_timegram` of every pixel's contrast in the cooling.

    Parameters
    ----------
    contrast : {"absolute", "running"}
        Rise less the sound plate's, or that over the sound plate's.
    noise_factor : float
        Contrasts below this many times the noise do not count. The noise of a mean of `smooth_frames` is taken.
    smooth_frames : int
        Odd number of frames whose moving mean is used; the parabola through the maximum then spans as many.
    t_start_s, t_end_s : float, optional
        Part of the cooling, after the flash's middle or the heating stop.
    factor : float
        Of ``depth = factor * sqrt(alpha t)``.
    diffusivity_mm2_s : float, optional
        Through the thickness; the recording's material when None. Without both, slices are of time.
    depths_mm : tuple of float
        Edges of the slices; `n_slices` of equal depth over the window when empty.
    n_slices : int
        How many, when `depths_mm` is empty.
    """

    contrast: Literal["absolute", "running"] = "absolute"
    noise_factor: float = 5.0
    smooth_frames: int = 1
    t_start_s: float | None = None
    t_end_s: float | None = None
    factor: float = 1.0
    diffusivity_mm2_s: float | None = None
    depths_mm: tuple[float, ...] = ()
    n_slices: int = 5

    def __post_init__(self) -> None:
        if self.contrast not in ("absolute", "running"):
            raise ConfigError(f"dtt.contrast is '{self.contrast}', expected absolute or running")
        if not self.noise_factor >= 0:
            raise ConfigError(f"dtt.noise_factor is {self.noise_factor}, expected 0 or more")
        if self.smooth_frames < 1 or self.smooth_frames % 2 == 0:
            raise ConfigError(f"dtt.smooth_frames is {self.smooth_frames}, expected an odd number of frames")
        if not (np.isfinite(self.factor) and self.factor > 0):
            raise ConfigError(f"dtt.factor is {self.factor}, expected a positive number")
        if self.diffusivity_mm2_s is not None and not (
            np.isfinite(self.diffusivity_mm2_s) and self.diffusivity_mm2_s > 0
        ):
            raise ConfigError(f"dtt.diffusivity_mm2_s is {self.diffusivity_mm2_s}, expected a positive number")
        edges = np.asarray(self.depths_mm)
        if edges.size and (edges.size < 2 or edges[0] < 0 or not (np.diff(edges) > 0).all()):
            raise ConfigError(f"dtt.depths_mm are {list(self.depths_mm)}, expected two or more increasing depths")
        if self.n_slices < 1:
            raise ConfigError(f"dtt.n_slices is {self.n_slices}, expected at least 1")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part, times, zero = self._window(scene)
        self._threshold(scene, part)
        alpha, edges = self._slices(scene, times)
        unit = scene.unit if self.contrast == "absolute" else "1"
        common: dict[str, Any] = {
            "method": "dynamic thermal tomography",
            "contrast": self.contrast,
            "noise": scene.noise,
            "noise_factor": self.noise_factor,
            "smooth_frames": self.smooth_frames,
            "factor": self.factor,
            "diffusivity_mm2_s": alpha,
            "clock_zero_s": zero,
            "t_start_s": float(times[0]),
            "t_end_s": float(times[-1]),
            "n_frames": part.stop - part.start,
            "limits": _LIMITS,
            "reference": "10.3390/photonics5040031",
        }
        layers = [
            Layer(name="dtt_timegram", unit="s", title="DTT time of the largest contrast", metadata=common),
            Layer(name="dtt_maxigram", unit=unit, title="DTT largest contrast", metadata=common),
        ]
        if alpha is not None:
            layers.append(Layer(name="dtt_depth", unit="mm", title="DTT depth", metadata=common))
        axis = "s" if alpha is None else "mm"
        for low, high in pairwise(edges):
            layers.append(
                Layer(
                    name=f"dtt_tomogram_{plain_number(low)}-{plain_number(high)}{axis}",
                    unit=unit,
                    title=f"DTT tomogram {low:.3g} to {high:.3g} {axis}",
                    metadata={**common, f"from_{axis}": float(low), f"to_{axis}": float(high)},
                )
            )
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, times, _ = self._window(scene)
        reference = scene.reference()[part]
        contrast = absolute_contrast(rise[part], reference)
        if self.contrast == "running":
            contrast /= reference[:, None]
        edge = self.smooth_frames // 2
        inner = slice(edge, times.size - edge)
        if edge:
            contrast = scipy.ndimage.uniform_filter1d(contrast, self.smooth_frames, axis=0)[inner]
            times = scipy.ndimage.uniform_filter1d(times, self.smooth_frames)[inner]
        found = find_timegram(contrast, times, self._threshold(scene, part)[inner], max(1, edge))
        alpha, edges = self._slices(scene, self._window(scene)[1])
        maps = [found.time_s, found.contrast]
        place = found.time_s
        if alpha is not None:
            place = timegram_depth_mm(found.time_s, alpha, self.factor)
            maps.append(place)
        return np.concatenate([np.stack(maps), slice_tomograms(place, found.contrast, edges)])

    def _window(self, scene: Scene) -> tuple[slice, NDArray[np.float64], float]:
        part, times, zero = scene.cooling(self.t_start_s, self.t_end_s)
        if times.size < self.smooth_frames + 2:
            raise SequenceError(
                f"{times.size} frames are in the window of the tomography, expected {self.smooth_frames + 2} or more"
            )
        return part, times, zero

    def _threshold(self, scene: Scene, part: slice) -> NDArray[np.float64]:
        reference = scene.reference()[part]
        if self.noise_factor > 0 and scene.noise is None:
            raise MissingFactError("dtt needs the camera noise; give netd_k, or noise_factor 0 for all contrasts")
        noise = self.noise_factor * (scene.noise or 0.0) / np.sqrt(self.smooth_frames)
        if self.contrast == "absolute":
            return np.full(reference.shape, noise)
        if not (reference > 0).all():
            raise SequenceError(
                f"the sound plate's rise falls to {reference.min():.3g} {scene.unit}, expected a positive one for the "
                "running contrast; end the window earlier or take the absolute contrast"
            )
        return np.asarray(noise / reference)

    def _slices(self, scene: Scene, times: NDArray[np.float64]) -> tuple[float | None, NDArray[np.float64]]:
        alpha = self.diffusivity_mm2_s
        if alpha is None and scene.material is not None:
            alpha = scene.material.diffusivity_through_mm2_s
        if self.depths_mm:
            if alpha is None:
                raise MissingFactError("dtt.depths_mm need the diffusivity; give diffusivity_mm2_s or a material")
            return alpha, np.asarray(self.depths_mm)
        share = np.linspace(0, 1, self.n_slices + 1)
        if alpha is None:
            return None, times[-1] * share**2
        return alpha, timegram_depth_mm(times[-1:], alpha, self.factor)[0] * share
