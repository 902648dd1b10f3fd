"""Time axes: linear and logarithmic steps, and resampling onto them as one matrix product."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.sequence import ThermalSequence

__all__ = ["linear_times_s", "log_times_s", "resample_times", "resampling_matrix"]


def linear_times_s(start_s: float, end_s: float, n_steps: int) -> NDArray[np.float64]:
    """Return `n_steps` evenly spaced times from `start_s` to `end_s`, both included, s.

    Raises
    ------
    SequenceError
        When the end does not follow the start or fewer than two steps are wanted.
    """
    _check_span(start_s, end_s, n_steps)
    return np.linspace(start_s, end_s, n_steps)


def log_times_s(start_s: float, end_s: float, n_steps: int) -> NDArray[np.float64]:
    """Return `n_steps` times from `start_s` to `end_s`, both included, with a constant ratio, s.

    Raises
    ------
    SequenceError
        When the start is not positive, the end does not follow it or fewer than two steps are wanted.
    """
    _check_span(start_s, end_s, n_steps)
    if start_s <= 0:
        raise SequenceError(f"logarithmic times start at {start_s:g} s, expected a time greater than 0")
    times = np.geomspace(start_s, end_s, n_steps)
    times[0], times[-1] = start_s, end_s
    return times


def _check_span(start_s: float, end_s: float, n_steps: int) -> None:
    if n_steps < 2 or not end_s > start_s:
        raise SequenceError(
            f"{n_steps} steps from {start_s:g} s to {end_s:g} s are no time axis; "
            "give at least 2 steps and an end after the start"
        )


def resampling_matrix(times_s: NDArray[np.float64], new_times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights that turn values at `times_s` into values at `new_times_s`.

    A new time owns the bin between the midpoints to its neighbours; the outermost bins do not reach beyond the wanted
    times, so frames before the start (still heating, say) have no part. Where two or more frames fall into a bin their
    mean is taken (less noise, no aliasing), moved to the new time along their regression line; when all of them lie
    on one side of it, the neighbour on the other side joins them. Elsewhere the value is interpolated linearly.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Strictly increasing times of the frames.
    new_times_s : ndarray of float64, shape (N,)
        Strictly increasing wanted times within the range of `times_s` (a tolerance of half a frame at either end).

    Returns
    -------
    ndarray of float64, shape (N, T)
        Every row sums to one, and a straight line is reproduced exactly.

    Raises
    ------
    SequenceError
        When the wanted times do not increase or reach outside the recording.
    """
    old, new = np.asarray(times_s, dtype=np.float64), np.asarray(new_times_s, dtype=np.float64)
    if new.ndim != 1 or new.size == 0 or not np.isfinite(new).all() or (np.diff(new) <= 0).any():
        raise SequenceError("the wanted times do not strictly increase; give one list of growing times in seconds")
    _check_inside(old, new)
    weights = _interpolation(old, new)
    if new.size < 2:
        return weights
    middles = (new[1:] + new[:-1]) / 2
    first = np.searchsorted(old, np.concatenate([new[:1], middles]), side="left")
    last = np.append(np.searchsorted(old, middles, side="left"), np.searchsorted(old, new[-1], side="right"))
    for row in np.flatnonzero(last - first >= 2):
        used = np.union1d(np.arange(first[row], last[row]), np.flatnonzero(weights[row]))
        if old[first[row]] <= new[row] <= old[last[row] - 1]:
            used = np.arange(first[row], last[row])
        weights[row] = 0.0
        weights[row, used] = _line_weights(old[used], new[row])
    return weights


def _check_inside(old: NDArray[np.float64], new: NDArray[np.float64]) -> None:
    slack = 0.5 * float(np.median(np.diff(old))) if old.size > 1 else 0.0
    if new[0] < old[0] - slack or new[-1] > old[-1] + slack:
        raise SequenceError(
            f"times from {new[0]:g} s to {new[-1]:g} s are wanted, the recording runs from {old[0]:g} s to "
            f"{old[-1]:g} s; choose a window inside the recording"
        )


def _interpolation(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation; outside the recording (half a frame at most) the end value holds."""
    weights = np.zeros((new.size, old.size))
    rows = np.arange(new.size)
    if old.size == 1:
        weights[:, 0] = 1.0
        return weights
    right = np.clip(np.searchsorted(old, new, side="right"), 1, old.size - 1)
    share = np.clip((new - old[right - 1]) / (old[right] - old[right - 1]), 0.0, 1.0)
    weights[rows, right - 1] = 1.0 - share
    weights[rows, right] += share
    return weights


def _line_weights(times: NDArray[np.float64], target: float) -> NDArray[np.float64]:
    """Mean of the frames in a bin, moved to the target time by their regression line; never beyond their span."""
    centred = times - times.mean()
    shift = float(np.clip(target, times[0], times[-1]) - times.mean())
    weights: NDArray[np.float64] = 1.0 / times.size + shift * centred / float((centred**2).sum())
    return weights


def resample_times(sequence: ThermalSequence, new_times_s: NDArray[np.float64]) -> ThermalSequence:
    """Bring a sequence onto other times: bin means where frames are dense, interpolation where they are sparse.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; read in bands of rows.
    new_times_s : ndarray of float64, shape (N,)
        Wanted times on the sequence's own axis, s.

    Returns
    -------
    ThermalSequence
        In memory, float32, N frames. A frame that is not finite spoils only the new times it takes part in.

    Raises
    ------
    SequenceError
        When the wanted times do not increase or reach outside the recording.
    """
    weights = resampling_matrix(sequence.times_s, new_times_s).astype(np.float32)
    frames = np.empty((weights.shape[0], *sequence.frame_shape), dtype=np.float32)
    for rows, block in sequence.blocks():
        frames[:, rows, :] = _product(weights, block.reshape(block.shape[0], -1)).reshape(-1, *block.shape[1:])
    return sequence.with_frames(
        frames,
        "resample_times",
        parameters={
            "t_start_s": float(new_times_s[0]),
            "t_end_s": float(new_times_s[-1]),
            "n_steps": int(weights.shape[0]),
        },
        times_s=np.asarray(new_times_s, dtype=np.float64),
    )


def _product(weights: NDArray[np.float32], curves: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights (N, T) times curves (T, P) about the first finite value, so float32 keeps millikelvins on 300 K."""
    finite = np.isfinite(curves)
    base = np.where(finite[0], curves[0], np.float32(0.0))
    if finite.all():
        return np.asarray(weights @ (curves - base) + base, dtype=np.float32)
    filled = np.where(finite, curves - base, np.float32(0.0))
    touched = np.abs(weights) @ (~finite).astype(np.float32)
    return np.where(touched > 0, np.float32(np.nan), weights @ filled + base).astype(np.float32)
