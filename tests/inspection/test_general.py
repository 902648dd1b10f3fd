"""The model that ships: found by name, finds holes on a plate of its own, says the same everywhere, warns outside."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import ndimage

from thermo_qc.cli import main
from thermo_qc.errors import InputError, ModelError
from thermo_qc.inspection import load_model, predict_sequence, read_defect_map
from thermo_qc.inspection.limits import model_doubts, reach_mm
from thermo_qc.inspection.loading import shipped_models
from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.plate import Hole, PlateSpec, load_material
from thermo_qc.representation import PhysicalRepresentation
from thermo_qc.sequence import Material, ThermalSequence
from thermo_qc.simulation import Heating, frame_times_s, record_plate, solve_plate

ROOT = Path(__file__).parents[2]
GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.32,
    conductivity_in_plane_w_mk=0.45,
    density_kg_m3=1850.0,
    heat_capacity_j_kgk=950.0,
)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def recording() -> ThermalSequence:
    """A plate of 70 x 60 mm with two holes."""
    plate = PlateSpec(
        name="own",
        width_mm=70.0,
        height_mm=60.0,
        thickness_mm=8.0,
        material=GFRP,
        holes=(
            Hole(number=1, name="H1", x_mm=20.0, y_mm=30.0, diameter_mm=12.0, depth_mm=2.0),
            Hole(number=2, name="H2", x_mm=50.0, y_mm=30.0, diameter_mm=12.0, depth_mm=4.0),
        ),
        edge_margin_mm=2.0,
    )
    solution = solve_plate(
        plate,
        times_s=frame_times_s(frame_rate_hz=1.0, cold_s=5.0, duration_s=150.0),
        heating=Heating(kind="long_pulse", flux_w_m2=1000.0, duration_s=25.0),
        lateral_mm=1.0,
        depth_cells=16,
        max_step_s=4.0,
    )
    return record_plate(solution, rng=np.random.default_rng(0), pixel_pitch_mm=1.0, netd_k=0.03)


def test_it_ships_small_and_with_its_card() -> None:
    assert set(shipped_models()) == {"general", "general_fine"}
    folder = ROOT / "thermo_qc" / "resources" / "models"
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) < 15e6
    for name in shipped_models():
        card = (folder / f"{name}.md").read_text(encoding="utf-8")
        for word in ("licence MIT", "## Trained on", "## Measured", "## Limits", "## Made again"):
            assert word in card, (name, word)
    (model,) = load_model("general")
    assert model.class_names == ("sound", "defect") and model.has_depth_head
    assert model.metadata["seed"] == 2 and model.metadata["n_plates"] == 2060
    (fine,) = load_model("general_fine")
    assert isinstance(fine.representation, PhysicalRepresentation)
    assert fine.representation.texture and fine.representation.drift and fine.representation.background_order == 0
    assert fine.representation.profile_order == 6 and fine.representation.noisy_level
    assert fine.representation.hidden_from == 2.0
    assert fine.metadata["seed"] == 3 and fine.metadata["n_plates"] == 960


@pytest.mark.parametrize("name", ["general", "general_fine", "general+general_fine"])
def test_it_finds_both_holes_and_their_depths(name: str, recording: ThermalSequence) -> None:
    found = predict_sequence(load_model(name), recording)
    truth = recording.truth
    assert truth is not None and found.depth_std_mm is not None and found.notes == ()
    for defect in truth.defects:
        mask = truth.defect_index == defect.number
        assert (found.class_map[mask] == 1).mean() > 0.6
        depth, spread = (float(np.nanmedian(values[mask])) for values in (found.depth_mm, found.depth_std_mm))
        assert abs(depth - (defect.depth_mm or 0)) < 3 * spread < 3 * 0.3 * depth
    sound = (truth.defect_index == 0) & found.inspected
    assert (found.class_map[sound] == 1).mean() < 0.06  # rims of the holes


def test_the_same_from_the_command_line(recording: ThermalSequence, tmp_path: Path) -> None:
    write_sequence(recording, tmp_path / "own.h5")
    assert main(["predict", "general", str(tmp_path / "own.h5"), "-o", str(tmp_path / "out"), "--threads", "1"]) == 0
    there, here = read_defect_map(tmp_path / "out" / "own.h5"), predict_sequence(load_model("general"), recording)
    np.testing.assert_array_equal(there.class_map, here.class_map)
    np.testing.assert_allclose(there.probability, here.probability, atol=1e-5)
    np.testing.assert_allclose(there.depth_mm, here.depth_mm, rtol=1e-4)
    assert there.model_sha256 == here.model_sha256


def test_every_output_warns_outside_its_range(
    recording: ThermalSequence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sequence(replace(recording, thickness_mm=60.0), tmp_path / "thick.h5")
    command = ["predict", "general", str(tmp_path / "thick.h5"), "-o", str(tmp_path / "out"), "--threads", "1"]
    line = "thickness is 60 mm, the model was trained from 4 to 25"
    for state in ("done", "up to date"):
        assert main([*command, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["state"] == state and line in told["warnings"]
        (row,) = read_table(tmp_path / "out" / "summary.csv")
        assert line in row["warnings"].split("; ")
    assert main(command) == 0
    assert "indications (outside the model's range) (up to date)" in capsys.readouterr().out
    rows = read_table(tmp_path / "out" / "thick.csv")
    assert rows and all(line in row["warnings"] for row in rows)
    assert line in read_defect_map(tmp_path / "out" / "thick.h5").notes
    assert main(["results", str(tmp_path / "out"), "-o", str(tmp_path / "all.json")]) == 0
    assert line in capsys.readouterr().out
    assert line in json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))[0]["warnings"]


def test_a_material_that_the_file_lacks_is_named_on_the_command_line(
    recording: ThermalSequence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sequence(replace(recording, material=None), tmp_path / "bare.h5")
    command = ["predict", "general", str(tmp_path / "bare.h5"), "--threads", "1"]
    assert main([*command, "-o", str(tmp_path / "without")]) == 0
    without = read_defect_map(tmp_path / "without" / "bare.h5")
    assert np.isnan(without.depth_mm).all() and "in a sidecar or with --material" in without.notes[0]
    assert main([*command, "-o", str(tmp_path / "named"), "--material", "gfrp"]) == 0
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(asdict(load_material("GFRP"))), encoding="utf-8")
    assert main([*command, "-o", str(tmp_path / "own"), "--material", str(tmp_path / "own.yaml")]) == 0
    named, own = (read_defect_map(tmp_path / name / "bare.h5") for name in ("named", "own"))
    assert np.isfinite(named.depth_mm).any() and named.notes == ()
    np.testing.assert_array_equal(named.depth_mm, own.depth_mm)
    capsys.readouterr()
    assert main([*command, "-o", str(tmp_path / "wrong"), "--material", "gfpr"]) == 2
    assert "material 'gfpr' is neither a YAML file nor one that ships" in capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()


def test_it_says_which_camera_it_was_not_trained_for(recording: ThermalSequence) -> None:
    models = load_model("general+general_fine")
    frames = np.asarray(recording.frames)
    (few,) = model_doubts(models, recording.with_frames(frames[::4], "thinned", times_s=recording.times_s[::4]))
    assert few.endswith("frames after the start of the heating, the model was trained from 120 on")
    faint = recording.ambient_c + 0.05 * (frames - recording.ambient_c)
    faint += np.random.default_rng(0).normal(0, 0.06, frames.shape)
    (weak,) = model_doubts(models, recording.with_frames(faint.astype(np.float32), "faint"))
    assert weak.startswith("largest rise / noise of a frame is ") and weak.endswith("trained from 57.1 to 2667")
    rise = np.linspace(0.0, 4.0, recording.n_frames, dtype=np.float32)[:, None, None]
    notes = model_doubts(models, recording.with_frames(frames + rise * 4, "transmitted"))
    (behind,) = notes
    stepped = replace(recording.excitation, kind="step", stop_s=None)
    rising = recording.ambient_c + rise + 0.03 * np.random.default_rng(0).standard_normal(frames.shape)
    assert model_doubts(models, replace(recording, frames=rising.astype(np.float32), excitation=stepped)) == ()
    late = recording.times_s > 25.0
    kelvin = (frames[late] + 273.15).astype(np.float32)
    cooling = recording.with_frames(kelvin, "cooling", times_s=recording.times_s[late], unit="K", ambient_c=None)
    assert model_doubts(models, cooling) == ()  # neither its level is known, nor are frames missing
    assert (
        behind.startswith("the plate warms on after the heating (to 1.") and "the camera looks at the other" in behind
    )


def test_it_says_where_it_was_not_trained(recording: ThermalSequence) -> None:
    models = load_model("general")
    assert model_doubts(models, recording) == ()
    metal = replace(GFRP, conductivity_through_w_mk=16.0, conductivity_in_plane_w_mk=16.0)
    notes = " | ".join(model_doubts(models, replace(recording, material=metal, thickness_mm=60.0)))
    assert "thickness is 60 mm, the model was trained from 1.2 to 20" in notes
    assert "conductivity through the thickness is 16 W/mK, the model was trained from 0.15 to 0.95" in notes
    thick = model_doubts(models, replace(recording, thickness_mm=60.0))
    assert any("thickness squared (heat reaches 5.2 mm) is 0.00" in note for note in thick)
    (fine,) = model_doubts(models, replace(recording, pixel_pitch_mm=0.05))
    assert fine.startswith("pixel pitch / (thickness x cube root of the anisotropy) is 0.00")
    assert fine.endswith("the model was trained from 0.04 to 0.22")  # of its corpora the one that comes nearest
    assert model_doubts(load_model("general_fine"), replace(recording, pixel_pitch_mm=0.15)) == ()
    line, way_out = model_doubts(models, replace(recording, pixel_pitch_mm=0.15))
    assert (
        line.startswith("pixel pitch") and way_out == "general_fine, which ships too, was trained for such recordings"
    )
    cold = replace(recording, times_s=recording.times_s - recording.times_s[-1] - 1.0)
    assert any("thickness squared (heat reaches 0 mm) is -" in note for note in model_doubts(models, cold))
    heated = recording.excitation
    (long,) = model_doubts(models, replace(recording, excitation=replace(heated, stop_s=120.0)))
    assert long == "length of the pulse / recording time is 0.8, the model was trained from 0.04 to 0.4"
    (how,) = model_doubts(models, replace(recording, excitation=replace(heated, kind="unknown")))
    assert how == "how it was heated is not known, the model was trained for flash, long_pulse, step"
    late = model_doubts(models, replace(recording, times_s=recording.times_s * 10))
    assert any("(heat reaches 17 mm) is 4.27" in note and note.endswith("from 0.06 to 1.4") for note in late)
    broken = replace(models[0], metadata={"corpora": [{"plates": {"heating": 3}}]})
    with pytest.raises(ModelError, match="the model's own account of its training is broken"):
        model_doubts((broken,), recording)
    unknown = model_doubts(models, replace(recording, material=None))
    assert len(unknown) == 1 and "material not known: defects are called without, depths are not given" in unknown[0]
    lockin = replace(recording, excitation=replace(recording.excitation, kind="periodic", frequency_hz=0.1))
    assert any("step, the recording is periodic" in note for note in model_doubts(models, lockin))
    assert reach_mm(recording) == pytest.approx(np.sqrt(GFRP.diffusivity_through_mm2_s * 150.0))
    assert np.isnan(reach_mm(replace(recording, material=None)))


def test_a_name_that_does_not_ship() -> None:
    with pytest.raises(
        InputError, match=r"generale does not exist; name a model file, .* or a model that ships: general"
    ):
        load_model("generale")


@pytest.mark.parametrize(
    ("name", "least", "most_apart_px"),
    [("cfrp_1.3mm_ellipse_inclusion", 0.6, 0), ("cfrp_3.8mm_rect_inclusion", 0.6, 0)],
)
def test_faint_inclusions_of_third_party_simulations_are_found(name: str, least: float, most_apart_px: int) -> None:
    """The card of `general_fine` says 0.63 and 0.64 with nothing apart."""
    path = ROOT.parent / "shared" / "data" / "fem" / f"{name}.hdf5"
    if not path.is_file():
        pytest.skip("the third-party simulations are not here")
    sequence = read_sequence(path)
    frames = np.asarray(sequence.frames[:, :, :], dtype=np.float32)
    noise = np.random.default_rng(0).normal(0, 0.02, frames.shape).astype(np.float32)
    noisy = sequence.with_frames(frames + noise, "add_noise", parameters={"netd_k": 0.02})
    prediction = predict_sequence(load_model("general_fine"), noisy)
    assert noisy.truth is not None and prediction.depth_mm is not None
    true, called = noisy.truth.defect_index > 0, prediction.defect
    assert (true & called).sum() > least * (true | called).sum()
    regions, number = ndimage.label(called, np.ones((3, 3)))
    near = set(np.unique(regions[ndimage.binary_dilation(true, iterations=3)])) - {0}
    apart = set(range(1, number + 1)) - near
    assert np.isin(regions, list(apart)).sum() <= most_apart_px
    depth = float(np.median(prediction.depth_mm[true & called]))
    assert depth == pytest.approx(float(np.nanmedian(noisy.truth.depth_mm[true])), rel=0.2)
