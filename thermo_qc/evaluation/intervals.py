"""Exact intervals for counted things: shares of targets, rates per square metre."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import betaincinv, chdtri

from thermo_qc.errors import ConfigError

__all__ = ["Proportion", "Rate", "check_confidence", "clopper_pearson", "poisson_rate"]


@dataclass(frozen=True, kw_only=True)
class Proportion:
    """A share of a counted whole with its interval.

    Parameters
    ----------
    count, total : int
        So many of so many.
    value, low, high : float
        The share and its bounds; all NaN when there is nothing to count.
    confidence : float
        Coverage of the interval, at least.
    """

    count: int
    total: int
    value: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Events per unit of exposure with their interval.

    Parameters
    ----------
    count : int
        Events.
    exposure : float
        Area, time, ... in the unit that the caller states.
    value, low, high : float
        Events per unit and its bounds; all NaN when there is no exposure.
    confidence : float
        Coverage of the interval, at least.
    """

    count: int
    exposure: float
    value: float
    low: float
    high: float
    confidence: float


def check_confidence(confidence: float) -> float:
    """Give back a confidence between 0 and 1.

    Raises
    ------
    ConfigError
        When it is anything else.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}, expected a share between 0 and 1, such as 0.95")
    return float(confidence)


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> Proportion:
    """Share with its exact two-sided binomial interval.

    Parameters
    ----------
    count, total : int
        `count` of `total`.
    confidence : float
        Coverage; the interval has at least this.

    Returns
    -------
    Proportion
        NaN for value and bounds when `total` is 0: no opportunity is not a share of zero.

    Raises
    ------
    ConfigError
        When the counts contradict one another or the confidence is no share.

    References
    ----------
    Clopper and Pearson, Biometrika 26 (1934) 404-413, doi:10.1093/biomet/26.4.404.

    Examples
    --------
    >>> share = clopper_pearson(0, 29)
    >>> round(share.high, 3)
    0.119
    """
    check_confidence(confidence)
    if not 0 <= count <= total:
        raise ConfigError(f"{count} of {total} is not a share; expected 0 <= count <= total")
    if total == 0:
        nan = float("nan")
        return Proportion(count=0, total=0, value=nan, low=nan, high=nan, confidence=confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - tail))
    return Proportion(
        count=int(count), total=int(total), value=count / total, low=low, high=high, confidence=confidence
    )


def poisson_rate(count: int, exposure: float, confidence: float = 0.95) -> Rate:
    """Rate with its exact two-sided Poisson interval.

    Parameters
    ----------
    count : int
        Events seen.
    exposure : float
        What they were seen in (m2 of sound surface, say).
    confidence : float
        Coverage; the interval has at least this.

    Returns
    -------
    Rate
        NaN for value and bounds when the exposure is 0.

    Raises
    ------
    ConfigError
        When count or exposure is negative or not finite.

    References
    ----------
    Garwood, Biometrika 28 (1936) 437-442, doi:10.1093/biomet/28.3-4.437.

    Examples
    --------
    >>> rate = poisson_rate(0, 0.5)
    >>> round(rate.high, 2)
    7.38
    """
    check_confidence(confidence)
    if count < 0 or not 0 <= exposure < float("inf"):
        raise ConfigError(f"{count} events in {exposure} make no rate; expected neither to be negative or infinite")
    if exposure == 0:
        nan = float("nan")
        return Rate(count=int(count), exposure=0.0, value=nan, low=nan, high=nan, confidence=confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(chdtri(2 * count, 1 - tail)) / 2
    high = float(chdtri(2 * count + 2, tail)) / 2
    return Rate(
        count=int(count),
        exposure=float(exposure),
        value=count / exposure,
        low=low / exposure,
        high=high / exposure,
        confidence=confidence,
    )
