"""Where one curve bends: the onset and the end of a heating, the moment of a flash."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.preprocess.jumps import is_level_jump, smooth_axis

__all__ = ["bends_at", "kink_time", "onset_of_curve", "pulse_time"]

FIT_FRAMES = 12
CANDIDATES = 81
LONGEST_SEARCH = 400
STEEPER = 4.0
BEND_RATIO = 6.0
LEVEL_FRAMES = 24


def bends_at(curve: NDArray[np.float64], times: NDArray[np.float64], peak: int) -> bool:
    """Whether the slope changes at the hottest frame as it does nowhere else, over short or over long stretches.

    The top of a slow drift is no end of a heating.
    """
    for reach in (2, 5, 15, 50, 150):
        if 4 * reach > curve.size:
            break
        slopes = (curve[reach:] - curve[:-reach]) / (times[reach:] - times[:-reach])
        bends = np.abs(slopes[reach:] - slopes[:-reach])
        near = bends[max(0, peak - reach - 1) : max(1, peak - reach + 2)]
        if near.max() > BEND_RATIO * float(np.median(bends)):
            return True
    return curve.size < 8


def kink_time(curve: NDArray[np.float64], times: NDArray[np.float64], peak: int) -> float:
    """Time of the heating's end between the frames round the hottest one, s."""
    heated = np.flatnonzero(curve[:peak] <= curve[0] + 0.2 * (curve[peak] - curve[0]))
    first = int(heated[-1]) + 1 if heated.size else 0
    part = slice(max(first, peak - FIT_FRAMES), peak + FIT_FRAMES + 1)
    t, y = times[part] - times[peak], curve[part]
    if y.size < 7 or peak + 1 >= times.size:
        return float(times[peak])
    scale = float(np.abs(t).max())
    low, high = float(times[peak - 1] - times[peak]), float(times[peak + 1] - times[peak])
    smooth = np.stack([np.ones_like(t), t / scale, (t / scale) ** 2], axis=1)
    places = np.linspace(low, high, CANDIDATES)
    return float(times[peak] + places[int(np.argmin(_misfits(smooth, t, y, places, scale)))])


def _misfits(
    smooth: NDArray[np.float64],
    t: NDArray[np.float64],
    y: NDArray[np.float64],
    places: NDArray[np.float64],
    scale: float,
) -> NDArray[np.float64]:
    """Squared misfit of smooth columns and a square root that begins at each place."""
    # Projecting the smooth columns out leaves one coefficient per place.
    basis = np.linalg.qr(smooth)[0]
    roots = np.sqrt(np.maximum(t[:, None] - places[None, :], 0.0) / scale)
    roots -= basis @ (basis.T @ roots)
    rest = y - basis @ (basis.T @ y)
    power = (roots**2).sum(axis=0)
    gain = np.divide((rest @ roots) ** 2, power, out=np.zeros_like(power), where=power > 1e-12 * t.size)
    return np.asarray(float(rest @ rest) - gain)


def onset_of_curve(curve: NDArray[np.float64], times: NDArray[np.float64], peak: int) -> tuple[float | None, str]:
    """Time at which the curve begins to rise towards its peak, s, or None and why not."""
    base = float(np.median(curve[: max(1, min(3, peak))]))
    risen = int(np.flatnonzero(curve[: peak + 1] - base >= 0.5 * (curve[peak] - base))[0])
    if risen == 0:
        return None, "The recording begins during the heating."
    last = min(peak, risen + FIT_FRAMES)
    part = slice(max(0, risen - LONGEST_SEARCH), last + 1)
    t, y = times[part], curve[part]
    if y.size < 4:
        return float(times[max(risen - 1, 0)]), ""
    place = _onset_frame(y, t)
    fine = slice(max(0, place - 3 * FIT_FRAMES), min(y.size, place + FIT_FRAMES + 1))
    t_fine, y_fine = t[fine], y[fine]
    low, high = t[max(place - 1, 0)], t[min(place + 1, t.size - 1)]
    start = _refined(y_fine, t_fine, np.linspace(low, high, CANDIDATES))
    return _judged(y, t, start)


