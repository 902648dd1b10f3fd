"""The verb audit: one method under folds that leak and folds that do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import pytest
import yaml

from thermo_qc.cli import main
from thermo_qc.evaluation.leakage import audit_sentence

KINDS = ("random_pixel", "defect", "acquisition", "plate")


@pytest.fixture(scope="module")
def audited(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished audit of a forest."""
    target = tmp_path_factory.mktemp("audit") / "out"
    assert main(_command(lab, target)) == 0
    return target


def _command(lab: Path, target: Path, *more: str, kinds: tuple[str, ...] = KINDS) -> list[str]:
    data = ("--manifest", str(lab / "manifest.yaml"), "--set", "model.parameters.n_trees=3", "folds.guard_mm=3")
    parts = ["audit", str(lab / "forest.yaml"), *data[:4], "--set", data[4], "-o", str(target), "--by", *kinds]
    return [*parts, *more]


def test_every_kind_is_a_run_folder_and_a_row(audited: Path) -> None:
    (method,) = json.loads((audited / "audit.json").read_text(encoding="utf-8"))["methods"]
    rows = {row["by"]: row for row in method["rows"]}
    assert list(rows) == ["random_pixel", "defect", "acquisition"]
    for kind, row in rows.items():
        metrics = json.loads((audited / "forest" / kind / "metrics.json").read_text(encoding="utf-8"))
        assert row["defect_f1"] == pytest.approx(metrics["pooled"]["defect_f1"])
        assert row["holes_total"] == len(metrics["holes"]) == 8
        assert (audited / "forest" / kind / "report.html").is_file()
    assert rows["defect"]["guard_mm"] == pytest.approx(3.0) and rows["acquisition"]["guard_mm"] is None
    assert rows["random_pixel"]["training_share"] == pytest.approx(0.5, abs=0.01)
    assert rows["defect"]["training_share"] < rows["random_pixel"]["training_share"]
    (left,) = method["left_out"]
    assert left["by"] == "plate" and "need at least 2 groups" in left["reason"]
    assert method["sentence"] == audit_sentence(method["rows"])
    assert len((audited / "audit.csv").read_text(encoding="utf-8").splitlines()) == 4


def test_page_says_sentence_rows_and_reasons(audited: Path) -> None:
    page = (audited / "report.html").read_text(encoding="utf-8")
    for text in ("Random pixels promise a defect F1", "need at least 2 groups", "3 mm", "data:image/png"):
        assert text in page


def test_an_audit_continues_and_takes_more_kinds(
    lab: Path, audited: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from thermo_qc.workflows import cv

    monkeypatch.setattr(cv, "train_fold", lambda *_, **__: pytest.fail("trained again"))
    assert main(_command(lab, audited, kinds=("random_pixel", "acquisition"))) == 0
    assert "random pixel" in capsys.readouterr().out


def test_unseen_recordings_are_scored_by_the_models_of_whole_recordings(lab: Path, audited: Path) -> None:
    shutil.copy(lab / "second.h5", lab / "elsewhere.h5")
    with h5py.File(lab / "elsewhere.h5", "a") as file:
        file.attrs["note"] = "another file"
    listed = yaml.safe_load((lab / "manifest.yaml").read_text(encoding="utf-8"))["recordings"][1]
    entry = {**listed, "key": "elsewhere", "recording": "elsewhere.h5"}
    (lab / "unseen.yaml").write_text(yaml.safe_dump({"recordings": [entry]}), encoding="utf-8")
    target = audited.with_name("unseen")
    shutil.copytree(audited, target)
    assert main(_command(lab, target, "--unseen", str(lab / "unseen.yaml"), kinds=("acquisition",))) == 0
    (method,) = json.loads((target / "audit.json").read_text(encoding="utf-8"))["methods"]
    metrics = json.loads((target / "forest" / "unseen" / "metrics.json").read_text(encoding="utf-8"))
    assert [row["by"] for row in method["rows"]] == ["acquisition", "unseen"]
    assert method["rows"][1]["defect_f1"] == pytest.approx(metrics["pooled"]["defect_f1"])
    assert method["rows"][1]["n_folds"] == 2 and method["rows"][1]["training_share"] is None
    shutil.rmtree(target / "forest" / "unseen")
    assert main(_command(lab, target, "--unseen", str(lab / "manifest.yaml"), kinds=("acquisition",))) == 0
    (method,) = json.loads((target / "audit.json").read_text(encoding="utf-8"))["methods"]
    assert "took part in training" in method["left_out"][0]["reason"]


def test_what_is_refused(lab: Path, audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = _command(lab, audited)
    assert main([*twice[:2], *twice[1:]]) == 2
    assert "two experiments are called 'forest'" in capsys.readouterr().err
    assert main(_command(lab, audited, "--seed", "77")) == 2
    assert "another configuration or other data" in capsys.readouterr().err


SCORES = {"accuracy": 0.9, "holes_found": 1, "holes_total": 1}


def test_sentences() -> None:
    random, block = ({"by": by, "defect_f1": f1, **SCORES} for by, f1 in (("random_pixel", 0.8), ("block", 0.6)))
    assert "25 %" in audit_sentence([random, block]) and "held-out blocks give 0.600" in audit_sentence([random, block])
    assert "no leak shows" in audit_sentence([random, {**block, "defect_f1": 0.79}])
    assert audit_sentence([block]).startswith("No random folds could be scored")
    assert "is not known" in audit_sentence([random, {**block, "defect_f1": None}])
