"""A corpus of random plates from the command line, a training on it, and a prediction with what came out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from thermo_qc.cli import main
from thermo_qc.config import CorpusConfig
from thermo_qc.errors import ConfigError
from thermo_qc.inspection import load_model, read_defect_map
from thermo_qc.inspection.limits import model_doubts
from thermo_qc.io import load_entry, load_manifest, read_sequence
from thermo_qc.training.spread import spread_over
from thermo_qc.workflows import train_corpus
from thermo_qc.workflows.corpus import read_corpus
from thermo_qc.workflows.train_corpus import load_plates, names_corpus

ROOT = Path(__file__).parents[2]

CORPUS = {
    "name": "tiny",
    "seed": 3,
    "depth_cells": 14,
    "steps": 12,
    "plates": {
        "materials": [
            {
                "name": "GFRP",
                "conductivity_through_w_mk": [0.25, 0.4],
                "anisotropy": [1.0, 1.5],
                "density_kg_m3": [1700, 1900],
                "heat_capacity_j_kgk": [900, 1100],
            }
        ],
        "side_px": [24, 28],
        "sound_share": 0.0,
        "n_defects": [2, 3],
        "fourier": [0.2, 0.4],
        "pitch_share": [0.2, 0.3],
        "defects": {"hole": 1.0},
        "diameter_px": [6.0, 9.0],
        "heating": {"long_pulse": 0.5, "flash": 0.5},
    },
}
TRAINING = {
    "name": "tiny",
    "corpus": "corpus",
    "representation": {"n_heating": 4, "n_cooling": 16, "background_order": 1},
    "model": {"parameters": {"curve_widths": [8], "widths": [8, 12]}},
    "train": {
        "epochs": 2,
        "samples_per_epoch": 6,
        "batch_size": 2,
        "crop_px": 28,
        "validation_plates": 1,
        "averaged_epochs": 1,
    },
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "corpus.yaml").write_text(yaml.safe_dump(CORPUS), encoding="utf-8")
    (folder / "train.yaml").write_text(yaml.safe_dump(TRAINING), encoding="utf-8")
    assert main(["simulate", str(folder / "corpus.yaml"), "-n", "3", "-o", str(folder / "corpus")]) == 0
    assert main(["train", str(folder / "train.yaml"), "-o", str(folder / "run"), "--threads", "1"]) == 0
    return folder


TRAININGS = [path for path in sorted((ROOT / "configs").glob("*.yaml")) if names_corpus(path)]
SLOW = ("general_manet", "general_deeplabv3plus")  # as general_unet, with another decoder
QUICK = (
    "n_plates=3",
    "train.epochs=1",
    "train.samples_per_epoch=2",
    "train.batch_size=2",
    "train.crop_px=16",
    "train.validation_plates=1",
    "train.averaged_epochs=0",
)


@pytest.fixture(scope="module")
def trained(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Configuration -> its run, made once, quickly, after those of the configurations that it starts from."""

    @cache
    def run(path: Path) -> Path:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        begins, freezing = told.get("start_from", ""), told["train"].get("freezing", {})
        first = [f"start_from={run(path.parent / begins)}"] if begins.endswith(".yaml") else []
        later = ["train.epochs=2", "train.freezing.statistics_epochs=1"] if "statistics_epochs" in freezing else []
        overrides = [part for change in (*QUICK, *first, *later) for part in ("--set", change)]
        folder = tmp_path_factory.mktemp(path.stem) / "run"
        assert main(["train", str(path), "--corpus", str(home / "corpus"), "-o", str(folder), *overrides]) == 0
        return folder

    return run


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else []) for path in TRAININGS],
    ids=lambda path: path.stem,
)
def test_training_config_runs(path: Path, trained: Callable[[Path], Path]) -> None:
    (model,) = load_model(trained(path))
    assert model.metadata["experiment"]["name"] == path.stem


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "corpora").glob("*.yaml")), ids=lambda path: path.stem)
def test_corpus_config_runs(path: Path, tmp_path: Path) -> None:
    changes = ["plates.side_px=[24, 26]", "plates.n_defects=[1, 1]", "plates.pitch_share=[0.3, 0.3]", "steps=10"]
    overrides = [part for change in changes for part in ("--set", change)]
    assert main(["simulate", str(path), "-n", "1", "-o", str(tmp_path / "out"), *overrides]) == 0
    assert len(read_corpus(tmp_path / "out")) == 1


