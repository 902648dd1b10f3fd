"""Curves that sound pixels may differ by: what the residuals are taken after."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.representation.bins import TimeBins

__all__ = ["sound_projector"]


def sound_projector(
    median: NDArray[np.float64],
    bins: TimeBins,
    rows: NDArray[np.intp],
    sigma: NDArray[np.float32],
    *,
    everything: bool,
    level_noise: float = 0.0,
) -> NDArray[np.float64]:
    """Take what a sound pixel may differ by out of curves over their noise, by least squares.

    Parameters
    ----------
    median, bins, rows, sigma, everything
        As for `_sound_basis`.
    level_noise : float
        Noise of the level before the heating, in the unit of `sigma`, which all bins of a pixel share; a constant of
        that size is taken out as far as it stands out of the noise of the bins (Tikhonov). 0 where it is not looked at.

    Returns
    -------
    ndarray of float64, shape (b, b)
    """
    basis = _sound_basis(median, bins, rows, sigma, everything=everything)
    if level_noise > 0 and bins.cold and not everything:
        basis = np.column_stack([basis, 1.0 / sigma.astype(np.float64)])
        basis = np.vstack([basis, np.append(np.zeros(basis.shape[1] - 1), 1.0 / level_noise)])
    left = np.linalg.qr(basis)[0][: rows.size]
    return np.asarray(np.eye(rows.size) - left @ left.T)


def _sound_basis(
    median: NDArray[np.float64],
    bins: TimeBins,
    rows: NDArray[np.intp],
    sigma: NDArray[np.float32],
    *,
    everything: bool,
) -> NDArray[np.float64]:
    """Curves that a sound pixel may differ by.

    Parameters
    ----------
    median : ndarray of float64, shape (b,)
        Median curve of the plate over the noise, in the present bins.
    bins : TimeBins
        Of the recording.
    rows : ndarray of int, shape (b,)
        The present ones.
    sigma : ndarray of float32, shape (b,)
        Their noise.
    everything : bool
        Gain, constant, derivative by the logarithm of time and a step while the lamps shine; else the gain alone, with
        a constant where no cold frame is known.

    Returns
    -------
    ndarray of float64, shape (b, k)
        Over the noise, columns of unit length.
    """
    columns = [median]
    constant = 1.0 / sigma.astype(np.float64)
    if everything or not bins.cold:
        columns.append(constant)
    if everything:
        heated = bins.heated[rows]
        kelvin = median * sigma
        slope, elapsed = np.zeros(rows.size), bins.elapsed_s[rows]
        elapsed = np.maximum(elapsed, 0.5 * elapsed[elapsed > 0].min())
        for part in (heated, ~heated):
            if part.sum() >= 3:
                slope[part] = np.gradient(kelvin[part], np.log(elapsed[part]))
        columns.append(slope / sigma)
        if heated.any() and not heated.all():
            columns.append(heated / sigma)
    basis = np.stack(columns, axis=1)
    scale = np.linalg.norm(basis, axis=0)
    return np.asarray(basis[:, scale > 0] / scale[scale > 0])
