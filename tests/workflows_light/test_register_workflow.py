"""register from picked points to truth on real pixels, and every way to pick wrongly."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from thermo_qc.errors import ConfigError, InputError, OutputError, TruthError
from thermo_qc.io import load_entry, load_manifest, read_sequence
from thermo_qc.plate import load_plate
from thermo_qc.workflows import register
from thermo_qc.workflows.points import FIELDS, read_points

# The plate lies at column 4, row 3 of the frame with 1.6 mm per pixel.
POINTS = [(4.0 + x / 1.6, 3.0 + y / 1.6, x, y) for x, y in [(0, 0), (60, 0), (60, 40), (0, 40), (30, 15)]]


def test_truth_lands_on_the_pixels(tmp_path, recording, plate_file):
    output = tmp_path / "registered.h5"
    result = register.run(recording, plate_file, POINTS, output=output)
    assert result.residual_mm < 1e-3
    assert (result.n_points, result.warning) == (5, "")
    assert result.pixel_pitch_mm == pytest.approx(1.6, rel=1e-4)
    assert (result.recording_path, result.registration_path) == (output, tmp_path / "registered.registration.yaml")
    registered = read_sequence(output)
    y, x = np.mgrid[:30, :44]
    x_mm, y_mm = (x - 4) * 1.6, (y - 3) * 1.6
    hole = (x_mm - 15) ** 2 + (y_mm - 20) ** 2 < 5.9**2
    assert (registered.truth.defect_index[hole] == 1).all()
    assert (registered.truth.defect_index[(x_mm < -0.1) | (y_mm > 40.1)] == -1).all()
    assert registered.pixel_pitch_mm == pytest.approx(1.6, rel=1e-4)
    assert (registered.thickness_mm, registered.material.name) == (5.0, "GFRP")
    np.testing.assert_array_equal(registered.loaded().frames, read_sequence(recording).loaded().frames)
    assert registered.history[-1].step == "register"


def test_registration_file(tmp_path, recording, plate_file):
    output = tmp_path / "plate7.registration.yaml"
    result = register.run(recording, plate_file, POINTS, output=output)
    assert (result.recording_path, result.registration_path) == (None, output)
    content = yaml.safe_load(output.read_text(encoding="utf-8"))
    np.testing.assert_allclose(content["matrix"], result.registration.matrix)
    assert content["plate"] == "little"
    assert len(content["points_px"]) == len(content["residuals_mm"]) == 5
    assert content["residual_mm"] == pytest.approx(result.residual_mm)
    assert content["pixel_pitch_mm"] == pytest.approx(1.6, rel=1e-4)
    assert len(content["recording_sha256"]) == 64


def test_a_manifest_takes_the_registration(tmp_path, recording, plate_file):
    register.run(recording, plate_file, POINTS, output=tmp_path / "direct.h5")
    manifest = tmp_path / "manifest.yaml"
    entry = {"recording": recording.name, "plate": plate_file.name, "registration": "direct.registration.yaml"}
    manifest.write_text(yaml.safe_dump({"recordings": [entry]}), encoding="utf-8")
    loaded = load_entry(load_manifest(manifest).entries[0])
    np.testing.assert_array_equal(loaded.truth.defect_index, read_sequence(tmp_path / "direct.h5").truth.defect_index)
    assert loaded.pixel_pitch_mm == pytest.approx(1.6, rel=1e-4)


def test_rectified_to_plate_millimetres(tmp_path, recording, plate_file):
    result = register.run(
        recording, plate_file, POINTS, output=tmp_path / "flat.h5", rectify=True, rectified_pitch_mm=2.0
    )
    flat = read_sequence(tmp_path / "flat.h5")
    plate = load_plate(plate_file)
    assert flat.frame_shape == plate.frame_shape(2.0) == (20, 30)
    assert (result.pixel_pitch_mm, flat.pixel_pitch_mm) == (2.0, 2.0)
    np.testing.assert_array_equal(flat.truth.defect_index, plate.truth(2.0).defect_index)
    assert [entry.step for entry in flat.history] == ["register", "rectify"]
    mean = register.run(recording, plate_file, POINTS, output=tmp_path / "mean.h5", rectify=True)
    assert mean.pixel_pitch_mm == pytest.approx(1.6, rel=1e-4)


def test_rectified_truth_is_left_out_where_the_camera_did_not_look(tmp_path, recording, plate_file):
    points = [(x_px + 20, y_px, x, y) for x_px, y_px, x, y in POINTS if x_px + 20 < 43]
    points += [(43.0, 3.0, (43 - 24) * 1.6, 0.0), (43.0, 20.0, (43 - 24) * 1.6, 17 * 1.6)]
    register.run(recording, plate_file, points, output=tmp_path / "half.h5", rectify=True, rectified_pitch_mm=2.0)
    half = read_sequence(tmp_path / "half.h5").loaded()
    assert (half.truth.defect_index[:, 17:] == -1).all()
    assert np.isnan(half.frames[:, :, 17:]).all()
    assert np.isfinite(half.frames[:, half.truth.defect_index >= 0]).all()


def test_stated_facts_count_before_plate_and_registration(tmp_path, recording, plate_file):
    register.run(recording, plate_file, POINTS, output=tmp_path / "r.h5", pixel_pitch_mm=1.5, thickness_mm=4.5)
    registered = read_sequence(tmp_path / "r.h5")
    assert (registered.pixel_pitch_mm, registered.thickness_mm) == (1.5, 4.5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("points.csv", "x_px,y_px,x_mm,y_mm\n" + "\n".join(",".join(map(str, row)) for row in POINTS)),
        ("points.csv", "# picked by hand\n\n" + "\n".join(", ".join(map(str, row)) for row in POINTS)),
        ("points.csv", "y_px,x_px,y_mm,x_mm\n" + "\n".join(f"{b},{a},{d},{c}" for a, b, c, d in POINTS)),
        ("points.yaml", yaml.safe_dump([list(row) for row in POINTS])),
        ("points.yml", yaml.safe_dump({"points": [dict(zip(FIELDS, row, strict=True)) for row in POINTS]})),
    ],
)
def test_points_from_files(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    np.testing.assert_allclose(read_points(path), POINTS)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("points.csv", "1,2,3\n", "point 1 is .* expected four numbers: x_px, y_px, x_mm, y_mm"),
        ("points.csv", "1,2,3,four\n", "point 1"),
        ("points.csv", "x_px,y_px,x_mm\n1,2,3\n", "point 1"),
        ("points.yaml", "points: 3\n", "holds no list of picked points"),
        ("points.yaml", "[[1, 2, 3, 4], {x_px: 1}]", "point 2"),
        ("points.yaml", "[1, 2]", "point 1 is 1"),
        ("points.txt", "1 2 3 4", "expected picked points as .csv or .yaml"),
    ],
)
def test_broken_point_files(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_points(path)


def test_missing_point_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_points(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="no UTF-8 text"):
        read_points(tmp_path / "binary.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder.csv"):
        read_points(tmp_path / "folder.csv")


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        (POINTS[:3], InputError, "3 picked points came, expected at least 4"),
        ([*POINTS[:3], POINTS[0]], InputError, "points 1 and 4 coincide"),
        ([(5 * i, 5, 8 * i, 8) for i in range(5)], InputError, "lie on one line"),
        (
            [*POINTS[:4], (70.0, 5.0, 1.0, 1.0)],
            InputError,
            "point 5 lies at x 70, y 5 px, outside the frame of 44 columns and 30",
        ),
        ([*POINTS[:4], (1.0, 5.0, 1.0)], InputError, "point 5 is"),
        ([(x, y, a + 500, b) for x, y, a, b in POINTS], TruthError, "puts no pixel"),
        ([POINTS[i][:2] + POINTS[j][2:] for i, j in enumerate([0, 2, 1, 3])], InputError, "no view of a flat plate"),
    ],
)
def test_wrong_picks_leave_nothing_behind(tmp_path, recording, plate_file, points, error, message):
    with pytest.raises(error, match=message):
        register.run(recording, plate_file, points, output=tmp_path / "out.h5")
    assert not list(tmp_path.glob("out*"))


def test_warnings(tmp_path, recording, plate_file):
    moved = [*POINTS[:4], (POINTS[4][0] + 6, *POINTS[4][1:])]
    warning = register.run(recording, plate_file, moved, output=tmp_path / "a.registration.yaml").warning
    assert "mm from where the fit puts it" in warning
    four = register.run(recording, plate_file, POINTS[:4], output=tmp_path / "b.registration.yaml").warning
    assert "four points always fit exactly" in four
    mirrored = [(43 - x_px, y_px, x, y) for x_px, y_px, x, y in POINTS]
    assert "mirror" in register.run(recording, plate_file, mirrored, output=tmp_path / "c.registration.yaml").warning
    beyond = [*POINTS, (2.0, 3.0, -3.2, 0.0)]
    warning = register.run(recording, plate_file, beyond, output=tmp_path / "d.registration.yaml").warning
    assert "point 6 lies outside the 60 x 40 mm plate" in warning


def test_outputs_that_must_not_be_written(tmp_path, recording, plate_file):
    (tmp_path / "there.h5").write_bytes(b"old")
    (tmp_path / "pair.registration.yaml").write_text("old", encoding="utf-8")
    for name, message in [
        ("there.h5", "exists; choose another name or pass --overwrite"),
        ("pair.h5", r"pair.registration.yaml exists"),
        ("out.npz", r"ends in '.npz', expected one of .yaml, .yml, .h5, .hdf5"),
        ("plate7.yaml", "would be read as the sidecar of plate7.h5"),
        ("plate7.h5", "is the recording itself"),
    ]:
        with pytest.raises(OutputError, match=message):
            register.run(recording, plate_file, POINTS, output=tmp_path / name)
    result = register.run(recording, plate_file, POINTS, output=tmp_path / "there.h5", overwrite=True)
    assert read_sequence(result.recording_path).truth is not None


def test_contradicting_options(tmp_path, recording, plate_file):
    with pytest.raises(OutputError, match="holds a registration only"):
        register.run(recording, plate_file, POINTS, output=tmp_path / "a.registration.yaml", rectify=True)
    with pytest.raises(ConfigError, match="without rectify"):
        register.run(recording, plate_file, POINTS, output=tmp_path / "a.h5", rectified_pitch_mm=1.0)
    with pytest.raises(InputError, match="expected positive lengths"):
        register.run(recording, plate_file, POINTS, output=tmp_path / "a.h5", rectify=True, rectified_pitch_mm=0.0)
    assert not list(tmp_path.glob("a.*"))
