"""Killed at random moments and started again, a run ends with the results of an undisturbed one, byte for byte.

A hundred kills of each verb: ``python -m pytest -m slow -n 0 -s tests/workflows/test_batch_kill.py``; the environment
variable ``THERMO_QC_KILL_ROUNDS`` changes the number, ``THERMO_QC_KILL_SPREAD_S`` the time after which they come at the
latest (on a slow machine more).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from batch_lab import check_index, litter_of, make_recordings, results_of, start

from thermo_qc.cli import main
from thermo_qc.workflows import predict, watch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
N_RECORDINGS = 6
N_ROUNDS = int(os.environ.get("THERMO_QC_KILL_ROUNDS", "100"))
SPREAD_S = float(os.environ.get("THERMO_QC_KILL_SPREAD_S", "6"))  # the time that most of a run takes
CV_ENDINGS = {".h5", ".csv", ".json", ".safetensors"}
Once = Callable[[np.random.Generator, int, int], int]


@pytest.fixture(scope="module")
def batch(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch") / "recordings"
    make_recordings(folder, lab / "first.h5", N_RECORDINGS)
    return folder


@pytest.fixture(scope="module")
def undisturbed(batch: Path, forest_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Results of one run in one process."""
    out = tmp_path_factory.mktemp("whole") / "out"
    predict.run(forest_run, sorted(batch.iterdir()), out)
    found = results_of(out)
    assert len(found) == 3 * N_RECORDINGS + 1
    return found


def _predict(forest_run: Path, batch: Path, out: Path) -> list[object]:
    return ["predict", forest_run, batch, "-o", out, "--workers", "2", "--threads", "1"]


def _kill(process: subprocess.Popen[str], out: Path, wait_s: float, whole_group: bool) -> bool:
    """Wait for the first file of a run and then some more, and kill; whether it was still running."""
    while process.poll() is None and not (out.is_dir() and any(out.iterdir())):
        time.sleep(0.002)
    time.sleep(wait_s)
    running = process.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if whole_group else process.kill()
    process.communicate()
    return running


def _disturb(once: Once, verb: str, rounds: int) -> None:
    """Kill until it was done `rounds` times; after some kills each, `once` lets the run end and checks it."""
    rng = np.random.default_rng(rounds)
    n_killed = n_whole = 0
    while n_killed < rounds:
        kills = int(rng.integers(1, 4)) if rounds > 2 else rounds
        n_killed += once(rng, n_whole, kills)
        n_whole += 1
        print(f"{verb}: {n_killed} kills, {n_whole} runs ended like an undisturbed one", flush=True)


def _disturb_predict(forest_run: Path, batch: Path, expected: dict[str, str], folder: Path, rounds: int) -> None:
    def once(rng: np.random.Generator, number: int, kills: int) -> int:
        out = folder / f"out{number}"
        command = _predict(forest_run, batch, out)
        n_killed = 0
        for _ in range(kills):
            process = start(*command)
            n_killed += _kill(process, out, rng.uniform(0, SPREAD_S), whole_group=bool(rng.integers(2)))
            for path in out.glob("*.h5"):  # whatever has a name is whole
                assert results_of(out)[path.name] == expected[path.name]
        assert main([str(part) for part in command]) == 0
        assert results_of(out) == expected
        assert not litter_of(out)
        check_index(out)
        return n_killed

    _disturb(once, "predict", rounds)


def _disturb_watch(forest_run: Path, batch: Path, folder: Path, rounds: int) -> None:
    def once(rng: np.random.Generator, number: int, kills: int) -> int:
        inbox, out = folder / f"in{number}", folder / f"out{number}"
        inbox.mkdir()
        arrival = threading.Thread(target=_arrive, args=(batch, inbox, float(rng.uniform(0, 1.5))))
        arrival.start()
        command = ["watch", inbox, "--model", forest_run, "-o", out, "--settle-s", "0.05", "--poll-s", "0.02"]
        n_killed = 0
        for _ in range(kills):
            process = start(*command, "--workers", "2", "--threads", "1", "--until-idle", "600")
            n_killed += _kill(process, out, rng.uniform(0, SPREAD_S), whole_group=bool(rng.integers(2)))
        arrival.join()
        done = watch.run(
            inbox, forest_run, out, predict.work_for(forest_run), settle_s=0.05, poll_s=0.02, until_idle_s=0.1
        )
        assert done.n_done + done.n_skipped == N_RECORDINGS and not done.n_failed
        check_index(out)
        predict.run(forest_run, sorted(inbox.iterdir()), folder / f"whole{number}")
        assert results_of(out) == results_of(folder / f"whole{number}")
        assert not litter_of(out)
        return n_killed

    _disturb(once, "watch", rounds)


