"""Small simulated recordings and a quick experiment, shared by the workflow tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from thermo_qc.cli import main
from thermo_qc.workflows import simulate

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"

PLATE = {
    "name": "little",
    "width_mm": 80.0,
    "height_mm": 70.0,
    "thickness_mm": 8.0,
    "depth_convention": "ligament",
    "material": {
        "name": "GFRP",
        "conductivity_through_w_mk": 0.3,
        "conductivity_in_plane_w_mk": 0.4,
        "density_kg_m3": 1900.0,
        "heat_capacity_j_kgk": 1000.0,
    },
    "holes": [
        {"name": "S1", "x_mm": 22, "y_mm": 20, "diameter_mm": 14, "depth_mm": 1.0},
        {"name": "S2", "x_mm": 58, "y_mm": 20, "diameter_mm": 10, "depth_mm": 1.0},
        {"name": "D1", "x_mm": 22, "y_mm": 50, "diameter_mm": 16, "depth_mm": 3.0},
        {"name": "D2", "x_mm": 58, "y_mm": 50, "diameter_mm": 12, "depth_mm": 3.0},
    ],
    "class_schemes": {
        "regions": [{"name": "surface defect", "max_depth_mm": 2.0}, {"name": "in-depth defect", "max_depth_mm": 8.0}]
    },
}

SIMULATION = {
    "plate": "little.yaml",
    "heating": {"kind": "long_pulse", "flux_w_m2": 1500.0, "duration_s": 20.0},
    "solver": {"lateral_mm": 2.0, "depth_cells": 10, "max_step_s": 5.0},
    "recording": {"frame_rate_hz": 1.0, "cold_s": 4.0, "duration_s": 80.0},
    "camera": {"pixel_pitch_mm": 1.0, "netd_k": 0.02},
}

FOREST = {
    "name": "forest",
    "data": {"class_scheme": "regions"},
    "representation": {"time": {"n_steps": 8}},
    "model": {"kind": "forest", "name": "random_forest", "parameters": {"n_trees": 8}},
    "folds": {"by": "acquisition", "k": 2},
}

CNN = {
    **FOREST,
    "name": "cnn",
    "model": {"kind": "curve", "name": "cnn1d"},
    "train": {"epochs": 2, "batch_size": 256, "samples_per_epoch": 512},
}

UNET = {
    **FOREST,
    "name": "unet",
    "model": {"kind": "segmentation", "name": "unet", "parameters": {"encoder": "resnet18"}},
    "train": {"epochs": 1, "batch_size": 2, "samples_per_epoch": 2, "crop_px": 32},
}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a lab has it: plate, two recordings, manifest, three experiments."""
    folder = tmp_path_factory.mktemp("lab")
    for name, content in (("little", PLATE), ("forest", FOREST), ("cnn", CNN), ("unet", UNET)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    entries = []
    for seed, name in enumerate(("first", "second")):
        turned = {"placement": {"turn_deg": 90.0 * seed}, "seed": seed}
        (folder / "simulation.yaml").write_text(yaml.safe_dump({**SIMULATION, **turned}), encoding="utf-8")
        simulate.run(folder / "simulation.yaml", folder / f"{name}.h5")
        entries.append({"key": name, "recording": f"{name}.h5", "plate": "little.yaml", "acquisition": name})
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"recordings": entries}), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def forest_run(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross-validation of the forest."""
    target = tmp_path_factory.mktemp("runs") / "forest"
    manifest = str(lab / "manifest.yaml")
    assert main(["cv", str(lab / "forest.yaml"), "--manifest", manifest, "-o", str(target), "--leakage-gap"]) == 0
    return target
