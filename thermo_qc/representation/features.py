"""Images that condense a whole recording, offered to stacks beside the frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.thermography import compute_pct, fit_tsr

__all__ = ["pct_images", "tsr_images"]

FLOOR_SHARE = 1e-3


def tsr_images(
    shape: NDArray[np.float32], valid: NDArray[np.bool_], elapsed_s: NDArray[np.float64], order: int
) -> NDArray[np.float32]:
    """Coefficients of the logarithmic polynomial of every pixel.

    Parameters
    ----------
    shape : ndarray, shape (T, Y, X)
        Rise, usually divided by each pixel's gain; values below a thousandth of the pixel's mean are lifted to that.
    valid : ndarray of bool, shape (Y, X)
        Pixels to fit.
    elapsed_s : ndarray, shape (T,)
        Positive time since the origin; divided by its geometric mean, so that the coefficients stay of one size.
    order : int
        Order of the polynomial.

    Returns
    -------
    ndarray of float32, shape (order + 1, Y, X)
        0 where not valid.
    """
    curves = shape[:, valid]
    floor = np.maximum(FLOOR_SHARE * np.abs(curves.mean(axis=0)), np.finfo(np.float32).tiny)
    time = elapsed_s / np.exp(np.log(elapsed_s).mean())
    fit = fit_tsr(np.maximum(curves, floor), time, order)
    images = np.zeros((order + 1, *valid.shape), dtype=np.float32)
    images[:, valid] = np.nan_to_num(fit.coefficients)
    return images


def pct_images(frames: NDArray[np.float32], valid: NDArray[np.bool_], n_components: int) -> NDArray[np.float32]:
    """Principal component images of a recording, signs fixed so that defects of the same kind look alike.

    Parameters
    ----------
    frames : ndarray, shape (T, Y, X)
        Normalised frames.
    valid : ndarray of bool, shape (Y, X)
        Pixels that count; the others are set to the mean frame value.
    n_components : int
        Components wanted.

    Returns
    -------
    ndarray of float32, shape (n_components, Y, X)
        The component with the larger tail positive; 0 where not valid.
    """
    level = np.median(frames[:, valid], axis=1)
    filled = np.where(valid, frames, level[:, None, None].astype(np.float32))
    images = np.array(compute_pct(filled, n_components).images, dtype=np.float32)
    inside = images[:, valid].astype(np.float64)
    centred = inside - np.median(inside, axis=1, keepdims=True)
    images *= np.where((centred**3).sum(axis=1) < 0, -1, 1).astype(np.float32)[:, None, None]
    images[:, ~valid] = 0.0
    return images
