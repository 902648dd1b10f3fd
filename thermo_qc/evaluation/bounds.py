"""How well a parameter of a defect can be measured at best: the Cramer-Rao bound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.evaluation.observer import Nuisance, project_nuisances

__all__ = ["cramer_rao_bound", "fisher_information"]


def fisher_information(
    derivatives: NDArray[Any],
    *,
    noise_k: float | NDArray[Any],
    sound_k: NDArray[Any] | None = None,
    times_s: NDArray[Any] | None = None,
    frames_averaged: NDArray[Any] | None = None,
    nuisance: Nuisance = "background",
) -> NDArray[np.float64]:
    """Fisher information of parameters of a signal in white Gaussian noise, nuisances unknown.

    Parameters
    ----------
    derivatives : ndarray, shape (P, T, Y, X)
        Derivative of the noise-free signal by each parameter, K per unit of the parameter.
    noise_k, sound_k, times_s, frames_averaged, nuisance
        As for `thermo_qc.evaluation.project_nuisances`.

    Returns
    -------
    ndarray of float64, shape (P, P)

    Raises
    ------
    SequenceError, ConfigError
        As for `thermo_qc.evaluation.project_nuisances`.

    References
    ----------
    S. M. Kay, Fundamentals of Statistical Signal Processing I: Estimation Theory, Prentice Hall 1993, sections 3.6-3.9.
    """
    stack = np.asarray(derivatives, dtype=np.float64)
    if stack.ndim != 4 or stack.shape[0] == 0:
        raise SequenceError(
            f"the derivatives have the shape {stack.shape}, expected parameters x frames x rows x columns"
        )
    given: dict[str, Any] = {"sound_k": sound_k, "times_s": times_s, "frames_averaged": frames_averaged}
    left = np.stack(
        [project_nuisances(one, noise_k=noise_k, nuisance=nuisance, **given).ravel() for one in stack], axis=0
    )
    return np.asarray(left @ left.T)


def cramer_rao_bound(
    derivatives: NDArray[Any],
    *,
    noise_k: float | NDArray[Any],
    sound_k: NDArray[Any] | None = None,
    times_s: NDArray[Any] | None = None,
    frames_averaged: NDArray[Any] | None = None,
    nuisance: Nuisance = "background",
) -> NDArray[np.float64]:
    """Smallest standard deviation that any unbiased estimate of the parameters can have.

    All parameters and all nuisances are unknown together; pass one parameter alone to take the others as known.

    Parameters
    ----------
    derivatives : ndarray, shape (P, T, Y, X)
        Derivative of the noise-free signal by each parameter, K per unit of the parameter.
    noise_k, sound_k, times_s, frames_averaged, nuisance
        As for `thermo_qc.evaluation.project_nuisances`.

    Returns
    -------
    ndarray of float64, shape (P,)
        In the units of the parameters; infinite for a parameter that the recording says nothing about, or that cannot
        be told from another one.

    Raises
    ------
    SequenceError, ConfigError
        As for `thermo_qc.evaluation.project_nuisances`.

    References
    ----------
    S. M. Kay, Fundamentals of Statistical Signal Processing I: Estimation Theory, Prentice Hall 1993, sections 3.6-3.9.

    Examples
    --------
    The level of a constant in white noise is known to sigma / sqrt(n):

    >>> bound = cramer_rao_bound(np.ones((1, 100, 1, 1)), noise_k=0.5, nuisance="none")
    >>> round(float(bound[0]), 6)
    0.05
    """
    given: dict[str, Any] = {"sound_k": sound_k, "times_s": times_s, "frames_averaged": frames_averaged}
    information = fisher_information(derivatives, noise_k=noise_k, nuisance=nuisance, **given)
    scale = np.sqrt(np.diag(information))
    known = scale > 0
    bound = np.full(scale.size, np.inf)
    if known.any():
        shares = information[np.ix_(known, known)] / np.outer(scale[known], scale[known])
        rates, vectors = np.linalg.eigh(shares)
        with np.errstate(divide="ignore"):
            strength = np.where(rates > 1e-12, 1.0 / rates, np.inf)
        parts = np.where(vectors**2 > 1e-12, vectors**2, 0.0)
        with np.errstate(invalid="ignore"):
            variance = np.where(parts > 0, parts * strength, 0.0).sum(axis=1)
        bound[known] = np.sqrt(variance) / scale[known]
    return bound
