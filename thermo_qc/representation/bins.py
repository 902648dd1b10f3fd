"""Bins of time that depend on fractions of a recording's own times only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError
from thermo_qc.preprocess import resampling_matrix

__all__ = ["TimeBins", "time_bins"]

_MOST_SKIPPED = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeBins:
    """How the frames of a recording become bins.

    Parameters
    ----------
    weights : ndarray of float64, shape (B, T)
        Bins from frames; with cold frames their mean is subtracted. Rows of absent bins are 0.
    elapsed_s : ndarray of float64, shape (B,)
        Time of each bin since the start of the heating.
    heated : ndarray of bool, shape (B,)
        Bins while the lamps shine.
    present : ndarray of bool, shape (B,)
        Bins that the recording covers.
    noise : ndarray of float64, shape (B,)
        Noise of each bin over that of a frame, without that of the cold frame; 1 where absent.
    cold : bool
        Whether cold frames are subtracted.
    level_noise : float
        Noise of their mean over that of a frame, which all bins share; 0 where there are none.
    """

    weights: NDArray[np.float64]
    elapsed_s: NDArray[np.float64]
    heated: NDArray[np.bool_]
    present: NDArray[np.bool_]
    noise: NDArray[np.float64]
    cold: bool
    level_noise: float = 0.0


def time_bins(
    times_s: NDArray[np.float64],
    *,
    heating_stop_s: float,
    n_heating: int = 12,
    n_cooling: int = 52,
    first_share: float = 0.004,
) -> TimeBins:
    """Divide a recording into bins that depend on fractions of its own times only.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Time of each frame, 0 is the start of the heating; earlier frames are cold.
    heating_stop_s : float
        End of the heating.
    n_heating : int
        Bins from the start to the end of the heating, evenly spaced; absent when fewer than three frames show it.
    n_cooling : int
        Bins of the cooling, evenly spaced in the logarithm of the time since the end of the heating; absent where the
        recording starts later, and where it ends with the heating.
    first_share : float
        First of them over the last.

    Returns
    -------
    TimeBins

    Raises
    ------
    ModelError
        When too few frames are left to see anything.
    """
    times = np.asarray(times_s, dtype=np.float64)
    heated, cooled = (times >= 0) & (times <= heating_stop_s), times > heating_stop_s
    cold = times < 0
    n_bins = n_heating + n_cooling
    weights = np.zeros((n_bins, times.size))
    elapsed = np.zeros(n_bins)
    if heated.sum() >= 3:
        inside = times[heated]
        elapsed[:n_heating] = np.linspace(inside[0], inside[-1], n_heating)
        weights[:n_heating, heated] = resampling_matrix(inside, elapsed[:n_heating])
    if cooled.sum() >= 3:
        after = times[cooled] - heating_stop_s
        wanted = after[-1] * np.geomspace(first_share, 1.0, n_cooling)
        seen = wanted >= after[0] - 0.25 * (after[1] - after[0])
        rows = np.flatnonzero(seen) + n_heating
        weights[np.ix_(rows, np.flatnonzero(cooled))] = resampling_matrix(after, wanted[seen])
        elapsed[n_heating:] = heating_stop_s + wanted
    present = np.asarray(weights.any(axis=1))
    if present.sum() < _MOST_SKIPPED * min(n_heating, n_cooling) or present.sum() < 6:
        raise ModelError(
            f"{int(heated.sum())} frames of the heating and {int(cooled.sum())} of the cooling came, too few to see "
            "anything; record at a higher rate, for longer, or check heating_stop_s"
        )
    noise = np.where(present, np.sqrt((weights**2).sum(axis=1)), 1.0)
    if cold.any():
        weights[np.ix_(np.flatnonzero(present), np.flatnonzero(cold))] = -1.0 / cold.sum()
    return TimeBins(
        weights=weights,
        elapsed_s=elapsed,
        heated=np.arange(n_bins) < n_heating,
        present=present,
        noise=noise,
        cold=bool(cold.any()),
        level_noise=1.0 / float(np.sqrt(cold.sum())) if cold.any() else 0.0,
    )
