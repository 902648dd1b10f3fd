"""Train, evaluate and predict from the command line; outputs, exit codes, bad recordings among good ones."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from thermo_qc.cli import main
from thermo_qc.workflows.predict import output_names

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="module")
def model(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("train") / "cnn"
    arguments = ["train", str(lab / "cnn.yaml"), "--manifest", str(lab / "manifest.yaml"), "-o", str(target)]
    assert main(arguments) == 0
    return target


def test_train_writes_model_history_and_record(model: Path) -> None:
    assert (model / "model.safetensors").is_file()
    assert (model / "history.csv").read_text(encoding="utf-8").startswith("epoch")
    record = json.loads((model / "run.json").read_text(encoding="utf-8"))
    assert record["command"] == "train" and record["status"] == "complete"


def test_evaluate_says_what_the_model_has_seen(
    model: Path, lab: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["evaluate", str(model), str(lab / "manifest.yaml"), "-o", str(tmp_path / "out")]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["seen_in_training"] == ["first", "second"]
    assert (tmp_path / "out" / "report.html").is_file()


def test_predict_writes_map_picture_and_table(forest_run: Path, lab: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(forest_run), str(lab / "first.h5"), str(lab / "second.h5"), "-o", str(out)]) == 0
    with h5py.File(out / "first.h5", "r") as file:
        class_map, probability, depth = (file[name][...] for name in ("class_map", "probability", "depth_mm"))
        assert file.attrs["pixel_pitch_mm"] == 1.0
        assert json.loads(file.attrs["class_names"]) == ["sound", "surface defect", "in-depth defect"]
        assert len(json.loads(file.attrs["model_sha256"])) == 2  # the folds act as an ensemble
    assert class_map.dtype == np.uint8 and probability.shape == (3, *class_map.shape)
    assert np.isfinite(depth[class_map == 1]).all()
    picture = cv2.imread(str(out / "first.png"))
    assert picture.shape[1] > 600 and picture.std() > 10
    with (out / "first.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and {"id", "class", "equivalent_diameter_mm", "cnr"} <= set(rows[0])
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        assert [Path(row["recording"]).name for row in csv.DictReader(file)] == ["first.h5", "second.h5"]


def test_a_rerun_keeps_what_is_up_to_date_and_redoes_what_is_not(forest_run: Path, lab: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["predict", str(forest_run), str(lab / "first.h5"), "-o", str(out)]
    assert main(arguments) == 0
    before, table = (out / "first.h5").stat().st_mtime_ns, (out / "summary.csv").read_text(encoding="utf-8")
    assert main(arguments) == 0
    assert (out / "first.h5").stat().st_mtime_ns == before
    assert (out / "summary.csv").read_text(encoding="utf-8") == table
    (out / "first.png").unlink()
    assert main(arguments) == 0
    assert (out / "first.png").is_file() and (out / "first.h5").stat().st_mtime_ns > before
    assert main([*arguments, "--min-area-px", "9"]) == 2
    assert main([*arguments, "--min-area-px", "9", "--overwrite"]) == 0


def test_a_bad_recording_is_listed_and_the_others_go_on(
    forest_run: Path, lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.h5"
    bad.write_bytes((lab / "first.h5").read_bytes()[:3000])
    out = tmp_path / "out"
    assert main(["predict", str(forest_run), str(bad), str(lab / "second.h5"), "-o", str(out)]) == 3
    with (out / "failures.csv").open(encoding="utf-8", newline="") as file:
        (failure,) = csv.DictReader(file)
    assert failure["recording"].endswith("bad.h5") and failure["reason"]
    assert (out / "second.h5").is_file() and not (out / "bad.h5").exists()
    assert "1 of 2 recordings failed" in capsys.readouterr().err


def test_a_single_bad_recording_is_wrong_usage(forest_run: Path, tmp_path: Path) -> None:
    assert main(["predict", str(forest_run), str(tmp_path / "none.h5"), "-o", str(tmp_path / "out")]) == 2


def test_region_limits_the_calls(forest_run: Path, lab: Path, tmp_path: Path) -> None:
    with h5py.File(forest_run / "predictions" / "first.h5", "r") as file:
        shape = file["class_map"].shape
    mask = np.zeros(shape, dtype=np.uint8)
    mask[:, : shape[1] // 2] = 255
    cv2.imwrite(str(tmp_path / "region.png"), mask)
    out = tmp_path / "out"
    region = ["--region", str(tmp_path / "region.png")]
    assert main(["predict", str(forest_run), str(lab / "first.h5"), "-o", str(out), *region]) == 0
    with h5py.File(out / "first.h5", "r") as file:
        class_map = file["class_map"][...]
    called = (class_map > 0) & (class_map < 255)
    assert called.any() and not called[mask == 0].any()


def test_files_of_one_name_keep_their_folders(forest_run: Path, lab: Path, tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        (tmp_path / name).mkdir()
        shutil.copy(lab / "first.h5", tmp_path / name / "plate.h5")
    paths = [tmp_path / name / "plate.h5" for name in ("monday", "tuesday")]
    out = tmp_path / "out"
    assert main(["predict", str(forest_run), *map(str, paths), "-o", str(out)]) == 0
    assert (out / "monday" / "plate.h5").is_file() and (out / "tuesday" / "plate.png").is_file()


def test_names_of_outputs() -> None:
    assert output_names([Path("a/x.h5"), Path("a/y.h5")]) == [(Path("a/x.h5"), "x"), (Path("a/y.h5"), "y")]
    assert [stem for _, stem in output_names([Path("a/x.h5"), Path("a/x.mat")])] == ["x.h5", "x.mat"]
    stems = [stem for _, stem in output_names([Path("a/x.h5"), Path("b/x.h5"), Path("b/z.h5")])]
    assert [Path(stem).as_posix() for stem in stems] == ["a/x", "b/x", "z"]


def test_other_frame_rate_length_and_resolution(forest_run: Path, lab: Path, tmp_path: Path) -> None:
    from thermo_qc.workflows import simulate

    changes = ("recording.frame_rate_hz=2.5", "recording.duration_s=60", "camera.pixel_pitch_mm=1.6", "seed=9")
    simulate.run(lab / "simulation.yaml", tmp_path / "other.h5", overrides=changes)
    assert main(["predict", str(forest_run), str(tmp_path / "other.h5"), "-o", str(tmp_path / "out")]) == 0


def test_too_few_frames_for_the_model(
    forest_run: Path, lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from thermo_qc.io import read_sequence, write_sequence

    short = read_sequence(lab / "first.h5").between(0, 21.5)
    write_sequence(short, tmp_path / "short.h5")
    assert main(["predict", str(forest_run), str(tmp_path / "short.h5"), "-o", str(tmp_path / "out")]) == 2
    assert "fewer frames" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("real/cfrp_pulsed_60x105x120.mat", ["--frame-rate-hz", "30", "--heating-stop-s", "0"]),
        ("fem/cfrp_1.3mm_ellipse_inclusion.hdf5", []),
        ("fem/cfrp_3.8mm_rect_inclusion.hdf5", []),
    ],
)
def test_foreign_recordings_give_all_outputs(forest_run: Path, tmp_path: Path, name: str, options: list[str]) -> None:
    recording = SHARED / name
    assert main(["info", str(recording), *options]) == 0
    assert main(["predict", str(forest_run), str(recording), "-o", str(tmp_path / "out"), *options]) == 0
    for ending in (".h5", ".png", ".csv"):
        assert (tmp_path / "out" / f"{recording.stem}{ending}").is_file()


def test_a_model_that_compares_with_a_sound_region_needs_one_and_uses_it(lab: Path, tmp_path: Path) -> None:
    import yaml

    from thermo_qc.io import read_sequence

    for name in ("first", "second"):
        sequence = read_sequence(lab / f"{name}.h5")
        sound = np.where(sequence.truth.defect_index == 0, 255, 0).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}_sound.png"), sound)
    entries = [
        {
            "key": name,
            "recording": str(lab / f"{name}.h5"),
            "plate": str(lab / "little.yaml"),
            "sound": f"{name}_sound.png",
        }
        for name in ("first", "second")
    ]
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump({"recordings": entries}), encoding="utf-8")
    run, out = tmp_path / "run", tmp_path / "out"
    experiment = [str(lab / "forest.yaml"), "--set", "representation.reference=sound"]
    assert main(["cv", *experiment, "--manifest", str(tmp_path / "manifest.yaml"), "-o", str(run)]) == 0
    arguments = ["predict", str(run), str(lab / "first.h5"), "-o", str(out)]
    assert main(arguments) == 2
    assert main([*arguments, "--overwrite", "--sound", str(tmp_path / "first_sound.png")]) == 0


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables_cover_all_calls_into_one_folder(forest_run: Path, lab: Path, tmp_path: Path) -> None:
    bad, worse, out = tmp_path / "bad.h5", tmp_path / "worse.h5", tmp_path / "out"
    bad.write_bytes(b"nothing")
    worse.write_bytes(b"nothing")
    start = ["predict", str(forest_run), "-o", str(out)]
    assert main([*start, str(lab / "first.h5"), str(bad), str(worse)]) == 3
    assert [Path(row["recording"]).name for row in _table(out / "failures.csv")] == ["bad.h5", "worse.h5"]
    shutil.copy(lab / "second.h5", bad)
    assert main([*start, str(bad)]) == 0
    assert [row["result"] for row in _table(out / "summary.csv")] == ["bad", "first"]
    assert [Path(row["recording"]).name for row in _table(out / "failures.csv")] == ["worse.h5"]
    for ending in (".h5", ".png", ".csv"):
        (out / f"first{ending}").unlink()
    shutil.copy(lab / "second.h5", worse)
    assert main([*start, str(worse)]) == 0
    rows = _table(out / "summary.csv")
    assert [row["result"] for row in rows] == ["bad", "worse"]  # the results of first have gone
    assert rows[0]["n_indications"] == rows[1]["n_indications"] and int(rows[0]["n_indications"]) > 0
    assert not (out / "failures.csv").exists()


def test_a_result_is_not_replaced_by_another_recording_of_its_name(
    forest_run: Path, lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / name / "plate.h5" for name in ("monday", "tuesday")]
    for path, source in zip(paths, ("first", "second"), strict=True):
        path.parent.mkdir()
        shutil.copy(lab / f"{source}.h5", path)
    out = tmp_path / "out"
    start = ["predict", str(forest_run), "-o", str(out)]
    assert main([*start, str(paths[0])]) == 0
    before = (out / "plate.h5").read_bytes()
    capsys.readouterr()
    assert main([*start, str(paths[1])]) == 2
    message = capsys.readouterr().err
    assert f"{paths[1]}: its results would replace those of {paths[0]}" in message and message.count("\n") == 1
    assert main([*start, str(paths[1]), str(lab / "first.h5")]) == 3  # the run goes on
    assert (out / "plate.h5").read_bytes() == before
    assert [row["result"] for row in _table(out / "summary.csv")] == ["first", "plate"]
    (failure,) = _table(out / "failures.csv")
    assert "choose another output folder, or name both recordings in one call" in failure["reason"]
    assert main([*start, *map(str, paths)]) == 0  # the way out
    assert (out / "plate.h5").read_bytes() == before
    rows = {Path(row["result"]).as_posix(): row["recording"] for row in _table(out / "summary.csv")}
    assert rows == {"first": str(lab / "first.h5"), "plate": str(paths[0]), "tuesday/plate": str(paths[1])}
    paths[0].rename(tmp_path / "archived.h5")
    paths[1].rename(tmp_path / "plate.h5")
    assert main([*start, str(tmp_path / "plate.h5")]) == 0  # nobody is there any more to whom the old one belongs
    assert (out / "plate.h5").read_bytes() != before


def test_overwrite_redoes_what_is_up_to_date(forest_run: Path, lab: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["predict", str(forest_run), str(lab / "first.h5"), "-o", str(out)]
    assert main(arguments) == 0
    before = (out / "first.h5").stat().st_mtime_ns
    assert main([*arguments, "--overwrite"]) == 0
    assert (out / "first.h5").stat().st_mtime_ns > before


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_file_name_that_is_no_text(forest_run: Path, lab: Path, tmp_path: Path) -> None:
    recording, out = tmp_path / "pl\udcffate.h5", tmp_path / "out"
    try:
        shutil.copy(lab / "first.h5", recording)
    except OSError:
        pytest.skip("the file system takes no such name")
    arguments = ["predict", str(forest_run), str(recording), str(lab / "second.h5"), "-o", str(out)]
    assert main(arguments) == 0
    assert [row["result"] for row in _table(out / "summary.csv")] == ["pl\\udcffate", "second"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_simulate_evaluate_and_predict_say_how_far_they_are(
    forest_run: Path, lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = ["simulate", str(lab / "simulation.yaml"), "-o", str(lab / "progress.h5")]
    evaluation = ["evaluate", str(forest_run), str(lab / "manifest.yaml"), "-o", str(tmp_path / "evaluated")]
    prediction = ["predict", str(forest_run), str(lab / "first.h5"), "-o", str(tmp_path / "predicted")]
    for arguments, end in ((simulation, "100/100"), (evaluation, "2/2"), (prediction, "1/1")):
        shown = _Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", shown)
            assert main(arguments) == 0
        assert end in shown.getvalue(), arguments[0]
