"""Low-order surfaces over a frame: Legendre polynomials in the plane, fitted so that defects have no say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.preprocess.statistics import MAD_TO_STD

__all__ = ["fit_weights", "solve_surface", "surface_basis", "weighted_pinv"]

ROUNDS = 30
TUKEY = 4.685
MOST_PIXELS = 20_000


def surface_basis(shape: tuple[int, int], order: int) -> NDArray[np.float64]:
    """Products of Legendre polynomials in row and column of total degree up to `order`.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns (Y, X).
    order : int
        0 to 6.

    Returns
    -------
    ndarray of float64, shape (terms, Y, X)
        Over -1 to 1 along both axes; the first term is 1.

    Raises
    ------
    SequenceError
        When the order is not from 0 to 6.
    """
    if isinstance(order, bool) or not isinstance(order, int | np.integer) or not 0 <= order <= 6:
        raise SequenceError(f"order of the surface is {order}, expected a whole number from 0 to 6")
    rows, columns = (
        np.polynomial.legendre.legvander(np.linspace(-1, 1, n) if n > 1 else np.zeros(1), order) for n in shape
    )
    powers = [(i, degree - i) for degree in range(order + 1) for i in range(degree + 1)]
    return np.stack([rows[:, i, None] * columns[None, :, j] for i, j in powers])


def fit_weights(
    image: NDArray[np.float64], basis: NDArray[np.float64], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Choose pixels for a surface and weigh them so that those that stick out (defects) have no say.

    Parameters
    ----------
    image : ndarray of float64, shape (Y, X)
        What the surface is to follow.
    basis : ndarray of float64, shape (terms, Y, X)
        See `surface_basis`.
    usable : ndarray of bool, shape (Y, X)
        Pixels that may take part; those that are not finite do not.

    Returns
    -------
    pixels : ndarray of int, shape (n,)
        Flat positions, at most 20 000, evenly spread.
    weights : ndarray of float64, shape (n,)
        Tukey's biweights of iteratively reweighted least squares, begun with absolute deviations, 0 to 1.

    Raises
    ------
    SequenceError
        When fewer pixels are usable than three times the terms of the surface.

    References
    ----------
    P. W. Holland and R. E. Welsch, Commun. Stat. Theory Methods 6 (1977) 813, 10.1080/03610927708827533
    """
    places = np.flatnonzero(usable.ravel() & np.isfinite(image).ravel())
    if places.size < 3 * basis.shape[0]:
        raise SequenceError(
            f"{places.size} pixels are left for a surface of {basis.shape[0]} terms, expected at least "
            f"{3 * basis.shape[0]}; lower the order or widen the mask"
        )
    places = places[:: -(-places.size // MOST_PIXELS)]
    matrix, values = basis.reshape(basis.shape[0], -1)[:, places].T, image.ravel()[places]
    weights = np.ones(places.size)
    for turn in range(ROUNDS):
        rest = values - matrix @ _solve(matrix, values, weights)
        scale = MAD_TO_STD * float(np.median(np.abs(rest)))
        if scale <= 1e-12 * max(float(np.abs(values).max()), 1e-300):
            weights = (
                (np.abs(rest) <= 10 * scale).astype(np.float64) if scale > 0 else np.asarray(rest == 0, np.float64)
            )
            return places, weights if weights.sum() >= 3 * basis.shape[0] else np.ones(places.size)
        if turn < ROUNDS // 2:
            new = 1.0 / np.maximum(np.abs(rest), 0.01 * scale)
            new /= new.max()
        else:
            new = np.where(np.abs(rest) < TUKEY * scale, (1 - (rest / (TUKEY * scale)) ** 2) ** 2, 0.0)
        done = turn > ROUNDS // 2 and float(np.abs(new - weights).max()) < 1e-4
        weights = new
        if done:
            break
    return places, weights


def _solve(
    matrix: NDArray[np.float64], values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    root = np.sqrt(weights)
    return np.asarray(np.linalg.lstsq(matrix * root[:, None], values * root, rcond=None)[0])


def weighted_pinv(
    basis: NDArray[np.float64], pixels: NDArray[np.intp], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Matrix (terms, n) that turns the values of the chosen pixels into the coefficients of their surface."""
    root = np.sqrt(weights)
    matrix = basis.reshape(basis.shape[0], -1)[:, pixels].T
    return np.asarray(np.linalg.pinv(matrix * root[:, None]) * root[None, :])


def solve_surface(
    image: NDArray[np.float64], basis: NDArray[np.float64], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], float]:
    """Fit a surface to one image: its coefficients (terms,), and the share of pixels that had no say."""
    pixels, weights = fit_weights(image, basis, usable)
    coefficients = weighted_pinv(basis, pixels, weights) @ image.ravel()[pixels]
    return np.asarray(coefficients), float((weights < 0.05).mean())
