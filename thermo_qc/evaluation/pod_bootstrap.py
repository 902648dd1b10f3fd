"""Bounds of POD sizes by resampling whole targets: several looks at one target stay together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thermo_qc.errors import ConfigError
from thermo_qc.evaluation.pod_design import Floats
from thermo_qc.evaluation.pod_result import PodBootstrap, PodSize

__all__ = ["bootstrap_sizes"]

_MOST_UNUSABLE = 0.05


def bootstrap_sizes(
    refit: Callable[[Floats], tuple[float, float] | None],
    *,
    a50: PodSize,
    a90: PodSize,
    n_targets: int,
    n: int,
    rng: np.random.Generator | None,
    confidence: float,
    withheld: str,
    largest: float,
) -> PodBootstrap | None:
    """Resample targets, refit, and take percentiles of a50 and a90.

    Parameters
    ----------
    refit : callable
        Weights per target, (n_targets,), to (a50, a90); None when the resample has no curve, infinite sizes when its
        POD does not grow.
    a50, a90 : PodSize
        Of all data; their reasons are kept.
    n_targets, n : int
        Number of targets and of resamples; 0 resamples give None.
    rng : Generator or None
        Source of chance.
    confidence : float
        Of the intervals.
    withheld : str
        Reason why there is no a90/95 at all, such as too few targets.
    largest : float
        Largest size tested; bounds beyond it are not given.

    Returns
    -------
    PodBootstrap or None

    Raises
    ------
    ConfigError
        When resamples are wanted without a generator, or fewer than 100 of them.

    References
    ----------
    Field and Welsh, J. R. Stat. Soc. B 69 (2007) 369-390, doi:10.1111/j.1467-9868.2007.00593.x (resampling clusters).
    """
    if n == 0:
        return None
    if rng is None:
        raise ConfigError("the bootstrap needs rng, a numpy random generator")
    if n < 100:
        raise ConfigError(f"n_bootstrap is {n}, expected 0 (none) or at least 100 for bounds at 95 %")
    chances = np.full(n_targets, 1 / n_targets)
    answers = [refit(rng.multinomial(n_targets, chances).astype(np.float64)) for _ in range(n)]
    sizes = np.array([answer for answer in answers if answer is not None], dtype=np.float64).reshape(-1, 2)
    lost = n - len(sizes)
    unusable = (
        f"{lost} of {n} resamples have no curve (hits and misses separated, or of one kind)"
        if lost > _MOST_UNUSABLE * n
        else ""
    )
    rising = int(np.isfinite(sizes).all(axis=1).sum())
    return PodBootstrap(
        n=n,
        usable=rising,
        a50=_two_sided(a50, sizes[:, 0], confidence, unusable),
        a90=_two_sided(a90, sizes[:, 1], confidence, unusable),
        a90_95=_one_sided(a90, sizes[:, 1], confidence, withheld or unusable, largest),
    )


def _two_sided(fitted: PodSize, sizes: Floats, confidence: float, unusable: str) -> PodSize:
    reason = fitted.reason or unusable
    if reason:
        return PodSize(pod=fitted.pod, reason=reason)
    tail = (1 - confidence) / 2
    low, high = np.quantile(sizes, (tail, 1 - tail), method="higher")
    return PodSize(pod=fitted.pod, value=fitted.value, low=float(low), high=float(high))


def _one_sided(fitted: PodSize, sizes: Floats, confidence: float, withheld: str, largest: float) -> PodSize:
    reason = withheld or fitted.reason
    if reason:
        return PodSize(pod=fitted.pod, reason=reason)
    bound = float(np.quantile(sizes, confidence, method="higher"))
    if not bound <= largest:
        return PodSize(
            pod=fitted.pod,
            reason=f"the {100 * confidence:g} % bound of a90 over resampled targets lies beyond the largest size",
        )
    return PodSize(pod=fitted.pod, value=bound, high=bound)
