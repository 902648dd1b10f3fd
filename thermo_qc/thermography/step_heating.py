"""Step heating: straight lines of the rise over the square root of time, and of ln T over ln t in the cooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, SequenceError
from thermo_qc.thermography.scene import Layer, Scene
from thermo_qc.thermography.tsr import fit_block

__all__ = ["LineFit", "StepHeatingMaps", "fit_line", "fit_sqrt_time"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LineFit:
    """Slope, intercept and coefficient of determination of every pixel, shape (...).

    R2 is NaN for curves without any spread.
    """

    slope: NDArray[np.floating]
    intercept: NDArray[np.floating]
    r2: NDArray[np.floating]


def fit_line(values: NDArray[np.floating], positions: NDArray[np.float64]) -> LineFit:
    """Fit ``value = intercept + slope * position`` to every pixel by least squares.

    Parameters
    ----------
    values : ndarray, shape (T, ...)
        float32 is worked on in float32; values that are not finite make their pixel NaN.
    positions : ndarray of float64, shape (T,)

    Raises
    ------
    SequenceError
        When shapes do not fit, or there are less than three different positions.
    """
    curves, places = np.asarray(values), np.asarray(positions, dtype=np.float64)
    if places.ndim != 1 or curves.shape[:1] != places.shape:
        raise SequenceError(f"curves have shape {curves.shape} and times {places.shape}, expected (T, ...) and (T,)")
    if np.unique(places).size < 3 or not np.isfinite(places).all():
        raise SequenceError(f"{places.size} frames are in the window of a straight line, expected at least 3")
    curves = curves if curves.dtype == np.float32 else curves.astype(np.float64)
    flat = curves.reshape(places.size, -1).T
    centre = places.mean()
    width = float(np.sqrt(np.square(places - centre).sum()))
    unit = ((places - centre) / width).astype(curves.dtype)
    level = flat.mean(axis=1)
    left = flat - level[:, None]
    along = left @ unit
    spread = np.einsum("ij,ij->i", left, left)
    left -= along[:, None] * unit
    remainder = np.einsum("ij,ij->i", left, left)
    nothing = spread <= (10 * np.finfo(curves.dtype).eps * level) ** 2 * places.size
    r2 = 1 - np.divide(remainder, spread, out=np.full_like(spread, np.nan), where=~nothing)
    slope = along / width
    shape = curves.shape[1:]
    return LineFit(slope=slope.reshape(shape), intercept=(level - slope * centre).reshape(shape), r2=r2.reshape(shape))


def fit_sqrt_time(rise: NDArray[np.floating], times_s: NDArray[np.float64]) -> LineFit:
    """Fit the rise during step heating as a straight line over the square root of time.

    A thick plate under an absorbed flux q has slope ``2 q / (e sqrt(pi))``, e its effusivity, intercept 0 and R2 1;
    a defect bends the line up once its depth is reached.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Temperature rise.
    times_s : ndarray of float64, shape (T,)
        Times after the start of the heating, not negative.

    Returns
    -------
    LineFit
        Slope in the rise's unit / sqrt(s).

    Raises
    ------
    SequenceError
        When shapes do not fit, a time is negative, or there are less than three frames.

    References
    ----------
    Osiander and Spicer, Rev. Gen. Therm. 37 (1998) 680 (step heating); D'Accardi, Palumbo et al., QIRT 2018 and Palumbo
    2019 (maps of slope and R2).

    Examples
    --------
    >>> times = np.arange(1, 50) * 0.5
    >>> round(float(fit_sqrt_time(1.2 * np.sqrt(times), times).slope), 6)
    1.2
    """
    times = np.asarray(times_s, dtype=np.float64)
    if (times < 0).any():
        raise SequenceError(f"the first time is {times.min():g} s; expected times after the start of the heating")
    return fit_line(rise, np.sqrt(times))


_LIMITS = {
    "heating": "straight for a thick plate under constant flux: slope 2 q / (e sqrt(pi)), intercept 0; needs step or "
    "long-pulse heating",
    "cooling": "slope -1/2 for a thick plate after a flash, 0 for a thin one; after a long pulse the clock counts from "
    "the heating stop and slopes compare pixels only",
}


@dataclass(frozen=True, kw_only=True)
class StepHeatingMaps:
    """Options of the maps of straight lines: `fit_sqrt_time` in the heating, ln T over ln t in the cooling.

    Parameters
    ----------
    part : {"heating", "cooling", "both"}
        Which lines.
    t_start_s, t_end_s : float, optional
        Part of the heating that is used, after its start.
    cooling_start_s, cooling_end_s : float, optional
        Part of the cooling that is used, after the flash's middle or the heating stop.
    floor : float, optional
        For ln T: rise that smaller values are raised to; without one, samples of zero or below have no part in their
        pixel's line.
    """

    part: Literal["heating", "cooling", "both"] = "heating"
    t_start_s: float | None = None
    t_end_s: float | None = None
    cooling_start_s: float | None = None
    cooling_end_s: float | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        if self.part not in ("heating", "cooling", "both"):
            raise ConfigError(f"step_heating.part is '{self.part}', expected heating, cooling or both")
        if self.floor is not None and not self.floor > 0:
            raise ConfigError(f"step_heating.floor is {self.floor}, expected a positive rise or none")
        if self.part == "cooling" and (self.t_start_s is not None or self.t_end_s is not None):
            raise ConfigError("step_heating.t_start_s and t_end_s are of the heating; give cooling_start_s and _end_s")
        if self.part == "heating" and any(
            x is not None for x in (self.cooling_start_s, self.cooling_end_s, self.floor)
        ):
            raise ConfigError("step_heating.cooling_start_s, cooling_end_s and floor need part cooling or both")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        layers: list[Layer] = []
        if self.part != "cooling":
            part, times = self._heating(scene)
            layers += _line_layers(
                "step",
                "Step heating",
                (f"{scene.unit}/s^0.5", scene.unit),
                _facts("heating", "rise over sqrt(t)", part, times, scene.excitation.start_s),
            )
        if self.part != "heating":
            part, times, zero = scene.cooling(self.cooling_start_s, self.cooling_end_s)
            _enough(times, "cooling")
            facts = _facts("cooling", "ln rise over ln t", part, times, zero)
            layers += _line_layers("step_cooling", "Cooling", ("1", "1"), {**facts, "floor": self.floor})
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        maps: list[NDArray[np.floating]] = []
        if self.part != "cooling":
            part, times = self._heating(scene)
            line = fit_sqrt_time(rise[part], times)
            maps += [line.slope, line.intercept, line.r2]
        if self.part != "heating":
            part, times, _ = scene.cooling(self.cooling_start_s, self.cooling_end_s)
            fit = fit_block(rise[part], times, 1, self.floor)
            maps += [fit.coefficients[1], fit.coefficients[0], fit.r2]
        return np.stack(maps)

    def _heating(self, scene: Scene) -> tuple[slice, NDArray[np.float64]]:
        part, times = scene.heating()
        low = -np.inf if self.t_start_s is None else self.t_start_s
        high = np.inf if self.t_end_s is None else self.t_end_s
        kept = np.flatnonzero((times >= low) & (times <= high))
        _enough(times[kept], "heating")
        return slice(part.start + int(kept[0]), part.start + int(kept[-1]) + 1), times[kept]


def _enough(times: NDArray[np.float64], where: str) -> None:
    if times.size < 3:
        raise SequenceError(f"{times.size} frames are in the window of the {where}, expected at least 3 for a line")


def _facts(
    where: Literal["heating", "cooling"], what: str, part: slice, times: NDArray[np.float64], zero: float
) -> dict[str, Any]:
    return {
        "method": f"straight line of the {what} in the {where}",
        "clock_zero_s": zero,
        "t_start_s": float(times[0]),
        "t_end_s": float(times[-1]),
        "n_frames": part.stop - part.start,
        "limits": _LIMITS[where],
        "source": "Palumbo 2019; D'Accardi 2018",
    }


def _line_layers(name: str, title: str, units: tuple[str, str], metadata: dict[str, Any]) -> list[Layer]:
    return [
        Layer(name=f"{name}_slope", unit=units[0], title=f"{title}: slope", metadata=metadata),
        Layer(name=f"{name}_intercept", unit=units[1], title=f"{title}: intercept", metadata=metadata),
        Layer(name=f"{name}_r2", unit="1", title=f"{title}: coefficient of determination", metadata=metadata),
    ]
