"""``thermo-qc predict``: defect maps of recordings with a trained model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from thermo_qc.errors import InputError, OutputError, ThermoQCError
from thermo_qc.indications import Indication, find_indications, indications_to_csv
from thermo_qc.inspection import DefectMap, load_model, predict_sequence, write_defect_map
from thermo_qc.io import read_region, read_sequence, sha256_of
from thermo_qc.models import TrainedModel
from thermo_qc.report.pictures import draw_prediction
from thermo_qc.sequence import IGNORE_LABEL, ThermalSequence
from thermo_qc.workflows.cases import MEMORY_BYTES, check_frames, frames_bytes
from thermo_qc.workflows.evaluate import set_threads
from thermo_qc.workflows.predict_folder import (
    ENDINGS,
    Prediction,
    attributes_of,
    check_apart,
    check_free,
    finished,
    name_of,
    output_names,
    stored_results,
    text_of,
    write_tables,
)
from thermo_qc.workflows.run_folder import fingerprint_of, open_run, undone_if_refused
from thermo_qc.workflows.scoring import representative_frame

__all__ = ["Prediction", "output_names", "run"]

log = logging.getLogger(__name__)


def run(
    model_path: Path,
    recordings: Sequence[Path],
    output: Path,
    *,
    method: str | None = None,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    min_area_px: int = 4,
    region: Path | None = None,
    sound: Path | None = None,
    facts: dict[str, Any] | None = None,
    on_progress: Callable[[Prediction], object] | None = None,
) -> list[Prediction]:
    """Predict every recording; of several, a bad one is listed with its reason and the others go on.

    Parameters
    ----------
    model_path : Path
        Model file or run folder (a ``cv`` run's folds act as an ensemble).
    recordings : sequence of Path
        Files or folders of frames.
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
        CPU threads.
    min_area_px : int
        Smaller regions are no indications.
    region : Path, optional
        Mask image: only there are defects called.
    sound : Path, optional
        Mask image of a region known to be sound, for models that compare with one.
    facts : dict, optional
        What the files lack, see `thermo_qc.config.Facts`.
    on_progress : callable, optional
        Called after each recording.

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
    if threads is not None:
        set_threads(threads)
    identity = {
        "models": [model.sha256 for model in models],
        "facts": facts or {},
        "min_area_px": min_area_px,
        "region": "" if region is None else sha256_of(region),
        "sound": "" if sound is None else sha256_of(sound),
    }
    fingerprint = fingerprint_of(identity)
    folder = open_run(output, command="predict", fingerprint=fingerprint, overwrite=overwrite)
    with undone_if_refused(folder):
        folder.update(model=str(model_path), **identity)
        results: list[Prediction] = []
        stored = stored_results(output, fingerprint)
        for recording, name in names:
            stem = name_of(recording, stored, name)
            try:
                result = _predict_one(
                    models,
                    recording,
                    stem,
                    output,
                    device=device,
                    min_area_px=min_area_px,
                    region=region,
                    sound=sound,
                    facts=facts or {},
                    run_id=fingerprint,
                    redo=overwrite,
                )
            except OutputError:
                raise
            except ThermoQCError as error:
                if len(recordings) == 1:
                    raise
                log.error("%s", error)
                result = Prediction(recording=recording, stem=stem, error=str(error))
            results.append(result)
            if on_progress is not None:
                on_progress(result)
        write_tables(folder, results)
    folder.finish()
    return results


def _predict_one(
    models: tuple[TrainedModel, ...],
    recording: Path,
    stem: str,
    output: Path,
    *,
    device: str,
    min_area_px: int,
    region: Path | None,
    sound: Path | None,
    facts: dict[str, Any],
    run_id: str,
    redo: bool,
) -> Prediction:
    base = output / stem
    if not redo:
        check_free(base, output, recording, run_id)
    sequence = read_sequence(recording, **facts)
    digest = sha256_of(recording)
    done = None if redo else finished(base, output, run_id, digest)
    if done is not None:
        return Prediction(
            recording=recording,
            stem=stem,
            n_indications=done.n_indications,
            defect_fraction=done.defect_fraction,
            skipped=True,
        )
    if frames_bytes(sequence) <= MEMORY_BYTES:  # a longer one stays in its file
        sequence = sequence.loaded()
    check_frames(sequence, str(recording))
    mask = None if region is None else read_region(region, sequence.frame_shape)
    sound_mask = None if sound is None else read_region(sound, sequence.frame_shape)
    prediction = predict_sequence(
        models, sequence, device=device, region=mask, sound_mask=sound_mask, input_sha256=digest
    )
    frame, time_s = representative_frame(sequence)
    indications = find_indications(
        prediction.class_map,
        prediction.probability,
        class_names=prediction.class_names,
        depth_mm=prediction.depth_mm,
        pixel_pitch_mm=prediction.pixel_pitch_mm,
        signal=frame,
        min_area_px=min_area_px,
    )
    fraction = _defect_fraction(prediction)
    paths = [base.with_name(base.name + ending) for ending in ENDINGS]
    try:
        indications_to_csv(indications, paths[0])
        _draw(
            sequence,
            prediction,
            frame=frame,
            time_s=time_s,
            indications=indications,
            path=paths[1],
            recording=recording,
        )
        write_defect_map(
            prediction,
            paths[2],
            extra_attributes=attributes_of(recording, run_id, n_indications=len(indications), defect_fraction=fraction),
        )
    except OutputError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return Prediction(recording=recording, stem=stem, n_indications=len(indications), defect_fraction=fraction)


def _draw(
    sequence: ThermalSequence,
    prediction: DefectMap,
    *,
    frame: Any,
    time_s: float,
    indications: tuple[Indication, ...],
    path: Path,
    recording: Path,
) -> None:
    rise = bool((sequence.times_s < 0).any())
    unit = "counts" if sequence.unit == "counts" else ("K" if rise else {"K": "K", "degC": "°C"}[sequence.unit])
    draw_prediction(
        frame,
        prediction.class_map,
        class_names=prediction.class_names,
        pixel_pitch_mm=prediction.pixel_pitch_mm,
        indications=indications,
        title=f"{text_of(Path(recording.name))}: {'rise' if rise else 'frame'} at {time_s:.4g} s",
        unit=unit,
        path=path,
    )


def _defect_fraction(prediction: DefectMap) -> float:
    used = prediction.class_map != IGNORE_LABEL
    return float(((prediction.class_map > 0) & used).sum() / max(1, used.sum()))
