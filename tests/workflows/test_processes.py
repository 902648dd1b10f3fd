"""Jobs in processes of their own: results, messages, errors, and nothing that goes on when it should have ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from thermo_qc.errors import ConfigError, ThermoQCError
from thermo_qc.workflows.processes import run_side_by_side

Tell = Callable[[tuple[int, int]], None]

SCRIPT = """
import sys, time
from thermo_qc.workflows.processes import run_side_by_side

def write_on(job, tell):
    tell(job)
    while True:
        time.sleep(0.05)

if __name__ == "__main__":
    run_side_by_side(write_on, [1, 2], 2, lambda job: print("started", job, flush=True))
"""


def square(job: int, tell: Tell) -> tuple[int, int]:
    """Send a message, give the square and the process."""
    tell((job, os.getpid()))
    return job**2, os.getpid()


def fail_or_go_on(job: Path, tell: Tell) -> None:
    """Fail once the other one writes; the other one writes on until it is stopped."""
    if job.name == "bad":
        while not job.with_name("good").exists():
            time.sleep(0.02)
        raise ConfigError("job bad cannot run; give another")
    while True:
        job.write_text(str(time.monotonic()), encoding="utf-8")
        time.sleep(0.02)


def leave(job: int, tell: Tell) -> None:
    """Die without a word, as a process that the system kills."""
    os._exit(job)


def odd_result(job: int, tell: Tell) -> object:
    """Give what no other process can read."""
    return lambda: job


def broken(job: int, tell: Tell) -> None:
    """Fail by a mistake of the program."""
    raise ZeroDivisionError("oh")


def test_results_and_messages_arrive_in_order_from_processes_of_their_own() -> None:
    messages: list[tuple[int, int]] = []
    results = run_side_by_side(square, [3, 1, 2], 2, messages.append)
    assert [value for value, _ in results] == [9, 1, 4]
    processes = {process for _, process in results}
    assert len(processes) == 3 and os.getpid() not in processes
    assert sorted(messages) == sorted((job, process) for job, (_, process) in zip([3, 1, 2], results, strict=True))


@pytest.mark.parametrize(("jobs", "workers"), [([2, 3], 1), ([2], 2), ([], 2)])
def test_one_worker_or_job_needs_no_other_process(jobs: list[int], workers: int) -> None:
    messages: list[tuple[int, int]] = []
    assert run_side_by_side(square, jobs, workers, messages.append) == [(job**2, os.getpid()) for job in jobs]
    assert messages == [(job, os.getpid()) for job in jobs]


def test_an_error_stops_the_others_and_is_raised_here(tmp_path: Path) -> None:
    jobs = [tmp_path / "good", tmp_path / "bad"]
    with pytest.raises(ConfigError, match=r"^job bad cannot run; give another$"):
        run_side_by_side(fail_or_go_on, jobs, 2, print)
    last = jobs[0].read_bytes()
    time.sleep(0.3)
    assert jobs[0].read_bytes() == last


def test_a_mistake_brings_its_traceback_along() -> None:
    with pytest.raises(ZeroDivisionError, match="oh") as caught:
        run_side_by_side(broken, [1, 2], 2, print)
    assert "in broken" in "".join(caught.value.__notes__)


def test_a_process_that_dies_gives_one_clear_line() -> None:
    with pytest.raises(ThermoQCError, match=r"ended without a result \(exit code 7\), .* it continues$") as caught:
        run_side_by_side(leave, [7, 7], 2, print)
    assert "\n" not in str(caught.value)


def test_a_result_that_cannot_travel_is_an_error() -> None:
    with pytest.raises(Exception, match="pickle"):
        run_side_by_side(odd_result, [1, 2], 2, print)


def test_an_interrupt_stops_all(tmp_path: Path) -> None:
    def interrupt(message: tuple[int, int]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_side_by_side(square, [1, 2, 3, 4], 2, interrupt)


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_processes_end_when_their_parent_is_killed(tmp_path: Path, end: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert {parent.stdout.readline().strip() for _ in range(2)} == {"started 1", "started 2"}
        getattr(parent, end)()
        assert parent.communicate(timeout=30) == ("", None)  # the end of the output: nobody holds it open any more
