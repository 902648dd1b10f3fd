"""info and convert on real files of every written format, and on wrong requests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.errors import CorruptFileError, InputError, OutputError
from thermo_qc.io import read_sequence
from thermo_qc.sequence import ThermalSequence
from thermo_qc.workflows import convert, info

DATA = Path(__file__).parents[2].parent / "shared" / "data"
KEYS = [
    *("path", "format", "n_frames", "height", "width", "t_start_s", "t_end_s", "frame_rate_hz", "unit"),
    *("value_min", "value_max", "n_nan_pixels", "n_dead_pixels", "n_saturated_frames", "heating_stop_s"),
    *("detected_heating_stop_s", "truth_present", "n_defects", "pixel_pitch_mm", "excitation", "material"),
    *("thickness_mm", "quality"),
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
