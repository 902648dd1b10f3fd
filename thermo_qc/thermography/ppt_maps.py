"""The maps of pulsed phase thermography."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.thermography.ppt import WINDOWS, fourier_matrix
from thermo_qc.thermography.scene import Layer, Scene, plain_number

__all__ = ["PPTMaps"]


@dataclass(frozen=True, kw_only=True)
class PPTMaps:
    """Options of the PPT maps: `compute_ppt` of every pixel's cooling.

    Parameters
    ----------
    frequencies_hz : tuple of float
        Wanted frequencies; the first `n_frequencies` multiples of one over the window's length when empty.
    n_frequencies : int
        How many, when `frequencies_hz` is empty.
    window : str
        One of `thermo_qc.thermography.ppt.WINDOWS`.
    t_start_s, t_end_s : float, optional
        Truncation window after the flash's middle or the heating stop; the whole cooling when None.
    n_padded : int, optional
        Frames after zero padding, for a finer grid of multiples.
    amplitude, phase : bool
        Which maps.
    """

    frequencies_hz: tuple[float, ...] = ()
    n_frequencies: int = 10
    window: str = "none"
    t_start_s: float | None = None
    t_end_s: float | None = None
    n_padded: int | None = None
    amplitude: bool = True
    phase: bool = True

    def __post_init__(self) -> None:
        if self.n_frequencies < 1:
            raise ConfigError(f"ppt.n_frequencies is {self.n_frequencies}, expected at least 1")
        if self.window not in WINDOWS:
            raise ConfigError(f"ppt.window is '{self.window}', expected one of {', '.join(WINDOWS)}")
        if not (self.amplitude or self.phase):
            raise ConfigError("ppt.amplitude and ppt.phase are both false; ask for one of them")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part, times, zero = scene.cooling(self.t_start_s, self.t_end_s)
        wanted, _ = self._matrix(times)
        common: dict[str, Any] = {
            "method": "PPT",
            "window": self.window,
            "n_padded": self.n_padded,
            "clock_zero_s": zero,
            "t_start_s": float(times[0]),
            "t_end_s": float(times[-1]),
            "n_frames": part.stop - part.start,
            "resolution_hz": float(1.0 / (times[-1] - times[0] + times[1] - times[0])),
            "limits": "phase against the first frame used; differences between pixels count, not the value itself",
            "reference": "10.1063/1.362662",
        }
        layers = []
        for used, short, title, unit, scale in (
            (self.amplitude, "amplitude", "amplitude", f"{scene.unit}*s", "sequential"),
            (self.phase, "phase", "phase", "rad", "sequential"),
        ):
            if used:
                layers += [
                    Layer(
                        name=f"ppt_{short}_{plain_number(frequency)}hz",
                        unit=unit,
                        title=f"PPT {title} at {frequency:.4g} Hz",
                        scale=scale,  # type: ignore[arg-type]
                        metadata={**common, "frequency_hz": float(frequency)},
                    )
                    for frequency in wanted
                ]
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, times, _ = scene.cooling(self.t_start_s, self.t_end_s)
        real, imaginary = np.split((rise[part].T @ self._matrix(times)[1].T).T, 2)
        parts = [np.hypot(real, imaginary)] if self.amplitude else []
        return np.concatenate([*parts, np.arctan2(imaginary, real)] if self.phase else parts)

    def _matrix(self, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        return _matrix(times.tobytes(), self)


@lru_cache(maxsize=8)
def _matrix(times: bytes, options: PPTMaps) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    axis = np.frombuffer(times)
    bins = tuple(range(1, min(options.n_frequencies, (options.n_padded or axis.size) // 2) + 1))
    wanted, matrix = fourier_matrix(
        axis,
        bins=bins,
        frequencies_hz=options.frequencies_hz or None,
        window=options.window,
        n_padded=options.n_padded,
    )
    return wanted, matrix.astype(np.float32)
