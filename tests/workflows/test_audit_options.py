"""The options of the verb audit, what it refuses, and going on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from thermo_qc.cli import main
from thermo_qc.workflows import audit, cv


def _command(lab: Path, target: Path, *more: str) -> list[str]:
    data = ("--manifest", str(lab / "manifest.yaml"), "--set", "model.parameters.n_trees=2")
    return ["audit", str(lab / "forest.yaml"), *data, "-o", str(target), *more]


def test_every_option_arrives(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def run(configs: Any, output: Path, **options: Any) -> dict[str, Any]:
        given.update(options, configs=configs, output=output)
        return {"methods": []}

    monkeypatch.setattr(audit, "run", run)
    more = ("--kinds", "block", "plate", "block", "-k", "4", "--resume", "--seed", "7", "--threads", "1")
    assert main(_command(lab, tmp_path / "out", *more)) == 0
    assert given["configs"] == [lab / "forest.yaml"] and given["kinds"] == ("block", "plate")
    assert given["overrides"] == ("model.parameters.n_trees=2", "folds.k=4")
    assert given["resume"] and not given["overwrite"] and (given["seed"], given["threads"]) == (7, 1)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--kinds", "plate"), "no kind of folds could be scored (plate: "),
        (("--kinds", "random_frame", "--set", "folds.inner_k=2"), "have no inner folds"),
        (("--kinds", "block", "--resume"), "no 'audit' run of this configuration and data to continue"),
        (("--kinds", "block", "--resume", "--overwrite"), "give one of them"),
    ],
)
def test_refused_in_one_line_and_nothing_left(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert main(_command(lab, tmp_path / "out", *more)) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("thermo-qc")]
    assert message in line
    assert not (tmp_path / "out").exists()  # the corrected command can start


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("-k", "1"), "'1' is not a whole number from 2"),
        (("--kinds", "blok"), "unknown KIND 'blok'; did you mean 'block'?"),
    ],
)
def test_wrong_words(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(_command(lab, tmp_path / "out", *more))
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_an_interrupted_audit_keeps_its_folds(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, train = tmp_path / "out", cv.train_fold
    command = _command(lab, target, "--kinds", "random_pixel", "-k", "2")

    def interrupted(experiment: Any, splits: Any, fold: int, *rest: Any, **options: Any) -> Any:
        if fold == 1:
            raise OSError("the power fails")
        return train(experiment, splits, fold, *rest, **options)

    monkeypatch.setattr("thermo_qc.report.build_report", lambda folder: folder)  # the runs' own pages cost most
    with monkeypatch.context() as patch:
        patch.setattr(cv, "train_fold", interrupted)
        with pytest.raises(OSError, match="the power fails"):
            audit.run([lab / "forest.yaml"], target, manifest=lab / "manifest.yaml", **_same(command))
    model = target / "forest" / "random_pixel" / "fold_0" / "model.safetensors"
    made = model.stat().st_mtime_ns
    assert main([*command, "--resume"]) == 0
    assert model.stat().st_mtime_ns == made
    (method,) = json.loads((target / "audit.json").read_text(encoding="utf-8"))["methods"]
    assert method["differences"] == [] and method["rows"][0]["n_folds"] == 2
    assert "Only random pixels could be scored" in method["sentence"]
    assert (target / "differences.csv").is_file()
    page = (target / "report.html").read_text(encoding="utf-8")
    assert "Folds by random pixel" in page and "2 folds on 2 recordings" in page


def _same(command: list[str]) -> dict[str, Any]:
    """Options of `audit.run` that a command gives."""
    return {"kinds": ("random_pixel",), "overrides": (command[command.index("--set") + 1], "folds.k=2")}
