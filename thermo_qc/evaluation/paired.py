"""Differences between two methods, with intervals from resampled groups: neighbouring pixels are no evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, FoldError
from thermo_qc.evaluation.intervals import check_confidence
from thermo_qc.evaluation.metrics import SCALARS, pixel_metrics

__all__ = ["PairedDifference", "confusion_statistic", "hit_statistic", "paired_bootstrap"]

Group = TypeVar("Group")
_MOST_UNDEFINED = 0.05
_FEWEST_GROUPS = 3


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """A metric of two methods on the same groups.

    Parameters
    ----------
    first, second, difference : float
        The metric over all groups, and second minus first.
    low, high : float
        Percentile interval of the difference over resampled groups; NaN when there is a reason.
    n_groups, n_resamples, n_undefined : int
        Groups, resamples, and those in which the metric does not exist.
    confidence : float
        Of the interval.
    reason : str
        Why there is no interval; empty when there is one.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    n_groups: int
    n_resamples: int
    n_undefined: int
    confidence: float
    reason: str = ""

    @property
    def decided(self) -> bool:
        """Whether the interval leaves zero out."""
        return not self.reason and not self.low <= 0 <= self.high


def paired_bootstrap(
    first: Mapping[str, Group],
    second: Mapping[str, Group],
    statistic: Callable[[Sequence[Group]], float],
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> PairedDifference:
    """Compare two methods by resampling groups, the same ones for both.

    Parameters
    ----------
    first, second : mapping of str to anything
        Per group (plate, acquisition, fold, ...) what the statistic needs of each method: a confusion matrix, a list
        of holes.
    statistic : callable
        Groups to one number; NaN where it does not exist.
    rng : Generator
        Source of chance.
    n_resamples : int
        At least 100.
    confidence : float
        Of the interval.

    Returns
    -------
    PairedDifference
        With a reason in place of the interval when there are fewer than 3 groups, the metric does not exist, or more
        than 5 % of the resamples leave it undefined.

    Raises
    ------
    FoldError
        When the methods were not scored on the same groups.
    ConfigError
        When an option is wrong.

    References
    ----------
    Field and Welsh, J. R. Stat. Soc. B 69 (2007) 369-390, doi:10.1111/j.1467-9868.2007.00593.x (resampling clusters).

    Examples
    --------
    >>> one = {str(n): float(n) for n in range(8)}
    >>> two = {name: value + 1 for name, value in one.items()}
    >>> found = paired_bootstrap(one, two, np.mean, rng=np.random.default_rng(0))
    >>> found.difference, found.low, found.high
    (1.0, 1.0, 1.0)
    """
    check_confidence(confidence)
    if n_resamples < 100:
        raise ConfigError(f"n_resamples is {n_resamples}, expected at least 100 for an interval")
    if set(first) != set(second):
        odd = sorted(set(first) ^ set(second))
        raise FoldError(
            f"the methods were scored on different groups ({', '.join(odd[:5])} only for one of them); score both on "
            "the same splits"
        )
    names = sorted(first)
    ours, theirs = [first[name] for name in names], [second[name] for name in names]
    values = (_value(statistic, ours), _value(statistic, theirs))
    common: dict[str, Any] = {"first": values[0], "second": values[1], "difference": values[1] - values[0]}
    common |= {"n_groups": len(names), "confidence": confidence, "n_resamples": n_resamples}
    without: dict[str, Any] = {**common, "low": float("nan"), "high": float("nan")}
    if len(names) < _FEWEST_GROUPS:
        reason = f"{len(names)} groups are too few to resample; at least {_FEWEST_GROUPS} are needed"
        return PairedDifference(**without, n_undefined=0, reason=reason)
    if np.isnan(common["difference"]):
        reason = "the metric does not exist for one of the methods"
        return PairedDifference(**without, n_undefined=0, reason=reason)
    draws = rng.integers(0, len(names), size=(n_resamples, len(names)))
    differences = np.array([_difference(statistic, ours, theirs, draw) for draw in draws])
    known = differences[np.isfinite(differences)]
    lost = n_resamples - known.size
    if lost > _MOST_UNDEFINED * n_resamples:
        reason = f"the metric does not exist in {lost} of {n_resamples} resamples; more groups with defects are needed"
        return PairedDifference(**without, n_undefined=lost, reason=reason)
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return PairedDifference(**common, low=float(low), high=float(high), n_undefined=lost)


def _value(statistic: Callable[[Sequence[Group]], float], groups: Sequence[Group]) -> float:
    return float(statistic(groups)) if groups else float("nan")


def _difference(
    statistic: Callable[[Sequence[Group]], float],
    ours: Sequence[Group],
    theirs: Sequence[Group],
    draw: NDArray[np.int64],
) -> float:
    return _value(statistic, [theirs[i] for i in draw]) - _value(statistic, [ours[i] for i in draw])


def confusion_statistic(name: str) -> Callable[[Sequence[NDArray[np.int64]]], float]:
    """Give the statistic "metric `name` of the summed confusion matrices".

    Raises
    ------
    ConfigError
        When there is no such metric.
    """
    if name not in SCALARS:
        raise ConfigError(f"there is no pixel metric '{name}', expected one of {', '.join(SCALARS)}")

    def statistic(confusions: Sequence[NDArray[np.int64]]) -> float:
        total = np.sum(np.asarray(confusions, dtype=np.int64), axis=0)
        return float(pixel_metrics(total, [str(number) for number in range(len(total))])[name])

    return statistic


def hit_statistic(groups: Sequence[Sequence[Mapping[str, Any]]]) -> float:
    """Share of the holes found over groups of hole tables; NaN when there are none."""
    found = [bool(hole["found"]) for holes in groups for hole in holes]
    return float(np.mean(found)) if found else float("nan")
