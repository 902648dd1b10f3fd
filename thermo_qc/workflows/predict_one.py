"""One recording in three steps: read it, compute its map, write its results."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import InputError, OutputError, ThermoQCError
from thermo_qc.indications import Indication, find_indications, indications_to_csv
from thermo_qc.inspection import DefectMap, predict_sequence, write_defect_map
from thermo_qc.io import read_region, read_sequence, sha256_of
from thermo_qc.io.files import is_there
from thermo_qc.io.sidecar import sidecar_candidates
from thermo_qc.models import TrainedModel
from thermo_qc.report.marks import shortened
from thermo_qc.report.pictures import draw_prediction
from thermo_qc.sequence import IGNORE_LABEL, ThermalSequence
from thermo_qc.workflows.cases import check_frames, frames_bytes
from thermo_qc.workflows.plate_place import plate_matrix_text
from thermo_qc.workflows.predict_folder import ENDINGS, Prediction, attributes_of, check_free, finished, text_of
from thermo_qc.workflows.scoring import representative_frame

__all__ = [
    "DRAWING",
    "Computed",
    "Finish",
    "Job",
    "Opened",
    "Options",
    "completed",
    "compute",
    "failure_of",
    "open_recording",
    "state_of",
    "write",
]

log = logging.getLogger(__name__)
DRAWING = Lock()  # pictures of two threads of one process (workers of a cluster) are not safe from one another

TITLE_CHARACTERS = 60
Reserve = Callable[[int], bool]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is the same for all recordings of a run.

    Parameters
    ----------
    output : Path
        Folder of the results.
    run_id : str
        Fingerprint of models and options.
    device : str
        "cpu", "cuda" or "auto".
    min_area_px : int
        Smaller regions are no indications.
    region, sound : Path, optional
        Mask images.
    tta : bool
        Average over turns and mirror images.
    facts : dict
        What the files lack.
    redo : bool
        Compute also what is up to date.
    """

    output: Path
    run_id: str
    device: str = "cpu"
    min_area_px: int = 4
    region: Path | None = None
    sound: Path | None = None
    facts: dict[str, Any]
    redo: bool = False
    tta: bool = False


# What else is done with every stored result before it is told of; `Reserve` says whether frames may be in memory.
Finish = Callable[[Prediction, Options, Reserve], Prediction]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One recording to do: its place in the list, and the stem of its results.

    `alone`: without another one beside. `named`: how it was named, where `recording` is another way to the same file.
    """

    number: int
    recording: Path
    stem: str
    alone: bool = False
    named: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A recording that was read."""

    job: Job
    sequence: ThermalSequence
    digest: str
    facts_digest: str
    state: tuple[Any, ...]
    region: NDArray[np.bool_] | None
    sound: NDArray[np.bool_] | None
    read_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Computed:
    """A map that waits to be written; the frames are no longer needed."""

    job: Job
    prediction: DefectMap
    frame: NDArray[Any]
    time_s: float
    unit: str
    is_rise: bool
    indications: tuple[Indication, ...]
    facts_digest: str
    specimen_id: str
    plate_matrix: str
    read_s: float
    compute_s: float


def open_recording(job: Job, options: Options, reserve: Reserve = lambda size: True) -> Opened | Prediction:
    """Read a recording, unless its results are there and up to date.

    Parameters
    ----------
    job : Job
        Which.
    options : Options
        Of the run.
    reserve : callable
        ``reserve(bytes) -> bool`` waits until there is room for the frames; False: they have to stay in their file.

    Raises
    ------
    ThermoQCError, OSError, MemoryError
        When it cannot be read.
    """
    start = time.perf_counter()
    recording, base = job.recording, options.output / job.stem
    if not options.redo:
        check_free(base, options.output, recording, options.run_id)
    state = state_of(recording)
    digest, facts_digest = sha256_of(recording), _facts_digest(recording)
    done = None if options.redo else finished(base, options.output, options.run_id, digest, facts_digest)
    if done is not None:
        return Prediction(
            recording=recording,
            stem=job.stem,
            n_indications=done.n_indications,
            defect_fraction=done.defect_fraction,
            warnings=done.warnings,
            skipped=True,
        )
    sequence = read_sequence(recording, **options.facts)
    if reserve(frames_bytes(sequence)):
        sequence = sequence.loaded()
    check_frames(sequence, str(recording))
    shape = sequence.frame_shape
    opened = Opened(
        job=job,
        sequence=sequence,
        digest=digest,
        facts_digest=facts_digest,
        state=state,
        region=None if options.region is None else read_region(options.region, shape),
        sound=None if options.sound is None else read_region(options.sound, shape),
        read_s=time.perf_counter() - start,
    )
    _check_unchanged(opened)
    return opened


