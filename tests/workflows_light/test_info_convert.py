"""info and convert on real files of every written format, and on wrong requests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from thermo_qc.cli import main
from thermo_qc.errors import CorruptFileError, InputError, MissingFactError, OutputError
from thermo_qc.io import read_sequence
from thermo_qc.sequence import ThermalSequence
from thermo_qc.workflows import convert, info

DATA = Path(__file__).parents[2].parent / "shared" / "data"
KEYS = [
    *(
        "path",
        "kind",
        "format",
        "tested_on_real_files",
        "camera",
        "n_frames",
        "height",
        "width",
        "t_start_s",
        "t_end_s",
    ),
    *(
        "frame_rate_hz",
        "unit",
        "calibration",
        "value_min",
        "value_max",
        "n_nan_pixels",
        "n_dead_pixels",
        "n_saturated_frames",
        "heating_stop_s",
    ),
    *("detected_heating_stop_s", "truth_present", "n_defects", "pixel_pitch_mm", "excitation", "material"),
    *("thickness_mm", "missing", "sidecar", "quality"),
]


def test_description_of_a_recording(recording):
    described = info.describe(recording)
    assert list(described) == KEYS
    assert (described["n_frames"], described["height"], described["width"]) == (72, 30, 44)
    assert (described["t_start_s"], described["t_end_s"], described["frame_rate_hz"]) == (-12.0, 59.0, 1.0)
    assert (described["unit"], described["n_dead_pixels"], described["n_nan_pixels"]) == ("degC", 1, 0)
    assert described["heating_stop_s"] == 20.0
    assert described["detected_heating_stop_s"] == pytest.approx(20, abs=0.3)
    assert (described["truth_present"], described["n_defects"]) == (False, 0)
    assert described["value_max"] < 60
    assert described["quality"]["verdict"] == "good"
    assert described["quality"]["noise"] == pytest.approx(0.02, rel=0.1)
    assert json.loads(json.dumps(described, allow_nan=False)) == described


def test_facts_count(recording):
    material = {
        "name": "PVC",
        "conductivity_through_w_mk": 0.2,
        "conductivity_in_plane_w_mk": 0.2,
        "density_kg_m3": 1400,
        "heat_capacity_j_kgk": 900,
    }
    described = info.describe(recording, material=material, thickness_mm=17.0, pixel_pitch_mm=0.8)
    assert (described["material"], described["thickness_mm"], described["pixel_pitch_mm"]) == ("PVC", 17.0, 0.8)
    assert described["quality"]["reachable_depth_mm"] == pytest.approx(np.sqrt(0.2 / 1.26 * 59))
    assert described["quality"]["verdict"] == "usable"


def test_rendered_for_people(recording):
    text = info.render(info.describe(recording))
    assert text.splitlines()[0] == str(recording)
    for part in [
        "72 of 30 x 44 pixels",
        "-12 to 59 s, 1 Hz",
        "stated 20 s, seen at",
        "pixel pitch      unknown",
        "0 with missing values, 1 dead",
        "quality          good",
        "remark:  1 dead pixels",
    ]:
        assert part in text
    assert not text.endswith("\n")


def test_rendered_without_a_single_value():
    empty = ThermalSequence(frames=np.full((4, 3, 3), np.nan), times_s=np.arange(4.0), unit="K")
    described = info.describe_sequence(empty)
    assert described["value_min"] is None
    assert json.dumps(described, allow_nan=False)
    text = info.render(described)
    assert "values           unknown" in text
    assert "problem: No pixel has a finite value." in text


def test_a_recording_without_a_time_base_is_described(tmp_path, capsys):
    path = tmp_path / "plate.npy"
    np.save(path, np.random.default_rng(0).normal(2000, 5, (40, 6, 7)).astype(np.uint16))
    described = info.describe(path)
    assert described["t_start_s"] is described["frame_rate_hz"] is described["quality"]["duration_s"] is None
    assert [gap["key"] for gap in described["missing"]] == [
        "frame_rate_hz",
        "excitation",
        "heating_stop_s",
        "pixel_pitch_mm",
    ]
    assert "The file has no time base." in described["quality"]["problems"]
    text = info.render(described)
    for part in [
        "time             unknown",
        "or the key in plate.npy.yaml:",
        "time base: --frame-rate-hz, or frame_rate_hz",
        "pixel pitch: --pixel-pitch-mm, or pixel_pitch_mm",
        "calibration      none: neither the file nor anybody else says what the numbers are; the values stay counts",
    ]:
        assert part in text
    known = {"frame_rate_hz": 10.0, "excitation": "long_pulse", "heating_stop_s": 2.0, "pixel_pitch_mm": 1.0}
    assert info.describe(path, **known)["missing"] == []
    (tmp_path / "plate.npy.yaml").write_text("{frame_rate_hz: 10, excitation: periodic}")
    assert [gap["option"] for gap in info.describe(path)["missing"]] == ["--frequency-hz", "--pixel-pitch-mm"]
    assert main(["info", str(path), "--excitation", "flash", "--pixel-pitch-mm", "1"]) == 0
    assert "missing  " not in capsys.readouterr().out


def test_other_missing_facts_still_raise(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"a": np.ones((3, 4, 5))})
    with pytest.raises(MissingFactError, match="does not say which axis is time; give axes=yxt"):
        info.describe(tmp_path / "a.mat")


def test_formats_are_listed_with_what_they_were_tried_on(capsys):
    with pytest.raises(SystemExit) as left:
        main(["info", "--formats"])
    assert left.value.code == 0
    lines = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "untested on real files" in lines["Telops HCC"] and "untested on real files" in lines["CSV table"]
    assert "tried on two real recordings" in lines["CEDIP PTW"]
    assert "not read; export the sequence to TIFF" in lines["FLIR ATS recording"]


def test_untested_formats_say_so(tmp_path):
    (tmp_path / "a.csv").write_text("1;2;3;4\n2;3;4;5\n")
    described = info.describe(tmp_path / "a.csv", frame_shape="2x2", frame_rate_hz=2)
    assert described["tested_on_real_files"] is False
    assert "CSV table (untested on real files)" in info.render(described)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "radiometric.tiff",
            ["camera           Duo Pro R", "none: the file has no calibration; the values stay counts"],
        ),
        ("cedip_mwir_100frames.ptw", ["33.34 Hz", "calibration to temperature is in a separate file", "stay counts"]),
        ("infratec_variocam_640x480.irb", ["the temperature palette of each image", "A single frame is no recording"]),
        ("flir_e60_radiometric.jpg", ["Planck constants of each frame's camera record at emissivity 0.95"]),
        (
            "irbis_lockin_phase_ascii.txt",
            ["lock-in phase map: one result", "6.154 Hz, 373 periods of 65 frames", "deg"],
        ),
    ],
)
def test_sample_files_as_a_user_sees_them(name, parts, capsys):
    if not (DATA / "formats" / name).exists():
        pytest.skip("shared data are absent")
    assert main(["info", str(DATA / "formats" / name)]) == 0
    text = capsys.readouterr().out
    for part in parts:
        assert part in text
    assert json.dumps(info.describe(DATA / "formats" / name), allow_nan=False)


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        info.describe(tmp_path / "nothing.h5")
    broken = tmp_path / "broken.h5"
    broken.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    with pytest.raises(CorruptFileError):
        info.describe(broken)


@pytest.mark.parametrize("name", ["copy.h5", "deeper/copy.hdf5", "copy.npz", "copy.mat", "copy.tif"])
def test_converted_and_read_again(tmp_path, recording, name):
    written = convert.run(recording, tmp_path / name, pixel_pitch_mm=1.5, specimen_id="P7")
    assert written == tmp_path / name
    first, again = read_sequence(recording), read_sequence(written)
    np.testing.assert_array_equal(again.loaded().frames, first.loaded().frames)
    np.testing.assert_array_equal(again.times_s, first.times_s)
    assert (again.unit, again.pixel_pitch_mm, again.specimen_id) == ("degC", 1.5, "P7")
    assert again.excitation == first.excitation


def test_outputs_that_must_not_be_written(tmp_path, recording):
    before = recording.read_bytes()
    existing = tmp_path / "there.h5"
    existing.write_bytes(b"old")
    folder = tmp_path / "folder.h5"
    folder.mkdir()
    for output, message in [
        (existing, "exists; choose another name or pass --overwrite"),
        (folder, "is a folder"),
        (recording, "is the recording itself"),
        (tmp_path / "copy.seq", r"ends in '.seq', expected one of .h5, .hdf5, .npz, .mat"),
    ]:
        with pytest.raises(OutputError, match=message):
            convert.run(recording, output)
    with pytest.raises(OutputError, match="is the recording itself"):
        convert.run(recording, recording, overwrite=True)
    assert existing.read_bytes() == b"old"
    assert recording.read_bytes() == before
    convert.run(recording, existing, overwrite=True)
    assert read_sequence(existing).n_frames == 72


def test_a_sidecar_is_not_applied_twice(tmp_path):
    np.save(tmp_path / "plate8.npy", np.random.default_rng(0).normal(20, 1, (8, 4, 5)))
    sidecar = tmp_path / "plate8.yaml"
    sidecar.write_text("{frame_rate_hz: 2, heating_start_s: 1.0, unit: degC, axes: tyx}", encoding="utf-8")
    with pytest.raises(OutputError, match=r"plate8.yaml states facts about plate8.npy"):
        convert.run(tmp_path / "plate8.npy", tmp_path / "plate8.h5")
    written = convert.run(tmp_path / "plate8.npy", tmp_path / "converted.h5")
    np.testing.assert_allclose(read_sequence(written).times_s, np.arange(8) / 2 - 1.0)


def test_nothing_is_left_when_reading_fails(tmp_path, recording):
    broken = tmp_path / "broken.npy"
    broken.write_bytes(np.lib.format.magic(1, 0) + b"\0" * 10)
    with pytest.raises(InputError):
        convert.run(broken, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        (
            "real/cfrp_pulsed_60x105x120.mat",
            {"variable": "F1.images", "frame_rate_hz": 10.0},
            {"n_frames": 60, "height": 105, "width": 120, "truth_present": False, "detected_heating_stop_s": None},
        ),
        (
            "fem/cfrp_1.3mm_ellipse_inclusion.hdf5",
            {},
            {"n_frames": 1000, "height": 100, "width": 100, "truth_present": True, "n_defects": 1},
        ),
    ],
)
def test_files_of_others(name, facts, expected):
    if not (DATA / name).exists():
        pytest.skip("shared data are absent")
    described = info.describe(DATA / name, **facts)
    assert {key: described[key] for key in expected} == expected
    assert described["n_dead_pixels"] == 0
    assert described["quality"]["verdict"] in {"good", "usable"}
    assert info.render(described)
