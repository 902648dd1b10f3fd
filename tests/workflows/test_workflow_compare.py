"""The verb compare: methods side by side on the same splits."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from thermo_qc.cli import main
from thermo_qc.errors import FoldError
from thermo_qc.evaluation import DetectionLimits, InspectionSetup, hole_depth_bounds, hole_detectability
from thermo_qc.report.compare_page import _left_out
from thermo_qc.simulation import Heating
from thermo_qc.workflows.compared_run import check_comparable, load_compared
from thermo_qc.workflows.hole_limits import _limits


@pytest.fixture(scope="module")
def other_run(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folds with another method: a single tree."""
    target = tmp_path_factory.mktemp("others") / "tree"
    words = ["cv", str(lab / "forest.yaml"), "--manifest", str(lab / "manifest.yaml"), "-o", str(target)]
    assert main([*words, "--set", "model.parameters.n_trees=1", "--set", "name=tree"]) == 0
    return target


@pytest.fixture(scope="module")
def compared(forest_run: Path, other_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison."""
    target = tmp_path_factory.mktemp("compared") / "out"
    assert main(["compare", str(forest_run), str(other_run), "-o", str(target)]) == 0
    return target


def _content(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "comparison.json").read_text(encoding="utf-8")))


def test_rows_are_those_of_the_runs(compared: Path, forest_run: Path, other_run: Path) -> None:
    rows = {row["method"]: row for row in _content(compared)["rows"]}
    for name, run in (("forest", forest_run), ("tree", other_run)):
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        assert rows[name]["defect_f1"] == pytest.approx(metrics["pooled"]["defect_f1"])
        assert rows[name]["holes_found"] == sum(hole["found"] for hole in metrics["holes"])
        assert rows[name]["false_calls_per_m2"] == pytest.approx(metrics["indications"]["false_calls_per_m2"]["value"])
        assert rows[name]["depth_mae_mm"] == pytest.approx(metrics["depth"]["mae_mm"])
        assert rows[name]["a90_mm"] is not None or rows[name]["pod_reason"]
    with (compared / "comparison.csv").open(encoding="utf-8", newline="") as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["forest", "tree"]


def test_holes_have_their_limits(compared: Path) -> None:
    content = _content(compared)
    assert len(content["holes"]) == 8 and all(not one["reason"] for one in content["recordings"].values())
    limits = DetectionLimits()
    for hole in content["holes"]:
        assert hole["word"] == limits.word(hole["d_prime"]) and hole["depth_bound_mm"] > 0
    shallow, deep = ([one for one in content["holes"] if one["name"] == name] for name in ("S1", "D2"))
    assert min(one["d_prime"] for one in shallow) > max(one["d_prime"] for one in deep)
    for row in content["rows"]:
        pairs = [(hole[f"depth_mm: {row['method']}"], hole) for hole in content["holes"]]
        ratios = [(depth - hole["depth_mm"]) / hole["depth_bound_mm"] for depth, hole in pairs if depth is not None]
        assert row["depth_n"] == len(ratios) > 0
        assert row["depth_bound_ratio"] == pytest.approx(np.sqrt(np.mean(np.square(ratios))), rel=1e-6)


def test_two_recordings_are_too_few_groups(compared: Path) -> None:
    found = _content(compared)["differences"]
    assert {one["metric"] for one in found} >= {"defect_f1", "detectable_hit_rate", "depth_mae_mm"}
    assert all("too few to resample" in one["reason"] for one in found)
    for one in found:
        if one["difference"] is not None:
            assert one["difference"] == pytest.approx(one["second"] - one["first"])
    page = (compared / "report.html").read_text(encoding="utf-8")
    for text in ("forest", "tree", "too few to resample", "Cramer-Rao", "a90/95", "false calls per m²"):
        assert text in page


def test_limits_scale_with_heat_and_noise() -> None:
    from thermo_qc.sequence import Material

    material = Material(
        name="GFRP",
        conductivity_through_w_mk=0.3,
        conductivity_in_plane_w_mk=0.4,
        density_kg_m3=1900.0,
        heat_capacity_j_kgk=1000.0,
    )
    heating = Heating(kind="long_pulse", flux_w_m2=1700.0, duration_s=20.0)
    setup = InspectionSetup(heating=heating, netd_k=0.03, quantisation_k=0.02, pixel_pitch_mm=2.0, duration_s=60.0)
    d_prime, bound = _limits(material, 8.0, 2.0, 12.0, setup)
    case: dict[str, Any] = {"thickness_mm": 8.0, "depth_mm": 2.0, "diameter_mm": 12.0, "setup": setup}
    assert d_prime == pytest.approx(hole_detectability(material, **case).background, rel=1e-6)
    assert bound == pytest.approx(hole_depth_bounds(material, **case)[1], rel=1e-4)


def test_chart_has_a_point_for_every_method() -> None:
    from thermo_qc.report.compare_chart import draw_differences

    rows = [
        {"method": name, "metric": "defect_f1", "difference": 0.1, "low": low, "high": 0.3, "reason": "", "decided": d}
        for name, low, d in (("a", -0.1, False), ("b", 0.05, True))
    ]
    lost = [{**rows[0], "metric": "depth_mae_mm", "low": np.nan, "high": np.nan, "reason": "none"}]
    png = draw_differences([*rows, *lost], {"defect_f1": "F1", "depth_mae_mm": "depth"})
    assert png.startswith(b"\x89PNG") and png != draw_differences(rows, {"defect_f1": "F1"})


def _changed(run: Path, target: Path, **changes: Any) -> Path:
    shutil.copytree(run, target)
    record = json.loads((target / "run.json").read_text(encoding="utf-8"))
    (target / "run.json").write_text(json.dumps({**record, **changes}), encoding="utf-8")
    return target


def test_what_is_refused(
    forest_run: Path, other_run: Path, compared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((other_run / "run.json").read_text(encoding="utf-8"))
    data = [{**record["data"][0], "sha256": "0" * 64}, *record["data"][1:]]
    empty = tmp_path / "empty"
    empty.mkdir()
    faults = {
        "different splits": _changed(other_run, tmp_path / "splits", splits_sha256="1" * 64),
        "is another file": _changed(other_run, tmp_path / "data", data=data),
        "is not complete": _changed(other_run, tmp_path / "running", status="running"),
        "holds a 'train' run": _changed(other_run, tmp_path / "train", command="train"),
        "holds no run": empty,
    }
    bare = _changed(other_run, tmp_path / "bare")
    (bare / "predictions" / "first.h5").unlink()
    faults["holds no map with its truth of first"] = bare
    broken = _changed(other_run, tmp_path / "broken")
    (broken / "metrics.json").write_text("{}", encoding="utf-8")
    faults["expected folds and holes; make the run again"] = broken
    for text, run in faults.items():
        assert main(["compare", str(forest_run), str(run), "-o", str(tmp_path / "out")]) == 2
        assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["compare", str(forest_run), "-o", str(tmp_path / "out")]) == 2
    assert "at least 2 run folders" in capsys.readouterr().err
    both = ["compare", str(forest_run), str(other_run), "-o", str(compared)]
    assert main([*both, "--reference", "nobody"]) == 2
    assert "expected one of forest, tree" in capsys.readouterr().err
    assert main([*both, "--visible", "50"]) == 2
    assert "detectability limits" in capsys.readouterr().err


def _painted(run: Path, target: Path, dataset: str, value: int) -> Path:
    """Copy a run in which 12 sound pixels of the first recording have another label."""
    shutil.copytree(run, target)
    with h5py.File(target / "predictions" / "first.h5", "r+") as file:
        truth, image = file["truth/class_map"][...].ravel(), file[dataset][...]
        image.ravel()[np.flatnonzero(truth == 0)[:12]] = value
        file[dataset][...] = image
    return target


def test_pixels_that_a_method_does_not_inspect_are_counted_and_no_reason_to_refuse(
    forest_run: Path, other_run: Path, tmp_path: Path
) -> None:
    dead = load_compared([forest_run, _painted(other_run, tmp_path / "dead", "class_map", 255)])
    check_comparable(dead)
    whole, holed = (one.scored["first"] for one in dead)
    assert whole.label_counts.sum() - whole.confusion.sum() == 0
    assert holed.label_counts.sum() - holed.confusion.sum() == 12
    other_truth = load_compared([forest_run, _painted(other_run, tmp_path / "truth", "truth/class_map", 1)])
    with pytest.raises(FoldError, match=r"labels of first differ .* score both with one truth"):
        check_comparable(other_truth)
    rows = [{"method": "forest", "pixels_left_out": 0}, {"method": "tree", "pixels_left_out": 12}]
    assert _left_out(rows)[0].text == "Labelled pixels that a method did not inspect (dead): tree 12."
    assert _left_out(rows[:1]) == []
