"""One frame after the other aligned with those before it, by their edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.preprocess.statistics import MAD_TO_STD
from thermo_qc.sequence import ThermalSequence

__all__ = ["MODELS", "Aligner", "edge_image", "movement"]

MODELS = {
    "translation": cv2.MOTION_TRANSLATION,
    "euclidean": cv2.MOTION_EUCLIDEAN,
    "affine": cv2.MOTION_AFFINE,
    "homography": cv2.MOTION_HOMOGRAPHY,
}
MARGIN_PX = 2
TEMPLATE_SHARE = 0.1
LEAST_CORRELATION = 0.5
LEAST_CONTRAST = 4.0
LARGEST_SHARE = 0.25
ITERATIONS, PRECISION = 100, 1e-5


def edge_image(frame: NDArray[np.generic], blur_px: float) -> tuple[NDArray[np.float32], NDArray[np.bool_], float]:
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


class Aligner:
    """Aligns frame after frame with a running mean of those before."""

    def __init__(
        self, sequence: ThermalSequence, model: str, start: int, mask: NDArray[np.bool_] | None, blur_px: float
    ) -> None:
        self._sequence, self._model, self._blur = sequence, MODELS[model], blur_px
        self._is_homography = model == "homography"
        self._first, self._first_known, _ = edge_image(np.asarray(sequence.frames[start, :, :]), blur_px)
        self._mask = mask
        self.restart()

    def restart(self) -> None:
        """Begin again from the reference frame."""
        self._template, self._seen = _scaled(self._first), self._first_known.copy()
        self._last = np.eye(3)

    def align(self, index: int) -> tuple[NDArray[np.float64], float]:
        """Find one frame's matrix and its correlation; the last matrix and NaN where it cannot be found."""
        edges, known, contrast = edge_image(np.asarray(self._sequence.frames[index, :, :]), self._blur)
        if contrast < LEAST_CONTRAST or not known.any():
            return self._last, float("nan")
        edges = _scaled(edges)
        matrix = self._search(edges, known)
        if matrix is None:
            return self._last, float("nan")
        found, correlation = matrix
        _, step = movement((found @ np.linalg.inv(self._last))[None], self._sequence.frame_shape)
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


def movement(matrices: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Movement of the centre (T, 2) and length of that of the farthest moving corner (T,), px."""
    bottom, right = shape[0] - 1.0, shape[1] - 1.0
    points = np.array([[right / 2, bottom / 2], [0, 0], [right, 0], [0, bottom], [right, bottom]])
    moved = np.einsum("tij,pj->tpi", matrices, np.column_stack([points, np.ones(5)]))
    movement = moved[..., :2] / moved[..., 2:] - points
    return movement[:, 0], np.hypot(movement[:, 1:, 0], movement[:, 1:, 1]).max(axis=1)
