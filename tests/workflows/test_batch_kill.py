"""Killed at random moments and started again, a batch ends with the results of an undisturbed one, byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from batch_lab import litter_of, make_recordings, results_of, start

from thermo_qc.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
N_RECORDINGS = 8


@pytest.fixture(scope="module")
def batch(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch") / "recordings"
    make_recordings(folder, lab / "first.h5", N_RECORDINGS)
    return folder


def _command(forest_run: Path, batch: Path, out: Path) -> list[object]:
    return ["predict", forest_run, batch, "-o", out, "--workers", "2", "--threads", "1"]


@pytest.fixture(scope="module")
def undisturbed(
    batch: Path, forest_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], float]:
    """Results of one run, and how long it took from the first result to the end."""
    out = tmp_path_factory.mktemp("whole") / "out"
    process = start(*_command(forest_run, batch, out))
    first = 0.0
    while process.poll() is None:
        if not first and out.is_dir() and any(out.glob("*.csv")):
            first = time.monotonic()
        time.sleep(0.005)
    assert process.returncode == 0, process.communicate()[1]
    process.communicate()
    found = results_of(out)
    assert len(found) == 3 * N_RECORDINGS + 1
    return found, time.monotonic() - first


def _kill(process: subprocess.Popen[str], out: Path, wait_s: float, whole_group: bool) -> bool:
    """Wait for the first results and then some more, and kill; whether it was still running."""
    while process.poll() is None and not (out.is_dir() and any(out.iterdir())):
        time.sleep(0.002)
    time.sleep(wait_s)
    running = process.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if whole_group else process.kill()
    process.communicate()
    return running


def _disturb(
    forest_run: Path, batch: Path, folder: Path, expected: dict[str, str], seconds: float, rounds: int
) -> tuple[int, int]:
    """Kill `rounds` times, each run continuing the one before; give kills, and runs that ended whole."""
    rng = np.random.default_rng(rounds)
    n_killed = n_whole = 0
    while n_killed < rounds:
        out = folder / f"out{n_whole}"
        command = _command(forest_run, batch, out)
        for _ in range(rng.integers(1, 4)):
            process = start(*command)
            n_killed += _kill(process, out, rng.uniform(0, seconds + 3), whole_group=bool(rng.integers(2)))
            for path in out.glob("*.h5"):  # whatever has a name is whole
                assert results_of(out)[path.name] == expected[path.name]
        assert main([str(part) for part in command]) == 0
        assert results_of(out) == expected
        assert not litter_of(out)
        n_whole += 1
        print(f"{n_killed} kills, {n_whole} runs ended byte for byte like the undisturbed one", flush=True)
    return n_killed, n_whole


def test_sigkill(forest_run: Path, batch: Path, undisturbed: tuple[dict[str, str], float], tmp_path: Path) -> None:
    n_killed, _ = _disturb(forest_run, batch, tmp_path, *undisturbed, rounds=3)
    assert n_killed >= 3


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_sigkill_a_hundred_times(
    forest_run: Path, batch: Path, undisturbed: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    n_killed, _ = _disturb(forest_run, batch, tmp_path, *undisturbed, rounds=100)
    assert n_killed >= 100


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_leaves_no_litter_and_is_continued(
    name: str, forest_run: Path, batch: Path, undisturbed: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    for attempt in range(6):  # on a busy machine a run may end before the signal gets there
        out = tmp_path / f"out{attempt}"
        process = start(*_command(forest_run, batch, out))
        while process.poll() is None and not (out.is_dir() and any(out.glob("*.h5"))):
            time.sleep(0.005)
        process.send_signal(getattr(signal, name))
        said = process.communicate()[1]
        if process.returncode != 0:
            break
    assert process.returncode == 130, said
    assert "interrupted" in said and "Traceback" not in said
    assert not litter_of(out)
    done = set(results_of(out)) - {"summary.csv"}
    table = (out / "summary.csv").read_text(encoding="utf-8")
    assert table.count("\n") - 1 <= len([path for path in done if path.endswith(".h5")])
    assert main([str(part) for part in _command(forest_run, batch, out)]) == 0
    assert results_of(out) == undisturbed[0]
