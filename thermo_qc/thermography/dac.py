"""Differential absolute contrast: each pixel against the sound curve that its own early frames foretell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.thermography.local_fit import interpolation_matrix
from thermo_qc.thermography.slab import half_space_response, slab_response

__all__ = [
    "InterpolatedDAC",
    "SoundFit",
    "dac_law",
    "differential_absolute_contrast",
    "fit_sound_part",
    "interpolated_dac",
]


def dac_law(
    times_s: NDArray[np.floating],
    *,
    pulse_s: float = 0.0,
    thickness_mm: float | None = None,
    diffusivity_mm2_s: float | None = None,
) -> NDArray[np.float64]:
    """Shape of the sound plate's curve that differential absolute contrast goes by.

    A thick plate after a flash: ``1 / sqrt(t)``; a plate of finite thickness: the inverse Laplace transform of
    ``coth(sqrt(p L^2 / alpha)) / sqrt(p)``, here in its closed form, the theta series of a slab. After a pulse of
    length tau each is the difference of its step responses at t and ``t - tau``: ``sqrt(t) - sqrt(t - tau)``.

    Parameters
    ----------
    times_s : ndarray of shape (T,)
        After the middle of a flash, or from the start of a pulse (during which the curve rises).
    pulse_s : float
        Length of the pulse, s; 0 for a flash.
    thickness_mm, diffusivity_mm2_s : float, optional
        Of the sound plate, for its finite form; both or neither.

    Returns
    -------
    ndarray of float64, shape (T,)
        Up to a factor; 0 at times that are not positive.

    Raises
    ------
    SequenceError
        When only one of thickness and diffusivity is given, or a number is impossible.

    References
    ----------
    Pilla et al., Proc. QIRT 2002, 10.21611/qirt.2002.004; Benitez et al., Infrared Phys. Technol. 51 (2008) 160.
    """
    if (thickness_mm is None) != (diffusivity_mm2_s is None):
        raise SequenceError(
            "the finite-plate form needs thickness_mm and diffusivity_mm2_s; give both, or neither for a thick plate"
        )
    if not (np.isfinite(pulse_s) and pulse_s >= 0):
        raise SequenceError(f"the pulse lasts {pulse_s} s, expected 0 (a flash) or a positive time")
    if thickness_mm is None or diffusivity_mm2_s is None:
        return half_space_response(times_s, pulse_s=pulse_s)
    return slab_response(
        times_s, thickness_mm=thickness_mm, diffusivity_mm2_s=diffusivity_mm2_s, pulse_s=pulse_s, face="front"
    )


def differential_absolute_contrast(
    rise: NDArray[np.floating],
    times_s: NDArray[np.float64],
    t_reference_s: float,
    *,
    pulse_s: float = 0.0,
    thickness_mm: float | None = None,
    diffusivity_mm2_s: float | None = None,
    n_frames: int = 2,
) -> NDArray[np.float64]:
    """Contrast ``T(t) - f(t) / f(t') T(t')`` with one time t' at which no defect shows yet; f is `dac_law`.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Rise of the pixels.
    times_s : ndarray of float64, shape (T,)
        Increasing, as for `dac_law`.
    t_reference_s : float
        t', between the first positive and the last of these times; T(t') is read off between frames.
    pulse_s, thickness_mm, diffusivity_mm2_s
        As for `dac_law`.
    n_frames : int
        Frames round t' that its amplitude is averaged over; 2 interpolates.

    Returns
    -------
    ndarray of float64, shape (T, ...)
        Unit of the rise; 0 where the pixel goes as a sound plate.

    Raises
    ------
    SequenceError
        When shapes do not fit, t' lies outside the frames, or a constant is impossible.

    References
    ----------
    As for `dac_law`.

    Examples
    --------
    >>> times = np.array([0.5, 1.0, 2.0, 4.0])
    >>> differential_absolute_contrast(3 / np.sqrt(times), times, 1.0).round(12).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    values, times, law = _checked(rise, times_s, pulse_s, thickness_mm, diffusivity_mm2_s)
    weights = amplitude_weights(times, law, t_reference_s, n_frames)
    amplitude = np.tensordot(weights, values, axes=1)
    return np.asarray(values - np.multiply.outer(law, amplitude))


def amplitude_weights(
    times_s: NDArray[np.float64], law: NDArray[np.float64], t_reference_s: float, n_frames: int
) -> NDArray[np.float64]:
    """Weights (T,) that read the amplitude of `law` off a curve at t'."""
    heated = np.flatnonzero(law > 0)
    if heated.size < 2:
        raise SequenceError(f"{heated.size} frames follow the start of the heating, expected at least 2")
    weights = np.zeros(law.shape)
    weights[heated] = interpolation_matrix(times_s[heated], np.array([t_reference_s]), n_frames)[0] / law[heated]
    return weights


@dataclass(frozen=True, kw_only=True, eq=False)
class SoundFit:
    """How long each curve goes as a sound plate, arrays of shape (...).

    Parameters
    ----------
    t_reference_s : ndarray of float64
        t', between frames: where the curve leaves the sound plate's; the last time where it never does.
    amplitude : ndarray of float64
        Of the sound plate's curve, by least squares over all frames before t'.
    left : ndarray of bool
        Whether the curve leaves it.
    """

    t_reference_s: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    left: NDArray[np.bool_]


