"""Smooth backgrounds of residual images: lamp patterns, and heat that leaves at the edges of a plate.

An orthotropic plate that is heated evenly and loses heat at its faces and edges cools as the product of three
one-dimensional solutions (Carslaw and Jaeger 1959, section 1.15). Relative to the plate's typical curve, edges
therefore leave a function of x plus a function of y, as long as they are small; a defect is no such sum. Where
residuals are faint, single pixels do not tell what is a defect, so that means over blocks do.

References
----------
Carslaw, H. S. and Jaeger, J. C. (1959). Conduction of heat in solids, 2nd edition. Oxford University Press.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["polynomial", "robust_weights", "weighted_background", "without_polynomial", "without_profiles"]

_LEVERAGE = 3.0  # residuals beyond this many typical ones weigh less in the background
_ROUNDS = 2
_BLOCK_PX = 4
_BLOCKS = 2_500  # at most, of a large frame
_BLOCK_LEVERAGE = 0.7  # of the spread between blocks
_BLOCK_ROUNDS = 6
_SMALLEST_SPREAD = 1e-3  # of the noise: less is rounding
_MAD_TO_STD = 1.4826


def polynomial(valid: NDArray[np.bool_], order: int, profile_order: int = 0) -> NDArray[np.float32]:
    """Orthonormal polynomials in x and y on the valid pixels, float32 (k, N).

    Parameters
    ----------
    valid : ndarray of bool, shape (Y, X)
        Pixels that count, N in all.
    order : int
        Of terms in x and y together; -1 for none.
    profile_order : int
        Of terms in x alone and in y alone, if that is more.

    Returns
    -------
    ndarray of float32, shape (k, N)
    """
    v, u = np.nonzero(valid)
    x, y = (2.0 * (axis - axis.min()) / max(1, axis.max() - axis.min()) - 1.0 for axis in (u, v))
    if profile_order <= order:
        columns = [x**i * y**j for i in range(order + 1) for j in range(order + 1 - i)]
    else:
        along_x, along_y = (np.polynomial.chebyshev.chebvander(axis, profile_order).T for axis in (x, y))
        mixed = [along_x[i] * along_y[j] for i in range(1, order) for j in range(1, order + 1 - i)]
        columns = [*along_x, *along_y[1:], *mixed]
        rows = np.stack(columns)
        with suppress(np.linalg.LinAlgError):  # a view of too few rows or columns
            return np.asarray(np.linalg.inv(np.linalg.cholesky(rows @ rows.T)) @ rows, dtype=np.float32)
    left, _ = np.linalg.qr(np.stack(columns, axis=1))
    return np.ascontiguousarray(left.T, dtype=np.float32)


def robust_weights(part: NDArray[np.float32], basis: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights of the pixels (N,): 1 where the residuals (b, N) are typical, less where they are large (defects)."""
    weights = np.ones(part.shape[1], dtype=np.float32)
    for _ in range(_ROUNDS):
        size = _left(part, basis, weights)
        typical = float(np.median(size)) + 1e-12
        weights = _less(np.maximum(size / typical - 1.0, 0.0) / _LEVERAGE)
    return weights


def weighted_background(
    part: NDArray[np.float32], basis: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Coefficients (k, b) of the weighted least-squares background of every row of residuals (b, N)."""
    weighted = basis * weights
    normal = (weighted @ basis.T).astype(np.float64)
    normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal))
    return np.linalg.solve(normal, (weighted @ part.T).astype(np.float64)).astype(np.float32)


def without_polynomial(parts: list[NDArray[np.float32]], valid: NDArray[np.bool_], order: int, some: slice) -> None:
    """Take a smooth background out of residuals, in place; pixels that stand out of that of the last part have no say.

    Parameters
    ----------
    parts : list of ndarray of float32, shape (b, N)
        Residuals of the valid pixels.
    valid : ndarray of bool, shape (Y, X)
        Where the N pixels are.
    order : int
        Of the polynomial.
    some : slice
        Pixels that tell the background.
    """
    basis = polynomial(valid, order)
    few = np.ascontiguousarray(basis[:, some])
    weights = robust_weights(np.ascontiguousarray(parts[-1][:, some]), few)
    for part in parts:
        part -= weighted_background(np.ascontiguousarray(part[:, some]), few, weights).T @ basis


def without_profiles(
    parts: list[NDArray[np.float32]], valid: NDArray[np.bool_], order: int, profile_order: int
) -> None:
    """Take a sum of functions of x and of y out of residuals, in place; blocks that stand out of it have no say.

    A plate of so few blocks that the functions could not be told from its defects is left as it is.

    Parameters
    ----------
    parts : list of ndarray of float32, shape (b, N)
        Residuals of the valid pixels in units of their noise.
    valid : ndarray of bool, shape (Y, X)
        Where the N pixels are.
    order, profile_order : int
        As for `polynomial`.
    """
    basis = polynomial(valid, order, profile_order)
    block = max(_BLOCK_PX, round(float(np.sqrt(valid.sum() / _BLOCKS))))
    shape = -(-valid.shape[0] // block), -(-valid.shape[1] // block)
    covered = cv2.resize(valid.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    image = np.zeros(valid.shape, dtype=np.float32)

    def blocks(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        means = []
        for row in rows:
            image[valid] = row
            means.append((cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA) / covered)[covered > 0.5])
        return np.stack(means)

    with np.errstate(invalid="ignore", divide="ignore"):
        coarse_basis, coarse = blocks(basis), [blocks(part) for part in parts]
    if coarse_basis.shape[1] < 2 * len(basis):
        return
    both = np.concatenate(coarse)
    weights = np.ones(both.shape[1], dtype=np.float32)
    for _ in range(_BLOCK_ROUNDS):
        size = _left(both, coarse_basis, weights)
        typical = np.median(size)
        spread = _MAD_TO_STD * np.median(np.abs(size - typical)) + _SMALLEST_SPREAD
        weights = _less(np.maximum(size - typical, 0.0) / (_BLOCK_LEVERAGE * spread))
    for part, means in zip(parts, coarse, strict=True):
        part -= weighted_background(means, coarse_basis, weights).T @ basis


def _less(excess: NDArray[Any]) -> NDArray[np.float32]:
    """Weights: 1 without an excess, a quarter where it is 1."""
    return np.asarray((1.0 / (1.0 + excess**2)).astype(np.float32) ** 2)


def _left(part: NDArray[np.float32], basis: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square (N,) of what the background leaves of residuals (b, N)."""
    rest = part - weighted_background(part, basis, weights).T @ basis
    return np.asarray(np.sqrt((rest**2).mean(axis=0)))
