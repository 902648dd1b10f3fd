from __future__ import annotations

import json
from pathlib import Path

import pytest

from thermo_qc.errors import InputError, ModelError, UnknownNameError
from thermo_qc.inspection import load_model
from thermo_qc.inspection.loading import absolute_model


@pytest.fixture
def save(make_model, tmp_path):
    """Save a model under a path below the test's folder."""

    def put(where: str, **choices):
        model = make_model(**choices)
        model.save(tmp_path / where / "model.safetensors")
        return model.sha256

    return put


def record(folder, **content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(content))


def test_a_model_file_and_a_training_run(save, tmp_path):
    digest = save("run")
    record(tmp_path / "run", status="complete", command="train")
    for path in (tmp_path / "run", tmp_path / "run" / "model.safetensors", str(tmp_path / "run")):
        assert [model.sha256 for model in load_model(path)] == [digest]
    assert load_model(tmp_path / "run", "run")[0].sha256 == digest


def test_the_folds_of_a_cross_validation_in_order(save, tmp_path):
    digests = {fold: save(f"cv/fold_{fold}", seed=fold) for fold in (10, 0, 2)}
    (tmp_path / "cv" / "fold_notes").mkdir()
    assert [model.sha256 for model in load_model(tmp_path / "cv")] == [digests[0], digests[2], digests[10]]


def test_models_joined_by_plus_vote_together(save, tmp_path, monkeypatch):
    first, second = save("one", seed=1), save("other+run", seed=2)
    folds = [save(f"cv/fold_{fold}", seed=3 + fold) for fold in (0, 1)]
    monkeypatch.chdir(tmp_path)
    assert [model.sha256 for model in load_model("one+cv")] == [first, *folds]
    assert [model.sha256 for model in load_model("other+run")] == [second]  # what exists is one model
    assert [model.name for model in load_model("general+general_fine")] == ["curve_unet", "curve_unet"]
    assert absolute_model(Path("general+one")) == Path(f"general+{tmp_path / 'one'}")
    assert absolute_model(Path("general")) == Path("general")
    with pytest.raises(InputError, match="names 2 models; leave the method 'x' out"):
        load_model("one+cv", "x")
    for wrong in ("one+", "one+nowhere"):
        with pytest.raises(InputError, match="does not exist; name a model file"):
            load_model(wrong)


def test_a_method_of_a_demo(save, tmp_path):
    first, second = save("demo/runs/unet/fold_0", seed=1), save("demo/runs/lstm/fold_0", seed=2)
    (tmp_path / "demo" / "data").mkdir()
    record(tmp_path / "demo", status="complete", command="demo")
    assert load_model(tmp_path / "demo", "unet")[0].sha256 == first
    assert load_model(tmp_path / "demo", "lstm")[0].sha256 == second
    assert load_model(tmp_path / "demo" / "runs", "lstm")[0].sha256 == second
    with pytest.raises(InputError, match="holds several runs: lstm, unet; choose one with --method"):
        load_model(tmp_path / "demo")
    with pytest.raises(UnknownNameError, match="has no run 'unett'; did you mean 'unet'"):
        load_model(tmp_path / "demo", "unett")


def test_paths_without_a_model_are_refused(save, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_model(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"holds no model\.safetensors and no folds"):
        load_model(tmp_path / "empty")
    save("run")
    with pytest.raises(InputError, match="holds a single run; leave the method 'unet' out"):
        load_model(tmp_path / "run", "unet")
    with pytest.raises(InputError, match="is a single model file"):
        load_model(tmp_path / "run" / "model.safetensors", "unet")


def test_unfinished_and_broken_runs_are_refused(save, tmp_path):
    save("cv/fold_0")
    (tmp_path / "cv" / "fold_1").mkdir()
    with pytest.raises(ModelError, match=r"fold_1 has no model\.safetensors; finish the cross-validation"):
        load_model(tmp_path / "cv")
    save("cv/fold_1")
    record(tmp_path / "cv", status="running", command="cv")
    with pytest.raises(ModelError, match="holds a cv run that is not finished"):
        load_model(tmp_path / "cv")
    (tmp_path / "cv" / "run.json").write_text("{")
    with pytest.raises(ModelError, match=r"run\.json is broken"):
        load_model(tmp_path / "cv")
    (tmp_path / "cv" / "run.json").unlink()
    (tmp_path / "cv" / "fold_1" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="is damaged"):
        load_model(tmp_path / "cv")


def test_folds_with_different_classes_are_refused(save, tmp_path):
    save("cv/fold_0")
    save("cv/fold_1", class_names=("sound", "defect"))
    with pytest.raises(ModelError, match="folds have different classes"):
        load_model(tmp_path / "cv")
