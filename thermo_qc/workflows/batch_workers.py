"""Processes that predict recordings; one that dies costs the recording that it worked on, and is replaced."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from thermo_qc.errors import ModelError, ThermoQCError
from thermo_qc.workflows.predict_folder import Prediction
from thermo_qc.workflows.predict_one import Finish, Job, Options
from thermo_qc.workflows.processes import end_process, end_with_parent, how_it_ended

__all__ = ["WorkerPool", "WorkerSettings"]

AHEAD = 2  # recordings that a process has and has not computed: one is computed, one is read
MAX_FAILED_STARTS = 3  # in a row; one that something else killed is no reason to give up the night
_PATIENCE_S = 10.0
_READY, _COMPUTED, _DONE, _ERROR = "ready", "computed", "done", "error"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What every process needs.

    Parameters
    ----------
    model_path : Path
        Model file or run folder.
    method : str, optional
        Which run in it.
    model_sha256 : tuple of str
        Of the models that the run started with.
    options : Options
        Of the run.
    threads : int
        Of each process.
    memory_bytes : int
        Room for frames in each process.
    finish : callable, optional
        ``finish(result, options, reserve) -> result``: what else is done with every stored result; picklable.
    """

    model_path: Path
    method: str | None
    model_sha256: tuple[str, ...]
    options: Options
    threads: int
    memory_bytes: int
    finish: Finish | None = None


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    jobs: dict[int, Job] = field(default_factory=dict)  # not done
    ahead: set[int] = field(default_factory=set)  # of these not computed

    def takes(self, job: Job) -> bool:
        """Whether it may get a job now."""
        busy_alone = any(other.alone for other in self.jobs.values())
        return self.ready and not busy_alone and (not self.jobs if job.alone else len(self.ahead) < AHEAD)


class WorkerPool:
    """Processes that predict recordings; they start with the first ones and wait for more until they are closed.

    Parameters
    ----------
    settings : WorkerSettings
        For every process.
    n_workers : int
        Processes at most.
    """

    def __init__(self, settings: WorkerSettings, n_workers: int) -> None:
        self._settings, self._n_workers = settings, n_workers
        self._workers: list[_Worker] = []
        self._failed_starts = 0

    def run(self, jobs: Sequence[Job], on_result: Callable[[Job, Prediction], None]) -> None:
        """Predict recordings.

        Parameters
        ----------
        jobs : sequence of Job
            Started in this order.
        on_result : callable
            Called in this process as each recording is done, in whatever order that happens.

        Raises
        ------
        ThermoQCError
            When processes, one after the other, cannot start their work at all. What a process had when it died is
            tried once more, each alone; a recording at which a process dies then too is a result with a reason.
        """
        waiting = deque(jobs)
        n_left = len(jobs)
        try:
            while n_left:
                while len(self._workers) < min(self._n_workers, n_left):
                    self._workers.append(_start(self._settings))
                _hand_out(waiting, self._workers)
                by_pipe: dict[Any, _Worker] = {worker.pipe: worker for worker in self._workers}
                for pipe in wait(list(by_pipe)):
                    for job, result in self._listen(by_pipe[pipe], waiting):
                        n_left -= 1
                        on_result(job, result)
        except BaseException:
            for worker in self._workers:
                worker.process.kill()  # what it was writing has another name yet
            raise

    def close(self) -> None:
        """End the processes, which have nothing more to do."""
        for worker in self._workers:
            with suppress(OSError):
                worker.pipe.send(None)
        while self._workers:
            worker = self._workers.pop()
            end_process(worker.pipe, worker.process)

    def _listen(self, worker: _Worker, waiting: deque[Job]) -> list[tuple[Job, Prediction]]:
        """Take one message of a process; what is done by it."""
        message = _receive(worker)
        if message is None:
            self._workers.remove(worker)
            self._failed_starts = 0 if worker.ready else self._failed_starts + 1
            return _bury(worker, waiting, give_up=self._failed_starts == MAX_FAILED_STARTS)
        if message[0] == _READY:
            self._failed_starts = 0
        if message[0] != _DONE:
            return []
        worker.ahead.discard(message[1])
        return [(worker.jobs.pop(message[1]), message[2])]


