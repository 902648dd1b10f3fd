"""``thermo-qc simulate CORPUS.yaml -n N``: random plates, simulated once without noise, as files of one folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray

from thermo_qc.config import CorpusConfig, load_config
from thermo_qc.config.corpus import CameraRangesConfig
from thermo_qc.errors import InputError, OutputError
from thermo_qc.evaluation import detectability
from thermo_qc.io import remove_partial, write_json, write_sequence, write_text
from thermo_qc.sequence import Defect, ThermalSequence
from thermo_qc.simulation import (
    MaterialRange,
    PlateRanges,
    PlateSolution,
    RandomPlate,
    draw_plate,
    peak_contrasts_k,
    record_plate,
    solve_plate,
    solve_sound_plate,
)
from thermo_qc.workflows.lock import locked
from thermo_qc.workflows.processes import run_side_by_side

__all__ = ["CORPUS_FILE", "CorpusPlate", "plate_ranges", "read_corpus", "run", "simulate_random_plate"]

CORPUS_FILE = "corpus.json"
MANIFEST_FILE = "manifest.yaml"  # of corpora with a camera: what `evaluate` and `cv` read
_LOG = logging.getLogger(__name__)
_CLEAN = {"netd_k": 0.0, "blur_px": 0.0, "fixed_pattern_k": 0.0, "quantisation_k": 0.0}
_REACH_PX = 12
_COARSE_PX = 3
_PLATES_PER_JOB = 8


@dataclass(frozen=True, kw_only=True)
class CorpusPlate:
    """A simulated plate of a corpus.

    Parameters
    ----------
    path : Path
        Noise-free recording with its truth.
    indices : dict of int to float
        For each defect, the detectability index d' that a camera of one frame a second with 1 K of noise would see
        (background projected out); that of another camera is larger by sqrt(frame rate in Hz) / noise in K. The window
        round a defect also holds what its neighbours spread into it.
    own_indices : dict of int to float
        The same, but no more than the contrast in the middle of the defect would give over twice its area: what it
        shows itself.
    """

    path: Path
    indices: dict[int, float]
    own_indices: dict[int, float]


def run(
    config_path: Path,
    output: Path,
    *,
    n_plates: int,
    overrides: Iterable[str] = (),
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[CorpusPlate]:
    """Simulate a corpus, or the plates that it lacks yet.

    Parameters
    ----------
    config_path : Path
        YAML of a `CorpusConfig`.
    output : Path
        Folder; ``plate_00000.h5`` and so on, each with its facts in a ``.json`` beside it, and ``corpus.json``; with a
        camera also ``manifest.yaml``, for ``evaluate``.
    n_plates : int
        Plates wanted; more can be added later by the same command with a larger number.
    overrides : iterable of str
        ``"a.b=value"``.
    workers : int
        Processes.
    progress : callable, optional
        Called with the number of finished plates and of all plates.

    Returns
    -------
    list of CorpusPlate

    Raises
    ------
    OutputError
        When the folder holds a corpus of another configuration.
    ConfigError, InputError
        When the configuration cannot be used.
    """
    config = load_config(CorpusConfig, config_path, overrides)
    plate_ranges(config)  # refuses what the schema cannot
    content = config.model_dump(mode="json")
    output.mkdir(parents=True, exist_ok=True)
    with locked(output, break_lock=None):
        _same_corpus(output, content)
        remove_partial(output)
        write_json(output / CORPUS_FILE, {"config": content, "n_plates": 0, "plates": []})
        missing = [number for number in range(n_plates) if _facts(output, number) is None]
        done = n_plates - len(missing)
        if progress is not None:
            progress(done, n_plates)

        def count(_: int) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, n_plates)

        parts = [missing[start : start + _PLATES_PER_JOB] for start in range(0, len(missing), _PLATES_PER_JOB)]
        run_side_by_side(_some, [(content, output, part) for part in parts], workers, count)
        return _finish(output, content, n_plates)


def _finish(output: Path, content: dict[str, Any], n_plates: int) -> list[CorpusPlate]:
    """Write the list of all plates that are there, which may be more than this run asked for."""
    there = len(list(output.glob("plate_*.json")))
    found = [_facts(output, number) for number in range(max(n_plates, there))]
    plates = [facts for facts in found if facts is not None]
    write_json(output / CORPUS_FILE, {"config": content, "n_plates": len(plates), "plates": plates})
    if content.get("camera") is not None:
        write_text(output / MANIFEST_FILE, yaml.safe_dump({"recordings": _entries(plates)}, sort_keys=False))
    return read_corpus(output)


def _entries(plates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries of a manifest: each plate is a specimen that is recorded once."""
    names = [Path(str(plate["file"])).stem for plate in plates]
    return [
        {"key": name, "recording": f"{name}.h5", "specimen": name, "acquisition": name, "condition": "random"}
        for name in names
    ]


