"""Channels of a resampled rise (T, Y, X): pure functions on arrays."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "flatten_background",
    "gain_matched_difference",
    "log_derivative",
    "log_derivative_noise",
    "normalised_noise",
    "spatial_noise",
    "typical_divisor",
]

SMALLEST_GAIN_SHARE = 0.1
FLOOR_SHARE = 1e-3
CLIP_SIGMAS = 3.0
MAD_TO_STD = 1.482602218505602


def heated_pixels(gain: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels whose mean rise is at least a tenth of that of the warm part of the frame.

    Parameters
    ----------
    gain : ndarray, shape (Y, X)
        Mean over time; NaN where a pixel has no value.

    Returns
    -------
    ndarray of bool, shape (Y, X)
    """
    size = np.abs(gain)
    finite = np.isfinite(size)
    if not finite.any():
        return finite
    warm = float(np.quantile(size[finite], 0.9))
    return finite & (size > max(SMALLEST_GAIN_SHARE * warm, 0.0))


def typical_divisor(rise: NDArray[np.float32], valid: NDArray[np.bool_], mode: str) -> float:
    """Divisor that a normalisation applies to a typical pixel, to carry the noise along.

    Parameters
    ----------
    rise : ndarray, shape (T, Y, X)
        Values before the normalisation.
    valid : ndarray of bool, shape (Y, X)
        Pixels that count.
    mode : str
        Normalisation of `thermo_qc.preprocess.normalise`.

    Returns
    -------
    float
        Positive.
    """
    curves = rise[:, valid]
    if mode == "none":
        return 1.0
    if mode == "sequence_standard":
        divisor = float(np.nanstd(rise))
    elif mode == "sequence_minmax":
        divisor = float(np.nanmax(rise) - np.nanmin(rise))
    elif mode == "pixel_standard":
        divisor = float(np.median(curves.std(axis=0)))
    elif mode == "pixel_minmax":
        divisor = float(np.median(np.ptp(curves, axis=0)))
    else:
        divisor = float(np.median(np.abs(curves.mean(axis=0))))
    return divisor if divisor > 0 else 1.0


def gain_matched_difference(
    rise: NDArray[np.float32], reference_pixels: NDArray[np.bool_], *, mean: bool = False
) -> NDArray[np.float32]:
    """Rise minus the plate's typical curve scaled to each pixel's own mean, so uneven light leaves no trace.

    The plate's cooling is proportional to the energy a pixel absorbed; after division by the pixel's mean all sound
    pixels follow one curve, and what remains is a change of shape: a defect.

    Parameters
    ----------
    rise : ndarray, shape (T, Y, X)
        Temperature rise.
    reference_pixels : ndarray of bool, shape (Y, X)
        Pixels whose median (or mean) makes the typical curve.
    mean : bool
        Mean instead of median, for pixels that are known to be sound.

    Returns
    -------
    ndarray of float32, shape (T, Y, X)
        In the unit of `rise`.
    """
    gain = rise.mean(axis=0)
    shapes = rise[:, reference_pixels] / gain[reference_pixels]
    reference = shapes.mean(axis=1) if mean else np.median(shapes, axis=1)
    return np.asarray(rise - gain * reference[:, None, None], dtype=np.float32)


