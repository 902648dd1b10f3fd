"""A folder of results while one run holds it: lock, record, tables and index round the work on recordings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from thermo_qc.errors import OutputError, ThermoQCError, interrupts_kept
from thermo_qc.inspection import load_model
from thermo_qc.io import partial_path, remove_partial, sha256_of
from thermo_qc.models import TrainedModel
from thermo_qc.workflows.lock import FolderLock, locked
from thermo_qc.workflows.predict_folder import Prediction, Tables, name_of, stored_results
from thermo_qc.workflows.predict_one import Finish, Job, Options, completed, compute, failure_of, open_recording, write
from thermo_qc.workflows.processes import stopped_by_terminate
from thermo_qc.workflows.run_folder import RunFolder, fingerprint_of, open_run, undone_if_refused
from thermo_qc.workflows.run_index import RunIndex

__all__ = ["BatchSession", "OnResult", "Runner", "RunsHere", "Work", "open_batch"]

log = logging.getLogger(__name__)

TABLES_S = 10.0  # how old the tables may be while a run goes on
SPARE_BYTES = 64 * 2**10

OnResult = Callable[[Job, Prediction], None]


class Runner(Protocol):
    """Whoever works on recordings: this process, processes beside it, or a cluster."""

    def run(self, jobs: Sequence[Job], on_result: OnResult) -> None:
        """Do all jobs; `on_result` is called in this process as each is done, in whatever order."""

    def close(self) -> None:
        """Let go of processes and connections."""


class Work(Protocol):
    """Makes a runner, once models, options and lock are there."""

    def __call__(self, models: tuple[TrainedModel, ...], options: Options, lock: FolderLock) -> Runner:
        """Make it."""


class RunsHere:
    """Predicts one recording after the other in this process.

    Parameters
    ----------
    models : tuple of TrainedModel
        Models that vote.
    options : Options
        Of the run.
    room_bytes : int
        Recordings with more frames stay in their files.
    raising : bool
        Raise what goes wrong instead of listing it.
    finish : callable, optional
        ``finish(result, options, reserve) -> result``: what else is done with every stored result.
    """

    def __init__(
        self,
        models: tuple[TrainedModel, ...],
        options: Options,
        room_bytes: int,
        *,
        raising: bool = False,
        finish: Finish | None = None,
    ) -> None:
        self._models, self._options, self._room_bytes = models, options, room_bytes
        self._raising, self._finish = raising, finish

    def run(self, jobs: Sequence[Job], on_result: OnResult) -> None:
        """Predict recordings."""
        for job in jobs:
            try:
                with interrupts_kept():
                    result = self._predict(job)
            except Exception as error:
                if self._raising:
                    raise
                result = failure_of(job, error)
            on_result(job, result)

    def close(self) -> None:
        """Nothing is held."""

    def _predict(self, job: Job) -> Prediction:
        opened = open_recording(job, self._options, self._fits)
        if not isinstance(opened, Prediction):
            opened = write(compute(opened, self._models, self._options), self._options)
        return completed(opened, self._options, self._finish, self._fits)

    def _fits(self, size_bytes: int) -> bool:
        return size_bytes <= self._room_bytes


class _Spare:
    """Room on the disk that is kept for the tables, so that they can say what a full disk has cost."""

    def __init__(self, folder: Path) -> None:
        self._path = partial_path(folder / "spare")
        with suppress(OSError):
            self._path.write_bytes(bytes(SPARE_BYTES))

    def release(self) -> None:
        """Give the room back."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


