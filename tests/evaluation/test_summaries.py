"""Folds joined, methods compared, tables for terminals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermo_qc.errors import FoldError
from thermo_qc.evaluation import (
    SCALARS,
    comparison_row,
    depth_errors,
    leakage_row,
    pixel_metrics,
    render_table,
    summarise,
)
from thermo_qc.io.files import plain_json

NAMES = ("sound", "near", "deep")


def entry(found, depth, predicted, ratio=None):
    return {
        "found": found,
        "depth_mm": depth,
        "predicted_depth_mm": predicted,
        "diameter_mm": 10.0,
        "contrast_to_noise": ratio,
    }


def result(fold, confusion, holes=(), **more):
    metrics = pixel_metrics(np.array(confusion), NAMES)
    return {"fold": fold, "test_keys": [f"r{fold}"], "metrics": metrics, "holes": list(holes), **more}


@pytest.fixture
def results():
    return [
        result(
            0,
            [[90, 10, 0], [5, 15, 0], [0, 0, 0]],
            [entry(True, 1.0, 1.2, 9.0), entry(False, 5.0, None, 2.0)],
            false_calls=2,
        ),
        result(1, [[80, 0, 0], [0, 0, 0], [4, 0, 6]], [entry(True, 5.0, 4.0, 6.0)], false_calls=1),
    ]


def test_pooled_mean_and_spread(results):
    summary = summarise(results, NAMES)
    assert summary["pooled"]["confusion"] == [[170, 10, 0], [5, 15, 0], [4, 0, 6]]
    for name in SCALARS:
        values = [r["metrics"][name] for r in results]
        assert summary["mean"][name] == pytest.approx(np.mean(values))
        assert summary["std"][name] == pytest.approx(np.std(values, ddof=1))
        assert summary["count"][name] == 2
    assert [fold["test_keys"] for fold in summary["folds"]] == [["r0"], ["r1"]]
    assert [fold["false_calls"] for fold in summary["folds"]] == [2, 1] and summary["false_calls"] == 3
    assert summary["leakage"] is None and summary["class_names"] == list(NAMES)


def test_holes_grid_and_depth(results):
    summary = summarise(results, NAMES)
    assert len(summary["holes"]) == 3
    assert summary["grid"] == {
        "depths_mm": [1.0, 5.0],
        "diameters_mm": [10.0],
        "found": [[1], [1]],
        "total": [[1], [2]],
    }
    assert (summary["detection"]["found"], summary["detection"]["total"]) == (2, 3)
    assert (summary["detectable"]["found"], summary["detectable"]["total"]) == (2, 2)
    assert summary["depth"] == {
        "n": 2,
        "mae_mm": pytest.approx(0.6),
        "bias_mm": pytest.approx(-0.4),
        "relative": pytest.approx(0.2),
    }


def test_holes_of_the_joined_maps_replace_the_folds_own(results):
    summary = summarise(results, NAMES, holes=[entry(True, 1.0, 1.5, 9.0)])
    assert len(summary["holes"]) == 1 and summary["grid"]["total"] == [[1]]
    assert (summary["detection"]["total"], summary["detectable"]["total"], summary["depth"]["n"]) == (1, 1, 1)
    assert summarise(results, NAMES, holes=[])["detection"]["total"] == 0


def test_fold_without_defects_stays_out_of_the_means(results):
    bare = result(2, [[50, 0, 0], [0, 0, 0], [0, 0, 0]])
    summary = summarise([*results, bare], NAMES)
    assert summary["count"]["defect_iou"] == 2 and summary["count"]["accuracy"] == 3
    assert summary["mean"]["defect_iou"] == summarise(results, NAMES)["mean"]["defect_iou"]
    assert "false_calls" not in summary["folds"][2]


def test_single_fold_has_no_spread_and_missing_calls_are_unknown(results):
    del results[0]["false_calls"]
    summary = summarise(results[:1], NAMES)
    assert math.isnan(summary["std"]["accuracy"]) and summary["mean"]["accuracy"] == results[0]["metrics"]["accuracy"]
    assert summary["false_calls"] is None


def test_results_read_back_from_json_summarise_alike(results):
    summary = summarise(results, NAMES)
    again = summarise(plain_json(results), NAMES)
    assert plain_json(again) == plain_json(summary)


def test_nothing_to_summarise():
    with pytest.raises(FoldError, match="no fold results"):
        summarise([], NAMES)


def test_depth_errors_of_misses_and_unknown_depths_do_not_count():
    assert depth_errors([entry(False, 1.0, 2.0), entry(True, None, 2.0), entry(True, 1.0, float("nan"))])["n"] == 0
    assert math.isnan(depth_errors([])["mae_mm"])


def test_comparison_row(results):
    summary = summarise(results, NAMES)
    row = comparison_row(
        method="unet", kind="segmentation", protocol="2 folds", summary=summary, unseen=summary, train_s=3.5
    )
    assert row["defect_iou"] == summary["pooled"]["defect_iou"] == row["unseen_defect_iou"]
    assert (row["holes_found"], row["holes_total"], row["detectable_found"], row["detectable_total"]) == (2, 3, 2, 2)
    assert (row["unseen_holes_found"], row["unseen_holes_total"]) == (2, 3)
    assert row["train_s"] == 3.5 and row["model_mb"] is None
    alone = comparison_row(method="unet", kind="segmentation", protocol="2 folds", summary=summary)
    assert list(alone) == list(row)
    assert [alone[name] for name in alone if name.startswith("unseen")] == [None] * 4


def test_leakage_row(results):
    metrics = summarise(results, NAMES)["pooled"]
    row = leakage_row(method="rf", by="random_pixel", n_folds=5, metrics=metrics)
    assert list(row) == ["method", "by", "n_folds", "balanced_accuracy", "defect_iou", "defect_f1", "accuracy"]
    assert row["accuracy"] == metrics["accuracy"]


def test_table_is_aligned_and_rounded():
    rows = [
        {"method": "unet", "iou": 0.81256, "n": 23, "ok": True},
        {"method": "random\nforest", "iou": float("nan"), "n": None, "ok": False},
    ]
    assert render_table(rows, {"method": "Method", "iou": "IoU", "n": "Holes", "ok": "Best"}).splitlines() == [
        "Method           IoU  Holes  Best",
        "-------------  -----  -----  ----",
        "unet           0.813     23  yes",
        "random forest      -      -  no",
    ]


def test_table_of_keys_digits_and_gaps():
    assert (
        render_table([{"a": np.float32(1.25), "b": ""}], ["a", "b", "c"], digits=1) == "  a  b  c\n---  -  -\n1.2  -  -"
    )
    assert render_table([], ["a", "bc"]) == "a  bc\n-  --"
