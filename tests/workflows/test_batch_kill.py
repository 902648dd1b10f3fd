"""Killed at random moments and started again, a run ends with the results of an undisturbed one, byte for byte.

A hundred kills of each verb: ``python -m pytest -m slow -n 0 -s tests/workflows/test_batch_kill.py``; the environment
variable ``THERMO_QC_KILL_ROUNDS`` changes the number. The many kills are of processes forked from one that has imported
everything, so that they meet a run at its work. Those of the short tests, but for one, are of the program as it is
started by hand.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from batch_lab import Forked, check_index, children_of, litter_of, make_recordings, results_of, start

from thermo_qc.cli import main
from thermo_qc.workflows import inspect, predict, watch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
N_RECORDINGS = 6
N_ROUNDS = int(os.environ.get("THERMO_QC_KILL_ROUNDS", "100"))
SHORT_S = 6.0  # in which a program that imports everything first does most of a run
CV_ENDINGS = {".h5", ".csv", ".json", ".safetensors"}
INSPECT_ENDINGS = {".h5", ".csv", ".png", ".json", ".html"}
VICTIMS = ("parent", "group", "worker")
Start = Callable[..., Any]
Once = Callable[["Disturber", int], None]


@dataclass(kw_only=True)
class Disturber:
    """Starts runs and kills them.

    `start` starts the program, which is killed up to `spread_s` after it has begun to write. The victim is the process
    itself, which leaves its workers to notice, all of them at once, or one worker, and the rest a little later.
    """

    start: Start
    spread_s: float
    rng: np.random.Generator
    victims: Counter[str] = field(default_factory=Counter)
    kills_a_run: int = 3

    def disturb(self, command: list[object], out: Path, victims: tuple[str, ...] = VICTIMS) -> None:
        """Start a command some times and kill it."""
        for _ in range(int(self.rng.integers(1, self.kills_a_run + 1))):
            process = self.start(*command)
            wait_for_first_file(process, out)
            victim = str(self.rng.choice(victims))
            if victim == "worker":
                self._kill_worker(process)
            time.sleep(self.rng.uniform(0, self.spread_s))
            self.victims[victim if process.poll() is None else "too late"] += 1
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL) if victim == "parent" else os.killpg(process.pid, signal.SIGKILL)
            process.kill()  # before it had a group of its own
            process.communicate()

    def _kill_worker(self, process: Any) -> None:
        time.sleep(self.rng.uniform(0, self.spread_s))
        for pid in children_of(process.pid)[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def repeat(self, verb: str, once: Once, rounds: int) -> None:
        """Disturb runs until so many kills have met one; `once` kills a run, lets it end, and checks it."""
        number = 0
        while self.n_kills < rounds:
            once(self, number)
            number += 1
            met = ", ".join(f"{count} {victim}" for victim, count in sorted(self.victims.items()))
            print(f"{verb}: {self.n_kills} kills ({met}), {number} runs ended like an undisturbed one", flush=True)

    @property
    def n_kills(self) -> int:
        """Kills that met a run at its work."""
        return self.victims.total() - self.victims["too late"]


def briefly(how: Start = start, spread_s: float = SHORT_S) -> Disturber:
    """One kill of the program."""
    return Disturber(start=how, spread_s=spread_s, rng=np.random.default_rng(), kills_a_run=1)


def at_length(command: list[object], out: Path) -> Disturber:
    """Many kills, spread over the time that a run takes from its first file on."""
    Forked("--version").communicate()  # imports everything
    process = Forked(*command)
    wait_for_first_file(process, out)
    started = time.monotonic()
    process.communicate()
    seconds = time.monotonic() - started
    print(f"\nan undisturbed run takes {seconds:.1f} s", flush=True)
    return Disturber(start=Forked, spread_s=seconds, rng=np.random.default_rng(N_ROUNDS))


def wait_for_first_file(process: Any, out: Path) -> None:
    """Wait until a run has begun to write."""
    while process.poll() is None and not (out.is_dir() and any(out.iterdir())):
        time.sleep(0.002)


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


def _disturb_predict(
    disturber: Disturber, forest_run: Path, batch: Path, expected: dict[str, str], folder: Path, rounds: int
) -> None:
    def once(killer: Disturber, number: int) -> None:
        out = folder / f"out{number}"
        command = _predict(forest_run, batch, out)
        killer.disturb(command, out)
        for path in out.glob("*.h5"):  # whatever has a name is whole
            assert results_of(out)[path.name] == expected[path.name]
        predict.run(forest_run, sorted(batch.iterdir()), out)
        assert results_of(out) == expected
        assert not litter_of(out)
        check_index(out)

    disturber.repeat("predict", once, rounds)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Criteria with a verdict for each recording, that say of no defect that it must be found: that takes time."""
    path = tmp_path_factory.mktemp("rules") / "criteria.yaml"
    path.write_text(
        yaml.safe_dump({"name": "none", "limits": [{"classes": ["surface defect"], "max_number": 0}]}),
        encoding="utf-8",
    )
    return path


def _inspect(forest_run: Path, batch: Path, out: Path, rules: Path, formats: str) -> list[object]:
    command = ["inspect", batch, "--model", forest_run, "-o", out, "--criteria", rules, "--format", formats]
    return [*command, "--workers", "2", "--threads", "1"]


def _inspect_here(forest_run: Path, batch: Path, out: Path, rules: Path, formats: str) -> None:
    named = [name for name in formats.split(",") if name]
    results = inspect.run(forest_run, sorted(batch.iterdir()), out, criteria=rules, formats=named)
    assert [result.verdict for result in results] == ["reject"] * N_RECORDINGS


def _inspection_results(out: Path) -> dict[str, str]:
    """Maps, tables, verdicts, records, pages."""
    found = results_of(out, INSPECT_ENDINGS)
    found.pop("run.json")
    return found


