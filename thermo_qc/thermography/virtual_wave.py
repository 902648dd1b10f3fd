"""Virtual waves: how an echo from a depth shows in the surface temperature, in one dimension."""

from __future__ import annotations

import numpy as np
import scipy.special
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError

__all__ = ["slab_rise", "virtual_wave_kernel"]

Floats = NDArray[np.float64]


def virtual_wave_kernel(depths_mm: Floats, times_s: Floats, diffusivity_mm2_s: float, pulse_s: float = 0.0) -> Floats:
    """Surface temperature that an echo from a depth makes, per area of the virtual wave.

    ``T(t) = int K(z, t) T_v(z) dz`` with ``K = exp(-z^2 / (4 alpha t)) / sqrt(pi alpha t)`` and z = c t' the way of the
    virtual wave, down and back: twice the depth. The half-axis z >= 0 carries all of T_v, so K integrates to one; a
    thick plate has ``T_v = Q / (rho c) delta(z)``, an adiabatic back face at depth L adds
    ``2 Q / (rho c) delta(z - 2 n L)``.

    Parameters
    ----------
    depths_mm : ndarray of float64, shape (n,)
        Zero or more.
    times_s : ndarray of float64, shape (T,)
        Positive times after the impulse, or after the start of a rectangular pulse.
    diffusivity_mm2_s : float
        Through the thickness.
    pulse_s : float
        Length of a rectangular pulse, over which the kernel is averaged; 0 for an impulse.

    Returns
    -------
    ndarray of float64, shape (T, n)
        1 / mm.

    Raises
    ------
    SequenceError
        When a number is impossible.

    References
    ----------
    Burgholzer et al., J. Appl. Phys. 121 (2017) 105102 and arXiv:2008.04696.
    """
    depths, times = np.asarray(depths_mm, dtype=np.float64), np.asarray(times_s, dtype=np.float64)
    if not (np.isfinite(diffusivity_mm2_s) and diffusivity_mm2_s > 0 and np.isfinite(pulse_s) and pulse_s >= 0):
        raise SequenceError(
            f"diffusivity is {diffusivity_mm2_s} mm2/s and the pulse {pulse_s} s, expected positive numbers"
        )
    if times.ndim != 1 or times.size == 0 or not (times > 0).all() or depths.ndim != 1 or not (depths >= 0).all():
        raise SequenceError("the virtual wave needs positive times after the start of the heating and depths from 0 on")
    way, age = 2 * depths[None], times[:, None]
    if pulse_s == 0:
        return np.asarray(np.exp(-(way**2) / (4 * diffusivity_mm2_s * age)) / np.sqrt(np.pi * diffusivity_mm2_s * age))
    late = _integral(way, np.maximum(age - pulse_s, 0), diffusivity_mm2_s)
    return np.asarray((_integral(way, age, diffusivity_mm2_s) - late) / pulse_s)


def _integral(way: Floats, age: Floats, diffusivity: float) -> Floats:
    """Integral of the impulse's kernel over the time since it, from 0 to age: ``2 sqrt(age / alpha) ierfc(x)``."""
    started = np.maximum(age, np.finfo(float).tiny)
    x = way / (2 * np.sqrt(diffusivity * started))
    value = 2 * np.sqrt(started / (np.pi * diffusivity)) * np.exp(-(np.minimum(x, 30) ** 2))
    return np.where(age > 0, value - way / diffusivity * scipy.special.erfc(x), 0.0)


def slab_rise(depth_mm: float, times_s: Floats, diffusivity_mm2_s: float, pulse_s: float = 0.0) -> Floats:
    """Rise (T,) over a wide adiabatic back face, for ``Q / (rho c) = 1`` mm K: the surface's source and all its echoes.

    Parameters and errors as for `virtual_wave_kernel`; the depth is positive.
    """
    if not depth_mm > 0:
        raise SequenceError(f"the back face lies at {depth_mm} mm, expected a positive depth")
    last = 5 * np.sqrt(diffusivity_mm2_s * np.max(times_s))
    n_echoes = int(np.ceil(last / depth_mm)) + 1
    kernel = virtual_wave_kernel(depth_mm * np.arange(n_echoes + 1.0), times_s, diffusivity_mm2_s, pulse_s)
    return np.asarray(2 * kernel.sum(axis=1) - kernel[:, 0])
