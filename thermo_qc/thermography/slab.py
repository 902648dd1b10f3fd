"""Closed forms of heated plates: temperature of a slab's faces and of a half-space after a flash and a pulse."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

from thermo_qc.errors import SequenceError

__all__ = ["HALF_RISE_FOURIER", "Face", "half_space_response", "slab_flash", "slab_response", "slab_step"]

Face = Literal["front", "rear"]
HALF_RISE_FOURIER = 0.1387853  # where a slab's rear face has half of its final rise: Parker's 1.37 / pi^2
_EARLY = 0.01  # below this Fourier number a slab is a half-space to 1e-10
_TERMS = 24  # from there on the series has converged to rounding
_NO_LOSS = 1e-9


def slab_flash(fourier: NDArray[np.floating], face: Face = "front", biot: float = 0.0) -> NDArray[np.float64]:
    """Rise of a slab's face after an instant flash on its front, over the final rise without losses.

    Parameters
    ----------
    fourier : ndarray
        ``alpha t / L^2``; 0 where it is not positive.
    face : {"front", "rear"}
        Which face.
    biot : float
        ``h L / k`` of the losses, equal on both faces.

    Returns
    -------
    ndarray of float64, shape of `fourier`
        ``1 + 2 sum exp(-n^2 pi^2 Fo)`` on the front without losses, with alternating signs on the rear.

    References
    ----------
    Carslaw and Jaeger, Conduction of Heat in Solids, 1959, 3.11; Parker et al., J. Appl. Phys. 32 (1961) 1679,
    10.1063/1.1728417.
    """
    numbers, result = _prepared(fourier, face, biot)
    early, late = (numbers > 0) & (numbers < _EARLY), numbers >= _EARLY
    if face == "front":
        root = np.sqrt(numbers[early])
        result[early] = 1 / (np.sqrt(np.pi) * root) - biot * erfcx(biot * root)
    rates, weights = _modes(biot, face)
    result[late] = np.exp(-np.outer(numbers[late], rates)) @ weights
    return result


def slab_step(fourier: NDArray[np.floating], face: Face = "front", biot: float = 0.0) -> NDArray[np.float64]:
    """Rise of a slab's face under constant heating of its front: the integral of `slab_flash` over the Fourier number.

    Parameters and returned shape as for `slab_flash`; times ``q L / k`` it is a temperature.
    """
    numbers, result = _prepared(fourier, face, biot)
    early, late = (numbers > 0) & (numbers < _EARLY), numbers >= _EARLY
    if face == "front":
        root = np.sqrt(numbers[early])
        loss = biot * root
        series = root * (2 / np.sqrt(np.pi) * (1 + 2 / 3 * loss**2) - loss)
        result[early] = np.where(loss < 1e-4, series, (1 - erfcx(loss)) / max(biot, _NO_LOSS))
    rates, weights = _modes(biot, face)
    waves = np.exp(-np.outer(numbers[late], rates[1:])) @ (weights[1:] / rates[1:])
    if biot < _NO_LOSS:
        final, first = (1 / 3 if face == "front" else -1 / 6), numbers[late]
    else:
        steady = 1 / (biot * (2 + biot)) * (1 + biot if face == "front" else 1)
        final = steady - weights[0] / rates[0]
        first = -np.expm1(-rates[0] * numbers[late]) * weights[0] / rates[0]
    result[late] = final + first - waves
    return result


def slab_response(
    times_s: NDArray[np.floating],
    *,
    thickness_mm: float,
    diffusivity_mm2_s: float,
    pulse_s: float = 0.0,
    face: Face = "front",
    biot: float = 0.0,
) -> NDArray[np.float64]:
    """Rise of a slab's face during and after a pulse of constant power, over the final rise without losses.

    Parameters
    ----------
    times_s : ndarray
        After the start of the pulse, s; the rise is 0 before.
    thickness_mm, diffusivity_mm2_s : float
        Of the slab.
    pulse_s : float
        Length of the pulse; 0 for a flash.
    face, biot
        As for `slab_flash`.

    Returns
    -------
    ndarray of float64, shape of `times_s`

    Raises
    ------
    SequenceError
        When a constant is impossible.

    Examples
    --------
    >>> slab_response(np.array([0.138785]), thickness_mm=1.0, diffusivity_mm2_s=1.0, face="rear").round(4).tolist()
    [0.5]
    """
    if not all(np.isfinite(one) and one > 0 for one in (thickness_mm, diffusivity_mm2_s)) or not pulse_s >= 0:
        raise SequenceError(
            f"the slab has thickness {thickness_mm} mm, diffusivity {diffusivity_mm2_s} mm2/s and a pulse of {pulse_s} "
            "s, expected positive numbers (a pulse of 0 is a flash)"
        )
    scale = diffusivity_mm2_s / thickness_mm**2
    numbers, length = np.asarray(times_s, dtype=np.float64) * scale, pulse_s * scale
    if pulse_s == 0:
        return slab_flash(numbers, face, biot)
    return (slab_step(numbers, face, biot) - slab_step(numbers - length, face, biot)) / length


def half_space_response(times_s: NDArray[np.floating], *, pulse_s: float = 0.0) -> NDArray[np.float64]:
    """Rise of a half-space's face: ``1 / sqrt(t)`` after a flash, ``2 (sqrt(t) - sqrt(t - tau)) / tau`` after a pulse.

    Parameters
    ----------
    times_s : ndarray
        After the start of the pulse, s; the rise is 0 at and before it, and ``2 sqrt(t) / tau`` during the pulse.
    pulse_s : float
        Length tau of the pulse; 0 for a flash.

    Returns
    -------
    ndarray of float64, shape of `times_s`
        s^-1/2; times ``Q / (e sqrt(pi))`` (energy density, effusivity) it is a temperature.
    """
    times = np.maximum(np.asarray(times_s, dtype=np.float64), 0.0)
    if pulse_s == 0:
        flash: NDArray[np.float64] = np.divide(1.0, np.sqrt(times), out=np.zeros_like(times), where=times > 0)
        return flash
    # sqrt(t) - sqrt(t - tau) without the loss of digits long after a short pulse.
    heated, total = np.minimum(times, pulse_s), np.sqrt(times) + np.sqrt(np.maximum(times - pulse_s, 0.0))
    shape = np.zeros_like(times)
    return np.asarray(np.divide(2 / pulse_s * heated, total, out=shape, where=total > 0))


def _prepared(fourier: NDArray[np.floating], face: str, biot: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if face not in ("front", "rear"):
        raise SequenceError(f"the face is '{face}', expected front or rear")
    if not (np.isfinite(biot) and biot >= 0):
        raise SequenceError(f"the Biot number is {biot}, expected 0 (no losses) or a positive number")
    numbers = np.asarray(fourier, dtype=np.float64)
    return numbers, np.zeros_like(numbers)


@lru_cache(maxsize=64)
def _modes(biot: float, face: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Decay rates and weights of the slab's modes: roots of ``beta = n pi + 2 atan(Bi / beta)``."""
    n = np.arange(_TERMS)
    if biot < _NO_LOSS:
        beta, weights = n * np.pi, np.where(n == 0, 1.0, 2.0)
    else:
        beta = np.maximum(n * np.pi, min(np.pi, np.sqrt(2 * biot)))
        for _ in range(10):  # Newton
            miss = beta - n * np.pi - 2 * np.arctan2(biot, beta)
            beta = beta - miss / (1 + 2 * biot / (beta**2 + biot**2))
        weights = 2 * beta**2 / (beta**2 + biot**2 + 2 * biot)
    signs = (-1.0) ** n if face == "rear" else np.ones(_TERMS)
    return np.asarray(beta**2, dtype=np.float64), np.asarray(weights * signs, dtype=np.float64)
