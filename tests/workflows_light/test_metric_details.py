"""metrics.json beyond the confusion matrix: from stored maps to figures, tables and the page, and what is missing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.errors import TruthError
from thermo_qc.evaluation import confusion_matrix, hole_table, pixel_metrics
from thermo_qc.inspection import DefectMap, write_defect_map
from thermo_qc.io import write_json
from thermo_qc.plate import ClassScheme
from thermo_qc.report.build import build_report
from thermo_qc.sequence import Defect, ThermalSequence, Truth
from thermo_qc.workflows.cases import LabelledRecording
from thermo_qc.workflows.details import metric_details
from thermo_qc.workflows.frame_folds import with_frames
from thermo_qc.workflows.run_folder import DETAIL_TABLES, FILES
from thermo_qc.workflows.scoring import holes_of, write_metrics

SCHEME = ClassScheme(name="depths", class_names=("sound", "near", "deep"), max_depth_mm=(3.0, 20.0))
SHAPE = (90, 110)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
PITCH_MM = 0.5


def plate_truth(defective: bool = True) -> Truth:
    index = np.zeros(SHAPE, np.int16)
    defects = []
    for number in range(1, 13 if defective else 1):
        row, column = divmod(number - 1, 4)
        diameter, depth = 3.0 + 1.6 * column, (1.0, 2.5, 6.0)[row]
        index[(ROWS - 16 - 28 * row) ** 2 + (COLUMNS - 14 - 26 * column) ** 2 <= (diameter / 2 / PITCH_MM) ** 2] = (
            number
        )
        defects.append(Defect(number=number, depth_mm=depth, diameter_mm=diameter, name=f"H{number}"))
    depth_of = np.array([np.nan, *(defect.depth_mm for defect in defects)])
    return Truth(defect_index=index, depth_mm=depth_of[index], defects=tuple(defects))


def predicted(truth: Truth, seed: int) -> DefectMap:
    """Find what is wide for its depth, one pixel too low, 5 % too deep with a deviation of 10 %; one false call."""
    rng = np.random.default_rng(seed)
    classes = np.zeros(SHAPE, np.uint8)
    for defect in truth.defects:
        if defect.diameter_mm / defect.depth_mm > rng.uniform(0.8, 2.5):
            classes[np.roll(truth.defect_index, 1, axis=0) == defect.number] = SCHEME.class_of_depth(defect.depth_mm)
    classes[2:5, 2:6] = 1
    probability = np.full((3, *SHAPE), 0.05, np.float32)
    np.put_along_axis(probability, classes[None].astype(int), 0.9, axis=0)
    depth = np.where(classes > 0, np.nan_to_num(np.roll(truth.depth_mm, 1, axis=0), nan=1.0) * 1.05, np.nan)
    return DefectMap(
        class_map=classes,
        probability=probability,
        depth_mm=depth.astype(np.float32),
        depth_std_mm=(0.1 * depth).astype(np.float32),
        class_names=SCHEME.class_names,
        pixel_pitch_mm=PITCH_MM,
    )


def finish_run(folder: Path, truths: dict[str, Truth]) -> dict:
    results, holes = [], []
    for fold, (key, truth) in enumerate(truths.items()):
        labels, prediction = SCHEME.class_map(truth), predicted(truth, fold)
        target = folder / "predictions" / f"{key}.h5"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_defect_map(
            prediction,
            target,
            truth_class_map=labels,
            truth_depth_mm=truth.depth_mm,
            truth_defect_index=truth.defect_index,
            fold=np.full(SHAPE, fold, np.int8),
        )
        matrix = confusion_matrix(labels, prediction.class_map, 3)
        metrics = pixel_metrics(matrix, SCHEME.class_names)
        results.append({"fold": fold, "test_keys": [key], "metrics": metrics, "false_calls": 1})
        holes += hole_table(
            truth,
            prediction.class_map,
            scheme=SCHEME,
            pixel_pitch_mm=PITCH_MM,
            key=key,
            fold=fold,
            depth_map_mm=prediction.depth_mm,
            depth_std_map_mm=prediction.depth_std_mm,
        )
    data = [{"key": key, "specimen": "plate" if truth.defects else "plain"} for key, truth in truths.items()]
    write_json(
        folder / "run.json",
        {"command": "evaluate", "status": "complete", "name": "run", "class_names": SCHEME.class_names, "data": data},
    )
    return write_metrics(folder, results, holes, SCHEME.class_names, seen_in_training=[])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("details") / "run"
    folder.mkdir()
    finish_run(folder, {"one": plate_truth(), "two": plate_truth(), "plain": plate_truth(defective=False)})
    return folder


@pytest.fixture(scope="module")
def metrics(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_old_keys_stay(metrics):
    old = {"class_names", "folds", "pooled", "mean", "std", "holes", "detection", "grid", "depth", "false_calls"}
    assert old <= set(metrics) and metrics["seen_in_training"] == []
    total = np.sum([group["confusion"] for group in metrics["groups"].values()], axis=0)
    assert total.tolist() == metrics["pooled"]["confusion"]


def test_figures_agree_with_the_hole_table(metrics):
    found = sum(hole["found"] for hole in metrics["holes"])
    assert metrics["indications"]["hits"]["count"] == found and metrics["indications"]["hits"]["total"] == 24
    assert metrics["indications"]["false_calls_per_m2"]["count"] == metrics["false_calls"] == 3
    assert metrics["indications"]["position_mm"]["largest_absolute"] == pytest.approx(PITCH_MM)
    assert metrics["sound"]["defect_free"] == {**metrics["sound"]["defect_free"], "count": 0, "total": 1}
    assert metrics["sound"]["largest_px"] == 12 and metrics["sound"]["score_quantiles"]["0.5"] == pytest.approx(0.101)
    assert sum(row["missed"] for row in metrics["depths"]["class_confusion"]) == 24 - found
    low, high = metrics["intervals"]["scalars"]["defect_iou"]
    assert low < metrics["pooled"]["defect_iou"] < high and "blocks of 32" in metrics["intervals"]["groups"]
    assert metrics["average_precision"]["per_class"]["sound"] > 0.9
    assert sum(metrics["calibration"]["defect"]["count"]) == metrics["pooled"]["n_pixels"]
    assert metrics["contrasts"]["n"] + metrics["contrasts"]["n_unscored"] == 24


def test_depth_knows_its_uncertainty_and_says_what_it_does_not_know(metrics):
    depths = metrics["depths"]
    assert depths["overall"]["relative"] == pytest.approx(0.05, abs=1e-6)
    assert {level: share["value"] for level, share in depths["coverage"].items()} == {"0.68": 1, "0.9": 1, "0.95": 1}
    assert depths["notes"] == ["no Cramer-Rao bounds were given, so there is no ratio to them"]
    bounded = [{**hole, "depth_bound_mm": 0.05 * hole["depth_mm"]} for hole in metrics["holes"]]
    assert metric_details([], bounded, SCHEME.class_names) == {}


def test_pod_counts_looks_at_one_plate_together(metrics):
    pod = metrics["pod"]["diameter"]
    assert (pod["n_targets"], pod["n_looks"], pod["indicative"]) == (12, 24, True)
    assert any("24 looks at 12 targets" in note for note in pod["notes"])
    assert pod["a90_95"]["value"] is None and pod["a90_95"]["reason"]
    assert metrics["pod"]["false_calls_per_m2"]["count"] == 3


def test_tables_lie_beside_it(run, metrics):
    for name in DETAIL_TABLES:
        with (run / name).open(encoding="utf-8", newline="") as file:
            assert next(csv.reader(file))
        assert all(name in FILES[command] for command in ("cv", "evaluate", "finetune"))
    with (run / "indications.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 and sum(row["found"] == "True" for row in rows) == metrics["indications"]["hits"]["count"]


def test_page_says_it_plainly(run):
    build_report(run)
    page = (run / "report.html").read_text(encoding="utf-8")
    for text in (
        "Overlap rule: found: at least 40 %",
        "Sound material farther than 3 pixels",
        "What the defects of each depth were called",
        "Expected calibration error",
        "24 looks at 12 targets are not independent",
        "defects found",
        "No Cramer-Rao bounds were given",
    ):
        assert text in page, text


def test_runs_of_before_and_plates_without_defects(run, tmp_path):
    old = {name: value for name, value in json.loads((run / "metrics.json").read_text()).items() if name != "pod"}
    (tmp_path / "old").mkdir()
    for name in ("indications", "sound", "depths", "average_precision"):
        old.pop(name)
    write_json(tmp_path / "old" / "metrics.json", old)
    write_json(tmp_path / "old" / "run.json", json.loads((run / "run.json").read_text()))
    build_report(tmp_path / "old")
    assert "scored before this figure was stored" in (tmp_path / "old" / "report.html").read_text(encoding="utf-8")
    plain = tmp_path / "plain"
    plain.mkdir()
    metrics = finish_run(plain, {"plain": plate_truth(defective=False)})
    assert "nothing to find" in metrics["indications"]["statement"]
    assert metrics["depths"]["reason"] == "there is no depth to score"
    assert "distinct targets are too few" in metrics["pod"]["diameter"]["reason"]
    build_report(plain)
    page = (plain / "report.html").read_text(encoding="utf-8")
    assert "No recording shows a defect" in page and "No depth errors: there is no depth to score" in page


def recording_of(truth: Truth, pitch_mm: float, n_frames: int = 3) -> LabelledRecording:
    sequence = ThermalSequence(
        frames=np.arange(n_frames, dtype=np.float32)[:, None, None] * np.ones(SHAPE, np.float32),
        times_s=np.arange(n_frames, dtype=np.float64),
        unit="K",
        truth=truth,
        pixel_pitch_mm=pitch_mm,
    )

    class Entry:
        key = "one"

    return LabelledRecording(
        entry=Entry(),  # type: ignore[arg-type]
        sequence=sequence,
        scheme=SCHEME,
        class_map=SCHEME.class_map(truth),
        sha256="",
    )


def test_another_pixel_pitch_is_refused():
    truth = plate_truth()
    assert len(holes_of(recording_of(truth, PITCH_MM), predicted(truth, 0))) == 12
    with pytest.raises(TruthError, match=r"the prediction has a pixel pitch of 0\.5 mm, the truth of 0\.7 mm"):
        holes_of(recording_of(truth, 0.7), predicted(truth, 0))


def test_frames_of_a_fold():
    recording = recording_of(plate_truth(), PITCH_MM, n_frames=6)
    part = with_frames(recording, np.array([True, False, True, False, False, True]))
    assert part.sequence.times_s.tolist() == [0, 2, 5] and part.sequence.frames[:, 0, 0].tolist() == [0, 2, 5]
    assert part.sequence.history[-1].step == "random_frames" and part.class_map is recording.class_map
    assert with_frames(recording, None) is recording