def fit_sound_part(
    rise: NDArray[np.floating],
    law: NDArray[np.float64],
    times_s: NDArray[np.float64],
    *,
    noise: float,
    noise_factor: float = 5.0,
    n_frames: int = 5,
) -> SoundFit:
    """Find how long each curve goes as `law`: the time t' of interpolated differential absolute contrast.

    The amplitude that all earlier frames give foretells each frame; the curve has left the law where the mean of
    `n_frames` successive differences exceeds `noise_factor` of its standard deviations, upwards or downwards.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Rise of the pixels.
    law : ndarray of float64, shape (T,)
        From `dac_law`, positive.
    times_s : ndarray of float64, shape (T,)
        Of the frames.
    noise : float
        Standard deviation of a pixel in one frame; positive.
    noise_factor, n_frames
        The test.

    Returns
    -------
    SoundFit
        NaN for curves that hold NaN.

    Raises
    ------
    SequenceError
        When there are too few frames, the law is not positive or the noise not known.
    """
    if not (np.isfinite(noise) and noise > 0 and noise_factor > 0 and n_frames >= 1):
        raise SequenceError(
            f"noise is {noise}, its factor {noise_factor} over {n_frames} frames, expected positive numbers"
        )
    if law.size < n_frames + 2 or not (law > 0).all():
        raise SequenceError(
            f"{law.size} frames came, expected {n_frames + 2} or more, all after the start of the heating"
        )
    curves = np.asarray(rise, dtype=np.float64).reshape(law.size, -1)
    total, norm = np.cumsum(law[:, None] * curves, axis=0), np.cumsum(law**2)
    amplitude = total / norm[:, None]
    # Differences of frames 1..T-1 from what the frames before foretell, in standard deviations.
    score = (curves[1:] - amplitude[:-1] * law[1:, None]) / (noise * np.sqrt(1 + law[1:] ** 2 / norm[:-1]))[:, None]
    running = np.cumsum(np.concatenate([np.zeros((1, curves.shape[1])), score]), axis=0)
    mean = np.abs(running[n_frames:] - running[:-n_frames]) / np.sqrt(n_frames)
    beyond = mean > noise_factor
    left = beyond.any(axis=0)
    index = beyond.argmax(axis=0)  # the window of differences that starts with frame index + 1
    columns = np.arange(index.size)
    here, before = mean[index, columns], np.where(index > 0, mean[index - 1, columns], noise_factor)
    share = np.clip((noise_factor - before) / np.where(here > before, here - before, 1.0), 0.0, 1.0)
    early, late = times_s[index], times_s[index + 1]
    known = np.isfinite(curves).all(axis=0)
    shape = np.shape(rise)[1:]
    reference = np.where(left, early + share * (late - early), times_s[-1])
    last = np.where(left, amplitude[index, columns], amplitude[-1])
    return SoundFit(
        t_reference_s=np.where(known, reference, np.nan).reshape(shape),
        amplitude=np.where(known, last, np.nan).reshape(shape),
        left=(left & known).reshape(shape),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class InterpolatedDAC:
    """Result of `interpolated_dac`: the contrast (T, ...) and each pixel's t' (...), see `SoundFit`."""

    contrast: NDArray[np.float64]
    t_reference_s: NDArray[np.float64]
    left: NDArray[np.bool_]


def interpolated_dac(
    rise: NDArray[np.floating],
    times_s: NDArray[np.float64],
    *,
    noise: float,
    noise_factor: float = 5.0,
    n_frames: int = 5,
    pulse_s: float = 0.0,
    thickness_mm: float | None = None,
    diffusivity_mm2_s: float | None = None,
) -> InterpolatedDAC:
    """Differential absolute contrast with a time t' of each pixel's own, found between frames by `fit_sound_part`.

    Parameters
    ----------
    rise, times_s, pulse_s, thickness_mm, diffusivity_mm2_s
        As for `differential_absolute_contrast`; all times positive.
    noise, noise_factor, n_frames
        As for `fit_sound_part`.

    Raises
    ------
    SequenceError
        As for these.

    References
    ----------
    Gonzalez et al., Automatic interpolated differentiated absolute contrast algorithm, Proc. QIRT 2004: the idea of a
    t' of each pixel's own; the test that finds it is the one described in `fit_sound_part`.
    """
    values, times, law = _checked(rise, times_s, pulse_s, thickness_mm, diffusivity_mm2_s)
    fit = fit_sound_part(values, law, times, noise=noise, noise_factor=noise_factor, n_frames=n_frames)
    return InterpolatedDAC(
        contrast=np.asarray(values - np.multiply.outer(law, fit.amplitude)),
        t_reference_s=fit.t_reference_s,
        left=fit.left,
    )


def _checked(
    rise: NDArray[np.floating],
    times_s: NDArray[np.float64],
    pulse_s: float,
    thickness_mm: float | None,
    diffusivity_mm2_s: float | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    values, times = np.asarray(rise, dtype=np.float64), np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or values.shape[:1] != times.shape or not (np.diff(times) > 0).all():
        raise SequenceError(
            f"rise has shape {values.shape} and times {times.shape}, expected (T, ...) and (T,), increasing"
        )
    law = dac_law(times, pulse_s=pulse_s, thickness_mm=thickness_mm, diffusivity_mm2_s=diffusivity_mm2_s)
    return values, times, law
