"""The regularised inversion of virtual waves, one operator for all pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.thermography.virtual_wave import virtual_wave_kernel

__all__ = [
    "VirtualWaveOperator",
    "choose_regularisation",
    "find_echo",
    "invert_non_negative",
    "virtual_wave_operator",
]

Floats = NDArray[np.float64]
Regulariser = Literal["tikhonov", "tsvd"]


@dataclass(frozen=True, kw_only=True, eq=False)
class VirtualWaveOperator:
    """Regularised inverse of the kernel for given times, from `virtual_wave_operator`.

    Parameters
    ----------
    depths_mm : ndarray of float64, shape (n,)
        Evenly spaced in ln depth.
    matrix : ndarray of float64, shape (n, T)
        ``matrix @ rise`` is the virtual wave T_v without the surface's own source, in the unit of the rise.
    regulariser, parameter
        As given.
    forward : ndarray of float64, shape (T, n)
        From echoes per unit of ln depth (T_v times z) to the rise less its share that looks like the surface's source.
    """

    depths_mm: Floats
    matrix: Floats
    regulariser: Regulariser
    parameter: float
    forward: Floats

    @property
    def noise_gain(self) -> Floats:
        """Standard deviation of the wave (n,) under white noise of one in every frame."""
        return np.asarray(np.linalg.norm(self.matrix, axis=1))

    def resolution_mm(self, depth_mm: float, diffusivity_mm2_s: float, times_s: Floats, pulse_s: float = 0.0) -> float:
        """Full width at half of the largest of the wave that a single echo from a depth gives, mm."""
        rise = virtual_wave_kernel(np.array([depth_mm]), times_s, diffusivity_mm2_s, pulse_s)
        wave = (self.matrix @ rise)[:, 0]
        top = int(np.argmax(wave))
        high = wave > wave[top] / 2
        below, above = np.flatnonzero(~high[:top]), np.flatnonzero(~high[top:])
        low = self.depths_mm[below[-1] + 1] if below.size else 0.0
        return float((self.depths_mm[top + above[0] - 1] if above.size else np.inf) - low)


def virtual_wave_operator(
    times_s: Floats,
    diffusivity_mm2_s: float,
    parameter: float,
    *,
    regulariser: Regulariser = "tikhonov",
    pulse_s: float = 0.0,
    n_depths: int = 128,
) -> VirtualWaveOperator:
    """Invert the kernel once for all pixels.

    Resolution falls in proportion to the depth, so the depths are even in ln depth, from half of the diffusion length
    at the first frame to five times that at the last, and what is regularised is the wave's area per unit of ln depth.
    The surface's own source is fitted freely: it costs nothing and is no part of the result.

    Parameters
    ----------
    times_s, diffusivity_mm2_s, pulse_s
        As for `virtual_wave_kernel`.
    parameter : float
        Against the largest singular value: the ridge of "tikhonov", or what singular values "tsvd" keeps above.
    regulariser : {"tikhonov", "tsvd"}
        How small singular values are kept from amplifying noise.
    n_depths : int
        Points of the depth axis.

    Raises
    ------
    SequenceError
        When a number is impossible or there are less than three frames.
    """
    if regulariser not in ("tikhonov", "tsvd") or not 0 < parameter < 1 or n_depths < 8:
        raise SequenceError(
            f"regulariser '{regulariser}' with parameter {parameter} and {n_depths} depths is wanted, expected "
            "tikhonov or tsvd, a parameter between 0 and 1, and at least 8 depths"
        )
    depths, forward, surface, left, sizes, right = _system(times_s, diffusivity_mm2_s, pulse_s, n_depths)
    shares = _shares(sizes, parameter, regulariser)
    inverse = (right.T * (shares / sizes)) @ left.T
    inverse -= np.outer(inverse @ surface, surface)
    return VirtualWaveOperator(
        depths_mm=depths,
        matrix=inverse / (2 * depths[:, None]),
        regulariser=regulariser,
        parameter=parameter,
        forward=forward,
    )


def _system(
    times_s: Floats, diffusivity: float, pulse_s: float, n_depths: int
) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    times = np.asarray(times_s, dtype=np.float64)
    if times.size < 3:
        raise SequenceError(f"{times.size} frames are left for the virtual wave, expected at least 3")
    surface = virtual_wave_kernel(np.zeros(1), times, diffusivity, pulse_s)[:, 0]
    surface /= np.linalg.norm(surface)
    first = times[0] if pulse_s == 0 else max(times[0] - pulse_s, times[1] - times[0])
    # An echo from five diffusion lengths is gone to 1e-11: nothing of the curve is left to what lies deeper.
    depths = np.geomspace(np.sqrt(diffusivity * first) / 2, 5 * np.sqrt(diffusivity * times[-1]), n_depths)
    spacing = np.log(depths[1] / depths[0])
    forward = virtual_wave_kernel(depths, times, diffusivity, pulse_s) * spacing
    forward -= np.outer(surface, surface @ forward)
    left, sizes, right = scipy.linalg.svd(forward, full_matrices=False)
    kept = sizes > 1e-10 * sizes[0]
    return depths, forward, surface, left[:, kept], sizes[kept], right[kept]


def _shares(sizes: Floats, parameter: float, regulariser: str) -> Floats:
    """How much of each singular vector passes, 0 to 1."""
    if regulariser == "tsvd":
        return np.asarray((sizes > parameter * sizes[0]).astype(np.float64))
    return np.asarray(sizes**2 / (sizes**2 + (parameter * sizes[0]) ** 2))


def choose_regularisation(
    curve: Floats,
    noise: float,
    times_s: Floats,
    diffusivity_mm2_s: float,
    *,
    regulariser: Regulariser = "tikhonov",
    pulse_s: float = 0.0,
    n_depths: int = 128,
) -> float:
    """Choose the parameter by the discrepancy principle: what the inversion misses of a curve stays within its noise.

    Parameters
    ----------
    curve : ndarray of float64, shape (T,)
        A curve without noise whose echo is to be seen, such as some amplitude times `slab_rise`.
    noise : float
        Standard deviation of the white noise to reckon with, in the unit of the curve.
    times_s, diffusivity_mm2_s, regulariser, pulse_s, n_depths
        As for `virtual_wave_operator`.

    Returns
    -------
    float
        The strongest regularisation for which the squares of curve and noise that remain are expected not to exceed
        those of the noise; between 1e-6 and 0.9.

    Raises
    ------
    SequenceError
        When a number is impossible.

    References
    ----------
    Morozov's discrepancy principle; Hansen, Discrete Inverse Problems, SIAM, 2010, 10.1137/1.9780898718836.
    """
    if not (np.isfinite(noise) and noise > 0):
        raise SequenceError(f"the noise is {noise}, expected a positive number")
    _, _, surface, left, sizes, _ = _system(times_s, diffusivity_mm2_s, pulse_s, n_depths)
    echoes = np.asarray(curve, dtype=np.float64)
    # The source is so much larger than its echoes that rounding in the small singular vectors would see it.
    parts = np.square(left.T @ (echoes - surface * (surface @ echoes)))
    for parameter in np.geomspace(0.9, 1e-6, 121):
        lost = 1 - _shares(sizes, float(parameter), regulariser)
        if parts @ lost**2 <= noise**2 * (1 - lost**2).sum():
            return float(parameter)
    return 1e-6


def invert_non_negative(
    rise: NDArray[np.floating], operator: VirtualWaveOperator, *, n_iterations: int = 60, step: float = 0.3
) -> NDArray[np.floating]:
    """Virtual wave that is nowhere negative, by a fixed number of ADMM steps from the plain one.

    It minimises the same squares as "tikhonov" with the operator's parameter; echoes get narrower.

    Parameters
    ----------
    rise : ndarray, shape (T, n_pixels)
        At the operator's times; float32 is worked on in float32.
    operator : VirtualWaveOperator
        From `virtual_wave_operator` with the regulariser "tikhonov".
    n_iterations : int
        Steps.
    step : float
        The penalty of ADMM against the ridge's square root times the largest singular value's.

    Returns
    -------
    ndarray, shape (n_depths, n_pixels)

    Raises
    ------
    SequenceError
        When shapes do not fit or the operator is of another kind.

    References
    ----------
    Boyd et al., Found. Trends Mach. Learn. 3 (2011) 1, 10.1561/2200000016 (ADMM).
    """
    values = np.asarray(rise)
    if operator.regulariser != "tikhonov" or n_iterations < 1:
        raise SequenceError("the non-negative wave needs a Tikhonov operator and at least one iteration")
    if values.ndim != 2 or values.shape[0] != operator.forward.shape[0]:
        raise SequenceError(f"curves have shape {values.shape}, expected ({operator.forward.shape[0]}, n)")
    kind = "float32" if values.dtype == np.float32 else "float64"
    plain, source, back = _steps(operator, step, kind)
    fixed = source @ values
    wave = np.maximum(plain @ values, 0)
    dual = np.zeros_like(wave)
    for _ in range(n_iterations):
        free = fixed + back @ (wave - dual)
        dual += free
        np.maximum(dual, 0, out=wave)
        dual -= wave
    return np.asarray(wave / (2 * operator.depths_mm[:, None]).astype(kind))


@lru_cache(maxsize=8)
def _steps(
    operator: VirtualWaveOperator, step: float, kind: str
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Matrices of ADMM: the start, the data's part of every step, and what the wave before feeds back."""
    forward, largest = operator.forward, float(scipy.linalg.svdvals(operator.forward)[0])
    penalty = step * operator.parameter * largest**2
    square = forward.T @ forward
    square[np.diag_indices_from(square)] += (operator.parameter * largest) ** 2 + penalty
    inverse = scipy.linalg.inv(square)
    plain = operator.matrix * (2 * operator.depths_mm[:, None])
    return plain.astype(kind), (inverse @ forward.T).astype(kind), (inverse * penalty).astype(kind)


