"""Differences between two methods: groups are resampled together, and few of them give no interval."""

from __future__ import annotations

import numpy as np
import pytest

from thermo_qc.errors import ConfigError, FoldError
from thermo_qc.evaluation import confusion_statistic, hit_statistic, paired_bootstrap, pixel_metrics


def groups(seed: int, n: int = 12, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Confusion matrices whose difficulty differs much more between groups than between methods."""
    hard = np.random.default_rng(1).uniform(0.2, 0.9, n)
    noise = np.random.default_rng(seed).normal(0, 0.01, n)
    share = np.clip(hard + noise + shift, 0, 1)
    return {f"g{i}": np.array([[900, 100], [round(200 * (1 - s)), round(200 * s)]]) for i, s in enumerate(share)}


def test_pairing_sees_a_difference_that_lies_within_the_spread():
    statistic = confusion_statistic("defect_recall")
    found = paired_bootstrap(groups(2), groups(3, shift=0.05), statistic, rng=np.random.default_rng(0), n_resamples=500)
    assert found.decided and found.low < found.difference < found.high
    assert found.difference == pytest.approx(0.05, abs=0.015) and found.high - found.low < 0.04
    spread = np.std([matrix[1, 1] / 200 for matrix in groups(2).values()]) / np.sqrt(12)
    assert spread > 0.04  # unpaired, the same difference drowns
    total = np.sum(list(groups(2).values()), axis=0)
    assert found.first == pytest.approx(pixel_metrics(total, ("sound", "defect"))["defect_recall"])
    same = paired_bootstrap(groups(2), groups(2), statistic, rng=np.random.default_rng(0), n_resamples=200)
    assert (same.low, same.high, same.decided) == (0, 0, False)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(120):
        hard = rng.normal(size=20)
        one = {str(i): value for i, value in enumerate(hard)}
        two = {str(i): value + 0.3 + rng.normal(0, 0.5) for i, value in enumerate(hard)}
        found = paired_bootstrap(one, two, np.mean, rng=rng, n_resamples=200)
        covered += found.low <= 0.3 <= found.high
    assert 0.85 < covered / 120 <= 1


def test_order_of_groups_does_not_matter():
    one, two = groups(2), groups(3)
    turned = {name: one[name] for name in reversed(one)}
    statistic = confusion_statistic("defect_iou")
    first, second = (
        paired_bootstrap(given, two, statistic, rng=np.random.default_rng(0), n_resamples=100)
        for given in (one, turned)
    )
    assert first == second


def test_no_interval_has_a_reason():
    rng = np.random.default_rng(0)
    few = paired_bootstrap(groups(2, 2), groups(3, 2), confusion_statistic("accuracy"), rng=rng)
    assert "2 groups are too few to resample" in few.reason and np.isnan(few.low) and np.isfinite(few.difference)
    holes = {name: [] for name in "abcd"}
    assert "does not exist for one" in paired_bootstrap(holes, holes, hit_statistic, rng=rng).reason
    some = {**holes, "a": [{"found": True}]}
    rare = paired_bootstrap(some, some, hit_statistic, rng=rng)
    assert "resamples; more groups with defects are needed" in rare.reason and not rare.decided
    assert hit_statistic([[{"found": True}], [{"found": False}, {"found": False}]]) == pytest.approx(1 / 3)


def test_wrong_input_in_one_line():
    rng = np.random.default_rng(0)
    with pytest.raises(FoldError, match="scored on different groups"):
        paired_bootstrap(groups(1), groups(1, 11), np.mean, rng=rng)
    with pytest.raises(ConfigError, match="n_resamples is 5"):
        paired_bootstrap({}, {}, np.mean, rng=rng, n_resamples=5)
    with pytest.raises(ConfigError, match="there is no pixel metric 'speed'"):
        confusion_statistic("speed")
