"""A process that dies costs nothing; a recording at which processes die is listed, and the others are done."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from thermo_qc.workflows import batch_workers
from thermo_qc.workflows.batch_workers import WorkerPool, WorkerSettings
from thermo_qc.workflows.predict_folder import Prediction
from thermo_qc.workflows.predict_one import Job, Options

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")


def mortal(pipe: Connection, settings: WorkerSettings) -> None:
    """Work that kills its process: always at a recording called deadly, at one called unlucky only the first time."""
    pipe.send(("ready",))
    while (job := pipe.recv()) is not None:
        kept = settings.options.output / job.stem
        first = not kept.exists()
        kept.touch()
        if job.stem == "deadly" or (job.stem == "unlucky" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        pipe.send(("computed", job.number))
        pipe.send(("done", job.number, Prediction(recording=job.recording, stem=job.stem)))


def _run(stems: list[str], folder: Path, n_workers: int) -> dict[str, str]:
    settings = WorkerSettings(
        model_path=folder,
        method=None,
        model_sha256=(),
        options=Options(output=folder, run_id="", facts={}),
        threads=1,
        memory_bytes=1,
    )
    errors: dict[str, str] = {}
    pool = WorkerPool(settings, n_workers)
    jobs = [Job(number=number, recording=folder / stem, stem=stem) for number, stem in enumerate(stems)]
    pool.run(jobs, lambda job, result: errors.update({job.stem: result.error}))
    pool.close()
    return errors


@pytest.mark.parametrize("n_workers", [1, 2])
def test_only_the_deadly_recording_fails(n_workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_workers, "_child", mortal)
    errors = _run(["good", "unlucky", "deadly", "better", "best"], tmp_path, n_workers)
    assert {stem for stem, error in errors.items() if not error} == {"good", "unlucky", "better", "best"}
    assert "killed by SIGKILL" in errors["deadly"] and "so did one before" in errors["deadly"]
    assert str(tmp_path / "deadly") in errors["deadly"] and "\n" not in errors["deadly"]


def test_the_last_recording_is_tried_again_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_workers, "_child", mortal)
    assert _run(["unlucky"], tmp_path, 1) == {"unlucky": ""}
