"""Where the pixels of a recording lie on its plate, as its processing steps say."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from thermo_qc.sequence import ThermalSequence

__all__ = ["matrix_from_text", "pixel_matrix", "plate_matrix_text"]

Matrix = NDArray[np.float64]


def pixel_matrix(pitch_mm: float) -> Matrix:
    """Homography from pixels (the centre of the first is 0) to mm from the corner of a frame, shape (3, 3)."""
    return np.array([[pitch_mm, 0, pitch_mm / 2], [0, pitch_mm, pitch_mm / 2], [0, 0, 1.0]])


def plate_matrix_text(sequence: ThermalSequence) -> str:
    """Homography from pixels to plate millimetres of a registered or rectified recording.

    Returns
    -------
    str
        JSON of three rows of three numbers; "" when the recording does not say where the plate is.
    """
    for entry in reversed(sequence.history):
        parameters = dict(entry.parameters)
        if entry.step == "rectify" and sequence.pixel_pitch_mm is not None:
            return json.dumps(pixel_matrix(sequence.pixel_pitch_mm).tolist())
        if entry.step == "register" and "matrix" in parameters:
            matrix = np.asarray(parameters["matrix"], dtype=np.float64)
            return json.dumps(matrix.tolist()) if _is_usable(matrix) else ""
    return ""


def matrix_from_text(text: str) -> Matrix | None:
    """Read what `plate_matrix_text` gave; None when there is none, or it cannot be used."""
    try:
        matrix = np.asarray(json.loads(text), dtype=np.float64)
    except (ValueError, TypeError):
        return None
    return matrix if _is_usable(matrix) else None


def _is_usable(matrix: Matrix) -> bool:
    return matrix.shape == (3, 3) and bool(np.isfinite(matrix).all()) and abs(float(np.linalg.det(matrix))) > 1e-12
