"""Whole training runs on tiny recordings."""

import csv
import math
import signal

import numpy as np
import pytest
import torch
from training_cases import NAMES, SMALL_UNET, assert_same_weights, build_experiment, make_case, run, weights

from thermo_qc.errors import ConfigError, TrainingError, UnknownNameError
from thermo_qc.models import load_trained
from thermo_qc.training import Case
from thermo_qc.training.history import read_history


def test_curve_network_learns_and_is_saved(cases, experiment, tmp_path, caplog):
    with caplog.at_level("INFO"):
        model = run(cases, experiment(epochs=8), tmp_path)
    probability = model.probabilities(cases[0].sequence)
    used = cases[0].labelled
    assert (probability.argmax(0) == cases[0].class_map)[used].mean() > 0.95
    again = load_trained(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.probabilities(cases[0].sequence), probability)
    assert again.metadata["scheme_name"] == "" and again.class_names == NAMES
    assert math.isnan(again.class_depths_mm[0]) and again.class_depths_mm[1:] == (1.0, 2.5)
    rows = read_history(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == list(range(8))
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert not (tmp_path / "checkpoints").exists()
    assert not caplog.records  # Lightning keeps quiet


def test_history_file_has_validation_figures(cases, experiment, tmp_path):
    run(cases[:1], experiment(), tmp_path, validation_cases=cases[1:])
    with (tmp_path / "history.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert header == [
        "epoch", "train_loss", "validation_loss", "validation_accuracy", "validation_balanced_accuracy",
        "validation_defect_iou", "validation_defect_f1", "learning_rate",
    ]  # fmt: skip


def test_same_seed_same_figures_and_no_trace_in_the_global_stream(cases, experiment, tmp_path):
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    settings = experiment(parameters={"dropout": 0.3})
    one = run(cases, settings, tmp_path / "one", seed=4)
    assert torch.equal(torch.rand(3), expected)
    assert_same_weights(one, run(cases, settings, tmp_path / "two", seed=4))
    assert one.sha256 == run(cases, settings, tmp_path / "two", seed=4).sha256
    other = run(cases, settings, tmp_path / "three", seed=5)
    assert not np.array_equal(weights(other)[next(iter(weights(one)))], next(iter(weights(one).values())))


@pytest.fixture(scope="module")
def plain_weights(tmp_path_factory):
    settings = build_experiment()
    return weights(run([make_case("a", 0), make_case("b", 1)], settings, tmp_path_factory.mktemp("plain")))


@pytest.mark.parametrize(
    "options",
    [
        {"losses": [{"name": "focal", "class_weights": "balanced", "gamma": 1.0}, {"name": "dice", "weight": 0.5}]},
        {"optimiser": {"name": "sgd", "learning_rate": 0.05, "l1": 1e-4}, "schedule": {"name": "plateau"}},
        {"class_balanced": True, "samples_per_epoch": 300, "gradient_clip": 0.5, "precision": "bf16-mixed"},
        {"sound_fraction": 0.5, "schedule": {"name": "step", "warmup_epochs": 2, "step_epochs": 1}},
        {"validation_fraction": 0.2, "early_stopping_epochs": 2, "batch_size": 300},
    ],
    ids=["losses", "l1_plateau", "balanced_clip_bf16", "sound_fraction", "held_out_pixels"],
)
def test_every_option_of_training_changes_the_outcome(cases, experiment, tmp_path, plain_weights, options):
    model = run(cases, experiment(**options), tmp_path / "with")
    first = next(iter(plain_weights))
    assert not np.array_equal(weights(model)[first], plain_weights[first])
    assert np.isfinite(model.probabilities(cases[0].sequence)).all()
    assert read_history(tmp_path / "with" / "history.csv")[-1]["train_loss"] > 0


def test_l1_penalty_makes_weights_smaller(cases, experiment, tmp_path):
    size = {}
    for l1 in (0.0, 0.05):
        model = run(cases, experiment(optimiser={"name": "adam", "l1": l1}), tmp_path / str(l1))
        size[l1] = sum(np.abs(value).sum() for value in weights(model).values() if value.ndim > 1)
    assert size[0.05] < 0.9 * size[0.0]


def test_learning_rate_follows_the_schedule(cases, experiment, tmp_path):
    schedule = {"name": "exponential", "gamma": 0.1, "warmup_epochs": 1, "minimum_factor": 0.05}
    run(cases, experiment(epochs=4, schedule=schedule), tmp_path)
    rates = [row["learning_rate"] for row in read_history(tmp_path / "history.csv")]
    assert rates == pytest.approx([0.0005, 0.001, 0.0001, 0.00005])


def test_early_stopping_keeps_the_best_epoch(cases, experiment, tmp_path):
    wrong = np.where(cases[1].labelled, 2 - cases[1].class_map, 255).astype(np.uint8)
    flipped = Case(key="v", sequence=cases[1].sequence, class_map=wrong)
    settings = experiment(epochs=12, early_stopping_epochs=2)
    model = run(cases[:1], settings, tmp_path, validation_cases=[flipped])  # learning only makes it worse
    rows = read_history(tmp_path / "history.csv")
    losses = [row["validation_loss"] for row in rows]
    best = int(np.argmin(losses))
    assert len(rows) == best + 3 < 12
    probability = model.probabilities(flipped.sequence)[:, flipped.labelled]
    picked = probability[flipped.class_map[flipped.labelled], np.arange(probability.shape[1])]
    assert -np.log(picked).mean() == pytest.approx(losses[best], rel=1e-3)


def test_forest(cases, experiment, tmp_path):
    settings = experiment("forest", "random_forest", {"n_trees": 5})
    model = run(cases, settings, tmp_path)
    assert (model.probabilities(cases[0].sequence).argmax(0) == cases[0].class_map)[cases[0].labelled].mean() > 0.9
    assert model.sha256 == run(cases, settings, tmp_path / "again").sha256
    with pytest.raises(UnknownNameError, match="did you mean 'n_trees'"):
        run(cases, experiment("forest", "random_forest", {"n_tree": 5}), tmp_path / "typo")


def test_segmentation_network(cases, experiment, tmp_path):
    settings = experiment("segmentation", "unet", SMALL_UNET, crop_px=16, samples_per_epoch=4, class_balanced=True)
    model = run(cases[:1], settings, tmp_path / "one", validation_cases=cases[1:])
    assert model.probabilities(cases[0].sequence).shape == (3, 24, 24)
    rows = read_history(tmp_path / "one" / "history.csv")
    assert len(rows) == 3 and all(math.isfinite(row["validation_loss"]) for row in rows)
    assert_same_weights(model, run(cases[:1], settings, tmp_path / "two", validation_cases=cases[1:]))


def test_segmentation_holds_out_whole_cases(cases, experiment, tmp_path):
    settings = experiment("segmentation", "unet", SMALL_UNET, epochs=1, validation_fraction=0.4)
    run(cases, settings, tmp_path / "two")
    assert "validation_loss" in read_history(tmp_path / "two" / "history.csv")[0]
    with pytest.raises(ConfigError, match=r"validation_fraction 0\.4 needs at least two cases .* there is 1"):
        run(cases[:1], settings, tmp_path / "one")


def test_progress_is_reported_to_a_function(cases, experiment, tmp_path):
    seen = []
    run(cases, experiment(), tmp_path, progress=lambda epoch, epochs, loss: seen.append((epoch, epochs, loss)))
    rows = read_history(tmp_path / "history.csv")
    assert seen == [(i + 1, 3, row["train_loss"]) for i, row in enumerate(rows)]


def test_progress_bar_is_shown_only_on_demand(cases, experiment, tmp_path, capsys):
    run(cases, experiment(epochs=1), tmp_path / "quiet")
    quiet = capsys.readouterr()
    assert quiet.out == "" and quiet.err == ""
    run(cases, experiment(epochs=1), tmp_path / "bar", progress=True)
    bar = capsys.readouterr()
    assert "Epoch" in bar.out + bar.err


def test_ctrl_c_stays_ctrl_c(cases, experiment, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(cases, experiment(), tmp_path, progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before


def test_threads_are_limited_inside_the_run_only(cases, experiment, tmp_path):
    before, inside = torch.get_num_threads(), []
    run(cases, experiment(epochs=1), tmp_path, threads=2, progress=lambda *_: inside.append(torch.get_num_threads()))
    assert inside == [2] and torch.get_num_threads() == before
    with pytest.raises(ConfigError, match="threads is 0, expected at least 1"):
        run(cases, experiment(), tmp_path / "none", threads=0)


def test_gaps_in_recordings_are_left_out(case, experiment, tmp_path, caplog):
    frames = np.array(case.sequence.frames)
    frames[:, 5, 5] = np.nan
    settings = experiment(epochs=1)
    changed = settings.representation.model_copy(update={"replace_dead": False})
    broken = Case(key="a", sequence=case.sequence.with_frames(frames, "gap"), class_map=case.class_map)
    model = run([broken], settings.model_copy(update={"representation": changed}), tmp_path)
    assert all(np.isfinite(value).all() for value in weights(model).values())
    assert "1 of 552 labelled pixels have gaps" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"early_stopping_epochs": 2}, ConfigError, "no validation loss to watch; set train.validation_fraction"),
        ({"precision": "16-mixed"}, ConfigError, "16-mixed, which needs a GPU; use 32-true or bf16-mixed"),
        ({"optimiser": {"name": "adamm"}}, UnknownNameError, "did you mean 'adam"),
        ({"schedule": {"name": "stp"}}, UnknownNameError, "did you mean 'step'"),
        ({"losses": [{"name": "dise"}]}, UnknownNameError, "did you mean 'dice'"),
        ({"losses": [{"class_weights": [1.0, 2.0]}]}, ConfigError, "2 numbers for 3 classes"),
        (
            {"optimiser": {"name": "sgd", "learning_rate": 1e12}},
            TrainingError,
            "training has diverged at learning rate .* lower train.optimiser.learning_rate",
        ),
    ],
)
def test_wrong_settings_are_refused(cases, experiment, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        run(cases, experiment(**change), tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_missing_data_is_refused(cases, experiment, tmp_path):
    with pytest.raises(TrainingError, match="there are no training cases"):
        run([], experiment(), tmp_path)
    with pytest.raises(TrainingError, match="class 'deep' has no training pixel in the cases a; add recordings"):
        run([make_case("a", n_classes=2)], experiment(), tmp_path)
    empty = Case(key="v", sequence=cases[0].sequence, class_map=np.full((24, 24), 255, np.uint8))
    with pytest.raises(TrainingError, match="validation cases hold no labelled pixel"):
        run(cases, experiment(), tmp_path, validation_cases=[empty])
    with pytest.raises(ConfigError, match="device 'cuda:9' cannot be used here"):
        run(cases, experiment(), tmp_path, device="cuda:9")
    with pytest.raises(ConfigError, match="device 'gpu' cannot be used here"):
        run(cases, experiment(), tmp_path, device="gpu")
