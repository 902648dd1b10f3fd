"""POD from hits and misses: published fits, an independent implementation, and every reason for no answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from thermo_qc.errors import ConfigError, TruthError
from thermo_qc.evaluation import PodDesign, clopper_pearson, fit_hit_miss, poisson_rate
from thermo_qc.evaluation.pod_profile import Profile
from thermo_qc.evaluation.pod_reasons import is_separated, levels_off

# Bliss, Annals of Applied Biology 22 (1935) 134: dose (log10 CS2 mg/l), beetles, killed. Fits as published in Agresti,
# Categorical Data Analysis, and in Dobson and Barnett, An Introduction to Generalized Linear Models, Table 7.4.
DOSE = np.array([1.6907, 1.7242, 1.7552, 1.7842, 1.8113, 1.8369, 1.8610, 1.8839])
TREATED = np.array([59, 60, 62, 56, 63, 59, 62, 60])
KILLED = np.array([6, 13, 18, 28, 52, 53, 61, 60])
PUBLISHED = {
    "logit": ((-60.717, 34.270), (5.181, 2.912), 11.23),
    "probit": ((-34.935, 19.728), (2.648, 1.487), 10.12),
    "cloglog": ((-39.572, 22.041), (3.240, 1.799), 3.45),
}


@pytest.fixture(scope="module")
def beetles() -> tuple[np.ndarray, np.ndarray]:
    hits = [np.repeat([1, 0], [killed, n - killed]) for n, killed in zip(TREATED, KILLED, strict=True)]
    return np.repeat(DOSE, TREATED), np.concatenate(hits)


@pytest.fixture(scope="module")
def wanted() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    size = rng.uniform(2, 20, 90)
    return size, rng.random(90) < 1 / (1 + (7 / size) ** 4)


@pytest.mark.parametrize("link", PUBLISHED)
def test_published_fits(beetles, link):
    coefficients, errors, deviance = PUBLISHED[link]
    curve = fit_hit_miss(*beetles, link=link, scale="linear")
    np.testing.assert_allclose(curve.coefficients, coefficients, atol=6e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(curve.covariance)), errors, atol=6e-4)
    share, fitted = KILLED / TREATED, curve.probability(DOSE)
    grouped = 2 * sum(
        n * (stats.entropy([p, 1 - p], [q, 1 - q])) for n, p, q in zip(TREATED, share, fitted, strict=True)
    )
    assert grouped == pytest.approx(deviance, abs=6e-3)
    assert (curve.n_looks, curve.n_hits, curve.indicative, curve.reason) == (481, 291, False, "")


def independent_drop(size, hit, pod, at, link):
    """Twice the fall of the log-likelihood when POD(at) = pod, by a general optimiser over log sizes."""
    inverse = {"logit": stats.logistic, "probit": stats.norm}[link]

    def nll(intercept, slope):
        p = np.clip(inverse.cdf(intercept + slope * np.log(size)), 1e-12, 1 - 1e-12)
        return -np.sum(np.where(hit, np.log(p), np.log1p(-p)))

    free = optimize.minimize(lambda b: nll(*b), [-4.0, 2.0], method="BFGS", options={"gtol": 1e-7})
    fixed = optimize.minimize_scalar(
        lambda slope: nll(inverse.ppf(pod) - slope * np.log(at), slope), bounds=(0.01, 30), method="bounded"
    )
    return 2 * (fixed.fun - free.fun)


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_bounds_are_those_of_the_likelihood_ratio(wanted, link):
    size, hit = wanted
    curve = fit_hit_miss(size, hit, link=link)
    two, one = stats.chi2.ppf(0.95, 1), stats.norm.ppf(0.95) ** 2
    assert independent_drop(size, hit, 0.9, curve.a90.value, link) == pytest.approx(0, abs=1e-5)
    for bound, level in ((curve.a90.low, two), (curve.a90.high, two), (curve.a90_95.value, one)):
        assert independent_drop(size, hit, 0.9, bound, link) == pytest.approx(level, abs=1e-3)
    assert curve.a50.low < curve.a50.value < curve.a50.high
    middle = len(curve.sizes) // 2
    at = curve.sizes[middle]
    assert independent_drop(size, hit, curve.low[middle], at, link) == pytest.approx(two, abs=1e-3)
    assert (curve.low <= curve.pod).all() and (curve.pod <= curve.high).all()


def test_both_predictors_give_a_size_at_one_depth():
    rng = np.random.default_rng(2)
    diameter, depth = rng.uniform(3, 20, 300), rng.uniform(1, 6, 300)
    hit = rng.random(300) < stats.logistic.cdf(3 * np.log(diameter) - 4 * np.log(depth) - 1.5)
    near, far = (
        fit_hit_miss(diameter, hit, depth_mm=depth, predictor="both", at_depth_mm=at).a50.value for at in (2.0, 4.0)
    )
    assert far / near == pytest.approx(2 ** (4 / 3), rel=0.15)
    aspect = fit_hit_miss(diameter, hit, depth_mm=depth, predictor="aspect")
    assert aspect.design.unit == "" and aspect.largest == pytest.approx((diameter / depth).max())


def test_looks_at_one_target_are_no_new_targets(wanted):
    size, hit = wanted
    looks = 4
    names = np.repeat(np.arange(size.size), looks)
    repeated = fit_hit_miss(
        np.repeat(size, looks),
        np.repeat(hit, looks),
        target=names.tolist(),
        n_bootstrap=100,
        rng=np.random.default_rng(0),
        false_calls=3,
        opportunities=200,
    )
    single = fit_hit_miss(size, hit, n_bootstrap=100, rng=np.random.default_rng(0))
    assert (repeated.n_targets, repeated.n_looks) == (90, 360)
    assert "360 looks at 90 targets are not independent" in repeated.notes[-1]
    assert repeated.a90.high - repeated.a90.low < 0.6 * (single.a90.high - single.a90.low)
    width = repeated.bootstrap.a90.high - repeated.bootstrap.a90.low
    assert width == pytest.approx(single.bootstrap.a90.high - single.bootstrap.a90.low, rel=1e-3)
    assert repeated.false_calls == clopper_pearson(3, 200)
    assert single.to_dict()["a90"]["value"] == single.a90.value


def test_small_sets_are_indicative(wanted):
    size, hit = wanted[0][:30], wanted[1][:30]
    curve = fit_hit_miss(size, hit)
    assert curve.indicative and "indicative: 30 distinct targets" in curve.notes[0] and "60" in curve.notes[0]
    assert np.isnan(curve.a90_95.value)
    assert curve.a90_95.reason == "30 distinct targets, at least 60 are needed for a90/95; values are indicative"
    allowed = fit_hit_miss(size, hit, min_targets=20)
    assert allowed.indicative and (np.isfinite(allowed.a90_95.value) or "bound" in allowed.a90_95.reason)


SIZES = np.linspace(1, 10, 70)
NOISE = np.random.default_rng(3).random(70)
REASONS = {
    "every target was found": (SIZES, SIZES > 0),
    "no target was found": (SIZES, SIZES > 20),
    "separated by size without overlap": (SIZES, SIZES > 4),
    "all targets have one size": (np.full(70, 5.0), NOISE < 0.5),
    "9 distinct targets are too few": (SIZES[:9], NOISE[:9] < 0.5),
    "POD does not grow with size": (SIZES, NOISE > SIZES / 10),
}


@pytest.mark.parametrize("reason", REASONS)
def test_the_answer_is_the_reason(reason):
    curve = fit_hit_miss(*REASONS[reason])
    assert reason in curve.reason
    for size in (curve.a50, curve.a90, curve.a90_95):
        assert np.isnan(size.value) and size.reason == curve.reason
    assert np.isnan(curve.probability([5.0])).all() and curve.sizes.size == 0


def test_curve_that_does_not_reach_90_percent():
    curve = fit_hit_miss(SIZES, NOISE < 0.15 + 0.06 * SIZES)
    assert np.isfinite(curve.a50.value)
    assert curve.a90.reason == "POD does not reach 0.9 within the sizes tested (1 to 10 mm); test larger targets"


def test_misses_above_a90_are_named():
    slope = stats.logistic.ppf(0.9) / np.log(2)  # POD 0.5 at 2.5, 0.9 at 5
    profile = Profile(
        design=PodDesign(),
        link="logit",
        coefficients=np.array([-slope * np.log(2.5), slope]),
        value=0.0,
        constrained=lambda _row, _predictor: 0.0,
    )
    sizes = np.linspace(1, 10, 91)
    assert levels_off(profile, sizes, np.ones(91, bool)) == ""
    assert "above the size where the fitted curve reaches it only 25 of 51 were found" in levels_off(
        profile, sizes, np.arange(91) % 2 == 1
    )


def test_flat_data_have_no_upper_bound():
    rng = np.random.default_rng(11)
    hit = rng.random(70) < 0.8
    curve = fit_hit_miss(SIZES, hit)
    assert curve.reason or curve.a90.reason or curve.a90_95.reason


def test_separation_by_two_predictors_is_found():
    rng = np.random.default_rng(0)
    rows = np.column_stack([np.ones(50), rng.normal(size=(50, 2))])
    line = rows @ [0.2, 1.0, -2.0]
    assert is_separated(rows, line > 0)
    mixed = line > 0
    mixed[np.argmax(line)] = False
    mixed[np.argmin(line)] = True
    assert not is_separated(rows, mixed)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"link": "loglog"}, ConfigError, "link is 'loglog', expected one of logit, probit, cloglog"),
        ({"confidence": 0.4}, ConfigError, "expected more than 0.5"),
        ({"predictor": "aspect"}, TruthError, "needs the depth of every target"),
        ({"predictor": "both", "depth_mm": SIZES}, ConfigError, "depth_mm is None, expected a positive length"),
        ({"depth_mm": SIZES[:3], "predictor": "aspect"}, TruthError, "3 depths for 70 diameters"),
        ({"hit": SIZES}, TruthError, "something else than true"),
        ({"hit": [True]}, TruthError, "1 hits or misses for 70 sizes"),
        ({"target": ["a"]}, TruthError, "1 target names for 70 looks"),
        ({"false_calls": 1}, ConfigError, "needs both false_calls and opportunities"),
        ({"n_bootstrap": 100}, ConfigError, "the bootstrap needs rng"),
        ({"n_bootstrap": 5, "rng": np.random.default_rng(0)}, ConfigError, "at least 100"),
    ],
)
def test_wrong_input_in_one_line(changes, error, text):
    given = {"diameter_mm": SIZES, "hit": NOISE < SIZES / 10, **changes}
    with pytest.raises(error, match=text):
        fit_hit_miss(**given)
    with pytest.raises(TruthError, match="not positive numbers"):
        fit_hit_miss([0.0, 1.0], [True, False])


def test_intervals_of_counts():
    assert clopper_pearson(29, 29, 0.90).low == pytest.approx(0.05 ** (1 / 29))  # 29 of 29: POD 0.9 with 95 %
    for count, total in ((0, 10), (3, 10), (10, 10), (7, 200)):
        mine, theirs = clopper_pearson(count, total), stats.binomtest(count, total).proportion_ci(0.95, "exact")
        assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high))
    rate = poisson_rate(4, 2.0)  # Garwood's table: 1.09 to 10.24 for 4 events
    assert (rate.low * 2, rate.high * 2) == (pytest.approx(1.09, abs=5e-3), pytest.approx(10.24, abs=5e-3))
    assert np.isnan(clopper_pearson(0, 0).value) and np.isnan(poisson_rate(0, 0).high)
    with pytest.raises(ConfigError, match="3 of 2 is not a share"):
        clopper_pearson(3, 2)
    with pytest.raises(ConfigError, match="make no rate"):
        poisson_rate(-1, 1.0)
    with pytest.raises(ConfigError, match="expected a share between 0 and 1"):
        poisson_rate(1, 1.0, 95)
