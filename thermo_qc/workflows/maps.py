"""``thermo-qc maps``: classical maps of a recording as HDF5 and pictures."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thermo_qc import __version__
from thermo_qc.config import MapsConfig, parse_config, read_yaml
from thermo_qc.config.yaml_text import apply_override
from thermo_qc.errors import ConfigError, MissingFactError, OutputError, UnknownNameError, suggestion
from thermo_qc.io import read_region, read_sequence, sha256_of, write_sequence
from thermo_qc.io.hdf5 import HDF5Frames
from thermo_qc.preprocess import detect_heating_stop, prepare_sequence
from thermo_qc.sequence import ThermalSequence
from thermo_qc.thermography import (
    METHODS,
    compute_maps,
    make_method,
    options_of,
    write_maps,
)
from thermo_qc.workflows.cases import MEMORY_BYTES, frames_bytes
from thermo_qc.workflows.map_outputs import draw_all, write_scores

__all__ = ["ALL", "DEFAULT_METHODS", "MapResult", "run"]

log = logging.getLogger(__name__)
DEFAULT_METHODS = ("tsr", "ppt", "pct", "contrast", "host")
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class MapResult:
    """What `run` wrote: the HDF5 file, the pictures, the methods left out with their reasons, the scores of defects."""

    file: Path
    pictures: tuple[Path, ...]
    overviews: tuple[Path, ...]
    skipped: Mapping[str, str]
    n_maps: int
    scores: Path | None


def run(
    recording: Path,
    output: Path,
    *,
    methods: Sequence[str] = (),
    config: Path | None = None,
    overrides: Sequence[str] = (),
    prepare: Sequence[str] = (),
    region: Path | None = None,
    sound: Path | None = None,
    threads: int | None = None,
    pictures: bool = True,
    overwrite: bool = False,
    facts: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MapResult:
    """Compute maps of one recording and write them.

    Parameters
    ----------
    recording : Path
        What `thermo_qc.io.read_sequence` reads.
    output : Path
        Folder: ``<name>.maps.h5`` with everything, ``<name>_<method>.png`` with the maps of a method on one page,
        ``<name>_maps/<map>.png``, and of a recording with its truth ``<name>_scores.csv``: contrast to noise and the
        like of every defect in every map.
    methods : sequence of str
        Names of the catalogue, or "all". Those of the configuration when empty, else `DEFAULT_METHODS`. What a
        recording is not fit for is an error for a method that was named, and skipped otherwise.
    config : Path, optional
        YAML file with ``methods`` (name to options) and ``prepare``.
    overrides : sequence of str
        ``"tsr.order=7"``.
    prepare : sequence of str
        Names of preparation steps, run in this order after those of the configuration.
    region, sound : Path, optional
        Mask images: the pixels to map, and a region known to be sound.
    threads : int, optional
        Cores to use; all when None.
    pictures : bool
        Whether to draw.
    overwrite : bool
        Replace the maps of the same recording.
    facts : mapping, optional
        Fields of `thermo_qc.config.Facts`.
    progress : callable, optional
        ``progress(done, total)``.

    Raises
    ------
    ThermoQCError
        When the recording, an option or the output cannot be used.
    """
    settings, named = _settings(config, overrides, methods)
    chosen = {name: make_method(name, options, "maps") for name, options in settings.methods.items()}
    steps = [*_steps(settings), *((name, {}) for name in prepare)]
    target = output / f"{_stem(recording)}.maps.h5"
    _check_output(output, target, overwrite)
    sequence = prepare_sequence(read_sequence(recording, **(facts or {})), steps)
    masks = {name: read_region(path, sequence.frame_shape) for name, path in _given(region, sound)}
    sequence, detected = _with_heating(sequence)
    with ThreadPoolExecutor(1) as pool, _readable_by_pixel(sequence, output) as quick:
        digest = pool.submit(sha256_of, recording)  # of a large recording it takes as long as its maps
        maps = compute_maps(
            quick,
            chosen,
            region=masks.get("region"),
            sound=masks.get("sound"),
            threads=threads,
            skip_impossible=not named,
            progress=progress,
        )
    if not maps.images:
        reasons = "; ".join(
            f"{', '.join(name for name, why in maps.skipped.items() if why == reason)}: {reason}"
            for reason in dict.fromkeys(maps.skipped.values())
        )
        raise MissingFactError(f"{recording}: no map could be computed; {reasons}")
    record = {
        "recording": str(recording),
        "recording_sha256": digest.result(),
        "thermo_qc_version": __version__,
        "methods": {name: options_of(method) for name, method in chosen.items()},
        "skipped": dict(maps.skipped),
        "sound_reference": maps.reference,
        "region": "given" if region is not None else f"heated pixels ({100 * maps.region.mean():.1f} % of the frame)",
        "heating_stop_s": sequence.excitation.stop_s,
        "heating_stop_detected": detected,
        "rise_above": "mean of the cold frames" if (sequence.times_s < 0).any() else "zero (no cold frames)",
        "noise": maps.scene.noise,
        "unit": maps.scene.unit,
        "history": [{"step": entry.step, "parameters": entry.parameters} for entry in sequence.history],
    }
    write_maps(
        target,
        maps.images,
        method_of=maps.method_of,
        record=record,
        pixel_pitch_mm=sequence.pixel_pitch_mm,
        regions={**masks, "region": maps.region},
    )
    scores = write_scores(maps, sequence, output / f"{_stem(recording)}_scores.csv")
    drawn: tuple[Path, ...] = ()
    pages: tuple[Path, ...] = ()
    if pictures:
        drawn, pages = draw_all(maps, output, _stem(recording), recording.name, sequence.pixel_pitch_mm, threads)
    return MapResult(
        file=target, pictures=drawn, overviews=pages, skipped=maps.skipped, n_maps=len(maps.images), scores=scores
    )


def _settings(config: Path | None, overrides: Sequence[str], methods: Sequence[str]) -> tuple[MapsConfig, bool]:
    """Join configuration, overrides and named methods; also whether somebody asked for just these methods."""
    content = {} if config is None else read_yaml(config) or {}
    origin = "maps" if config is None else str(config)
    settings = parse_config(MapsConfig, content, origin)
    listed = tuple(METHODS) if ALL in methods else tuple(methods)
    wanted = listed or tuple(settings.methods) or tuple(name for name in DEFAULT_METHODS if name in METHODS)
    for name in wanted:
        if name not in METHODS:
            raise UnknownNameError(f"unknown method '{name}'{suggestion(name, (*METHODS, ALL))}")
    changed: dict[str, Any] = {"methods": {name: dict(settings.methods.get(name) or {}) for name in wanted}}
    for override in overrides:
        name = override.partition("=")[0].split(".")[0].strip()
        if name not in wanted:
            raise ConfigError(
                f"--set {override}: '{name}' is not among the methods ({', '.join(wanted)}); name one of them"
            )
        apply_override(changed["methods"], override)
    named = ALL not in methods and bool(methods or settings.methods)
    return parse_config(MapsConfig, {**changed, "prepare": list(settings.prepare)}, origin), named


def _steps(settings: MapsConfig) -> list[tuple[str, dict[str, Any]]]:
    steps = []
    for step in settings.prepare:
        if len(step) != 1:
            raise ConfigError(f"prepare: {dict(step)} has {len(step)} keys, expected one: the step's name")
        name, options = next(iter(step.items()))
        steps.append((name, dict(options or {})))
    return steps


def _given(region: Path | None, sound: Path | None) -> Iterator[tuple[str, Path]]:
    for name, path in (("region", region), ("sound", sound)):
        if path is not None:
            yield name, path


def _stem(recording: Path) -> str:
    return recording.resolve().name if recording.is_dir() else recording.stem


def _check_output(output: Path, target: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file, expected a folder for the maps; choose another name")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; choose another folder or pass --overwrite")


def _with_heating(sequence: ThermalSequence) -> tuple[ThermalSequence, bool]:
    """Detect the heating stop where nobody states it."""
    if sequence.excitation.stop_s is not None or sequence.excitation.kind == "periodic":
        return sequence, False
    stop = detect_heating_stop(sequence)
    if stop is None:
        return sequence, False
    log.warning("heating stop found at %.4g s in the recording; give heating_stop_s if you know better", stop)
    return replace(sequence, excitation=replace(sequence.excitation, stop_s=stop)), True


@contextmanager
def _readable_by_pixel(sequence: ThermalSequence, output: Path) -> Iterator[ThermalSequence]:
    """Give a sequence whose pixels' curves are quick to read: in memory, or in a native file for the time being."""
    if not sequence.is_lazy or isinstance(sequence.frames, HDF5Frames):
        yield sequence
    elif frames_bytes(sequence) <= MEMORY_BYTES:
        yield sequence.loaded()
    else:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".maps-") as folder:
            copy = Path(folder) / "frames.h5"
            log.info("%s: frames are laid out for reading by pixel", copy)
            write_sequence(replace(sequence, truth=None), copy)
            yield replace(sequence, frames=read_sequence(copy).frames)
