"""``thermo-qc predict``: defect maps of recordings with a trained model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from thermo_qc.errors import ConfigError, InputError
from thermo_qc.models import TrainedModel
from thermo_qc.workflows.batch_session import Runner, RunsHere, Work, open_batch
from thermo_qc.workflows.batch_workers import WorkerPool, WorkerSettings
from thermo_qc.workflows.cases import MEMORY_BYTES
from thermo_qc.workflows.evaluate import set_threads
from thermo_qc.workflows.lock import FolderLock
from thermo_qc.workflows.predict_folder import Prediction, check_apart, output_names
from thermo_qc.workflows.predict_one import Finish, Options

__all__ = ["Prediction", "output_names", "run", "work_for"]


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
    scheduler: str | None = None,
    memory_bytes: int | None = None,
    min_area_px: int = 4,
    region: Path | None = None,
    sound: Path | None = None,
    facts: dict[str, Any] | None = None,
    tta: bool = False,
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
    scheduler : str, optional
        Address of a Dask scheduler (``tcp://host:8786``), whose workers do the recordings instead; they must see
        models, recordings and `output` under the same paths.
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
    tta : bool
        Average over the eight turns and mirror images (segmentation models).
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
    work = work_for(
        model_path,
        method=method,
        threads=threads,
        workers=workers if workers is not None else int(batch),
        scheduler=scheduler,
        memory_bytes=memory_bytes,
        raising=len(recordings) == 1 and not batch,
    )
    with open_batch(
        model_path,
        output,
        work,
        method=method,
        overwrite=overwrite,
        device=device,
        min_area_px=min_area_px,
        region=region,
        sound=sound,
        facts=facts,
        tta=tta,
        break_lock=break_lock,
        on_progress=on_progress,
    ) as session:
        return session.predict(names)


def work_for(
    model_path: Path,
    *,
    method: str | None = None,
    threads: int | None = None,
    workers: int = 0,
    scheduler: str | None = None,
    memory_bytes: int | None = None,
    raising: bool = False,
    finish: Callable[[tuple[TrainedModel, ...]], Finish] | None = None,
) -> Work:
    """Say who will work on the recordings; parameters as of `run`.

    Parameters
    ----------
    raising : bool
        Without workers and scheduler: raise what goes wrong with a recording.
    finish : callable, optional
        ``finish(models)`` gives what else is done with every stored result, by whoever made it: picklable, called as
        ``(result, options, reserve) -> result``.

    Returns
    -------
    Work
        For `thermo_qc.workflows.batch_session.open_batch`.

    Raises
    ------
    ConfigError
        When options contradict one another.
    MissingDependencyError
        When a scheduler is named and Dask is not installed.
    """
    room = MEMORY_BYTES if memory_bytes is None else memory_bytes
    if scheduler is not None:
        from thermo_qc.workflows.batch_cluster import Cluster, check_dask

        if workers > 1:
            raise ConfigError("--workers and --scheduler exclude one another; the cluster's workers do the recordings")
        check_dask()

    def make(models: tuple[TrainedModel, ...], options: Options, lock: FolderLock) -> Runner:
        last = None if finish is None else finish(models)
        if scheduler is None and not workers:
            if threads is not None:
                set_threads(threads)
            return RunsHere(models, options, room, raising=raising, finish=last)
        settings = WorkerSettings(
            model_path=model_path,
            method=method,
            model_sha256=tuple(model.sha256 for model in models),
            options=options,
            threads=threads or max(1, (os.cpu_count() or 1) // max(1, workers)),
            memory_bytes=room // max(1, workers),
            finish=last,
        )
        return WorkerPool(settings, workers) if scheduler is None else Cluster(scheduler, settings, threads, lock)

    return make