def _onset_frame(y: NDArray[np.float64], t: NDArray[np.float64]) -> int:
    """Last frame before the rise: the best bend over the frames."""
    scale = float(np.ptp(t))
    shifted = t - t[0]
    smooth = np.stack([np.ones_like(t), shifted / scale], axis=1)
    places = shifted[:-2]
    misfits = np.array([_bend_misfit(smooth, shifted, y, place, scale) for place in places])
    return int(np.argmin(misfits))


def _bend_misfit(
    smooth: NDArray[np.float64], t: NDArray[np.float64], y: NDArray[np.float64], place: float, scale: float
) -> float:
    after = np.maximum(t - place, 0.0) / scale
    matrix = np.column_stack([smooth, np.sqrt(after), after])
    solution = np.linalg.lstsq(matrix, y, rcond=None)[0]
    return float(((y - matrix @ solution) ** 2).sum())


def _refined(y: NDArray[np.float64], t: NDArray[np.float64], places: NDArray[np.float64]) -> float:
    scale = max(float(np.ptp(t)), 1e-300)
    # A single frame before the onset fixes the level, more of them a drift as well.
    n_before = int((t <= places[len(places) // 2]).sum())
    shifted = t - t[0]
    smooth = np.stack([np.ones_like(t), shifted / scale], axis=1)[:, : 2 if n_before >= 4 else 1]
    misfits = [_bend_misfit(smooth, shifted, y, place - t[0], scale) for place in places]
    return float(places[int(np.argmin(misfits))])


def _judged(y: NDArray[np.float64], t: NDArray[np.float64], start: float) -> tuple[float | None, str]:
    """Accept an onset only where frames lie before it and the curve rises plainly steeper after it."""
    before = np.flatnonzero(t <= start)
    if before.size < 2:
        return None, "The recording begins during the heating."
    rest = np.flatnonzero(t > start)[:5]
    steps = np.diff(y[before[-1] :][: rest.size + 1]) / np.diff(t[before[-1] :][: rest.size + 1])
    if steps.size == 0:
        return None, "The curve rises without a visible start."
    calm = before[-min(before.size, 40) :]
    slope, noise = _line(t[calm], y[calm])
    steeper = float(steps.mean()) - slope
    span = float(t[rest[-1]] - t[before[-1]])
    if steeper <= STEEPER * max(abs(slope), 2 * noise / span):
        return None, "The curve rises without a visible start."
    place = int(before[-1]) + 1
    place += int(place + 1 < y.size and y[place + 1] - y[place] > y[place] - y[place - 1])
    part = slice(max(0, place - LEVEL_FRAMES), place + LEVEL_FRAMES)
    if is_level_jump(y[part], smooth_axis(t[part]), place - part.start):
        return None, "The curve changes its level at once and does not go on rising."
    return start, ""


def _line(t: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and scatter of frames before the heating."""
    if t.size < 3:
        return 0.0, 0.0
    slope, level = np.polyfit(t - t.mean(), y, 1)
    return float(slope), float(np.std(y - level - slope * (t - t.mean())))


def pulse_time(curve: NDArray[np.float64], times: NDArray[np.float64], peak: int) -> float:
    """Moment of a flash between the hottest frame and the one before it, s.

    After a flash a thick plate's rise is A / sqrt(t - t0): its inverse square is a line that meets zero at t0.
    """
    base = float(np.median(curve[:peak]))
    rise = curve[peak : peak + 6] - base
    low, high = float(times[peak - 1]), float(times[peak])
    if rise.size < 3 or (rise <= 0.2 * rise[0]).any():
        return (low + high) / 2
    t = times[peak : peak + rise.size]
    slope, offset = np.polyfit(t - high, (rise[0] / rise) ** 2, 1)
    if slope <= 0:
        return (low + high) / 2
    return float(np.clip(high - offset / slope, low, high))
