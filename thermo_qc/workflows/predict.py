"""``thermo-qc predict``: defect maps of recordings with a trained model."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from thermo_qc.errors import InputError, ThermoQCError
from thermo_qc.inspection import load_model
from thermo_qc.io import sha256_of
from thermo_qc.models import TrainedModel
from thermo_qc.workflows.batch_workers import WorkerSettings, predict_side_by_side
from thermo_qc.workflows.cases import MEMORY_BYTES
from thermo_qc.workflows.evaluate import set_threads
from thermo_qc.workflows.lock import FolderLock, locked
from thermo_qc.workflows.predict_folder import (
    Prediction,
    Tables,
    check_apart,
    name_of,
    output_names,
    remove_litter,
    stored_results,
)
from thermo_qc.workflows.predict_one import Job, Options, compute, failure_of, open_recording, write
from thermo_qc.workflows.processes import stopped_by_terminate
from thermo_qc.workflows.run_folder import fingerprint_of, open_run, undone_if_refused

__all__ = ["Prediction", "output_names", "run"]

log = logging.getLogger(__name__)

TABLES_S = 10.0  # how old the tables may be while a run goes on


def run(
    model_path: Path,
    recordings: Sequence[Path],
    output: Path,
    *,
    method: str | None = None,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    workers: int | None = None,
    memory_bytes: int | None = None,
    min_area_px: int = 4,
    region: Path | None = None,
    sound: Path | None = None,
    facts: dict[str, Any] | None = None,
    batch: bool = False,
    break_lock: bool = False,
    on_progress: Callable[[Prediction], object] | None = None,
) -> list[Prediction]:
    """Predict every recording; of several, a bad one is listed with its reason and the others go on.

    Parameters
    ----------
    model_path : Path
        Model file or run folder (a ``cv`` run's folds act as an ensemble).
    recordings : sequence of Path
        Files or folders of frames, see `thermo_qc.workflows.recordings_found.find_recordings`.
    output : Path
        Folder for ``<stem>.h5``, ``.png``, ``.csv`` and the tables: ``summary.csv`` lists every result in the folder
        of the same models and options, ``failures.csv`` the recordings that none of the calls could do.
    method : str, optional
        Which run, when `model_path` holds several.
    overwrite : bool
        Redo everything and replace another run's results; otherwise results that are up to date are kept.
    device : str
        "cpu", "cuda" or "auto".
    threads : int, optional
        CPU threads of each process; with `workers` all cores are shared out when None.
    workers : int, optional
        Processes that work side by side; None: no processes but this one, unless `batch` (then one: a recording that
        brings down its process does not bring down the run).
    memory_bytes : int, optional
        For the frames of all recordings that are in memory at a time (2 GiB); larger ones stay in their files.
    min_area_px : int
        Smaller regions are no indications.
    region : Path, optional
        Mask image: only there are defects called.
    sound : Path, optional
        Mask image of a region known to be sound, for models that compare with one.
    facts : dict, optional
        What the files lack, see `thermo_qc.config.Facts`.
    batch : bool
        A single recording that fails is listed as well instead of being raised.
    break_lock : bool
        Take the output folder from another run that holds it.
    on_progress : callable, optional
        Called after each recording, in the order in which they are done.

    Returns
    -------
    list of Prediction
        In the order of `recordings`.

    Raises
    ------
    ThermoQCError
        When model, options or output folder cannot be used, or the only recording named.
    """
    if not recordings:
        raise InputError("no recording was named; give at least one file")
    names = output_names(recordings)
    check_apart(names, output)
    models = load_model(model_path, method)
    hashes = tuple(model.sha256 for model in models)
    identity = {
        "models": list(hashes),
        "facts": facts or {},
        "min_area_px": min_area_px,
        "region": "" if region is None else sha256_of(region),
        "sound": "" if sound is None else sha256_of(sound),
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
    )
    n_workers = workers if workers is not None else int(batch)
    room = MEMORY_BYTES if memory_bytes is None else memory_bytes
    with stopped_by_terminate(), locked(output, break_lock=break_lock) as lock:
        folder = open_run(output, command="predict", fingerprint=fingerprint, overwrite=overwrite)
        with undone_if_refused(folder):
            remove_litter(output)
            folder.update(model=str(model_path), status="running", **identity)
            stored = stored_results(output, fingerprint)
            jobs = [
                Job(number=number, recording=recording, stem=name_of(recording, stored, name))
                for number, (recording, name) in enumerate(names)
            ]
            collected = _Results(Tables(folder, stored), lock, on_progress)
            try:
                if n_workers:
                    settings = WorkerSettings(
                        model_path=model_path,
                        method=method,
                        model_sha256=hashes,
                        options=options,
                        threads=threads or max(1, (os.cpu_count() or 1) // n_workers),
                        memory_bytes=room // n_workers,
                    )
                    del models
                    predict_side_by_side(jobs, settings, n_workers, collected.add)
                else:
                    if threads is not None:
                        set_threads(threads)
                    raising = len(jobs) == 1 and not batch
                    _predict_here(jobs, models, options, room, collected.add, raising=raising)
            except KeyboardInterrupt:
                remove_litter(output)
                with suppress(ThermoQCError):  # the interrupt is what is told
                    collected.write()
                raise
            collected.write()
        folder.finish()
    return [collected.results[number] for number in range(len(jobs))]


class _Results:
    """What is done so far, in memory and in the tables."""

    def __init__(self, tables: Tables, lock: FolderLock, on_progress: Callable[[Prediction], object] | None) -> None:
        self.results: dict[int, Prediction] = {}
        self._tables, self._lock, self._on_progress = tables, lock, on_progress
        self._written = time.monotonic()

    def add(self, job: Job, result: Prediction) -> None:
        """Take the result of one recording."""
        if result.error:
            log.error("%s", result.error)
        self.results[job.number] = result
        self._tables.add(result)
        if time.monotonic() - self._written > TABLES_S:
            self.write()
        if self._on_progress is not None:
            self._on_progress(result)

    def write(self) -> None:
        """Bring the tables up to date."""
        self._lock.check()
        self._tables.write()
        self._written = time.monotonic()


def _predict_here(
    jobs: Sequence[Job],
    models: tuple[TrainedModel, ...],
    options: Options,
    room_bytes: int,
    on_result: Callable[[Job, Prediction], None],
    *,
    raising: bool,
) -> None:
    """Predict one recording after the other in this process."""
    for job in jobs:
        try:
            opened = open_recording(job, options, lambda size: size <= room_bytes)
            result = opened if isinstance(opened, Prediction) else write(compute(opened, models, options), options)
            del opened
        except Exception as error:
            if raising:
                raise
            result = failure_of(job, error)
        on_result(job, result)