def _disturb_inspect(
    disturber: Disturber, forest_run: Path, batch: Path, rules: Path, folder: Path, rounds: int, formats: str
) -> None:
    _inspect_here(forest_run, batch, folder / "whole", rules, formats)
    expected = _inspection_results(folder / "whole")
    assert len(expected) == (6 if formats == "html" else 5) * N_RECORDINGS + 3

    def once(killer: Disturber, number: int) -> None:
        out = folder / f"inspected{number}"
        killer.disturb(_inspect(forest_run, batch, out, rules, formats), out)
        _inspect_here(forest_run, batch, out, rules, formats)
        assert _inspection_results(out) == expected
        assert not litter_of(out)
        check_index(out)

    disturber.repeat("inspect", once, rounds)


def _watch(inbox: Path, forest_run: Path, out: Path) -> list[object]:
    command = ["watch", inbox, "--model", forest_run, "-o", out, "--settle-s", "0.05", "--poll-s", "0.02"]
    return [*command, "--workers", "2", "--threads", "1"]


def _disturb_watch(disturber: Disturber, forest_run: Path, batch: Path, folder: Path, rounds: int) -> None:
    def once(killer: Disturber, number: int) -> None:
        inbox, out = folder / f"in{number}", folder / f"out{number}"
        inbox.mkdir()
        arrival = threading.Thread(target=_arrive, args=(batch, inbox, float(killer.rng.uniform(0, 0.3))))
        arrival.start()
        killer.disturb([*_watch(inbox, forest_run, out), "--until-idle", "600"], out)
        arrival.join()
        done = watch.run(
            inbox, forest_run, out, predict.work_for(forest_run), settle_s=0.05, poll_s=0.02, until_idle_s=0.1
        )
        assert done.n_done + done.n_skipped == N_RECORDINGS and not done.n_failed
        check_index(out)
        predict.run(forest_run, sorted(inbox.iterdir()), folder / f"whole{number}")
        assert results_of(out) == results_of(folder / f"whole{number}")
        assert not litter_of(out)

    disturber.repeat("watch", once, rounds)


def _arrive(batch: Path, inbox: Path, pause_s: float) -> None:
    for path in sorted(batch.iterdir()):
        shutil.copy(path, inbox / path.name)  # seen while it grows
        time.sleep(pause_s)


def _disturb_cv(disturber: Disturber, lab: Path, expected: dict[str, str], folder: Path, rounds: int) -> None:
    def once(killer: Disturber, number: int) -> None:
        out = folder / f"run{number}"
        killer.disturb(_cv(lab, out), out, ("group",))
        assert main([str(part) for part in _cv(lab, out)]) == 0
        assert _cv_results(out) == expected
        assert not litter_of(out)

    disturber.repeat("cv", once, rounds)


def _cv(lab: Path, out: Path) -> list[object]:
    return ["cv", lab / "cnn.yaml", "--manifest", lab / "manifest.yaml", "-o", out, "--threads", "1"]


def _cv_results(out: Path) -> dict[str, str]:
    found = results_of(out, CV_ENDINGS)
    found.pop("run.json")
    return found


@pytest.fixture(scope="module")
def undisturbed_cv(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Maps, tables, metrics and models of a cross-validation."""
    out = tmp_path_factory.mktemp("cv") / "run"
    assert main([str(part) for part in _cv(lab, out)]) == 0
    found = _cv_results(out)
    assert {"metrics.json", "holes.csv", "fold_0/model.safetensors", "predictions/first.h5"} <= set(found)
    return found


def test_sigkill_predict(forest_run: Path, batch: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    _disturb_predict(briefly(), forest_run, batch, undisturbed, tmp_path, rounds=1)


@pytest.mark.slow
def test_sigkill_inspect(forest_run: Path, batch: Path, rules: Path, tmp_path: Path) -> None:
    _disturb_inspect(briefly(Forked, 2.0), forest_run, batch, rules, tmp_path, rounds=1, formats=",")


def test_sigkill_watch(forest_run: Path, batch: Path, tmp_path: Path) -> None:
    _disturb_watch(briefly(), forest_run, batch, tmp_path, rounds=1)


def test_sigkill_cv(lab: Path, undisturbed_cv: dict[str, str], tmp_path: Path) -> None:
    _disturb_cv(briefly(), lab, undisturbed_cv, tmp_path, rounds=1)


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_sigkill_predict_many_times(forest_run: Path, batch: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    disturber = at_length(_predict(forest_run, batch, tmp_path / "timed"), tmp_path / "timed")
    _disturb_predict(disturber, forest_run, batch, undisturbed, tmp_path, rounds=N_ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_sigkill_inspect_many_times(forest_run: Path, batch: Path, rules: Path, tmp_path: Path) -> None:
    """Without pages: drawing them is most of the work."""
    disturber = at_length(_inspect(forest_run, batch, tmp_path / "timed", rules, ","), tmp_path / "timed")
    _disturb_inspect(disturber, forest_run, batch, rules, tmp_path, N_ROUNDS, ",")


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_sigkill_watch_many_times(forest_run: Path, batch: Path, tmp_path: Path) -> None:
    disturber = at_length([*_watch(batch, forest_run, tmp_path / "timed"), "--once"], tmp_path / "timed")
    _disturb_watch(disturber, forest_run, batch, tmp_path, rounds=N_ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_sigkill_cv_many_times(lab: Path, undisturbed_cv: dict[str, str], tmp_path: Path) -> None:
    disturber = at_length(_cv(lab, tmp_path / "timed"), tmp_path / "timed")
    _disturb_cv(disturber, lab, undisturbed_cv, tmp_path, rounds=N_ROUNDS)


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
