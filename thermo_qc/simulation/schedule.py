"""When the solver steps, and how frames are read off between its steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["Segment", "frame_times_s", "frame_weights", "lagrange_weights", "plan_segments"]

_GROWTH = 1.35


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """A stretch of constant heating.

    Parameters
    ----------
    times_s : ndarray of float64, shape (N,)
        Start of the stretch and end of every step.
    """

    times_s: NDArray[np.float64]


def frame_times_s(frame_rate_hz: float, cold_s: float, duration_s: float) -> NDArray[np.float64]:
    """Place the frames: whole periods from the last cold ones before zero to the end, float64 (T,)."""
    n_cold, n_hot = (int(np.floor(span * frame_rate_hz * (1 + 1e-12) + 1e-9)) for span in (cold_s, duration_s))
    return np.arange(-n_cold, n_hot + 1) / frame_rate_hz


def plan_segments(
    switches_s: tuple[float, ...], end_s: float, *, first_step_s: float, max_step_s: float
) -> list[Segment]:
    """Cut the time from 0 to `end_s` at the switches into steps that start short and grow.

    Parameters
    ----------
    switches_s : tuple of float
        Times at which the heating changes; those outside the recording are ignored.
    end_s : float
        End of the recording.
    first_step_s, max_step_s : float
        Length of the first step after each switch, and of the largest one.

    Returns
    -------
    list of Segment
        They meet at the switches; the last one ends at `end_s`.
    """
    cuts = [0.0, *sorted({t for t in switches_s if 0 < t < end_s}), end_s]
    return [Segment(times_s=start + _steps(stop - start, first_step_s, max_step_s)) for start, stop in pairwise(cuts)]


def _steps(span: float, first: float, largest: float) -> NDArray[np.float64]:
    ends, step = [0.0], min(first, largest)
    while step < largest and ends[-1] + 2 * step < span:
        ends.append(ends[-1] + step)
        step = min(step * _GROWTH, largest)
    rest = span - ends[-1]
    even = np.arange(1, max(1, int(np.ceil(rest / step - 1e-9))) + 1)
    return np.append(ends, ends[-1] + rest * even / even[-1])


def frame_weights(segment: Segment, t_s: float) -> tuple[int, NDArray[np.float64]]:
    """Weights of the steps round `t_s`: a cubic in the square root of the time since the switch.

    The surface of a heated solid follows that root right after a switch, so the cubic is good there too.

    Returns
    -------
    first : int
        Index of the first step used.
    weights : ndarray of float64, shape (up to 4,)
        They sum to 1.
    """
    times = segment.times_s
    if times[-1] - t_s < 1e-9 * max(1.0, times[-1]):
        return times.size - 1, np.ones(1)
    after = int(np.clip(np.searchsorted(times, t_s, side="right"), 1, times.size - 1))
    first = int(np.clip(after - 2, 0, max(0, times.size - 4)))
    s = np.sqrt(np.maximum(times[first : first + 4] - times[0], 0.0))
    x = np.sqrt(max(t_s - times[0], 0.0))
    return first, lagrange_weights(s, float(x))


def lagrange_weights(nodes: NDArray[np.float64], at: float) -> NDArray[np.float64]:
    """Weights of the values at `nodes` in the polynomial through them, float64 (N,); they sum to 1."""
    n = nodes.size
    return np.array([np.prod([(at - nodes[j]) / (nodes[i] - nodes[j]) for j in range(n) if j != i]) for i in range(n)])
