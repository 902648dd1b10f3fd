"""Least squares of every pixel's curve on the model of a slab: diffusivity, amplitude and losses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.thermography.slab import Face, slab_flash, slab_step

__all__ = ["SlabFit", "fit_slab"]

_STEP, _STEP_LOSSES = 0.03, 0.1  # of the grid of ln alpha
_LOSSES = 6.0 * np.linspace(0, 1, 28) ** 2  # rates h / (rho c L) over one over the last time
_REACH = 3  # of the polynomial through the grid, in points to either side
_RANK = 1e-7  # of the family of model curves, against its largest singular value
_SKETCH = 64  # more than that rank
_CHUNK_VALUES = 4_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class SlabFit:
    """Result of `fit_slab`, arrays of shape (...), NaN where no best fit lies within the range.

    Parameters
    ----------
    diffusivity_mm2_s : ndarray of float64
        Through the thickness.
    standard_error_mm2_s : ndarray of float64
        Of it, from the residuals and the curvature at the best fit: where noise is white, that of Cramer and Rao.
    amplitude : ndarray of float64
        Final rise without losses, Q / (rho c L), in the unit of the rise.
    biot : ndarray of float64
        ``h L / k`` of the losses, 0 where they are not fitted.
    residual : ndarray of float64
        Root mean square of what the model leaves, in the unit of the rise.
    """

    diffusivity_mm2_s: NDArray[np.float64]
    standard_error_mm2_s: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    biot: NDArray[np.float64]
    residual: NDArray[np.float64]


def fit_slab(
    rise: NDArray[np.floating],
    times_s: NDArray[np.float64],
    *,
    thickness_mm: float,
    pulse_s: float = 0.0,
    face: Face = "front",
    losses: bool = False,
    offset: bool = False,
    range_mm2_s: tuple[float, float] | None = None,
) -> SlabFit:
    """Fit ``A f(alpha t / L^2, Bi)`` of a heated slab to every curve by least squares.

    The amplitude is eliminated (variable projection): what is left to maximise over diffusivity and losses is the
    share of the curve that the model's direction takes. It is computed on a grid through a small orthonormal basis of
    all model curves, and refined by a polynomial through the points round the maximum.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Rise of one face.
    times_s : ndarray of float64, shape (T,)
        From the start of the pulse (after the middle of a flash), positive.
    thickness_mm : float
        L.
    pulse_s : float
        Length of the pulse of constant power; 0 for a flash.
    face : {"front", "rear"}
        Which face is seen; the front is the heated one.
    losses : bool
        Fit losses, equal on both faces, too: rates ``h / (rho c L)`` up to 6 over the last time.
    offset : bool
        Fit a constant that is added to each curve, too: that of a cold frame averaged from few frames.
    range_mm2_s : tuple of float, optional
        Diffusivities among which the best is sought, wider than what may come (losses need a margin). When None, those
        whose Fourier number is 0.03 or more at the last time and 3 or less at the first.

    Returns
    -------
    SlabFit

    Raises
    ------
    SequenceError
        When shapes do not fit, there are too few frames, or a constant is impossible.

    References
    ----------
    Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413, 10.1137/0710036; the slab: Carslaw and Jaeger 1959, 3.11.
    """
    values, times = np.asarray(rise), np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or values.shape[:1] != times.shape or times.size < 5:
        raise SequenceError(f"rise has shape {values.shape} and times {times.shape}, expected (T, ...) and (T,), T > 4")
    if not (times[0] > 0 and (np.diff(times) > 0).all()):
        raise SequenceError(f"times start at {times[0]:g} s, expected increasing positive ones; count from the heating")
    if not (np.isfinite(thickness_mm) and thickness_mm > 0):
        raise SequenceError(f"the thickness is {thickness_mm} mm, expected a positive length")
    low, high = range_mm2_s or (0.03 * thickness_mm**2 / times[-1], 3 * thickness_mm**2 / times[0])
    if not 0 < low < high < np.inf:
        raise SequenceError(f"the diffusivity is sought from {low:g} to {high:g} mm2/s, expected a positive range")
    grid = _grid(times.tobytes(), thickness_mm, pulse_s, face, losses, offset, low, high)
    curves = values.reshape(times.size, -1)
    alpha, error, amplitude, loss_rate, residual = (one.reshape(values.shape[1:]) for one in _fit(grid, curves))
    return SlabFit(
        diffusivity_mm2_s=alpha,
        standard_error_mm2_s=error,
        amplitude=amplitude,
        biot=loss_rate * thickness_mm**2 / alpha,
        residual=residual,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grid:
    """Model curves over loss rates (b) and ln alpha (a): basis (r, T), directions (b, a, r), ln of lengths (b, a)."""

    log_alpha: NDArray[np.float64]
    loss_rates: NDArray[np.float64]
    basis: NDArray[np.float64]
    directions: NDArray[np.float64]
    log_lengths: NDArray[np.float64]
    offset: bool

    @property
    def step(self) -> float:
        return float(self.log_alpha[1] - self.log_alpha[0])


@lru_cache(maxsize=4)
def _grid(
    times: bytes,
    thickness_mm: float,
    pulse_s: float,
    face: Face,
    losses: bool,
    offset: bool,
    low: float,
    high: float,
) -> _Grid:
    axis = np.frombuffer(times)
    n = max(2 * _REACH + 3, int(np.ceil(np.log(high / low) / (_STEP_LOSSES if losses else _STEP))) + 1)
    log_alpha = np.linspace(np.log(low), np.log(high), n)
    loss_rates = (_LOSSES if losses else _LOSSES[:1]) / axis[-1]
    rates = np.exp(log_alpha) / thickness_mm**2
    models = np.stack([[_model(axis, rate, pulse_s, face, loss / rate) for rate in rates] for loss in loss_rates])
    if offset:
        models -= models.mean(axis=2, keepdims=True)
    lengths = np.maximum(np.linalg.norm(models, axis=2), 1e-300)
    directions = models / lengths[:, :, None]
    flat = directions.reshape(-1, axis.size)
    # The family has few dimensions: random mixtures of it span them.
    sketch = np.random.default_rng(0).standard_normal((min(_SKETCH, axis.size), flat.shape[0])) @ flat
    frame = np.linalg.qr(sketch.T)[0]
    _, singular, turn = np.linalg.svd(flat @ frame, full_matrices=False)
    basis = (frame @ turn.T).T[singular > _RANK * singular[0]]
    return _Grid(
        log_alpha=log_alpha,
        loss_rates=loss_rates,
        basis=basis,
        directions=directions @ basis.T,
        log_lengths=np.log(lengths),
        offset=offset,
    )


def _model(times: NDArray[np.float64], rate: float, pulse_s: float, face: Face, biot: float) -> NDArray[np.float64]:
    """`slab_response` for ``alpha / L^2`` in 1/s."""
    if pulse_s == 0:
        return slab_flash(rate * times, face, biot)
    pulse = slab_step(rate * times, face, biot) - slab_step(rate * (times - pulse_s), face, biot)
    return np.asarray(pulse / (rate * pulse_s))


def _fit(grid: _Grid, curves: NDArray[np.floating]) -> NDArray[np.float64]:
    """Diffusivity, its standard error, amplitude, loss rate and residual (5, n) of curves (T, n)."""
    found = np.full((5, curves.shape[1]), np.nan)
    step = max(1, _CHUNK_VALUES // grid.log_lengths.size)
    basis = grid.basis.astype(curves.dtype)
    for start in range(0, curves.shape[1], step):
        part = slice(start, start + step)
        whole = np.isfinite(curves[:, part]).all(axis=0)
        piece = np.where(whole, curves[:, part], 0)
        if grid.offset:
            piece = piece - piece.mean(axis=0)
        power = np.einsum("ij,ij->j", piece, piece, dtype=np.float64)
        values = _best((basis @ piece).astype(np.float64), power, grid, curves.shape[0])
        found[:, part] = np.where(whole, values, np.nan)
    return found


def _best(in_basis: NDArray[np.float64], power: NDArray[np.float64], grid: _Grid, n_frames: int) -> NDArray[np.float64]:
    n_loss, n_alpha = grid.log_lengths.shape
    scores = (grid.directions.reshape(n_loss * n_alpha, -1) @ in_basis).reshape(n_loss, n_alpha, -1)
    lines = [_best_of_line(one, lengths[:, None]) for one, lengths in zip(scores, grid.log_lengths, strict=True)]
    if n_loss == 1:
        place, score, bend, log_length = lines[0]
        loss_rate, effective, n_parameters = np.zeros(power.size), bend, 2
    else:
        places, heights, bends, lengths = (np.stack(part) for part in zip(*lines, strict=True))
        column = np.where(np.isfinite(places), heights, -np.inf).argmax(axis=0)
        first = np.clip(column - _REACH, 0, n_loss - _NODES.size)
        near = first[None] + _NODES[:, None]  # the best over alpha at the loss rates round the best
        places, heights, bends, lengths = (
            np.take_along_axis(part, near, axis=0) for part in (places, heights, bends, lengths)
        )
        shift, score, profile_bend = _peak_of_line(heights, column - first)
        place, bend, log_length = (_POWERS @ part for part in (places, bends, lengths))
        moved = _horner(_derive(place, 1), shift)
        place, bend, log_length = (_horner(part, shift) for part in (place, bend, log_length))
        loss_rate = np.maximum(_horner(_POWERS @ grid.loss_rates[near], shift), 0.0)
        free = (loss_rate > 0) & (profile_bend < 0)  # the diffusivity is less certain where the losses move with it
        effective = np.where(free, bend * profile_bend / np.where(free, profile_bend + bend * moved**2, 1.0), bend)
        n_parameters = 3
        bend = np.where(first + shift < n_loss - 1, bend, np.nan)  # losses beyond the grid
    n_parameters += int(grid.offset)
    found = (score > 0) & (place > 0) & (place < n_alpha - 1) & (bend < 0)
    squares = np.maximum(power - score**2, 0.0) / (n_frames - n_parameters)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        diffusivity = np.exp(grid.log_alpha[0] + grid.step * place)
        error = diffusivity * grid.step * np.sqrt(squares / (-score * effective))
        values = np.stack([diffusivity, error, score * np.exp(-log_length), loss_rate, np.sqrt(squares)])
    return np.where(found, values, np.nan)


_NODES = np.arange(2 * _REACH + 1)
_POWERS = np.linalg.inv(np.vander(_NODES, increasing=True).astype(np.float64))  # values at the nodes to coefficients


def _best_of_line(
    scores: NDArray[np.float64], log_lengths: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Place on the grid of ln alpha, height, second derivative and log of the model's length of columns (a, n).

    A maximum at an end of the grid gives a place of NaN.
    """
    n_alpha = scores.shape[0]
    row = scores.argmax(axis=0)
    first = np.clip(row - _REACH, 0, n_alpha - _NODES.size)
    stencil = first[None] + _NODES[:, None]
    shift, height, bend = _peak_of_line(np.take_along_axis(scores, stencil, axis=0), row - first)
    inside = (row > 0) & (row < n_alpha - 1)
    lengths = np.take_along_axis(np.broadcast_to(log_lengths, scores.shape), stencil, axis=0)
    return np.where(inside, first + shift, np.nan), height, bend, _horner(_POWERS @ lengths, shift)


def _peak_of_line(
    values: NDArray[np.float64], guess: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Place, height and second derivative of the maximum, near a guess, of the polynomial through the stencil."""
    coefficients = _POWERS @ values
    x = guess.astype(np.float64)
    for _ in range(8):
        slope, bend = (_horner(_derive(coefficients, k), x) for k in (1, 2))
        downhill = np.clip(np.divide(slope, bend, out=-np.sign(slope), where=bend < 0), -1, 1)
        x = np.clip(x - downhill, 0, 2 * _REACH)
    return x, _horner(coefficients, x), _horner(_derive(coefficients, 2), x)


def _derive(coefficients: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    for _ in range(degree):
        powers = np.arange(1, coefficients.shape[0], dtype=np.float64)
        coefficients = coefficients[1:] * powers[:, None]
    return coefficients


def _horner(coefficients: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    value: NDArray[np.float64] = coefficients[-1]
    for row in coefficients[-2::-1]:
        value = value * x + row
    return value
