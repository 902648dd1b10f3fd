"""Cross-validation end to end: splits, out-of-fold maps, metrics, report; resumed, refused, overwritten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from thermo_qc.cli import main
from thermo_qc.evaluation import Splits
from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.workflows import cv


def _metrics(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_run_folder_is_complete(forest_run: Path) -> None:
    for name in ("run.json", "config.yaml", "splits.json", "metrics.json", "holes.csv", "report.html"):
        assert (forest_run / name).is_file(), name
    record = json.loads((forest_run / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "complete"
    assert record["versions"]["thermo_qc"]
    assert [len(entry["sha256"]) for entry in record["data"]] == [64, 64]
    assert record["splits_sha256"] == Splits.load(forest_run / "splits.json").sha256


def test_every_pixel_is_predicted_by_a_model_that_has_not_seen_its_acquisition(forest_run: Path) -> None:
    splits = Splits.load(forest_run / "splits.json")
    for name in ("first", "second"):
        with h5py.File(forest_run / "predictions" / f"{name}.h5", "r") as file:
            fold, truth = file["fold"][...], file["truth/class_map"][...]
        assert (fold[truth != 255] >= 0).all()
        (tested,) = np.unique(fold[truth != 255])
        assert name in splits.test_keys(int(tested))
        assert name not in splits.train_keys(int(tested))


def test_metrics_are_those_of_the_maps(forest_run: Path) -> None:
    metrics = _metrics(forest_run)
    wrong = total = 0
    for name in ("first", "second"):
        with h5py.File(forest_run / "predictions" / f"{name}.h5", "r") as file:
            truth, predicted = file["truth/class_map"][...], file["class_map"][...]
        used = truth != 255
        wrong += int((truth != predicted)[used].sum())
        total += int(used.sum())
    assert metrics["pooled"]["n_pixels"] == total
    assert metrics["pooled"]["accuracy"] == pytest.approx(1 - wrong / total)
    assert len(metrics["holes"]) == 8
    assert metrics["leakage"]["by"] == "random_pixel"
    found = {(hole["key"], hole["name"]) for hole in metrics["holes"] if hole["found"]}
    assert {("first", "S1"), ("second", "S1")} <= found


def test_same_command_again_keeps_the_result(forest_run: Path, lab: Path) -> None:
    before = (forest_run / "fold_0" / "model.safetensors").stat().st_mtime_ns
    metrics = cv.run(lab / "forest.yaml", forest_run, manifest=lab / "manifest.yaml", progress=False, leakage_gap=True)
    assert metrics == _metrics(forest_run)
    assert (forest_run / "fold_0" / "model.safetensors").stat().st_mtime_ns == before


def test_a_run_that_lost_a_fold_ends_with_the_same_figures(lab: Path, tmp_path: Path) -> None:
    target = tmp_path / "run"
    first = cv.run(lab / "cnn.yaml", target, manifest=lab / "manifest.yaml", progress=False)
    (target / "fold_1" / "model.safetensors").unlink()
    (target / "metrics.json").unlink()
    record = json.loads((target / "run.json").read_text(encoding="utf-8"))
    (target / "run.json").write_text(json.dumps({**record, "status": "running"}), encoding="utf-8")
    again = cv.run(lab / "cnn.yaml", target, manifest=lab / "manifest.yaml", progress=False, resume=True)
    assert json.dumps(again) == json.dumps(first)


def test_another_configuration_is_refused_and_overwrite_replaces(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["cv", str(lab / "forest.yaml"), "--manifest", str(lab / "manifest.yaml"), "-o", str(tmp_path / "run")]
    assert main([*arguments, "--fold", "0"]) == 0
    capsys.readouterr()
    assert main([*arguments, "--fold", "0", "--set", "model.parameters.n_trees=3"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*arguments, "--fold", "0", "--set", "model.parameters.n_trees=3", "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("by", "name"),
    [
        ("defect", "unet"),
        ("block", "forest"),
        pytest.param("defect", "forest", marks=pytest.mark.slow),
        pytest.param("block", "unet", marks=pytest.mark.slow),
    ],
)
def test_spatial_folds_of_curves_and_stacks(lab: Path, tmp_path: Path, by: str, name: str) -> None:
    overrides = (f"folds.by={by}", "folds.k=2", "folds.guard_mm=2", "folds.block_mm=40", "data.class_scheme=binary")
    metrics = cv.run(
        lab / f"{name}.yaml", tmp_path / name, manifest=lab / "manifest.yaml", overrides=overrides, progress=False
    )
    assert len(metrics["folds"]) == 2
    assert len(metrics["holes"]) == 8


def test_more_folds_than_groups(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["cv", str(lab / "forest.yaml"), "--manifest", str(lab / "manifest.yaml"), "-o", str(tmp_path / "run")]
    assert main([*arguments, "--set", "folds.k=5"]) == 2
    message = capsys.readouterr().err
    assert "5" in message and "2" in message and message.count("\n") == 1


def test_a_fold_that_is_not_there(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["cv", str(lab / "forest.yaml"), "--manifest", str(lab / "manifest.yaml"), "-o", str(tmp_path / "run")]
    assert main([*arguments, "--fold", "7"]) == 2
    assert "folds 0 to 1" in capsys.readouterr().err


def test_without_a_pixel_pitch_lengths_are_unknown_and_not_wrong(
    forest_run: Path, lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = []
    for name in ("first", "second"):
        sequence = read_sequence(lab / f"{name}.h5").loaded()
        defects = tuple(replace(defect, diameter_mm=None) for defect in sequence.truth.defects)
        bare = replace(sequence, pixel_pitch_mm=None, truth=replace(sequence.truth, defects=defects))
        write_sequence(bare, tmp_path / f"{name}.h5")
        entry = {"key": name, "recording": f"{name}.h5", "plate": str(lab / "little.yaml"), "acquisition": name}
        entries.append(entry)
    manifest, out = tmp_path / "manifest.yaml", tmp_path / "out"
    manifest.write_text(yaml.safe_dump({"recordings": entries}), encoding="utf-8")
    assert main(["evaluate", str(forest_run), str(manifest), "-o", str(out)]) == 0
    metrics = _metrics(out)
    assert len(metrics["holes"]) == 8
    assert all(hole["diameter_mm"] is None and hole["depth_mm"] > 0 for hole in metrics["holes"])
    assert metrics["grid"]["diameters_mm"] == []
    assert (out / "report.html").is_file()
    capsys.readouterr()
    for by in ("block", "defect"):
        folds = ["--set", f"folds.by={by}", "--set", "folds.k=2"]
        arguments = ["cv", str(lab / "forest.yaml"), "--manifest", str(manifest), "-o", str(tmp_path / by), *folds]
        assert main(arguments) == 2
        message = capsys.readouterr().err
        assert "'first' has no pixel pitch" in message and "give pixel_pitch_mm or fold by acquisition" in message
        assert message.count("\n") == 1 and not (tmp_path / by).exists()


def test_folds_can_be_added_to_a_run(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ["cv", str(lab / "forest.yaml"), "--manifest", str(lab / "manifest.yaml"), "-o"]
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert main([*start, str(run), "--fold", "1"]) == 0
    assert [fold["fold"] for fold in _metrics(run)["folds"]] == [1]
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["only_folds"] == [1]
    first = (run / "fold_1" / "model.safetensors").stat().st_mtime_ns
    assert main([*start, str(run), "--fold", "9"]) == 2
    assert "folds 0 to 1" in capsys.readouterr().err
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "complete"
    assert main([*start, str(run), "--fold", "0"]) == 0
    assert (run / "fold_1" / "model.safetensors").stat().st_mtime_ns == first
    assert main([*start, str(whole)]) == 0
    assert _metrics(run) == _metrics(whole)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["only_folds"] is None and record["status"] == "complete"
    assert sorted(path.name for path in (run / "predictions").iterdir()) == ["first.h5", "second.h5"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "first" in page and "Of 2 folds only" not in page
    table = (run / "holes.csv").read_text(encoding="utf-8")
    for fold in (["--fold", "0"], ["--fold", "1"], []):  # all is there: nothing is done and nothing is lost
        written = (run / "metrics.json").stat().st_mtime_ns
        assert main([*start, str(run), *fold]) == 0
        assert (run / "metrics.json").stat().st_mtime_ns == written
    assert (run / "holes.csv").read_text(encoding="utf-8") == table
    assert main([*start, str(run), "--seed", "5"]) == 2
    assert "another configuration" in capsys.readouterr().err