def test_plates_are_recordings_with_truth(home: Path) -> None:
    plates = read_corpus(home / "corpus")
    assert [plate.path.name for plate in plates] == [f"plate_{number:05d}.h5" for number in range(3)]
    for plate in plates:
        sequence = read_sequence(plate.path)
        assert sequence.truth is not None and set(plate.indices) == {d.number for d in sequence.truth.defects}
        assert max(plate.own_indices.values()) > 0
        assert all(0 <= plate.own_indices[number] <= index for number, index in plate.indices.items())
        assert all(defect.peak_contrast_k is not None for defect in sequence.truth.defects)
    assert len({plate.path.read_bytes() for plate in plates}) == 3


def test_a_rerun_makes_what_is_missing_and_nothing_else(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    assert main(["simulate", str(home / "corpus.yaml"), "-n", "1", "-o", str(folder)]) == 0
    first = (folder / "plate_00000.h5").stat().st_mtime_ns
    (folder / "plate_00001.h5").write_bytes(b"half")  # killed while it was written under its own name
    assert main(["simulate", str(home / "corpus.yaml"), "-n", "3", "-o", str(folder), "--workers", "2"]) == 0
    assert (folder / "plate_00000.h5").stat().st_mtime_ns == first
    for number in range(3):
        ours, theirs = (read_sequence(place / f"plate_{number:05d}.h5") for place in (folder, home / "corpus"))
        np.testing.assert_array_equal(ours.frames, theirs.frames)
    assert len(read_corpus(folder)) == 3


@pytest.mark.parametrize("damaged", ["plate_00001.h5", "plate_00001.json"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_damaged_plate_is_made_again(home: Path, tmp_path: Path, damaged: str, gone: bool) -> None:
    folder = shutil.copytree(home / "corpus", tmp_path / "corpus")
    content = (folder / damaged).read_bytes()
    (folder / damaged).unlink()
    if not gone:
        (folder / damaged).write_bytes(content[: len(content) // 2])
    assert main(["simulate", str(home / "corpus.yaml"), "-n", "3", "-o", str(folder)]) == 0
    assert len(read_corpus(folder)) == 3
    ours, theirs = (read_sequence(place / "plate_00001.h5") for place in (folder, home / "corpus"))
    np.testing.assert_array_equal(ours.frames, theirs.frames)


def test_a_folder_without_plates_takes_another_configuration(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    other = {"config": CorpusConfig.model_validate({**CORPUS, "steps": 13}).model_dump(mode="json"), "plates": []}
    (folder / "corpus.json").write_text(json.dumps(other), encoding="utf-8")
    assert main(["simulate", str(home / "corpus.yaml"), "-n", "1", "-o", str(folder)]) == 0


def test_a_corpus_that_lost_its_configuration_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(home / "corpus", tmp_path / "corpus")
    content = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    del content["config"]
    (folder / "corpus.json").write_text(json.dumps(content), encoding="utf-8")
    assert main(["train", str(home / "train.yaml"), "-o", str(tmp_path / "new"), "--corpus", str(folder)]) == 2
    assert "is no list of simulated plates ('config'); simulate the corpus into another" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_recordings_as_a_camera_makes_them(home: Path, tmp_path: Path) -> None:
    assert not (home / "corpus" / "manifest.yaml").exists()  # plates without noise are no recordings
    config = {**CORPUS, "camera": {"n_frames": [40, 40], "cold_frames": [3, 3], "netd_k": [0.05, 0.05]}}
    (tmp_path / "noisy.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert main(["simulate", str(tmp_path / "noisy.yaml"), "-n", "1", "-o", str(tmp_path / "out")]) == 0
    noisy = read_sequence(tmp_path / "out" / "plate_00000.h5")
    clean = read_sequence(home / "corpus" / "plate_00000.h5")
    assert noisy.n_frames == 44 and (np.asarray(noisy.times_s) < 0).sum() == 3
    assert noisy.truth is not None and clean.truth is not None
    np.testing.assert_array_equal(noisy.truth.defect_index, clean.truth.defect_index)  # the same plate
    assert 0.03 < float(np.std(np.asarray(noisy.frames)[2] - np.asarray(noisy.frames)[1])) / np.sqrt(2) < 0.08
    assert read_corpus(tmp_path / "out")[0].indices == pytest.approx(read_corpus(home / "corpus")[0].indices, rel=0.05)
    (entry,) = load_manifest(tmp_path / "out" / "manifest.yaml").entries
    assert entry.key == "plate_00000" and load_entry(entry).truth is not None


def test_plates_are_read_with_a_narrow_margin(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = read_corpus(home / "corpus")[:1]
    whole = read_sequence(entries[0].path)
    (plate,) = load_plates(entries)
    assert plate.rise_k.shape == whole.frames.shape  # nothing to cut: the margin is narrower than twelve pixels
    monkeypatch.setattr(train_corpus, "_MARGIN_PX", 1)
    (trimmed,) = load_plates(entries)
    truth = trimmed.sequence.truth
    assert truth is not None and whole.truth is not None
    assert truth.valid.sum() == whole.truth.valid.sum() and truth.valid.size < whole.truth.valid.size
    inside = np.ix_(*(np.flatnonzero(truth.valid.any(axis=axis)) for axis in (1, 0)))
    around = np.ix_(*(np.flatnonzero(whole.truth.valid.any(axis=axis)) for axis in (1, 0)))
    np.testing.assert_array_equal(truth.defect_index[inside], whole.truth.defect_index[around])
    assert trimmed.rise_k.shape[1:] == truth.valid.shape


def test_prediction_states_depth_and_what_lies_outside(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = home / "corpus" / "plate_00002.h5"
    assert main(["predict", str(home / "run"), str(recording), "-o", str(tmp_path / "a")]) == 0
    found = read_defect_map(tmp_path / "a" / "plate_00002.h5")
    assert found.depth_std_mm is not None and found.class_names == ("sound", "defect")
    assert found.notes == ("the frames hold no noise (a simulation?), the model was trained with that of a camera",)
    arguments = ["predict", str(home / "run"), str(recording), "-o", str(tmp_path / "b"), "--thickness-mm", "60"]
    assert main(arguments) == 0
    notes = read_defect_map(tmp_path / "b" / "plate_00002.h5").notes
    assert any("thickness is 60 mm, the model was trained from 3 to 18" in note for note in notes)
    assert any("thickness is 60 mm" in record.message for record in caplog.records)


def test_training_goes_on_and_knows_its_corpus(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = (home / "run" / "model.safetensors").read_bytes()
    assert main(["train", str(home / "train.yaml"), "-o", str(home / "run"), "--resume"]) == 0
    assert (home / "run" / "model.safetensors").read_bytes() == model
    metrics = json.loads((home / "run" / "training_metrics.json").read_text(encoding="utf-8"))
    assert metrics["depth_calibration_defects"] > 0 and "kept apart" in metrics["note"]
    assert (
        main(["train", str(home / "train.yaml"), "-o", str(home / "run"), "--resume", "--set", "train.epochs=3"]) == 2
    )
    assert "holds no 'train' run of this configuration" in capsys.readouterr().err


def test_a_training_starts_from_an_earlier_model(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a rate of nothing the weights stay those of the model that it starts from."""
    again = [str(home / "train.yaml"), "--corpus", str(home / "corpus"), "--set", "start_from=run"]
    still = ["--set", "train.learning_rate=1e-12", "--set", "train.epochs=1", "--set", "train.averaged_epochs=0"]
    assert main(["train", *again, *still, "-o", str(tmp_path / "run")]) == 0
    (first,), (second,) = load_model(home / "run"), load_model(tmp_path / "run")
    weights, same = (
        dict(model.network.named_parameters())  # type: ignore[union-attr]
        for model in (first, second)
    )
    assert weights and all(bool((weights[name] - same[name]).abs().max() < 1e-6) for name in weights)
    assert second.metadata["experiment"]["start_from"] == {"name": "curve_unet", "sha256": first.sha256}
    capsys.readouterr()
    assert main(["train", *again, *still, "--set", "start_from=general", "-o", str(tmp_path / "other")]) == 2
    said = capsys.readouterr().err
    assert "start_from: the weights of a segmentation model 'curve_unet' do not fit this network" in said
    assert not (tmp_path / "other").exists()


@pytest.fixture()
def chain(home: Path, tmp_path: Path) -> Path:
    """Three configurations, each of which starts from the one before."""
    quick = {**TRAINING["train"], "epochs": 1, "averaged_epochs": 0}  # type: ignore[dict-item]
    shutil.copytree(home / "corpus", tmp_path / "more")
    for name, corpus, start in (
        ("one", "corpus", None),
        ("two", "corpus", "one.yaml"),
        ("three", ["more", "corpus"], "two.yaml"),
    ):
        content = {
            **TRAINING,
            "name": name,
            "corpus": corpus,
            "train": quick,
            "n_plates": 3 if corpus == "corpus" else [2, 3],
        }
        content |= {"start_from": start} if start else {}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path


def test_a_training_starts_from_a_configuration(home: Path, chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, corpora = chain / "run", ["--corpus", str(chain / "more"), str(home / "corpus")]
    command = ["train", str(chain / "three.yaml"), *corpora, "-o", str(run), "--threads", "1", "--seed", "5"]
    assert main(command) == 0
    (last,), (two,), (one,) = (load_model(run / part) for part in (".", "first", "first/first"))
    assert last.metadata["experiment"]["start_from"]["sha256"] == two.sha256
    assert two.metadata["experiment"]["start_from"]["sha256"] == one.sha256
    assert "start_from" not in one.metadata["experiment"]
    assert [model.metadata["seed"] for model in (last, two, one)] == [5, 5, 5]
    assert [model.metadata["n_plates"] for model in (last, two, one)] == [5, 3, 3]
    (run / "model.safetensors").unlink()  # killed in its last part: the first ones are not made again
    made = {part: (run / part / "model.safetensors").stat().st_mtime_ns for part in ("first", "first/first")}
    assert main(command) == 0
    assert {part: (run / part / "model.safetensors").stat().st_mtime_ns for part in made} == made
    assert load_model(run)[0].sha256 == last.sha256
    capsys.readouterr()
    assert main([*command, "--set", "train.learning_rate=1e-4"]) == 2
    assert "choose another folder or add --overwrite" in capsys.readouterr().err
    assert main([*command, "--set", "train.learning_rate=1e-4", "--overwrite"]) == 0
    assert load_model(run)[0].sha256 != last.sha256


def test_a_configuration_that_cannot_come_first_is_refused(
    home: Path, chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--corpus", str(home / "corpus"), "-o", str(chain / "run"), "--threads", "1"]

    def refused(name: str, *more: str) -> str:
        assert main(["train", str(chain / f"{name}.yaml"), *arguments, *more]) == 2
        assert not (chain / "run").exists()
        return capsys.readouterr().err

    capsys.readouterr()
    assert "start_from: two.yaml starts from itself" in refused("two", "--set", "start_from=two.yaml")
    (chain / "one.yaml").write_text((chain / "two.yaml").read_text(encoding="utf-8").replace("one.yaml", "two.yaml"))
    assert "start_from: two.yaml starts from itself" in refused("two")
    (chain / "one.yaml").write_text(
        (chain / "two.yaml").read_text(encoding="utf-8").replace("corpus: corpus", "corpus: other")
    )
    assert "start_from: one.yaml trains on other, which is not in corpus here" in refused("two")
    assert "absent.yaml" in refused("two", "--set", "start_from=absent.yaml")
    with (
        spread_over(devices=2, strategy="ddp_spawn"),
        pytest.raises(ConfigError, match="processes that train together"),
    ):
        train_corpus.run(chain / "three.yaml", chain / "run", corpus=[chain / "more", home / "corpus"])


def test_a_model_of_two_corpora_knows_both(home: Path, tmp_path: Path) -> None:
    thick = {**CORPUS, "name": "thick", "plates": {**CORPUS["plates"], "thickness_mm": [30.0, 40.0]}}  # type: ignore[dict-item]
    shutil.copytree(home / "corpus", tmp_path / "thick")
    content = json.loads((tmp_path / "thick" / "corpus.json").read_text(encoding="utf-8"))
    content["config"] = CorpusConfig.model_validate(thick).model_dump(mode="json")
    (tmp_path / "thick" / "corpus.json").write_text(json.dumps(content), encoding="utf-8")
    both = ["--corpus", str(home / "corpus"), str(tmp_path / "thick")]
    numbers = ["--set", "n_plates=[2, 3]", "--set", "train.epochs=1", "--set", "train.validation_plates=2"]
    assert main(["train", str(home / "train.yaml"), "-o", str(tmp_path / "run"), *both, *numbers]) == 0
    (model,) = load_model(tmp_path / "run")
    assert model.metadata["n_plates"] == 5 and [part["name"] for part in model.metadata["corpora"]] == ["tiny", "thick"]
    known = read_sequence(home / "corpus" / "plate_00000.h5")
    for thickness_mm, lines in ((5.0, 0), (35.0, 0), (25.0, 1)):
        doubts = model_doubts((model,), replace(known, thickness_mm=thickness_mm))
        assert sum("thickness is" in line for line in doubts) == lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "train.yaml", "-o", "new", "--set", "n_plates=[1, 2]"], "1 corpora came and n_plates has 2 numbers"),
        (["simulate", "corpus.yaml", "-o", "new.h5"], "describes a corpus of random plates; say how many with -n"),
        (["simulate", "other.yaml", "-n", "3", "-o", "corpus"], "holds plates of another corpus (its seed differ)"),
        (["train", "train.yaml", "-o", "new", "--corpus", "nowhere"], "holds no corpus.json; make a corpus with"),
        (["train", "train.yaml", "-o", "new", "--set", "n_plates=9"], "holds 3 plates, n_plates asks for 9"),
        (["train", "train.yaml", "-o", "new", "--manifest", "x.yaml"], "the configuration trains on a corpus"),
        (["train", "train.yaml", "-o", "new", "--corpus", "broken"], "is no list of simulated plates"),
        (["train", "train.yaml", "-o", "new", "--corpus", "half"], "is half written: plate_00001.h5 is missing"),
        (
            ["train", "train.yaml", "-o", "new", "--set", "model.parameters.curve_width=[8]"],
            "no parameter 'curve_width'",
        ),
        (
            ["simulate", "corpus.yaml", "-n", "3", "-o", "corpus", "--overwrite"],
            "-n adds plates to a corpus and replaces",
        ),
        (["simulate", "single.yaml", "-n", "3", "-o", "new"], "describes one plate, -n counts those of a corpus"),
        (["cv", "train.yaml", "--manifest", "x.yaml", "-o", "new"], "describes a training on a corpus of simulated"),
        (["train", "single.yaml", "--corpus", "corpus", "-o", "new"], "--corpus is for trainings on simulated plates"),
        (
            [
                *("train", "train.yaml", "--corpus", "nowhere", "-o", "new", "--set", "model.name=unet"),
                *("--set", "model.parameters={encoder_weights: nowhere.pth}"),
            ],
            "encoder weights 'nowhere.pth' do not exist",  # before a corpus is read
        ),
    ],
)
def test_mistakes_are_one_line(
    home: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    (home / "other.yaml").write_text(yaml.safe_dump({**CORPUS, "seed": 4}), encoding="utf-8")
    (home / "single.yaml").write_text("plate: x.yaml\n", encoding="utf-8")
    (home / "broken").mkdir(exist_ok=True)
    (home / "broken" / "corpus.json").write_text("[]", encoding="utf-8")
    (home / "half").mkdir(exist_ok=True)
    content = (home / "corpus" / "corpus.json").read_text(encoding="utf-8")
    (home / "half" / "corpus.json").write_text(content, encoding="utf-8")
    (home / "half" / "plate_00000.h5").write_bytes((home / "corpus" / "plate_00000.h5").read_bytes())
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said
    assert not (home / "new").exists()