def _same_corpus(output: Path, content: dict[str, Any]) -> None:
    path = output / CORPUS_FILE
    if not path.is_file() or not any(output.glob("plate_*.json")):
        return  # nothing was simulated yet
    try:
        written = json.loads(path.read_text(encoding="utf-8"))["config"]
        known = CorpusConfig.model_validate(written).model_dump(mode="json")  # what is new since then has its default
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(f"{path} cannot be read ({reason}); choose another folder") from error
    if known != content:
        differing = sorted(name for name in {*known, *content} if known.get(name) != content.get(name))
        raise OutputError(
            f"{output} holds plates of another corpus (its {', '.join(differing)} differ); choose another folder"
        )


def read_corpus(folder: Path) -> list[CorpusPlate]:
    """Read the list of plates of a finished corpus.

    Raises
    ------
    InputError
        When it is no corpus, half written, or a plate is missing.
    """
    path = folder / CORPUS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        CorpusConfig.model_validate(content["config"])
        entries = [
            CorpusPlate(
                path=folder / str(plate["file"]).replace("/", "").replace("\\", ""),
                indices={int(defect["number"]): float(defect["index_k_s"]) for defect in plate["defects"]},
                own_indices={int(defect["number"]): float(defect["own_index_k_s"]) for defect in plate["defects"]},
            )
            for plate in content["plates"]
        ]
    except OSError as error:
        raise InputError(
            f"{folder} holds no {CORPUS_FILE}; make a corpus with: thermo-qc simulate CORPUS.yaml -n 200 -o {folder}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} is no list of simulated plates ({reason}); simulate the corpus into another folder"
        ) from error
    missing = [entry.path.name for entry in entries if not entry.path.is_file()]
    if not entries or missing:
        what = f"{missing[0]} is missing" if missing else "it holds no finished plates"
        raise InputError(f"{folder} is half written: {what}; give the simulate command again, it goes on")
    return entries


def plate_ranges(config: CorpusConfig) -> PlateRanges:
    """Ranges of a corpus's plates.

    Raises
    ------
    ConfigError
        When a range is upside down.
    """
    content = config.plates.model_dump()
    return PlateRanges(**content | {"materials": tuple(MaterialRange(**family) for family in content["materials"])})


def simulate_random_plate(config: CorpusConfig, number: int) -> tuple[ThermalSequence, dict[int, tuple[float, float]]]:
    """Draw and simulate one plate of a corpus.

    Parameters
    ----------
    config : CorpusConfig
        The corpus.
    number : int
        Which plate; it depends on (seed, number) alone.

    Returns
    -------
    sequence : ThermalSequence
        Noise-free recording with truth, in degC; its material is the nominal one.
    indices : dict of int to (float, float)
        Both indices of `CorpusPlate`.
    """
    drawn = draw_plate(
        np.random.default_rng([config.seed, number]), plate_ranges(config), name=f"{config.name}-{number}"
    )
    camera, frames_s = _CLEAN, np.empty(0)
    if config.camera is not None:
        camera, frames_s = _draw_camera(np.random.default_rng([config.seed, number, 1]), config.camera, drawn)
    times_s = np.union1d(drawn.times_s, frames_s)
    solver: dict[str, Any] = {
        "times_s": times_s,
        "material": drawn.material,
        "heating": drawn.heating,
        "losses": drawn.losses,
        "depth_cells": config.depth_cells,
        "max_step_s": float(drawn.times_s[-1]) / config.steps,
        "marks": drawn.marks,
        "buried": drawn.buried,
    }
    solution = solve_plate(drawn.plate, lateral_mm=drawn.pixel_pitch_mm, **solver)
    coarse = 1 if drawn.marks else _COARSE_PX  # light and edges vary slowly, marks do not
    sound = solve_sound_plate(drawn.plate, lateral_mm=coarse * drawn.pixel_pitch_mm, **solver)
    clean = _record(drawn, _at(solution, drawn.times_s), _CLEAN, peak_contrasts_k(solution, sound), number)
    indices = _indices(clean, _record(drawn, _at(sound, drawn.times_s), _CLEAN, {}, number))
    if config.camera is None:
        return clean, indices
    return _record(drawn, _at(solution, frames_s), camera, peak_contrasts_k(solution, sound), number), indices


def _at(solution: PlateSolution, times_s: NDArray[np.float64]) -> PlateSolution:
    """Keep some instants of a solution."""
    kept = np.isin(solution.times_s, times_s)
    return replace(solution, times_s=solution.times_s[kept], rise_k=solution.rise_k[kept])


