"""The demo's machinery on a tiny plan: every step runs, a rerun keeps everything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from thermo_qc.config import ExperimentConfig, SimulationConfig, load_config
from thermo_qc.inspection import load_model
from thermo_qc.workflows import demo

ROOT = Path(__file__).parents[2]
PACKAGED = ROOT / "thermo_qc" / "resources" / "demo"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    target = tmp_path_factory.mktemp("demo") / "out"
    return target, demo.run(target, plan=demo.load_plan("tiny"), workers=1)


def test_demo_writes_everything(tiny: tuple[Path, str]) -> None:
    out, table = tiny
    for name in ("manifest.yaml", "comparison.json", "comparison.csv", "report.html"):
        assert (out / name).is_file(), name
    comparison = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in comparison["rows"]] == ["random forest", "U-Net"]
    assert [row["by"] for row in comparison["leakage"]] == ["acquisition", "block", "random_pixel"]
    assert all(row["unseen_holes_total"] == 14 for row in comparison["rows"])
    assert "random forest" in table and "U-Net" in table


def test_models_of_the_demo_load_by_method(tiny: tuple[Path, str]) -> None:
    assert len(load_model(tiny[0], "random_forest")) == 3
    assert load_model(tiny[0], "unet")[0].class_names == ("sound", "surface defect", "in-depth defect")


def test_rerun_gives_the_same_table_without_training(tiny: tuple[Path, str]) -> None:
    out, table = tiny
    models = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    assert demo.run(out, plan=demo.load_plan("tiny"), workers=2) == table
    assert {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")} == models


@pytest.mark.parametrize("path", sorted((PACKAGED / "methods").glob("*.yaml")), ids=lambda path: path.stem)
def test_experiments_at_the_top_are_the_demos(path: Path) -> None:
    load_config(ExperimentConfig, path)
    assert (ROOT / "configs" / path.name).read_bytes() == path.read_bytes()


def test_plans_name_files_that_exist() -> None:
    for name in ("quick", "full", "tiny"):
        plan = demo.load_plan(name)
        for acquisition in (*plan.acquisitions, plan.unseen):
            load_config(SimulationConfig, PACKAGED / "acquisitions" / f"{acquisition}.yaml", plan.simulation_overrides)
        for method in plan.methods:
            load_config(ExperimentConfig, PACKAGED / "methods" / f"{method.name}.yaml", method.overrides)


def test_simulations_run_side_by_side_and_tell_how_far_they_are(tmp_path: Path) -> None:
    plan = replace(demo.load_plan("tiny"), acquisitions=("a1_two_lamps",))
    told: list[tuple[str, str, float]] = []
    progress = SimpleNamespace(tell=told.append)
    demo._simulate(plan, tmp_path, seed=0, workers=2, progress=progress)
    names = {"a1_two_lamps", plan.unseen}
    assert {path.stem for path in (tmp_path / "data").glob("*.h5")} == names
    assert told[-2:] == [
        ("simulation", "2 of 2 recordings", plan.simulation_seconds),
        ("simulation", "", plan.simulation_seconds),
    ]
    seconds = [message[2] for message in told]
    assert seconds == sorted(seconds) and len(set(seconds)) > 10
