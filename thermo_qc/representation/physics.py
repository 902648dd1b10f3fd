"""What physics leaves of a recording once power, emissivity, timing and material are taken out: arrays in, arrays out.

A recording becomes bins of time that do not depend on its length (a part while the plate is heated, then logarithmic
bins of the cooling), and two residuals of every pixel in units of the bins' noise:

1. what is left of the rise after a gain times the plate's median curve (power, emissivity and absorption drop out);
2. what is left after a least-squares fit of the median curve, its derivative by the logarithm of time (diffusivity,
   thickness and timing), a step while the lamps shine (reflections) and a constant (emissivity, cold frame).

A smooth background over the plate (lamp pattern, edges that lose heat) is taken out of both, and arcsinh compresses
them, so that strong and weak defects stay visible side by side.

The noise of few cold frames is the same in all bins of a pixel, where the bins' own noise may be ten times smaller; its
likeliest size is taken out of the first residual (the second has a constant of its own).

Where neighbouring pixels differ by more than the camera's noise (fibres near the face, the mesh of a simulation), what
they differ by counts as noise of the bin, so that gains are read where pixels agree.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.representation.background import (
    polynomial,
    robust_weights,
    weighted_background,
    without_polynomial,
    without_profiles,
)
from thermo_qc.representation.bins import TimeBins
from thermo_qc.representation.sound_curves import sound_projector
from thermo_qc.representation.texture import with_texture

__all__ = ["residual_channels"]

_SPIKE = 8.0
_ENOUGH = 40_000
_PATTERN_ORDER = 3
_FEWEST = 12  # bins
_MOST_LEVEL = 4.0  # standard deviations: what is more is no noise
_FAINT_PATTERN = 0.03  # standard deviation of a lamp pattern, as a share
_MAD_TO_STD = 1.4826


def residual_channels(
    values: NDArray[np.float32],
    bins: TimeBins,
    *,
    noise: float,
    valid: NDArray[np.bool_],
    background_order: int = 3,
    profile_order: int = 0,
    texture: bool = False,
    drift: bool = False,
    noisy_level: bool = False,
    hidden_from: float = 0.0,
) -> NDArray[np.float32]:
    """Two residuals of every pixel, see the head of this module.

    Parameters
    ----------
    values : ndarray of float32, shape (B, Y, X)
        Binned rise.
    bins : TimeBins
        Their times and noise.
    noise : float
        Noise of one frame, in the unit of the values.
    valid : ndarray of bool, shape (Y, X)
        Pixels of the plate; the others are 0 in the result and have no part in it.
    background_order : int
        Order of the polynomial in x and y that is taken out of every image; -1 for none.
    profile_order : int
        Order of the polynomials in x alone and in y alone whose sum is taken out besides, as edges that lose heat
        leave it; 0 for none.
    texture : bool
        Whether differences between neighbouring pixels beyond the camera's noise count as noise of their bin.
    drift : bool
        Whether what follows the lamps' pattern is taken out of every image: a drift that all pixels share is no part
        of any pixel's gain, so that it leaves its own course times one minus the gain.
    noisy_level : bool
        Whether the noise of the level before the heating, which all bins of a pixel share, is taken out of the first
        residual as far as it stands out of the noise of the bins: with few cold frames it is by far the largest.
    hidden_from : float
        Bins whose noise is at least this many times that of the camera for their texture are left out, as if the
        recording did not cover them, where twelve others are left; 0 where none are.

    Returns
    -------
    ndarray of float32, shape (2 B, Y, X)
        arcsinh of the residuals over their noise; 0 in absent bins.
    """
    rows = np.flatnonzero(bins.present)
    curves = values[rows][:, valid]  # (b, N)
    some = slice(None, None, max(1, curves.shape[1] // _ENOUGH))  # that many pixels tell median and background
    typical = np.median(curves[:, some], axis=1).astype(np.float64)
    level_noise = bins.level_noise * noise if noisy_level else 0.0
    if texture:
        raised = with_texture(curves, typical, bins, noise, valid, level_noise)
        clear = raised[rows] < hidden_from * bins.noise[rows]
        bins = replace(bins, noise=raised)
        if hidden_from > 0 and _FEWEST <= clear.sum() < rows.size:
            rows, curves, typical = rows[clear], curves[clear], typical[clear]
    sigma = (bins.noise[rows] * noise).astype(np.float32)
    whitened = curves / sigma[:, None]
    median = typical / sigma
    parts = []
    for everything in (False, True):
        projector = sound_projector(median, bins, rows, sigma, everything=everything)
        parts.append(projector.astype(np.float32) @ whitened)
        if level_noise > 0 and not everything:
            _without_level(parts[0], projector @ (1.0 / sigma), sigma, level_noise)
    _mend_spikes(parts, valid)
    if drift:
        _without_drift(parts, (median @ whitened) / (median @ median), valid, some)
    if profile_order > 0:
        without_profiles(parts, valid, background_order, profile_order)
    elif background_order >= 0:
        without_polynomial(parts, valid, background_order, some)
    result = np.zeros((2, values.shape[0], *valid.shape), dtype=np.float32)
    for target, part in zip(result, parts, strict=True):
        np.arcsinh(part, out=part)
        for row, values_of_row in zip(rows.tolist(), part, strict=True):
            target[row][valid] = values_of_row
    return result.reshape(-1, *valid.shape)


def _without_level(
    part: NDArray[np.float32], level: NDArray[np.float64], sigma: NDArray[np.float32], level_noise: float
) -> None:
    """Take the likeliest noise of the cold level out of residuals (b, N), in place; never more than is likely.

    `level` (b,) is what a level of one unit leaves in the residuals. `sound_projector` does the same without a limit,
    so that noise can be carried through it.
    """
    information = float(level @ (1.0 / sigma)) + 1.0 / level_noise**2
    likeliest = (1.0 / (sigma * information)).astype(np.float32) @ part
    most = _MOST_LEVEL * level_noise
    part -= level.astype(np.float32)[:, None] * np.clip(likeliest, -most, most)


def _without_drift(
    parts: list[NDArray[np.float32]], gain: NDArray[np.float64], valid: NDArray[np.bool_], some: slice
) -> None:
    """Take the smooth pattern of the gain (N,) out of residuals (b, N), in place; a faint one is hardly touched."""
    basis = polynomial(valid, _PATTERN_ORDER)
    few = np.ascontiguousarray(basis[:, some])
    share = (gain / np.median(gain) - 1.0).astype(np.float32)[None]
    weights = robust_weights(np.ascontiguousarray(share[:, some]), few)
    pattern = (weighted_background(np.ascontiguousarray(share[:, some]), few, weights).T @ basis)[0]
    pattern -= np.median(pattern)
    seen = pattern[some]
    for part in parts:
        own = np.ascontiguousarray(part[:, some])
        trusted = robust_weights(own, few)
        level = (own @ trusted / trusted.sum())[:, None]
        strength = (own - level) @ (trusted * seen) / (trusted @ (seen**2) + _FAINT_PATTERN**2 * trusted.sum())
        part -= strength[:, None] * pattern


def _mend_spikes(parts: list[NDArray[np.float32]], valid: NDArray[np.bool_]) -> None:
    """Give single pixels that stand out from all their neighbours (dead, flickering) the median of these."""
    strength = np.sqrt((parts[1] ** 2).mean(axis=0)) + np.sqrt((parts[0] ** 2).mean(axis=0))
    picture = np.zeros(valid.shape, dtype=np.float32)
    picture[valid] = strength
    around = cv2.medianBlur(picture, 3)
    spread = _MAD_TO_STD * float(np.median(np.abs(picture - around)[valid])) + 1e-6
    spikes = valid & (picture - around > np.maximum(_SPIKE * spread, 1.5 * around))
    if not spikes.any():
        return
    for part in parts:
        for row in part:
            picture[valid] = row
            row[spikes[valid]] = cv2.medianBlur(picture, 3)[spikes]