def _draw_camera(
    rng: np.random.Generator, ranges: CameraRangesConfig, drawn: RandomPlate
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Draw a camera and the times of its frames."""
    duration_s = float(drawn.times_s[-1])
    step_s = duration_s / int(rng.integers(ranges.n_frames[0], ranges.n_frames[1] + 1))
    n_cold = int(rng.integers(ranges.cold_frames[0], ranges.cold_frames[1] + 1))
    others = {
        name: float(rng.uniform(*limits))
        for name, limits in ranges.model_dump(exclude={"n_frames", "cold_frames"}).items()
    }
    return others, np.arange(-n_cold, int(duration_s / step_s) + 1) * np.float64(step_s)


def _record(
    drawn: RandomPlate, solution: PlateSolution, camera: dict[str, Any], contrasts: dict[int, float], number: int
) -> ThermalSequence:
    return record_plate(
        solution,
        rng=np.random.default_rng([number, 2]),
        pixel_pitch_mm=drawn.pixel_pitch_mm,
        **camera,
        reflection_k=drawn.reflection_k,
        material=drawn.plate.material,
        peak_contrasts_k=contrasts or None,
        specimen_id=drawn.plate.name,
        acquisition_id=f"{drawn.plate.name}-{number}",
    )


def _indices(sequence: ThermalSequence, sound: ThermalSequence) -> dict[int, tuple[float, float]]:
    """Compute the detectability of every defect for 1 K of noise in each frame of one a second."""
    assert sequence.truth is not None
    contrast = np.asarray(sequence.frames) - np.asarray(sound.frames)
    sound_frames = np.asarray(sound.frames)
    seconds = np.gradient(sequence.times_s)
    return {
        defect.number: _index(defect, sequence.truth.defect_index, contrast, sound_frames, sequence.times_s, seconds)
        for defect in sequence.truth.defects
    }


def _index(
    defect: Defect,
    index: NDArray[np.int16],
    contrast: NDArray[np.float32],
    sound: NDArray[np.float32],
    times_s: NDArray[np.float64],
    seconds: NDArray[np.float64],
) -> tuple[float, float]:
    rows, columns = np.nonzero(index == defect.number)
    if rows.size == 0:
        return 0.0, 0.0
    window = tuple(
        slice(max(0, int(where.min()) - _REACH_PX), int(where.max()) + _REACH_PX + 1) for where in (rows, columns)
    )
    others = (index[window] > 0) & (index[window] != defect.number)
    signal = np.where(_nearer_to_others(index[window], defect.number, others), 0.0, contrast[(slice(None), *window)])
    rise = sound[(slice(None), *window)].mean(axis=(1, 2))
    found = detectability(signal, noise_k=(1 / np.sqrt(seconds))[:, None, None], sound_k=rise, times_s=times_s)
    middle = np.hypot(rows - rows.mean(), columns - columns.mean()) <= 0.5 * np.sqrt(rows.size / np.pi) + 0.5
    own = contrast[:, rows[middle], columns[middle]].mean(axis=1)
    most = float(np.sqrt((own**2 * seconds).sum() * 2 * rows.size))
    share = found.background / found.ideal if found.ideal > 0 else 0.0
    return found.background, min(found.background, most * share)


def _nearer_to_others(index: NDArray[np.int16], number: int, others: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that lie nearer to another defect."""
    if not others.any():
        return others
    from scipy.ndimage import distance_transform_edt

    mine = distance_transform_edt(index != number)
    return np.asarray(distance_transform_edt(~others) < mine)


def _facts(folder: Path, number: int) -> dict[str, Any] | None:
    """Facts of a plate that is there with its recording; None where either is missing or cut short."""
    path = _facts_path(folder, number)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        with h5py.File(path.with_suffix(".h5")):  # refuses what was cut short
            return facts if isinstance(facts, dict) else None
    except (OSError, ValueError):
        return None


def _facts_path(folder: Path, number: int) -> Path:
    return folder / f"plate_{number:05d}.json"


def _some(job: tuple[dict[str, Any], Path, list[int]], tell: Callable[[int], None]) -> None:
    """Simulate some plates, in a process of their own."""
    content, folder, numbers = job
    for number in numbers:
        _write_plate(CorpusConfig.model_validate(content), folder, number)
        tell(number)


def _write_plate(config: CorpusConfig, folder: Path, number: int) -> None:
    """Simulate a plate and write its recording, then its facts, which say that it is whole."""
    sequence, indices = simulate_random_plate(config, number)
    assert sequence.truth is not None
    path = _facts_path(folder, number).with_suffix(".h5")
    write_sequence(sequence, path, compression="lzf")
    defects = [
        {
            "number": defect.number,
            "name": defect.name,
            "depth_mm": defect.depth_mm,
            "diameter_mm": defect.diameter_mm,
            "peak_contrast_k": defect.peak_contrast_k,
            "index_k_s": indices[defect.number][0],
            "own_index_k_s": indices[defect.number][1],
        }
        for defect in sequence.truth.defects
    ]
    write_json(
        _facts_path(folder, number),
        {"file": path.name, "number": number, "seed": [config.seed, number], "defects": defects},
    )
