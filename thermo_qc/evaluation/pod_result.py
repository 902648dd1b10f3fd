"""`PodCurve`: a probability-of-detection curve, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import chdtri

from thermo_qc.errors import TruthError
from thermo_qc.evaluation.intervals import Proportion
from thermo_qc.evaluation.pod_design import Floats, PodDesign
from thermo_qc.evaluation.pod_likelihood import Link, pod_of_link

__all__ = ["PodBootstrap", "PodCurve", "PodSize", "ResidualCheck"]


@dataclass(frozen=True, kw_only=True)
class PodSize:
    """The size that is found with a given probability, or the reason why it is not known.

    Parameters
    ----------
    pod : float
        The probability.
    value : float
        Size; NaN when there is a reason.
    low, high : float
        Profile-likelihood bounds (two-sided); NaN where not computed, infinite where the data do not bound it.
    reason : str
        Why there is no value; empty when there is one.
    """

    pod: float
    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PodBootstrap:
    """Bounds from resampling whole targets with all their looks.

    Parameters
    ----------
    n : int
        Resamples.
    usable : int
        Those that gave a rising curve.
    a50, a90 : PodSize
        Percentile intervals round the fitted values.
    a90_95 : PodSize
        One-sided upper bound of a90; a reason in its place when the resamples do not bound it.
    """

    n: int
    usable: int
    a50: PodSize
    a90: PodSize
    a90_95: PodSize


@dataclass(frozen=True, kw_only=True)
class ResidualCheck:
    """One check of the residuals of a signal-against-size regression.

    Parameters
    ----------
    name : str
        What is assumed.
    p_value : float
        Chance of residuals this far from it, were it true; NaN when there are too few signals to check.
    passed : bool
        Whether the p-value is at least the level of the check, or the check could not be made.
    advice : str
        What to try when it fails.
    """

    name: str
    p_value: float
    passed: bool
    advice: str


@dataclass(frozen=True, kw_only=True, eq=False)
class PodCurve:
    """A probability-of-detection curve with its sizes and bounds, or the reason why there is none.

    Parameters
    ----------
    kind : {"hit/miss", "a-hat"}
        From hits and misses, or from signals against size.
    link : {"logit", "probit", "cloglog"}
        Link; probit for signals.
    design : PodDesign
        Predictor, scale, and the depth for which sizes are given.
    n_targets, n_looks, n_hits : int
        Distinct targets, recordings of them, and hits.
    smallest, largest : float
        Range of the sizes tested; NaN without targets.
    a50, a90, a90_95 : PodSize
        Sizes found with these probabilities; `a90_95` is the one-sided upper 95 % bound of a90.
    coefficients : ndarray, shape (P,)
        Of the linear predictor on the link's scale (signals: already over sigma); empty without a curve.
    covariance : ndarray, shape (P, P)
        Of the coefficients, Wald (signals: of b / sigma and 1 / sigma).
    log_likelihood, deviance : float
        At the maximum.
    sizes, pod, low, high : ndarray, shape (G,)
        The curve and its pointwise profile-likelihood bounds over the sizes tested.
    confidence : float
        Of all bounds.
    indicative : bool
        Too few distinct targets for the standard: no demonstration of POD.
    bootstrap : PodBootstrap, optional
        Bounds that allow for several looks at one target.
    false_calls : Proportion, optional
        False-call rate at the same decision.
    checks : tuple of ResidualCheck
        For signals.
    signal_scale : str
        For signals: "log" or "linear".
    threshold : float
        For signals: the decision threshold; NaN otherwise.
    sigma : float
        For signals: residual standard deviation on the signal's scale; NaN otherwise.
    reason : str
        Why there is no curve; empty when there is one.
    notes : tuple of str
        What a reader must know with the numbers.
    """

    kind: Literal["hit/miss", "a-hat"]
    link: Link
    design: PodDesign
    n_targets: int
    n_looks: int
    n_hits: int
    smallest: float
    largest: float
    a50: PodSize
    a90: PodSize
    a90_95: PodSize
    coefficients: Floats
    covariance: Floats
    log_likelihood: float
    deviance: float
    sizes: Floats
    pod: Floats
    low: Floats
    high: Floats
    confidence: float
    indicative: bool
    bootstrap: PodBootstrap | None = None
    false_calls: Proportion | None = None
    checks: tuple[ResidualCheck, ...] = ()
    signal_scale: str = ""
    threshold: float = float("nan")
    sigma: float = float("nan")
    reason: str = ""
    notes: tuple[str, ...] = ()

    def probability(self, sizes: Any) -> Floats:
        """POD at any sizes, (N,); NaN when there is no curve.

        Raises
        ------
        TruthError
            When a size is not positive.
        """
        rows = self.design.rows_at(sizes)
        if self.reason:
            return np.full(len(rows), np.nan)
        return pod_of_link(self.link, rows @ self.coefficients)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers for a file."""
        result = asdict(self)
        for name, value in result.items():
            if isinstance(value, np.ndarray):
                result[name] = value.tolist()
        return result


def empty_curve(
    *,
    kind: Literal["hit/miss", "a-hat"],
    link: Link,
    design: PodDesign,
    n_targets: int,
    hits: np.ndarray,
    tested: Floats,
    confidence: float,
    indicative: bool,
    reason: str,
    **more: Any,
) -> PodCurve:
    """Give the answer for data that have no curve."""
    none = np.empty(0)
    return PodCurve(
        kind=kind,
        link=link,
        design=design,
        n_targets=n_targets,
        n_looks=int(tested.size),
        n_hits=int(np.sum(hits)),
        smallest=float(tested.min()) if tested.size else float("nan"),
        largest=float(tested.max()) if tested.size else float("nan"),
        a50=PodSize(pod=0.5, reason=reason),
        a90=PodSize(pod=0.9, reason=reason),
        a90_95=PodSize(pod=0.9, reason=reason),
        coefficients=none,
        covariance=np.empty((0, 0)),
        log_likelihood=float("nan"),
        deviance=float("nan"),
        sizes=none,
        pod=none,
        low=none,
        high=none,
        confidence=confidence,
        indicative=indicative,
        reason=reason,
        **more,
    )


def count_targets(target: Sequence[Any] | None, n: int) -> tuple[np.ndarray, int]:
    """Give each look the number of its target from 0 (its own, when none are named), and the number of targets.

    Raises
    ------
    TruthError
        When there is another number of names than of looks.
    """
    if target is None:
        return np.arange(n), n
    if len(target) != n:
        raise TruthError(f"there are {len(target)} target names for {n} looks; name the target of each look")
    names: dict[Any, int] = {}
    numbers = np.array([names.setdefault(name, len(names)) for name in target], dtype=np.int64)
    return numbers, len(names)


def one_sided_level(confidence: float) -> float:
    """Drop of twice the log-likelihood at a one-sided bound of this confidence."""
    return float(chdtri(1, 2 * (1 - confidence)))


def two_sided_level(confidence: float) -> float:
    """Drop of twice the log-likelihood at a two-sided bound of this confidence."""
    return float(chdtri(1, 1 - confidence))