def _hand_out(waiting: deque[Job], workers: list[_Worker]) -> None:
    """Give the next recordings to the processes that have the fewest."""
    while waiting:
        able = [worker for worker in workers if worker.takes(waiting[0])]
        if not able:
            return
        worker = min(able, key=lambda one: len(one.ahead))
        job = waiting.popleft()
        worker.jobs[job.number] = job
        worker.ahead.add(job.number)
        with suppress(OSError):  # it is gone: the pipe says so when it is read
            worker.pipe.send(job)


def _start(settings: WorkerSettings) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, settings), daemon=False)
    kept = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(settings.threads)))
    try:
        process.start()
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    theirs.close()
    return _Worker(process=process, pipe=ours)


def _receive(worker: _Worker) -> tuple[Any, ...] | None:
    """One message of a process, None when it has died."""
    try:
        message: tuple[Any, ...] = worker.pipe.recv()
    except (EOFError, OSError):
        return None
    if message[0] == _ERROR:
        raise message[1]
    if message[0] == _READY:
        worker.ready = True
    elif message[0] == _COMPUTED:
        worker.ahead.discard(message[1])
    return message


def _bury(worker: _Worker, waiting: deque[Job], *, give_up: bool) -> list[tuple[Job, Prediction]]:
    """Put back what a dead process had, each to be done alone; one at which a process dies then too has failed.

    A first death may be anybody's doing: somebody killed the process, or the system did for want of memory.
    """
    worker.process.join(_PATIENCE_S)
    how = how_it_ended(worker.process.exitcode)
    end_process(worker.pipe, worker.process)
    if not worker.ready and give_up:
        raise ThermoQCError(f"a worker process could not start ({how}); free memory or give fewer --workers")
    jobs = list(worker.jobs.values())
    if not all(job.alone for job in jobs):
        waiting.extendleft(replace(job, alone=True) for job in reversed(jobs))
        return []
    reason = (
        "the process that worked on it ended ({}), and so did one before, perhaps for want of memory; give fewer "
        "--workers or crop it"
    )
    return [
        (job, Prediction(recording=job.recording, stem=job.stem, error=f"{job.recording}: {reason.format(how)}"))
        for job in jobs
    ]


def _child(pipe: Connection, settings: WorkerSettings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets the same interrupt and stops this process
    Thread(target=end_with_parent, daemon=True).start()
    sending = Lock()

    def send(*message: Any) -> None:
        with sending:
            pipe.send(message)

    try:
        _work(pipe, settings, send)
    except ThermoQCError as error:
        with suppress(OSError):
            send(_ERROR, error)
    except (OSError, MemoryError) as error:
        with suppress(OSError):
            send(_ERROR, ThermoQCError(f"a worker process could not go on: {error}; free memory or disk"))


def _work(pipe: Connection, settings: WorkerSettings, send: Callable[..., None]) -> None:
    from thermo_qc.inspection import load_model
    from thermo_qc.workflows.batch_pipeline import Pipeline, Room
    from thermo_qc.workflows.evaluate import set_threads

    set_threads(settings.threads)
    models = load_model(settings.model_path, settings.method)
    if tuple(model.sha256 for model in models) != settings.model_sha256:
        raise ModelError(f"{settings.model_path} was changed while the run used it; give the command again")

    def next_job() -> Job | None:
        try:
            job: Job | None = pipe.recv()
        except EOFError:
            return None
        return job

    send(_READY)
    Pipeline(
        models,
        settings.options,
        Room(settings.memory_bytes),
        tell=lambda job, result: send(_DONE, job.number, result),
        computed=lambda job: send(_COMPUTED, job.number),
        finish=settings.finish,
    ).run(next_job)
