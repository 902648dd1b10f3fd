"""Exponential decay of the cooling: amplitudes, time constants and offset of every pixel."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError

__all__ = ["DecayFit", "check_decay", "fit_decay"]

logger = logging.getLogger(__name__)
TOLERANCE = 1e-9  # of the subspace that holds all exponentials, against their norm
MARGIN = 1e-4  # of ln tau: nearer to a bound than this counts as at it
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class DecayFit:
    """Result of `fit_decay`.

    Parameters
    ----------
    amplitude : ndarray of float64, shape (k, ...)
        A_i, at ``t = 0``, in the unit of the rise.
    tau_s : ndarray of float64, shape (k, ...)
        Time constants in growing order.
    offset : ndarray of float64, shape (...)
        c, in the unit of the rise.
    r2 : ndarray of float64, shape (...)
        Coefficient of determination; NaN for curves without any spread.
    """

    amplitude: Floats
    tau_s: Floats
    offset: Floats
    r2: Floats


def fit_decay(
    rise: NDArray[np.floating],
    times_s: Floats,
    *,
    n_terms: int = 1,
    tau_min_s: float | None = None,
    tau_max_s: float | None = None,
    n_iterations: int = 40,
) -> DecayFit:
    """Fit ``T = sum_i A_i exp(-t / tau_i) + c`` to every pixel by least squares.

    All exponentials of the allowed time constants lie, to 1e-9, in a space of some twenty dimensions: curves are
    projected onto it once. There a grid of time constants (of pairs of them for two terms) starts a Levenberg-Marquardt
    search in ln tau, amplitudes and offset being solved for exactly (variable projection), all pixels side by side.

    Parameters
    ----------
    rise : ndarray, shape (T, ...)
        Temperature rise; values that are not finite make their pixel NaN.
    times_s : ndarray of float64, shape (T,)
        Increasing times, not negative.
    n_terms : int
        1 or 2. Two terms want time constants some factor 3 apart and little noise.
    tau_min_s, tau_max_s : float, optional
        Bounds of the time constants; by default the usual time step (or a twentieth of the first time) and three times
        the window's length.
    n_iterations : int
        At most so many steps of the search.

    Returns
    -------
    DecayFit
        Amplitudes, time constants and offset are NaN, and counted in the log, where the best time constant lies at a
        bound or two of them fall together: such a curve is no such decay. R2 is given there too.

    Raises
    ------
    SequenceError
        When shapes do not fit or a number is impossible.

    References
    ----------
    Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413, 10.1137/0710036 (variable projection).

    Examples
    --------
    >>> times = np.linspace(0.1, 30, 200)
    >>> fit = fit_decay(4.0 * np.exp(-times / 6.0) + 0.5, times)
    >>> round(float(fit.tau_s[0]), 6), round(float(fit.amplitude[0]), 6), round(float(fit.offset), 6)
    (6.0, 4.0, 0.5)
    """
    values, times = np.asarray(rise), np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or values.shape[:1] != times.shape:
        raise SequenceError(f"curves have shape {values.shape} and times {times.shape}, expected (T, ...) and (T,)")
    low, high = check_decay(times, n_terms, tau_min_s, tau_max_s)
    if n_iterations < 1:
        raise SequenceError(f"{n_iterations} iterations are wanted, expected at least 1")
    space = _space(times.tobytes(), low, high)
    curves = values.reshape(times.size, -1).T.astype(np.float64)
    mean = curves.mean(axis=1)
    curves -= mean[:, None]
    finite = np.isfinite(mean)
    found = np.full((2 * n_terms + 2, mean.size), np.nan)
    found[:, finite] = _fit(curves[finite], space, n_terms, n_iterations)
    found[2 * n_terms] += mean
    n_failed = int((finite & np.isnan(found[0])).sum())
    if n_failed:
        logger.info("%d of %d pixels: no decay of %d terms within %g to %g s", n_failed, mean.size, n_terms, low, high)
    found = found.reshape(-1, *values.shape[1:])
    return DecayFit(
        tau_s=found[:n_terms], amplitude=found[n_terms : 2 * n_terms], offset=found[2 * n_terms], r2=found[-1]
    )


def check_decay(times_s: Floats, n_terms: int, tau_min_s: float | None, tau_max_s: float | None) -> tuple[float, float]:
    """Give the bounds of the time constants, or refuse what no fit can use; see `fit_decay`."""
    if n_terms not in (1, 2):
        raise SequenceError(f"{n_terms} exponentials are wanted, expected 1 or 2")
    if times_s.size < 2 * n_terms + 2:
        raise SequenceError(f"{times_s.size} frames are left, expected at least {2 * n_terms + 2} for the decay")
    if not ((np.diff(times_s) > 0).all() and times_s[0] >= 0):
        raise SequenceError(f"times start at {times_s[0]:g} s, expected increasing ones of zero or more")
    step, length = float(np.median(np.diff(times_s))), float(times_s[-1] - times_s[0])
    low = max(step, times_s[0] / 20) if tau_min_s is None else tau_min_s
    high = 3 * length if tau_max_s is None else tau_max_s
    if not (0 < low < high < np.inf) or low < times_s[0] / 100:
        raise SequenceError(
            f"time constants from {low:g} to {high:g} s are wanted, expected a growing range above "
            f"{times_s[0] / 100:.3g} s, a hundredth of the first time"
        )
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Space:
    """Where all exponentials without their mean live, and how one moves there with x (ln tau on -1 to 1)."""

    basis: Floats  # (T, r)
    curve: Floats  # (d, r): Chebyshev coefficients in x of the exponential's coordinates
    slope: Floats  # (d, r): of their derivative by x
    mean: Floats  # (d,): of the exponential's mean over the frames
    low: float
    high: float

    def tau_s(self, x: Floats) -> Floats:
        return np.asarray(np.exp(self.low + (x + 1) / 2 * (self.high - self.low)))


@lru_cache(maxsize=8)
def _space(times: bytes, low: float, high: float) -> _Space:
    axis = np.frombuffer(times)
    start, stop = np.log(low), np.log(high)

    def exponentials(x: Floats) -> Floats:
        return np.asarray(np.exp(-axis[:, None] / np.exp(start + (x + 1) / 2 * (stop - start))))

    degree = 32
    while True:
        nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
        values = exponentials(nodes)
        coefficients = np.linalg.solve(chebyshev.chebvander(nodes, degree), values.T)
        norm = np.linalg.norm(values, axis=0).max()
        if np.linalg.norm(coefficients[-2:], axis=1).max() < TOLERANCE * norm or degree >= 512:
            break
        degree *= 2
    mean = coefficients.mean(axis=1)
    left, sizes, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    basis = np.ascontiguousarray(left[:, sizes > TOLERANCE * sizes[0]])
    curve = coefficients @ basis
    slope = np.zeros_like(curve)
    slope[:-1] = chebyshev.chebder(curve)
    return _Space(basis=basis, curve=curve, slope=slope, mean=mean, low=float(start), high=float(stop))


def _fit(curves: Floats, space: _Space, n_terms: int, n_iterations: int) -> Floats:
    """Rows tau_i, A_i, offset less the mean, R2 of curves (n, T) without their mean."""
    seen = curves @ space.basis
    total = np.einsum("ij,ij->i", curves, curves)
    outside = np.maximum(total - np.einsum("ij,ij->i", seen, seen), 0.0)
    x = _search(seen, space, _start(seen, space, n_terms), n_iterations)
    x.sort(axis=1)
    amplitude, left, _ = _linear(seen, space, x)
    width = 2 * MARGIN / (space.high - space.low)
    lost = (np.abs(x) >= 1 - width).any(axis=1) | (np.diff(x, axis=1) < width).any(axis=1) | (total == 0)
    means = np.stack([chebyshev.chebval(one, space.mean) for one in x.T], axis=1)
    offset = -(amplitude * means).sum(axis=1)
    found = np.stack([*space.tau_s(x).T, *amplitude.T, offset])
    found[:, lost] = np.nan
    r2 = 1 - np.divide(outside + left, total, out=np.full_like(total, np.nan), where=total > 0)
    return np.concatenate([found, r2[None]])


def _start(seen: Floats, space: _Space, n_terms: int) -> Floats:
    """Best of a grid of time constants (n, k)."""
    grid = np.linspace(-1, 1, 66 if n_terms == 1 else 28)[1:-1]
    lines = _unit(chebyshev.chebvander(grid, space.curve.shape[0] - 1) @ space.curve)
    single = np.square(seen @ lines.T)
    if n_terms == 1:
        return np.asarray(grid[single.argmax(axis=1)][:, None])
    one, two = np.triu_indices(grid.size, 1)
    across = lines[two] - np.einsum("ij,ij->i", lines[one], lines[two])[:, None] * lines[one]
    best = (single[:, one] + np.square(seen @ _unit(across).T)).argmax(axis=1)
    return np.stack([grid[one[best]], grid[two[best]]], axis=1)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _linear(seen: Floats, space: _Space, x: Floats) -> tuple[Floats, Floats, list[Floats]]:
    """Best amplitudes (n, k) for given time constants, the squares left (n,), and orthonormal directions."""
    directions: list[Floats] = []
    left = seen.copy()
    triangle = np.zeros((x.shape[0], x.shape[1], x.shape[1]))
    along = np.zeros_like(x)
    for i, place in enumerate(x.T):
        line = chebyshev.chebvander(place, space.curve.shape[0] - 1) @ space.curve
        for j, direction in enumerate(directions):
            triangle[:, j, i] = np.einsum("ij,ij->i", direction, line)
            line -= triangle[:, j, i][:, None] * direction
        # The tiny length keeps time constants that fall together from a division by zero.
        triangle[:, i, i] = np.maximum(np.linalg.norm(line, axis=1), 1e-300)
        directions.append(line / triangle[:, i, i][:, None])
        along[:, i] = np.einsum("ij,ij->i", directions[i], left)
        left -= along[:, i][:, None] * directions[i]
    amplitude = np.zeros_like(x)
    for i in reversed(range(x.shape[1])):
        upper = sum((triangle[:, i, j] * amplitude[:, j] for j in range(i + 1, x.shape[1])), np.zeros(x.shape[0]))
        amplitude[:, i] = (along[:, i] - upper) / triangle[:, i, i]
    return amplitude, np.einsum("ij,ij->i", left, left), directions


def _search(seen: Floats, space: _Space, x: Floats, n_iterations: int) -> Floats:
    """Levenberg-Marquardt in x with Kaufman's derivative, every pixel with a damping of its own."""
    x, damping = x.copy(), np.full(x.shape[0], 1e-3)
    active = np.arange(x.shape[0])
    for _ in range(n_iterations):
        if active.size == 0:
            break
        here, curves = x[active], seen[active]
        amplitude, left, directions = _linear(curves, space, here)
        step = _step(curves, space, here, amplitude, directions, damping[active])
        trial = np.clip(here + np.clip(step, -0.2, 0.2), -1, 1)
        better = _linear(curves, space, trial)[1] <= left
        x[active[better]] = trial[better]
        damping[active] *= np.where(better, 0.2, 8.0)
        moved = np.abs(trial - here).max(axis=1)
        active = active[(moved > 1e-8) & (damping[active] < 1e6)]
    return x


def _step(
    seen: Floats, space: _Space, x: Floats, amplitude: Floats, directions: list[Floats], damping: Floats
) -> Floats:
    def across(rows: Floats) -> Floats:
        for direction in directions:
            rows = rows - np.einsum("ij,ij->i", direction, rows)[:, None] * direction
        return rows

    residual = across(seen)
    slopes = []
    for place, size in zip(x.T, amplitude.T, strict=True):
        line = chebyshev.chebvander(place, space.slope.shape[0] - 1) @ space.slope
        slopes.append(across(line * size[:, None]))
    jacobian = np.stack(slopes, axis=2)
    normal = np.einsum("ijk,ijl->ikl", jacobian, jacobian)
    right = np.einsum("ijk,ij->ik", jacobian, residual)
    diagonal = np.einsum("ikk->ik", normal)
    diagonal += damping[:, None] * diagonal + np.finfo(float).tiny ** 0.5
    return np.asarray(np.linalg.solve(normal, right[:, :, None])[:, :, 0])
