"""Texture near the face (fibres, roughness, a mesh): differences between neighbours that count as noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.representation.bins import TimeBins
from thermo_qc.representation.sound_curves import sound_projector

__all__ = ["with_texture"]

_ROUNDS = 4
_PX = (2, 8)
_SLACK = 2.0  # of the variance: defects and a wrong estimate of the noise make as much
_PAIRS = 1_000  # in each direction
_FADED = 0.1  # of the cooling
_MAD_TO_STD = 1.4826


def with_texture(
    curves: NDArray[np.float32],
    median: NDArray[np.float64],
    bins: TimeBins,
    noise: float,
    valid: NDArray[np.bool_],
    level_noise: float = 0.0,
) -> NDArray[np.float64]:
    """Raise the noise of the bins by what the shapes of near pixels' curves differ by beyond it.

    What lies near the face (fibres, roughness) tells pixels apart by a share of the rise that falls with time; what
    grows with time is a defect's, and is left alone. The noise rules how the gain is read, and the gain which bins
    seem to differ: a few rounds settle both.

    Parameters
    ----------
    curves : ndarray of float32, shape (b, N)
        Rise of the valid pixels in the present bins.
    median : ndarray of float64, shape (b,)
        Their median.
    bins : TimeBins
        Of the recording.
    noise : float
        Noise of one frame, in the unit of the curves.
    valid : ndarray of bool, shape (Y, X)
        Where the N pixels are.
    level_noise : float
        As for `sound_projector`.

    Returns
    -------
    ndarray of float64, shape (B,)
        Noise of each bin over that of a frame.
    """
    rows = np.flatnonzero(bins.present)
    white = bins.noise[rows] * noise
    covariance = noise**2 * (bins.weights[rows] @ bins.weights[rows].T)
    steps = [curves[:, one] - curves[:, other] for one, other in (_near_pairs(valid, lag) for lag in _PX)]
    rise = np.maximum(np.abs(median), white)
    share = np.zeros(rows.size)
    for _ in range(_ROUNDS):
        sigma = np.hypot(white, share * rise)
        whitened = sound_projector(
            median / sigma, bins, rows, sigma.astype(np.float32), everything=False, level_noise=level_noise
        )
        projector = sigma[:, None] * whitened / sigma
        expected = np.einsum("ij,jk,ik->i", projector, covariance, projector)
        found = [np.median(np.abs(projector.astype(np.float32) @ step), axis=1) for step in steps if step.size]
        if not found:
            break
        excess = 0.5 * (_MAD_TO_STD * np.max(found, axis=0)) ** 2 - _SLACK * expected
        share = _fading(np.sqrt(np.maximum(excess, 0.0)) / rise, bins, rows)
    result = bins.noise.copy()
    result[rows] = np.hypot(white, share * rise) / noise
    return result


def _fading(share: NDArray[np.float64], bins: TimeBins, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Make a share fall with the time after the lamps, to nothing at a tenth, and not exceed its start there before."""
    heated = bins.heated[rows]
    result = share.copy()
    if (~heated).any():
        lit_s = bins.elapsed_s[rows][heated].max() if heated.any() else 0.0
        cooled_s = bins.elapsed_s[rows][~heated] - lit_s
        faded = np.where(cooled_s < _FADED * cooled_s[-1], share[~heated], 0.0)
        result[~heated] = np.minimum.accumulate(faded)
        result[heated] = np.minimum(share[heated], result[~heated][0])
    return result


def _near_pairs(valid: NDArray[np.bool_], step_px: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions among the valid pixels of pairs some pixels apart, along rows and along columns; a few thousand."""
    order = np.full(valid.shape, -1, dtype=np.intp)
    order[valid] = np.arange(int(valid.sum()))
    ones, others = [], []
    for image in (order, order.T):
        one, other = image[:, :-step_px].ravel(), image[:, step_px:].ravel()
        both = np.flatnonzero((one >= 0) & (other >= 0))
        both = both[:: max(1, both.size // _PAIRS)]
        ones.append(one[both])
        others.append(other[both])
    return np.concatenate(ones), np.concatenate(others)