def log_derivative(rise: NDArray[np.float32], elapsed_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """Slope of ln(rise) over ln(time).

    Parameters
    ----------
    rise : ndarray, shape (T, Y, X)
        Temperature rise; values below a thousandth of the pixel's mean are lifted to that.
    elapsed_s : ndarray, shape (T,)
        Time since the origin, positive, s.

    Returns
    -------
    ndarray of float32, shape (T, Y, X)
        -1/2 for a half-space after a flash.

    References
    ----------
    Shepard, S. M. et al. (2003). Reconstruction and enhancement of active thermographic image sequences. Optical
    Engineering 42(5). https://doi.org/10.1117/1.1566969
    """
    floor = np.maximum(FLOOR_SHARE * np.abs(rise.mean(axis=0)), np.finfo(np.float32).tiny)
    slope = np.gradient(np.log(np.maximum(rise, floor)), np.log(elapsed_s), axis=0)
    return np.asarray(slope, dtype=np.float32)


def log_derivative_noise(
    typical_curve: NDArray[np.float64], elapsed_s: NDArray[np.float64], white: NDArray[np.float64], common: float
) -> NDArray[np.float64]:
    """Noise of `log_derivative`.

    Parameters
    ----------
    typical_curve : ndarray, shape (T,)
        Rise of a typical pixel.
    elapsed_s : ndarray, shape (T,)
        Positive time since the origin, s.
    white : ndarray, shape (T,)
        Independent noise of the steps of the rise.
    common : float
        Noise that all steps of a pixel share, from its cold frame.

    Returns
    -------
    ndarray of float64, shape (T,)
    """
    slopes = np.asarray(np.gradient(np.eye(elapsed_s.size), np.log(elapsed_s), axis=0))
    floor = max(FLOOR_SHARE * float(np.abs(typical_curve).mean()), float(np.finfo(np.float32).tiny))
    return _carried(slopes / np.maximum(typical_curve, floor), white, common)


def normalised_noise(
    typical_curve: NDArray[np.float64], white: NDArray[np.float64], common: float
) -> NDArray[np.float64]:
    """Noise of a rise whose gain (its mean over the steps) is taken out, in the unit of the rise.

    Parameters and result as for `log_derivative_noise`: what is noise of the gain is not noise of the shape.
    """
    n = typical_curve.size
    shape = typical_curve / typical_curve.mean()
    return _carried(np.eye(n) - np.outer(shape, np.full(n, 1.0 / n)), white, common)


def _carried(linear: NDArray[np.float64], white: NDArray[np.float64], common: float) -> NDArray[np.float64]:
    """Return the standard deviation after a linear map (T, T) of independent and common noise."""
    return np.asarray(np.sqrt(linear**2 @ white**2 + (linear.sum(axis=1) * common) ** 2))


def spatial_noise(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> float:
    """Noise of an image from the median absolute difference of neighbours in a row."""
    pairs = valid[:, 1:] & valid[:, :-1]
    steps = np.abs(np.diff(image, axis=1)[pairs])
    return MAD_TO_STD * float(np.median(steps)) / float(np.sqrt(2)) if steps.size else 0.0


def flatten_background(images: NDArray[np.float32], valid: NDArray[np.bool_], radius_px: float) -> NDArray[np.float32]:
    """Subtract a smooth background from each image and keep the image's median level.

    The background is a Gaussian mean over the valid pixels; pixels that stand out of it by more than three robust
    standard deviations (defects) are left out of a second pass.

    Parameters
    ----------
    images : ndarray, shape (N, Y, X)
        Images.
    valid : ndarray of bool, shape (Y, X)
        Pixels that count.
    radius_px : float
        Standard deviation of the Gaussian, px; several times larger than the largest defect.

    Returns
    -------
    ndarray of float32, shape (N, Y, X)
    """
    result = np.empty_like(images)
    for index, image in enumerate(images):
        level = float(np.median(image[valid]))
        centred = np.where(valid, image - level, 0.0).astype(np.float32)
        background = _smooth(centred, valid, radius_px)
        deviation = np.abs(centred - background)
        limit = CLIP_SIGMAS * MAD_TO_STD * float(np.median(deviation[valid]))
        background = _smooth(centred, valid & (deviation <= limit), radius_px)
        result[index] = image - background
    return result


def _smooth(image: NDArray[np.float32], weight: NDArray[np.bool_], sigma: float) -> NDArray[np.float32]:
    """Gaussian mean over the weighted pixels, computed on a coarser grid where the Gaussian is wide."""
    height, width = image.shape
    factor = max(1, int(sigma / 4))
    size = (max(1, width // factor), max(1, height // factor))
    share = weight.astype(np.float32)
    smooth = []
    for values in (np.where(weight, image, np.float32(0)), share):
        small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(small, (0, 0), sigma * size[0] / width, sigmaY=sigma * size[1] / height,
                                   borderType=cv2.BORDER_REFLECT)  # fmt: skip
        smooth.append(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.asarray(smooth[0] / np.maximum(smooth[1], 1e-6), dtype=np.float32)
