"""Scores of the general model: defects found, pixels, false calls and depths, on plates with known detectability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from thermo_qc.inspection import DefectMap
from thermo_qc.sequence import ThermalSequence

DETECTABLE = 30.0
GUARD_PX = 3
SMALLEST_PX = 6
COVERAGE, OVERLAP = 0.4, 0.2
TOUCHING = np.ones((3, 3))
QUANTILES = {0.6827: 1.0, 0.9: 1.645, 0.95: 1.96}


@dataclass(kw_only=True)
class Score:
    """Counts over any number of recordings; "detectable" leaves out defects below d' 30 and their surroundings."""

    true_px: int = 0
    false_px: int = 0
    missed_px: int = 0
    all_true_px: int = 0
    all_missed_px: int = 0
    hits: int = 0
    detectable: int = 0
    all_hits: int = 0
    defects: int = 0
    false_calls: int = 0
    area_mm2: float = 0.0
    sound_px: int = 0
    sound_called_px: int = 0
    relative_errors: list[float] = field(default_factory=list)
    deviations: list[float] = field(default_factory=list)  # error over stated standard deviation
    right_classes: int = 0  # hits in the right of three thirds of the thickness, and by the nearest of the true depths
    right_rows: int = 0

    def add(self, other: Score) -> None:
        """Pool with another."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def f1(self) -> float:
        """F1 of the pixels of detectable defects."""
        return 2 * self.true_px / max(1, 2 * self.true_px + self.false_px + self.missed_px)

    @property
    def f1_all(self) -> float:
        """F1 of the pixels of all defects."""
        return 2 * self.all_true_px / max(1, 2 * self.all_true_px + self.false_px + self.all_missed_px)

    def line(self, name: str) -> str:
        """One line of the table."""
        error = np.mean(self.relative_errors) if self.relative_errors else np.nan
        covered = [np.mean(np.abs(self.deviations) <= q) if self.deviations else np.nan for q in QUANTILES.values()]
        return (
            f"{name:22} F1 {self.f1:.3f} (all {self.f1_all:.3f})  hits {self.hits}/{self.detectable} "
            f"(all {self.all_hits}/{self.defects})  false {self.false_calls} "
            f"({self.false_calls / max(self.area_mm2 / 1e5, 1e-9):.2f} per 1000 cm2)  "
            f"sound called {100 * self.sound_called_px / max(1, self.sound_px):.3f} %  depth {100 * error:.1f} %  "
            f"covers 68/90/95: {' '.join(f'{100 * part:.0f}' for part in covered)}  "
            f"third/row of depth right {self.right_classes}/{self.right_rows} of {len(self.relative_errors)}"
        )


def score_recording(
    sequence: ThermalSequence,
    prediction: DefectMap,
    indices: Mapping[int, float],
    *,
    threshold: float | None = None,
    named: str = "",
) -> Score:
    """Score one recording: hit when 40 % is covered and the IoU with the touching components is at least 0.2.

    Without a threshold what the prediction calls counts; of detectable defects only those count whose name begins as
    asked ("H" holes, "B" buried defects), the others with their surroundings as neither hit nor false.
    """
    truth, pitch = sequence.truth, prediction.pixel_pitch_mm
    assert truth is not None and pitch is not None
    used = truth.valid & prediction.inspected
    called = used & (prediction.defect if threshold is None else 1.0 - prediction.probability[0] > threshold)
    labels, _ = ndimage.label(called, TOUCHING)
    small = np.bincount(labels.ravel()) < SMALLEST_PX
    called &= ~small[labels]
    labels, number = ndimage.label(called, TOUCHING)
    index = np.where(used, truth.defect_index, 0)
    anywhere = index > 0
    counted = {defect.number for defect in truth.defects if defect.name.startswith(named)}
    visible = np.isin(index, [key for key in counted if indices.get(key, 0.0) >= DETECTABLE])
    doubtful = ndimage.binary_dilation(anywhere & ~visible, iterations=GUARD_PX)
    near = ndimage.binary_dilation(anywhere, iterations=GUARD_PX)
    score = Score(
        true_px=int((called & visible).sum()),
        false_px=int((called & ~anywhere & used & ~doubtful).sum()),
        missed_px=int((visible & ~called).sum()),
        all_true_px=int((called & anywhere).sum()),
        all_missed_px=int((anywhere & ~called).sum()),
        false_calls=number - np.count_nonzero(np.unique(labels[near])),
        area_mm2=float(used.sum()) * pitch**2,
        sound_px=int((used & ~near).sum()),
        sound_called_px=int((called & ~near).sum()),
    )
    for defect in truth.defects:
        mask = index == defect.number
        if defect.number not in counted or not mask.any():
            continue
        touching = np.isin(labels, np.setdiff1d(labels[mask], [0]))
        union = (mask | touching) & (mask | ~anywhere)
        hit = (mask & called).sum() >= COVERAGE * mask.sum() and (mask & called).sum() >= OVERLAP * union.sum()
        score.defects += 1
        score.all_hits += int(hit)
        if indices.get(defect.number, 0.0) < DETECTABLE:
            continue
        score.detectable += 1
        score.hits += int(hit)
        if hit and defect.depth_mm:
            depth = float(np.nanmedian(prediction.depth_mm[mask & called]))
            score.relative_errors.append(abs(depth - defect.depth_mm) / defect.depth_mm)
            if sequence.thickness_mm:
                thirds = np.clip(3 * np.array([depth, defect.depth_mm]) // sequence.thickness_mm, 0, 2)
                score.right_classes += int(thirds[0] == thirds[1])
            rows = np.unique([one.depth_mm for one in truth.defects if one.depth_mm])
            score.right_rows += int(rows[np.abs(np.log(rows / depth)).argmin()] == defect.depth_mm)
            if prediction.depth_std_mm is not None:
                spread = float(np.nanmedian(prediction.depth_std_mm[mask & called]))
                score.deviations.append((depth - defect.depth_mm) / spread)
    return score


def pooled(scores: Iterable[Score]) -> Score:
    """Pool scores."""
    total = Score()
    for score in scores:
        total.add(score)
    return total


def spread(scores: Sequence[Score], *, repeats: int = 1000) -> str:
    """Return one line: between what F1 and coverage lie in 95 % of drawings of the recordings with replacement."""
    rng, found = np.random.default_rng(0), []
    for _ in range(repeats):
        drawn = pooled(scores[number] for number in rng.integers(0, len(scores), len(scores)))
        inside = np.abs(drawn.deviations or [np.nan])
        found.append([drawn.f1, *(100 * np.mean(inside <= quantile) for quantile in QUANTILES.values())])
    low, high = np.nanpercentile(found, [2.5, 97.5], axis=0)
    covered = ", ".join(f"{first:.0f} to {last:.0f}" for first, last in zip(low[1:], high[1:], strict=True))
    return f"  drawn again, 95 % of them: F1 {low[0]:.3f} to {high[0]:.3f}, covers {covered}"


def at_rate(indices: Mapping[int, float], sequence: ThermalSequence, noise_k: float) -> dict[int, Any]:
    """Detectability for a recording's frame rate and noise, from that of one frame a second with 1 K."""
    rate_hz = 1.0 / float(np.median(np.diff(sequence.times_s)))
    return {number: value * np.sqrt(rate_hz) / noise_k for number, value in indices.items()}