def find_echo(
    wave: NDArray[np.floating], depths_mm: Floats, threshold: Floats, *, low_mm: float = 0.0, high_mm: float = np.inf
) -> tuple[Floats, Floats]:
    """Depth (mm) and height of the highest peak of every pixel's virtual wave, refined by a parabola in ln depth.

    Parameters
    ----------
    wave : ndarray, shape (n_depths, n_pixels)
        From `VirtualWaveOperator.matrix` or `invert_non_negative`.
    depths_mm : ndarray of float64, shape (n_depths,)
        The operator's.
    threshold : ndarray of float64, shape (n_depths,)
        Peaks up to this do not count: some multiple of noise and `VirtualWaveOperator.noise_gain`.
    low_mm, high_mm : float
        Where echoes are looked for.

    Returns
    -------
    depth_mm, height : ndarray of float64, shape (n_pixels,)
        NaN where no peak counts.
    """
    curves = np.asarray(wave).T
    inner = curves[:, 1:-1]
    searched = (depths_mm[1:-1] >= low_mm) & (depths_mm[1:-1] <= high_mm)
    peaks = (inner > curves[:, :-2]) & (inner >= curves[:, 2:]) & (inner > threshold[1:-1]) & searched
    found = peaks.any(axis=1) & np.isfinite(curves).all(axis=1)
    index = np.where(peaks, inner, -np.inf).argmax(axis=1) + 1
    rows = np.arange(index.size)
    left, middle, right = (curves[rows, index + shift].astype(np.float64) for shift in (-1, 0, 1))
    bend = np.where(found, left - 2 * middle + right, -1.0)
    shift = np.where(found, 0.5 * (left - right) / bend, 0.0)
    depth = depths_mm[index] * (depths_mm[1] / depths_mm[0]) ** shift
    height = middle - 0.25 * (left - right) * shift
    return np.where(found, depth, np.nan), np.where(found, height, np.nan)
