"""Raw counts of FLIR cameras as temperatures: Planck's law with the camera's constants, and what lies in the way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, isfinite, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError
from thermo_qc.io.flir_camera import CameraInfo

__all__ = ["Radiometry", "atmosphere_transmission", "radiometry_of", "temperature_table_k"]

ZERO_C_K = 273.15
COUNTS = 2**16
HINT = "give unit=counts to read the raw counts, or correct the file in FLIR software"


@dataclass(frozen=True, kw_only=True)
class Radiometry:
    """Constants that turn the counts of one frame into temperatures.

    Parameters
    ----------
    planck_r1, planck_r2, planck_b, planck_f, planck_o : float
        Calibration of the camera; B in K, O in counts.
    emissivity : float
        Of the object, above 0 to 1.
    reflected_k, atmosphere_k, window_k : float
        Apparent reflected temperature, air and window temperature, K.
    transmission : float
        Of the air between object and camera.
    window_transmission : float
        Of the window or external optics; 1 without one.
    """

    planck_r1: float
    planck_r2: float
    planck_b: float
    planck_f: float
    planck_o: float
    emissivity: float
    reflected_k: float
    atmosphere_k: float
    window_k: float
    transmission: float
    window_transmission: float

    def counts_of(self, temperature_k: float) -> float:
        """Give the counts of a black body of this temperature: R1 / (R2 (exp(B / T) - F)) - O."""
        return self.planck_r1 / (self.planck_r2 * (exp(self.planck_b / temperature_k) - self.planck_f)) - self.planck_o


def radiometry_of(
    path: Path, camera: CameraInfo, emissivity: float | None = None, ambient_c: float | None = None
) -> Radiometry | None:
    """Take the calibration from a camera record.

    Parameters
    ----------
    path : Path
        For messages.
    camera : CameraInfo
        The record.
    emissivity : float, optional
        Counts before the file's.
    ambient_c : float, optional
        Air temperature, degC; counts before the file's.

    Returns
    -------
    Radiometry or None
        None when the file carries no Planck constants.

    Raises
    ------
    CorruptFileError
        When constants are there but impossible.
    """
    if camera.planck_r1 == 0 or camera.planck_b == 0 or camera.planck_r2 == 0:
        return None
    atmosphere_k = camera.atmosphere_k if ambient_c is None else ambient_c + ZERO_C_K
    if emissivity is None:
        emissivity = camera.emissivity
        if not 0 < emissivity <= 1:
            raise CorruptFileError(path, "emissivity", "above 0 to 1", emissivity, "give emissivity as an option")
    window = camera.window_transmission or 1.0  # 0 is written where no window was set
    _check(path, "Planck constants", 0, 1e9, (camera.planck_r1, camera.planck_b, camera.planck_r2))
    _check(path, "Planck constants F and O", -1e6, 1e6, (camera.planck_f, camera.planck_o))
    _check(path, "distance", -1e-9, 1e6, (camera.distance_m,))
    _check(path, "relative humidity", -1e-9, 1, (camera.humidity,))
    _check(path, "window transmission", 0, 1, (window,))
    temperatures_k = (
        (camera.reflected_k, atmosphere_k) if window == 1 else (camera.reflected_k, atmosphere_k, camera.window_k)
    )
    _check(path, "reflected, atmospheric or window temperature in K", 50, 5000, temperatures_k)
    _check(
        path, "atmosphere constants", -1e3, 1e3, (camera.alpha1, camera.alpha2, camera.beta1, camera.beta2, camera.x)
    )
    transmission = atmosphere_transmission(camera, atmosphere_k - ZERO_C_K)
    _check(path, "atmosphere transmission", 0, 1.001, (transmission,))
    result = Radiometry(
        planck_r1=camera.planck_r1,
        planck_r2=camera.planck_r2,
        planck_b=camera.planck_b,
        planck_f=camera.planck_f,
        planck_o=camera.planck_o,
        emissivity=emissivity,
        reflected_k=camera.reflected_k,
        atmosphere_k=atmosphere_k,
        window_k=camera.window_k if window != 1 else atmosphere_k,
        transmission=transmission,
        window_transmission=window,
    )
    _check_planck(path, result)
    return result


def _check(path: Path, field: str, low: float, high: float, values: tuple[float, ...]) -> None:
    for value in values:
        if not (isfinite(value) and low < value <= high):
            raise CorruptFileError(path, field, f"above {low:g} to {high:g}", f"{value:g}", HINT)


def _check_planck(path: Path, radiometry: Radiometry) -> None:
    try:
        found = [
            radiometry.counts_of(k) for k in (radiometry.reflected_k, radiometry.atmosphere_k, radiometry.window_k)
        ]
    except (OverflowError, ZeroDivisionError):
        found = [float("nan")]
    if not all(isfinite(counts) and abs(counts) < 1e9 for counts in found):
        raise CorruptFileError(path, "Planck constants", "counts for every temperature", "impossible", HINT)


def atmosphere_transmission(camera: CameraInfo, air_c: float) -> float:
    """Transmission of the air between object and camera.

    With the water content h = RH exp(1.5587 + 0.06939 t - 2.7816e-4 t^2 + 6.8455e-7 t^3), t in degC and RH in percent
    as a fraction, and the distance d in m: X exp(-sqrt(d) (alpha1 + beta1 sqrt(h))) + (1 - X) exp(-sqrt(d) (alpha2 +
    beta2 sqrt(h))).

    References
    ----------
    W. Minkina, D. Klecha, "Atmospheric transmission coefficient modelling in the infrared for thermovision
    measurements", J. Sens. Sens. Syst. 5 (2016) 17-23, doi:10.5194/jsss-5-17-2016.
    """
    t = min(max(air_c, -100.0), 200.0)
    water = camera.humidity * exp(1.5587 + 0.06939 * t - 2.7816e-4 * t**2 + 6.8455e-7 * t**3)
    path, root = sqrt(max(camera.distance_m, 0.0)), sqrt(max(water, 0.0))
    weights = ((camera.x, camera.alpha1, camera.beta1), (1 - camera.x, camera.alpha2, camera.beta2))
    try:
        return sum(weight * exp(-path * (alpha + beta * root)) for weight, alpha, beta in weights)
    except OverflowError:
        return float("inf")


@lru_cache(maxsize=8)
def temperature_table_k(radiometry: Radiometry) -> NDArray[np.float32]:
    """Temperature of every count from 0 to 65535, K; NaN below the signal of absolute zero.

    The counts U of the camera are those of the object W, of what it reflects and of the air, all behind a window:
    U = w (tau (e W + (1 - e) W_reflected) + (1 - tau) W_air) + (1 - w) W_window. Solved for W, the temperature is
    B / ln(R1 / (R2 (W + O)) + F).

    Returns
    -------
    ndarray of float32, shape (65536,)
        Not writeable.

    References
    ----------
    M. Vollmer, K.-P. Moellmann, Infrared Thermal Imaging, 2nd ed. (Wiley 2018), ch. 2, doi:10.1002/9783527693306.
    G. J. Tattersall, Thermimage (2017), doi:10.5281/zenodo.1069704.
    """
    window, air, emissivity = radiometry.window_transmission, radiometry.transmission, radiometry.emissivity
    counts = np.arange(COUNTS, dtype=np.float64)
    outside = (counts - (1 - window) * radiometry.counts_of(radiometry.window_k)) / window
    leaving = (outside - (1 - air) * radiometry.counts_of(radiometry.atmosphere_k)) / air
    own = (leaving - (1 - emissivity) * radiometry.counts_of(radiometry.reflected_k)) / emissivity
    signal = radiometry.planck_r2 * (own + radiometry.planck_o)
    with np.errstate(all="ignore"):
        inside = np.log(np.where(signal > 0, radiometry.planck_r1 / signal + radiometry.planck_f, np.nan))
        table = np.where(inside > 0, radiometry.planck_b / inside, np.nan).astype(np.float32)
    table[~np.isfinite(table)] = np.nan
    table.flags.writeable = False
    return table
