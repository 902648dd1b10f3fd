"""Smoothing of every pixel's curve in time, never across the start or the end of the heating."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, UnknownNameError, suggestion
from thermo_qc.preprocess.heating import heating_of_curve
from thermo_qc.preprocess.reference import mean_curve
from thermo_qc.preprocess.views import Block, ComputedFrames, read_block, settle
from thermo_qc.sequence import FrameSource, ThermalSequence

__all__ = ["smooth_in_time"]

OPTIONS = {"savgol": ("window_frames", "order"), "gaussian": ("sigma_frames",), "median": ("window_frames",)}
TRUNCATE = 4.0
FLASH_FRAMES = 2


def smooth_in_time(
    sequence: ThermalSequence,
    *,
    method: Literal["savgol", "gaussian", "median"] = "savgol",
    window_frames: int | None = None,
    order: int | None = None,
    sigma_frames: float | None = None,
) -> ThermalSequence:
    """Smooth every pixel's curve within each stretch of the recording: before, during and after the heating.

    The stretches are divided at the stated start and stop of the excitation, and at those that the mean curve shows
    where they are not stated; a periodic excitation is one stretch. At the ends of a stretch windows do not reach over:
    Savitzky-Golay fits its polynomial to the window's length of frames nearest to the end, the others use what is
    there. Uneven times are taken as they are: polynomials are fitted over the times themselves, and the Gaussian's
    width is in units of the median time step.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; frames in a file stay there, and one frame needs only those of its window.
    method : {"savgol", "gaussian", "median"}
        Local polynomial, weighted mean or median.
    window_frames : int, optional
        Of "savgol" (default 11) and "median" (default 5); odd, at least 3. A stretch that is shorter is one window.
    order : int, optional
        Of "savgol" (default 2), from 0 to 8 and below `window_frames`; lowered in a stretch with too few frames.
    sigma_frames : float, optional
        Standard deviation of "gaussian" (default 2).

    Returns
    -------
    ThermalSequence
        float32. A missing value (NaN) stays missing and has no part in its neighbours'.

    Raises
    ------
    UnknownNameError
        When the method is not known.
    ConfigError
        When an option belongs to another method or is out of range.

    References
    ----------
    A. Savitzky and M. J. E. Golay, Anal. Chem. 36 (1964) 1627, 10.1021/ac60214a047
    """
    if method not in OPTIONS:
        raise UnknownNameError(f"unknown smoothing in time '{method}'{suggestion(str(method), OPTIONS)}")
    given = {"window_frames": window_frames, "order": order, "sigma_frames": sigma_frames}
    options = _checked(method, {name: value for name, value in given.items() if value is not None})
    cuts = _cuts(sequence)
    frames = _SmoothedCurves(sequence.frames, sequence.times_s, cuts, method, options)
    return sequence.with_frames(
        settle(frames, sequence.frames),
        "smooth_in_time",
        parameters={"method": method, **options, "divided_before_frames": list(cuts)},
    )


def _checked(method: str, given: dict[str, Any]) -> dict[str, Any]:
    for name in given:
        if name not in OPTIONS[method]:
            raise ConfigError(
                f"{name} came with the smoothing '{method}', which takes {' and '.join(OPTIONS[method])}; leave it out"
            )
    if method == "gaussian":
        sigma = float(given.get("sigma_frames", 2.0))
        if not 0 < sigma <= 10_000:
            raise ConfigError(f"sigma_frames is {sigma:g}, expected more than 0 and at most 10000")
        return {"sigma_frames": sigma}
    window = given.get("window_frames", 11 if method == "savgol" else 5)
    if isinstance(window, bool) or window != int(window) or window < 3 or window % 2 == 0:
        raise ConfigError(f"window_frames is {window}, expected an odd number of frames, at least 3")
    if method == "median":
        return {"window_frames": int(window)}
    order = given.get("order", 2)
    if isinstance(order, bool) or order != int(order) or not 0 <= order <= 8 or order >= window:
        raise ConfigError(f"order is {order}, expected a whole number from 0 to 8 below window_frames ({window})")
    return {"window_frames": int(window), "order": int(order)}


def _cuts(sequence: ThermalSequence) -> tuple[int, ...]:
    """First frame of every stretch but the first."""
    excitation, times = sequence.excitation, sequence.times_s
    if excitation.kind == "periodic":
        return ()
    curve = mean_curve(sequence)
    found = heating_of_curve(curve, times)
    if "flash" in (excitation.kind, found.kind):
        return _flash_cuts(curve, times, excitation.start_s, found.stop_s if found.kind == "flash" else None)
    stated = [excitation.start_s, excitation.stop_s]
    if excitation.kind == "unknown" and found.start_s is not None:
        stated[0] = found.start_s
    if stated[1] is None:
        stated[1] = found.stop_s
    places = {int(np.searchsorted(times, time, side="right")) for time in stated if time is not None}
    return tuple(sorted(place for place in places if 0 < place < times.size))


def _flash_cuts(
    curve: NDArray[np.float64], times: NDArray[np.float64], start_s: float, hottest_s: float | None
) -> tuple[int, ...]:
    """Cut before the first frame that the flash has heated: the largest rise near its time."""
    place = int(np.searchsorted(times, start_s if hottest_s is None else hottest_s))
    low, high = max(1, place - FLASH_FRAMES), min(times.size, place + FLASH_FRAMES + 1)
    rises = np.diff(curve)[low - 1 : high - 1]
    if rises.size == 0 or not np.isfinite(rises).any():
        return ()
    return (low + int(np.nanargmax(rises)),)


class _SmoothedCurves(ComputedFrames):
    """Lazy frames smoothed in time; a part of them needs only the frames of its windows."""

    def __init__(
        self,
        source: FrameSource,
        times_s: NDArray[np.float64],
        cuts: tuple[int, ...],
        method: str,
        options: dict[str, Any],
    ) -> None:
        super().__init__(source)
        self._method, self._options, self._times_s = method, options, times_s
        self._step_s = float(np.median(np.diff(times_s))) if times_s.size > 1 else 1.0
        edges = [0, *cuts, times_s.size]
        self._first = np.repeat(edges[:-1], np.diff(edges))
        self._last = np.repeat(edges[1:], np.diff(edges))

    def _window(self, index: int) -> range:
        """Frames that the smoothed frame is made from."""
        first, last = int(self._first[index]), int(self._last[index])
        if self._method == "gaussian":
            reach = TRUNCATE * self._options["sigma_frames"] * self._step_s
            low, high = np.searchsorted(self._times_s, self._times_s[index] + np.array([-reach, reach]) * (1 + 1e-9))
            return range(max(first, int(low)), min(last, int(high) if high > index else index + 1))
        half = self._options["window_frames"] // 2
        if self._method == "median":
            return range(max(first, index - half), min(last, index + half + 1))
        low = max(first, min(index - half, last - self._options["window_frames"]))
        return range(low, min(last, low + self._options["window_frames"]))

    def _weights(self, index: int, frames: NDArray[np.intp]) -> NDArray[np.float64]:
        """Weights of some frames in a smoothed one; they sum to one."""
        distance = (self._times_s[frames] - self._times_s[index]) / self._step_s
        if self._method == "gaussian":
            weights = np.exp(-0.5 * (distance / self._options["sigma_frames"]) ** 2)
            return np.asarray(weights / weights.sum())
        order = min(self._options["order"], frames.size - 1)
        scale = max(float(np.abs(distance).max()), 1.0)
        return np.asarray(np.linalg.pinv(np.vander(distance / scale, order + 1, increasing=True))[0])

    def compute(self, block: Block) -> NDArray[np.float32]:
        """Read the frames of all windows, then smooth frame by frame."""
        times, rows, columns = block
        windows = {index: self._window(index) for index in times}
        low, high = min(one.start for one in windows.values()), max(one.stop for one in windows.values())
        if times.step > max(len(one) for one in windows.values()):
            parts = [self.compute((range(index, index + 1), rows, columns)) for index in times]
            return np.concatenate(parts)
        part = read_block(self._source, (range(low, high), rows, columns))
        curves = part.reshape(high - low, -1).astype(np.float64)
        finite = np.isfinite(curves)
        whole = np.asarray(finite.all(axis=0))
        result = np.full((len(times), curves.shape[1]), np.nan, dtype=np.float32)
        for position, index in enumerate(times):
            frames = np.arange(windows[index].start, windows[index].stop)
            result[position, whole] = self._smoothed(index, frames, curves[frames - low][:, whole])
            self._with_gaps(result[position], index, frames, curves, finite, whole, low)
        return result.reshape(len(times), len(rows), len(columns))

    def _smoothed(self, index: int, frames: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
        if values.shape[1] == 0:
            return np.empty(0)
        if self._method == "median":
            return np.asarray(np.median(values, axis=0))
        # About the frame itself, so that rounding does not depend on the level.
        base = values[int(np.searchsorted(frames, index))]
        return np.asarray(base + self._weights(index, frames) @ (values - base))

    def _with_gaps(
        self,
        result: NDArray[np.float32],
        index: int,
        frames: NDArray[np.intp],
        curves: NDArray[np.float64],
        finite: NDArray[np.bool_],
        whole: NDArray[np.bool_],
        low: int,
    ) -> None:
        """Smooth the pixels that lack values, those with the same gaps together."""
        pixels = np.flatnonzero(~whole & finite[index - low])
        if pixels.size == 0:
            return
        patterns, group = np.unique(finite[frames - low][:, pixels].T, axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            chosen = pixels[group.ravel() == number]
            kept = frames[pattern]
            result[chosen] = self._smoothed(index, kept, curves[kept - low][:, chosen])
