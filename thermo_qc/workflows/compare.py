"""``thermo-qc compare``: methods side by side on the same splits, with paired differences over groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.errors import ConfigError
from thermo_qc.evaluation import (
    DetectionLimits,
    confusion_statistic,
    depth_scores,
    detectable_holes,
    hit_statistic,
    paired_bootstrap,
    pixel_metrics,
)
from thermo_qc.io import sha256_of, write_csv, write_json
from thermo_qc.workflows.compared_run import ComparedRun, check_comparable, load_compared
from thermo_qc.workflows.hole_limits import limits_of_holes
from thermo_qc.workflows.lock import locked
from thermo_qc.workflows.run_folder import fingerprint_of, open_run

__all__ = ["GROUPS", "run"]

GROUPS = ("recording", "acquisition", "plate")
WORDS = ("detectable", "borderline", "cannot be seen")
PIXEL_METRICS = ("defect_f1", "defect_iou", "balanced_accuracy", "false_call_fraction")
_POOLED = (
    *("accuracy", "balanced_accuracy", "matthews"),
    *("defect_precision", "defect_recall", "defect_f1", "defect_iou", "false_call_fraction"),
)
Row = dict[str, Any]


def run(
    paths: Sequence[Path],
    output: Path,
    *,
    reference: str | None = None,
    groups: str = "recording",
    limits: DetectionLimits | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
    overwrite: bool = False,
    announce: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Compare finished runs and write table, differences, holes and page.

    Parameters
    ----------
    paths : sequence of Path
        Folders of ``cv`` or ``evaluate`` runs of the same data and splits.
    output : Path
        Folder for ``comparison.json``, ``comparison.csv``, ``differences.csv``, ``holes.csv`` and ``report.html``.
    reference : str, optional
        Method that the others are compared with; the first run.
    groups : {"recording", "acquisition", "plate"}
        What is resampled for the intervals of the differences.
    limits : DetectionLimits, optional
        From which d' on a hole is visible and detectable.
    confidence, n_resamples, seed
        Of the intervals.
    overwrite : bool
        Replace an earlier comparison.
    announce : callable
        Told what is being done.

    Returns
    -------
    dict
        Content of ``comparison.json``.

    Raises
    ------
    FoldError
        When the runs were not scored with the same truth by the same folds.
    InputError
        When a folder holds no finished run.
    ConfigError
        When an option is wrong.
    """
    from thermo_qc.report.compare_page import write_compare_page

    runs = load_compared(paths)
    check_comparable(runs)
    names = [one.name for one in runs]
    if reference is not None and reference not in names:
        raise ConfigError(f"there is no method '{reference}' to compare with; expected one of {', '.join(names)}")
    chosen = limits or DetectionLimits()
    identity = [[sha256_of(one.path / "metrics.json") for one in runs], asdict(chosen), groups, reference]
    with locked(output, break_lock=None):
        folder = open_run(
            output,
            command="compare",
            fingerprint=fingerprint_of([*identity, confidence, n_resamples, seed]),
            overwrite=overwrite,
        )
        folder.update(name="comparison", runs=[str(path) for path in paths])
        known = _limits(runs, chosen, announce)
        holes = {one.name: _with_limits(one.holes, known) for one in runs}
        announce("differences")
        against = reference or names[0]
        comparison = {
            "rows": [_row(one, holes[one.name]) for one in runs],
            "reference": against,
            "groups": groups,
            "differences": _differences(runs, holes, against, groups, confidence, n_resamples, seed),
            "holes": _hole_rows(runs, holes),
            "recordings": {
                key: {name: one[name] for name in ("reason", "noise", "heat")} for key, one in known.items()
            },
            "limits": asdict(chosen),
            "splits_sha256": runs[0].record.get("splits_sha256"),
            "rule": runs[0].metrics["indications"]["rule"],
            "protocol": _protocol(runs[0]),
        }
        write_json(output / "comparison.json", comparison)
        _tables(comparison, output)
        write_compare_page(comparison, output / "report.html")
        folder.finish()
    return comparison


def _limits(runs: Sequence[ComparedRun], limits: DetectionLimits, announce: Callable[[str], None]) -> dict[str, Any]:
    """Limits of the holes of every recording; the same for all methods."""
    first, known = runs[0], {}
    for entry in first.record["data"]:
        key = str(entry["key"])
        if key in first.scored:
            announce(f"what {key} can show")
            own = [hole for hole in first.holes if hole["key"] == key]
            known[key] = limits_of_holes(entry, own, first.path, limits=limits)
    return known


def _with_limits(holes: Sequence[Mapping[str, Any]], known: Mapping[str, Any]) -> list[Row]:
    nothing = {"d_prime": None, "word": "unknown", "depth_bound_mm": None}
    return [{**hole, **known[hole["key"]]["holes"].get(str(hole["number"]), nothing)} for hole in holes]


def _visible(holes: Sequence[Row]) -> list[Row]:
    """Choose the detectable holes by d'; by the contrast to noise where no d' is known."""
    by_contrast = {id(hole) for hole in detectable_holes(holes)}
    return [
        hole
        for hole in holes
        if hole["word"] == "detectable" or (hole["word"] == "unknown" and id(hole) in by_contrast)
    ]


