"""Thermographic signal reconstruction: a polynomial in ln t through the logarithm of every pixel's cooling."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError

__all__ = [
    "TSRFit",
    "check_tsr",
    "derivative_matrix",
    "fit_block",
    "fit_tsr",
    "power_matrix",
    "synthetic",
    "tsr_derivatives",
]

logger = logging.getLogger(__name__)
CHUNK_VALUES = 4_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class TSRFit:
    """Polynomials of order n through ln(rise) over ln(t); the pixel axes are those of the rise that came in.

    Parameters
    ----------
    scaled_coefficients : ndarray of float64, shape (n + 1, ...)
        Chebyshev coefficients over ``(ln t - centre) / half_width``: what all evaluations use, as it keeps its digits.
    centre, half_width : float
        Middle and half length of the range of ln t (t in s) that the fit has seen.
    r2 : ndarray of float64, shape (...)
        Coefficient of determination of ln(rise); 1 for a constant curve.
    n_used : ndarray of int64, shape (...)
        Samples above zero (or above the floor), which took part with their own value. A pixel without a floor and
        with fewer than n + 1 of them has no fit: its coefficients and r2 are NaN, and the log says how many there are.
    """

    scaled_coefficients: NDArray[np.float64]
    centre: float
    half_width: float
    r2: NDArray[np.float64]
    n_used: NDArray[np.int64]

    @property
    def order(self) -> int:
        """Order of the polynomial."""
        return int(self.scaled_coefficients.shape[0]) - 1

    @cached_property
    def coefficients(self) -> NDArray[np.float64]:
        """Coefficients a_i of ``ln T = sum a_i (ln t)^i`` (T in the unit of the rise, t in s), shape (n + 1, ...)."""
        return _product(power_matrix(self.order, self.centre, self.half_width), self.scaled_coefficients)


@lru_cache(maxsize=16)
def power_matrix(order: int, centre: float, half_width: float) -> NDArray[np.float64]:
    """Matrix from scaled Chebyshev coefficients to those of powers of ln t, (order + 1, order + 1)."""
    n = order + 1
    line = np.polynomial.Polynomial([-centre / half_width, 1.0 / half_width])
    columns = [np.polynomial.Polynomial(chebyshev.cheb2poly(unit))(line).coef for unit in np.eye(n)]
    return np.array([[*column, *[0.0] * (n - column.size)] for column in columns], dtype=np.float64).T


def fit_tsr(
    rise: NDArray[np.floating],
    times_s: NDArray[np.float64],
    order: int = 5,
    *,
    floor: float | None = None,
) -> TSRFit:
    """Fit ``ln T = sum a_i (ln t)^i`` to every pixel by linear least squares.

    The logarithm knows no rise of zero or below, which noise makes of a weak one. Without a floor such samples (and
    those that are not finite) have no part in the fit of their pixel; with a floor they are raised to it.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Temperature rise above the cold frame.
    times_s : ndarray of float64, shape (T,)
        Times after the middle of a flash, after the heating stop of a long pulse, or from the start of step heating;
        positive, s.
    order : int
        Order of the polynomial, 4 to 8 are usual.
    floor : float, optional
        Smallest rise, positive; about the camera noise is sensible.

    Returns
    -------
    TSRFit

    Raises
    ------
    SequenceError
        When shapes do not fit, times are not positive, or there are too few of them.

    References
    ----------
    Shepard et al., Opt. Eng. 42 (2003) 1337, 10.1117/1.1566969.

    Examples
    --------
    >>> times = np.geomspace(0.1, 10.0, 50)
    >>> fit = fit_tsr(3.0 / np.sqrt(times), times, order=2)
    >>> fit.coefficients.round(6).tolist()
    [1.098612, -0.5, 0.0]
    """
    rise, times = np.asarray(rise), np.asarray(times_s, dtype=np.float64)
    if rise.ndim < 1 or times.ndim != 1 or rise.shape[0] != times.size:
        raise SequenceError(f"rise has shape {rise.shape} and times {times.shape}, expected (T, ...) and (T,)")
    check_tsr(times, order, floor)
    centre, half_width, basis = _basis(times, order)
    curves = rise.reshape(rise.shape[0], -1)
    n_pixels = curves.shape[1]
    scaled = np.full((order + 1, n_pixels), np.nan)
    r2, n_used = np.full(n_pixels, np.nan), np.zeros(n_pixels, dtype=np.int64)
    step = max(1, CHUNK_VALUES // rise.shape[0])
    for start in range(0, n_pixels, step):
        part = slice(start, start + step)
        scaled[:, part], r2[part], n_used[part] = _fit(curves[:, part], basis, floor)
    n_failed = int(np.isnan(scaled[0]).sum())
    if n_failed:
        logger.warning("%d of %d pixels: too few positive samples for TSR of order %d", n_failed, n_pixels, order)
    shape = rise.shape[1:]
    return TSRFit(
        scaled_coefficients=scaled.reshape(order + 1, *shape),
        centre=centre,
        half_width=half_width,
        r2=r2.reshape(shape),
        n_used=n_used.reshape(shape),
    )


def check_tsr(times: NDArray[np.float64], order: int, floor: float | None) -> None:
    """Refuse times, order and floor that no fit can use; see `fit_tsr`."""
    if order < 1 or times.size <= order:
        raise SequenceError(f"{times.size} frames came for a TSR fit of order {order}, expected at least {order + 1}")
    if not (np.isfinite(times).all() and times[0] > 0 and (np.diff(times) > 0).all()):
        raise SequenceError(
            f"TSR times start at {times[0]:g} s, expected increasing positive ones; count from the flash or the "
            "heating stop and leave earlier frames out"
        )
    if floor is not None and not floor > 0:
        raise SequenceError(f"TSR floor is {floor}, expected a positive rise such as the camera noise, or none")


def _fit(
    curves: NDArray[Any], basis: NDArray[np.float64], floor: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    values = curves.astype(np.float64)
    finite = np.isfinite(values)
    positive = finite & (values > (floor or 0.0))
    if floor is not None:
        values = np.where(finite, np.maximum(values, floor), floor)
    used = finite if floor is not None else positive
    logs: NDArray[np.float64] = np.log(np.where(used, values, 1.0))
    weights = used.astype(np.float64)
    fitted = used.sum(axis=0) >= basis.shape[1]
    scaled = np.zeros((basis.shape[1], values.shape[1]))
    whole = used.all(axis=0)
    scaled[:, whole] = np.linalg.pinv(basis) @ logs[:, whole]
    rest = fitted & ~whole
    scaled[:, rest] = _weighted(logs[:, rest], weights[:, rest], basis)
    r2 = np.where(fitted, _r2(logs, weights, basis @ scaled), np.nan)
    scaled[:, ~fitted] = np.nan
    return scaled, r2, positive.sum(axis=0)


def fit_block(
    rise: NDArray[np.float32], times_s: NDArray[np.float64], order: int, floor: float | None, *, r2: bool = True
) -> TSRFit:
    """`fit_tsr` of one block in float32, as fast as memory: coefficients good to 1e-5 of their largest.

    Curves that are positive throughout need one logarithm and one matrix product; the others go the way of `fit_tsr`.

    Parameters
    ----------
    rise : ndarray of float32, shape (T, n)
        Quickest where every pixel's curve is contiguous.
    times_s, order, floor
        As for `fit_tsr`, not checked.
    r2 : bool
        Whether the coefficient of determination is wanted; NaN otherwise.
    """
    axis = _log_axis(times_s.tobytes(), order)
    curves = rise.T
    n_pixels = curves.shape[0]
    whole = curves.min(axis=1) > (floor or 0.0)
    every = bool(whole.all())
    logs = np.log(curves if every else curves[whole])
    found = logs @ axis.inverse32.T
    scaled = np.full((order + 1, n_pixels), np.nan)
    fitted, n_used = np.full(n_pixels, np.nan), np.zeros(n_pixels, dtype=np.int64)
    scaled[:, whole], n_used[whole] = found.T, times_s.size
    if r2:
        logs -= found @ axis.basis32.T
        residual = np.einsum("ij,ij->i", logs, logs).astype(np.float64)
        # With an orthonormal basis whose first function is constant, the others carry the spread about the mean.
        spread = residual + np.square((axis.triangle @ scaled[:, whole])[1:]).sum(axis=0)
        constant = spread <= 1e-12 * times_s.size
        fitted[whole] = np.where(constant, 1.0, 1.0 - residual / np.where(constant, 1.0, spread))
    if not every:
        scaled[:, ~whole], fitted[~whole], n_used[~whole] = _fit(rise[:, ~whole], axis.basis, floor)
    return TSRFit(scaled_coefficients=scaled, centre=axis.centre, half_width=axis.half_width, r2=fitted, n_used=n_used)


@dataclass(frozen=True, kw_only=True, eq=False)
class _LogAxis:
    """The basis of a fit over given times, and what is computed from it once."""

    centre: float
    half_width: float
    basis: NDArray[np.float64]
    basis32: NDArray[np.float32]
    inverse32: NDArray[np.float32]
    triangle: NDArray[np.float64]


@lru_cache(maxsize=8)
def _log_axis(times: bytes, order: int) -> _LogAxis:
    centre, half_width, basis = _basis(np.frombuffer(times), order)
    triangle = np.asarray(np.linalg.qr(basis, mode="r"))
    return _LogAxis(
        centre=centre,
        half_width=half_width,
        basis=basis,
        basis32=basis.astype(np.float32),
        inverse32=np.linalg.pinv(basis).astype(np.float32),
        triangle=triangle,
    )


def _basis(times_s: NDArray[np.float64], order: int) -> tuple[float, float, NDArray[np.float64]]:
    log_times = np.log(times_s)
    centre, half_width = float(log_times[0] + log_times[-1]) / 2, float(log_times[-1] - log_times[0]) / 2
    return centre, half_width, np.asarray(chebyshev.chebvander((log_times - centre) / half_width, order))


def _weighted(
    logs: NDArray[np.float64], weights: NDArray[np.float64], basis: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve the normal equations of all pixels: products of the basis times the weights, then a batch of solves."""
    if logs.shape[1] == 0:
        return np.empty((basis.shape[1], 0))
    n = basis.shape[1]
    products = (basis[:, :, None] * basis[:, None, :]).reshape(-1, n * n)
    matrices = np.asarray(weights.T @ products, dtype=np.float64).reshape(-1, n, n)
    right = np.asarray((weights * logs).T @ basis, dtype=np.float64)
    # Samples may crowd in a part of the axis: the tiny ridge keeps such a matrix solvable without moving good fits.
    matrices = matrices + 1e-12 * np.trace(matrices, axis1=1, axis2=2)[:, None, None] * np.eye(n)
    solution: NDArray[np.float64] = np.linalg.solve(matrices, right[:, :, None])[:, :, 0].T
    return solution


