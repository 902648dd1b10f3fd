"""Tables and curves: figures kept as they are, unknowns kept unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_cases import CONTRAST_K, NETD_K, recording, small_truth

from thermo_qc.report import draw_curves, representative_curves
from thermo_qc.report.blocks import Cell
from thermo_qc.report.hole_tables import (
    detectable_grid,
    grid_table,
    hole_matrix,
    hole_sentence,
    hole_table_block,
    outcome_of,
)
from thermo_qc.report.tables import class_table, confusion_table, leakage_table, metrics_table, percent
from thermo_qc.sequence import Excitation, ThermalSequence


def texts(row: tuple[Cell | str, ...]) -> list[str]:
    return [cell if isinstance(cell, str) else cell.text for cell in row]


def a_hole(**changes: Any) -> dict[str, Any]:
    hole = {"key": "k", "fold": 0, "name": "A1", "number": 1, "diameter_mm": 8.0, "depth_mm": 1.3, "found": True,
            "coverage": 0.85, "iou": 0.61, "true_class": 1, "predicted_class": 1, "class_right": True,
            "predicted_depth_mm": 1.4, "peak_contrast_k": 0.5, "contrast_to_noise": 20.0}  # fmt: skip
    return {**hole, **changes}


MISS = a_hole(found=False, coverage=0.0, iou=0.0, predicted_class=None, class_right=False, predicted_depth_mm=None)
floats = st.one_of(st.none(), st.floats(0, 100), st.just(float("nan")))


@settings(deadline=None, max_examples=60)
@given(found=st.booleans(), ratio=floats)
def test_outcome_is_found_or_missed_and_visible_only_when_known(found: bool, ratio: float | None) -> None:
    text = outcome_of(a_hole(found=found, contrast_to_noise=ratio)).text
    assert text.startswith("found" if found else "missed")
    known = ratio is not None and np.isfinite(ratio)
    assert ("visible" in text) == (not found and known and (ratio or 0) >= 5)
    assert ("noise" in text) == (not found and known and (ratio or 0) < 5)


def test_hole_row_of_a_find_and_of_a_miss() -> None:
    table = hole_table_block([a_hole(), MISS], ("sound", "surface"), "holes")
    assert texts(table.rows[0]) == [
        "A1", "1.30", "8.00", "0.500", "20.0", "yes", "found", "85 %", "0.61", "surface", "surface", "right", "1.40"
    ]  # fmt: skip
    assert texts(table.rows[1])[5:] == [
        "yes", "missed, visible", "0 %", "0.00", "surface", "nothing called", "none", "none"
    ]  # fmt: skip
    bare = hole_table_block([{"number": 7, "found": False}], (), "holes")
    assert texts(bare.rows[0])[:7] == ["7", "unknown", "unknown", "unknown", "unknown", "unknown", "missed"]


def test_matrix_says_where_a_hole_is_not_there() -> None:
    table = hole_matrix([a_hole(key="a"), a_hole(key="b", name="B2", found=False)], "matrix")
    assert table.header[3:] == ("a", "b")
    assert texts(table.rows[0])[3:] == ["found", "not there"]
    assert texts(table.rows[1])[3:] == ["not there", "missed, visible"]


def test_grid_counts_what_can_be_seen() -> None:
    holes = [
        a_hole(),
        a_hole(contrast_to_noise=4.9),
        a_hole(depth_mm=7.2, contrast_to_noise=None),
        a_hole(diameter_mm=None),
    ]
    grid = detectable_grid(holes, [1.3, 7.2], [8.0, 14.0])
    assert grid.tolist() == [[1, -1], [-1, -1]]
    shown = grid_table(
        {"depths_mm": [1.3, 7.2], "diameters_mm": [8.0, 14.0], "found": [[1, 0], [1, 0]], "total": [[2, 0], [1, 3]]},
        grid,
    )
    assert texts(shown.rows[0]) == ["1.3 mm deep", "1 of 2 (1 visible)", "no such hole"]
    kinds = [cell.kind for row in shown.rows for cell in row[1:] if isinstance(cell, Cell)]
    assert kinds == ["faint", "unknown", "good", "bad"]
    assert detectable_grid(holes, [], []).size == 0


def test_sentences_about_holes() -> None:
    assert "1 of 2 (50 %" in hole_sentence([a_hole(), MISS])
    assert "none there" in hole_sentence([a_hole(contrast_to_noise=1.0)])
    assert "nobody can say" in hole_sentence([a_hole(contrast_to_noise=None)])
    assert hole_sentence([]) == "The per-hole table is empty."


def test_metrics_keep_undefined_apart_from_zero() -> None:
    metrics = {
        "n_pixels": 12000,
        "defect_iou": 0.0,
        "defect_f1": None,
        "balanced_accuracy": float("nan"),
        "false_call_fraction": 0.0123,
    }
    folds = [{"fold": f, "test_keys": ["k"], "metrics": metrics} for f in (0, 1)]
    table = metrics_table({"folds": folds, "pooled": metrics, "mean": {"defect_iou": 0.5}, "std": {"defect_iou": 0.1}})
    assert texts(table.rows[0])[:4] == ["fold 0: k", "not defined", "0.000", "not defined"]
    assert texts(table.rows[0])[-1] == "12 000"
    assert "1.23 %" in texts(table.rows[2])
    assert texts(table.rows[3])[:3] == ["mean ± standard deviation over the folds", "not defined", "0.500 ± 0.100"]
    classes = class_table(
        {"per_class": {"sound": {"precision": 1.0, "recall": None, "support": 3}}}, ("sound", "x"), "classes"
    )
    assert texts(classes.rows[0]) == ["sound", "1.000", "not defined", "not defined", "not defined", "3"]
    assert texts(classes.rows[1])[-1] == "not recorded"
    assert percent(None) == "not defined"


def test_confusion_and_leakage_tables() -> None:
    table = confusion_table(np.array([[90, 10], [0, 0]]), ("sound", "defect"))
    assert texts(table.rows[0]) == ["sound", "90 (90.0 %)", "10 (10.0 %)"]
    assert texts(table.rows[1]) == ["defect", "0", "0"]
    assert texts(leakage_table([{"method": "m", "by": "random_pixel", "n_folds": 5, "accuracy": 0.9}]).rows[0])[:3] == [
        "m",
        "random pixel",
        "5",
    ]


def test_curves_recover_the_bumps(rng_seed: int = 3) -> None:
    truth = small_truth()
    sequence = recording(truth, np.random.default_rng(rng_seed))
    curves = representative_curves(sequence, truth)
    assert curves is not None
    assert [curve.depth_mm for curve in curves.defects] == [1.3, 7.2, 12.7]
    assert [curve.name for curve in curves.defects] == ["H1", "H3", "H4"]
    assert (
        (curves.times_s > 0).all() and curves.unit == "K" and curves.noise == NETD_K and curves.heating_stop_s == 60.0
    )
    for curve in curves.defects:
        number = int(curve.name[1])
        when = 60.0 + 1.5 * curve.depth_mm**2
        expected = CONTRAST_K[number] * np.exp(-(np.log((curves.times_s + 1e-3) / when) ** 2))
        assert np.abs(curve.contrast - expected).max() < 4 * NETD_K
    assert curves.sound.max() == pytest.approx(12.0, abs=0.1)
    assert draw_curves(curves, title="x") != draw_curves(replace(curves, noise=None, heating_stop_s=None))


def test_curves_without_cold_frames_start_at_their_first_frame() -> None:
    truth = small_truth()
    frames = np.repeat(np.arange(4.0)[:, None], truth.defect_index.size, axis=1).reshape(4, *truth.shape)
    frames[:, truth.defect_index == 1] += 2.0
    frames[2, 0, 0] = np.nan
    sequence = ThermalSequence(frames=frames, times_s=np.arange(1.0, 5.0), unit="counts", excitation=Excitation())
    curves = representative_curves(sequence, truth)
    assert curves is not None and curves.unit == "counts" and curves.noise is None
    assert curves.sound.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert curves.defects[0].contrast.tolist() == [0.0, 0.0, 0.0, 0.0]  # a constant offset is no rise
    assert draw_curves(curves)[:4] == b"\x89PNG"


def test_no_curves_without_depths_or_warm_frames() -> None:
    truth = small_truth()
    sequence = recording(truth, np.random.default_rng(0))
    unknown = replace(truth, defects=tuple(replace(defect, depth_mm=None) for defect in truth.defects))
    assert representative_curves(sequence, unknown) is None
    assert representative_curves(sequence.between(None, 0.0), truth) is None
    few = representative_curves(sequence, truth, max_defects=2)
    assert few is not None and [curve.name for curve in few.defects] == ["H1", "H4"]
