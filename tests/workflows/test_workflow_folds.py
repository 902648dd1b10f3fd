"""Cross-validation with folds by depth, of random frames, and with nested folds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.evaluation import Splits
from thermo_qc.report import build_report
from thermo_qc.workflows.cv import cross_validate
from thermo_qc.workflows.train import load_experiment


def test_depth_folds_and_random_frames(lab: Path, tmp_path: Path) -> None:
    figures = {}
    for by in ("depth", "random_frame"):
        changes = (f"folds.by={by}", "folds.k=2", "folds.guard_mm=3", "data.class_scheme=binary")
        cross_validate(
            load_experiment(lab / "forest.yaml", manifest=lab / "manifest.yaml", overrides=changes), tmp_path / by
        )
        figures[by] = json.loads((tmp_path / by / "metrics.json").read_text(encoding="utf-8"))
        assert np.isfinite(figures[by]["pooled"]["defect_iou"]) and len(figures[by]["holes"]) == 8
    splits = Splits.load(tmp_path / "depth" / "splits.json")
    assert splits.groups in ((("depth 1 mm",), ("depth 3 mm",)), (("depth 3 mm",), ("depth 1 mm",)))
    frames = Splits.load(tmp_path / "random_frame" / "splits.json")
    tested = np.stack([frames.test_frames(fold, "first") for fold in range(2)])
    assert (tested.sum(axis=0) == 1).all()
    assert figures["random_frame"]["pooled"]["defect_iou"] > figures["depth"]["pooled"]["defect_iou"]
    page = build_report(tmp_path / "random_frame").read_text(encoding="utf-8")
    assert "other frames of the same pixels were in training" in page


def test_the_first_inner_fold_validates(lab: Path, tmp_path: Path) -> None:
    changes = ("folds.inner_by=defect", "folds.inner_k=2", "folds.guard_mm=3", "train.epochs=1")
    cross_validate(
        load_experiment(lab / "cnn.yaml", manifest=lab / "manifest.yaml", overrides=changes), tmp_path / "run"
    )
    splits = Splits.load(tmp_path / "run" / "splits.json")
    assert len(splits.inner) == splits.n_folds == 2 and splits.inner[0].keys == splits.train_keys(0)
    with (tmp_path / "run" / "fold_0" / "history.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["validation_loss"]) == pytest.approx(float(row["validation_loss"])) and row["validation_loss"]
