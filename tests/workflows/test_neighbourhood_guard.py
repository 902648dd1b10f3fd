"""Guard rings of folds grow by the neighbourhood that comes with a curve."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.cli import main
from thermo_qc.evaluation import Splits
from thermo_qc.inspection import load_model, predict_sequence, read_defect_map
from thermo_qc.io import load_manifest, read_sequence
from thermo_qc.workflows.cases import load_recordings


def test_the_diffusion_length_grows_by_the_reach_of_the_neighbourhood(lab: Path) -> None:
    recording = load_recordings(load_manifest(lab / "manifest.yaml"), "regions")[0]
    alone, wide = recording.fold_item(), recording.fold_item(5)
    assert alone.guard_mm is not None
    assert wide.guard_mm == pytest.approx(alone.guard_mm + 2 * np.sqrt(2) * 1.0)


def test_a_stated_guard_grows_too_and_the_command_line_predicts_like_python(lab: Path, tmp_path: Path) -> None:
    """The model that is trained beside its guard ring sees no test pixel, not even through its neighbours."""
    target = tmp_path / "run"
    changes = ["representation.neighbourhood=3", "folds.by=defect", "folds.k=2", "folds.guard_mm=2",
               "model.parameters.n_trees=2"]  # fmt: skip
    overrides = [part for change in changes for part in ("--set", change)]
    arguments = ["cv", str(lab / "forest.yaml"), "--manifest", str(lab / "manifest.yaml"), "-o", str(target)]
    assert main([*arguments, "--fold", "0", *overrides]) == 0
    splits = Splits.load(target / "splits.json")
    assert splits.guard_mm == pytest.approx(2 + np.sqrt(2))
    trained, held = splits.train_mask(0, "first"), splits.test_mask(0, "first")
    around = np.pad(trained, 1)
    reached = np.any([np.roll(around, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)[1:-1, 1:-1]
    assert held.any()
    assert not (reached & held).any()

    assert main(["predict", str(target), str(lab / "first.h5"), "-o", str(tmp_path / "maps")]) == 0
    stored = read_defect_map(next((tmp_path / "maps").glob("*.h5")))
    own = predict_sequence(load_model(target), read_sequence(lab / "first.h5"))
    assert np.array_equal(stored.probability, own.probability)
    assert (
        json.loads((target / "run.json").read_text(encoding="utf-8"))["experiment"]["representation"]["neighbourhood"]
        == 3
    )
