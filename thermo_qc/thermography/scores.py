"""How well a map shows each defect: contrast to noise, signal to noise, signal to background, Tanimoto."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import SequenceError, TruthError
from thermo_qc.thermography.contrast import contrast_to_noise, signal_to_noise_db

__all__ = [
    "BestTanimoto",
    "DefectScore",
    "MapScores",
    "best_tanimoto",
    "contrast_to_noise_map",
    "score_map",
    "signal_to_background",
    "signal_to_noise_map_db",
    "sound_ring",
    "tanimoto",
]


def sound_ring(
    defect: NDArray[np.bool_],
    *,
    width_px: float = 5.0,
    gap_px: float = 2.0,
    exclude: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Sound region round a defect: the pixels farther than a gap and no farther than gap and width.

    Parameters
    ----------
    defect : ndarray of bool, shape (Y, X)
        The defect.
    width_px, gap_px : float
        In pixels, between pixel centres. The gap keeps the heat that spreads sideways out.
    exclude : ndarray of bool, shape (Y, X), optional
        Pixels that are not sound: other defects, what is beside the plate.

    Returns
    -------
    ndarray of bool, shape (Y, X)

    Raises
    ------
    TruthError
        When the defect is empty or no pixel is left.
    SequenceError
        When shapes or lengths do not fit.
    """
    other = defect if exclude is None else exclude
    if defect.ndim != 2 or other.shape != defect.shape:
        raise SequenceError(
            f"the defect has shape {defect.shape} and what to exclude {other.shape}, expected one shape (Y, X)"
        )
    if not (width_px > 0 and gap_px >= 0):
        raise SequenceError(f"the ring is {width_px} px wide after {gap_px} px, expected a positive width")
    if not defect.any():
        raise TruthError("the defect has no pixel; mark one")
    place = _window(defect, width_px + gap_px)
    distance = ndimage.distance_transform_edt(~defect[place])
    ring = np.zeros(defect.shape, dtype=bool)
    ring[place] = (distance > gap_px) & (distance <= gap_px + width_px)
    if exclude is not None:
        ring &= ~exclude
    if not ring.any():
        raise TruthError("no sound pixel is left in the ring round the defect; make it wider or the gap smaller")
    return ring


def _window(defect: NDArray[np.bool_], reach_px: float) -> tuple[slice, slice]:
    reach = int(np.ceil(reach_px)) + 1
    rows, columns = (np.flatnonzero(defect.any(axis=axis)) for axis in (1, 0))
    return (
        slice(max(0, int(rows[0]) - reach), int(rows[-1]) + reach + 1),
        slice(max(0, int(columns[0]) - reach), int(columns[-1]) + reach + 1),
    )


def signal_to_background(image: NDArray[np.floating], defect: NDArray[np.bool_], sound: NDArray[np.bool_]) -> float:
    """Signal-to-background contrast ``(m_d - m_s) / s_s`` of two regions, with its sign.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        Any map; pixels that are not finite have no part.
    defect, sound : ndarray of bool, shape (Y, X)
        The regions.

    Returns
    -------
    float
        Infinite for different regions without spread in the sound one.

    Raises
    ------
    SequenceError, TruthError
        As for `contrast_to_noise`.
    """
    ratio = 10 ** (signal_to_noise_db(image, defect, sound) / 20)
    values = np.asarray(image, dtype=np.float64)
    darker = _finite(values[defect]).mean() < _finite(values[sound]).mean()
    return float(-ratio if darker else ratio)