def _row(one: ComparedRun, holes: Sequence[Row]) -> Row:
    metrics = one.metrics
    total = np.sum([scored.confusion for scored in one.scored.values()], axis=0)
    pooled = {**pixel_metrics(total, metrics["class_names"]), **metrics["pooled"]}  # older runs lack some
    found = [hole for hole in holes if hole["found"]]
    depth = depth_scores(
        [hole["depth_mm"] for hole in found],
        [hole["predicted_depth_mm"] for hole in found],
        bound_mm=[hole["depth_bound_mm"] for hole in found],
    )
    calls = metrics["indications"]["false_calls_per_m2"]
    pod = metrics["pod"]["diameter"]
    visible = _visible(holes)
    counts: Row = {}
    for word in WORDS:
        own = [hole for hole in holes if hole["word"] == word]
        name = word.replace(" ", "_")
        counts |= {f"{name}_found": sum(bool(hole["found"]) for hole in own), f"{name}_total": len(own)}
    counts |= {"detectable_found": sum(bool(hole["found"]) for hole in visible), "detectable_total": len(visible)}
    model = (one.record.get("experiment") or {}).get("model") or one.record.get("model") or {}
    return {
        "method": one.name,
        "kind": model.get("kind", "evaluate"),
        "run": str(one.path),
        **{name: pooled.get(name) for name in _POOLED},
        "pixels_left_out": int(sum(scored.label_counts.sum() for scored in one.scored.values()) - total.sum()),
        "average_precision": metrics["average_precision"]["mean"],
        "calibration_error": metrics["calibration"]["defect"]["expected_error"],
        "holes_found": len(found),
        "holes_total": len(holes),
        **counts,
        "false_calls": calls["count"],
        "false_calls_per_m2": calls["value"],
        "false_calls_per_m2_low": calls["low"],
        "false_calls_per_m2_high": calls["high"],
        "depth_n": depth.overall.n,
        "depth_mae_mm": depth.overall.mae_mm,
        "depth_rmse_mm": depth.overall.rmse_mm,
        "depth_bias_mm": depth.overall.bias_mm,
        "depth_relative": depth.overall.relative,
        "depth_bound_ratio": depth.overall.bound_ratio,
        "depth_reason": depth.reason,
        "a90_mm": pod["a90"]["value"],
        "a90_95_mm": pod["a90_95"]["value"],
        "pod_reason": pod["a90_95"]["reason"] or pod["a90"]["reason"] or pod.get("reason", ""),
        "train_s": one.record.get("train_s"),
    }


def _differences(
    runs: Sequence[ComparedRun],
    holes: Mapping[str, Sequence[Row]],
    reference: str,
    groups: str,
    confidence: float,
    n_resamples: int,
    seed: int,
) -> list[Row]:
    base = next(one for one in runs if one.name == reference)
    rows: list[Row] = []
    for other in (one for one in runs if one is not base):
        for metric in (*PIXEL_METRICS, "detectable_hit_rate", "depth_mae_mm"):
            if metric in PIXEL_METRICS:
                ours, theirs = (_confusions(one, groups) for one in (base, other))
                statistic: Callable[[Sequence[Any]], float] = confusion_statistic(metric)
            else:
                ours, theirs = (_hole_groups(one, holes[one.name], groups) for one in (base, other))
                statistic = _visible_hits if metric == "detectable_hit_rate" else _depth_error
            found = paired_bootstrap(
                ours,
                theirs,
                statistic,
                rng=np.random.default_rng(seed),
                confidence=confidence,
                n_resamples=n_resamples,
            )
            rows.append({"method": other.name, "reference": reference, "metric": metric, **asdict(found)})
            rows[-1]["decided"] = found.decided
    return rows


def _confusions(one: ComparedRun, groups: str) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for key, scored in one.scored.items():
        name = one.group_of(key, groups)
        joined[name] = joined.get(name, 0) + scored.confusion
    return joined


def _hole_groups(one: ComparedRun, holes: Sequence[Row], groups: str) -> dict[str, list[Row]]:
    joined: dict[str, list[Row]] = {one.group_of(key, groups): [] for key in one.scored}
    for hole in holes:
        joined[one.group_of(hole["key"], groups)].append(hole)
    return joined


def _visible_hits(parts: Sequence[Sequence[Row]]) -> float:
    return hit_statistic([_visible(part) for part in parts])


def _depth_error(parts: Sequence[Sequence[Row]]) -> float:
    """Mean absolute error of the depths of the holes found."""
    errors = [
        abs(hole["predicted_depth_mm"] - hole["depth_mm"])
        for part in parts
        for hole in part
        if hole["found"] and hole["predicted_depth_mm"] is not None and hole["depth_mm"] is not None
    ]
    return float(np.mean(errors)) if errors else float("nan")


def _hole_rows(runs: Sequence[ComparedRun], holes: Mapping[str, Sequence[Row]]) -> list[Row]:
    """One line per hole and recording: what can be seen of it, and who found it."""
    tables = {one.name: {(hole["key"], hole["number"]): hole for hole in holes[one.name]} for one in runs}
    shared = ("key", "number", "name", "diameter_mm", "depth_mm", "d_prime", "word", "depth_bound_mm")
    rows = []
    for place, hole in tables[runs[0].name].items():
        row = {name: hole[name] for name in shared}
        for one in runs:
            theirs = tables[one.name].get(place, {})
            row[f"found: {one.name}"] = theirs.get("found")
            row[f"depth_mm: {one.name}"] = theirs.get("predicted_depth_mm") if theirs.get("found") else None
        rows.append(row)
    return rows


def _protocol(one: ComparedRun) -> str:
    if one.record["command"] == "evaluate":
        return f"{len(one.scored)} recordings, judged by finished models"
    folds = one.record["experiment"]["folds"]
    return f"{len(one.metrics['folds'])} folds by {folds['by'].replace('_', ' ')}, {len(one.scored)} recordings"


def _tables(comparison: Mapping[str, Any], output: Path) -> None:
    for name, rows in (("comparison", "rows"), ("differences", "differences"), ("holes", "holes")):
        listed = comparison[rows]
        columns = list(listed[0]) if listed else ["key"]
        write_csv(output / f"{name}.csv", columns, [[row[column] for column in columns] for row in listed], digits=6)
