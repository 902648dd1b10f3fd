"""Higher-order statistics: skewness and kurtosis of every pixel's curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, SequenceError
from thermo_qc.thermography.scene import Layer, Scene

__all__ = ["HOSTMaps", "central_moments"]


def central_moments(values: NDArray[np.floating], orders: tuple[int, ...] = (3, 4)) -> NDArray[np.float64]:
    """Standardised central moments of every pixel's curve, ``mean((x - m)^n) / s^n``.

    Parameters
    ----------
    values : ndarray, shape (T, ...)
        Usually the temperature rise in the cooling.
    orders : tuple of int
        Wanted orders n: 3 is the skewness, 4 the kurtosis (3 for a Gaussian).

    Returns
    -------
    ndarray of float64, shape (len(orders), ...)
        NaN for curves that do not vary, or with a value that is not finite.

    Raises
    ------
    SequenceError
        When there are fewer than three frames, or an order is below 3.

    References
    ----------
    Madruga et al., NDT&E Int. 43 (2010) 661.
    """
    curves = np.asarray(values)
    if curves.ndim < 1 or curves.shape[0] < 3:
        raise SequenceError(f"curves have shape {curves.shape}, expected at least 3 frames for statistics over time")
    if not orders or min(orders) < 3:
        raise SequenceError(f"moments of orders {list(orders)} are wanted, expected some from 3 on")
    flat = curves.reshape(curves.shape[0], -1).T
    level = flat.mean(axis=1, dtype=np.float64)
    scaled = flat - level[:, None].astype(flat.dtype if flat.dtype.kind == "f" else np.float64)
    spread = np.sqrt(np.einsum("ij,ij->i", scaled, scaled).astype(np.float64) / flat.shape[1])
    flat_curve = ~(spread > 1e-6 * np.abs(level))
    scaled = scaled * np.divide(1.0, spread, out=np.zeros_like(spread), where=~flat_curve)[:, None].astype(scaled.dtype)
    result = np.empty((len(orders), flat.shape[0]))
    square = scaled * scaled
    for position, order in enumerate(orders):
        power = square if order % 2 == 0 else square * scaled
        for _ in range((order - (2 if order % 2 == 0 else 3)) // 2):
            power = power * square
        result[position] = power.mean(axis=1, dtype=np.float64)
    result[:, flat_curve] = np.nan
    return result.reshape(len(orders), *curves.shape[1:])


@dataclass(frozen=True, kw_only=True)
class HOSTMaps:
    """Options of the maps of higher-order statistics: `central_moments` of every pixel's curve.

    Parameters
    ----------
    orders : tuple of int
        3 skewness, 4 kurtosis, 5 and more the further moments.
    frames : {"cooling", "all"}
        Frames that take part.
    t_start_s, t_end_s : float, optional
        Part of the cooling, after the flash's middle or the heating stop.
    """

    orders: tuple[int, ...] = (3, 4)
    frames: Literal["cooling", "all"] = "cooling"
    t_start_s: float | None = None
    t_end_s: float | None = None

    def __post_init__(self) -> None:
        if not self.orders or not all(3 <= order <= 12 for order in self.orders):
            raise ConfigError(f"host.orders are {list(self.orders)}, expected some from 3 to 12")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part = self._part(scene)
        common: dict[str, Any] = {
            "method": "higher-order statistics",
            "frames": self.frames,
            "n_frames": part.stop - part.start,
            "limits": "statistics of the shape of a curve over the chosen window: another window gives other values",
            "reference": "Madruga et al., NDT&E Int. 43 (2010) 661",
        }
        names = {3: ("host_skewness", "Skewness"), 4: ("host_kurtosis", "Kurtosis")}
        return tuple(
            Layer(
                name=names.get(order, (f"host_moment_{order}", ""))[0],
                unit="1",
                title=f"{names.get(order, ('', f'Standardised moment {order}'))[1]} of the curve over time",
                metadata={**common, "order": order},
            )
            for order in self.orders
        )

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        return central_moments(rise[self._part(scene)], self.orders)

    def _part(self, scene: Scene) -> slice:
        if self.frames == "all":
            return slice(0, scene.times_s.size)
        return scene.cooling(self.t_start_s, self.t_end_s)[0]
