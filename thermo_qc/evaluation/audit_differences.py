"""Differences between the kinds of folds of a leakage audit, with paired intervals over recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from thermo_qc.evaluation.paired import PairedDifference, confusion_statistic, hit_statistic, paired_bootstrap

__all__ = ["DIFFERENCE_METRICS", "audit_differences"]

DIFFERENCE_METRICS = ("defect_f1", "accuracy", "false_call_fraction", "hit_rate")
Summary = Mapping[str, Any]


def audit_differences(
    summaries: Mapping[str, Summary], *, seed: int = 0, n_resamples: int = 1000, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Compare one method's scores under every two kinds of folds, recording by recording.

    Parameters
    ----------
    summaries : mapping of str to mapping
        Per kind of folds the content of ``metrics.json`` of a run on the same recordings: ``pooled``, ``holes``, and
        ``groups`` (confusion matrix by recording).
    seed : int
        Of the resampling.
    n_resamples, confidence
        As in `paired_bootstrap`.

    Returns
    -------
    list of dict
        Per pair of kinds and metric of `DIFFERENCE_METRICS`: ``first_by``, ``second_by``, ``metric``, the fields of
        `PairedDifference` (second minus first) and ``decided``; a ``reason`` where there is no interval.
    """
    rows = []
    for first, second in combinations(summaries, 2):
        reason = _unpaired((first, second), (summaries[first], summaries[second]))
        for metric in DIFFERENCE_METRICS:
            if reason:
                found = _without(metric, summaries[first], summaries[second], reason, confidence)
            else:
                statistic: Callable[[Sequence[Any]], float]
                statistic = hit_statistic if metric == "hit_rate" else confusion_statistic(metric)
                found = paired_bootstrap(
                    _groups(summaries[first], metric),
                    _groups(summaries[second], metric),
                    statistic,
                    rng=np.random.default_rng(seed),
                    n_resamples=n_resamples,
                    confidence=confidence,
                )
            pair = {"first_by": first, "second_by": second, "metric": metric}
            rows.append({**pair, **asdict(found), "decided": found.decided})
    return rows


def _unpaired(kinds: tuple[str, str], summaries: tuple[Summary, Summary]) -> str:
    """Say why two kinds cannot be compared recording by recording; empty when they can."""
    if "random_frame" in kinds:
        return "every fold of random frames tests all pixels, so they have no partners under other folds"
    ours, theirs = (summary.get("groups") for summary in summaries)
    if not ours or not theirs:
        return "a run of an older version keeps no figures by recording; make it again"
    pixels = [{key: np.sum(one["confusion"], axis=1).tolist() for key, one in side.items()} for side in (ours, theirs)]
    return "" if pixels[0] == pixels[1] else "the two kinds did not test the same pixels"


def _groups(summary: Summary, metric: str) -> dict[str, Any]:
    if metric != "hit_rate":
        return {key: np.asarray(one["confusion"], dtype=np.int64) for key, one in summary["groups"].items()}
    return {key: [hole for hole in summary["holes"] if hole["key"] == key] for key in summary["groups"]}


def _without(metric: str, first: Summary, second: Summary, reason: str, confidence: float) -> PairedDifference:
    ours, theirs = (_pooled(summary, metric) for summary in (first, second))
    return PairedDifference(
        first=ours,
        second=theirs,
        difference=theirs - ours,
        low=float("nan"),
        high=float("nan"),
        n_groups=0,
        n_resamples=0,
        n_undefined=0,
        confidence=confidence,
        reason=reason,
    )


def _pooled(summary: Summary, metric: str) -> float:
    if metric == "hit_rate":
        return hit_statistic([summary["holes"]])
    value = summary["pooled"][metric]
    return float("nan") if value is None else float(value)
