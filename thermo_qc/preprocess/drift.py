"""Frames of a moving camera brought back onto one of them."""

from __future__ import annotations

import logging
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, UnknownNameError, suggestion
from thermo_qc.preprocess.drift_search import MODELS, FrameShifts, find_frame_shifts
from thermo_qc.preprocess.views import Block, ComputedFrames, read_block, settle
from thermo_qc.sequence import FrameSource, ThermalSequence

__all__ = ["MODELS", "FrameShifts", "find_frame_shifts", "register_frames"]

_LOG = logging.getLogger(__name__)

BORDERS = ("nan", "edge")
INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
SUBPIXELS = 32  # what OpenCV rounds positions to
OUTSIDE_PX = 4


def register_frames(
    sequence: ThermalSequence,
    *,
    model: Literal["translation", "euclidean", "affine", "homography"] = "translation",
    reference: int | None = None,
    mask: NDArray[np.bool_] | None = None,
    shifts: FrameShifts | None = None,
    border: Literal["nan", "edge"] = "nan",
    interpolation: Literal["linear", "cubic"] = "cubic",
    ignore_below_px: float = 0.05,
) -> ThermalSequence:
    """Undo the movement of the camera (or of the plate) during a recording.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; frames in a file stay there.
    model, reference, mask
        See `find_frame_shifts`.
    shifts : FrameShifts, optional
        Found before; then `model`, `reference` and `mask` have no part.
    border : {"nan", "edge"}
        What comes into a frame from more than half a pixel outside: NaN, or the nearest pixel of the frame.
    interpolation : {"linear", "cubic"}
        Between pixels; linear smooths noise and edges by as much as the shift is fractional, cubic less.
    ignore_below_px : float
        Frames of which no corner moved by more keep their pixels untouched.

    Returns
    -------
    ThermalSequence
        float32, on the pixels of the reference frame. The history holds every frame's shift at the centre, px, and
        lists the frames that could not be aligned themselves and took the movement of their neighbours.

    Raises
    ------
    UnknownNameError
        When model, border or interpolation are not known.
    SequenceError
        When the shifts are of another recording, or could not be found (see `find_frame_shifts`).
    """
    for value, known, what in ((border, BORDERS, "border"), (interpolation, INTERPOLATIONS, "interpolation")):
        if value not in known:
            raise UnknownNameError(f"unknown {what} '{value}'{suggestion(str(value), known)}")
    if not ignore_below_px >= 0:
        raise SequenceError(f"ignore_below_px is {ignore_below_px:g}, expected at least 0")
    if shifts is None:
        shifts = find_frame_shifts(sequence, model=model, reference=reference, mask=mask)
    if shifts.matrices.shape[0] != sequence.n_frames or shifts.frame_shape != sequence.frame_shape:
        raise SequenceError(
            f"the shifts are of {shifts.matrices.shape[0]} frames of {shifts.frame_shape}, the recording has "
            f"{sequence.n_frames} of {sequence.frame_shape}; find them in this recording"
        )
    moved = shifts.largest_px > ignore_below_px
    lost = np.flatnonzero(~shifts.converged)
    if lost.size:
        _LOG.warning("%d frames could not be aligned and took the movement of their neighbours", lost.size)
    parameters: dict[str, Any] = {
        "model": shifts.model,
        "reference": shifts.reference,
        "border": border,
        "interpolation": interpolation,
        "ignore_below_px": ignore_below_px,
        "shifts_px": np.round(shifts.shifts_px, 3).tolist(),
        "largest_px": round(float(shifts.largest_px.max()), 3),
        "n_frames_moved": int(moved.sum()),
        "frames_not_aligned": lost.tolist(),
    }
    frames: FrameSource = sequence.frames
    if moved.any():
        warped = _WarpedFrames(frames, shifts.matrices, moved, INTERPOLATIONS[interpolation], border == "nan")
        frames = settle(warped, frames)
    return sequence.with_frames(frames, "register_frames", parameters=parameters)


class _WarpedFrames(ComputedFrames):
    """Lazy frames, each read where the reference's pixels lie in it."""

    def __init__(
        self,
        source: FrameSource,
        matrices: NDArray[np.float64],
        moved: NDArray[np.bool_],
        interpolation: int,
        outside_is_nan: bool,
    ) -> None:
        super().__init__(source)
        self._matrices, self._moved, self._interpolation = matrices, moved, interpolation
        self._outside_is_nan = outside_is_nan

    def compute(self, block: Block) -> NDArray[np.float32]:
        times, rows, columns = block
        y, x = np.meshgrid(np.array(rows, dtype=np.float64), np.array(columns, dtype=np.float64), indexing="ij")
        result = np.empty((len(times), len(rows), len(columns)), dtype=np.float32)
        for position, index in enumerate(times):
            if self._moved[index]:
                result[position] = self._warped(index, x, y)
            else:
                result[position] = read_block(self._source, (range(index, index + 1), rows, columns))[0]
        return result

    def _warped(self, index: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
        height, width = self.shape[1:]
        a = self._matrices[index]
        w = a[2, 0] * x + a[2, 1] * y + a[2, 2]
        # On the grid that OpenCV rounds to, so that a part of a frame is exactly that part of the whole.
        map_x, map_y = (
            np.clip(np.rint(SUBPIXELS * (row[0] * x + row[1] * y + row[2]) / w) / SUBPIXELS, -OUTSIDE_PX, length + 3)
            for row, length in ((a[0], width), (a[1], height))
        )
        (top, bottom), (left, right) = _span(map_y), _span(map_x)
        rows, columns = (range(max(0, top), min(height, bottom)), range(max(0, left), min(width, right)))
        if len(rows) == 0 or len(columns) == 0:  # all of it outside: its nearest row or column
            rows = rows or range(min(max(top, 0), height - 1), min(max(top, 0), height - 1) + 1)
            columns = columns or range(min(max(left, 0), width - 1), min(max(left, 0), width - 1) + 1)
            top, left = min(top, rows.start), min(left, columns.start)
            bottom, right = max(bottom, rows.stop), max(right, columns.stop)
        part = read_block(self._source, (range(index, index + 1), rows, columns))[0].astype(np.float32)
        margins = ((rows.start - top, bottom - rows.stop), (columns.start - left, right - columns.stop))
        warped = cv2.remap(
            np.pad(part, margins, mode="edge"),
            (map_x - left).astype(np.float32),
            (map_y - top).astype(np.float32),
            self._interpolation,
        )
        if self._outside_is_nan:
            warped[(map_x < -0.5) | (map_x > width - 0.5) | (map_y < -0.5) | (map_y > height - 0.5)] = np.nan
        return np.asarray(warped)


def _span(positions: NDArray[np.float64]) -> tuple[int, int]:
    """Rows or columns that the positions and interpolation between them use; may lie outside the frame."""
    return int(np.floor(positions.min())) - 2, int(np.floor(positions.max())) + 4