def contrast_to_noise_map(image: NDArray[np.floating], sound: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Contrast to noise of every pixel: ``(image - m_s) / s_s`` with mean and spread of a sound region.

    Returns
    -------
    ndarray of float64, shape (Y, X)
        NaN where the image is not finite.

    Raises
    ------
    SequenceError
        When shapes do not fit.
    TruthError
        When the region is empty or has no spread.
    """
    if sound.shape != image.shape:
        raise SequenceError(f"sound region has shape {sound.shape}, the image has {image.shape}")
    values = np.asarray(image, dtype=np.float64)
    outside = _finite(values[sound])
    spread = float(outside.std()) if outside.size else 0.0
    if not spread > 0:
        raise TruthError(f"the sound region has {outside.size} pixels with a value and no spread; mark a larger one")
    return np.where(np.isfinite(values), (values - outside.mean()) / spread, np.nan)


def signal_to_noise_map_db(image: NDArray[np.floating], sound: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Signal to noise of every pixel, ``20 log10(|image - m_s| / s_s)``, dB; -inf where it equals the sound mean.

    Parameters, errors and NaN as for `contrast_to_noise_map`.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(20 * np.log10(np.abs(contrast_to_noise_map(image, sound))))


def tanimoto(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Tanimoto score ``(N_d - N_miss) / (N_d + N_false)`` of found against true defect pixels, 0 to 1.

    The same as their intersection over their union.

    Raises
    ------
    SequenceError
        When shapes differ.
    TruthError
        When no pixel is truly defective.

    References
    ----------
    Krapez, Balageas, Deom, Lepoutre, in Advances in Signal Processing for NDE of Materials, 1994, 303.
    """
    if found.shape != true.shape:
        raise SequenceError(f"found pixels have shape {found.shape} and true ones {true.shape}, expected the same")
    n_defect = int(true.sum())
    if n_defect == 0:
        raise TruthError("no pixel is truly defective; the Tanimoto score needs a defect")
    n_missed, n_false = int((true & ~found).sum()), int((found & ~true).sum())
    return (n_defect - n_missed) / (n_defect + n_false)


@dataclass(frozen=True, kw_only=True)
class BestTanimoto:
    """The best Tanimoto score over all thresholds.

    Parameters
    ----------
    score : float
        0 to 1.
    threshold : float
        Pixels from this value on (up to it, when not `brighter`) count as found.
    brighter : bool
        Whether found pixels are those of large values.
    """

    score: float
    threshold: float
    brighter: bool


def best_tanimoto(
    image: NDArray[np.floating],
    true: NDArray[np.bool_],
    *,
    valid: NDArray[np.bool_] | None = None,
    brighter: bool | None = None,
) -> BestTanimoto:
    """Find the threshold at which a map gives the best Tanimoto score; all thresholds are tried.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        Any map; pixels that are not finite count as not found.
    true : ndarray of bool, shape (Y, X)
        Truly defective pixels.
    valid : ndarray of bool, shape (Y, X), optional
        Pixels that take part; all when None.
    brighter : bool, optional
        Whether defects have the larger values; the side that scores better when None.

    Raises
    ------
    SequenceError, TruthError
        As for `tanimoto`.
    """
    other = true if valid is None else valid
    if true.shape != image.shape or other.shape != image.shape:
        raise SequenceError(
            f"image {image.shape}, true pixels {true.shape} and valid ones {other.shape} differ in shape"
        )
    used = np.isfinite(image) if valid is None else valid & np.isfinite(image)
    n_defect = int((true if valid is None else true & valid).sum())
    if n_defect == 0:
        raise TruthError("no pixel is truly defective; the Tanimoto score needs a defect")
    values, defective = np.asarray(image, dtype=np.float64)[used], true[used]
    sides = (True, False) if brighter is None else (brighter,)
    found = [_best_side(values if side else -values, defective, n_defect) for side in sides]
    score, threshold, side = max(
        ((*one, side) for one, side in zip(found, sides, strict=True)), key=lambda entry: entry[0]
    )
    return BestTanimoto(score=score, threshold=threshold if side else -threshold, brighter=side)


def _best_side(values: NDArray[np.float64], defective: NDArray[np.bool_], n_defect: int) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, float("nan")
    order = np.argsort(-values, kind="stable")
    ranked, hits = values[order], np.cumsum(defective[order])
    whole = np.append(ranked[1:] < ranked[:-1], True)  # equal values are found together
    scores = np.where(whole, hits / (n_defect + np.arange(1, hits.size + 1) - hits), -1.0)
    best = int(scores.argmax())
    return float(scores[best]), float(ranked[best])


@dataclass(frozen=True, kw_only=True, eq=False)
class DefectScore:
    """How well a map shows one defect, and the sound region that this was judged by.

    Parameters
    ----------
    number : int
        Value in the defect index.
    n_pixels, n_sound : int
        Pixels of the defect and of the ring that have a value.
    diameter_mm : float, optional
        Equivalent diameter; needs the pixel pitch.
    cnr, snr_db, sbc : float
        `contrast_to_noise`, `signal_to_noise_db`, `signal_to_background` of the defect against the ring.
    tanimoto, threshold : float
        `best_tanimoto` within defect, gap and ring.
    sound : ndarray of bool, shape (Y, X)
        The ring.
    """

    number: int
    n_pixels: int
    n_sound: int
    diameter_mm: float | None
    cnr: float
    snr_db: float
    sbc: float
    tanimoto: float
    threshold: float
    sound: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class MapScores:
    """Scores of one map.

    Parameters
    ----------
    defects : tuple of DefectScore
        By number; defects without a pixel or a ring with values are missing, see `unscored`.
    tanimoto : BestTanimoto
        Of the whole map with one threshold.
    unscored : mapping
        Number to the reason.
    """

    defects: tuple[DefectScore, ...]
    tanimoto: BestTanimoto
    unscored: Mapping[int, str]

    def table(self) -> list[dict[str, Any]]:
        """Give one row per defect, without the masks."""
        names = ("number", "diameter_mm", "n_pixels", "n_sound", "cnr", "snr_db", "sbc", "tanimoto", "threshold")
        return [{name: getattr(score, name) for name in names} for score in self.defects]


def score_map(
    image: NDArray[np.floating],
    defect_index: NDArray[np.integer],
    *,
    pixel_pitch_mm: float | None = None,
    width_px: float = 5.0,
    gap_px: float = 2.0,
    numbers: Sequence[int] | None = None,
    brighter: bool | None = None,
) -> MapScores:
    """Score a map defect by defect, each against a ring of sound material round it.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        Any map; pixels that are not finite have no part.
    defect_index : ndarray of int, shape (Y, X)
        0 sound, n the defect with that number, -1 not to be used (`Truth.defect_index`).
    pixel_pitch_mm : float, optional
        Gives the equivalent diameters.
    width_px, gap_px : float
        Of the rings, see `sound_ring`; other defects and their gaps are left out of them.
    numbers : sequence of int, optional
        Defects to score; all on the map when None.
    brighter : bool, optional
        See `best_tanimoto`.

    Returns
    -------
    MapScores

    Raises
    ------
    SequenceError
        When shapes do not fit.
    TruthError
        When the map has no defect.

    References
    ----------
    Scores against one far sound region count the lamps' pattern as noise: Balageas, Proc. QIRT 2012; hence the rings.
    """
    index = np.asarray(defect_index)
    if index.shape != image.shape or index.ndim != 2:
        raise SequenceError(f"the image has shape {image.shape} and the defect index {index.shape}, expected (Y, X)")
    values = np.where(index >= 0, np.asarray(image, dtype=np.float64), np.nan)
    total = best_tanimoto(values, index > 0, valid=index >= 0, brighter=brighter)
    near = ndimage.distance_transform_edt(index <= 0) <= gap_px
    scores, unscored = [], {}
    for number in sorted(set(np.unique(index[index > 0]).tolist()) if numbers is None else set(numbers)):
        try:
            ring = sound_ring(index == number, width_px=width_px, gap_px=gap_px, exclude=near | (index < 0))
            scores.append(_score(values, index, number, ring, pixel_pitch_mm, brighter))
        except TruthError as error:
            unscored[number] = str(error)
    return MapScores(defects=tuple(scores), tanimoto=total, unscored=unscored)


def _score(
    values: NDArray[np.float64],
    index: NDArray[np.integer],
    number: int,
    ring: NDArray[np.bool_],
    pitch_mm: float | None,
    brighter: bool | None,
) -> DefectScore:
    defect = index == number
    n_pixels = int(defect.sum())
    best = best_tanimoto(values, defect, valid=_surroundings(defect, ring, index), brighter=brighter)
    return DefectScore(
        number=int(number),
        n_pixels=int(np.isfinite(values[defect]).sum()),
        n_sound=int(np.isfinite(values[ring]).sum()),
        diameter_mm=None if pitch_mm is None else float(np.sqrt(4 * n_pixels / np.pi) * pitch_mm),
        cnr=contrast_to_noise(values, defect, ring),
        snr_db=signal_to_noise_db(values, defect, ring),
        sbc=signal_to_background(values, defect, ring),
        tanimoto=best.score,
        threshold=best.threshold,
        sound=ring,
    )


def _surroundings(defect: NDArray[np.bool_], ring: NDArray[np.bool_], index: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Defect, gap and ring, without other defects."""
    place = _window(defect | ring, 0)
    distance = ndimage.distance_transform_edt(~defect[place])
    region = np.zeros(defect.shape, dtype=bool)
    reach = float(distance[ring[place]].max())
    region[place] = (distance <= reach) & ((index[place] == 0) | defect[place])
    return region


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]
