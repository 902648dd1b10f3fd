"""Recordings as tasks of a Dask cluster: the results and the guarantees of a batch on one machine."""

from __future__ import annotations

import builtins
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_lab import check_index, json_lines, litter_of, make_recordings, results_of, start

from thermo_qc.cli import main
from thermo_qc.errors import ConfigError, InputError, MissingDependencyError, ModelError, OutputError, ThermoQCError
from thermo_qc.inspection import load_model
from thermo_qc.workflows import batch_cluster, predict
from thermo_qc.workflows.batch_cluster import TaskSettings, predict_task
from thermo_qc.workflows.batch_workers import WorkerSettings
from thermo_qc.workflows.lock import locked
from thermo_qc.workflows.predict_one import Job, Options

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.enable_socket  # of this machine only


@pytest.fixture(scope="module")
def batch(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "recordings"
    make_recordings(folder, lab / "first.h5", 4)
    return folder


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Two workers in threads of this process."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=logging.CRITICAL
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def settings(forest_run: Path, tmp_path: Path) -> Iterator[TaskSettings]:
    options = Options(output=tmp_path / "out", run_id="r", facts={})
    worker = WorkerSettings(
        model_path=forest_run,
        method=None,
        model_sha256=tuple(model.sha256 for model in load_model(forest_run)),
        options=options,
        threads=1,
        memory_bytes=2**30,
    )
    with locked(tmp_path / "out") as lock:
        yield TaskSettings(worker=worker, lock=lock)


def test_a_cluster_gives_the_results_of_one_process(
    scheduler: str, forest_run: Path, batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(batch)
    recordings = [Path("plate0.h5"), batch / "plate1.h5", Path("bad.h5"), Path("..") / batch.name / "plate2.h5"]
    results = predict.run(forest_run, recordings, tmp_path / "far", scheduler=scheduler)
    assert [bool(result.error) for result in results] == [False, False, True, False]
    assert [result.recording for result in results] == recordings and results[0].compute_s > 0
    assert "does not exist" in results[2].error
    predict.run(forest_run, recordings, tmp_path / "near")
    assert results_of(tmp_path / "far").keys() == results_of(tmp_path / "near").keys()
    for name, digest in results_of(tmp_path / "near").items():
        if name != "failures.csv":  # there the full path is named
            assert results_of(tmp_path / "far")[name] == digest, name
    again = predict.run(forest_run, recordings, tmp_path / "far", scheduler=scheduler)
    assert [result.skipped for result in again] == [True, True, False, True]
    check_index(tmp_path / "far")
    assert not litter_of(tmp_path / "far")


def test_what_another_process_damaged_is_done_again(
    scheduler: str, forest_run: Path, batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def lost_once(computed: Any, options: Options) -> Any:
        result = original(computed, options)
        if not written:
            (options.output / f"{result.stem}.h5").unlink()
        written.append(result.stem)
        return result

    original = batch_cluster.write
    monkeypatch.setattr(batch_cluster, "write", lost_once)
    recordings = sorted(batch.iterdir())[:2]
    results = predict.run(forest_run, recordings, tmp_path / "out", scheduler=scheduler)
    assert not any(result.error for result in results) and len(written) == 3
    assert len(list((tmp_path / "out").glob("*.h5"))) == 2


def test_tasks_of_a_run_that_lost_its_folder_write_nothing(
    settings: TaskSettings, batch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = settings.worker.options.output
    job = Job(number=0, recording=batch / "plate0.h5", stem="plate0")
    real = batch_cluster.compute

    def compute(*arguments: Any) -> Any:
        done = real(*arguments)
        (output / ".thermo-qc.lock").unlink()  # the run is over, another one may begin
        return done

    monkeypatch.setattr(batch_cluster, "compute", compute)
    with pytest.raises(OutputError, match="was taken from this run"):
        predict_task(job, settings)
    assert not list(output.glob("plate0*"))
    with pytest.raises(OutputError, match=r"does not see .* mount it under the same path"):
        predict_task(job, settings)


def test_a_worker_that_differs_is_refused(settings: TaskSettings, batch: Path) -> None:
    job = Job(number=0, recording=batch / "plate0.h5", stem="plate0")
    with pytest.raises(ThermoQCError, match=r"this run 0\.0\.1; install the same version"):
        predict_task(job, replace(settings, version="0.0.1"))
    with pytest.raises(ModelError, match="is another model on the worker"):
        predict_task(job, replace(settings, worker=replace(settings.worker, model_sha256=("0" * 64,))))


def test_an_error_of_the_cluster_ends_the_run(
    scheduler: str, forest_run: Path, batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_cluster, "_ready", lambda settings: (_ for _ in ()).throw(ModelError("another model")))
    with pytest.raises(ModelError, match="another model"):
        predict.run(forest_run, sorted(batch.iterdir()), tmp_path / "out", scheduler=scheduler)
    assert not (tmp_path / "out").exists()


def test_no_scheduler_and_no_workers(
    forest_run: Path, batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch_cluster, "WORKERS_S", 0.1)
    command = ["predict", str(forest_run), str(batch), "-o", str(tmp_path / "out"), "--scheduler"]
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with monkeypatch.context() as patch:
        patch.setattr(batch_cluster, "CONNECT_S", 0.3)  # nobody is there, however long one waits
        for address in (f"tcp://127.0.0.1:{port}", "nonsense://x"):
            assert main([*command, address]) == 2
            said = capsys.readouterr().err
            assert f"no Dask scheduler answers at {address}" in said and said.count("Traceback") == 0
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as cluster,
        pytest.raises(InputError, match="has no workers; start some"),
    ):
        predict.run(forest_run, [batch / "plate0.h5"], tmp_path / "out", scheduler=cluster.scheduler_address)
    assert not (tmp_path / "out").exists()


def test_options_that_exclude_one_another(forest_run: Path, batch: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--workers and --scheduler exclude one another"):
        predict.run(forest_run, [batch / "plate0.h5"], tmp_path / "out", workers=2, scheduler="tcp://x:1")


def test_without_dask_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "distributed":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r'--scheduler needs .*: pip install "dask\[distributed\]"'):
        batch_cluster.check_dask()


CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1") as cluster:
        print(cluster.scheduler_address, *(nanny.pid for nanny in cluster.workers.values()), flush=True)
        sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("victim", ["worker", "driver"])
def test_a_kill_costs_nothing(victim: str, forest_run: Path, lab: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    recordings = make_recordings(folder, lab / "first.h5", 8)
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=pipe, stdout=pipe, text=True, env=environment
    ) as cluster:
        assert cluster.stdout is not None
        address, *pids = cluster.stdout.readline().split()
        command = ["predict", forest_run, folder, "-o", out, "--scheduler", address, "--json"]
        process = start(*command)
        while process.poll() is None and not list(out.glob("*.h5")):
            time.sleep(0.005)
        os.kill(int(pids[0]) if victim == "worker" else process.pid, signal.SIGKILL)
        said, complained = process.communicate()
        if victim == "driver":
            process = start(*command)
            said, complained = process.communicate()
        assert process.returncode == 0, complained
        assert len(json_lines(said)) == 8
        cluster.communicate()  # the end of its input is its end
    predict.run(forest_run, recordings, tmp_path / "undisturbed")
    assert results_of(out) == results_of(tmp_path / "undisturbed")
    check_index(out)
    assert not litter_of(out)
