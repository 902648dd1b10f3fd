"""Recordings as tasks of a Dask cluster, with the guarantees of a batch on one machine."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from thermo_qc import __version__
from thermo_qc.errors import InputError, MissingDependencyError, ModelError, OutputError, ThermoQCError
from thermo_qc.inspection.loading import absolute_model
from thermo_qc.models import TrainedModel
from thermo_qc.workflows.batch_session import OnResult
from thermo_qc.workflows.batch_workers import WorkerSettings
from thermo_qc.workflows.evaluate import set_threads
from thermo_qc.workflows.lock import FolderLock
from thermo_qc.workflows.predict_folder import Prediction, text_of
from thermo_qc.workflows.predict_one import Job, completed, compute, failure_of, open_recording, write
from thermo_qc.workflows.result_files import stamp_of

__all__ = ["Cluster", "TaskSettings", "check_dask", "predict_task"]

log = logging.getLogger(__name__)

CONNECT_S = 15.0
WORKERS_S = 60.0  # for the first worker
_PAUSE_S = 0.05
_QUIET_S = 60.0  # after so long without a result it is said when there are no workers
_models: dict[tuple[str, str | None, tuple[str, ...]], tuple[TrainedModel, ...]] = {}
_loading = Lock()


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """What every task needs: settings of a worker with absolute paths, the lock of the folder, the version."""

    worker: WorkerSettings
    lock: FolderLock
    version: str = __version__

    def fits(self, size_bytes: int) -> bool:
        """Whether frames of this size may be in memory."""
        return size_bytes <= self.worker.memory_bytes


def check_dask() -> None:
    """Refuse a scheduler where Dask is not installed.

    Raises
    ------
    MissingDependencyError
        With the pip line.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError('"dask[distributed]"', "--scheduler") from error


class Cluster:
    """Hands recordings to the workers of a scheduler.

    The folder's lock stays with this process. A worker writes only while the lock still is this run's, so that tasks of
    a run that was interrupted never mix with those of the next one. A recording whose worker dies is done by another
    one; one that brings down several workers is listed with its reason.

    Parameters
    ----------
    address : str
        Of the scheduler.
    settings : WorkerSettings
        Of the run.
    threads : int, optional
        Of PyTorch in every worker; 1 when None.
    lock : FolderLock
        Of the results' folder.

    Raises
    ------
    InputError
        When the scheduler cannot be reached, or has no workers.
    """

    def __init__(self, address: str, settings: WorkerSettings, threads: int | None, lock: FolderLock) -> None:
        options = settings.options
        absolute = replace(
            options,
            output=options.output.resolve(),
            region=None if options.region is None else options.region.resolve(),
            sound=None if options.sound is None else options.sound.resolve(),
        )
        model = absolute_model(settings.model_path)
        worker = replace(settings, options=absolute, threads=threads or 1, model_path=model)
        self._settings = TaskSettings(worker=worker, lock=replace(lock, path=lock.path.resolve()))
        self._client = _connect(address)
        self._address = address

    def run(self, jobs: Sequence[Job], on_result: OnResult) -> None:
        """Predict recordings; see `thermo_qc.workflows.batch_session.Runner`."""
        left = {job.number: job for job in jobs}
        for _ in range(2):  # a worker that was given up may have written once more and have died over it
            for number, result in self._done(list(left.values())):
                base = self._settings.worker.options.output / result.stem
                if result.error or stamp_of(base) is not None:
                    job = left.pop(number)
                    on_result(job, replace(result, recording=job.recording))
        for job in left.values():
            on_result(
                job, failure_of(job, OutputError(f"{job.recording}: its results were damaged by another process"))
            )

    def close(self) -> None:
        """Leave the cluster."""
        with suppress(OSError):
            self._client.close()

    def _done(self, jobs: Sequence[Job]) -> Any:
        """Give numbers and results as they are done."""
        from distributed import as_completed

        futures = {}
        for job in jobs:
            far = replace(job, recording=job.recording.resolve(), named=job.named or text_of(job.recording))
            future = self._client.submit(predict_task, far, self._settings, pure=False)
            futures[future] = job
        completed = as_completed(list(futures), loop=self._client.loop)
        heard = time.monotonic()
        try:
            while not completed.is_empty():
                if not completed.has_ready():
                    time.sleep(_PAUSE_S)
                    heard = self._listen(heard)
                    continue
                for future in completed.next_batch(block=False):
                    heard = time.monotonic()
                    job = futures.pop(future)
                    yield job.number, self._result(job, future)
        finally:
            if futures:
                with suppress(Exception):  # the scheduler may be what is gone
                    self._client.cancel(list(futures), force=True)

    def _listen(self, heard: float) -> float:
        """Say from time to time when nobody works; `ThermoQCError` once the scheduler is gone."""
        if self._client.status not in ("running", "connecting"):
            raise ThermoQCError(f"the scheduler at {self._address} is gone; give the same command again to continue")
        if time.monotonic() - heard < _QUIET_S:
            return heard
        if not self._client.scheduler_info(n_workers=-1)["workers"]:
            log.warning("the scheduler at %s has no workers any more; waiting for new ones", self._address)
        return time.monotonic()

    def _result(self, job: Job, future: Any) -> Prediction:
        if future.status == "finished":
            result: Prediction = future.result()
            return result
        if future.status != "error":
            raise ThermoQCError(
                f"the scheduler at {self._address} lost its tasks ({future.status}); give the same command again"
            )
        error = future.exception()
        if isinstance(error, ThermoQCError):
            raise error
        if type(error).__name__ != "KilledWorker":
            return failure_of(job, error)
        reason = f"{job.recording}: every worker that worked on it ended, perhaps for want of memory; crop it"
        return Prediction(recording=job.recording, stem=job.stem, error=reason)


