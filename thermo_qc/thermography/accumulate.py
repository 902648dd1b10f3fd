"""The Gram matrix of a recording, block by block: float32 speed, float64 accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thermo_qc.thermography.scene import Gram

__all__ = ["GramSum", "group_frames", "pilot_functions", "standardise_pixels"]

PILOT_FUNCTIONS = 8


def group_frames(curves: NDArray[np.float32], group: int) -> NDArray[np.float32]:
    """Average `group` neighbouring samples of curves (n, T); the rest at the end that fills no group is left out."""
    if group == 1:
        return curves
    n_pixels, n_groups = curves.shape[0], curves.shape[1] // group
    return np.asarray(curves[:, : n_groups * group].reshape(n_pixels, n_groups, group).mean(axis=2))


def standardise_pixels(
    curves: NDArray[np.float32], how: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Standardise every pixel's curve (n, t) over time, where `how` says "pixel" or "pixel_mean".

    Returns
    -------
    standardised : ndarray of float32, shape (n, t)
        ``(curves - mean) * scale``, memory of its own.
    mean, scale : ndarray of float32, shape (n,)
        Zero and one where `how` says nothing of pixels; the scale of a curve that does not vary is 0.
    """
    n_pixels, n_steps = curves.shape
    mean, scale = np.zeros(n_pixels, dtype=np.float32), np.ones(n_pixels, dtype=np.float32)
    if not how.startswith("pixel"):
        return np.array(curves, order="C"), mean, scale
    mean = curves.mean(axis=1)
    own = curves - mean[:, None]
    if how == "pixel":
        std = np.sqrt(np.einsum("ij,ij->i", own, own) / np.float32(n_steps))
        varies = ~(std <= 1e-6 * np.abs(mean))
        scale = np.divide(np.float32(1.0), std, out=np.zeros_like(std), where=varies & (std != 0))
        own *= scale[:, None]
    return own, mean, scale


def pilot_functions(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Leading functions of time (t, p) of a sample of standardised curves (n, t): most of every other curve, too.

    A few steps of subspace iteration from a fixed start are enough: any functions would do, these leave little.
    """
    count = min(PILOT_FUNCTIONS, *sample.shape)
    vectors = np.random.default_rng(0).standard_normal((sample.shape[1], count)).astype(np.float32)
    for _ in range(4):
        vectors = np.linalg.qr(sample.T @ (sample @ vectors))[0]
    return np.ascontiguousarray(vectors)


@dataclass(eq=False)
class GramSum:
    """Sum of A^T A over blocks of curves A (n, t), without the rounding of one large float32 product.

    Every curve is split into its part along a few pilot functions P (t, p) and a small rest: A = C P^T + R. Then
    A^T A = P C^T C P^T + P C^T R + (P C^T R)^T + R^T R holds for any P. The products of a block are float32, their
    sums over blocks float64: the camera noise in R is not rounded at the scale of the heating in C.

    Parameters
    ----------
    pilot : ndarray of float32, shape (t, p)
        From `pilot_functions`.
    """

    pilot: NDArray[np.float32]
    n_pixels: int = 0
    _inner: NDArray[np.float64] = field(init=False)
    _cross: NDArray[np.float64] = field(init=False)
    _rest: NDArray[np.float64] = field(init=False)
    _inner_sum: NDArray[np.float64] = field(init=False)
    _rest_sum: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        n_steps, count = self.pilot.shape
        self._inner, self._cross = np.zeros((count, count)), np.zeros((count, n_steps))
        self._rest = np.zeros((n_steps, n_steps))
        self._inner_sum, self._rest_sum = np.zeros(count), np.zeros(n_steps)

    def add(self, curves: NDArray[np.float32]) -> None:
        """Add a block of curves (n, t); overwrites it with the rest."""
        inner = curves @ self.pilot
        curves -= inner @ self.pilot.T
        self.n_pixels += curves.shape[0]
        self._inner += inner.astype(np.float64).T @ inner
        self._cross += inner.T @ curves
        self._rest += curves.T @ curves  # NumPy knows the symmetry, and lets other threads run (SciPy's ssyrk does not)
        self._inner_sum += inner.sum(axis=0, dtype=np.float64)
        self._rest_sum += np.ones(curves.shape[0], dtype=np.float32) @ curves

    def merge(self, other: GramSum) -> None:
        """Add what another sum with the same pilot has seen."""
        self.n_pixels += other.n_pixels
        for name in ("_inner", "_cross", "_rest", "_inner_sum", "_rest_sum"):
            getattr(self, name).__iadd__(getattr(other, name))

    def total(self) -> NDArray[np.float64]:
        """A^T A, float64 (t, t)."""
        pilot = self.pilot.astype(np.float64)
        mixed = pilot @ self._cross
        return np.asarray(pilot @ self._inner @ pilot.T + mixed + mixed.T + self._rest)

    def sums(self) -> NDArray[np.float64]:
        """Sum over the pixels, float64 (t,)."""
        return np.asarray(self.pilot.astype(np.float64) @ self._inner_sum + self._rest_sum)

    def standardised(
        self, how: str, times_s: NDArray[np.float64]
    ) -> tuple[Gram, NDArray[np.float64], NDArray[np.float64]]:
        """Finish a standardisation over the pixels of each frame.

        Parameters
        ----------
        how : str
            One of `thermo_qc.thermography.pct.STANDARDISATIONS`; those of pixels were done block by block before.
        times_s : ndarray of float64, shape (t,)
            For the result.

        Returns
        -------
        gram : Gram
        offset, scale : ndarray of float64, shape (t,)
            The standardised data are ``(A - offset) * scale`` of what was added.
        """
        matrix, n_steps = self.total(), self.pilot.shape[0]
        offset, scale = np.zeros(n_steps), np.ones(n_steps)
        if how.startswith("frame"):
            size = np.sqrt(np.maximum(np.diag(matrix), 0.0) / max(1, self.n_pixels))
            offset = self.sums() / max(1, self.n_pixels)
            matrix = matrix - self.n_pixels * np.outer(offset, offset)
            if how == "frame":
                std = np.sqrt(np.maximum(np.diag(matrix), 0.0) / max(1, self.n_pixels))
                scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 1e-7 * size)
                matrix = matrix * np.outer(scale, scale)
        return Gram(matrix=matrix, n_pixels=self.n_pixels, times_s=times_s), offset, scale
