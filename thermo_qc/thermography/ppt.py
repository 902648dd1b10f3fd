"""Pulsed phase thermography: amplitude and phase of every pixel at chosen frequencies, as one matrix product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, UnknownNameError, suggestion

__all__ = ["PPT", "WINDOWS", "compute_ppt", "fourier_matrix"]

WINDOWS: tuple[str, ...] = (
    *("none", "hann", "hamming", "blackman", "blackmanharris", "nuttall", "flattop", "bartlett", "cosine", "tukey"),
    "kaiser",
)
_PARAMETERS = {"tukey": 0.5, "kaiser": 8.6}  # share of the taper; beta


@dataclass(frozen=True, kw_only=True, eq=False)
class PPT:
    """Result of `compute_ppt`.

    Parameters
    ----------
    frequencies_hz : ndarray of float64, shape (n,)
        The chosen frequencies.
    amplitude : ndarray of float64, shape (n, ...)
        Unit of the frames times s.
    phase_rad : ndarray of float64, shape (n, ...)
        From -pi to pi, against the first frame used.
    """

    frequencies_hz: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    phase_rad: NDArray[np.float64]


def compute_ppt(
    frames: NDArray[np.floating],
    times_s: NDArray[np.float64],
    bins: tuple[int, ...] = (1, 2, 3, 4),
    *,
    frequencies_hz: tuple[float, ...] | None = None,
    window: str = "none",
    t_start_s: float | None = None,
    t_end_s: float | None = None,
    n_padded: int | None = None,
) -> PPT:
    """Fourier transform every pixel's curve at chosen frequencies.

    ``F(f) = dt sum_k w_k T(k dt) exp(-2 pi i f k dt)``, at ``f = n / (N dt)`` for bins n.

    Parameters
    ----------
    frames : ndarray, shape (T, ...)
        Usually the temperature rise in the cooling; values that are not finite make their pixel NaN.
    times_s : ndarray of float64, shape (T,)
        Evenly spaced times; resample before where they are not.
    bins : tuple of int
        Wanted multiples n of ``1 / (N dt)``, from 0 to N // 2; N is the number of used frames, or `n_padded`.
    frequencies_hz : tuple of float, optional
        Wanted frequencies instead of bins, from 0 to ``1 / (2 dt)``. What a recording of length D resolves is 1 / D.
    window : str
        Weights w_k against the jump between the last and the first frame, one of `WINDOWS` ("tukey" with half of it
        tapered, "kaiser" with beta 8.6). Long windows of the cooling take "none" for absolute amplitudes.
    t_start_s, t_end_s : float, optional
        Truncation: frames from and to these times are used; all when None.
    n_padded : int, optional
        Length N after appending zeros, for bins on a finer grid; none are appended when None.

    Returns
    -------
    PPT

    Raises
    ------
    SequenceError
        When shapes do not fit, times are uneven, too few are left, or a frequency does not exist.
    UnknownNameError
        When the window is not known.

    References
    ----------
    Maldague and Marinetti, J. Appl. Phys. 79 (1996) 2694, 10.1063/1.362662.
    """
    values, times = np.asarray(frames), np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or times.size < 2 or values.shape[:1] != times.shape:
        raise SequenceError(
            f"frames have shape {values.shape} and times {times.shape}, expected (T, ...) and (T,), T > 1"
        )
    low = -np.inf if t_start_s is None else t_start_s
    high = np.inf if t_end_s is None else t_end_s
    used = (times >= low) & (times <= high)
    wanted, matrix = fourier_matrix(
        times[used], bins=bins, frequencies_hz=frequencies_hz, window=window, n_padded=n_padded
    )
    real, imaginary = np.split(matrix @ values[used].reshape(int(used.sum()), -1).astype(np.float64), 2)
    shape = (wanted.size, *values.shape[1:])
    return PPT(
        frequencies_hz=wanted,
        amplitude=np.hypot(real, imaginary).reshape(shape),
        phase_rad=np.arctan2(imaginary, real).reshape(shape),
    )


def fourier_matrix(
    times_s: NDArray[np.float64],
    *,
    bins: tuple[int, ...] = (),
    frequencies_hz: tuple[float, ...] | None = None,
    window: str = "none",
    n_padded: int | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the matrix that turns curves into real and imaginary parts; parameters and errors as for `compute_ppt`.

    Returns
    -------
    frequencies_hz : ndarray of float64, shape (n,)
    matrix : ndarray of float64, shape (2 n, T)
        Rows of the real parts, then those of the imaginary parts.
    """
    times = np.asarray(times_s, dtype=np.float64)
    if times.size < 2:
        raise SequenceError(f"{times.size} frames lie in the window of the Fourier transform, expected at least 2")
    n, steps = times.size, np.diff(times)
    step = float(times[-1] - times[0]) / (n - 1)
    if step <= 0 or np.abs(steps - step).max() > 0.01 * step:
        raise SequenceError("times are not evenly spaced; bring the recording onto linear times first (resample_times)")
    length = n if n_padded is None else n_padded
    if length < n:
        raise SequenceError(f"{n} frames cannot be padded to {length}, expected at least {n}")
    if frequencies_hz is None:
        wrong = [number for number in bins if not 0 <= number <= length // 2]
        if wrong or not bins:
            raise SequenceError(
                f"frequency bins {list(bins)} are wanted of {length} frames, expected some of 0 to {length // 2}"
            )
        wanted = np.asarray(bins) / (length * step)
    else:
        wanted = np.asarray(frequencies_hz, dtype=np.float64)
        if wanted.size == 0 or not ((wanted >= 0) & (wanted <= 0.5 / step * (1 + 1e-9))).all():
            raise SequenceError(
                f"frequencies {list(frequencies_hz)} Hz are wanted, expected some from 0 to {0.5 / step:.4g} Hz"
            )
    weights = step * _window(window, n)
    angle = -2 * np.pi * np.outer(wanted, np.arange(n) * step)
    return wanted, np.concatenate([np.cos(angle), np.sin(angle)]) * weights


def _window(name: str, n: int) -> NDArray[np.float64]:
    if name not in WINDOWS:
        raise UnknownNameError(f"unknown window '{name}'{suggestion(name, WINDOWS)}")
    if name == "none":
        return np.ones(n)
    from scipy.signal import get_window  # most of a second that "none" need not pay

    spec = (name, _PARAMETERS[name]) if name in _PARAMETERS else name
    return np.asarray(get_window(spec, n, fftbins=True), dtype=np.float64)
