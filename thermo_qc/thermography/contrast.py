"""Contrasts between a pixel and the sound plate, and how clearly a defect stands out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, TruthError

__all__ = [
    "absolute_contrast",
    "contrast_to_noise",
    "normalised_contrast",
    "running_contrast",
    "signal_to_noise_db",
    "standard_contrast",
]


def absolute_contrast(rise: NDArray[np.floating], sound: NDArray[np.floating]) -> NDArray[np.float64]:
    """Absolute contrast ``T_d - T_s``.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Temperature rise of the pixels.
    sound : ndarray, shape (T,)
        Temperature rise of the sound plate, see `thermo_qc.preprocess.reference_curve`.

    Returns
    -------
    ndarray of float64, shape (T, ...)

    Raises
    ------
    SequenceError
        When the shapes do not fit.

    References
    ----------
    Maldague, Theory and Practice of Infrared Technology for Nondestructive Testing, Wiley, 2001 (all four contrasts).
    """
    values, reference = _matched(rise, sound)
    return values - reference


def running_contrast(rise: NDArray[np.floating], sound: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the running contrast ``(T_d - T_s) / T_s``.

    It is free of the absorbed energy; NaN in frames where T_s is zero.

    Parameters, returned shape and errors as for `absolute_contrast`.
    """
    values, reference = _matched(rise, sound)
    return _ratio(values - reference, reference)


def normalised_contrast(
    rise: NDArray[np.floating], sound: NDArray[np.floating], index: int | None = None
) -> NDArray[np.float64]:
    """Normalised contrast ``T_d / T_d(t_m) - T_s / T_s(t_m)``.

    Parameters
    ----------
    rise, sound
        As for `absolute_contrast`.
    index : int, optional
        Frame t_m that both curves are divided by; the sound plate's hottest when None.

    Returns
    -------
    ndarray of float64, shape (T, ...)
        NaN for pixels whose rise at t_m is zero.

    Raises
    ------
    SequenceError
        When shapes or index do not fit.
    """
    values, reference = _matched(rise, sound)
    frame = int(np.nanargmax(reference.ravel())) if index is None else _inside(index, values.shape[0])
    return _ratio(values, values[frame][None]) - _ratio(reference, reference[frame][None])


def standard_contrast(
    temperature: NDArray[np.floating], sound: NDArray[np.floating], index: int = 0
) -> NDArray[np.float64]:
    """Compute the standard contrast ``(T_d - T_d0) / (T_s - T_s0)``.

    T_d0 and T_s0 are the values in the frame `index` before the heating; the contrast is 1 where sound.

    Parameters, returned shape and errors as for `absolute_contrast`; NaN in frames where the sound plate is as cold as
    in that frame.
    """
    values, reference = _matched(temperature, sound)
    frame = _inside(index, values.shape[0])
    return _ratio(values - values[frame], reference - reference[frame])


def contrast_to_noise(image: NDArray[np.floating], defect: NDArray[np.bool_], sound: NDArray[np.bool_]) -> float:
    """Contrast-to-noise ratio ``|m_d - m_s| / sqrt((s_d^2 + s_s^2) / 2)`` of two regions.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        Any map.
    defect, sound : ndarray of bool, shape (Y, X)
        The regions; pixels that are not finite have no part. Keep the sound region near the defect, else the lamp's
        pattern counts as noise.

    Returns
    -------
    float
        inf for different regions without any spread, 0 for equal ones.

    Raises
    ------
    SequenceError
        When shapes do not fit.
    TruthError
        When a region is empty.
    """
    inside, outside = _region(image, defect, "defect"), _region(image, sound, "sound")
    difference = abs(float(inside.mean() - outside.mean()))
    return _over_noise(difference, float(np.sqrt((inside.var() + outside.var()) / 2)))


def signal_to_noise_db(image: NDArray[np.floating], defect: NDArray[np.bool_], sound: NDArray[np.bool_]) -> float:
    """Signal-to-noise ratio ``20 log10(|m_d - m_s| / s_s)``, dB; -inf without any difference.

    Parameters and errors as for `contrast_to_noise`.

    References
    ----------
    Hidalgo-Gato et al., Opt. Photonics J. 3 (2013) 20, 10.4236/opj.2013.34A004.
    """
    inside, outside = _region(image, defect, "defect"), _region(image, sound, "sound")
    ratio = _over_noise(abs(float(inside.mean() - outside.mean())), float(outside.std()))
    return 20.0 * float(np.log10(ratio)) if ratio > 0 else float("-inf")


def _matched(
    rise: NDArray[np.floating], sound: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, reference = np.asarray(rise, dtype=np.float64), np.asarray(sound, dtype=np.float64)
    if values.ndim < 1 or reference.shape != values.shape[:1]:
        raise SequenceError(
            f"curves have shape {values.shape} and the sound curve {reference.shape}, expected (T, ...) and (T,)"
        )
    return values, reference.reshape((-1,) + (1,) * (values.ndim - 1))


def _inside(index: int, n_frames: int) -> int:
    if not -n_frames <= index < n_frames:
        raise SequenceError(f"frame {index} is wanted of {n_frames} frames")
    return index


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    above, below = np.broadcast_arrays(numerator, denominator)
    ratio: NDArray[np.float64] = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
    return ratio


def _region(image: NDArray[np.floating], region: NDArray[np.bool_], name: str) -> NDArray[np.float64]:
    if region.shape != image.shape:
        raise SequenceError(f"{name} region has shape {region.shape}, the image has {image.shape}")
    values = np.asarray(image, dtype=np.float64)[region]
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise TruthError(f"the {name} region has no pixel with a value; mark one")
    return values


def _over_noise(difference: float, noise: float) -> float:
    if noise > 0:
        return difference / noise
    return float("inf") if difference > 0 else 0.0
