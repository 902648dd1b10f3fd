"""Blind frequency of pulsed phase thermography: the frequency from which on a defect no longer shows in the phase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError

__all__ = ["BLIND_FACTOR", "blind_frequency", "depth_from_blind_frequency_mm", "phase_noise_rad"]

BLIND_FACTOR = 1.82


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
    weights : ndarray, shape (T,)
        Factor of each frame in the transform: the time between frames times the window.

    Returns
    -------
    ndarray of float64, shape of `amplitude`
        ``noise sqrt(sum w^2 / 2) / A``, rad; infinite where the amplitude is 0. Good well below 1 rad and away from
        frequency 0 and the highest.
    """
    spread = noise * np.sqrt(np.square(np.asarray(weights, dtype=np.float64)).sum() / 2)
    values = np.asarray(amplitude, dtype=np.float64)
    noise_rad: NDArray[np.float64] = np.divide(spread, values, out=np.full(values.shape, np.inf), where=values != 0)
    return noise_rad


def depth_from_blind_frequency_mm(
    frequency_hz: NDArray[np.floating], diffusivity_mm2_s: float, factor: float = BLIND_FACTOR
) -> NDArray[np.float64]:
    """Depth ``C1 sqrt(alpha / (pi f_b))``, mm.

    C1 is 1.5 to 2 in practice and depends on the threshold, the sampling and the width of the defect: calibrate it. In
    one dimension, without noise, the phase contrast of an insulating defect in a thick plate vanishes where
    ``L = (pi / 2) sqrt(alpha / (pi f))``: C1 = 1.571, and less with a threshold.
    """
    values = np.asarray(frequency_hz, dtype=np.float64)
    if not (np.isfinite(diffusivity_mm2_s) and diffusivity_mm2_s > 0 and np.isfinite(factor) and factor > 0):
        raise SequenceError(f"diffusivity is {diffusivity_mm2_s} mm2/s and C1 {factor}, expected positive numbers")
    return np.asarray(factor * np.sqrt(diffusivity_mm2_s / (np.pi * values)))
