"""What a file format offers, and what all readers share: facts, time base, sanity of the frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.config import Facts, parse_config
from thermo_qc.errors import (
    ConfigError,
    CorruptFileError,
    InputError,
    ThermoQCError,
)
from thermo_qc.io.files import sha256_of
from thermo_qc.io.found import Found
from thermo_qc.io.lazy import MAX_FRAME_PIXELS, MAX_FRAMES, FileFrames, reason_of
from thermo_qc.io.timebase import time_axis
from thermo_qc.sequence import FrameSource, Material, Source, ThermalSequence

__all__ = ["Found", "Reader", "assemble", "check_options", "load_when_small", "reading", "with_hash"]

logger = logging.getLogger(__name__)

LAYOUT_OPTIONS = ("variable", "axes", "frame_shape")
LOAD_BYTES = 512 * 2**20
HASH_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One file format.

    Parameters
    ----------
    name : str
        For messages and `Source.format_name`.
    extensions : tuple of str
        Usual file name endings in lower case with the dot, for messages and for files whose header matches nobody.
    matches : callable
        ``matches(header_bytes) -> bool``: whether the first bytes of a file (up to 1024) are this format's. Folders are
        offered as ``b""`` and belong to the reader whose `folders` is true.
    open : callable
        ``open(path, **options) -> ThermalSequence``: options are the fields of `thermo_qc.config.Facts` that somebody
        gave.
    folders : bool
        Whether the reader opens folders instead of files.
    tried_on : str
        Files of cameras or of other software that were read ("two real recordings"); empty when untested on real
        files, which is said wherever the format is listed.
    """

    name: str
    extensions: tuple[str, ...]
    matches: Callable[[bytes], bool]
    open: Callable[..., ThermalSequence]
    folders: bool = False
    tried_on: str = ""


def check_options(path: Path, format_name: str, options: Mapping[str, Any], layout: tuple[str, ...] = ()) -> Facts:
    """Turn a reader's options into `Facts` and refuse those that the format has no use for.

    Parameters
    ----------
    path : Path
        The recording.
    format_name : str
        For the message.
    options : mapping
        Fields of `Facts`.
    layout : tuple of str
        Those of "variable", "axes" and "frame_shape" that the format understands.

    Raises
    ------
    ConfigError
        When an option is unknown, impossible, or of no use to this format.
    """
    facts = parse_config(Facts, {key: value for key, value in options.items() if value is not None}, str(path))
    for name in LAYOUT_OPTIONS:
        if getattr(facts, name) is not None and name not in layout:
            raise ConfigError(
                f"{path}: {format_name} has no use for '{name}' (given: {getattr(facts, name)}); leave it out"
            )
    return facts


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a library raises while it reads `path` into one line that names the format `what`."""
    try:
        yield
    except ThermoQCError:
        raise
    except MemoryError:
        raise InputError(f"{path} does not fit in memory; crop it or free memory") from None
    except PermissionError:
        raise InputError(f"{path} cannot be read: permission denied; change its permissions") from None
    except Exception as error:
        raise CorruptFileError(
            path, "content", f"a complete {what} file", f"unreadable ({reason_of(error)})"
        ) from error


def load_when_small(frames: FileFrames) -> FrameSource:
    """Load frames that are slow to decode when they are at most 512 MiB, else leave them in their file."""
    return frames[:, :, :] if frames.nbytes <= LOAD_BYTES else frames


def assemble(path: Path, frames: FrameSource, found: Found, facts: Facts, format_name: str) -> ThermalSequence:
    """Join what the file states with what a person states; a person's word counts.

    The time axis is the person's (`times_s`, or `t_first_s` + n / `frame_rate_hz`), else the file's. `heating_start_s`
    and `heating_stop_s` are times on that axis. Then the axis is moved so that the heating starts at zero: the stop in
    the result is ``heating_stop_s - start``. Where neither the person nor the file knows the start, the axis stays.
    `unit` says what the numbers in the file are; nothing is converted.

    Parameters
    ----------
    path : Path
        File or folder.
    frames : array or FrameSource, shape (T, Y, X)
        Frames.
    found : Found
        The file's word.
    facts : Facts
        The person's word.
    format_name : str
        For `Source`.

    Raises
    ------
    MissingFactError
        When nobody knows the time base.
    CorruptFileError, SequenceError
        When the times or the frames are impossible.
    """
    _check_frames(path, frames)
    n_frames = int(frames.shape[0])
    times, excitation = time_axis(path, n_frames, found, facts)
    facts_of_plate = {
        name: getattr(facts, name) if getattr(facts, name) is not None else getattr(found, name)
        for name in (
            "pixel_pitch_mm",
            "ambient_c",
            "emissivity",
            "thickness_mm",
            "netd_k",
            "camera",
            "specimen_id",
            "acquisition_id",
        )
    }
    material = found.material if facts.material is None else Material(**facts.material.model_dump())
    try:
        return ThermalSequence(
            frames=frames,
            times_s=times,
            unit=facts.unit or found.unit or "counts",
            excitation=excitation,
            material=material,
            source=found.source or Source(path=path.name, sha256=_quick_hash(path), format_name=format_name),
            history=found.history,
            truth=found.truth,
            **facts_of_plate,
        )
    except ThermoQCError as error:  # SequenceError or TruthError
        raise type(error)(f"{path}: {error}") from None


def with_hash(sequence: ThermalSequence, path: Path | str) -> ThermalSequence:
    """Return the sequence with the hash of the file or folder it was just read from, where opening left it out.

    Parameters
    ----------
    sequence : ThermalSequence
        From `read_sequence`.
    path : Path or str
        What was read.

    Raises
    ------
    InputError
        When the file is gone.
    """
    source = sequence.source
    if source is None or source.sha256 or source.path != Path(path).name:
        return sequence
    return replace(sequence, source=replace(source, sha256=sha256_of(path)))


def _quick_hash(path: Path) -> str:
    """Hash a small recording; a large one is not read whole only to be opened, its hash stays empty."""
    parts = path.rglob("*") if path.is_dir() else (path,)
    try:
        sizes = accumulate(part.stat().st_size for part in parts)
        small = all(size <= HASH_BYTES for size in sizes)
    except OSError:
        small = True  # whoever removed it meanwhile gets sha256_of's message
    return sha256_of(path) if small else ""


def _check_frames(path: Path, frames: FrameSource) -> None:
    shape = tuple(int(length) for length in frames.shape)
    if len(shape) != 3 or 0 in shape:
        raise CorruptFileError(path, "frames", "three non-empty axes (time, row, column)", f"of shape {shape}")
    if shape[0] > MAX_FRAMES or shape[1] * shape[2] > MAX_FRAME_PIXELS:
        raise CorruptFileError(
            path, "frames", f"at most {MAX_FRAMES} frames of {MAX_FRAME_PIXELS} pixels", f"of shape {shape}"
        )
    if np.dtype(frames.dtype).kind == "f" and not any(
        np.isfinite(frames[index, :, :]).any() for index in range(shape[0])
    ):
        raise CorruptFileError(path, "frames", "at least one finite value", "NaN or infinite everywhere")
