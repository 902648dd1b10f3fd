"""The maps of the exponential decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.thermography.decay import check_decay, fit_decay
from thermo_qc.thermography.scene import Layer, Scene

__all__ = ["DecayMaps"]

_LIMITS = (
    "a description, not a law: a thick plate cools by powers of time; the slowest term of a plate of thickness L is "
    "tau = L^2 / (pi^2 alpha) before its losses count; NaN where the best time constant lies at a bound or two coincide"
)


@dataclass(frozen=True, kw_only=True)
class DecayMaps:
    """Options of the decay maps: `fit_decay` of every pixel's cooling.

    Parameters
    ----------
    n_terms : int
        Exponentials, 1 or 2.
    t_start_s, t_end_s : float, optional
        Part of the cooling that is fitted, after the flash's middle or the heating stop.
    tau_min_s, tau_max_s : float, optional
        Bounds of the time constants; by default the usual time step (or a twentieth of the first time) and three times
        the window's length.
    """

    n_terms: int = 1
    t_start_s: float | None = None
    t_end_s: float | None = None
    tau_min_s: float | None = None
    tau_max_s: float | None = None

    def __post_init__(self) -> None:
        if self.n_terms not in (1, 2):
            raise ConfigError(f"decay.n_terms is {self.n_terms}, expected 1 or 2")
        for name in ("tau_min_s", "tau_max_s"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ConfigError(f"decay.{name} is {value}, expected a positive time or none")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part, times, zero = scene.cooling(self.t_start_s, self.t_end_s)
        low, high = check_decay(times, self.n_terms, self.tau_min_s, self.tau_max_s)
        common: dict[str, Any] = {
            "method": "exponential decay, T = sum A exp(-t / tau) + c",
            "n_terms": self.n_terms,
            "tau_min_s": low,
            "tau_max_s": high,
            "clock_zero_s": zero,
            "t_start_s": float(times[0]),
            "t_end_s": float(times[-1]),
            "n_frames": part.stop - part.start,
            "limits": _LIMITS,
        }
        numbers = [""] if self.n_terms == 1 else ["_1", "_2"]
        named = [(f"tau{n}", "s", f"time constant{n.replace('_', ' ')}") for n in numbers]
        named += [(f"amplitude{n}", scene.unit, f"amplitude{n.replace('_', ' ')}") for n in numbers]
        named += [("offset", scene.unit, "offset"), ("r2", "1", "coefficient of determination")]
        return tuple(
            Layer(name=f"decay_{name}", unit=unit, title=f"Exponential decay: {title}", metadata=common)
            for name, unit, title in named
        )

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, times, _ = scene.cooling(self.t_start_s, self.t_end_s)
        fit = fit_decay(rise[part], times, n_terms=self.n_terms, tau_min_s=self.tau_min_s, tau_max_s=self.tau_max_s)
        return np.concatenate([fit.tau_s, fit.amplitude, fit.offset[None], fit.r2[None]])
