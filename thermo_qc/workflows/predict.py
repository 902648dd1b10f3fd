"""``thermo-qc predict``: defect maps of recordings with a trained model."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from thermo_qc.errors import InputError, OutputError, ThermoQCError
from thermo_qc.indications import Indication, find_indications, indications_to_csv
from thermo_qc.inspection import DefectMap, load_model, predict_sequence, write_defect_map
from thermo_qc.io import read_region, read_sequence, sha256_of, write_csv
from thermo_qc.models import TrainedModel
from thermo_qc.report.pictures import draw_prediction
from thermo_qc.sequence import ThermalSequence
from thermo_qc.workflows.cases import MEMORY_BYTES, check_frames, frames_bytes
from thermo_qc.workflows.evaluate import set_threads
from thermo_qc.workflows.run_folder import fingerprint_of, open_run, undone_if_refused
from thermo_qc.workflows.scoring import representative_frame

__all__ = ["Prediction", "output_names", "run"]

log = logging.getLogger(__name__)

_OWN = ("summary", "failures")  # tables of the run itself
_ENDINGS = (".csv", ".png", ".h5")  # of each recording; the map is written last


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What became of one recording: its output stem and either counts or the reason why it failed."""

    recording: Path
    stem: str
    n_indications: int = 0
    defect_fraction: float = 0.0
    skipped: bool = False
    error: str = ""


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
        Folder for ``<stem>.h5``, ``.png``, ``.csv`` and ``summary.csv``.
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
    _check_apart(names, output)
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
        for recording, stem in names:
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
        _write_tables(output, results)
    folder.finish()
    return results


def output_names(recordings: Sequence[Path]) -> list[tuple[Path, str]]:
    """Give every recording its own output stem, relative to the output folder.

    Files of one name in different folders keep their folders below the deepest common one; files that differ only in
    their ending keep the ending.
    """
    stems = Counter(path.stem for path in recordings)
    names = ["" if stems[path.stem] > 1 else path.name if path.stem in _OWN else path.stem for path in recordings]
    if all(names):
        return list(zip(recordings, names, strict=True))
    absolute = [path.resolve() for path in recordings]
    if len(set(absolute)) < len(absolute):
        twice = next(path for path, count in Counter(absolute).items() if count > 1)
        raise InputError(f"{twice} was named twice; name each recording once")
    common = _common_parent(absolute)
    kept = [path.relative_to(common).with_suffix("") for path in absolute]
    clashes = Counter(str(path) for path in kept)
    return [
        (path, name or (str(short) if clashes[str(short)] == 1 else str(full.relative_to(common))))
        for path, name, short, full in zip(recordings, names, kept, absolute, strict=True)
    ]


def _check_apart(names: Sequence[tuple[Path, str]], output: Path) -> None:
    """Refuse an output folder where a result would replace one of the recordings."""
    own = {path.resolve() for path, _ in names}
    for path, stem in names:
        for ending in _ENDINGS:
            if (output / f"{stem}{ending}").resolve() in own:
                raise OutputError(
                    f"the results of {path} would replace the recording {output / f'{stem}{ending}'}; "
                    "choose another output folder"
                )


def _common_parent(paths: Sequence[Path]) -> Path:
    parents = [set(path.parents) for path in paths]
    return max(set.intersection(*parents), key=lambda parent: len(parent.parts))


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
) -> Prediction:
    base = output / stem
    sequence = read_sequence(recording, **facts)
    digest = sha256_of(recording)
    done = _done(base, digest, run_id)
    if done is not None:
        return Prediction(recording=recording, stem=stem, skipped=True, **done)
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
    paths = [base.with_name(base.name + ending) for ending in _ENDINGS]
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
            extra_attributes={"run": run_id, "n_indications": len(indications), "defect_fraction": fraction},
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
        title=f"{recording.name}: {'rise' if rise else 'frame'} at {time_s:.4g} s",
        unit=unit,
        path=path,
    )


def _defect_fraction(prediction: DefectMap) -> float:
    used = prediction.class_map != 255
    return float(((prediction.class_map > 0) & used).sum() / max(1, used.sum()))


def _done(base: Path, digest: str, run_id: str) -> dict[str, Any] | None:
    """Return the counts of a finished map of the same recording, model and options; it is written last of three."""
    target = base.with_name(base.name + ".h5")
    if not all(base.with_name(base.name + ending).is_file() for ending in _ENDINGS):
        return None
    try:
        with h5py.File(target, "r") as file:
            if file.attrs.get("run") != run_id or file.attrs.get("input_sha256") != digest:
                return None
            return {
                "n_indications": int(file.attrs["n_indications"]),
                "defect_fraction": float(np.float64(file.attrs["defect_fraction"])),
            }
    except (OSError, KeyError):
        return None


def _write_tables(output: Path, results: Sequence[Prediction]) -> None:
    good = [
        (str(result.recording), result.stem, result.n_indications, result.defect_fraction)
        for result in results
        if not result.error
    ]
    bad = [(str(result.recording), result.error) for result in results if result.error]
    columns = ("recording", "result", "n_indications", "defect_fraction")
    write_csv(output / "summary.csv", columns, good, digits=6)
    if bad:
        write_csv(output / "failures.csv", ("recording", "reason"), bad)
    else:
        (output / "failures.csv").unlink(missing_ok=True)
