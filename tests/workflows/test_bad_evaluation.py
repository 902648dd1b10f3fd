"""Truth, runs and criteria that lack what an evaluation needs, through the command line: one line, or a statement."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import yaml

from thermo_qc.cli import main
from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.sequence import Truth

Refused = Callable[..., None]
NAMES = ("first", "second")


def changed_truth(truth: Truth, kind: str) -> Truth:
    """Truth without any defect, without depths, or without the deep defects."""
    nan = np.full(truth.shape, np.nan, dtype=np.float32)
    if kind == "free":
        return Truth(defect_index=np.zeros(truth.shape, dtype=np.int16), depth_mm=nan)
    if kind == "nodepth":
        return replace(truth, depth_mm=nan, defects=tuple(replace(one, depth_mm=None) for one in truth.defects))
    kept = tuple(one for one in truth.defects if one.depth_mm is not None and one.depth_mm < 2)
    index = np.where(np.isin(truth.defect_index, [one.number for one in kept]), truth.defect_index, 0).astype(np.int16)
    return Truth(defect_index=index, depth_mm=np.where(index > 0, truth.depth_mm, nan), defects=kept)


@pytest.fixture(scope="module")
def odd(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests of two recordings each: of plates without defects, of defects without depth, of one without deep ones;
    and of one recording in which only a defect is inspected."""
    folder = tmp_path_factory.mktemp("odd")
    plate = yaml.safe_load((lab / "little.yaml").read_text(encoding="utf-8"))
    (folder / "plate.yaml").write_text(yaml.safe_dump(plate | {"holes": []}), encoding="utf-8")

    def manifest(kind: str, recordings: list[Path], **more: str) -> None:
        entries = [
            {"key": name, "recording": str(path), "plate": "plate.yaml", "acquisition": name, **more}
            for name, path in zip(NAMES, recordings, strict=False)
        ]
        (folder / f"{kind}.yaml").write_text(yaml.safe_dump({"recordings": entries}), encoding="utf-8")

    sequences = {name: read_sequence(lab / f"{name}.h5").loaded() for name in NAMES}
    for kind in ("free", "nodepth", "shallow"):
        for name, sequence in sequences.items():
            assert sequence.truth is not None
            changed = replace(sequence, truth=changed_truth(sequence.truth, kind))
            write_sequence(changed, folder / f"{name}_{kind}.h5")
        manifest(kind, [folder / f"{name}_{kind}.h5" for name in NAMES])
    manifest("shallow", [lab / "first.h5", folder / "second_shallow.h5"])
    truth = sequences["first"].truth
    assert truth is not None
    cv2.imwrite(str(folder / "region.png"), np.where(truth.defect_index == 1, 255, 0).astype(np.uint8))
    manifest("defect", [lab / "first.h5"], region="region.png")
    return folder


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must end with code 2, one line that holds all words, and no output folder."""

    def check(arguments: list[Any], *words: str) -> None:
        capsys.readouterr()
        assert main([str(word) for word in [*arguments, "-o", tmp_path / "refused"]]) == 2
        (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("thermo-qc: ")][-1:]
        for word in words:
            assert word in line, line
        assert not (tmp_path / "refused" / "metrics.json").exists()

    return check


def metrics_of(folder: Path) -> tuple[dict[str, Any], str]:
    return (
        json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
        (folder / "report.html").read_text(encoding="utf-8"),
    )


def test_a_plate_without_defects_has_no_recall(odd: Path, forest_run: Path, tmp_path: Path) -> None:
    assert main(["evaluate", str(forest_run), str(odd / "free.yaml"), "-o", str(tmp_path / "out")]) == 0
    metrics, page = metrics_of(tmp_path / "out")
    assert metrics["pooled"]["defect_recall"] is None
    assert metrics["pooled"]["false_call_fraction"] is not None
    assert metrics["holes"] == []
    assert metrics["pod"]["diameter"]["reason"] in page
    assert "nothing to find" in page
    assert "No depth errors: there is no depth to score" in page


def test_only_one_class_of_pixels_has_no_false_calls(
    odd: Path, forest_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thermo_qc.report.build_report", lambda folder: None)  # drawing takes most of the time
    assert main(["evaluate", str(forest_run), str(odd / "defect.yaml"), "-o", str(tmp_path / "out")]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    pooled = metrics["pooled"]
    assert pooled["false_call_fraction"] is None
    assert pooled["defect_recall"] == 1.0
    assert pooled["per_class"]["sound"]["f1"] is None and pooled["per_class"]["sound"]["support"] == 0
    assert metrics["average_precision"]["per_class"]["sound"] is None
    assert metrics["sound"]["false_call_fraction"] is None


def test_defects_without_depth(
    odd: Path, lab: Path, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused where classes are depths; scored where they are not, and no depth is said to be right."""
    command = ["cv", lab / "forest.yaml", "--manifest", odd / "nodepth.yaml"]
    refused(command, "defect of unknown depth", "binary")
    refused(["audit", *command[1:], "--by", "random_pixel", "acquisition"], "defect of unknown depth", "binary")
    runs = [tmp_path / "a", tmp_path / "b"]
    binary = [str(word) for word in [*command, "--set", "data.class_scheme=binary", "-o", runs[0]]]
    assert main([*binary, "--set", "model.parameters.n_trees=2"]) == 0
    metrics, page = metrics_of(runs[0])
    assert metrics["depths"]["reason"] == "the true depths are unknown"
    assert metrics["depths"]["overall"]["mae_mm"] is None
    assert "No depth errors: the true depths are unknown" in page
    shutil.copytree(*runs)
    assert main(["compare", *map(str, runs), "-o", str(tmp_path / "compared")]) == 0
    comparison = json.loads((tmp_path / "compared" / "comparison.json").read_text(encoding="utf-8"))
    assert {row["depth_reason"] for row in comparison["rows"]} == {"the true depths are unknown"}
    assert {hole["word"] for hole in comparison["holes"]} == {"unknown"}
    assert "first: 4 unknown" in (tmp_path / "compared" / "report.html").read_text(encoding="utf-8")