def _r2(logs: NDArray[np.float64], weights: NDArray[np.float64], model: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.maximum(weights.sum(axis=0), np.finfo(float).tiny)
    mean = (weights * logs).sum(axis=0) / total
    spread = (weights * (logs - mean) ** 2).sum(axis=0)
    residual = (weights * (logs - model) ** 2).sum(axis=0)
    constant = spread <= 1e-20 * total
    return np.where(constant, 1.0, 1.0 - residual / np.where(constant, 1.0, spread))


def derivative_matrix(
    times_s: NDArray[np.float64], degree: int, order: int, centre: float, half_width: float
) -> NDArray[np.float64]:
    """Matrix (N, order + 1) from scaled coefficients to the derivative of `degree` (0: the value) of ln T by ln t."""
    basis = chebyshev.chebvander((np.log(times_s) - centre) / half_width, order)
    derive = np.zeros((order + 1, order + 1))
    for number, unit in enumerate(np.eye(order + 1)):
        column = chebyshev.chebder(unit, degree)
        derive[: column.size, number] = column
    return np.asarray(basis @ derive / half_width**degree)


def _derivative(fit: TSRFit, times_s: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
    if not (times > 0).all():
        raise SequenceError("TSR is evaluated at positive times only; count from the flash or the heating stop")
    matrix = derivative_matrix(times, degree, fit.order, fit.centre, fit.half_width)
    return _product(matrix, fit.scaled_coefficients)


def _product(matrix: NDArray[np.float64], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix (N, n + 1) times coefficients (n + 1, ...); pixels without a fit stay NaN."""
    with np.errstate(invalid="ignore"):
        flat = matrix @ coefficients.reshape(coefficients.shape[0], -1)
    return np.asarray(flat.reshape(matrix.shape[0], *coefficients.shape[1:]), dtype=np.float64)


def synthetic(fit: TSRFit, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise-free temperature rise of the fit at any positive times, float64 (N, ...).

    Outside the fitted times a polynomial means nothing; stay within them.
    """
    return np.asarray(np.exp(_derivative(fit, times_s, 0)))


def tsr_derivatives(fit: TSRFit, times_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and second derivative of ln T with respect to ln t.

    Parameters
    ----------
    fit : TSRFit
        From `fit_tsr`.
    times_s : ndarray of float64, shape (N,)
        Positive times, s.

    Returns
    -------
    first, second : ndarray of float64, shape (N, ...)
        -1/2 and 0 for a half-space after a flash; the first is +1/2 during step heating.

    Raises
    ------
    SequenceError
        When a time is not positive.
    """
    return _derivative(fit, times_s, 1), _derivative(fit, times_s, 2)
