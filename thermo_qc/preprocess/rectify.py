"""A registered recording resampled onto its plate's own grid."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import InputError
from thermo_qc.plate import pixel_centres_mm
from thermo_qc.preprocess.registration import Registration
from thermo_qc.sequence import ThermalSequence, Truth

__all__ = ["rectify"]


def rectify(
    sequence: ThermalSequence, registration: Registration, plate_size_mm: tuple[float, float], pixel_pitch_mm: float
) -> ThermalSequence:
    """Resample a recording onto the plate's own grid, bilinearly.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording, read frame by frame.
    registration : Registration
        From pixels of this recording to the plate.
    plate_size_mm : tuple of float
        Width and height of the plate, mm.
    pixel_pitch_mm : float
        Edge of a pixel of the result, mm; its centres lie at (i + 0.5) pitch.

    Returns
    -------
    ThermalSequence
        In memory, float32; NaN where the plate was outside the frame. Truth follows by the nearest pixel.

    Raises
    ------
    InputError
        When pitch or plate size make no sensible frame.
    """
    width_mm, height_mm = plate_size_mm
    if not (pixel_pitch_mm > 0 and width_mm > 0 and height_mm > 0):
        raise InputError(
            f"pixel pitch {pixel_pitch_mm} mm on a plate of {width_mm} x {height_mm} mm, expected positive lengths"
        )
    shape = (max(1, round(height_mm / pixel_pitch_mm)), max(1, round(width_mm / pixel_pitch_mm)))
    if max(shape) > 32_000 or shape[0] * shape[1] > 10**8:
        raise InputError(f"pixel pitch {pixel_pitch_mm} mm makes {shape[0]} x {shape[1]} pixels; is it really in mm?")
    x_px, y_px = registration.to_px(*pixel_centres_mm(shape, pixel_pitch_mm))
    map_x, map_y = (np.nan_to_num(values, nan=-10.0).astype(np.float32) for values in (x_px, y_px))
    frames = np.empty((sequence.n_frames, *shape), dtype=np.float32)
    for index in range(sequence.n_frames):
        frame = np.asarray(sequence.frames[index, :, :], dtype=np.float32)
        frames[index] = cv2.remap(
            frame, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan")
        )
    return sequence.with_frames(
        frames,
        "rectify",
        parameters={"matrix": registration.matrix.tolist(), "pixel_pitch_mm": pixel_pitch_mm},
        pixel_pitch_mm=pixel_pitch_mm,
        truth=None if sequence.truth is None else _rectified_truth(sequence.truth, map_x, map_y),
    )


def _rectified_truth(truth: Truth, map_x: NDArray[np.float32], map_y: NDArray[np.float32]) -> Truth:
    column, row = np.rint(map_x).astype(int), np.rint(map_y).astype(int)
    inside = (row >= 0) & (row < truth.shape[0]) & (column >= 0) & (column < truth.shape[1])
    row, column = np.where(inside, row, 0), np.where(inside, column, 0)
    return Truth(
        defect_index=np.where(inside, truth.defect_index[row, column], -1).astype(np.int16),
        depth_mm=np.where(inside, truth.depth_mm[row, column], np.nan).astype(np.float32),
        defects=truth.defects,
    )
