"""POD from signals: published figures, an independent implementation, censoring, and every reason for no answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from thermo_qc.errors import ConfigError, TruthError
from thermo_qc.evaluation import fit_a_hat
from thermo_qc.evaluation.pod_checks import residual_checks

# The example of OTPOD (openturns/otpod, test_analysis.py): 100 defects, signals of a Box-Cox line with lambda 0.3.
# Published there without transform: intercept -660.288, slope 3634.824, standard error 268.888, R2 0.7833,
# Breusch-Pagan 0.0016653.
EXAMPLE = """
0.412341 691.86798
0.533747 2331.69828
0.174933 118.16087
0.125601 74.83735
0.276587 420.13814
0.575323 1845.02718
0.551926 1572.67677
0.351459 384.66786
0.140339 73.60344
0.250523 150.69891
0.452903 1175.24690
0.294014 303.09335
0.289408 205.34734
0.463889 718.17757
0.534082 1275.03734
0.251597 200.25604
0.555685 1153.81740
0.503989 884.16140
0.438596 652.09650
0.507453 824.21951
0.282705 290.87172
0.568278 1356.45689
0.392535 908.79714
0.197379 178.82143
0.151177 26.26824
0.427149 655.30292
0.211012 148.33949
0.295390 418.76015
0.121789 64.35766
0.311081 284.52326
0.581284 1782.42650
0.549743 1307.43852
0.568689 1677.54607
0.337016 520.69794
0.234733 165.64643
0.427443 944.76380
0.345092 169.62268
0.334892 652.53463
0.163317 147.97178
0.275753 163.59651
0.424869 771.05271
0.434042 1000.60422
0.579910 2072.60750
0.420240 711.34240
0.140822 90.52195
0.481049 1167.50663
0.587216 1544.98446
0.149875 55.72500
0.217936 131.79280
0.255257 178.88691
0.214261 56.92576
0.412239 696.90579
0.388474 1144.26699
0.334202 305.93321
0.444077 548.72518
0.465728 669.62659
0.559673 1606.69351
0.528295 596.70189
0.298726 319.80155
0.412039 479.22274
0.548494 1802.42753
0.548432 1218.51760
0.186505 129.77349
0.371330 717.02773
0.207753 167.51158
0.520782 1126.48366
0.318838 316.24037
0.283599 317.93758
0.111012 43.40350
0.224928 496.62486
0.232475 263.76354
0.393936 730.39758
0.191224 161.49364
0.579121 1193.34382
0.341836 184.80767
0.450468 1020.88428
0.569813 1391.33314
0.447448 696.32990
0.503686 1279.15798
0.341303 375.55710
0.209153 304.48909
0.470573 1021.63772
0.554255 2127.15275
0.415243 604.39781
0.399038 514.12773
0.446722 740.59012
0.148119 17.44714
0.231120 140.43023
0.434948 727.18784
0.282057 136.99428
0.311662 276.60631
0.264250 247.17542
0.493328 1340.13191
0.386270 374.37338
0.267785 220.43545
0.576408 2139.40151
0.358461 428.63029
0.161754 29.10825
0.545739 1273.56446
0.469877 1127.98416
"""
SIZE, SIGNAL = np.array([[float(word) for word in line.split()] for line in EXAMPLE.strip().splitlines()]).T


def test_published_line():
    curve = fit_a_hat(SIZE, SIGNAL, threshold=200.0, scale="linear", signal_scale="linear")
    intercept, slope = curve.coefficients * curve.sigma
    assert (intercept + 200, slope) == (pytest.approx(-660.28844, abs=2e-3), pytest.approx(3634.82388, abs=5e-3))
    assert curve.sigma * np.sqrt(100 / 98) == pytest.approx(268.88796, abs=1e-3)
    assert 1 - curve.sigma**2 / SIGNAL.var() == pytest.approx(0.7833036, abs=1e-6)
    spread = next(check for check in curve.checks if "alike" in check.name)
    assert spread.p_value == pytest.approx(0.00166534636771, rel=1e-4) and not spread.passed
    assert "other scale" in spread.advice
    expected = (200 + 660.28844 + stats.norm.ppf(0.9) * curve.sigma) / 3634.82388
    assert curve.a90.value == pytest.approx(expected, rel=1e-5)
    assert curve.a90.value < curve.a90_95.value < curve.a90.high


def independent(size, signal, threshold, pod=None, at=None, below=None, above=None):
    """Largest log-likelihood of a (censored) log-log line, free or forced through POD(at) = pod."""
    x, y, t = np.log(size), np.log(signal), np.log(threshold)

    def nll(intercept, slope, log_sigma):
        sigma = np.exp(log_sigma)
        mean = intercept + slope * x
        value = stats.norm.logpdf(y, mean, sigma)
        if below is not None:
            value = np.where(signal <= below, stats.norm.logcdf(np.log(below), mean, sigma), value)
        if above is not None:
            value = np.where(signal >= above, stats.norm.logsf(np.log(above), mean, sigma), value)
        return -value.sum()

    options = {"gtol": 1e-6}
    if pod is None:
        best = optimize.minimize(lambda b: nll(*b), [-2.0, 1.3, -0.8], method="BFGS", options=options)
        return -best.fun, best.x

    def forced(b):
        slope, log_sigma = b
        return nll(t + np.exp(log_sigma) * stats.norm.ppf(pod) - slope * np.log(at), slope, log_sigma)

    best = optimize.minimize(forced, [1.5, -0.8], method="BFGS", options=options)
    return -best.fun, best.x


@pytest.fixture(scope="module")
def looks():
    rng = np.random.default_rng(4)
    size = rng.uniform(2, 20, 60)
    return size, 0.1 * size**1.5 * np.exp(0.4 * rng.standard_normal(60))


@pytest.mark.parametrize("limits", [{}, {"below": 0.5, "above": 5.0}])
def test_bounds_are_those_of_the_likelihood_ratio(looks, limits):
    size, signal = looks
    curve = fit_a_hat(size, signal, threshold=1.5, lower_limit=limits.get("below"), upper_limit=limits.get("above"))
    value, (intercept, slope, log_sigma) = independent(size, signal, 1.5, **limits)
    assert curve.sigma == pytest.approx(np.exp(log_sigma), rel=1e-4)
    a90 = np.exp((np.log(1.5) - intercept + stats.norm.ppf(0.9) * np.exp(log_sigma)) / slope)
    assert curve.a90.value == pytest.approx(a90, rel=1e-4)
    two, one = stats.chi2.ppf(0.95, 1), stats.norm.ppf(0.95) ** 2
    for bound, level in ((curve.a90.low, two), (curve.a90.high, two), (curve.a90_95.value, one)):
        forced, _ = independent(size, signal, 1.5, pod=0.9, at=bound, **limits)
        assert 2 * (value - forced) == pytest.approx(level, abs=2e-3)


def test_good_data_pass_their_checks_and_know_their_false_calls(looks):
    noise = np.exp(np.random.default_rng(1).normal(-1, 0.5, 400))
    curve = fit_a_hat(*looks, threshold=1.5, noise=noise, n_bootstrap=100, rng=np.random.default_rng(0))
    assert all(check.passed for check in curve.checks) and len(curve.checks) == 3
    assert curve.false_calls.count == int((noise >= 1.5).sum()) and curve.false_calls.total == 400
    assert curve.bootstrap.a90.low < curve.a90.value < curve.bootstrap.a90.high
    assert curve.bootstrap.a90_95.value == pytest.approx(curve.a90_95.value, rel=0.15)
    assert not curve.indicative and curve.notes == ()


def test_bent_lines_are_noticed():
    rng = np.random.default_rng(0)
    size = rng.uniform(2, 20, 80)
    rows = np.column_stack([np.ones(80), size])
    bent = residual_checks(rows, (size - 11) ** 2 + rng.standard_normal(80))
    assert not next(check for check in bent if "straight" in check.name).passed
    heavy = residual_checks(rows, rng.standard_t(1.5, 80))
    assert not heavy[0].passed
    assert all(np.isnan(check.p_value) and check.passed for check in residual_checks(rows[:5], size[:5]))


SIZES = np.linspace(1, 10, 40)
SCATTER = np.exp(0.3 * np.random.default_rng(3).standard_normal(40))


@pytest.mark.parametrize(
    ("signal", "options", "reason"),
    [
        (SIZES, {}, "without scatter"),
        (SCATTER / SIZES, {}, "the signal does not grow with size"),
        (SIZES * SCATTER, {"lower_limit": 7.5}, "lie between the limits; at least 5 are needed"),
    ],
)
def test_the_answer_is_the_reason(signal, options, reason):
    if "lower_limit" in options:
        options = {"lower_limit": float(np.sort(signal)[-4])}
    curve = fit_a_hat(SIZES, signal, threshold=2.0, **options)
    assert reason in curve.reason and np.isnan(curve.a90.value) and curve.a90.reason == curve.reason


def test_few_targets_and_one_size():
    few = fit_a_hat(SIZES[:9], (SIZES * SCATTER)[:9], threshold=2.0)
    assert "9 distinct targets are too few" in few.reason
    one = fit_a_hat(np.full(40, 3.0), SCATTER, threshold=2.0)
    assert "all targets have one size" in one.reason
    small = fit_a_hat(SIZES[:30], (SIZES * SCATTER)[:30], threshold=2.0)
    assert small.indicative and "at least 40" in small.notes[0]
    assert small.a90_95.reason == "30 distinct targets, at least 40 are needed for a90/95; values are indicative"
    high = fit_a_hat(SIZES, SIZES * SCATTER, threshold=60.0)
    assert "POD does not reach 0.9 within the sizes tested" in high.a90.reason


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"signal_scale": "square"}, ConfigError, "signal scale is 'square', expected log or linear"),
        ({"threshold": -1.0}, ConfigError, "the threshold of the signals is -1, expected a positive number"),
        ({"lower_limit": 3.0, "upper_limit": 2.0}, ConfigError, "expected a lower limit below the upper one"),
        ({"signal": -SIZES}, TruthError, "40 of 40 signals are not positive"),
        ({"signal": SIZES[:2]}, TruthError, "2 signals for 40 sizes"),
        ({"signal": np.full(40, np.nan)}, TruthError, "some signals are not numbers"),
        ({"target": ["a"]}, TruthError, "1 target names for 40 looks"),
        ({"noise": [np.nan]}, TruthError, "sound places are not numbers"),
        ({"confidence": 0.3}, ConfigError, "expected more than 0.5"),
    ],
)
def test_wrong_input_in_one_line(changes, error, text):
    given = {"diameter_mm": SIZES, "signal": SIZES * SCATTER, "threshold": 2.0, **changes}
    with pytest.raises(error, match=text):
        fit_a_hat(**given)
