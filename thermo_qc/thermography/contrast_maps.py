"""The maps of contrasts with sound material."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.thermography.contrast import (
    absolute_contrast,
    normalised_contrast,
    running_contrast,
    standard_contrast,
)
from thermo_qc.thermography.scene import Layer, Scene, plain_number

__all__ = ["ContrastMaps"]

Kind = Literal["absolute", "running", "normalised", "standard"]
_LIMITS = (
    "compares with one curve of sound material: uneven heating, emissivity and edges show as contrast; running and "
    "normalised contrast lose the amplitude of the heating, absolute and standard contrast do not"
)


@dataclass(frozen=True, kw_only=True)
class ContrastMaps:
    """Options of the contrast maps: every pixel's rise against the sound plate's.

    Parameters
    ----------
    kinds : tuple of {"absolute", "running", "normalised", "standard"}
        Which contrasts.
    times_s : tuple of float
        Times after the flash's middle or the heating stop; `n_times` of them evenly over ln t when empty.
    n_times : int
        How many, when `times_s` is empty.
    largest : bool
        Also the largest contrast of each kind over the cooling, and its time; no time where it is largest in the first
        or last frame. `DepthMaps` seeks peaks between the frames and above the noise.
    """

    kinds: tuple[Kind, ...] = ("absolute", "normalised")
    times_s: tuple[float, ...] = ()
    n_times: int = 4
    largest: bool = True

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ConfigError("contrast.kinds is empty, expected some of absolute, running, normalised, standard")
        if self.n_times < 1:
            raise ConfigError(f"contrast.n_times is {self.n_times}, expected at least 1")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        scene.reference()
        _, times, zero = scene.cooling()
        common: dict[str, Any] = {
            "method": "contrast with sound material",
            "clock_zero_s": zero,
            "limits": _LIMITS,
            "reference": "Maldague, Theory and Practice of Infrared Technology for Nondestructive Testing, 2001",
        }
        layers = []
        for kind in self.kinds:
            unit = scene.unit if kind == "absolute" else "1"
            layers += [
                Layer(
                    name=f"contrast_{kind}_{plain_number(times[index])}s",
                    unit=unit,
                    title=f"{kind.capitalize()} contrast at {times[index]:.4g} s",
                    metadata={**common, "time_s": float(times[index])},
                )
                for index in self._frames(times)
            ]
            if self.largest:
                layers += [
                    Layer(
                        name=f"contrast_{kind}_largest",
                        unit=unit,
                        title=f"Largest {kind} contrast",
                        metadata=common,
                    ),
                    Layer(
                        name=f"contrast_{kind}_largest_time",
                        unit="s",
                        title=f"Time of the largest {kind} contrast",
                        metadata=common,
                    ),
                ]
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, times, _ = scene.cooling()
        curves, sound = rise[part], scene.reference()[part]
        results = []
        for kind in self.kinds:
            values = _contrast(kind, curves, sound)
            results.append(values[self._frames(times)])
            if self.largest:
                known = np.isfinite(values)
                place = np.where(known, values, -np.inf).argmax(axis=0)
                found = known.any(axis=0)
                top = np.take_along_axis(values, place[None], axis=0)[0]
                results.append(np.where(found, top, np.nan)[None])
                inside = (place > 0) & (place < times.size - 1)  # at an end the contrast may still be growing
                results.append(np.where(found & inside, times[place], np.nan)[None])
        return np.concatenate(results)

    def _frames(self, times: NDArray[np.float64]) -> list[int]:
        """Frames nearest to the wanted times."""
        if self.times_s:
            outside = [time for time in self.times_s if not times[0] <= time <= times[-1]]
            if outside:
                raise ConfigError(
                    f"contrast.times_s has {outside}, expected {times[0]:.4g} to {times[-1]:.4g} s after the heating"
                )
            wanted = np.asarray(self.times_s)
        else:
            low, high = np.log(times[0]), np.log(times[-1])
            wanted = np.exp(np.linspace(low + 0.25 * (high - low), high, self.n_times + 1)[:-1])
        return list(dict.fromkeys(int(np.abs(times - time).argmin()) for time in wanted))


def _contrast(kind: Kind, curves: NDArray[np.float32], sound: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind == "absolute":
        return absolute_contrast(curves, sound)
    if kind == "running":
        return running_contrast(curves, sound)
    if kind == "normalised":
        return normalised_contrast(curves, sound, 0)
    # The rise is counted from the cold frame: its value there is zero for pixel and sound plate.
    zero = np.zeros((1, curves.shape[1]), dtype=curves.dtype)
    return standard_contrast(np.concatenate([zero, curves]), np.concatenate([[0.0], sound]), 0)[1:]
