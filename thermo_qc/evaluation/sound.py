"""What a map says of sound material: false calls, the largest of them, scores, and plates without a defect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import FoldError
from thermo_qc.evaluation.intervals import Proportion, Rate, clopper_pearson, poisson_rate
from thermo_qc.evaluation.matching import SOUND_DISTANCE_PX, Matching, match_indications, sound_pixels
from thermo_qc.evaluation.metrics import check_same_shape
from thermo_qc.sequence import IGNORE_LABEL, Truth

__all__ = ["SoundScores", "SoundSummary", "sound_scores", "summarise_sound"]

N_BINS = 1000
QUANTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True, kw_only=True, eq=False)
class SoundScores:
    """One map on sound material, farther than a few pixels from any true defect.

    Parameters
    ----------
    n_pixels, n_called : int
        Sound pixels with a verdict, and those called a defect.
    n_regions : int
        False regions.
    largest_px : int
        Pixels of the largest false region; 0 when there is none.
    area_m2 : float
        Area of the sound pixels, NaN when the pitch is unknown.
    largest_mm2, largest_diameter_mm : float
        Of the largest false region; NaN when there is none or the pitch is unknown.
    score_counts : ndarray of int64, shape (1000,)
        Sound pixels by their probability of a defect, bins of 0.001; empty without probabilities.
    defect_free : bool
        Whether the recording shows no defect at all.
    """

    n_pixels: int
    n_called: int
    n_regions: int
    largest_px: int
    area_m2: float
    largest_mm2: float
    largest_diameter_mm: float
    score_counts: NDArray[np.int64]
    defect_free: bool


def sound_scores(
    truth: Truth,
    class_map: NDArray[np.uint8],
    *,
    defect_probability: NDArray[np.floating] | None = None,
    pixel_pitch_mm: float | None = None,
    grow_px: float = SOUND_DISTANCE_PX,
    valid: NDArray[np.bool_] | None = None,
    matching: Matching | None = None,
) -> SoundScores:
    """Score a map on sound material.

    Parameters
    ----------
    truth : Truth
        Defects.
    class_map : ndarray of uint8, shape (Y, X)
        Predicted classes; 255 is no verdict.
    defect_probability : ndarray, shape (Y, X), optional
        1 - probability of sound; values that are not finite are left out.
    pixel_pitch_mm : float, optional
        Edge of a pixel, mm.
    grow_px : float
        Pixels at most this far from a defect are not sound.
    valid : ndarray of bool, shape (Y, X), optional
        Pixels that count.
    matching : Matching, optional
        What `match_indications` said of the same map with the same options, where it is there already.

    Returns
    -------
    SoundScores

    Raises
    ------
    TruthError
        When sizes differ.
    """
    if matching is None:
        matching = match_indications(truth, class_map, pixel_pitch_mm=pixel_pitch_mm, grow_px=grow_px, valid=valid)
    check_same_shape(class_map, truth.defect_index)
    sound = sound_pixels(truth, grow_px=grow_px, valid=valid) & (class_map != IGNORE_LABEL)
    counts = np.empty(0, dtype=np.int64)
    if defect_probability is not None:
        check_same_shape(defect_probability, class_map, "probability")
        scores = np.asarray(defect_probability, dtype=np.float64)[sound]
        scores = np.clip(scores[np.isfinite(scores)], 0.0, 1.0)
        counts = np.bincount(np.minimum((scores * N_BINS).astype(np.int64), N_BINS - 1), minlength=N_BINS)
    largest = matching.false_calls[0] if matching.false_calls else None
    pitch = float("nan") if pixel_pitch_mm is None else float(pixel_pitch_mm)
    return SoundScores(
        n_pixels=int(sound.sum()),
        n_called=int((class_map[sound] > 0).sum()),
        n_regions=len(matching.false_calls),
        largest_px=0 if largest is None else largest.area_px,
        area_m2=float(sound.sum()) * pitch**2 * 1e-6,
        largest_mm2=float("nan") if largest is None else largest.area_mm2,
        largest_diameter_mm=float("nan") if largest is None else largest.diameter_mm,
        score_counts=counts,
        defect_free=not (truth.defect_index > 0).any(),
    )


@dataclass(frozen=True, kw_only=True)
class SoundSummary:
    """Several maps on sound material.

    Parameters
    ----------
    n_pixels : int
        Sound pixels.
    false_call_fraction : float
        Share of them called a defect; NaN when there are none.
    false_calls_per_m2 : Rate
        False regions; NaN when an area is unknown.
    largest_mm2, largest_diameter_mm : float
        Largest false region; NaN when there is none or the pitch is unknown.
    largest_px : int
        The same in pixels.
    score_quantiles : dict of str to float
        Probability of a defect on sound material below which the share lies, to 0.001; empty without probabilities.
    defect_free : Proportion
        Defect-free recordings without any false region, of all defect-free ones.
    defect_free_per_m2 : Rate
        False regions on defect-free recordings.
    statement : str
        What could not be said, and why; empty otherwise.
    """

    n_pixels: int
    false_call_fraction: float
    false_calls_per_m2: Rate
    largest_mm2: float
    largest_diameter_mm: float
    largest_px: int
    score_quantiles: dict[str, float]
    defect_free: Proportion
    defect_free_per_m2: Rate
    statement: str


def summarise_sound(scores: Sequence[SoundScores], *, confidence: float = 0.95) -> SoundSummary:
    """Join the scores of several maps.

    Raises
    ------
    FoldError
        When there are none.
    """
    if not scores:
        raise FoldError("there are no maps to summarise; evaluate at least one recording")
    n_pixels = sum(score.n_pixels for score in scores)
    free = [score for score in scores if score.defect_free]
    largest = max(scores, key=lambda score: score.largest_px)
    said = []
    if n_pixels == 0:
        said.append("no sound pixel lies far enough from the defects")
    if not free:
        said.append("no recording is free of defects, so nothing is known of such plates")
    return SoundSummary(
        n_pixels=n_pixels,
        false_call_fraction=sum(score.n_called for score in scores) / n_pixels if n_pixels else float("nan"),
        false_calls_per_m2=_rate(scores, confidence),
        largest_mm2=largest.largest_mm2,
        largest_diameter_mm=largest.largest_diameter_mm,
        largest_px=largest.largest_px,
        score_quantiles=_quantiles(scores),
        defect_free=clopper_pearson(sum(score.n_regions == 0 for score in free), len(free), confidence),
        defect_free_per_m2=_rate(free, confidence),
        statement="; ".join(said),
    )


def _rate(scores: Sequence[SoundScores], confidence: float) -> Rate:
    count, area = sum(score.n_regions for score in scores), float(sum(score.area_m2 for score in scores))
    if np.isnan(area):
        nan = float("nan")
        return Rate(count=count, exposure=nan, value=nan, low=nan, high=nan, confidence=confidence)
    return poisson_rate(count, area, confidence)


def _quantiles(scores: Sequence[SoundScores]) -> dict[str, float]:
    counts = np.sum([score.score_counts for score in scores if score.score_counts.size], axis=0, dtype=np.int64)
    if np.ndim(counts) == 0 or counts.sum() == 0:
        return {}
    below = np.cumsum(counts) / counts.sum()
    found = {f"{share:g}": (int(np.searchsorted(below, share)) + 1) / N_BINS for share in QUANTILES}
    return found | {"1": (int(np.flatnonzero(counts)[-1]) + 1) / N_BINS}
