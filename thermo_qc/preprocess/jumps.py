"""Jumps in one curve: steps from one frame to the next that change the level and nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.preprocess.statistics import MAD_TO_STD

__all__ = ["candidates", "is_level_jump", "smooth_axis", "step_weights", "window_round", "without_jumps"]

SIGMAS = 8.0
SIDE = 3
NEIGHBOURS = 6
WINDOW_FRAMES = 8
LARGEST_KINK = 0.5


def candidates(differences: NDArray[np.float64], floor: float = 0.0, apart: int = 2) -> NDArray[np.intp]:
    """Find single differences that stand out of those round them.

    Parameters
    ----------
    differences : ndarray of float64, shape (T,)
        Difference of every frame to the one before; NaN where unknown (the first).
    floor : float
        Deviations up to this are never told.
    apart : int
        Of several that close together, frames, only the largest is told.

    Returns
    -------
    ndarray of int, shape (n,)
        Frames whose difference deviates from the mean of the medians of the three before and the three after it, by
        eight times both the curve's robust scatter of such deviations and that within six frames. Growing.
    """
    n = differences.size
    if n < 2 * SIDE + 1:
        return np.array([], dtype=np.intp)
    threes = np.lib.stride_tricks.sliding_window_view(differences, SIDE)
    middle = _median(threes)
    deviation = np.full(n, np.nan)
    inner = slice(SIDE, n - SIDE)
    deviation[inner] = np.abs(differences[inner] - (middle[: n - 2 * SIDE] + middle[SIDE + 1 :]) / 2)
    sigma = MAD_TO_STD * float(np.nanmedian(deviation)) if np.isfinite(deviation).any() else 0.0
    padded = np.pad(deviation, NEIGHBOURS, constant_values=np.nan)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1).copy()
    largest = np.nan_to_num(near[:, NEIGHBOURS - apart : NEIGHBOURS + apart + 1], nan=0.0).max(axis=1)
    near[:, NEIGHBOURS - 1 : NEIGHBOURS + 2] = np.nan
    local = MAD_TO_STD * np.nan_to_num(_median(near))
    known = np.nan_to_num(deviation)
    return np.flatnonzero((known > np.maximum(SIGMAS * np.maximum(sigma, local), floor)) & (known == largest))


def _median(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of the finite values of every row; NaN where there are none."""
    count = np.isfinite(rows).sum(axis=1)
    ordered = np.sort(rows, axis=1)
    pick = np.arange(rows.shape[0])
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, rows.shape[1] - 1)
    return np.where(count > 0, (ordered[pick, low] + ordered[pick, high]) / 2, np.nan)


def window_round(place: int, others: NDArray[np.intp] | list[int], n: int, reach: int = WINDOW_FRAMES) -> slice:
    """Frames round the step at `place` that no other step divides."""
    low = max([0, place - reach, *(int(other) for other in others if other < place)])
    high = min([n, place + reach, *(int(other) for other in others if other > place)])
    return slice(low, high)


def smooth_axis(times_s: NDArray[np.float64], events_s: tuple[float, ...] = ()) -> NDArray[np.float64]:
    """Give the times an axis on which heating and cooling are smooth: the logarithm since the last of `events_s`."""
    before = [event for event in events_s if event <= times_s[0]]
    step = float(np.median(np.diff(times_s))) if times_s.size > 1 else 1.0
    since = times_s if not before else np.log(times_s - max(before) + 0.5 * step)
    reach = float(np.ptp(since))
    return np.asarray((since - since.mean()) * (2.0 / reach if reach > 0 else 1.0))


def step_weights(axis: NDArray[np.float64], n_before: int, degree: int) -> NDArray[np.float64]:
    """Weights of the frames in the least-squares step between frame ``n_before - 1`` and the next.

    Parameters
    ----------
    axis : ndarray of float64, shape (n,)
        See `smooth_axis`.
    n_before : int
        Frames before the step, 1 to n - 1.
    degree : int
        Of the polynomial that both sides share; lowered to ``n_before - 1`` and ``n - n_before - 1``.

    Returns
    -------
    ndarray of float64, shape (n,)
        Their product with a curve is its step; the root of the sum of their squares is its noise.
    """
    degree = max(0, min(degree, n_before - 1, axis.size - n_before - 1))
    columns = [axis**power for power in range(degree + 1)]
    matrix = np.stack([*columns, (np.arange(axis.size) >= n_before).astype(np.float64)], axis=1)
    return np.asarray(np.linalg.pinv(matrix)[-1])


def is_level_jump(curve: NDArray[np.float64], axis: NDArray[np.float64], n_before: int) -> bool:
    """Whether a curve steps without a change of its slope: heating that starts or stops, and a flash, bend it.

    A parabola with a step and a bend at the same place is fitted; over one side of the window the bend of a level jump
    is below half of the step.
    """
    after = axis.size - n_before
    if min(n_before, after) < 3:
        return False
    place = (axis[n_before - 1] + axis[n_before]) / 2
    side = axis - place
    side = side / float(np.abs(side).max())
    late = (np.arange(axis.size) >= n_before).astype(np.float64)
    columns = [np.ones_like(side), side, late, late * side]
    if axis.size > 6:
        columns.append(side**2)
    solution = np.linalg.lstsq(np.stack(columns, axis=1), curve, rcond=None)[0]
    return bool(abs(solution[3]) < LARGEST_KINK * abs(solution[2]))


def without_jumps(curve: NDArray[np.float64], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring all levels of one finite curve (T,) to that of its first frame, see `is_level_jump`."""
    result = curve.copy()
    found = candidates(np.diff(curve, prepend=np.nan), 1e-7 * float(np.abs(curve).max()))
    for place in found.tolist():
        part = window_round(place, found, curve.size)
        axis = smooth_axis(times_s[part])
        if is_level_jump(curve[part], axis, place - part.start):
            result[place:] -= float(step_weights(axis, place - part.start, 2) @ curve[part])
    return result
