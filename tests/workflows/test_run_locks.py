"""Two trainings, cross-validations, evaluations or demos on one folder: the second says who has it, harms nothing."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from training_lab import little_lab

from thermo_qc.cli import main
from thermo_qc.errors import OutputError
from thermo_qc.workflows import cv
from thermo_qc.workflows.lock import LOCK, locked, locked_by_leader


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return little_lab(tmp_path_factory.mktemp("locks"))


def _hold(folder: Path, pid: int) -> bytes:
    owner = {
        "host": socket.gethostname(),
        "pid": pid,
        "started": "2020-01-01T00:00:00+00:00",
        "birth": "",
        "token": "x",
    }
    folder.mkdir(exist_ok=True)
    (folder / LOCK).write_text(json.dumps(owner), encoding="utf-8")
    (folder / "kept").write_text("by the other run", encoding="utf-8")
    return (folder / LOCK).read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        ["train", "start.yaml", "--manifest", "list_a.yaml"],
        ["cv", "start.yaml", "--manifest", "list_a.yaml"],
        ["finetune", "start", "list_b.yaml", "--epochs", "1"],
        ["evaluate", "start", "list_b.yaml"],
        ["demo"],
    ],
    ids=lambda command: command[0],
)
def test_a_folder_in_use_is_refused(
    command: list[str], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    lock = _hold(home / "held", os.getpid())
    assert main([*command, "-o", "held", "--overwrite"]) == 2
    said = capsys.readouterr().err
    assert f"held is in use by another run (process {os.getpid()} on {socket.gethostname()}, for " in said
    assert f"delete {Path('held') / LOCK} if that run is gone" in said and "--break-lock" not in said
    assert (home / "held" / LOCK).read_bytes() == lock
    assert sorted(path.name for path in (home / "held").iterdir()) == [LOCK, "kept"]


def test_a_training_holds_its_folder_and_leaves_it_free(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def validate(*_: object, **__: object) -> dict[str, object]:
        with pytest.raises(OutputError, match="in use by another run"), locked(tmp_path / "run"):
            pass
        seen.append((tmp_path / "run" / LOCK).is_file())
        raise OutputError("the disk is full")

    monkeypatch.setattr(cv, "_validate", validate)
    with pytest.raises(OutputError, match="the disk is full"):
        cv.run(home / "start.yaml", tmp_path / "run", manifest=home / "list_a.yaml", progress=False)
    assert seen == [True]
    assert not (tmp_path / "run").exists()  # the first result was not reached


@pytest.mark.parametrize("name", ["LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_of_processes_that_train_together_the_first_holds_the_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "0")
    with locked_by_leader(tmp_path):
        assert (tmp_path / LOCK).is_file()
        with pytest.raises(OutputError, match="in use"), locked_by_leader(tmp_path):
            pass
        monkeypatch.setenv(name, "1")
        with locked_by_leader(tmp_path):
            assert (tmp_path / LOCK).is_file()
        assert (tmp_path / LOCK).is_file()
    assert not list(tmp_path.iterdir())
