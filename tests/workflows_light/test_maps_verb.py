"""``thermo-qc maps``: files, pictures, options, and every way to use it wrongly."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from thermo_qc.cli import main
from thermo_qc.errors import CorruptFileError
from thermo_qc.io import read_sequence, sha256_of, write_sequence
from thermo_qc.sequence import Defect, Excitation, ThermalSequence, Truth
from thermo_qc.thermography import METHODS, compute_maps, make_method, read_maps, score_map
from thermo_qc.workflows import maps as workflow

SHAPE = (24, 30)


def flash_plate() -> ThermalSequence:
    rng = np.random.default_rng(3)
    times = (np.arange(90) - 10 + 0.5) * 0.1
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    hole = np.hypot(row - 12, column - 14) < 5
    after = np.maximum(times, 1e-3)[:, None, None]
    rise = np.where(times[:, None, None] > 0, 4 / np.sqrt(after) * (1 + hole * (1 - np.exp(-after))), 0.0)
    return ThermalSequence(
        frames=(20 + rise + rng.normal(0, 0.01, rise.shape)).astype(np.float32),
        times_s=times,
        unit="degC",
        pixel_pitch_mm=0.5,
        excitation=Excitation(kind="flash", start_s=0.0, stop_s=0.02),
    )


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plates") / "plate 7.h5"
    write_sequence(flash_plate(), path)
    return path


def test_all_that_is_promised_is_written(recording, tmp_path, capsys):
    out = tmp_path / "maps"
    command = ["maps", str(recording), "-o", str(out), "--methods", "tsr,ppt", "pct", "--set", "tsr.n_times=2"]
    assert main([*command, "--set", "ppt.n_frequencies=2"]) == 0
    stored = read_maps(out / "plate 7.maps.h5")
    names = [image.layer.name for image in stored.images]
    assert names[:6] == [f"tsr_a{i}" for i in range(6)] and names[-6:] == [f"pct_{i}" for i in range(1, 7)]
    assert set(stored.method_of.values()) == {"tsr", "ppt", "pct"}
    assert stored.pixel_pitch_mm == 0.5
    assert stored.record["recording_sha256"] == sha256_of(recording)
    assert stored.record["methods"]["tsr"]["n_times"] == 2
    assert stored.record["rise_above"] == "mean of the cold frames"
    expected = compute_maps(read_sequence(recording), {"ppt": make_method("ppt", {"n_frequencies": 2})})
    for image in expected.images:
        np.testing.assert_array_equal(stored[image.layer.name], image.values)
    printed = capsys.readouterr().out
    assert f"({len(names)} maps)" in printed
    for name in names:
        picture = cv2.imread(str(out / "plate 7_maps" / f"{name}.png"))
        assert picture is not None and picture.std() > 5
    for method in ("tsr", "ppt", "pct"):
        assert str(out / f"plate 7_{method}.png") in printed
        assert cv2.imread(str(out / f"plate 7_{method}.png")).shape[1] > 800


def test_the_file_says_what_each_map_is(recording, tmp_path):
    workflow.run(recording, tmp_path, methods=("ppt",), pictures=False)
    with h5py.File(tmp_path / "plate 7.maps.h5") as file:
        group = file["maps"]
        assert group.attrs["NX_class"] == "NXdata" and list(group.attrs["axes"]) == ["y", "x"]
        amplitude = next(group[name] for name in group if "amplitude" in name)
        assert amplitude.attrs["units"] == "K*s" and amplitude.dtype == np.float32
        np.testing.assert_allclose(file["x"][:2], [0.25, 0.75])
    assert not list(tmp_path.glob("*.png")) and not list(tmp_path.glob("*_maps"))


def test_configuration_preparation_and_masks(recording, tmp_path):
    config = tmp_path / "maps.yaml"
    config.write_text("methods:\n  ppt: {n_frequencies: 1}\n  pct:\nprepare:\n  - smooth_space: {size_px: 2}\n")
    region = np.zeros(SHAPE, dtype=np.uint8)
    region[4:20, 4:24] = 255
    cv2.imwrite(str(tmp_path / "region.png"), region)
    sound = np.zeros(SHAPE, dtype=np.uint8)
    sound[:3] = 255
    cv2.imwrite(str(tmp_path / "sound.png"), sound)
    result = workflow.run(
        recording,
        tmp_path / "out",
        config=config,
        overrides=("pct.n_components=2",),
        prepare=("dead_pixels",),
        region=tmp_path / "region.png",
        sound=tmp_path / "sound.png",
        threads=1,
    )
    stored = read_maps(result.file)
    assert [image.layer.name for image in stored.images][-2:] == ["pct_1", "pct_2"] and result.n_maps == 4
    assert stored.record["history"][0]["step"] == "smooth_in_space"
    assert stored.record["sound_reference"] == "mean of the sound region"
    np.testing.assert_array_equal(stored.regions["region"], region > 0)
    np.testing.assert_array_equal(stored.regions["sound"], sound > 0)
    assert np.isnan(stored["pct_1"][region == 0]).all() and np.isfinite(stored["pct_1"][region > 0]).all()


def test_every_method_of_the_catalogue_runs_or_says_why(recording, tmp_path):
    result = workflow.run(recording, tmp_path, methods=("all",), pictures=False)
    made = set(read_maps(result.file).method_of.values())
    assert made | set(result.skipped) == set(METHODS)
    assert {"tsr", "ppt", "pct"} <= made
    assert all(reason.strip() for reason in result.skipped.values())


def test_a_method_that_was_named_must_be_possible(tmp_path, capsys):
    plate = replace(flash_plate(), frames=np.full((90, *SHAPE), 20.0, dtype=np.float32), excitation=Excitation())
    write_sequence(plate, tmp_path / "still.h5")
    assert main(["maps", str(tmp_path / "still.h5"), "-o", str(tmp_path / "out"), "--methods", "tsr"]) != 0
    error = capsys.readouterr().err
    assert "heating stop" in error and "Traceback" not in error
    assert not (tmp_path / "out" / "still.maps.h5").exists()


def test_a_detected_heating_stop_is_said(recording, tmp_path, caplog):
    plate = replace(flash_plate(), excitation=Excitation())
    write_sequence(plate, tmp_path / "unknown.h5")
    result = workflow.run(tmp_path / "unknown.h5", tmp_path, methods=("ppt",), pictures=False)
    record = read_maps(result.file).record
    assert record["heating_stop_detected"] is True and "heating stop found" in caplog.text
    assert abs(record["heating_stop_s"]) < 0.2


def test_slow_recordings_are_laid_out_once(recording, tmp_path, monkeypatch):
    frames = np.asarray(read_sequence(recording).frames[:, :, :])
    np.save(tmp_path / "plain.npy", frames)
    facts = {"frame_rate_hz": 10.0, "t_first_s": -0.95, "heating_stop_s": 0.02, "heating_start_s": 0.0}
    facts |= {"unit": "degC", "excitation": "flash"}
    monkeypatch.setattr(workflow, "MEMORY_BYTES", 1000)
    result = workflow.run(tmp_path / "plain.npy", tmp_path / "out", methods=("ppt",), pictures=False, facts=facts)
    expected = compute_maps(read_sequence(recording), {"ppt": make_method("ppt")})
    np.testing.assert_allclose(
        read_maps(result.file)[expected.images[0].layer.name], expected.images[0].values, rtol=1e-4
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["plain.maps.h5"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--methods", "tsrr"], "unknown method 'tsrr'; did you mean 'tsr'?"),
        (["--set", "tsr.ordre=3"], "unknown key 'ordre'; did you mean 'order'?"),
        (["--set", "tsr.order=nine"], "'order' is 'nine'"),
        (["--methods", "ppt", "--set", "tsr.order=3"], "'tsr' is not among the methods (ppt)"),
        (["--prepare", "dead_pixel"], "did you mean 'dead_pixels'"),
        (["--config", "missing.yaml"], "missing.yaml does not exist"),
        (["--region", "missing.png"], "missing.png"),
    ],
)
def test_wrong_use_gives_one_line_and_leaves_nothing(recording, tmp_path, capsys, extra, message):
    assert main(["maps", str(recording), "-o", str(tmp_path / "out"), *extra]) not in (0, None)
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_maps_that_exist_are_kept(recording, tmp_path, capsys):
    command = ["maps", str(recording), "-o", str(tmp_path), "--methods", "ppt", "--no-pictures"]
    assert main(command) == 0
    before = (tmp_path / "plate 7.maps.h5").read_bytes()
    assert main(command) != 0
    assert "pass --overwrite" in capsys.readouterr().err
    assert (tmp_path / "plate 7.maps.h5").read_bytes() == before
    assert main([*command, "--overwrite", "--set", "ppt.n_frequencies=1"]) == 0
    assert len(read_maps(tmp_path / "plate 7.maps.h5").images) == 2
    (tmp_path / "file").write_text("x")
    assert main(["maps", str(recording), "-o", str(tmp_path / "file")]) != 0
    assert "expected a folder" in capsys.readouterr().err


def test_the_list_of_methods(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["maps", "--list"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(METHODS)
    assert all(len(line.split()) >= 3 for line in lines)


def test_other_files_are_no_maps(recording, tmp_path):
    with pytest.raises(CorruptFileError, match="thermo_qc maps"):
        read_maps(recording)
    with pytest.raises(KeyError):
        workflow.run(recording, tmp_path, methods=("ppt",), pictures=False)
        read_maps(tmp_path / "plate 7.maps.h5")["nothing"]


def test_known_defects_are_scored_in_every_map(tmp_path, capsys):
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    hole = np.hypot(row - 12, column - 14) < 5
    truth = Truth(
        defect_index=hole.astype(np.int16),
        depth_mm=np.where(hole, 2.5, np.nan).astype(np.float32),
        defects=(Defect(number=1, name="=H1", depth_mm=2.5, diameter_mm=5.0),),
    )
    write_sequence(replace(flash_plate(), truth=truth), tmp_path / "known.h5")
    command = ["maps", str(tmp_path / "known.h5"), "-o", str(tmp_path), "--methods", "tsr", "pct", "--no-pictures"]
    assert main(command) == 0
    assert "known_scores.csv" in capsys.readouterr().out
    with (tmp_path / "known_scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    stored = read_maps(tmp_path / "known.maps.h5")
    assert {row["map"] for row in rows} == {image.layer.name for image in stored.images}
    first = next(row for row in rows if row["map"] == "pct_2")
    assert first["name"] == "'=H1" and float(first["depth_mm"]) == 2.5
    expected = score_map(stored["pct_2"], truth.defect_index, pixel_pitch_mm=0.5).defects[0]
    assert float(first["cnr"]) == pytest.approx(expected.cnr, rel=1e-5)
    assert max(float(row["cnr"]) for row in rows) > 5
