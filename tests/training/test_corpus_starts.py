"""Whole tiny trainings on a corpus: what they start from, what stays of it, helps that are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from simulated_plates import plate

from thermo_qc.config import CorpusExperimentConfig
from thermo_qc.errors import ModelError
from thermo_qc.models import TrainedModel, load_trained
from thermo_qc.models.hybrid import CurveUNet
from thermo_qc.training import train_on_corpus
from thermo_qc.training.curriculum import Curriculum
from thermo_qc.training.transfer import fill_corpus_network


def tiny(parameters: dict[str, Any] | None = None, **train: object) -> CorpusExperimentConfig:
    numbers = {"epochs": 2, "samples_per_epoch": 2, "batch_size": 1, "crop_px": 12, "warmup_epochs": 0}
    return CorpusExperimentConfig(
        name="tiny",
        corpus="none",
        start_from="earlier" if {"freezing", "start_share"} & set(train) else None,
        representation={"n_heating": 4, "n_cooling": 12, "background_order": 1},
        model={"parameters": {"curve_widths": [8], "widths": [8, 12], **(parameters or {})}},
        train={**numbers, "averaged_epochs": 0, "validation_plates": 1, **train},
    )


def learnt(
    folder: Path, start: TrainedModel | None = None, parameters: dict[str, Any] | None = None, **train: object
) -> dict[str, np.ndarray]:
    experiment = tiny(parameters, **train)
    plates = [plate(number) for number in range(3)]
    model = train_on_corpus(
        plates, experiment=experiment, folder=folder, signature="s", start=start, progress=False, threads=1
    )
    assert model.network is not None
    return {name: value.numpy().copy() for name, value in model.network.state_dict().items()}


def test_gradient_noise_changes_what_a_corpus_teaches(tmp_path: Path) -> None:
    plain, again, noisy = (
        learnt(tmp_path / name, **options)
        for name, options in (("a", {}), ("b", {}), ("c", {"gradient_noise": {"eta": 0.1}}))
    )
    assert all(np.array_equal(plain[name], again[name]) for name in plain)
    assert any(not np.array_equal(plain[name], noisy[name]) for name in plain)


def test_fresh_statistics_learn_before_they_freeze_and_muon_trains(tmp_path: Path) -> None:
    frozen = {"batch_norm": "freeze_statistics", "statistics_epochs": 1}
    plain, early, later, other = (
        learnt(tmp_path / name, None, {"widths": [16, 16]}, **options)
        for name, options in (
            ("one", {"epochs": 1}),
            ("early", {"freezing": frozen}),
            ("later", {}),
            ("muon", {"freezing": frozen, "optimiser": "muon"}),
        )
    )
    means = [name for name in plain if name.endswith("running_mean")]
    assert all(np.array_equal(early[name], plain[name]) for name in means)
    assert any(not np.array_equal(later[name], plain[name]) for name in means)
    assert not np.array_equal(early["head.weight"], plain["head.weight"])  # weights go on
    assert float(np.abs(other["down.0.second.weight"] - early["down.0.second.weight"]).max()) > 1e-4


def test_frozen_layers_of_a_start_stay_while_a_corpus_teaches_the_rest(tmp_path: Path) -> None:
    learnt(tmp_path / "start")
    start = load_trained(tmp_path / "start" / "model.safetensors")
    before = {name: value.numpy().copy() for name, value in start.network.state_dict().items()}  # type: ignore[union-attr]
    freezing = {"freeze": "all_but_head", "batch_norm": "freeze_statistics"}
    after = learnt(tmp_path / "head", start, freezing=freezing, averaged_epochs=1)
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {"head.weight", "head.bias"}
    stages = [{"epochs": 1, "unfreeze": 1.0, "learning_rate_factor": 0.1}]
    whole = learnt(tmp_path / "all", start, freezing={**freezing, "stages": stages})
    changed = {name for name in before if not np.array_equal(before[name], whole[name])}
    assert len(changed) > 6 and not any(name.endswith(("running_mean", "running_var")) for name in changed)


def test_a_start_that_saw_less_goes_on_from_its_own_outputs(tmp_path: Path) -> None:
    learnt(tmp_path / "start")
    start = load_trained(tmp_path / "start" / "model.safetensors")
    assert start.network is not None
    stack = torch.randn(1, 39, 24, 16)
    stack[:, 32] = 1.0

    def begun(seen: TrainedModel, *surroundings: int) -> CurveUNet:
        network = CurveUNet(39, 4, curve_widths=(8,), widths=(8, 12), surroundings=surroundings)
        fill_corpus_network(network, seen, seen.representation)  # type: ignore[arg-type]
        return network.eval()

    with torch.inference_mode():
        torch.testing.assert_close(begun(start, 2, 4)(stack), start.network(stack), rtol=1e-4, atol=1e-5)
    after = learnt(tmp_path / "on", start, {"surroundings": [2, 4]})
    assert after["curves.0.weight"].shape == (8, 103, 1, 1) and np.abs(after["curves.0.weight"][:, 39:]).max() > 1e-5
    further = load_trained(tmp_path / "on" / "model.safetensors")
    assert further.network is not None
    with torch.inference_mode():
        torch.testing.assert_close(begun(further, 2, 4, 8)(stack), further.network(stack), rtol=1e-4, atol=1e-5)
    with pytest.raises(ModelError, match=r"saw the surroundings \[2, 4\], this one sees \[4, 2\]; name those of the"):
        begun(further, 4, 2)
    with pytest.raises(ModelError, match=r"saw the surroundings \[2, 4\], this one sees \[\]"):
        begun(further)


def test_facts_that_a_start_had_no_use_for_change_nothing_at_first(tmp_path: Path) -> None:
    learnt(tmp_path / "start")
    start = load_trained(tmp_path / "start" / "model.safetensors")
    assert start.network is not None

    def begun(seen: TrainedModel, units: int) -> CurveUNet:
        network = CurveUNet(39, 4, curve_widths=(8,), widths=(8, 12), facts_units=units)
        fill_corpus_network(network, seen, seen.representation)  # type: ignore[arg-type]
        return network.eval()

    stack = torch.randn(1, 39, 24, 16)
    stack[:, 32] = 1.0
    with torch.inference_mode():
        torch.testing.assert_close(begun(start, 6)(stack), start.network(stack), rtol=0, atol=0)
    after = learnt(tmp_path / "on", start, {"facts_units": 6})
    assert np.abs(after["facts.changes.weight"]).max() > 0
    further = load_trained(tmp_path / "on" / "model.safetensors")
    with torch.inference_mode():
        torch.testing.assert_close(begun(further, 6)(stack), further.network(stack), rtol=0, atol=0)  # type: ignore[misc]
    for units in (0, 7):
        with pytest.raises(ModelError, match=r"do not fit this network .* tensors differ, the first is facts\."):
            begun(further, units)


def test_a_share_of_the_start_is_kept(tmp_path: Path) -> None:
    learnt(tmp_path / "start")
    start = load_trained(tmp_path / "start" / "model.safetensors")
    whole = learnt(tmp_path / "whole", start, {"surroundings": [2]}, averaged_epochs=1)
    part = learnt(tmp_path / "part", start, {"surroundings": [2]}, averaged_epochs=1, start_share=0.25)
    assert start.network is not None
    before = {name: value.numpy() for name, value in start.network.state_dict().items()}
    before["curves.0.weight"] = np.pad(before["curves.0.weight"], [(0, 0), (0, 32), (0, 0), (0, 0)])  # unseen: 0
    for name, value in part.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, 0.75 * whole[name] + 0.25 * before[name], rtol=1e-4, atol=1e-6)
    assert any(np.abs(whole[name] - part[name]).max() > 1e-4 for name in part)
    again = load_trained(tmp_path / "part" / "model.safetensors")
    assert again.network is not None and again.metadata["temperature"] > 0
    np.testing.assert_array_equal(again.network.state_dict()["head.weight"].numpy(), part["head.weight"])


def test_a_curriculum_is_used_in_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Curriculum, "pool", lambda self, epoch: asked.append(epoch) or np.ones(2, dtype=bool))
    learnt(tmp_path, curriculum={"start_fraction": 0.5})
    assert set(asked) == {0, 1}
