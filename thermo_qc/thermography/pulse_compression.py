"""Pulse compression: cross-correlation of every pixel's curve with the coded excitation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError

__all__ = [
    "BARKER_CODES",
    "PulseCompression",
    "barker_signal",
    "chirp_signal",
    "compress_pulses",
    "compression_matrices",
    "parabola_peak",
]

BARKER_CODES: dict[int, str] = {
    2: "+-",
    3: "++-",
    4: "++-+",
    5: "+++-+",
    7: "+++--+-",
    11: "+++---+--+-",
    13: "+++++--++-+-+",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class PulseCompression:
    """Result of `compress_pulses`.

    Parameters
    ----------
    lags_s : ndarray of float64, shape (n_lags,)
        Lags from 0 on.
    correlation : ndarray of float64, shape (n_lags, ...)
        Unit of the rise: the response in phase with the excitation delayed by each lag, as an amplitude of it.
    peak : ndarray of float64, shape (...)
        Height of the correlation's maximum.
    delay_s : ndarray of float64, shape (...)
        Its lag, between the frames by a parabola.
    phase_rad : ndarray of float64, shape (...)
        Phase lag at zero delay by the excitation's Hilbert transform, -pi to pi, positive when the response is later.
    """

    lags_s: NDArray[np.float64]
    correlation: NDArray[np.float64]
    peak: NDArray[np.float64]
    delay_s: NDArray[np.float64]
    phase_rad: NDArray[np.float64]


def chirp_signal(
    times_s: NDArray[np.float64], f_start_hz: float, f_end_hz: float, duration_s: float
) -> NDArray[np.float64]:
    """Heating power of a linear chirp, 0 to 1: ``(1 - cos(2 pi (f0 t + (f1 - f0) t^2 / (2 D)))) / 2`` within 0 to D.

    Raises
    ------
    SequenceError
        When frequencies or the duration are not positive.

    References
    ----------
    Mulaveesala and Tuli, Appl. Phys. Lett. 89 (2006) 191913, 10.1063/1.2382738.
    """
    if not (f_start_hz > 0 and f_end_hz > 0 and duration_s > 0):
        raise SequenceError(
            f"a chirp from {f_start_hz} to {f_end_hz} Hz in {duration_s} s is wanted, expected positive numbers"
        )
    times = np.asarray(times_s, dtype=np.float64)
    phase = 2 * np.pi * (f_start_hz * times + (f_end_hz - f_start_hz) * times**2 / (2 * duration_s))
    return np.where((times >= 0) & (times <= duration_s), (1 - np.cos(phase)) / 2, 0.0)


def barker_signal(times_s: NDArray[np.float64], length: int, bit_s: float) -> NDArray[np.float64]:
    """Heating power of a Barker code, 0 or 1, bit by bit from time 0 on.

    Raises
    ------
    SequenceError
        When there is no such code, or bits have no length.

    References
    ----------
    Tabatabaei and Mandelis, Rev. Sci. Instrum. 80 (2009) 034902, 10.1063/1.3095560 (matched filters in thermography).
    """
    if length not in BARKER_CODES or not bit_s > 0:
        raise SequenceError(
            f"a Barker code of {length} bits of {bit_s} s is wanted, expected a positive time and one of "
            f"{', '.join(map(str, BARKER_CODES))} bits"
        )
    bits = np.array([1.0 if sign == "+" else 0.0 for sign in BARKER_CODES[length]])
    number = np.floor(np.asarray(times_s, dtype=np.float64) / bit_s).astype(np.int64)
    return np.where((number >= 0) & (number < length), bits[np.clip(number, 0, length - 1)], 0.0)


def compress_pulses(
    rise: NDArray[np.floating],
    times_s: NDArray[np.float64],
    signal: NDArray[np.float64],
    *,
    trend_order: int = 2,
    max_lag_s: float | None = None,
) -> PulseCompression:
    """Correlate every pixel's curve with the excitation, after removing the trend of the mean heating.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Rise from the start of the excitation on.
    times_s : ndarray of float64, shape (T,)
        Evenly spaced, from 0 or later.
    signal : ndarray of float64, shape (T,)
        Heating power in those frames, any scale.
    trend_order : int
        The slow rise is a polynomial of this order in the square root of time (a half-space under steady heating rises
        with it); it is fitted to each curve and removed. With -1 the
        curve is taken as it is.
    max_lag_s : float, optional
        Largest lag; a quarter of the recording when None. Below one period for a periodic excitation, whose delays
        repeat.

    Returns
    -------
    PulseCompression

    Raises
    ------
    SequenceError
        When shapes do not fit, times are uneven, or the excitation never changes.

    References
    ----------
    Tabatabaei and Mandelis, Rev. Sci. Instrum. 80 (2009) 034902, 10.1063/1.3095560.
    """
    values, times = np.asarray(rise), np.asarray(times_s, dtype=np.float64)
    if values.shape[:1] != times.shape:
        raise SequenceError(f"rise has shape {values.shape} and times {times.shape}, expected (T, ...) and (T,)")
    lags, lagged, turned = compression_matrices(times, signal, trend_order=trend_order, max_lag_s=max_lag_s)
    flat = values.reshape(times.size, -1).astype(np.float64)
    correlation = lagged @ flat
    in_phase, quadrature = turned @ flat
    peak, delay = parabola_peak(correlation, float(lags[1] - lags[0]) if lags.size > 1 else 0.0)
    shape = values.shape[1:]
    return PulseCompression(
        lags_s=lags,
        correlation=correlation.reshape(lags.size, *shape),
        peak=peak.reshape(shape),
        delay_s=delay.reshape(shape),
        phase_rad=np.arctan2(quadrature, in_phase).reshape(shape),
    )


def compression_matrices(
    times_s: NDArray[np.float64],
    signal: NDArray[np.float64],
    *,
    trend_order: int = 2,
    max_lag_s: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Give the matrices of `compress_pulses`, whose parameters and errors these are.

    Returns
    -------
    lags_s : ndarray of float64, shape (n_lags,)
    lagged : ndarray of float64, shape (n_lags, T)
        From a curve to its correlation at every lag, the trend removed.
    turned : ndarray of float64, shape (2, T)
        From a curve to its parts in phase and in quadrature with the excitation.
    """
    times, power = np.asarray(times_s, dtype=np.float64), np.asarray(signal, dtype=np.float64)
    if times.ndim != 1 or times.size < 8 or power.shape != times.shape:
        raise SequenceError(
            f"times have shape {times.shape} and the excitation {power.shape}, expected the same and at least 8 frames"
        )
    step = float(times[-1] - times[0]) / (times.size - 1)
    if step <= 0 or times[0] < 0 or np.abs(np.diff(times) - step).max() > 0.01 * step:
        raise SequenceError(
            "times are not evenly spaced from the start of the excitation on; bring the recording onto linear times "
            "first (resample_times)"
        )
    if not np.isfinite(power).all() or np.ptp(power) == 0:
        raise SequenceError("the excitation never changes in the recorded frames; check its code, bits and frequencies")
    if not -1 <= trend_order <= 8:
        raise SequenceError(f"trend_order is {trend_order}, expected -1 (none) to 8")
    from scipy.signal import hilbert  # most of a second that other maps need not pay

    root = np.sqrt(times / times[-1])
    trend = np.linalg.qr(np.vander(root, trend_order + 1, increasing=True))[0] if trend_order >= 0 else None
    wanted = (times[-1] - times[0]) / 4 if max_lag_s is None else max_lag_s
    n_lags = int(np.clip(np.floor(wanted / step + 1e-9) + 1, 1, times.size - 1))
    centred = power - power.mean()
    padded = np.concatenate([np.zeros(n_lags - 1), centred])
    lagged = np.stack([padded[n_lags - 1 - lag : n_lags - 1 - lag + times.size] for lag in range(n_lags)])
    turned = np.stack([centred, np.imag(hilbert(centred))])
    if trend is not None:
        lagged = lagged - (lagged @ trend) @ trend.T
        turned = turned - (turned @ trend) @ trend.T
    energy = np.square(lagged).sum(axis=1, keepdims=True)
    if not energy[0] > 1e-12 * np.square(centred).sum():
        raise SequenceError("the trend explains the whole excitation; lower trend_order")
    scaled = np.asarray(lagged / np.maximum(energy, 1e-12 * energy[0]))
    return np.asarray(step * np.arange(n_lags), dtype=np.float64), scaled, np.asarray(turned)


def parabola_peak(curves: NDArray[np.float64], spacing: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Height and place of the highest sample of curves (n, pixels), refined by a parabola where it has neighbours."""
    count = curves.shape[0]
    index = np.where(np.isfinite(curves), curves, -np.inf).argmax(axis=0)
    middle = np.take_along_axis(curves, index[None], axis=0)[0]
    inner = (index > 0) & (index < count - 1)
    left = np.take_along_axis(curves, np.maximum(index - 1, 0)[None], axis=0)[0]
    right = np.take_along_axis(curves, np.minimum(index + 1, count - 1)[None], axis=0)[0]
    bend = left - 2 * middle + right
    inner &= bend < 0
    shift = np.where(inner, 0.5 * (left - right) / np.where(inner, bend, -1.0), 0.0)
    height = np.where(inner, middle - 0.25 * (left - right) * shift, middle)
    place = (index + shift) * spacing
    return height, np.where(np.isfinite(middle), place, np.nan)
