"""How every frame lies against a reference frame: alignment of edges by the enhanced correlation coefficient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, UnknownNameError, suggestion
from thermo_qc.preprocess.drift_align import MODELS, Aligner, edge_image, movement
from thermo_qc.sequence import ThermalSequence

__all__ = ["MODELS", "FrameShifts", "find_frame_shifts"]

BLUR_PX = 1.0
LEAST_ALIGNED = 0.2
SAMPLED_FRAMES = 24


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameShifts:
    """Where the pixels of the reference frame lie in every frame.

    Parameters
    ----------
    matrices : ndarray of float64, shape (T, 3, 3)
        From (x, y, 1) in the reference frame to the frame, px.
    shifts_px : ndarray of float64, shape (T, 2)
        Movement (x, y) of the frame's centre.
    largest_px : ndarray of float64, shape (T,)
        Movement of the corner that moves most.
    correlation : ndarray of float64, shape (T,)
        Enhanced correlation coefficient reached, -1 to 1; NaN where the search failed.
    converged : ndarray of bool, shape (T,)
        False for frames that took the movement of their neighbours.
    reference : int
        The reference frame.
    model : str
        "translation", "euclidean", "affine" or "homography".
    frame_shape : tuple of int
        (Y, X).
    """

    matrices: NDArray[np.float64]
    shifts_px: NDArray[np.float64]
    largest_px: NDArray[np.float64]
    correlation: NDArray[np.float64]
    converged: NDArray[np.bool_]
    reference: int
    model: str
    frame_shape: tuple[int, int]


def find_frame_shifts(
    sequence: ThermalSequence,
    *,
    model: Literal["translation", "euclidean", "affine", "homography"] = "translation",
    reference: int | None = None,
    mask: NDArray[np.bool_] | None = None,
    blur_px: float = BLUR_PX,
) -> FrameShifts:
    """Align every frame with the reference by maximising the enhanced correlation coefficient of their edges.

    Temperatures change a hundredfold during a recording while the edges of the plate stay where they are: what is
    compared is the squared gradient of the smoothed frame (squared, so that sharp edges outweigh wide ones). Edges of
    defects appear and spread, so a frame is not compared with the distant reference but with a running mean of the
    edge images aligned before it (a tenth of each new one), from the reference forwards to the end and backwards to
    the beginning; each search starts where the last one ended. A frame whose search fails, correlates below 0.5, shows
    no edges above its noise (the plate still cold) or seems to move by more than a quarter of the frame between two
    frames takes the movement interpolated in time between its neighbours, or that of the nearest aligned frame at
    either end. A plate that fills the frame and shows no edges cannot be aligned.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording, read frame by frame.
    model : {"translation", "euclidean", "affine", "homography"}
        Movement allowed; the simplest that does is the most robust.
    reference : int, optional
        Number of the reference frame; negative ones count from the end. The one with the strongest edges of 24 frames
        spread over the recording when None.
    mask : ndarray of bool, shape (Y, X), optional
        Part of the reference frame to look at: its edges move with the plate.
    blur_px : float
        Standard deviation of the smoothing before the gradient, above 0.

    Returns
    -------
    FrameShifts

    Raises
    ------
    UnknownNameError
        When the model is not known.
    SequenceError
        When reference or mask do not fit the recording, frames are smaller than 16 x 16 px, or fewer than a fifth of
        the frames can be aligned.

    References
    ----------
    G. D. Evangelidis and E. Z. Psarakis, IEEE Trans. Pattern Anal. Mach. Intell. 30 (2008) 1858,
    10.1109/TPAMI.2008.113
    """
    if model not in MODELS:
        raise UnknownNameError(f"unknown model of movement '{model}'{suggestion(str(model), MODELS)}")
    if min(sequence.frame_shape) < 16:
        raise SequenceError(f"frames of {sequence.frame_shape} px are too small to align, expected 16 x 16 at least")
    if mask is not None and (mask.shape != sequence.frame_shape or not mask.any()):
        raise SequenceError(
            f"mask of shape {mask.shape} with {int(mask.sum())} pixels came, expected {sequence.frame_shape} and some"
        )
    if not blur_px > 0:
        raise SequenceError(f"blur_px is {blur_px:g}, expected more than 0")
    start = _reference(sequence, reference, blur_px)
    aligner = Aligner(sequence, model, start, mask, blur_px)
    n = sequence.n_frames
    matrices, correlation = np.tile(np.eye(3), (n, 1, 1)), np.full(n, np.nan)
    correlation[start] = 1.0
    for way in (range(start + 1, n), range(start - 1, -1, -1)):
        aligner.restart()
        for index in way:
            matrices[index], correlation[index] = aligner.align(index)
    converged = np.isfinite(correlation)
    if n > 1 and converged.sum() < max(2, LEAST_ALIGNED * n):
        raise SequenceError(
            f"only {int(converged.sum())} of {n} frames could be aligned with frame {start}: their edges are too faint "
            "or change too much; give a reference with visible edges, or a mask of the plate's rim, or leave it out"
        )
    matrices = _filled(matrices, converged, sequence.times_s)
    centre, largest = movement(matrices, sequence.frame_shape)
    return FrameShifts(
        matrices=matrices,
        shifts_px=centre,
        largest_px=largest,
        correlation=correlation,
        converged=converged,
        reference=start,
        model=model,
        frame_shape=sequence.frame_shape,
    )


def _reference(sequence: ThermalSequence, reference: int | None, blur_px: float) -> int:
    n = sequence.n_frames
    if reference is not None:
        if not -n <= reference < n:
            raise SequenceError(f"reference is frame {reference}, the recording has frames 0 to {n - 1}")
        return int(reference) % n
    picked = np.unique(np.linspace(0, n - 1, min(n, SAMPLED_FRAMES)).round().astype(int)).tolist()
    strength = []
    for index in picked:
        edges, _, _ = edge_image(np.asarray(sequence.frames[index, :, :]), blur_px)
        strength.append(float(np.quantile(edges, 0.98)))
    return int(picked[int(np.argmax(strength))])


def _filled(
    matrices: NDArray[np.float64], converged: NDArray[np.bool_], times_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate the matrices of frames that were not aligned in time."""
    if converged.all() or not converged.any():
        return matrices
    result = matrices.copy()
    for row in range(3):
        for column in range(3):
            result[~converged, row, column] = np.interp(
                times_s[~converged], times_s[converged], matrices[converged, row, column]
            )
    return result
