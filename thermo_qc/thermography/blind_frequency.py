"""Blind frequency of pulsed phase thermography: the frequency from which on a defect no longer shows in the phase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.thermography.ppt import fourier_matrix

__all__ = [
    "BLIND_FACTOR",
    "CLOSED_FORM_FACTOR",
    "blind_frequency",
    "depth_from_blind_frequency_mm",
    "phase_noise_rad",
    "spectrum_matrix",
]

BLIND_FACTOR = 1.82  # of measured phases in the literature
CLOSED_FORM_FACTOR = 1.437  # of a wide insulating defect in a thick plate at a phase contrast of 0.03 rad


def blind_frequency(
    phase_rad: NDArray[np.floating],
    sound_phase_rad: NDArray[np.floating],
    frequencies_hz: NDArray[np.float64],
    *,
    threshold_rad: float | NDArray[np.floating],
) -> NDArray[np.float64]:
    """Find the frequency at which the phase contrast with the sound plate falls to a threshold.

    It starts from the largest contrast that exceeds the threshold and goes up in frequency to the first that does not,
    or has the other sign; in between ln f is interpolated. (The weak contrast of the other sign that a wide defect has
    above it is not looked at.)

    Parameters
    ----------
    phase_rad : ndarray, shape (F, ...)
        Phase of the pixels, see `compute_ppt`.
    sound_phase_rad : ndarray, shape (F,)
        Phase of the sound plate.
    frequencies_hz : ndarray of float64, shape (F,)
        Increasing, positive.
    threshold_rad : float or ndarray of shape (F, ...)
        Contrast that noise may make, for instance a multiple of `phase_noise_rad`.

    Returns
    -------
    ndarray of float64, shape (...)
        Hz; NaN where no contrast exceeds the threshold or none of the higher frequencies falls to it.

    Raises
    ------
    SequenceError
        When shapes do not fit or frequencies do not increase.

    References
    ----------
    Ibarra-Castanedo and Maldague, QIRT J. 1 (2004) 47, 10.3166/qirt.1.47-70.
    """
    phases, reference = np.asarray(phase_rad, dtype=np.float64), np.asarray(sound_phase_rad, dtype=np.float64)
    frequencies = np.asarray(frequencies_hz, dtype=np.float64)
    n = frequencies.size
    if frequencies.ndim != 1 or n < 2 or phases.shape[:1] != (n,) or reference.shape != (n,):
        raise SequenceError(
            f"phases have shape {phases.shape}, the sound phase {reference.shape} and frequencies {frequencies.shape}, "
            "expected (F, ...), (F,) and (F,) with two or more"
        )
    if not (frequencies[0] > 0 and (np.diff(frequencies) > 0).all()):
        raise SequenceError("frequencies are not positive and increasing; sort them")
    flat = phases.reshape(n, -1)
    contrast = (flat - reference[:, None] + np.pi) % (2 * np.pi) - np.pi
    limit = np.asarray(threshold_rad, dtype=np.float64)
    if limit.ndim:
        limit = limit.reshape(n, -1)
    size = np.abs(contrast)
    largest = np.where(size > limit, size, -1.0).argmax(axis=0)
    seen = (size > limit).any(axis=0) & np.isfinite(contrast).all(axis=0)
    sign = np.sign(np.take_along_axis(contrast, largest[None], axis=0))
    excess = sign * contrast - limit  # below zero also where the contrast changes its sign between two frequencies
    below = (np.arange(n)[:, None] > largest) & (excess <= 0)
    first = below.argmax(axis=0)
    found = seen & below.any(axis=0)
    columns, after = np.arange(first.size), np.maximum(first, 1)
    above, under = excess[after - 1, columns], excess[after, columns]
    with np.errstate(invalid="ignore"):
        share = above / np.where(above > under, above - under, 1.0)
    logs = np.log(frequencies)
    place = logs[after - 1] + share * (logs[after] - logs[after - 1])
    return np.where(found, np.exp(np.where(found, place, 0.0)), np.nan).reshape(phases.shape[1:])


def spectrum_matrix(
    times_s: NDArray[np.float64], frequencies_hz: NDArray[np.float64], *, impulse: bool = True
) -> NDArray[np.complex128]:
    """Matrix (F, T) that turns a recorded part of curves into the spectrum of the whole of them.

    A Fourier transform of a recording alone takes the jump at its end, where a defect has not cooled yet, and the
    missing first moments after a flash for signal, which bends the phase at all frequencies. Here the mean of the last
    twentieth goes on for ever, and ``1 / sqrt(t)`` leads up to the first frame after an impulse.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Evenly spaced, after the middle of a flash; positive with `impulse`.
    frequencies_hz : ndarray of float64, shape (F,)
        Above 0; below about twice the inverse of the recording's length the tail rules the phase.
    impulse : bool
        Whether the heating was a flash.

    Returns
    -------
    ndarray of complex128, shape (F, T)
        Phases count from the first frame.

    Raises
    ------
    SequenceError
        As for `compute_ppt`, and when a frequency or (with `impulse`) a time is not positive.
    """
    times, wanted = np.asarray(times_s, dtype=np.float64), np.asarray(frequencies_hz, dtype=np.float64)
    _, parts = fourier_matrix(times, frequencies_hz=tuple(wanted))
    if not (wanted > 0).all() or (impulse and not times[0] > 0):
        raise SequenceError(f"spectra need positive frequencies and times; times start at {times[0]:g} s")
    matrix: NDArray[np.complex128] = parts[: wanted.size] + 1j * parts[wanted.size :]
    omega, step = 2 * np.pi * wanted, float(times[-1] - times[0]) / (times.size - 1)
    n_last = max(1, times.size // 20)
    matrix[:, -n_last:] += (np.exp(-1j * omega * (times[-1] - times[0] + step / 2)) / (1j * omega * n_last))[:, None]
    if impulse:
        first = float(times[0])
        area = 2 * np.sqrt(first * max(first - step / 2, 0.0))  # of 1 / sqrt(t) up to half a step before the frame
        matrix[:, 0] += area * np.exp(2j / 3 * omega * first)  # its centre lies at a third
    return matrix


def phase_noise_rad(
    amplitude: NDArray[np.floating], noise: float, weights: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Give the standard deviation of the phase that white noise of the camera makes.

    Parameters
    ----------
    amplitude : ndarray
        Of the Fourier transform, see `compute_ppt`.
    noise : float
        Standard deviation of a pixel in one frame.
    weights : ndarray, shape (T,) or (F, T)
        Size of each frame's factor in the transform: the time between frames times the window, or `spectrum_matrix`.

    Returns
    -------
    ndarray of float64, shape of `amplitude`
        ``noise sqrt(sum w^2 / 2) / A``, rad; infinite where the amplitude is 0. Good well below 1 rad and away from
        frequency 0 and the highest.
    """
    values = np.asarray(amplitude, dtype=np.float64)
    gain = np.sqrt(np.square(np.abs(weights)).sum(axis=-1) / 2)
    spread = noise * gain.reshape(gain.shape + (1,) * (values.ndim - gain.ndim if gain.ndim else 0))
    noise_rad: NDArray[np.float64] = np.divide(spread, values, out=np.full(values.shape, np.inf), where=values != 0)
    return noise_rad


def depth_from_blind_frequency_mm(
    frequency_hz: NDArray[np.floating], diffusivity_mm2_s: float, factor: float = BLIND_FACTOR
) -> NDArray[np.float64]:
    """Depth ``C1 sqrt(alpha / (pi f_b))``, mm.

    C1 is 1.5 to 2 in practice and depends on the threshold, the sampling and the width of the defect: calibrate it. In
    one dimension, without noise, the phase contrast of an insulating defect in a thick plate vanishes where
    ``L = (pi / 2) sqrt(alpha / (pi f))``: C1 = 1.571, and less with a threshold (1.437 at 0.03 rad).
    """
    values = np.asarray(frequency_hz, dtype=np.float64)
    if not (np.isfinite(diffusivity_mm2_s) and diffusivity_mm2_s > 0 and np.isfinite(factor) and factor > 0):
        raise SequenceError(f"diffusivity is {diffusivity_mm2_s} mm2/s and C1 {factor}, expected positive numbers")
    return np.asarray(factor * np.sqrt(diffusivity_mm2_s / (np.pi * values)))
