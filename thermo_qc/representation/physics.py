"""What physics leaves of a recording once power, emissivity, timing and material are taken out: arrays in, arrays out.

A recording becomes bins of time that do not depend on its length (a part while the plate is heated, then logarithmic
bins of the cooling), and two residuals of every pixel in units of the bins' noise:

1. what is left of the rise after a gain times the plate's median curve (power, emissivity and absorption drop out);
2. what is left after a least-squares fit of the median curve, its derivative by the logarithm of time (diffusivity,
   thickness and timing), a step while the lamps shine (reflections) and a constant (emissivity, cold frame).

A smooth background over the plate (lamp pattern) is taken out of both, and arcsinh compresses them, so that strong
and weak defects stay visible side by side.

Where neighbouring pixels differ by more than the camera's noise (fibres near the face, the mesh of a simulation), what
they differ by counts as noise of the bin, so that gains are read where pixels agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError
from thermo_qc.preprocess import resampling_matrix

__all__ = ["TimeBins", "residual_channels", "time_bins"]

_MOST_SKIPPED = 0.5
_LEVERAGE = 3.0  # residuals beyond this many typical ones weigh less in the background
_ROUNDS = 2
_SPIKE = 8.0
_ENOUGH = 40_000
_MAD_TO_STD = 1.4826
_TEXTURE_ROUNDS = 4
_TEXTURE_PX = (2, 8)
_TEXTURE_SLACK = 2.0  # of the variance: defects and a wrong estimate of the noise make as much
_TEXTURE_PAIRS = 1_000  # in each direction
_TEXTURE_FADED = 0.1  # of the cooling


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeBins:
    """How the frames of a recording become bins.

    Parameters
    ----------
    weights : ndarray of float64, shape (B, T)
        Bins from frames; with cold frames their mean is subtracted. Rows of absent bins are 0.
    elapsed_s : ndarray of float64, shape (B,)
        Time of each bin since the start of the heating.
    heated : ndarray of bool, shape (B,)
        Bins while the lamps shine.
    present : ndarray of bool, shape (B,)
        Bins that the recording covers.
    noise : ndarray of float64, shape (B,)
        Noise of each bin over that of a frame, without that of the cold frame; 1 where absent.
    cold : bool
        Whether cold frames are subtracted.
    """

    weights: NDArray[np.float64]
    elapsed_s: NDArray[np.float64]
    heated: NDArray[np.bool_]
    present: NDArray[np.bool_]
    noise: NDArray[np.float64]
    cold: bool


def time_bins(
    times_s: NDArray[np.float64],
    *,
    heating_stop_s: float,
    n_heating: int = 12,
    n_cooling: int = 52,
    first_share: float = 0.004,
) -> TimeBins:
    """Divide a recording into bins that depend on fractions of its own times only.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Time of each frame, 0 is the start of the heating; earlier frames are cold.
    heating_stop_s : float
        End of the heating.
    n_heating : int
        Bins from the start to the end of the heating, evenly spaced; absent when fewer than three frames show it.
    n_cooling : int
        Bins of the cooling, evenly spaced in the logarithm of the time since the end of the heating; absent where the
        recording starts later, and where it ends with the heating.
    first_share : float
        First of them over the last.

    Returns
    -------
    TimeBins

    Raises
    ------
    ModelError
        When too few frames are left to see anything.
    """
    times = np.asarray(times_s, dtype=np.float64)
    heated, cooled = (times >= 0) & (times <= heating_stop_s), times > heating_stop_s
    cold = times < 0
    n_bins = n_heating + n_cooling
    weights = np.zeros((n_bins, times.size))
    elapsed = np.zeros(n_bins)
    if heated.sum() >= 3:
        inside = times[heated]
        elapsed[:n_heating] = np.linspace(inside[0], inside[-1], n_heating)
        weights[:n_heating, heated] = resampling_matrix(inside, elapsed[:n_heating])
    if cooled.sum() >= 3:
        after = times[cooled] - heating_stop_s
        wanted = after[-1] * np.geomspace(first_share, 1.0, n_cooling)
        seen = wanted >= after[0] - 0.25 * (after[1] - after[0])
        rows = np.flatnonzero(seen) + n_heating
        weights[np.ix_(rows, np.flatnonzero(cooled))] = resampling_matrix(after, wanted[seen])
        elapsed[n_heating:] = heating_stop_s + wanted
    present = np.asarray(weights.any(axis=1))
    if present.sum() < _MOST_SKIPPED * min(n_heating, n_cooling) or present.sum() < 6:
        raise ModelError(
            f"{int(heated.sum())} frames of the heating and {int(cooled.sum())} of the cooling came, too few to see "
            "anything; record at a higher rate, for longer, or check heating_stop_s"
        )
    noise = np.where(present, np.sqrt((weights**2).sum(axis=1)), 1.0)
    if cold.any():
        weights[np.ix_(np.flatnonzero(present), np.flatnonzero(cold))] = -1.0 / cold.sum()
    return TimeBins(
        weights=weights,
        elapsed_s=elapsed,
        heated=np.arange(n_bins) < n_heating,
        present=present,
        noise=noise,
        cold=bool(cold.any()),
    )


def residual_channels(
    values: NDArray[np.float32],
    bins: TimeBins,
    *,
    noise: float,
    valid: NDArray[np.bool_],
    background_order: int = 3,
    texture: bool = False,
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
    texture : bool
        Whether differences between neighbouring pixels beyond the camera's noise count as noise of their bin.

    Returns
    -------
    ndarray of float32, shape (2 B, Y, X)
        arcsinh of the residuals over their noise; 0 in absent bins.
    """
    rows = np.flatnonzero(bins.present)
    curves = values[rows][:, valid]  # (b, N)
    some = slice(None, None, max(1, curves.shape[1] // _ENOUGH))  # that many pixels tell median and background
    typical = np.median(curves[:, some], axis=1).astype(np.float64)
    if texture:
        bins = replace(bins, noise=_with_texture(curves, typical, bins, noise, valid))
    sigma = (bins.noise[rows] * noise).astype(np.float32)
    whitened = curves / sigma[:, None]
    median = typical / sigma
    parts = []
    gain_only = _basis(median, bins, rows, sigma, everything=False)
    everything = _basis(median, bins, rows, sigma, everything=True)
    for basis in (gain_only, everything):
        left, _ = np.linalg.qr(basis)
        projector = (np.eye(rows.size) - left @ left.T).astype(np.float32)
        parts.append(projector @ whitened)
    _mend_spikes(parts, valid)
    if background_order >= 0:
        polynomial = _polynomial(valid, background_order)
        few = np.ascontiguousarray(polynomial[:, some])
        weights = _robust_weights(np.ascontiguousarray(parts[1][:, some]), few)
        for part in parts:
            part -= _background(np.ascontiguousarray(part[:, some]), few, weights).T @ polynomial
    result = np.zeros((2, values.shape[0], *valid.shape), dtype=np.float32)
    for target, part in zip(result, parts, strict=True):
        np.arcsinh(part, out=part)
        for row, values_of_row in zip(rows.tolist(), part, strict=True):
            target[row][valid] = values_of_row
    return result.reshape(-1, *valid.shape)


def _with_texture(
    curves: NDArray[np.float32],
    median: NDArray[np.float64],
    bins: TimeBins,
    noise: float,
    valid: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Noise of the bins (B,), raised by what the shapes of near pixels' curves (b, N) differ by beyond it.

    What lies near the face (fibres, roughness) tells pixels apart by a share of the rise that falls with time; what
    grows with time is a defect's, and is left alone. The noise rules how the gain is read, and the gain which bins
    seem to differ: a few rounds settle both.
    """
    rows = np.flatnonzero(bins.present)
    white = bins.noise[rows] * noise
    covariance = noise**2 * (bins.weights[rows] @ bins.weights[rows].T)
    steps = [curves[:, one] - curves[:, other] for one, other in (_near_pairs(valid, lag) for lag in _TEXTURE_PX)]
    rise = np.maximum(np.abs(median), white)
    share = np.zeros(rows.size)
    for _ in range(_TEXTURE_ROUNDS):
        sigma = np.hypot(white, share * rise)
        left, _ = np.linalg.qr(_basis(median / sigma, bins, rows, sigma.astype(np.float32), everything=False))
        projector = sigma[:, None] * (np.eye(rows.size) - left @ left.T) / sigma
        expected = np.einsum("ij,jk,ik->i", projector, covariance, projector)
        found = [np.median(np.abs(projector.astype(np.float32) @ step), axis=1) for step in steps if step.size]
        if not found:
            break
        excess = 0.5 * (_MAD_TO_STD * np.max(found, axis=0)) ** 2 - _TEXTURE_SLACK * expected
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
        faded = np.where(cooled_s < _TEXTURE_FADED * cooled_s[-1], share[~heated], 0.0)
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
        both = both[:: max(1, both.size // _TEXTURE_PAIRS)]
        ones.append(one[both])
        others.append(other[both])
    return np.concatenate(ones), np.concatenate(others)


def _basis(
    median: NDArray[np.float64],
    bins: TimeBins,
    rows: NDArray[np.intp],
    sigma: NDArray[np.float32],
    *,
    everything: bool,
) -> NDArray[np.float64]:
    """Curves that a pixel may differ by, whitened (b, k); a constant joins the gain where no cold frame is known."""
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


def _polynomial(valid: NDArray[np.bool_], order: int) -> NDArray[np.float32]:
    """Orthonormal polynomials in x and y on the valid pixels, float32 (k, N)."""
    v, u = np.nonzero(valid)
    x, y = (2.0 * (axis - axis.min()) / max(1, axis.max() - axis.min()) - 1.0 for axis in (u, v))
    columns = [x**i * y**j for i in range(order + 1) for j in range(order + 1 - i)]
    left, _ = np.linalg.qr(np.stack(columns, axis=1))
    return np.ascontiguousarray(left.T, dtype=np.float32)


def _robust_weights(part: NDArray[np.float32], polynomial: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights of the pixels: 1 where the residual is typical, less where it is large (defects)."""
    weights = np.ones(part.shape[1], dtype=np.float32)
    for _ in range(_ROUNDS):
        rest = part - _background(part, polynomial, weights).T @ polynomial
        size = np.sqrt((rest**2).mean(axis=0))
        typical = float(np.median(size)) + 1e-12
        weights = 1.0 / (1.0 + (np.maximum(size / typical - 1.0, 0.0) / _LEVERAGE) ** 2)
        weights = weights.astype(np.float32) ** 2
    return weights


def _background(
    part: NDArray[np.float32], polynomial: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Coefficients (k, b) of the weighted least-squares polynomial of every row."""
    weighted = polynomial * weights
    normal = (weighted @ polynomial.T).astype(np.float64)
    normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal))
    return np.linalg.solve(normal, (weighted @ part.T).astype(np.float64)).astype(np.float32)
