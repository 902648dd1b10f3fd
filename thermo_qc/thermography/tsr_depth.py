"""Depth from TSR: the peak of the second logarithmic derivative."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.thermography.tsr import TSRFit, derivative_matrix, tsr_derivatives

__all__ = ["dense_part", "depth_from_peak_mm", "second_derivative_noise", "second_derivative_peak"]

CHUNK_VALUES = 4_000_000


def second_derivative_peak(
    fit: TSRFit, *, n_times: int = 400, margin: float = 0.05
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Time and height of the largest interior maximum of the second logarithmic derivative.

    Parameters
    ----------
    fit : TSRFit
        From `fit_tsr`.
    n_times : int
        Logarithmic grid on which the maximum is sought; a parabola refines it.
    margin : float
        Share of the fitted range of ln t left out at either end, where polynomials swing.

    Returns
    -------
    time_s, value : ndarray of float64, shape (...)
        NaN where the second derivative has no interior maximum.
    """
    reach = fit.half_width * (1.0 - 2.0 * margin)
    log_times = np.linspace(fit.centre - reach, fit.centre + reach, n_times)
    shape = fit.scaled_coefficients.shape[1:]
    scaled = fit.scaled_coefficients.reshape(fit.order + 1, -1)
    time, value = np.full(scaled.shape[1], np.nan), np.full(scaled.shape[1], np.nan)
    step = max(1, CHUNK_VALUES // n_times)
    for start in range(0, scaled.shape[1], step):
        part = slice(start, start + step)
        piece = TSRFit(
            scaled_coefficients=scaled[:, part],
            centre=fit.centre,
            half_width=fit.half_width,
            r2=fit.r2.reshape(-1)[part],
            n_used=fit.n_used.reshape(-1)[part],
        )
        log_time, value[part] = _interior_peak(tsr_derivatives(piece, np.exp(log_times))[1], log_times)
        time[part] = np.exp(log_time)
    return time.reshape(shape), value.reshape(shape)


def _interior_peak(
    curves: NDArray[np.float64], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    inner = curves[1:-1]
    is_peak = (inner > curves[:-2]) & (inner >= curves[2:])
    height = np.where(is_peak, inner, -np.inf)
    index = np.argmax(height, axis=0) + 1
    found = is_peak.any(axis=0)
    left, middle, right = (np.take_along_axis(curves, (index + shift)[None], axis=0)[0] for shift in (-1, 0, 1))
    bend = np.where(found, left - 2 * middle + right, -1.0)
    shift = np.where(found, 0.5 * (left - right) / bend, 0.0)
    spacing = positions[1] - positions[0]
    peak = middle - 0.25 * (left - right) * shift
    return np.where(found, positions[index] + shift * spacing, np.nan), np.where(found, peak, np.nan)


def depth_from_peak_mm(peak_time_s: NDArray[np.float64], diffusivity_mm2_s: float) -> NDArray[np.float64]:
    """Depth ``sqrt(pi alpha t2)`` of a wide defect from the peak time t2 of the second derivative after a flash, mm.

    Not for holes that are small against their depth nor for long pulses.

    References
    ----------
    Shepard et al., Opt. Eng. 42 (2003) 1337, 10.1117/1.1566969.
    """
    return np.asarray(np.sqrt(np.pi * diffusivity_mm2_s * peak_time_s))


def dense_part(times_s: NDArray[np.float64], gap: float = 0.2) -> slice:
    """Frames from the first on whose step to the next is below `gap` in ln t, where a polynomial has no room for waves.

    Evenly spaced frames lie far apart in ln t soon after a flash: a polynomial of high order swings between them, and
    its second derivative has false peaks there, larger than true ones.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Positive, increasing.
    gap : float
        Largest step of ln t.

    Returns
    -------
    slice
        Empty where all steps are larger.
    """
    dense = np.flatnonzero(np.diff(np.log(times_s)) < gap)
    return slice(int(dense[0]) if dense.size else times_s.size, times_s.size)


def second_derivative_noise(
    fit: TSRFit, times_s: NDArray[np.float64], at_s: NDArray[np.float64], noise: float, *, n_grid: int = 24
) -> NDArray[np.float64]:
    """Give the standard deviation of the second logarithmic derivative that white noise of the camera makes.

    Parameters
    ----------
    fit : TSRFit
        From `fit_tsr` without a floor.
    times_s : ndarray of float64, shape (T,)
        The times that were fitted.
    at_s : ndarray of float64, shape (...)
        Where each pixel's derivative is looked at, such as the time of its peak.
    noise : float
        Standard deviation of a pixel in one frame, in the unit of the rise.
    n_grid : int
        Times, evenly over ln t, at which it is computed; in between it is interpolated.

    Returns
    -------
    ndarray of float64, shape (...)
        To first order: that of ln T is noise over T. NaN where the fit or `at_s` is.
    """
    times, shape = np.asarray(times_s, dtype=np.float64), fit.scaled_coefficients.shape[1:]
    scaled, wanted = fit.scaled_coefficients.reshape(fit.order + 1, -1), np.asarray(at_s, dtype=np.float64).reshape(-1)
    logs = np.linspace(fit.centre - fit.half_width, fit.centre + fit.half_width, n_grid)
    basis = derivative_matrix(times, 0, fit.order, fit.centre, fit.half_width)
    gain = derivative_matrix(np.exp(logs), 2, fit.order, fit.centre, fit.half_width) @ np.linalg.pinv(basis)
    result = np.full(wanted.size, np.nan)
    step = max(1, CHUNK_VALUES // times.size)
    for start in range(0, wanted.size, step):
        part = slice(start, start + step)
        with np.errstate(invalid="ignore", over="ignore"):
            relative = noise * np.exp(-(basis @ scaled[:, part]))
            spread = np.sqrt(gain**2 @ relative**2)
            place = np.clip((np.log(wanted[part]) - logs[0]) / (logs[1] - logs[0]), 0, n_grid - 1)
        known = np.isfinite(place)
        index = np.minimum(np.where(known, place, 0).astype(np.intp), n_grid - 2)
        share, columns = place - index, np.arange(index.size)
        values = spread[index, columns] * (1 - share) + spread[index + 1, columns] * share
        result[part] = np.where(known, values, np.nan)
    return result.reshape(shape)
