"""Every experiment in configs/ runs end to end through the command line on tiny data."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from thermo_qc.cli import main
from thermo_qc.workflows.train_corpus import names_corpus

ROOT = Path(__file__).parents[2]
QUICK = {
    "forest": ("model.parameters.n_trees=3",),
    "gradient_boosting": ("model.parameters.n_rounds=2",),
    "random_forest": ("model.parameters.n_trees=3",),
    "threshold": (),
    "curve": ("train.epochs=1", "train.batch_size=256", "train.samples_per_epoch=256"),
    "segmentation": ("train.epochs=1", "train.batch_size=2", "train.samples_per_epoch=2", "train.crop_px=32"),
}


EXPERIMENTS = [path for path in sorted((ROOT / "configs").glob("*.yaml")) if not names_corpus(path)]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_config_runs(path: Path, lab: Path, tmp_path: Path) -> None:
    model = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]
    kind = model["name" if model["kind"] == "classical" else "kind"]
    overrides = [part for change in (*QUICK[kind], "folds.k=2") for part in ("--set", change)]
    target = tmp_path / "run"
    arguments = ["cv", str(path), "--manifest", str(lab / "manifest.yaml"), "-o", str(target), "--fold", "0"]
    assert main([*arguments, *overrides]) == 0
    assert (target / "report.html").stat().st_size > 10_000
    assert main(["predict", str(target), str(lab / "first.h5"), "-o", str(tmp_path / "maps")]) == 0


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "simulations").glob("*.yaml")), ids=lambda path: path.stem)
def test_simulation_runs(path: Path, tmp_path: Path) -> None:
    changes = ["solver.lateral_mm=8", "solver.depth_cells=12", "camera.pixel_pitch_mm=8", "recording.duration_s=70"]
    overrides = [part for change in changes for part in ("--set", change)]
    assert main(["simulate", str(path), "-o", str(tmp_path / "sim.h5"), *overrides]) == 0
    assert main(["info", str(tmp_path / "sim.h5"), "--json"]) == 0