def _arrive(batch: Path, inbox: Path, pause_s: float) -> None:
    for path in sorted(batch.iterdir()):
        shutil.copy(path, inbox / path.name)  # seen while it grows
        time.sleep(pause_s)


def _disturb_cv(lab: Path, expected: tuple[dict[str, str], float], folder: Path, rounds: int) -> None:
    whole, seconds = expected

    def once(rng: np.random.Generator, number: int, kills: int) -> int:
        out = folder / f"run{number}"
        n_killed = 0
        for _ in range(kills):
            process = start(*_cv(lab, out))
            n_killed += _kill(process, out, rng.uniform(0, seconds), whole_group=True)
        assert main([str(part) for part in _cv(lab, out)]) == 0
        assert _cv_results(out) == whole
        assert not litter_of(out)
        return n_killed

    _disturb(once, "cv", rounds)


def _cv(lab: Path, out: Path) -> list[object]:
    return ["cv", lab / "cnn.yaml", "--manifest", lab / "manifest.yaml", "-o", out, "--threads", "1"]


def _cv_results(out: Path) -> dict[str, str]:
    found = results_of(out, CV_ENDINGS)
    found.pop("run.json")
    return found


@pytest.fixture(scope="module")
def undisturbed_cv(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], float]:
    """Maps, tables, metrics and models of a cross-validation, and a time in which a process does most of one."""
    out = tmp_path_factory.mktemp("cv") / "run"
    started = time.monotonic()
    assert main([str(part) for part in _cv(lab, out)]) == 0
    found = _cv_results(out)
    assert {"metrics.json", "holes.csv", "fold_0/model.safetensors", "predictions/first.h5"} <= set(found)
    return found, time.monotonic() - started + 3.0


def test_sigkill_predict(forest_run: Path, batch: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    _disturb_predict(forest_run, batch, undisturbed, tmp_path, rounds=2)


def test_sigkill_watch(forest_run: Path, batch: Path, tmp_path: Path) -> None:
    _disturb_watch(forest_run, batch, tmp_path, rounds=1)


def test_sigkill_cv(lab: Path, undisturbed_cv: tuple[dict[str, str], float], tmp_path: Path) -> None:
    _disturb_cv(lab, undisturbed_cv, tmp_path, rounds=1)


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_sigkill_predict_many_times(forest_run: Path, batch: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    _disturb_predict(forest_run, batch, undisturbed, tmp_path, rounds=N_ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_sigkill_watch_many_times(forest_run: Path, batch: Path, tmp_path: Path) -> None:
    _disturb_watch(forest_run, batch, tmp_path, rounds=N_ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_sigkill_cv_many_times(lab: Path, undisturbed_cv: tuple[dict[str, str], float], tmp_path: Path) -> None:
    _disturb_cv(lab, undisturbed_cv, tmp_path, rounds=N_ROUNDS)


def test_an_interrupt_leaves_no_litter_and_is_continued(
    forest_run: Path, batch: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    """SIGINT here; SIGTERM, which takes the same way, in the test of the watching program."""
    for attempt in range(6):  # on a busy machine a run may end before the signal gets there
        out = tmp_path / f"out{attempt}"
        process = start(*_predict(forest_run, batch, out))
        while process.poll() is None and not (out.is_dir() and any(out.glob("*.h5"))):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
        if process.returncode != 0:
            break
    assert process.returncode == 130, said
    assert "interrupted" in said and "Traceback" not in said
    assert not litter_of(out)
    done = set(results_of(out)) - {"summary.csv"}
    table = (out / "summary.csv").read_text(encoding="utf-8")
    assert table.count("\n") - 1 <= len([path for path in done if path.endswith(".h5")])
    predict.run(forest_run, sorted(batch.iterdir()), out)
    assert results_of(out) == undisturbed
    check_index(out)
