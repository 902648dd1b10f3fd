"""What detection may depend on: diameter, diameter over depth, or both; on a linear or a logarithmic scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, TruthError

__all__ = ["Floats", "PodDesign", "Predictor", "Scale", "column_of"]

Predictor = Literal["diameter", "aspect", "both"]
Scale = Literal["log", "linear"]
Floats = NDArray[np.float64]
_PREDICTORS = ("diameter", "aspect", "both")


@dataclass(frozen=True, kw_only=True)
class PodDesign:
    """Turns sizes and depths into rows of a regression.

    Parameters
    ----------
    predictor : {"diameter", "aspect", "both"}
        Diameter (mm), diameter over depth (no unit), or both together.
    scale : {"log", "linear"}
        Natural logarithm of the predictors, or as they are.
    depth_mm : float, optional
        For "both": the depth at which sizes are asked for.

    Raises
    ------
    ConfigError
        When a name is unknown, or "both" comes without a depth.
    """

    predictor: Predictor = "diameter"
    scale: Scale = "log"
    depth_mm: float | None = None

    def __post_init__(self) -> None:
        if self.predictor not in _PREDICTORS:
            raise ConfigError(f"predictor is '{self.predictor}', expected one of {', '.join(_PREDICTORS)}")
        if self.scale not in ("log", "linear"):
            raise ConfigError(f"size scale is '{self.scale}', expected log or linear")
        if self.predictor == "both" and not (self.depth_mm is not None and 0 < self.depth_mm < np.inf):
            raise ConfigError(
                f"POD by diameter and diameter/depth gives sizes at one depth; depth_mm is {self.depth_mm}, "
                "expected a positive length"
            )

    @property
    def unit(self) -> str:
        """Unit of the sizes: "mm", or "" for diameter over depth."""
        return "" if self.predictor == "aspect" else "mm"

    @property
    def n_parameters(self) -> int:
        """Number of coefficients with the intercept."""
        return 3 if self.predictor == "both" else 2

    def sizes(self, diameter_mm: Any, depth_mm: Any | None) -> Floats:
        """Give the size that the curve is drawn over: diameter, or diameter over depth.

        Raises
        ------
        TruthError
            When sizes are not positive, or depths are needed and missing.
        """
        diameters = column_of(diameter_mm, "diameter")
        _check_positive(diameters, "diameters")
        if self.predictor == "diameter":
            return diameters
        depths = self._depths(depth_mm, diameters.size)
        return diameters if self.predictor == "both" else diameters / depths

    def rows(self, diameter_mm: Any, depth_mm: Any | None) -> Floats:
        """Rows of the regression of the targets, (N, P), the first column 1."""
        sizes = self.sizes(diameter_mm, depth_mm)
        columns = [np.ones(sizes.size), self._scaled(sizes)]
        if self.predictor == "both":
            columns.append(self._scaled(sizes / self._depths(depth_mm, sizes.size)))
        return np.column_stack(columns)

    def rows_at(self, sizes: Any) -> Floats:
        """Rows of the regression at sizes of the curve, (N, P); for "both" at `depth_mm`."""
        sizes = column_of(sizes, "size")
        _check_positive(sizes, "sizes")
        columns = [np.ones(sizes.size), self._scaled(sizes)]
        if self.predictor == "both":
            columns.append(self._scaled(sizes / self.depth_mm))
        return np.column_stack(columns)

    def line(self, coefficients: Floats) -> tuple[float, float]:
        """Intercept and slope over the scaled size (at `depth_mm` for "both")."""
        if self.predictor != "both":
            return float(coefficients[0]), float(coefficients[1])
        depth = float(self.depth_mm or np.nan)
        if self.scale == "log":
            return float(coefficients[0] - coefficients[2] * np.log(depth)), float(coefficients[1] + coefficients[2])
        return float(coefficients[0]), float(coefficients[1] + coefficients[2] / depth)

    def size_of(self, scaled: float) -> float:
        """Size whose scaled value is given."""
        with np.errstate(over="ignore"):
            return float(np.exp(scaled)) if self.scale == "log" else float(scaled)

    def scaled(self, size: float) -> float:
        """Value of one size on the scale of the regression."""
        return float(self._scaled(np.array([size]))[0])

    def _scaled(self, values: Floats) -> Floats:
        return np.log(values) if self.scale == "log" else values

    def _depths(self, depth_mm: Any | None, n: int) -> Floats:
        if depth_mm is None:
            raise TruthError(
                f"POD by {self.predictor} needs the depth of every target; add depths or take the diameter"
            )
        depths = column_of(depth_mm, "depth")
        if depths.size != n:
            raise TruthError(f"there are {depths.size} depths for {n} diameters; give one depth per target")
        _check_positive(depths, "depths")
        return depths


def column_of(values: Any, what: str) -> Floats:
    """Give back values as a one-dimensional float array.

    Raises
    ------
    TruthError
        When they have more than one axis.
    """
    result = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if result.ndim != 1:
        raise TruthError(f"{what} has shape {result.shape}, expected one value per target")
    return result


def _check_positive(values: Floats, what: str) -> None:
    wrong = values[~(np.isfinite(values) & (values > 0))]
    if wrong.size:
        raise TruthError(
            f"{wrong.size} of {values.size} {what} are not positive numbers (the first is {wrong[0]:g}); "
            "leave targets of unknown size out and say so"
        )
