"""Fine-tuning on one recording: what stays, what is compared, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from training_lab import little_lab

from thermo_qc.cli import main
from thermo_qc.inspection import load_model
from thermo_qc.models import load_trained
from thermo_qc.workflows.finetune_config import finetuning_experiment


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return little_lab(tmp_path_factory.mktemp("finetune"))


def metrics_of(run):
    return json.loads((run / "metrics.json").read_text())


def test_one_recording_is_enough_and_a_strip_of_it_validates(home, capsys):
    run = home / "strip"
    command = ["finetune", home / "start", home / "b.h5", "-o", run, "--epochs", "2", "--freeze", "all_but_head"]
    command += ["--set", "train.validation_fraction=0.4", "--set", "train.calibrate=temperature", "--seed", "3"]
    assert main([str(part) for part in command]) == 0
    assert "held out of training" in capsys.readouterr().out
    start, tuned = (load_trained(folder / "model.safetensors") for folder in (home / "start", run))
    assert tuned.class_names == start.class_names
    assert tuned.representation.to_metadata() == start.representation.to_metadata()
    for name, values in start.representation.arrays().items():
        np.testing.assert_array_equal(tuned.representation.arrays()[name], values)
    metrics = metrics_of(run)
    assert set(metrics["comparison"]) == {"data", "held_out"}
    assert metrics["temperature_scaling"]["temperature"] == tuned.temperature
    held, whole = (metrics["comparison"][group]["before"]["metrics"]["n_pixels"] for group in ("held_out", "data"))
    assert 0.3 * whole < held < 0.5 * whole
    assert metrics["seen_in_training"] == ["b"]
    for name in ("config.yaml", "history.csv", "holes.csv", "report.html", "predictions/b.h5"):
        assert (run / name).is_file()
    assert json.loads((run / "run.json").read_text())["status"] == "complete"
    assert len(tuned.metadata["training_sha256"]) == 2  # the start's recording counts as seen
    assert main([*map(str, command), "--resume"]) == 0
    assert load_trained(run / "model.safetensors").sha256 == tuned.sha256
    assert main([str(part) if part != run else str(home / "again") for part in command]) == 0
    assert load_trained(home / "again" / "model.safetensors").sha256 == tuned.sha256


def test_before_and_after_are_compared_on_other_recordings(home):
    run = home / "validated"
    command = [
        "finetune",
        home / "start",
        home / "list_b.yaml",
        "-o",
        run,
        "--epochs",
        "1",
        "--validate",
        home / "list_a.yaml",
    ]
    assert main([*map(str, command), "--learning-rate", "0.00001"]) == 0
    metrics = metrics_of(run)
    assert set(metrics["comparison"]) == {"data", "validation"}
    assert metrics["comparison"]["validation"]["keys"] == ["a"]
    assert metrics["pooled"] == metrics["comparison"]["validation"]["after"]["metrics"]
    assert (run / "predictions" / "a.h5").is_file() and not (run / "predictions" / "b.h5").exists()
    experiment = json.loads((run / "run.json").read_text())["experiment"]
    assert experiment["train"]["optimiser"]["learning_rate"] == 1e-5
    assert experiment["train"]["losses"][0]["class_weights"] == "balanced"  # as the model was trained


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "model.name=lstm"], "belong to the model that is fine-tuned; set keys under train"),
        (["--set", "representation.normalise=none"], "belong to the model"),
        (["--set", "train.epoch=3"], "did you mean 'epochs'"),
        (["--freeze", "heads"], "unknown WHAT 'heads'"),
        (["--truth", "mask.png"], "is a manifest, which names truth, plate and facts itself"),
        (["--set", "train.calibrate=temperature"], "nothing to calibrate on"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(home, capsys, options, message):
    run = home / "refused"
    command = ["finetune", str(home / "start"), str(home / "list_b.yaml"), "-o", str(run), *options]
    try:
        code = main(command)
    except SystemExit as error:
        code = error.code
    assert code == 2 and not run.exists()
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


@pytest.mark.parametrize(("name", "kept"), [("general", "freeze_statistics"), ("general_fine", "train")])
def test_statistics_stay_where_the_model_was_trained_with_them_kept(name, kept):
    (model,) = load_model(name)
    told = model.metadata["experiment"]
    assert told["train"]["freezing"]["batch_norm"] == "freeze_statistics"
    told = {**told, "train": {**told["train"], "freezing": {**told["train"]["freezing"], "batch_norm": kept}}}
    model = replace(model, metadata={**model.metadata, "experiment": told})
    built = finetuning_experiment(model, source=name, name="mine")
    assert built.train.transfer.batch_norm == kept and built.train.transfer.freeze == "none"
    asked = finetuning_experiment(model, source=name, name="mine", overrides=("train.transfer.batch_norm=train",))
    assert asked.train.transfer.batch_norm == "train"


def test_statistics_of_a_model_that_names_no_training_go_on_learning():
    (model,) = load_model("general")
    bare = replace(model, metadata={"experiment": {"corpus": "", "train": {"freezing": "nonsense"}}})
    for metadata in (bare.metadata, {}, {"experiment": "nonsense"}):
        built = finetuning_experiment(replace(model, metadata=metadata), source="x", name="mine")
        assert built.train.transfer.batch_norm == "train"


def test_precision_is_that_of_the_machine_at_hand():
    (model,) = load_model("general")
    assert model.metadata["experiment"]["train"]["precision"] == "bf16-mixed"
    built = finetuning_experiment(model, source="general", name="mine")
    assert built.train.precision == "32-true"
    asked = finetuning_experiment(model, source="general", name="mine", overrides=("train.precision=bf16-mixed",))
    assert asked.train.precision == "bf16-mixed"


def test_statistics_stay_in_a_further_fine_tuning_too():
    (model,) = load_model("general")
    first = finetuning_experiment(model, source="general", name="mine")
    tuned = replace(model, metadata={"experiment": first.model_dump(mode="json")})
    again = finetuning_experiment(tuned, source="mine", name="more")
    assert again.train.transfer.batch_norm == "freeze_statistics" and again.train.transfer.source == "mine"
    assert again.train.losses == first.train.losses
