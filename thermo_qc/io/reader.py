"""What a file format offers, and what all readers share: facts, time base, sanity of the frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import Facts, parse_config
from thermo_qc.errors import (
    ConfigError,
    CorruptFileError,
    InputError,
    MissingFactError,
    SequenceError,
    ThermoQCError,
)
from thermo_qc.io.files import sha256_of
from thermo_qc.io.lazy import MAX_FRAME_PIXELS, MAX_FRAMES, FileFrames, reason_of
from thermo_qc.sequence import Excitation, FrameSource, HistoryEntry, Material, Source, ThermalSequence, Truth, Unit

__all__ = ["Found", "Reader", "assemble", "check_options", "load_when_small", "reading"]

logger = logging.getLogger(__name__)

LAYOUT_OPTIONS = ("variable", "axes")
LOAD_BYTES = 512 * 2**20


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
    """

    name: str
    extensions: tuple[str, ...]
    matches: Callable[[bytes], bool]
    open: Callable[..., ThermalSequence]
    folders: bool = False


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a file itself states, on the file's own time axis.

    Parameters
    ----------
    times_s : ndarray, optional
        Time of each frame, s; None when the file has no time base.
    times_field : str
        Where the times come from, for messages.
    excitation : Excitation
        Start and stop on the file's time axis.
    starts_at_zero : bool
        Whether the axis already counts from the start of the excitation and is kept as it is.
    unit, pixel_pitch_mm, ambient_c, emissivity, thickness_mm, netd_k, material, camera, specimen_id, acquisition_id,
    source, history, truth
        As in `ThermalSequence`.
    """

    times_s: NDArray[np.float64] | None = None
    times_field: str = "time axis"
    excitation: Excitation = field(default_factory=Excitation)
    starts_at_zero: bool = False
    unit: Unit | None = None
    pixel_pitch_mm: float | None = None
    ambient_c: float | None = None
    emissivity: float | None = None
    thickness_mm: float | None = None
    netd_k: float | None = None
    material: Material | None = None
    camera: str = ""
    specimen_id: str = ""
    acquisition_id: str = ""
    source: Source | None = None
    history: tuple[HistoryEntry, ...] = ()
    truth: Truth | None = None


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
        Those of "variable" and "axes" that the format understands.

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
    times, excitation = _time_axis(path, n_frames, found, facts)
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
            source=found.source or Source(path=path.name, sha256=sha256_of(path), format_name=format_name),
            history=found.history,
            truth=found.truth,
            **facts_of_plate,
        )
    except SequenceError as error:
        raise SequenceError(f"{path}: {error}") from None


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


def _time_axis(path: Path, n_frames: int, found: Found, facts: Facts) -> tuple[NDArray[np.float64], Excitation]:
    """Give the final time axis and the excitation on it."""
    times = _given_times(path, n_frames, facts)
    if times is None and found.times_s is None:
        raise MissingFactError(
            f"{path} has no time base; give frame_rate_hz (or times_s) as an option, or in the sidecar {path.name}.yaml"
        )
    if times is None:
        times = _file_times(path, n_frames, found)
        if facts.t_first_s is not None:
            times = times - times[0] + facts.t_first_s
    start, stop = found.excitation.start_s, found.excitation.stop_s
    restated = found.times_s is not None and not np.array_equal(times, found.times_s)
    if restated:
        old = np.asarray(found.times_s, dtype=np.float64)
        start = _restated(start, old, times)
        stop = None if stop is None else _restated(stop, old, times)
    zero = start if found.times_s is not None and (restated or not found.starts_at_zero) else 0.0
    if facts.heating_start_s is not None:
        start = zero = facts.heating_start_s
    if facts.heating_stop_s is not None:
        stop = facts.heating_stop_s
    return times - zero, _excitation(path, start - zero, None if stop is None else stop - zero, found, facts)


def _excitation(path: Path, start_s: float, stop_s: float | None, found: Found, facts: Facts) -> Excitation:
    try:
        return Excitation(
            kind=facts.excitation or found.excitation.kind,
            start_s=start_s,
            stop_s=stop_s,
            flux_w_m2=found.excitation.flux_w_m2 if facts.flux_w_m2 is None else facts.flux_w_m2,
            frequency_hz=found.excitation.frequency_hz if facts.frequency_hz is None else facts.frequency_hz,
        )
    except SequenceError as error:
        raise SequenceError(f"{path}: {error}") from None


def _given_times(path: Path, n_frames: int, facts: Facts) -> NDArray[np.float64] | None:
    if facts.times_s is not None:
        if facts.frame_rate_hz is not None or facts.t_first_s is not None:
            raise ConfigError(f"{path}: times_s came together with frame_rate_hz or t_first_s; give one of them")
        times = np.asarray(facts.times_s, dtype=np.float64)
        if times.size != n_frames:
            raise SequenceError(f"{path}: times_s has {times.size} times, expected {n_frames}, one per frame")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise SequenceError(f"{path}: times_s does not strictly increase; correct the list or give frame_rate_hz")
        return times
    if facts.frame_rate_hz is None:
        return None
    return (facts.t_first_s or 0.0) + np.arange(n_frames) / facts.frame_rate_hz


def _file_times(path: Path, n_frames: int, found: Found) -> NDArray[np.float64]:
    times = np.asarray(found.times_s, dtype=np.float64)
    hint = "give times_s or frame_rate_hz as an option or in a sidecar file"
    if times.shape != (n_frames,):
        raise CorruptFileError(
            path, found.times_field, f"one time for each of {n_frames} frames", f"of shape {times.shape}", hint
        )
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise CorruptFileError(path, found.times_field, "strictly increasing", "not increasing or not finite", hint)
    return times


def _restated(mark: float, old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """Carry an instant from the file's time axis to the person's: it keeps its place between the frames."""
    if old.shape != new.shape or old.size < 2 or not (np.diff(old) > 0).all():
        return mark
    index = int(np.clip(np.searchsorted(old, mark) - 1, 0, old.size - 2))
    slope = (new[index + 1] - new[index]) / (old[index + 1] - old[index])
    return float(new[index] + (mark - old[index]) * slope)
