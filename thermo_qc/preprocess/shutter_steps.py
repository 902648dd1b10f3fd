"""Where the picture steps from one frame to the next, away from the heating, and where it stands still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.preprocess.jumps import candidates
from thermo_qc.preprocess.reference import frame_bands
from thermo_qc.preprocess.statistics import MAD_TO_STD
from thermo_qc.sequence import ThermalSequence

__all__ = ["FrameChanges", "Step", "find_steps", "frame_changes", "still_frames"]

SAMPLED_PIXELS = 65_536
FREEZING_SHARE = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameChanges:
    """What every frame differs in from the one before: middle, spread and whether nothing changed; and its mean."""

    middle: NDArray[np.float64]
    spread: NDArray[np.float64]
    still: NDArray[np.bool_]
    mean: NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """A step between the last frame before `first` and the frame `resume`; those between are frozen."""

    first: int
    resume: int


def frame_changes(sequence: ThermalSequence) -> FrameChanges:
    """Read the recording once, in bands of frames; every n-th pixel where there are many."""
    stride = max(1, sequence.frame_shape[0] * sequence.frame_shape[1] // SAMPLED_PIXELS)
    n = sequence.n_frames
    median, spread, mean = (np.full(n, np.nan) for _ in range(3))
    still = np.zeros(n, dtype=bool)
    before: NDArray[np.float64] | None = None
    for part, band in frame_bands(sequence):
        for index, frame in zip(
            range(part.start, part.stop), band.reshape(band.shape[0], -1)[:, ::stride], strict=True
        ):
            finite = np.isfinite(frame)
            if not finite.any():
                continue
            mean[index] = frame[finite].mean()
            if before is not None:
                change = (frame - before)[finite & np.isfinite(before)]
                if change.size:
                    median[index], spread[index] = _middle_and_spread(change)
                    still[index] = np.count_nonzero(change) <= 0.01 * change.size
            before = frame
    return FrameChanges(middle=median, spread=spread, still=still, mean=mean)


def _middle_and_spread(change: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation without the farthest pixels; medians would keep the steps of quantised readings."""
    middle = float(np.median(change))
    distance = np.abs(change - middle)
    spread = MAD_TO_STD * float(np.median(distance))
    kept = change[distance <= 3 * spread] if spread > 0 else change[distance == 0]
    return float(kept.mean()), float(kept.std())


def still_frames(series: FrameChanges) -> set[int]:
    """Frames that repeat the one before; none where that is the recording's habit."""
    frozen = np.flatnonzero(series.still)
    return set(frozen.tolist()) if frozen.size <= FREEZING_SHARE * series.still.size else set()


def find_steps(
    sequence: ThermalSequence,
    series: FrameChanges,
    events: tuple[float, ...],
    frozen: set[int],
    longest_s: float,
    guard: int,
) -> list[Step]:
    """Order the steps by time, away from the heating; a shutter seen from both sides is one."""
    times = sequence.times_s
    floor = 1e-7 * float(np.nanmax(np.abs(series.mean))) if np.isfinite(series.mean).any() else 0.0
    near = np.zeros(times.size, dtype=bool)
    for event in events:
        place = int(np.searchsorted(times, event))
        near[max(0, place - guard) : place + guard + 2] = True
    every = [int(k) for k in candidates(series.middle, floor, apart=0) if not near[k]]
    paired = _pairs(every, series.middle, times, longest_s, frozen)
    spread = np.where(series.still, np.nan, series.spread)
    wide = candidates(spread, floor)
    usual = float(np.nanmedian(spread)) if np.isfinite(spread).any() else 0.0
    wide = wide[spread[wide] > 1.2 * usual]
    single = {int(k) for k in candidates(series.middle, floor)} | {int(k) for k in wide}
    inside = {k for step in paired for k in range(step.first - 1, step.resume + 2)}
    steps = list(paired)
    for k in sorted(single):
        if near[k] or k in inside:
            continue
        first = k
        while first - 1 in frozen:
            first -= 1
        if not steps or all(abs(k - other.resume) > 1 for other in steps):
            steps.append(Step(first, k))
    return sorted(steps, key=lambda step: step.resume)


def _pairs(
    found: list[int], median: NDArray[np.float64], times_s: NDArray[np.float64], longest_s: float, frozen: set[int]
) -> list[Step]:
    pairs, taken = [], -1
    for position, k in enumerate(found):
        if k <= taken:
            continue
        for other in found[position + 1 :]:
            still = all(between in frozen for between in range(k + 1, other))
            if times_s[other] - times_s[k] > longest_s and not still:
                break
            if median[k] * median[other] < 0 and 0.5 < abs(median[other] / median[k]) < 2:
                pairs.append(Step(k, other))
                taken = other
                break
    return pairs
