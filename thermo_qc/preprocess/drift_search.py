"""How every frame lies against a reference frame: alignment of edges by the enhanced correlation coefficient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, UnknownNameError, suggestion
from thermo_qc.preprocess.statistics import MAD_TO_STD
from thermo_qc.sequence import ThermalSequence

__all__ = ["MODELS", "FrameShifts", "find_frame_shifts"]

MODELS = {
    "translation": cv2.MOTION_TRANSLATION,
    "euclidean": cv2.MOTION_EUCLIDEAN,
    "affine": cv2.MOTION_AFFINE,
    "homography": cv2.MOTION_HOMOGRAPHY,
}
BLUR_PX = 1.0
MARGIN_PX = 2
TEMPLATE_SHARE = 0.1
LEAST_CORRELATION = 0.5
LEAST_CONTRAST = 4.0
LARGEST_SHARE = 0.25
LEAST_ALIGNED = 0.2
SAMPLED_FRAMES = 24
ITERATIONS, PRECISION = 100, 1e-5


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
    aligner = _Aligner(sequence, model, start, mask, blur_px)
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
    centre, largest = _movement(matrices, sequence.frame_shape)
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
        edges, _, _ = _edges(np.asarray(sequence.frames[index, :, :]), blur_px)
        strength.append(float(np.quantile(edges, 0.98)))
    return int(picked[int(np.argmax(strength))])


def _edges(frame: NDArray[np.generic], blur_px: float) -> tuple[NDArray[np.float32], NDArray[np.bool_], float]:
    """Square of the gradient of the smoothed frame, where it is known, and how far its root stands above the noise."""
    values = np.asarray(frame, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, dtype=np.float32), finite, 0.0
    level = float(np.median(values[finite]))
    values = np.where(finite, values - level, 0.0)
    noise = _white_noise(values, finite)
    weight = cv2.GaussianBlur(finite.astype(np.float64), (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE)
    smooth = cv2.GaussianBlur(values, (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE) / np.maximum(weight, 1e-6)
    slopes = np.gradient(smooth)
    size = slopes[0] ** 2 + slopes[1] ** 2
    known = cv2.erode(finite.astype(np.uint8), np.ones((2 * int(np.ceil(2 * blur_px)) + 1,) * 2, np.uint8)) > 0
    size[~known] = 0.0
    # White noise of one pixel makes slopes of this size behind a Gaussian.
    slope_noise = noise / (np.sqrt(8 * np.pi) * blur_px**2)
    strong = float(np.sqrt(np.quantile(size[known], 0.98))) if known.any() else 0.0
    floor = 1e-7 * max(abs(level), 1e-30)
    return size.astype(np.float32), known, strong / max(slope_noise, floor)


def _white_noise(values: NDArray[np.float64], finite: NDArray[np.bool_]) -> float:
    """Noise from pixel to pixel, from second differences in both directions."""
    cross = values[1:, 1:] - values[1:, :-1] - values[:-1, 1:] + values[:-1, :-1]
    whole = finite[1:, 1:] & finite[1:, :-1] & finite[:-1, 1:] & finite[:-1, :-1]
    return float(MAD_TO_STD * np.median(np.abs(cross[whole])) / 2) if whole.any() else 0.0


class _Aligner:
    """Aligns frame after frame with a running mean of those before."""

    def __init__(
        self, sequence: ThermalSequence, model: str, start: int, mask: NDArray[np.bool_] | None, blur_px: float
    ) -> None:
        self._sequence, self._model, self._blur = sequence, MODELS[model], blur_px
        self._is_homography = model == "homography"
        self._first, self._first_known, _ = _edges(np.asarray(sequence.frames[start, :, :]), blur_px)
        self._mask = mask
        self.restart()

    def restart(self) -> None:
        """Begin again from the reference frame."""
        self._template, self._seen = _scaled(self._first), self._first_known.copy()
        self._last = np.eye(3)

    def align(self, index: int) -> tuple[NDArray[np.float64], float]:
        """Find one frame's matrix and its correlation; the last matrix and NaN where it cannot be found."""
        edges, known, contrast = _edges(np.asarray(self._sequence.frames[index, :, :]), self._blur)
        if contrast < LEAST_CONTRAST or not known.any():
            return self._last, float("nan")
        edges = _scaled(edges)
        matrix = self._search(edges, known)
        if matrix is None:
            return self._last, float("nan")
        found, correlation = matrix
        _, step = _movement((found @ np.linalg.inv(self._last))[None], self._sequence.frame_shape)
        if correlation < LEAST_CORRELATION or step[0] > LARGEST_SHARE * min(self._sequence.frame_shape):
            return self._last, float("nan")
        self._last = found
        self._learn(edges, known)
        return found, correlation

    def _search(self, edges: NDArray[np.float32], known: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float] | None:
        height = 3 if self._is_homography else 2
        warp = self._last[:height].astype(np.float32)
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ITERATIONS, PRECISION)
        try:
            correlation, warp = cv2.findTransformECC(
                self._template, edges, warp, self._model, criteria, self._where(known), 1
            )
        except cv2.error:
            return None
        matrix = np.eye(3)
        matrix[:height] = warp
        if not (np.isfinite(matrix).all() and np.isfinite(correlation)):
            return None
        return matrix, float(correlation)

    def _where(self, known: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Pixels of the frame that are compared: known there and in the template moved as the last frame was."""
        height, width = known.shape
        seen = self._seen if self._mask is None else self._seen & self._mask
        moved = cv2.warpPerspective(
            seen.astype(np.uint8),
            self._last,
            (width, height),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if not seen.all():
            moved = cv2.erode(moved, np.ones((2 * MARGIN_PX + 1,) * 2, np.uint8))
        return np.asarray(moved.astype(bool) & known, dtype=np.uint8)

    def _learn(self, edges: NDArray[np.float32], known: NDArray[np.bool_]) -> None:
        height, width = edges.shape
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        back = cv2.warpPerspective(edges, self._last, (width, height), flags=flags)
        seen = cv2.warpPerspective(known.astype(np.float32), self._last, (width, height), flags=flags) > 0.99
        share = np.where(seen, np.float32(TEMPLATE_SHARE), np.float32(0.0))
        share[seen & ~self._seen] = 1.0
        self._template = ((1 - share) * self._template + share * back).astype(np.float32)
        self._seen |= seen


def _scaled(edges: NDArray[np.float32]) -> NDArray[np.float32]:
    top = float(np.quantile(edges, 0.99))
    return np.asarray(edges / np.float32(top if top > 0 else 1.0), dtype=np.float32)


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


def _movement(matrices: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Movement of the centre (T, 2) and length of that of the farthest moving corner (T,), px."""
    bottom, right = shape[0] - 1.0, shape[1] - 1.0
    points = np.array([[right / 2, bottom / 2], [0, 0], [right, 0], [0, bottom], [right, bottom]])
    moved = np.einsum("tij,pj->tpi", matrices, np.column_stack([points, np.ones(5)]))
    movement = moved[..., :2] / moved[..., 2:] - points
    return movement[:, 0], np.hypot(movement[:, 1:, 0], movement[:, 1:, 1]).max(axis=1)