def compute(opened: Opened, models: tuple[TrainedModel, ...], options: Options) -> Computed:
    """Predict a recording and find its indications."""
    start = time.perf_counter()
    sequence = opened.sequence
    prediction = predict_sequence(
        models,
        sequence,
        device=options.device,
        region=opened.region,
        sound_mask=opened.sound,
        tta=options.tta,
        input_sha256=opened.digest,
    )
    frame, time_s = representative_frame(sequence)
    indications = find_indications(
        prediction.class_map,
        prediction.probability,
        class_names=prediction.class_names,
        depth_mm=prediction.depth_mm,
        pixel_pitch_mm=prediction.pixel_pitch_mm,
        signal=frame,
        min_area_px=options.min_area_px,
    )
    _check_unchanged(opened)  # frames may still have come from the file
    is_rise = bool((sequence.times_s < 0).any())
    return Computed(
        job=opened.job,
        prediction=prediction,
        frame=np.array(frame),
        time_s=time_s,
        unit="counts" if sequence.unit == "counts" else ("K" if is_rise else {"K": "K", "degC": "°C"}[sequence.unit]),
        is_rise=is_rise,
        indications=indications,
        facts_digest=opened.facts_digest,
        specimen_id=sequence.specimen_id,
        plate_matrix=plate_matrix_text(sequence),
        read_s=opened.read_s,
        compute_s=time.perf_counter() - start,
    )


def write(computed: Computed, options: Options) -> Prediction:
    """Write table, picture and, last, the map; a map that is there goes first, so that no two belong to two states."""
    start = time.perf_counter()
    job, prediction = computed.job, computed.prediction
    base = options.output / job.stem
    table, picture, stored = (base.with_name(base.name + ending) for ending in ENDINGS)
    count, fraction = len(computed.indications), _defect_fraction(prediction)
    attributes = attributes_of(
        job.recording,
        options.run_id,
        n_indications=count,
        defect_fraction=fraction,
        facts_digest=computed.facts_digest,
        specimen_id=computed.specimen_id,
        plate_matrix=computed.plate_matrix,
        named=job.named,
    )
    try:
        stored.unlink(missing_ok=True)
        indications_to_csv(computed.indications, table, warnings=prediction.notes)
        with DRAWING:
            draw_prediction(
                computed.frame,
                prediction.class_map,
                class_names=prediction.class_names,
                pixel_pitch_mm=prediction.pixel_pitch_mm,
                indications=computed.indications,
                title=f"{_title(job.recording)}: {'rise' if computed.is_rise else 'frame'} at {computed.time_s:.4g} s"
                + (" (outside the model's range)" if prediction.notes else ""),
                unit=computed.unit,
                path=picture,
            )
        write_defect_map(prediction, stored, extra_attributes=attributes)
    except (OutputError, OSError, MemoryError):
        for path in (table, picture, stored):
            path.unlink(missing_ok=True)
        raise
    return Prediction(
        recording=job.recording,
        stem=job.stem,
        n_indications=count,
        defect_fraction=fraction,
        warnings=prediction.notes,
        read_s=computed.read_s,
        compute_s=computed.compute_s,
        write_s=time.perf_counter() - start,
    )


def completed(result: Prediction, options: Options, finish: Finish | None, reserve: Reserve) -> Prediction:
    """Do with a stored result what else is to be done with it; the time counts as writing."""
    if finish is None or result.error:
        return result
    start = time.perf_counter()
    result = finish(result, options, reserve)
    return replace(result, write_s=result.write_s + time.perf_counter() - start)


def failure_of(job: Job, error: Exception) -> Prediction:
    """Say in one line why a recording could not be done."""
    if isinstance(error, ThermoQCError):
        reason = str(error)
    elif isinstance(error, MemoryError) or is_memory_error(error):
        reason = f"{job.recording}: not enough memory; give fewer --workers or less --memory-gb, or crop the recording"
    elif isinstance(error, OSError):
        reason = f"{job.recording}: {error.strerror or error}; check the file and its permissions"
    else:
        log.debug("%s: unexpected error", job.recording, exc_info=error)
        reason = f"{job.recording}: unexpected {type(error).__name__}: {error}; -vv shows where"
    return Prediction(recording=job.recording, stem=job.stem, error=" ".join(reason.split()))


def is_memory_error(error: Exception) -> bool:
    """Whether torch wants memory; it says so by errors of its own."""
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)


def _facts_digest(recording: Path) -> str:
    """SHA-256 of the facts beside a recording; "" without."""
    there = [path for path in sidecar_candidates(recording) if path != recording and is_there(path) and path.is_file()]
    return "+".join(sha256_of(path) for path in there)


def state_of(recording: Path) -> tuple[Any, ...]:
    """Names, sizes and times of change of a recording's files."""
    try:
        if not recording.is_dir():
            stat = recording.stat()
            return stat.st_size, stat.st_mtime_ns, stat.st_ino
        files = sorted(path for path in recording.rglob("*") if path.is_file())
        return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    except FileNotFoundError:
        raise InputError(f"{recording} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{recording} cannot be read: {error.strerror or error}") from error


def _check_unchanged(opened: Opened) -> None:
    recording = opened.job.recording
    if not is_there(recording):
        raise InputError(f"{recording} was removed while it was read; put it back and give the command again")
    if state_of(recording) != opened.state:
        raise InputError(
            f"{recording} changed while it was read (it is still being written or copied); wait until it is complete "
            "and give the command again"
        )


def _title(recording: Path) -> str:
    return shortened(" ".join(text_of(Path(recording.name)).split()), TITLE_CHARACTERS)


def _defect_fraction(prediction: DefectMap) -> float:
    used = prediction.class_map != IGNORE_LABEL
    return float(((prediction.class_map > 0) & used).sum() / max(1, used.sum()))
