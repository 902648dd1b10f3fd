"""`simulate`: a configuration file becomes a recording with its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from thermo_qc.config import SimulationConfig, load_config, parse_config
from thermo_qc.errors import ConfigError, InputError, OutputError, UnknownNameError
from thermo_qc.io import read_sequence
from thermo_qc.workflows.simulate import run, simulate_acquisition

EXAMPLE = Path(__file__).parents[2] / "configs" / "simulations" / "gfrp_long_pulse.yaml"
PLATE = {
    "name": "little",
    "width_mm": 40.0,
    "height_mm": 30.0,
    "thickness_mm": 10.0,
    "depth_convention": "ligament",
    "material": {
        "name": "GFRP",
        "conductivity_through_w_mk": 0.3,
        "conductivity_in_plane_w_mk": 0.4,
        "density_kg_m3": 1900.0,
        "heat_capacity_j_kgk": 1000.0,
    },
    "holes": [
        {"name": "near", "x_mm": 12, "y_mm": 15, "diameter_mm": 10, "depth_mm": 1.5},
        {"name": "far", "x_mm": 28, "y_mm": 15, "diameter_mm": 8, "depth_mm": 6.0},
    ],
}
HEAVY = "{conductivity_through_w_mk: 1, conductivity_in_plane_w_mk: 1, density_kg_m3: 2700, heat_capacity_j_kgk: 1500}"
CONFIG = {
    "plate": "little.yaml",
    "seed": 5,
    "heating": {"duration_s": 20.0},
    "recording": {"frame_rate_hz": 0.5, "cold_s": 4.0, "duration_s": 60.0},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "little.yaml").write_text(yaml.safe_dump(PLATE), encoding="utf-8")
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return tmp_path


def test_run_writes_what_it_returns(folder):
    seen: list[float] = []
    sequence = run(folder / "one.yaml", folder / "out.h5", progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0
    back = read_sequence(folder / "out.h5").loaded()
    np.testing.assert_array_equal(back.frames, sequence.frames)
    np.testing.assert_array_equal(back.times_s, sequence.times_s)
    assert back.times_s[0] == -4.0
    assert back.truth is not None and sequence.truth is not None
    np.testing.assert_array_equal(back.truth.defect_index, sequence.truth.defect_index)
    assert back.acquisition_id == "one"
    assert back.specimen_id == "little"
    near, far = sequence.truth.defects
    assert near.peak_contrast_k > 10 * far.peak_contrast_k > 0
    assert [path.name for path in sorted(folder.iterdir())] == ["little.yaml", "one.yaml", "out.h5"]


def test_hole_is_as_warm_as_its_noise_free_contrast_says(folder):
    sequence = simulate_acquisition(load_config(SimulationConfig, folder / "one.yaml"), folder)
    frames, truth = np.asarray(sequence.frames), sequence.truth
    sound = frames[:, truth.defect_index == 0]
    hole = frames[:, truth.defect_index == 1]
    contrast = (hole.mean(axis=1) - np.median(sound, axis=1)).max()
    assert 0.5 * truth.defects[0].peak_contrast_k < contrast < truth.defects[0].peak_contrast_k
    before = frames[sequence.times_s <= 0]
    assert abs(before.mean() - 22) < 0.02


def test_seed_and_overrides_reach_the_recording(folder):
    path = folder / "one.yaml"
    configs = [load_config(SimulationConfig, path, overrides) for overrides in ([], ["seed=5"], ["seed=6"])]
    first, same, other = (np.asarray(simulate_acquisition(config, folder).frames) for config in configs)
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("override", "warmer"),
    [
        ("heating.flux_w_m2=1500", True),
        ("heat_capacity_factor=0.8", True),
        ("conductivity_factor=0.8", True),
        ("loss.front_w_m2k=40", False),
        ("loss.radiation_emissivity=0.95", False),
        (
            f"material={HEAVY}",
            False,
        ),
        ("heating.lamps=[{x_mm: 0, y_mm: 0, width_mm: 20, edge_level: 0.1}]", False),
    ],
)
def test_options_do_what_they_say(folder, override, warmer):
    path = folder / "one.yaml"
    plain, changed = (
        np.asarray(simulate_acquisition(load_config(SimulationConfig, path, overrides), folder).frames).mean(
            axis=(1, 2)
        )
        for overrides in ([], [override])
    )
    at_stop = 12  # 20 s
    assert (changed[at_stop] > plain[at_stop] + 0.02) == warmer
    assert abs(changed[at_stop] - plain[at_stop]) > 0.02


def test_perturbed_specimen_keeps_its_nominal_material(folder):
    config = load_config(SimulationConfig, folder / "one.yaml", ["conductivity_factor=1.1", "heat_capacity_factor=0.9"])
    sequence = simulate_acquisition(config, folder)
    assert sequence.material.conductivity_through_w_mk == 0.3
    used = sequence.history[0].parameters["material"]
    assert used["conductivity_through_w_mk"] == pytest.approx(0.33)
    assert used["conductivity_in_plane_w_mk"] == pytest.approx(0.44)
    assert used["heat_capacity_j_kgk"] == pytest.approx(900)
    assert sequence.history[1].parameters["seed"] == 5


@pytest.mark.parametrize(("kind", "stop"), [("flash", None), ("step", None), ("long_pulse", 20.0)])
def test_all_kinds_of_heating(folder, kind, stop):
    sequence = simulate_acquisition(
        load_config(SimulationConfig, folder / "one.yaml", [f"heating.kind={kind}"]), folder
    )
    assert sequence.excitation.kind == kind
    assert sequence.excitation.stop_s == stop
    assert np.asarray(sequence.frames)[3:].mean() > 22.1


def test_shipped_example_is_valid_and_its_plate_is_found():
    config = load_config(
        SimulationConfig, EXAMPLE, ["solver.lateral_mm=10", "camera.pixel_pitch_mm=10", "recording.frame_rate_hz=0.1"]
    )
    sequence = simulate_acquisition(config, EXAMPLE.parent)
    assert len(sequence.truth.defects) == 23
    contrasts = {defect.name: defect.peak_contrast_k for defect in sequence.truth.defects}
    assert contrasts["A3"] > contrasts["B1"] > contrasts["C1"] > contrasts["D1"]


def test_existing_output_is_kept_unless_asked(folder):
    output = folder / "out.h5"
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists; choose another name or pass --overwrite"):
        run(folder / "one.yaml", output)
    assert output.read_bytes() == b"precious"
    run(folder / "one.yaml", output, overwrite=True)
    assert read_sequence(output).n_frames == 33


def test_failing_run_leaves_nothing_and_keeps_the_old_file(folder):
    output = folder / "out.h5"
    with pytest.raises(InputError):
        run(folder / "one.yaml", output, overrides=["plate=missing.yaml"])
    assert not output.exists()
    output.write_bytes(b"precious")
    with pytest.raises(ConfigError):
        run(folder / "one.yaml", output, overrides=["solver.lateral_mm=100"], overwrite=True)
    assert output.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("one.npy", "expected .h5 or .hdf5"),
        ("one", "extension ''"),
        ("sub.h5", "is a folder"),
        ("one.h5", "would be read as facts"),
    ],
)
def test_impossible_outputs_are_refused(folder, output, message):
    (folder / "sub.h5").mkdir()
    with pytest.raises(OutputError, match=message):
        run(folder / "one.yaml", folder / output, overrides=["recording.duration_s=4"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"heating": {"kind": "longpulse"}}, ConfigError, "did you mean 'long_pulse'"),
        ({"heating": {"flux": 1}}, UnknownNameError, "did you mean 'flux_w_m2'"),
        ({"plate": "gfrp_calibratd"}, InputError, "did you mean 'gfrp_calibrated'"),
        ({"solver": {"depth_cells": 4}}, ConfigError, "2 hole depths need at least 5"),
        ({"recording": {"frame_rate_hz": 0.01, "duration_s": 5.0}}, ConfigError, "recording.frame_rate_hz"),
        ({"camera": {"pixel_pitch_mm": 1e-5}}, ConfigError, "is it really in mm"),
        ({"heating": {"flux_w_m2": float("inf")}}, ConfigError, "heating.flux_w_m2' is inf"),
    ],
)
def test_bad_configurations_are_refused(folder, change, error, message):
    with pytest.raises(error, match=message):
        simulate_acquisition(parse_config(SimulationConfig, {**CONFIG, **change}, "config"), folder)


@pytest.mark.parametrize("path", sorted(EXAMPLE.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_simulation_runs(path):
    coarse = ["solver.lateral_mm=15", "solver.max_step_s=4", "camera.pixel_pitch_mm=15", "recording.frame_rate_hz=0.2"]
    sequence = simulate_acquisition(load_config(SimulationConfig, path, coarse), path.parent)
    assert np.isfinite(np.asarray(sequence.frames)).all()
    assert sequence.acquisition_id


def test_mask_of_a_mark_is_read_beside_the_configuration(folder):
    import cv2

    mask = np.zeros((4, 8), dtype=np.uint8)
    mask[:, :4] = 255
    cv2.imwrite(str(folder / "run.png"), mask)
    mark = "marks=[{x_mm: 20, y_mm: 15, width_mm: 16, height_mm: 8, outline: mask, mask: run.png, emissivity: 0.5}]"
    quiet = ["camera.netd_k=0", "camera.fixed_pattern_k=0", "camera.blur_px=0", mark]
    sequence = simulate_acquisition(load_config(SimulationConfig, folder / "one.yaml", quiet), folder)
    frame = np.asarray(sequence.frames)[12] - 22
    assert frame[10, 11] < 0.6 * frame[10, 14]  # the left half of the mask is bright
    (folder / "run.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(InputError, match=r"run\.png is no picture that can be read"):
        simulate_acquisition(load_config(SimulationConfig, folder / "one.yaml", quiet), folder)


def test_buried_defects_layers_and_tilt_come_from_the_configuration(folder):
    steel = (
        "{name: steel, conductivity_through_w_mk: 15, conductivity_in_plane_w_mk: 15, density_kg_m3: 7900, "
        "heat_capacity_j_kgk: 500}"
    )
    piece = f"depth_mm: 1.0, thickness_mm: 0.5, material: {steel}"
    overrides = [
        "delaminations=[{x_mm: 20, y_mm: 25, width_mm: 8, height_mm: 6, depth_mm: 1.0, name: gap}]",
        f"inclusions=[{{x_mm: 34, y_mm: 24, width_mm: 8, height_mm: 8, {piece}}}]",
        f"layers=[{{depth_mm: 8.0, thickness_mm: 2.0, material: {steel}}}]",
        "placement.tilt_x_deg=20",
        "loss.ambient_drift_k_min=0.5",
        "camera.netd_k=0",
        "heating.afterglow_share=0.2",
        "solver.lateral_mm=1",
    ]
    sequence = simulate_acquisition(load_config(SimulationConfig, folder / "one.yaml", overrides), folder)
    assert [defect.name for defect in sequence.truth.defects] == ["near", "far", "gap", "B2"]
    assert sequence.truth.defects[2].peak_contrast_k > 0.5
    assert sequence.truth.defects[3].peak_contrast_k < 0.0
    assert set(np.unique(sequence.truth.defect_index)) >= {1, 2, 3, 4}
    facts = sequence.history[0].parameters
    assert facts["layers"][0]["material"]["name"] == "steel" and len(facts["buried"]) == 2
    frame = np.asarray(sequence.frames)[12]
    gap, inclusion = (frame[sequence.truth.defect_index == number].mean() for number in (3, 4))
    assert gap > np.median(frame[sequence.truth.defect_index == 0]) > inclusion
