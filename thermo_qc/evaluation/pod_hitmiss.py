"""POD from hits and misses: a generalised linear model with likelihood-ratio bounds, or the reason for its absence."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from thermo_qc.errors import ConfigError
from thermo_qc.evaluation.intervals import check_confidence
from thermo_qc.evaluation.pod_bootstrap import bootstrap_sizes
from thermo_qc.evaluation.pod_design import Floats, PodDesign, Predictor, Scale
from thermo_qc.evaluation.pod_likelihood import LINKS, HitMiss, Link, maximise
from thermo_qc.evaluation.pod_profile import Profile, curve_bounds, size_at, upper_size
from thermo_qc.evaluation.pod_reasons import (
    as_hits,
    false_call_share,
    is_separated,
    levels_off,
    no_curve,
    notes_for,
    too_few,
)
from thermo_qc.evaluation.pod_result import PodCurve, PodSize, count_targets, empty_curve

__all__ = ["STANDARD_TARGETS_HIT_MISS", "fit_hit_miss"]

STANDARD_TARGETS_HIT_MISS = 60
_N_CURVE = 41


def fit_hit_miss(
    diameter_mm: Any,
    hit: Any,
    *,
    depth_mm: Any | None = None,
    predictor: Predictor = "diameter",
    at_depth_mm: float | None = None,
    link: Link = "logit",
    scale: Scale = "log",
    target: Sequence[Any] | None = None,
    false_calls: int | None = None,
    opportunities: int | None = None,
    confidence: float = 0.95,
    min_targets: int = STANDARD_TARGETS_HIT_MISS,
    n_bootstrap: int = 0,
    rng: np.random.Generator | None = None,
) -> PodCurve:
    """Fit the probability of detection to hits and misses.

    The link of POD is linear in the predictor (or its logarithm). a50 and a90 carry two-sided, a90/95 is a one-sided
    profile-likelihood bound. Where the data give no curve, no a90 or no bound of it, the answer is the reason.

    Parameters
    ----------
    diameter_mm : array_like, shape (N,)
        Diameter of the target of every look, mm.
    hit : array_like of bool, shape (N,)
        Found or missed.
    depth_mm : array_like, shape (N,), optional
        Depth of the targets, mm; for "aspect" and "both".
    predictor : {"diameter", "aspect", "both"}
        Sizes are diameters, diameters over depth, or diameters at the depth `at_depth_mm` of a model in both.
    at_depth_mm : float, optional
        For "both".
    link : {"logit", "probit", "cloglog"}
        Link.
    scale : {"log", "linear"}
        Scale of the predictors.
    target : sequence, optional
        Name of the target of every look: several looks at one target are not independent, and only distinct targets
        count for the standard. None: every look is a target of its own.
    false_calls, opportunities : int, optional
        False calls among so many sound places at the same decision.
    confidence : float
        Of all bounds.
    min_targets : int
        With fewer distinct targets there is no a90/95. Below 60, the least of the standard, everything is marked
        indicative whatever is set here.
    n_bootstrap : int
        Resamples of whole targets; 0 for none.
    rng : Generator, optional
        Needed for the bootstrap.

    Returns
    -------
    PodCurve

    Raises
    ------
    TruthError
        When sizes, depths, hits or targets do not fit one another.
    ConfigError
        When an option is wrong.

    References
    ----------
    ASTM E2862; MIL-HDBK-1823A; Meeker and Escobar, The American Statistician 49 (1995) 48-53,
    doi:10.1080/00031305.1995.10476112 (profile-likelihood bounds).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> size = rng.uniform(2, 20, 80)
    >>> curve = fit_hit_miss(size, rng.random(80) < 1 / (1 + (8 / size) ** 4))
    >>> curve.a50.low < 8 < curve.a50.high, curve.a90.value < curve.a90_95.value
    (True, True)
    """
    if link not in LINKS:
        raise ConfigError(f"link is '{link}', expected one of {', '.join(LINKS)}")
    check_confidence(confidence)
    if not confidence > 0.5:
        raise ConfigError(f"confidence is {confidence}, expected more than 0.5 for one-sided bounds")
    design = PodDesign(predictor=predictor, scale=scale, depth_mm=at_depth_mm)
    rows, sizes = design.rows(diameter_mm, depth_mm), design.sizes(diameter_mm, depth_mm)
    hits = as_hits(hit, sizes.size)
    numbers, n_targets = count_targets(target, sizes.size)
    common: dict[str, Any] = {
        "kind": "hit/miss",
        "link": link,
        "design": design,
        "n_targets": n_targets,
        "confidence": confidence,
        "indicative": n_targets < STANDARD_TARGETS_HIT_MISS,
        "false_calls": false_call_share(false_calls, opportunities),
        "notes": notes_for(n_targets, sizes.size, STANDARD_TARGETS_HIT_MISS, "ASTM E2862 and MIL-HDBK-1823A ask"),
    }
    reason = no_curve(rows, hits, n_targets)
    fit = None if reason else _fit_glm(rows, hits, link)
    if fit is not None:
        reason = _bad_fit(fit, design)
    if fit is None or reason:
        return empty_curve(hits=hits, tested=sizes, reason=reason, **common)
    profile = _profile(design, link, rows, hits, fit)
    grid = np.linspace(sizes.min(), sizes.max(), _N_CURVE)
    pod, low, high = curve_bounds(profile, grid, confidence)
    levels = levels_off(profile, sizes, hits)
    a50, a90 = size_at(profile, 0.5, confidence, sizes), size_at(profile, 0.9, confidence, sizes)
    a90_95 = upper_size(profile, 0.9, confidence, sizes)
    if levels:
        a90 = PodSize(pod=0.9, reason=levels)
        a90_95 = PodSize(pod=0.9, reason=levels)
    elif n_targets < min_targets:
        a90_95 = PodSize(pod=0.9, reason=too_few(n_targets, min_targets))
    resampled = bootstrap_sizes(
        lambda weights: _refit(design, link, rows, hits, weights[numbers], fit["coefficients"]),
        a50=a50,
        a90=a90,
        n_targets=n_targets,
        n=n_bootstrap,
        rng=rng,
        confidence=confidence,
        withheld=a90_95.reason if (levels or n_targets < min_targets) else "",
        largest=float(sizes.max()),
    )
    return PodCurve(
        **common,
        n_looks=int(sizes.size),
        n_hits=int(hits.sum()),
        smallest=float(sizes.min()),
        largest=float(sizes.max()),
        a50=a50,
        a90=a90,
        a90_95=a90_95,
        coefficients=fit["coefficients"],
        covariance=fit["covariance"],
        log_likelihood=fit["log_likelihood"],
        deviance=fit["deviance"],
        sizes=grid,
        pod=pod,
        low=low,
        high=high,
        bootstrap=resampled,
    )


def _fit_glm(rows: Floats, hits: np.ndarray, link: Link) -> dict[str, Any]:
    """Maximum likelihood through statsmodels; imported here because it takes long to load."""
    from statsmodels.genmod.families import Binomial, links
    from statsmodels.genmod.generalized_linear_model import GLM

    links_by_name = {"logit": links.Logit, "probit": links.Probit, "cloglog": links.CLogLog}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        fit = GLM(hits.astype(np.float64), rows, family=Binomial(link=links_by_name[link]())).fit(
            maxiter=200, tol=1e-12
        )
    return {
        "coefficients": np.asarray(fit.params, dtype=np.float64),
        "covariance": np.asarray(fit.cov_params(), dtype=np.float64),
        "log_likelihood": float(fit.llf),
        "deviance": float(fit.deviance),
        "converged": bool(fit.converged),
    }


def _bad_fit(fit: dict[str, Any], design: PodDesign) -> str:
    if not fit["converged"] or not np.isfinite(fit["coefficients"]).all():
        return "the fit did not converge; the model does not suit the data"
    if not design.line(fit["coefficients"])[1] > 0:
        return "POD does not grow with size in these data: no size is found with a given probability"
    return ""


def _profile(design: PodDesign, link: Link, rows: Floats, hits: np.ndarray, fit: dict[str, Any]) -> Profile:
    ones = np.ones(hits.size)

    def constrained(row: Floats, predictor: float) -> float:
        free = rows[:, 1:] - row[1:]
        likelihood = HitMiss(link=link, rows=free, hits=hits, weights=ones, offset=predictor)
        return maximise(likelihood, fit["coefficients"][1:]).value

    return Profile(
        design=design,
        link=link,
        coefficients=fit["coefficients"],
        value=fit["log_likelihood"],
        constrained=constrained,
        covariance=fit["covariance"],
    )


def _refit(
    design: PodDesign, link: Link, rows: Floats, hits: np.ndarray, weights: Floats, start: Floats
) -> tuple[float, float] | None:
    """a50 and a90 of one resample; None when it has no maximum, infinite when POD does not grow."""
    drawn = weights > 0
    if hits[drawn].all() or not hits[drawn].any() or is_separated(rows[drawn], hits[drawn]):
        return None
    likelihood = HitMiss(link=link, rows=rows[drawn], hits=hits[drawn], weights=weights[drawn])
    best = maximise(likelihood, np.zeros_like(start))
    if not best.converged:
        return None
    if not design.line(best.parameters)[1] > 0:
        return float("inf"), float("inf")
    profile = Profile(
        design=design, link=link, coefficients=best.parameters, value=best.value, constrained=lambda _r, _p: 0.0
    )
    return design.size_of(profile.scaled_size_at(0.5)), design.size_of(profile.scaled_size_at(0.9))
