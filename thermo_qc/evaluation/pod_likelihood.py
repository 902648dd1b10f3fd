"""Log-likelihoods of POD curves, all concave in their parameters, and one safe way to their maximum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, log_ndtr, ndtr, ndtri

from thermo_qc.evaluation.pod_design import Floats

__all__ = ["LINKS", "Censored", "HitMiss", "Link", "Maximum", "link_of_pod", "maximise", "pod_of_link"]

Link = Literal["logit", "probit", "cloglog"]
LINKS: tuple[Link, ...] = ("logit", "probit", "cloglog")
Likelihood = Callable[[Floats], tuple[float, Floats, Floats]]
_MAX_STEPS, _HALVINGS, _FLAT = 200, 60, 1e-10


def pod_of_link(link: Link, predictor: Floats) -> Floats:
    """POD of a linear predictor."""
    if link == "logit":
        return np.asarray(expit(predictor), dtype=np.float64)
    if link == "probit":
        return np.asarray(ndtr(predictor), dtype=np.float64)
    return np.asarray(-np.expm1(-np.exp(np.minimum(predictor, 700.0))), dtype=np.float64)


def link_of_pod(link: Link, pod: float) -> float:
    """Linear predictor of a POD."""
    if link == "logit":
        return float(np.log(pod) - np.log1p(-pod))
    if link == "probit":
        return float(ndtri(pod))
    return float(np.log(-np.log1p(-pod)))


@dataclass(frozen=True, kw_only=True, eq=False)
class HitMiss:
    """Bernoulli log-likelihood of hits and misses.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}
        Link.
    rows : ndarray, shape (N, P)
        Regressors.
    hits : ndarray of bool, shape (N,)
        Found or not.
    weights : ndarray, shape (N,)
        How often each counts.
    offset : float
        Added to the predictor.
    """

    link: Link
    rows: Floats
    hits: np.ndarray
    weights: Floats
    offset: float = 0.0

    def __call__(self, parameters: Floats) -> tuple[float, Floats, Floats]:
        """Log-likelihood, gradient and Hessian."""
        eta = self.rows @ parameters + self.offset
        value, first, second = _bernoulli(self.link, eta, self.hits)
        total = float(np.dot(self.weights, value))
        return total, self.rows.T @ (self.weights * first), (self.rows.T * (self.weights * second)) @ self.rows


def _bernoulli(link: Link, eta: Floats, hits: np.ndarray) -> tuple[Floats, Floats, Floats]:
    """Log-likelihood of each target and its two derivatives by the predictor."""
    if link == "logit":
        sign = np.where(hits, 1.0, -1.0)
        pod = expit(eta)
        return -np.logaddexp(0.0, -sign * eta), hits - pod, -pod * (1 - pod)
    if link == "probit":
        return _normal_tail(np.where(hits, 1.0, -1.0), eta)
    eta = np.clip(eta, -700.0, 50.0)
    odds = np.exp(eta)
    ratio = odds / np.expm1(np.clip(odds, 1e-300, 700.0))
    hit = np.log(-np.expm1(-np.maximum(odds, 1e-300)))
    hit_second = ratio * (1 - odds - ratio)
    return np.where(hits, hit, -odds), np.where(hits, ratio, -odds), np.where(hits, np.minimum(hit_second, 0), -odds)


def _normal_tail(sign: Floats, eta: Floats) -> tuple[Floats, Floats, Floats]:
    """Log Phi(sign * eta) and its two derivatives by eta."""
    z = sign * eta
    value = log_ndtr(z)
    mills = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - value)
    return value, sign * mills, -mills * (mills + z)


@dataclass(frozen=True, kw_only=True, eq=False)
class Censored:
    """Gaussian log-likelihood of signals, some known only to lie below or above a limit.

    Parameters are (b / sigma, 1 / sigma), in which it is concave.

    Parameters
    ----------
    rows : ndarray, shape (N, P)
        Regressors of b / sigma.
    signals : ndarray, shape (N,)
        Signals, or the limit where censored.
    state : ndarray of int, shape (N,)
        0 seen, -1 below the limit, 1 above it.
    weights : ndarray, shape (N,)
        How often each counts.
    offset : float
        Added to the predictor; the constraint of a profile.
    shift : float
        Signals are counted from here; the threshold of a profile.

    References
    ----------
    Olsen, Econometrica 46 (1978) 1211-1215, doi:10.2307/1911445.
    """

    rows: Floats
    signals: Floats
    state: np.ndarray
    weights: Floats
    offset: float = 0.0
    shift: float = 0.0

    def __call__(self, parameters: Floats) -> tuple[float, Floats, Floats]:
        """Log-likelihood, gradient and Hessian."""
        slope = float(parameters[-1])
        if slope <= 0:
            size = len(parameters)
            return -np.inf, np.zeros(size), -np.eye(size)
        centred = self.signals - self.shift
        full = np.column_stack([-self.rows, centred])
        z = full @ parameters - self.offset
        seen = self.state == 0
        sign = np.where(self.state < 0, 1.0, -1.0)
        tail, tail_first, tail_second = _normal_tail(sign, z)
        value = np.where(seen, np.log(slope) - 0.5 * z**2 - 0.5 * np.log(2 * np.pi), tail)
        first, second = np.where(seen, -z, tail_first), np.where(seen, -1.0, tail_second)
        gradient = full.T @ (self.weights * first)
        hessian = (full.T * (self.weights * second)) @ full
        n_seen = float(self.weights[seen].sum())
        gradient[-1] += n_seen / slope
        hessian[-1, -1] -= n_seen / slope**2
        return float(np.dot(self.weights, value)), gradient, hessian


@dataclass(frozen=True, kw_only=True, eq=False)
class Maximum:
    """Where a log-likelihood is largest.

    Parameters
    ----------
    parameters : ndarray, shape (P,)
        The place.
    value : float
        The log-likelihood.
    covariance : ndarray, shape (P, P)
        Inverse of the negative Hessian; NaN when it is singular.
    converged : bool
        Whether the decrement of Newton's step fell below 1e-10.
    """

    parameters: Floats
    value: float
    covariance: Floats
    converged: bool


def maximise(likelihood: Likelihood, start: Floats) -> Maximum:
    """Climb a concave log-likelihood by Newton's steps, halved until they climb.

    Parameters
    ----------
    likelihood : callable
        Parameters to value, gradient, Hessian.
    start : ndarray, shape (P,)
        First guess, of finite likelihood.

    Returns
    -------
    Maximum
    """
    here = np.array(start, dtype=np.float64)
    value, gradient, hessian = likelihood(here)
    converged = False
    for _ in range(_MAX_STEPS):
        step = np.linalg.lstsq(-hessian, gradient, rcond=None)[0]
        gain = float(gradient @ step)
        if not np.isfinite(gain) or gain < _FLAT:
            converged = bool(np.isfinite(gain))
            break
        for halving in range(_HALVINGS):
            there = here + step * 0.5**halving
            new_value, new_gradient, new_hessian = likelihood(there)
            if new_value > value:
                break
        else:
            converged = gain < 1e-6
            break
        here, value, gradient, hessian = there, new_value, new_gradient, new_hessian
    try:
        covariance = np.asarray(np.linalg.inv(-hessian), dtype=np.float64)
    except np.linalg.LinAlgError:
        covariance = np.full_like(hessian, np.nan)
    return Maximum(parameters=here, value=value, covariance=covariance, converged=converged)
