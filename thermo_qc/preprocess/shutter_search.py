"""Where a camera's shutter (flat-field correction) stepped the picture, by how much, and which frames it froze."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, UnknownNameError, suggestion
from thermo_qc.preprocess.heating import heating_of_curve
from thermo_qc.preprocess.jumps import is_level_jump, smooth_axis, step_weights
from thermo_qc.preprocess.shutter_steps import Step, find_steps, frame_changes, still_frames
from thermo_qc.preprocess.statistics import MAD_TO_STD, estimate_noise
from thermo_qc.preprocess.surface import solve_surface, surface_basis
from thermo_qc.sequence import ThermalSequence

__all__ = ["PATTERNS", "ShutterJumps", "find_shutter_jumps"]

_LOG = logging.getLogger(__name__)

PATTERNS = ("auto", "uniform", "surface", "free")
FEWEST_FRAMES = 3
NEAR_FRAMES, FAR_FRAMES = 8, 24
SIGNIFICANT = 6.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ShutterJumps:
    """Steps of the whole picture from one frame to the next.

    Parameters
    ----------
    frames : tuple of int
        First frame of every new level, growing.
    times_s : tuple of float
        Their times.
    offsets : tuple of float
        Median step over the pixels, in the unit of the frames.
    maps : ndarray of float32, shape (jumps, Y, X)
        Step of every pixel; NaN where a pixel has no values.
    patterns : tuple of str
        How each map was made: "uniform", "surface" or "free".
    map_noise : tuple of float
        Standard deviation that the camera's noise gives one pixel of a free map.
    frozen : tuple of int
        Frames that show the shutter or repeat the picture before.
    left_alone : tuple of int
        Frames with a step too close to the heating's start or end, or to another step, to be measured.
    """

    frames: tuple[int, ...]
    times_s: tuple[float, ...]
    offsets: tuple[float, ...]
    maps: NDArray[np.float32]
    patterns: tuple[str, ...]
    map_noise: tuple[float, ...]
    frozen: tuple[int, ...]
    left_alone: tuple[int, ...]

    def check(self, sequence: ThermalSequence) -> None:
        """Refuse frames of another size or number.

        Raises
        ------
        SequenceError
            With both shapes.
        """
        last = max([0, *self.frames, *self.frozen])
        if self.maps.shape[1:] != sequence.frame_shape or last >= sequence.n_frames:
            raise SequenceError(
                f"the jumps are of frames {self.maps.shape[1:]} up to number {last}, the recording has "
                f"{sequence.n_frames} frames of {sequence.frame_shape}; find them in this recording"
            )


def find_shutter_jumps(
    sequence: ThermalSequence,
    *,
    pattern: Literal["auto", "uniform", "surface", "free"] = "auto",
    order: int = 2,
    longest_shutter_s: float = 1.0,
    heating_guard_frames: int = 2,
) -> ShutterJumps:
    """Find level jumps of the whole picture, and the frames in which it stood still.

    A jump is a difference between two frames whose middle or whose spread over the pixels stands out of those round it
    eight times, and that leaves the slope of the curves as it was: a heating that starts or stops bends them, and the
    frames round its start and end, stated or detected (`detect_heating`), are excluded, a flash among them. Every
    pixel's step is the least-squares step in a smooth curve through up to 24 frames on either side, on a logarithmic
    axis after the last switch of the heating.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; read once in bands of frames, then round each jump.
    pattern : {"auto", "uniform", "surface", "free"}
        One step for all pixels, a surface of `order` over the frame, or one for every pixel. "auto" takes the simplest
        of these that the picture's steps allow within their noise. A free map adds its own noise (`map_noise`) to all
        later frames, the same in each.
    order : int
        Of the surface, 0 to 6.
    longest_shutter_s : float
        Two opposite jumps within this time are one shutter seen from both sides; the frames between are frozen.
    heating_guard_frames : int
        Frames before and after a start or end of the heating in which no jump is looked for.

    Returns
    -------
    ShutterJumps

    Raises
    ------
    UnknownNameError
        When the pattern is not known.
    SequenceError
        When another option is out of range.
    """
    if pattern not in PATTERNS:
        raise UnknownNameError(f"unknown pattern '{pattern}'{suggestion(str(pattern), PATTERNS)}")
    if not longest_shutter_s >= 0 or heating_guard_frames < 0:
        raise SequenceError(
            f"longest_shutter_s is {longest_shutter_s:g} and heating_guard_frames {heating_guard_frames}, expected "
            "neither below 0"
        )
    surface_basis((1, 1), order)
    if sequence.n_frames < 2 * FEWEST_FRAMES + 1:
        return _collected(sequence, [], (), ())
    series = frame_changes(sequence)
    events = _heating_events(sequence, series.mean)
    frozen = still_frames(series)
    steps = find_steps(sequence, series, events, frozen, longest_shutter_s, heating_guard_frames)
    noise = estimate_noise(sequence)
    found, left = [], []
    for step in steps:
        window = _window(step, steps, sequence.times_s, events, frozen)
        if window is None:
            left.append(step.resume)
            continue
        jump = _measured(sequence, step, window, events, noise, pattern, order)
        if jump is not None:
            found.append(jump)
    frozen.update(index for step in steps for index in range(step.first, step.resume))
    if left:
        _LOG.warning("steps at frames %s lie too close to the heating or to one another: left alone", left)
    return _collected(sequence, found, tuple(sorted(frozen)), tuple(left))


_Jump = tuple[int, float, NDArray[np.float32], str, float]


def _collected(
    sequence: ThermalSequence, found: list[_Jump], frozen: tuple[int, ...], left: tuple[int, ...]
) -> ShutterJumps:
    maps = np.array([jump[2] for jump in found], dtype=np.float32).reshape(len(found), *sequence.frame_shape)
    return ShutterJumps(
        frames=tuple(jump[0] for jump in found),
        times_s=tuple(float(sequence.times_s[jump[0]]) for jump in found),
        offsets=tuple(jump[1] for jump in found),
        maps=maps,
        patterns=tuple(jump[3] for jump in found),
        map_noise=tuple(jump[4] for jump in found),
        frozen=frozen,
        left_alone=left,
    )


def _heating_events(sequence: ThermalSequence, mean: NDArray[np.float64]) -> tuple[float, ...]:
    excitation = sequence.excitation
    heating = heating_of_curve(mean, sequence.times_s)
    times = (excitation.start_s, excitation.stop_s, heating.start_s, heating.stop_s)
    return tuple(sorted({time for time in times if time is not None}))


def _window(
    step: Step, steps: list[Step], times_s: NDArray[np.float64], events: tuple[float, ...], frozen: set[int]
) -> tuple[NDArray[np.intp], int] | None:
    """Frames round a step that nothing else divides, and how many lie before it; None where too few are left."""
    ends = [event for event in events if event <= times_s[max(step.first - 1, 0)]]
    begun = int(np.searchsorted(times_s, max(ends), side="right")) if ends else 0
    ahead = [event for event in events if event > times_s[max(step.first - 1, 0)]]
    until = int(np.searchsorted(times_s, min(ahead), side="left")) if ahead else times_s.size
    reach = int(np.clip((step.first - begun) // 2, NEAR_FRAMES, FAR_FRAMES))
    low = max([begun, step.first - reach, *(other.resume for other in steps if other.resume < step.resume)])
    high = min([until, step.resume + reach, *(other.first for other in steps if other.resume > step.resume)])
    before = np.array([k for k in range(low, step.first) if k not in frozen], dtype=int)
    after = np.array([k for k in range(step.resume, high) if k not in frozen], dtype=int)
    if min(before.size, after.size) < FEWEST_FRAMES:
        return None
    return np.concatenate([before, after]), int(before.size)


def _measured(
    sequence: ThermalSequence,
    step: Step,
    window: tuple[NDArray[np.intp], int],
    events: tuple[float, ...],
    noise: float,
    pattern: str,
    order: int,
) -> _Jump | None:
    """Measure a step pixel by pixel; None where it is none, or bends the curves."""
    places, n_before = window
    axis = smooth_axis(sequence.times_s[places], events)
    since = [event for event in events if event <= sequence.times_s[places[0]]]
    early = bool(since) and int((sequence.times_s[: places[0]] > max(since)).sum()) < places.size
    weights = step_weights(axis, n_before, (3 if early else 2) if since else 1)
    frames = np.stack([np.asarray(sequence.frames[int(k), :, :], dtype=np.float64) for k in places])
    steps = np.tensordot(weights, frames, axes=1)
    known = np.isfinite(steps)
    if not known.any():
        return None
    map_noise = noise * float(np.sqrt((weights**2).sum()))
    offset = float(np.median(steps[known]))
    size = float(MAD_TO_STD * np.median(np.abs(steps[known] - offset)))
    plain = abs(offset) > SIGNIFICANT * 1.2533 * max(size, map_noise) / np.sqrt(known.sum())
    if not plain and size <= 1.2 * map_noise:
        return None
    shape = steps[known] / float((steps[known] ** 2).mean())
    if not is_level_jump((frames[:, known] * shape).mean(axis=1), axis, n_before):
        return None
    steps, kind = _patterned(steps, offset, map_noise, pattern, order)
    return step.resume, offset, steps.astype(np.float32), kind, map_noise


def _patterned(
    steps: NDArray[np.float64], offset: float, map_noise: float, pattern: str, order: int
) -> tuple[NDArray[np.float64], str]:
    known = np.isfinite(steps)
    if pattern == "free":
        return steps, "free"
    uniform = np.where(known, offset, np.nan)
    basis = surface_basis((steps.shape[0], steps.shape[1]), order)
    if pattern == "uniform" or (pattern == "auto" and known.sum() < 3 * basis.shape[0]):
        return uniform, "uniform"
    coefficients, _ = solve_surface(steps, basis, known)
    surface = np.where(known, np.tensordot(coefficients, basis, axes=1), np.nan)
    if pattern == "surface":
        return surface, "surface"
    rest = (steps - surface)[known]
    if MAD_TO_STD * float(np.median(np.abs(rest - np.median(rest)))) > 1.25 * map_noise:
        return steps, "free"
    uneven = float(np.std(surface[known]))
    if uneven > 3 * map_noise * np.sqrt(basis.shape[0] / known.sum()):
        return surface, "surface"
    return uniform, "uniform"
