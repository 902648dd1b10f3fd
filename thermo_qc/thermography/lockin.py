"""Lock-in thermography: amplitude and phase of every pixel at the excitation's frequency."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError

__all__ = ["FourPoint", "LockinFit", "fit_lockin", "four_point"]

LARGEST_CONDITION = 1e5


@dataclass(frozen=True, kw_only=True, eq=False)
class LockinFit:
    """Result of `fit_lockin`.

    Parameters
    ----------
    frequencies_hz : ndarray of float64, shape (h,)
        The excitation's frequency and its multiples.
    amplitude : ndarray, shape (h, ...)
        Half of the swing from lowest to highest, in the unit of the rise.
    phase_rad : ndarray, shape (h, ...)
        From -pi to pi; negative where the temperature lags.
    offset : ndarray, shape (...)
        The drift in the middle of the fitted window.
    residual : ndarray, shape (...)
        Standard deviation of what the fit leaves, in the unit of the rise.
    r2 : ndarray, shape (...)
        Share of what the drift leaves that the oscillation explains; NaN where the drift leaves nothing.
    """

    frequencies_hz: NDArray[np.float64]
    amplitude: NDArray[np.floating]
    phase_rad: NDArray[np.floating]
    offset: NDArray[np.floating]
    residual: NDArray[np.floating]
    r2: NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, eq=False)
class FourPoint:
    """Result of `four_point`: amplitude (unit of the rise), phase (rad) and the number of averaged periods."""

    amplitude: NDArray[np.float64]
    phase_rad: NDArray[np.float64]
    n_periods: int


def fit_lockin(
    rise: NDArray[np.floating],
    times_s: NDArray[np.float64],
    frequency_hz: float,
    *,
    n_harmonics: int = 1,
    drift_order: int = 1,
    transient_s: float | None = None,
    reference_phase_rad: float = 0.0,
) -> LockinFit:
    """Fit ``sum_h A_h cos(2 pi h f t + phi_h)`` and a drift to every pixel by least squares.

    Phases are those of a cosine at ``t = 0``, less the heat flux's own: with flux ``1 + cos(2 pi f t + reference)``
    a phase is what the temperature leads the flux by, and a thick plate has -pi/4.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Temperature rise; float32 is worked on in float32. Values that are not finite make their pixel NaN.
    times_s : ndarray of float64, shape (T,)
        Times after the start of the excitation; increasing, evenly spaced or not.
    frequency_hz : float
        Of the excitation.
    n_harmonics : int
        How many multiples of it, with the first.
    drift_order : int
        Order of the polynomial in time that is fitted beside the oscillation.
    transient_s : float, optional
        Time constant of an exponential start-up transient that is fitted too.
    reference_phase_rad : float
        Phase of the flux's first harmonic at ``t = 0``; harmonic h is referred to h times it.

    Returns
    -------
    LockinFit

    Raises
    ------
    SequenceError
        When shapes do not fit, a number is impossible, the frames are too few or too coarse for the highest harmonic,
        or the window is too short to tell oscillation from drift.

    References
    ----------
    Busse, Wu, Karpen, J. Appl. Phys. 71 (1992) 3962 (lock-in). What noise s does to N frames (Cramer-Rao bound):
    var(A) = 2 s^2 / N, var(phi) = 2 s^2 / (N A^2).

    Examples
    --------
    >>> times = np.arange(400) * 0.1
    >>> fit = fit_lockin(0.5 * np.cos(2 * np.pi * 0.1 * times - 0.3) + 0.02 * times, times, 0.1)
    >>> round(float(fit.amplitude[0]), 6), round(float(fit.phase_rad[0]), 6)
    (0.5, -0.3)
    """
    values, times = _curves(rise, times_s)
    _check_numbers(frequency_hz, n_harmonics, drift_order, transient_s)
    flat = values.reshape(times.size, -1)
    matrices = _matrices(times.tobytes(), frequency_hz, n_harmonics, drift_order, transient_s)
    basis, inverse = (part.astype(values.dtype, copy=False) for part in matrices)
    n_drift = basis.shape[1] - 2 * n_harmonics
    curves = flat.T
    projected = curves @ basis
    found = projected @ inverse.T
    left = curves - projected[:, :n_drift] @ basis[:, :n_drift].T
    spread = np.einsum("ij,ij->i", left, left)
    left -= projected[:, n_drift:] @ basis[:, n_drift:].T
    remainder = np.einsum("ij,ij->i", left, left)
    total = np.einsum("ij,ij->i", curves, curves)
    nothing = spread <= (10 * np.finfo(values.dtype).eps) ** 2 * total
    r2 = 1 - np.divide(remainder, spread, out=np.full_like(spread, np.nan), where=~nothing)
    cosine, sine = found[:, n_drift::2].T, found[:, n_drift + 1 :: 2].T
    order = np.arange(1, n_harmonics + 1)
    phase = wrap(np.arctan2(-sine, cosine) - (order * reference_phase_rad)[:, None].astype(values.dtype))
    shape = values.shape[1:]
    return LockinFit(
        frequencies_hz=np.asarray(frequency_hz * order, dtype=np.float64),
        amplitude=np.hypot(cosine, sine).reshape(n_harmonics, *shape),
        phase_rad=phase.reshape(n_harmonics, *shape),
        offset=found[:, 0].reshape(shape),
        residual=np.sqrt(remainder / (times.size - basis.shape[1])).reshape(shape),
        r2=r2.reshape(shape),
    )


def four_point(
    rise: NDArray[np.floating],
    times_s: NDArray[np.float64],
    frequency_hz: float,
    *,
    interpolate: bool = False,
    reference_phase_rad: float = 0.0,
) -> FourPoint:
    """Amplitude and phase from four values a period, averaged over the whole periods of the window.

    ``A = sqrt((S1 - S3)^2 + (S2 - S4)^2) / 2`` and, for a cosine, ``phi = atan2(S4 - S2, S1 - S3)``, with S1 at the
    window's first frame and the others a quarter of a period apart. A drift of b per second adds b / (4 f) to both
    amplitudes' parts: this is a check of `fit_lockin`, not its equal.

    Parameters
    ----------
    rise, times_s, frequency_hz, reference_phase_rad
        As for `fit_lockin`.
    interpolate : bool
        Take values between frames (linearly) where the quarters do not fall on frames, within 1 % of a frame; refused
        otherwise. With n frames a period that lowers amplitudes by up to 5 / n^2.

    Raises
    ------
    SequenceError
        When shapes do not fit, less than a period was recorded, or the quarters fall between frames.

    References
    ----------
    Busse, Wu, Karpen, J. Appl. Phys. 71 (1992) 3962.
    """
    values, times = _curves(rise, times_s)
    _check_numbers(frequency_hz, 1, 0, None)
    quarter = 0.25 / frequency_hz
    step = float(np.median(np.diff(times)))
    n_periods = int((times[-1] - times[0] + step * 1.01) * frequency_hz + 1e-9)
    if n_periods < 1:
        raise SequenceError(
            f"{times[-1] - times[0]:.4g} s were recorded, expected at least one period of {4 * quarter:.4g} s"
        )
    wanted = times[0] + quarter * np.arange(4 * n_periods)
    place = np.interp(wanted, times, np.arange(times.size))
    nearest = np.rint(place).astype(np.int64)
    off = np.abs(times[nearest] - wanted).max() / step
    if off > 0.01 and not interpolate:
        raise SequenceError(
            f"a quarter of a period is {quarter / step:.4g} frames, expected whole ones; record so, or interpolate"
        )
    matrix = np.zeros((4, times.size))
    if off <= 0.01:
        np.add.at(matrix, (np.arange(nearest.size) % 4, nearest), 1 / n_periods)
    else:
        low = np.minimum(place.astype(np.int64), times.size - 2)
        np.add.at(matrix, (np.arange(low.size) % 4, low), (1 - (place - low)) / n_periods)
        np.add.at(matrix, (np.arange(low.size) % 4, low + 1), (place - low) / n_periods)
    s1, s2, s3, s4 = (values.reshape(times.size, -1).T.astype(np.float64) @ matrix.T).T
    phase = wrap(np.arctan2(s4 - s2, s1 - s3) - 2 * np.pi * frequency_hz * times[0] - reference_phase_rad)
    shape = values.shape[1:]
    return FourPoint(
        amplitude=(np.hypot(s1 - s3, s2 - s4) / 2).reshape(shape),
        phase_rad=phase.reshape(shape).astype(np.float64),
        n_periods=n_periods,
    )


def wrap(angle: NDArray[np.floating]) -> NDArray[np.floating]:
    """Bring angles to -pi to pi."""
    return np.asarray(angle - 2 * np.pi * np.rint(angle / (2 * np.pi)), dtype=angle.dtype)


def _curves(
    rise: NDArray[np.floating], times_s: NDArray[np.float64]
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    values, times = np.asarray(rise), np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or times.size < 2 or values.shape[:1] != times.shape:
        raise SequenceError(f"curves have shape {values.shape} and times {times.shape}, expected (T, ...) and (T,)")
    if not (np.diff(times) > 0).all():
        raise SequenceError("times do not increase throughout; sort the frames")
    return (values if values.dtype == np.float32 else values.astype(np.float64)), times


def _check_numbers(frequency_hz: float, n_harmonics: int, drift_order: int, transient_s: float | None) -> None:
    if not (np.isfinite(frequency_hz) and frequency_hz > 0):
        raise SequenceError(f"the excitation's frequency is {frequency_hz} Hz, expected a positive number")
    if n_harmonics < 1 or drift_order < 0:
        raise SequenceError(
            f"{n_harmonics} harmonics and a drift of order {drift_order} are wanted, expected at least 1 and 0"
        )
    if transient_s is not None and not (np.isfinite(transient_s) and transient_s > 0):
        raise SequenceError(f"the transient's time constant is {transient_s} s, expected a positive number or none")


@lru_cache(maxsize=8)
def _matrices(
    times: bytes, frequency_hz: float, n_harmonics: int, drift_order: int, transient_s: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal basis (T, p), drift first, and the matrix (p, p) from its products to the coefficients."""
    axis = np.frombuffer(times)
    step = float(np.median(np.diff(axis)))
    if n_harmonics * frequency_hz * step > 0.5 * (1 - 1e-9):
        raise SequenceError(
            f"frames come every {step:.4g} s, expected more than two a period of {n_harmonics} x {frequency_hz:g} Hz; "
            "ask for fewer harmonics"
        )
    scaled = (2 * axis - axis[0] - axis[-1]) / (axis[-1] - axis[0])
    drift = np.asarray(legendre.legvander(scaled, drift_order))
    drift -= np.where(np.arange(drift_order + 1) > 0, legendre.legvander(np.zeros(1), drift_order)[0], 0.0)
    angle = 2 * np.pi * frequency_hz * np.outer(axis, np.arange(1, n_harmonics + 1))
    swing = np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(axis.size, -1)
    start = [] if transient_s is None else [np.exp(-(axis - axis[0]) / transient_s)[:, None]]
    design = np.concatenate([drift, *start, swing], axis=1)
    if axis.size <= design.shape[1]:
        raise SequenceError(f"{axis.size} frames are left, expected more than the {design.shape[1]} terms of the fit")
    basis, triangle = np.linalg.qr(design)
    condition = np.linalg.cond(design)
    if condition > LARGEST_CONDITION or (axis[-1] - axis[0] + step) * frequency_hz < 1 - 1e-9:
        raise SequenceError(
            f"{axis[-1] - axis[0]:.4g} s hold {(axis[-1] - axis[0]) * frequency_hz:.3g} periods, too little to tell "
            f"the oscillation from a drift of order {drift_order}; record at least one period more or lower the order"
        )
    return basis, np.linalg.inv(triangle)
