"""Factors of depth formulas, fitted on a plate whose depths are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import SequenceError, TruthError
from thermo_qc.sequence import Truth

__all__ = [
    "Calibration",
    "calibrate_depth_factor",
    "calibrate_depth_map",
    "depth_scale_mm",
    "measure_defects",
]

Quantity = Literal["time", "frequency"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Result of `calibrate_depth_factor`.

    Parameters
    ----------
    factor : float
        Of the depth formula.
    standard_error : float
        Of the factor, from the residuals; NaN with a single defect.
    residuals_mm : ndarray of float64, shape (n_given,)
        Depth from the formula less the known one, in the order given; NaN for defects without a measurement.
    n : int
        Defects that took part.
    """

    factor: float
    standard_error: float
    residuals_mm: NDArray[np.float64]
    n: int

    @property
    def rms_mm(self) -> float:
        """Root mean square of the residuals, mm."""
        return float(np.sqrt(np.nanmean(self.residuals_mm**2)))


def depth_scale_mm(
    measured: NDArray[np.floating], diffusivity_mm2_s: float, quantity: Quantity = "time"
) -> NDArray[np.float64]:
    """Give what a depth formula multiplies by its factor: ``sqrt(alpha t)``, for a frequency ``sqrt(alpha / (pi f))``.

    Parameters
    ----------
    measured : ndarray
        Times in s or frequencies in Hz.
    diffusivity_mm2_s : float
        Through the thickness.
    quantity : {"time", "frequency"}
        Which of them.

    Returns
    -------
    ndarray of float64
        mm; NaN where the measurement is not positive.

    Raises
    ------
    SequenceError
        When the diffusivity or the quantity is impossible.
    """
    if not (np.isfinite(diffusivity_mm2_s) and diffusivity_mm2_s > 0):
        raise SequenceError(f"diffusivity is {diffusivity_mm2_s} mm2/s, expected a positive number")
    if quantity not in ("time", "frequency"):
        raise SequenceError(f"the measured quantity is '{quantity}', expected time or frequency")
    values = np.asarray(measured, dtype=np.float64)
    positive = np.where(values > 0, values, np.nan)
    return np.asarray(np.sqrt(diffusivity_mm2_s * (positive if quantity == "time" else 1 / (np.pi * positive))))


def calibrate_depth_factor(
    measured: NDArray[np.floating],
    depths_mm: NDArray[np.floating],
    *,
    diffusivity_mm2_s: float,
    quantity: Quantity = "time",
) -> Calibration:
    """Fit the factor c of ``L = c sqrt(alpha t)`` or ``L = c sqrt(alpha / (pi f))`` by least squares of the depths.

    Parameters
    ----------
    measured : ndarray, shape (n,)
        Peak times (s) or blind frequencies (Hz) of the defects; NaN where none was found.
    depths_mm : ndarray, shape (n,)
        Known depths.
    diffusivity_mm2_s : float
        The one that depths are computed with later.
    quantity : {"time", "frequency"}
        What was measured.

    Returns
    -------
    Calibration

    Raises
    ------
    SequenceError
        When shapes do not fit or a number is impossible.
    TruthError
        When no defect has both a measurement and a depth.

    Examples
    --------
    >>> depths = np.array([1.0, 2.0])
    >>> round(calibrate_depth_factor(depths**2 / np.pi, depths, diffusivity_mm2_s=1.0).factor, 4)
    1.7725
    """
    scale, depths = depth_scale_mm(measured, diffusivity_mm2_s, quantity), np.asarray(depths_mm, dtype=np.float64)
    if scale.ndim != 1 or scale.shape != depths.shape:
        raise SequenceError(f"measurements have shape {scale.shape} and depths {depths.shape}, expected the same (n,)")
    used = np.isfinite(scale) & np.isfinite(depths)
    n = int(used.sum())
    if n == 0:
        raise TruthError("no defect has both a measurement and a known depth; the factor cannot be fitted")
    norm = float(np.square(scale[used]).sum())
    factor = float(scale[used] @ depths[used]) / norm
    residuals = np.where(used, factor * scale - depths, np.nan)
    spread = float(np.square(residuals[used]).sum())
    error = float(np.sqrt(spread / (n - 1) / norm)) if n > 1 else float("nan")
    return Calibration(factor=factor, standard_error=error, residuals_mm=residuals, n=n)


def measure_defects(
    image: NDArray[np.floating], truth: Truth, *, centre_fraction: float = 0.5, min_share: float = 0.5
) -> Mapping[int, float]:
    """Read a map off at the middle of each defect: the median over its inner pixels.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        Any map: peak times, blind frequencies, depths.
    truth : Truth
        Where the defects are.
    centre_fraction : float
        Pixels at least this share of the defect's largest inner distance from its border take part: 0 all, 1 the
        innermost ones.
    min_share : float
        Share of these that must have a value; NaN otherwise.

    Returns
    -------
    mapping of int to float
        By number, for defects with a pixel on the map.

    Raises
    ------
    SequenceError
        When shapes do not fit or a share lies outside 0 to 1.
    """
    if image.shape != truth.shape or not (0 <= centre_fraction <= 1 and 0 <= min_share <= 1):
        raise SequenceError(
            f"the map has shape {image.shape} and the truth {truth.shape}, expected the same; shares are "
            f"{centre_fraction} and {min_share}, expected 0 to 1"
        )
    measured: dict[int, float] = {}
    for defect in truth.defects:
        pixels = truth.defect_index == defect.number
        if not pixels.any():
            continue
        inside = ndimage.distance_transform_edt(np.pad(pixels, 1))[1:-1, 1:-1]
        values = np.asarray(image, dtype=np.float64)[pixels & (inside >= centre_fraction * inside.max())]
        known = values[np.isfinite(values)]
        enough = known.size > 0 and known.size >= min_share * values.size
        measured[defect.number] = float(np.median(known)) if enough else float("nan")
    return measured


def calibrate_depth_map(
    depth_mm: NDArray[np.floating], truth: Truth, *, factor: float, centre_fraction: float = 0.5
) -> Calibration:
    """Fit the factor from a depth map that was made with another one, on a plate of known depths.

    Parameters
    ----------
    depth_mm : ndarray, shape (Y, X)
        Depth map, mm.
    truth : Truth
        Defects with their depths.
    factor : float
        That the map was made with (its layer's metadata says).
    centre_fraction : float
        See `measure_defects`.

    Returns
    -------
    Calibration
        Residuals in the order of the defects on the map whose depth is known.

    Raises
    ------
    SequenceError, TruthError
        As for `measure_defects` and `calibrate_depth_factor`.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise SequenceError(f"the map's factor is {factor}, expected a positive number")
    measured = measure_defects(depth_mm, truth, centre_fraction=centre_fraction)
    known = {
        defect.number: float(defect.depth_mm)
        for defect in truth.defects
        if defect.depth_mm is not None and defect.number in measured
    }
    scale = np.array([measured[number] for number in known]) / factor
    return calibrate_depth_factor(scale**2, np.array(list(known.values())), diffusivity_mm2_s=1.0)
