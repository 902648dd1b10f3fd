"""What a camera sees of one hole, from the rings of its simulated cell: exact in few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from thermo_qc.errors import ConfigError
from thermo_qc.evaluation.observer import (
    Detectability,
    DetectionLimits,
    Nuisance,
    project_nuisances,
    without_quadratic,
)

__all__ = ["HoleWindow", "PixelRings"]

_POINTS = 4  # per side of a pixel, to average the rings over its area
_MOST_PIXELS = 10**6


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelRings:
    """Square window of pixels, the hole in the middle of the middle one.

    Parameters
    ----------
    r_mm : ndarray of float64, shape (R,)
        Radii at which the rise is known; linear between them, constant beyond the last one.
    half_width_mm : float
        From the hole's axis to the border of the window.
    pixel_pitch_mm : float
        Edge of a pixel.
    blur_px : float
        Standard deviation of the Gaussian blur.
    """

    r_mm: NDArray[np.float64]
    half_width_mm: float
    pixel_pitch_mm: float
    blur_px: float

    @cached_property
    def side_px(self) -> int:
        """Pixels per side, odd."""
        return 2 * int(np.ceil(self.half_width_mm / self.pixel_pitch_mm - 0.5)) + 1

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """Share of each pixel that lies in the window, float64 (Y, X): 1 but at the border; it counts for so much."""
        centre = np.abs(np.arange(self.side_px) - self.side_px // 2)
        inside = np.clip(self.half_width_mm / self.pixel_pitch_mm + 0.5 - centre, 0.0, 1.0)
        return np.outer(inside, inside)

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Weight of every radius in every pixel, float64 (R, Y, X); they sum to 1 over the radii.

        Raises
        ------
        ConfigError
            When the window has too many pixels.
        """
        side = self.side_px
        if side**2 > _MOST_PIXELS:
            raise ConfigError(
                f"pixel_pitch_mm {self.pixel_pitch_mm:g} makes {side} x {side} pixels round one hole; is it in mm?"
            )
        axis = ((np.arange(side * _POINTS) + 0.5) / _POINTS - side / 2) * self.pixel_pitch_mm
        distance = np.hypot(axis[:, None], axis[None, :]).ravel()
        after = np.clip(np.searchsorted(self.r_mm, distance), 1, self.r_mm.size - 1)
        left, right = self.r_mm[after - 1], self.r_mm[after]
        share = np.clip((distance - left) / (right - left), 0.0, 1.0)
        rows, columns = np.divmod(np.arange(distance.size), side * _POINTS)
        pixel = (rows // _POINTS) * side + columns // _POINTS
        table = np.zeros(self.r_mm.size * side * side)
        for ring, weight in ((after - 1, 1.0 - share), (after, share)):
            table += np.bincount(ring * side * side + pixel, weights=weight, minlength=table.size)
        pictures = table.reshape(self.r_mm.size, side, side) / _POINTS**2
        if self.blur_px > 0:
            pictures = gaussian_filter(pictures, (0.0, self.blur_px, self.blur_px), mode="nearest")
        return np.asarray(pictures)

    @cached_property
    def plain_root(self) -> NDArray[np.float64]:
        """Matrix A, float64 (R, R), with ``norm(curves @ A)`` the norm of the picture of ``curves`` (T, R)."""
        return _root((self.weights * np.sqrt(self.share)).reshape(self.r_mm.size, -1))

    @cached_property
    def background_root(self) -> NDArray[np.float64]:
        """The same for the picture less every polynomial of second order in x and y, float64 (R, R)."""
        return _root(without_quadratic(self.weights * np.sqrt(self.share), np.sqrt(self.share)))


def _root(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    strength, vectors = np.linalg.eigh(flat @ flat.T)
    return np.asarray(vectors * np.sqrt(np.maximum(strength, 0.0)))


@dataclass(frozen=True, kw_only=True, eq=False)
class HoleWindow:
    """Contrast of one hole in a window of pixels round it.

    Parameters
    ----------
    times_s, frames_averaged : ndarray of float64, shape (T,)
        Instants, and the number of frames that each one is the mean of.
    contrast_k : ndarray of float64, shape (T, R)
        Rise with the hole minus rise without it, at the radii of the rings.
    sound_k : ndarray of float64, shape (T,)
        Rise without the hole.
    rings : PixelRings
        How pixels see the radii.
    noise_k : float
        Standard deviation of the noise of one frame and camera pixel.
    pixels_joined : int
        Camera pixels per side of one pixel of `rings`, which has so many times less noise.
    """

    times_s: NDArray[np.float64]
    frames_averaged: NDArray[np.float64]
    contrast_k: NDArray[np.float64]
    sound_k: NDArray[np.float64]
    rings: PixelRings
    noise_k: float
    pixels_joined: int = 1

    @property
    def pixel_noise_k(self) -> NDArray[np.float64]:
        """Noise of the pixels of `pictures_k`, float64 (Y, X): more at the border, where they count in part."""
        return np.asarray(self.noise_k / self.pixels_joined / np.sqrt(self.rings.share))

    def pictures_k(self) -> NDArray[np.float64]:
        """Contrast in the pixels, float64 (T, Y, X)."""
        return np.asarray(np.tensordot(self.contrast_k, self.rings.weights, axes=1))

    def rest(self, curves_k: NDArray[np.float64], nuisance: Nuisance) -> NDArray[np.float64]:
        """Whitened part of a picture of ring curves (T, R) that nuisances cannot imitate, in a frame of its own (T, R).

        Its norm and its scalar products are those of `project_nuisances` on the pictures.
        """
        short = curves_k @ (self.rings.background_root if nuisance == "background" else self.rings.plain_root)
        return project_nuisances(
            short[:, :, None],
            noise_k=self.noise_k / self.pixels_joined,
            sound_k=self.sound_k,
            times_s=self.times_s,
            frames_averaged=self.frames_averaged,
            nuisance="none" if nuisance == "none" else "pixel",
        )[:, :, 0]

    def detectability(self, limits: DetectionLimits | None = None) -> Detectability:
        """Compute what `thermo_qc.evaluation.detectability` gives for the pictures, in a fraction of the time."""
        index = {name: float(np.linalg.norm(self.rest(self.contrast_k, name))) for name in get_args(Nuisance)}
        row = self.rings.weights[:, self.rings.side_px // 2]
        return Detectability(
            ideal=index["none"],
            pixel=index["pixel"],
            background=index["background"],
            peak_contrast_to_noise=float(np.abs(self.contrast_k @ row).max() / self.noise_k),
            limits=limits or DetectionLimits(),
        )
