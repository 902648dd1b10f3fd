"""The time axis and the heating: what a person states, carried over what the file states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import Facts
from thermo_qc.errors import ConfigError, CorruptFileError, MissingFactError, SequenceError
from thermo_qc.io.found import Found
from thermo_qc.sequence import Excitation

__all__ = ["time_axis"]


def time_axis(path: Path, n_frames: int, found: Found, facts: Facts) -> tuple[NDArray[np.float64], Excitation]:
    """Give the final time axis and the excitation on it.

    The axis is the person's (`times_s`, or `t_first_s` + n / `frame_rate_hz`), else the file's. `heating_start_s` and
    `heating_stop_s` are times on that axis; marks that only the file knows keep their place between the frames. Then
    the axis is moved so that the heating starts at zero.

    Parameters
    ----------
    path : Path
        For messages.
    n_frames : int
        Number of frames.
    found : Found
        The file's word.
    facts : Facts
        The person's word.

    Returns
    -------
    times_s : ndarray of float64, shape (T,)
        Seconds after the start of the heating, where that is known.
    excitation : Excitation
        With times on that axis.

    Raises
    ------
    MissingFactError
        When nobody knows the time base.
    CorruptFileError, SequenceError, ConfigError
        When the times are impossible or stated twice.
    """
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
    with np.errstate(over="ignore"):  # infinite times are refused later
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
