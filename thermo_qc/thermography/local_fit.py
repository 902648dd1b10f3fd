"""Values and slopes of noisy curves at any time, as one matrix product: local polynomials in the logarithm of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError

__all__ = ["interpolation_matrix", "local_polynomial_matrix", "log_grid"]


def log_grid(times_s: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Give n times evenly over the logarithm, from the first to the last of positive times."""
    if not times_s[0] > 0:
        raise SequenceError(f"times start at {times_s[0]:g} s, expected positive ones; count from the heating")
    grid = np.exp(np.linspace(np.log(times_s[0]), np.log(times_s[-1]), n))
    return np.clip(grid, times_s[0], times_s[-1])


def interpolation_matrix(
    times_s: NDArray[np.float64], at_s: NDArray[np.float64], n_frames: int = 2
) -> NDArray[np.float64]:
    """Matrix (n, T) that reads curves off at given times: a straight line through the nearest frames.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Increasing times of the frames.
    at_s : ndarray of float64, shape (n,)
        Wanted times, from the first to the last of them.
    n_frames : int
        Frames that the line goes through: 2 interpolates, more average noise out, 1 takes the nearest frame.

    Raises
    ------
    SequenceError
        When a time lies outside the frames, or there are fewer frames.
    """
    times, wanted = np.asarray(times_s, dtype=np.float64), np.atleast_1d(np.asarray(at_s, dtype=np.float64))
    if not 1 <= n_frames <= times.size:
        raise SequenceError(f"{n_frames} frames are to be averaged of {times.size}, expected 1 to {times.size}")
    slack = 1e-9 * (times[-1] - times[0])  # times that went through another clock
    outside = wanted[~((wanted >= times[0] - slack) & (wanted <= times[-1] + slack))]
    if outside.size:
        raise SequenceError(
            f"{outside.tolist()} s are wanted of frames from {times[0]:.4g} to {times[-1]:.4g} s; choose times between"
        )
    matrix = np.zeros((wanted.size, times.size))
    for row, time in zip(matrix, wanted, strict=True):
        if n_frames == 1:
            row[np.abs(times - time).argmin()] = 1.0
            continue
        first = int(np.clip(np.searchsorted(times, time) - n_frames // 2, 0, times.size - n_frames))
        part = slice(first, first + n_frames)
        row[part] = np.linalg.pinv(np.vander(times[part] - time, 2, increasing=True))[0]
    return matrix


def local_polynomial_matrix(
    times_s: NDArray[np.float64],
    at_s: NDArray[np.float64],
    *,
    width: float = 0.3,
    degree: int = 2,
    derivative: int = 0,
) -> NDArray[np.float64]:
    """Matrix (n, T) that smooths curves: weighted local polynomials in ln t, their value or derivative by t.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Positive, increasing times of the frames.
    at_s : ndarray of float64, shape (n,)
        Wanted times within them.
    width : float
        Half width of the window in ln t, with tricube weights; where it holds too few frames it reaches out to the
        nearest two more than the polynomial needs.
    degree : int
        Of the polynomials.
    derivative : {0, 1}
        0 for values, 1 for slopes per second.

    Raises
    ------
    SequenceError
        When times are not positive, or fewer than ``degree + 3``.

    References
    ----------
    Cleveland, J. Am. Stat. Assoc. 74 (1979) 829, 10.2307/2286407.
    """
    times, wanted = np.asarray(times_s, dtype=np.float64), np.asarray(at_s, dtype=np.float64)
    needed = degree + 3
    if times.size < needed or not times[0] > 0:
        raise SequenceError(
            f"{times.size} frames from {times[0] if times.size else np.nan:g} s came, expected {needed} or more at "
            "positive times"
        )
    logs = np.log(times)
    matrix = np.zeros((wanted.size, times.size))
    for row, time in zip(matrix, wanted, strict=True):
        offset = logs - np.log(time)
        reach = max(width, 1.001 * float(np.partition(np.abs(offset), needed - 1)[needed - 1]))
        near = np.abs(offset) < reach
        weights = (1 - np.abs(offset[near] / reach) ** 3) ** 1.5  # square roots of tricube weights
        basis = np.vander(offset[near] / reach, degree + 1, increasing=True)
        solver = np.linalg.pinv(weights[:, None] * basis) * weights
        row[near] = solver[derivative] / (reach * time) ** derivative
    return matrix