class BatchSession:
    """Results so far, in memory, in the tables and in the index; made by `open_batch`."""

    def __init__(
        self,
        folder: RunFolder,
        lock: FolderLock,
        options: Options,
        runner: Runner,
        on_progress: Callable[[Prediction], object] | None,
    ) -> None:
        self.folder, self.options = folder, options
        self.stored = stored_results(folder.path, options.run_id)
        self._lock, self._runner, self._on_progress = lock, runner, on_progress
        self._tables = Tables(folder, self.stored)
        self._index = RunIndex(folder.path)
        self._index.refresh()
        self._spare = _Spare(folder.path)
        self._written = time.monotonic()
        self._n_jobs = self._n_failed = 0

    def predict(self, names: Sequence[tuple[Path, str]], states: Mapping[Path, str] | None = None) -> list[Prediction]:
        """Predict recordings.

        Parameters
        ----------
        names : sequence of (Path, str)
            Each recording with the stem of its results, unless it has results under another one already.
        states : mapping, optional
            Of which state of a recording a failure speaks; kept in the run's record.

        Returns
        -------
        list of Prediction
            In the order of `names`.
        """
        first = self._n_jobs
        self._n_jobs += len(names)
        jobs = [
            Job(number=first + number, recording=recording, stem=name_of(recording, self.stored, name))
            for number, (recording, name) in enumerate(names)
        ]
        results: dict[int, Prediction] = {}

        def add(job: Job, result: Prediction) -> None:
            results[job.number] = result
            self._add(result, (states or {}).get(job.recording, ""))

        self._runner.run(jobs, add)
        self.write()
        return [results[job.number] for job in jobs]

    def _add(self, result: Prediction, state: str) -> None:
        if result.error:
            self._n_failed += 1
            log.error("%s", result.error)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._tables.add(result, state, time=now)
        self._index.note(result, time_of=now)
        if time.monotonic() - self._written > TABLES_S:
            self.write()
        if self._on_progress is not None:
            self._on_progress(result)

    def write(self) -> None:
        """Bring the tables up to date.

        Raises
        ------
        OutputError
            When somebody else has taken the folder; when tables cannot be written though all recordings could be done.
        """
        self._lock.check()
        self._written = time.monotonic()
        try:
            self._tables.write()
        except OutputError:
            self._spare.release()
            self.unless_failed(self._tables.write)
        self._index.flush()

    def unless_failed(self, write: Callable[[], object]) -> None:
        """Write something; where recordings have failed, a disk that is full ends the run no more than they did."""
        try:
            write()
        except OutputError as error:
            if not self._n_failed:
                raise
            log.error("%s; the next run writes it", error)

    def close(self) -> None:
        """Let go of what is kept."""
        self._spare.release()


@contextmanager
def open_batch(
    model_path: Path,
    output: Path,
    work: Work,
    *,
    method: str | None = None,
    overwrite: bool = False,
    device: str = "cpu",
    min_area_px: int = 4,
    region: Path | None = None,
    sound: Path | None = None,
    facts: dict[str, Any] | None = None,
    tta: bool = False,
    break_lock: bool = False,
    on_progress: Callable[[Prediction], object] | None = None,
) -> Iterator[BatchSession]:
    """Hold a folder of results while the block runs; parameters as of `thermo_qc.workflows.predict.run`.

    Parameters
    ----------
    work : Work
        Makes the runner.

    Yields
    ------
    BatchSession
        For any number of calls of `BatchSession.predict`. An interrupt leaves whole results and no litter.
    """
    models = load_model(model_path, method)
    identity = {
        "models": [model.sha256 for model in models],
        "facts": facts or {},
        "min_area_px": min_area_px,
        "region": "" if region is None else sha256_of(region),
        "sound": "" if sound is None else sha256_of(sound),
        **({"tta": True} if tta else {}),
    }
    fingerprint = fingerprint_of(identity)
    options = Options(
        output=output,
        run_id=fingerprint,
        device=device,
        min_area_px=min_area_px,
        region=region,
        sound=sound,
        facts=facts or {},
        redo=overwrite,
        tta=tta,
    )
    with stopped_by_terminate(), locked(output, break_lock=break_lock) as lock:
        folder = open_run(output, command="predict", fingerprint=fingerprint, overwrite=overwrite)
        with undone_if_refused(folder):
            folder.update(model=str(model_path), status="running", **identity)
            runner = work(models, options, lock)
            del models
            session = BatchSession(folder, lock, options, runner, on_progress)
            try:
                with interrupts_kept():
                    yield session
            except KeyboardInterrupt:
                runner.close()
                remove_partial(output)
                with suppress(ThermoQCError):  # the interrupt is what is told
                    session.write()
                raise
            finally:
                session.close()
                runner.close()
        session.unless_failed(folder.finish)
