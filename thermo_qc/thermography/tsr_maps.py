"""The maps of thermographic signal reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.thermography.scene import Layer, Scene, plain_number
from thermo_qc.thermography.tsr import check_tsr, derivative_matrix, fit_block, power_matrix
from thermo_qc.thermography.tsr_depth import second_derivative_peak

__all__ = ["TSRMaps"]

_LIMITS = (
    "least squares over ln t of the cooling; slopes of -1/2 and 0 for a thick plate hold after a flash, after a long "
    "pulse only when it is short against the time after it"
)
_PEAK_LIMITS = (
    "high orders swing where frames are sparse over ln t, early in a recording at a constant rate: the depth method "
    "fits the dense part only"
)


@dataclass(frozen=True, kw_only=True)
class TSRMaps:
    """Options of the TSR maps: `fit_tsr` of every pixel's cooling.

    Parameters
    ----------
    order : int
        Of the polynomial, 1 to 12; 4 to 9 are usual.
    times_s : tuple of float
        Times after the flash's middle or the heating stop for derivatives and synthetic frames; `n_times` of them
        evenly over ln t when empty.
    n_times : int
        How many, when `times_s` is empty.
    t_start_s, t_end_s : float, optional
        Part of the cooling that is fitted, on the same clock.
    floor : float, optional
        Rise that smaller values are raised to; without one, samples of zero or below have no part in their pixel's fit.
    coefficients, synthetic, first, second, r2, peak : bool
        Which maps.
    """

    order: int = 5
    times_s: tuple[float, ...] = ()
    n_times: int = 8
    t_start_s: float | None = None
    t_end_s: float | None = None
    floor: float | None = None
    coefficients: bool = True
    synthetic: bool = True
    first: bool = True
    second: bool = True
    r2: bool = True
    peak: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 12:
            raise ConfigError(f"tsr.order is {self.order}, expected 1 to 12")
        if self.n_times < 1:
            raise ConfigError(f"tsr.n_times is {self.n_times}, expected at least 1")
        if any(not time > 0 for time in self.times_s):
            raise ConfigError(f"tsr.times_s are {list(self.times_s)}, expected positive times after the heating")
        if self.floor is not None and not self.floor > 0:
            raise ConfigError(f"tsr.floor is {self.floor}, expected a positive rise such as the camera noise, or none")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part, times, zero = scene.cooling(self.t_start_s, self.t_end_s)
        check_tsr(times, self.order, self.floor)
        common: dict[str, Any] = {
            "method": "TSR",
            "order": self.order,
            "floor": self.floor,
            "clock_zero_s": zero,
            "t_start_s": float(times[0]),
            "t_end_s": float(times[-1]),
            "n_frames": part.stop - part.start,
            "limits": _LIMITS,
            "reference": "10.1117/1.1566969",
        }
        layers = []
        if self.coefficients:
            layers += [
                Layer(name=f"tsr_a{i}", unit="1", title=f"TSR coefficient a{i} of (ln t)^{i}", metadata=common)
                for i in range(self.order + 1)
            ]
        for wanted, short, title, unit, scale in (
            (self.synthetic, "synthetic", "synthetic rise", scene.unit, "sequential"),
            (self.first, "d1", "first log derivative", "1", "sequential"),
            (self.second, "d2", "second log derivative", "1", "diverging"),
        ):
            if wanted:
                layers += [
                    Layer(
                        name=f"tsr_{short}_{plain_number(time)}s",
                        unit=unit,
                        title=f"TSR {title} at {time:.4g} s",
                        scale=scale,  # type: ignore[arg-type]
                        metadata={**common, "time_s": float(time)},
                    )
                    for time in self._times(times)
                ]
        if self.r2:
            layers.append(Layer(name="tsr_r2", unit="1", title="TSR coefficient of determination", metadata=common))
        if self.peak:
            common = {**common, "limits": f"{_LIMITS}; {_PEAK_LIMITS}"}
            layers.append(
                Layer(
                    name="tsr_d2_peak_time",
                    unit="s",
                    title="TSR time of the second log derivative's peak",
                    metadata=common,
                )
            )
            layers.append(
                Layer(
                    name="tsr_d2_peak",
                    unit="1",
                    title="TSR height of the second log derivative's peak",
                    metadata=common,
                )
            )
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, times, _ = scene.cooling(self.t_start_s, self.t_end_s)
        fit = fit_block(rise[part], times, self.order, self.floor, r2=self.r2)
        values = _operator(self, tuple(self._times(times)), fit.centre, fit.half_width) @ fit.scaled_coefficients
        n_synthetic = self._times(times).size if self.synthetic else 0
        first = self.order + 1 if self.coefficients else 0
        values[first : first + n_synthetic] = np.exp(values[first : first + n_synthetic])
        parts = [values, fit.r2[None]] if self.r2 else [values]
        if self.peak:
            parts += [peak[None] for peak in second_derivative_peak(fit, n_times=200)]
        return np.concatenate(parts)

    def _times(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.times_s:
            outside = [time for time in self.times_s if not times[0] <= time <= times[-1]]
            if outside:
                raise ConfigError(
                    f"tsr.times_s has {outside}, expected {times[0]:.4g} to {times[-1]:.4g} s after the heating"
                )
            return np.asarray(self.times_s)
        # The ends of a polynomial swing: the times keep a little away from them.
        low, high = np.log(times[0]), np.log(times[-1])
        margin = 0.1 * (high - low)
        return np.exp(np.linspace(low + margin, high - margin, self.n_times))


@lru_cache(maxsize=16)
def _operator(options: TSRMaps, times: tuple[float, ...], centre: float, half_width: float) -> NDArray[np.float64]:
    """Matrix from scaled coefficients to the linear maps (ln T for the synthetic frames), in the order of layers."""
    parts = [power_matrix(options.order, centre, half_width)] if options.coefficients else []
    for wanted, degree in ((options.synthetic, 0), (options.first, 1), (options.second, 2)):
        if wanted:
            parts.append(derivative_matrix(np.asarray(times), degree, options.order, centre, half_width))
    return np.concatenate(parts) if parts else np.empty((0, options.order + 1))
