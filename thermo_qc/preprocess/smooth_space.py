"""Smoothing of frames in the plane; pixels without a value neither give nor get one."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import MissingFactError, SequenceError, UnknownNameError, suggestion
from thermo_qc.preprocess.views import Block, ComputedFrames, read_block, settle
from thermo_qc.sequence import FrameSource, ThermalSequence

__all__ = ["smooth_in_space"]

METHODS = ("gaussian", "median")
TRUNCATE = 4.0
LARGEST_PX = 200.0


def smooth_in_space(
    sequence: ThermalSequence,
    *,
    method: Literal["gaussian", "median"] = "gaussian",
    size_px: float | None = None,
    size_mm: float | None = None,
) -> ThermalSequence:
    """Smooth every frame.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; frames in a file stay there.
    method : {"gaussian", "median"}
        Gaussian: normalised convolution, which leaves out what has no value and what lies outside the frame. Median:
        of the finite values in a square; outside the frame its edge pixels are repeated.
    size_px, size_mm : float, optional
        Standard deviation of the Gaussian, or edge of the square (rounded to the nearest odd number of pixels), in
        pixels or mm; give one. Default: 1 px for the Gaussian, 3 px for the median.

    Returns
    -------
    ThermalSequence
        float32; NaN stays NaN, and nothing else becomes NaN.

    Raises
    ------
    UnknownNameError
        When the method is not known.
    MissingFactError
        When the size is in mm and the pixel pitch is not known.
    SequenceError
        When both sizes are given, or one is not above 0 and at most 200 px.

    References
    ----------
    H. Knutsson and C.-F. Westin, Proc. IEEE CVPR (1993) 515, 10.1109/CVPR.1993.341081 (normalised convolution)
    """
    if method not in METHODS:
        raise UnknownNameError(f"unknown smoothing in space '{method}'{suggestion(str(method), METHODS)}")
    size = _size(sequence, method, size_px, size_mm)
    parameters: dict[str, Any] = {"method": method}
    if method == "gaussian":
        parameters["size_px"] = size
        smoother: _Smoothed = _Gaussian(sequence.frames, size)
    else:
        edge = 2 * round((size - 1) / 2) + 1
        parameters["size_px"] = edge
        smoother = _Median(sequence.frames, edge)
    if size_mm is not None:
        parameters["size_mm"] = size_mm
    return sequence.with_frames(settle(smoother, sequence.frames), "smooth_in_space", parameters=parameters)


def _size(sequence: ThermalSequence, method: str, size_px: float | None, size_mm: float | None) -> float:
    if size_px is not None and size_mm is not None:
        raise SequenceError(f"size_px {size_px:g} and size_mm {size_mm:g} came, expected one of them")
    if size_mm is not None:
        if sequence.pixel_pitch_mm is None:
            raise MissingFactError(f"a size of {size_mm:g} mm needs the pixel pitch; give pixel_pitch_mm or size_px")
        size_px = size_mm / sequence.pixel_pitch_mm
    if size_px is None:
        size_px = 1.0 if method == "gaussian" else 3.0
    if not 0 < size_px <= LARGEST_PX:
        raise SequenceError(f"size of the smoothing is {size_px:g} px, expected more than 0 and at most {LARGEST_PX:g}")
    return float(size_px)


class _Smoothed(ComputedFrames):
    """Lazy frames smoothed one by one, read with a margin."""

    def __init__(self, source: FrameSource, reach: int) -> None:
        super().__init__(source)
        self._reach = reach

    def smooth(self, frame: NDArray[np.float64]) -> NDArray[np.float64]:
        """Smooth one frame whose NaN pixels stay."""
        raise NotImplementedError

    def compute(self, block: Block) -> NDArray[np.float32]:
        """Smooth the block's frames with what lies round it."""
        times, rows, columns = block
        height, width = self.shape[1:]
        top, left = max(0, rows.start - self._reach), max(0, columns.start - self._reach)
        bottom, right = min(height, rows[-1] + 1 + self._reach), min(width, columns[-1] + 1 + self._reach)
        cut = (
            slice(rows.start - top, rows[-1] + 1 - top, rows.step),
            slice(columns.start - left, columns[-1] + 1 - left, columns.step),
        )
        result = np.empty((len(times), len(rows), len(columns)), dtype=np.float32)
        part = read_block(self._source, (times, range(top, bottom), range(left, right)))
        for position, frame in enumerate(part):
            result[position] = self.smooth(frame.astype(np.float64))[cut]
        return result


class _Gaussian(_Smoothed):
    def __init__(self, source: FrameSource, sigma: float) -> None:
        super().__init__(source, int(np.ceil(TRUNCATE * sigma)))
        self._sigma, self._edge = sigma, 2 * self._reach + 1

    def _blur(self, frame: NDArray[np.float64]) -> NDArray[np.float64]:
        size = (self._edge, self._edge)
        return np.asarray(cv2.GaussianBlur(frame, size, self._sigma, borderType=cv2.BORDER_CONSTANT))

    def smooth(self, frame: NDArray[np.float64]) -> NDArray[np.float64]:
        finite = np.isfinite(frame)
        total = self._blur(np.where(finite, frame, 0.0))
        weight = self._blur(finite.astype(np.float64))
        return np.asarray(np.divide(total, weight, out=np.full(frame.shape, np.nan), where=finite))


class _Median(_Smoothed):
    def __init__(self, source: FrameSource, edge: int) -> None:
        super().__init__(source, edge // 2)
        self._edge = edge

    def smooth(self, frame: NDArray[np.float64]) -> NDArray[np.float64]:
        finite = np.isfinite(frame)
        if finite.all():
            return np.asarray(ndimage.median_filter(frame, size=self._edge, mode="nearest"))
        holes = np.where(finite, frame, np.nan)
        result = np.full(frame.shape, np.nan)
        clean = finite & ~ndimage.maximum_filter(~finite, size=self._edge, mode="nearest")
        result[clean] = ndimage.median_filter(np.where(finite, frame, 0.0), size=self._edge, mode="nearest")[clean]
        padded = np.pad(holes, self._edge // 2, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (self._edge, self._edge))
        rows, columns = np.nonzero(finite & ~clean)
        for start in range(0, rows.size, 4096):
            chosen = slice(start, start + 4096)
            values = windows[rows[chosen], columns[chosen]].reshape(-1, self._edge**2)
            result[rows[chosen], columns[chosen]] = np.nanmedian(values, axis=1)
        return result
