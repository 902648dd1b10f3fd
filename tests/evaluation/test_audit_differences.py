"""Differences between kinds of folds: paired over recordings, or the reason why not."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from thermo_qc.evaluation import pixel_metrics
from thermo_qc.evaluation.audit_differences import DIFFERENCE_METRICS, audit_differences
from thermo_qc.evaluation.leakage import audit_sentence
from thermo_qc.report.audit_parts import difference_blocks
from thermo_qc.report.blocks import Fold, Paragraph, Picture


def _summary(missed: int, n_recordings: int = 6) -> dict[str, Any]:
    """Scores of a run that misses so many of the 100 defect pixels of every recording, and a hole in the odd ones."""
    confusions = [np.array([[890, 10], [missed + i, 100 - missed - i]]) for i in range(n_recordings)]
    return {
        "pooled": pixel_metrics(np.sum(confusions, axis=0), ["sound", "defect"]),
        "groups": {f"r{i}": {"confusion": one.tolist()} for i, one in enumerate(confusions)},
        "holes": [{"key": f"r{i}", "found": missed < 20 or i % 2 == 0} for i in range(n_recordings)],
    }


def _picked(rows: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    return next(one for one in rows if one["metric"] == metric)


def test_differences_are_those_of_the_runs() -> None:
    runs = {"random_pixel": _summary(10), "block": _summary(30)}
    rows = audit_differences(runs, n_resamples=100)
    assert [one["metric"] for one in rows] == list(DIFFERENCE_METRICS)
    for metric in ("defect_f1", "accuracy", "false_call_fraction"):
        one = _picked(rows, metric)
        assert one["first"] == pytest.approx(runs["random_pixel"]["pooled"][metric])
        assert one["second"] == pytest.approx(runs["block"]["pooled"][metric])
        assert one["difference"] == pytest.approx(one["second"] - one["first"]) and one["n_groups"] == 6
    lost = _picked(rows, "defect_f1")
    assert lost["low"] <= lost["difference"] <= lost["high"] < 0 and lost["decided"]
    assert _picked(rows, "hit_rate")["difference"] == pytest.approx(-0.5)
    assert not _picked(rows, "false_call_fraction")["decided"]  # the same false calls under both


def test_every_pair_of_kinds_is_there() -> None:
    runs = {"random_pixel": _summary(10), "block": _summary(20), "acquisition": _summary(30)}
    rows = audit_differences(runs, n_resamples=100)
    pairs = list(dict.fromkeys((one["first_by"], one["second_by"]) for one in rows))
    assert pairs == list(combinations(runs, 2))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"random_frame": _summary(30)}, "tests all pixels"),
        ({"block": {**_summary(30), "groups": None}}, "an older version"),
        ({"block": _summary(30, n_recordings=5)}, "did not test the same pixels"),
    ],
)
def test_why_there_is_no_interval(change: dict[str, Any], reason: str) -> None:
    rows = audit_differences({"random_pixel": _summary(10), **change}, n_resamples=100)
    assert all(reason in one["reason"] and np.isnan(one["low"]) and not one["decided"] for one in rows)
    assert _picked(rows, "defect_f1")["difference"] < 0  # the figures themselves stay


def test_too_few_recordings_have_no_interval() -> None:
    rows = audit_differences({"random_pixel": _summary(10, 2), "block": _summary(30, 2)}, n_resamples=100)
    assert all("2 groups are too few" in one["reason"] for one in rows)
    (table,) = difference_blocks(rows, method="forest")  # no chart without intervals
    assert isinstance(table, Fold)


def test_sentence_and_page_carry_the_interval() -> None:
    runs = {"random_pixel": _summary(10), "block": _summary(30)}
    rows = audit_differences(runs, n_resamples=100)
    scores = [{"by": by, **one["pooled"], "holes_found": 3, "holes_total": 6} for by, one in runs.items()]
    lost = _picked(rows, "defect_f1")
    sentence = audit_sentence(scores, rows)
    assert f"difference {lost['difference']:+.3f}, 95 % interval over 6 recordings {lost['low']:+.3f}" in sentence
    assert "3 of 6 and 3 of 6 holes found" in sentence
    assert "95 % interval" not in audit_sentence(scores)
    text, picture, table = difference_blocks(rows, method="forest")
    assert isinstance(text, Paragraph) and "6 recordings" in text.text and isinstance(table, Fold)
    assert isinstance(picture, Picture) and picture.png.startswith(b"\x89PNG")
    assert difference_blocks([], method="forest") == []
