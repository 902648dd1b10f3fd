"""Jobs side by side, each in a process of its own that gives all its memory back and never outlives its parent."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pickle import PicklingError
from threading import Thread, current_thread, main_thread
from typing import Any, TypeVar

from thermo_qc.errors import ThermoQCError

__all__ = ["end_process", "end_with_parent", "how_it_ended", "run_side_by_side", "stopped_by_terminate"]

Job = TypeVar("Job")
Result = TypeVar("Result")
Message = TypeVar("Message")

_MESSAGE, _RESULT, _ERROR = "message", "result", "error"
_PATIENCE_S = 10.0  # for a process that is about to end


def run_side_by_side(
    function: Callable[[Job, Callable[[Message], None]], Result],
    jobs: Sequence[Job],
    workers: int,
    on_message: Callable[[Message], None],
) -> list[Result]:
    """Call a function for every job, several at a time.

    The first error stops all processes, and so does an interrupt; when this process is killed, the others end too.

    Parameters
    ----------
    function : callable
        ``function(job, tell)``, at the top of a module; what it gives to `tell` arrives at `on_message`. Jobs, messages
        and results must be picklable.
    jobs : sequence
        Started in this order.
    workers : int
        Processes at a time; below two, and for a single job, everything runs in this process.
    on_message : callable
        Called in this process.

    Returns
    -------
    list
        Results in the order of `jobs`.

    Raises
    ------
    ThermoQCError
        When a process ends without a result. What the function itself raises is raised here as well.
    """
    if workers < 2 or len(jobs) < 2:
        return [function(job, on_message) for job in jobs]
    waiting = list(enumerate(jobs))
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    results: dict[int, Result] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                position, job = waiting.pop(0)
                _start(function, job, position, running)
            ready = wait(list(running))
            for pipe in [one for one in running if one in ready]:
                position, process = running[pipe]
                kind, content = _receive(pipe, process)
                if kind == _MESSAGE:
                    on_message(content)
                elif kind == _ERROR:
                    raise content
                else:
                    results[position] = content
                    del running[pipe]
                    end_process(pipe, process)
    finally:
        _stop(running)
    return [results[position] for position in range(len(jobs))]


def _start(
    function: Callable[..., Any], job: Any, position: int, running: dict[Connection, tuple[int, SpawnProcess]]
) -> None:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs,))
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    running[ours] = position, process
    with suppress(BrokenPipeError, ConnectionResetError):  # it is gone already: the pipe says so when it is read
        ours.send((function, job))


def _receive(pipe: Connection, process: SpawnProcess) -> tuple[str, Any]:
    try:
        kind, content = pipe.recv()
    except (EOFError, OSError):
        process.join(_PATIENCE_S)
        raise ThermoQCError(
            f"a process ended without a result ({how_it_ended(process.exitcode)}), perhaps for want of memory; free "
            "some and give the same command again, it continues"
        ) from None
    return str(kind), content


def how_it_ended(exit_code: int | None) -> str:
    """Say by what a process ended."""
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


def end_process(pipe: Connection, process: SpawnProcess) -> None:
    """Wait for a process that has nothing more to do."""
    pipe.close()
    process.join(_PATIENCE_S)
    if process.is_alive():
        process.kill()
        process.join()
    process.close()


def _stop(running: dict[Connection, tuple[int, SpawnProcess]]) -> None:
    for _, process in running.values():
        process.terminate()
    for pipe, (_, process) in running.items():
        end_process(pipe, process)


def _child(pipe: Connection) -> None:
    """Run one job; what it needs is imported only after signals and the watch over the parent are set."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets the same interrupt and stops this process
    Thread(target=end_with_parent, daemon=True).start()
    try:
        function, job = pipe.recv()
        answer = _RESULT, function(job, lambda message: pipe.send((_MESSAGE, message)))
        pipe.send(answer)
    except BaseException as error:  # it is raised again in the parent
        if not isinstance(error, ThermoQCError):
            error.add_note(traceback.format_exc())
        with suppress(OSError):  # the parent is gone
            _send_error(pipe, error)


def _send_error(pipe: Connection, error: BaseException) -> None:
    try:
        pipe.send((_ERROR, error))
    except (PicklingError, TypeError, AttributeError):
        pipe.send((_ERROR, ThermoQCError(f"{type(error).__name__}: {error}")))


def end_with_parent() -> None:
    """End this process when its parent has ended; for a thread of its own."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def stopped_by_terminate() -> Iterator[None]:
    """Let SIGTERM do in the block what Ctrl-C does: raise `KeyboardInterrupt`, so that everything is cleaned up."""
    usable = current_thread() is main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if usable:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if usable:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