def predict_task(job: Job, settings: TaskSettings) -> Prediction:
    """Predict one recording on a worker.

    Raises
    ------
    ThermoQCError
        When no recording can be done here: other version or model, folder not seen or taken by another run.
    """
    options = settings.worker.options
    models = _ready(settings)
    try:
        opened = open_recording(job, options, settings.fits)
        computed = opened if isinstance(opened, Prediction) else compute(opened, models, options)
        del opened
    except Exception as error:
        return failure_of(job, error)
    settings.lock.check()
    try:
        result = computed if isinstance(computed, Prediction) else write(computed, options)
        return completed(result, options, settings.worker.finish, settings.fits)
    except Exception as error:
        return failure_of(job, error)


def _ready(settings: TaskSettings) -> tuple[TrainedModel, ...]:
    """Check that this worker can do the run's work; its models."""
    worker, host = settings.worker, socket.gethostname()
    if settings.version != __version__:
        raise ThermoQCError(
            f"the worker on {host} has thermo_qc {__version__}, this run {settings.version}; install the same version"
        )
    folder = worker.options.output
    if not folder.is_dir() or not settings.lock.path.is_file():
        raise OutputError(
            f"the worker on {host} does not see {folder} as this run does; mount it under the same path there"
        )
    settings.lock.check()
    key = (str(worker.model_path), worker.method, worker.model_sha256)
    with _loading:
        if key not in _models:
            _models[key] = _load(worker.model_path, worker.method, worker.model_sha256)
            set_threads(worker.threads)
        return _models[key]


def _load(path: Path, method: str | None, wanted: tuple[str, ...]) -> tuple[TrainedModel, ...]:
    from thermo_qc.inspection import load_model

    models = load_model(path, method)
    if tuple(model.sha256 for model in models) != wanted:
        raise ModelError(f"{path} is another model on the worker {socket.gethostname()}; copy the run's model there")
    return models


def _connect(address: str) -> Any:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise InputError(
            f"no Dask scheduler answers at {address} ({reason}); start one (dask scheduler) or check the address"
        ) from error
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError as error:
        client.close()
        raise InputError(
            f"the scheduler at {address} has no workers; start some (dask worker {address} --nthreads 1)"
        ) from error
    return client
