"""Jumps that a camera's shutter (flat-field correction) leaves in a recording: found, and taken out."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import UnknownNameError, suggestion
from thermo_qc.preprocess.shutter_search import PATTERNS, ShutterJumps, find_shutter_jumps
from thermo_qc.preprocess.views import Block, ComputedFrames, read_block, settle
from thermo_qc.sequence import FrameSource, ThermalSequence

__all__ = ["PATTERNS", "ShutterJumps", "find_shutter_jumps", "remove_shutter_jumps"]

FROZEN = ("interpolate", "nan", "keep")


def remove_shutter_jumps(
    sequence: ThermalSequence,
    jumps: ShutterJumps | None = None,
    *,
    frozen: Literal["interpolate", "nan", "keep"] = "interpolate",
    pattern: Literal["auto", "uniform", "surface", "free"] = "auto",
    order: int = 2,
) -> ThermalSequence:
    """Bring all frames to the level of the first, and replace those during which the shutter was shut.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; frames in a file stay there.
    jumps : ShutterJumps, optional
        Found by `find_shutter_jumps` with `pattern` and `order` when None.
    frozen : {"interpolate", "nan", "keep"}
        What frozen frames become: the line in time between their good neighbours (at the ends of the recording, the
        next good frame), NaN, or what they were less the jumps.
    pattern, order
        See `find_shutter_jumps`.

    Returns
    -------
    ThermalSequence
        float32; the same sequence but for a history entry when nothing was found.

    Raises
    ------
    UnknownNameError
        When `frozen` or `pattern` is not known.
    SequenceError
        When the jumps belong to frames of another size.
    """
    if frozen not in FROZEN:
        raise UnknownNameError(f"unknown treatment of frozen frames '{frozen}'{suggestion(str(frozen), FROZEN)}")
    if jumps is None:
        jumps = find_shutter_jumps(sequence, pattern=pattern, order=order)
    jumps.check(sequence)
    parameters: dict[str, Any] = {
        "frames": list(jumps.frames),
        "times_s": list(jumps.times_s),
        "offsets": list(jumps.offsets),
        "patterns": list(jumps.patterns),
        "noise_of_maps": list(jumps.map_noise),
        "frozen_frames": list(jumps.frozen),
        "frozen": frozen,
        "left_alone": list(jumps.left_alone),
    }
    frames: FrameSource = sequence.frames
    if jumps.frames or (jumps.frozen and frozen != "keep"):
        frames = settle(_LevelFrames(sequence.frames, sequence.times_s, jumps, frozen), sequence.frames)
    return sequence.with_frames(frames, "remove_shutter_jumps", parameters=parameters)


class _LevelFrames(ComputedFrames):
    """Lazy frames less the jumps before them."""

    def __init__(self, source: FrameSource, times_s: NDArray[np.float64], jumps: ShutterJumps, frozen: str) -> None:
        super().__init__(source)
        self._levels = np.concatenate(
            [np.zeros((1, *source.shape[1:])), np.cumsum(jumps.maps, axis=0, dtype=np.float64)]
        )
        self._level_of = np.searchsorted(np.array(jumps.frames, dtype=int), np.arange(source.shape[0]), side="right")
        self._times_s, self._frozen = times_s, frozen
        good = np.setdiff1d(np.arange(source.shape[0]), np.array(jumps.frozen, dtype=int))
        self._frozen_frames = set(jumps.frozen) if good.size else set()
        self._good = good

    def compute(self, block: Block) -> NDArray[np.float32]:
        times, rows, columns = block
        result = self._levelled(times, rows, columns)
        if self._frozen == "keep":
            return result
        for position, index in enumerate(times):
            if index in self._frozen_frames:
                result[position] = np.nan if self._frozen == "nan" else self._between(index, rows, columns)
        return result

    def _levelled(self, times: range, rows: range, columns: range) -> NDArray[np.float32]:
        values = read_block(self._source, (times, rows, columns)).astype(np.float64)
        cut = (slice(rows.start, rows.stop, rows.step), slice(columns.start, columns.stop, columns.step))
        for position, index in enumerate(times):
            values[position] -= self._levels[self._level_of[index]][cut]
        return values.astype(np.float32)

    def _between(self, index: int, rows: range, columns: range) -> NDArray[np.float32]:
        place = int(np.searchsorted(self._good, index))
        ends = [int(self._good[at]) for at in (place - 1, place) if 0 <= at < self._good.size]
        frames = [self._levelled(range(end, end + 1), rows, columns)[0] for end in ends]
        if len(ends) == 1:
            return np.asarray(frames[0])
        first, last = self._times_s[ends[0]], self._times_s[ends[1]]
        share = np.float32((self._times_s[index] - first) / (last - first))
        return np.asarray(frames[0] + share * (frames[1] - frames[0]), dtype=np.float32)