def test_folds_that_miss_a_class(odd: Path, lab: Path, tmp_path: Path, refused: Refused) -> None:
    command = ["cv", lab / "forest.yaml", "--manifest"]
    refused([*command, odd / "free.yaml"], "class 'surface defect' has no training pixel")
    refused([*command, odd / "shallow.yaml"], "class 'in-depth defect' has no training pixel", "second")
    audit = ["audit", lab / "forest.yaml", "--manifest", odd / "free.yaml", "--by", "random_pixel", "acquisition"]
    refused(audit, "no kind of folds could be scored", "has no training pixel")


def _changed(run: Path, target: Path, change: Callable[[h5py.File], None]) -> Path:
    shutil.copytree(run, target)
    with h5py.File(target / "predictions" / "first.h5", "a") as file:
        change(file)
    return target


def test_prediction_and_truth_that_do_not_fit(forest_run: Path, tmp_path: Path, refused: Refused) -> None:
    def cut(file: h5py.File) -> None:
        for name in list(file["truth"]):
            values = file["truth"][name][:5, :7]
            del file["truth"][name]
            file["truth"][name] = values

    small = _changed(forest_run, tmp_path / "small", cut)
    refused(["compare", forest_run, small], "first.h5", "(5, 7)", "(82, 92)")
    coarse = _changed(forest_run, tmp_path / "coarse", lambda file: file.attrs.modify("pixel_pitch_mm", 2.0))
    refused(["compare", forest_run, coarse], "pixel pitch of 1 mm", "of 2 mm")


def test_a_report_says_what_is_missing(forest_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(forest_run, run)
    for lost in (*(run / "predictions").glob("*.h5"), run / "metrics.json", run / "splits.json"):
        lost.unlink()
    assert main(["report", str(run), "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "no predictions were stored" in page
    assert "no metrics were stored for this run" in page
    assert "scored before this figure was stored" not in page


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ([{"max_area_mm2": 50, "max_equivalent_diameter_mm": 10}], "an area of 50 mm2, which is a diameter of 7.98 mm"),
        ([{"max_number": 0}, {"classes": ["surface defect"], "max_area_mm2": 5}], "no indication is allowed"),
        ([{"classes": ["surface defekt"], "max_number": 0}], "did you mean 'surface defect'"),
    ],
)
def test_criteria_that_cannot_hold(
    limits: list[dict[str, Any]], line: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused
) -> None:
    rules = tmp_path / "criteria.yaml"
    rules.write_text(yaml.safe_dump({"name": "test", "limits": limits}), encoding="utf-8")
    refused(["inspect", lab / "first.h5", "--model", forest_run, "--criteria", rules], "criteria", line)
