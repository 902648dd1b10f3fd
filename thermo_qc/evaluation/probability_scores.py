"""Scores of class probabilities: average precision and calibration, of one map or of any number of maps together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import TruthError
from thermo_qc.evaluation.metrics import check_same_shape
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["Calibration", "ProbabilityTally", "average_precision", "tally_probabilities"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
_N_RANKS, _REACH = 8192, 17.0  # bins over the log odds, from -17 to 17
_N_BINS = 15


def average_precision(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Average precision: sum of precision times the growth of recall over all thresholds, largest score first.

    Parameters
    ----------
    positive : ndarray of bool, shape (N,)
        Whether each pixel is of the class.
    score : ndarray, shape (N,)
        Its score; equal scores pass a threshold together.

    Returns
    -------
    float
        NaN when nothing is positive.

    Raises
    ------
    TruthError
        When shapes differ or a score is not finite.
    """
    positive, score = np.asarray(positive, dtype=bool).ravel(), np.asarray(score, dtype=np.float64).ravel()
    check_same_shape(score, positive, "score")
    if not np.isfinite(score).all():
        raise TruthError("some scores are not finite; leave pixels without a score out")
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.append(np.flatnonzero(ranked[1:] < ranked[:-1]), ranked.size - 1)
    return _average_precision(np.cumsum(positive[order])[last], last + 1)


def _average_precision(hits: Counts, called: NDArray[np.integer]) -> float:
    """From the hits and the calls above each threshold, largest first."""
    precision = hits / np.maximum(called, 1)
    gained = np.diff(hits, prepend=0)
    return float(np.sum(precision * gained) / hits[-1])


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Whether probabilities mean what they say (data of a reliability diagram).

    Parameters
    ----------
    lower, upper : tuple of float
        Edges of the bins of probability.
    count : tuple of int
        Pixels in each bin.
    mean_probability, share : tuple of float
        Mean stated probability and share for which it came true; NaN in empty bins.
    expected_error : float
        Expected calibration error: mean |share - mean probability|, weighted by the pixels; NaN without pixels.
    largest_error : float
        Largest of them over the bins with pixels.

    References
    ----------
    Naeini, Cooper, Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015; Guo et al.,
    On calibration of modern neural networks, ICML 2017, arXiv:1706.04599.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    count: tuple[int, ...]
    mean_probability: tuple[float, ...]
    share: tuple[float, ...]
    expected_error: float
    largest_error: float


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbabilityTally:
    """Counts of pixels by probability; tallies of several maps add up with ``+``.

    Parameters
    ----------
    positives, totals : ndarray of int64, shape (K, 8192)
        Pixels of each class, and all pixels, by the log odds of that class.
    defect, top : ndarray of float64, shape (3, 15)
        Pixels, sum of probabilities and number that came true by bin of probability: of "is a defect" (1 - probability
        of sound), and of the likeliest class.
    """

    positives: Counts
    totals: Counts
    defect: Floats
    top: Floats

    def __add__(self, other: ProbabilityTally) -> ProbabilityTally:
        if self.positives.shape != other.positives.shape:
            raise TruthError(
                f"probabilities of {len(self.positives)} and of {len(other.positives)} classes do not add up; "
                "use one class scheme"
            )
        return ProbabilityTally(
            positives=self.positives + other.positives,
            totals=self.totals + other.totals,
            defect=self.defect + other.defect,
            top=self.top + other.top,
        )

    @property
    def support(self) -> tuple[int, ...]:
        """True pixels of each class."""
        return tuple(int(count) for count in self.positives.sum(axis=1))

    def average_precisions(self) -> tuple[float, ...]:
        """Average precision of each class against all others; NaN for classes without a pixel.

        Log odds are rounded to 0.004, which moves the value by less than 0.001 (`average_precision` is exact).
        """
        found = []
        for positives, totals in zip(self.positives[:, ::-1], self.totals[:, ::-1], strict=True):
            hits = np.cumsum(positives)
            found.append(_average_precision(hits, np.cumsum(totals)) if hits[-1] else float("nan"))
        return tuple(found)

    def mean_average_precision(self) -> float:
        """Mean over the classes with pixels; NaN when there are none."""
        known = [value for value in self.average_precisions() if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")

    def calibration(self, event: str = "defect") -> Calibration:
        """Calibration of the probability of a defect ("defect") or of the likeliest class ("top")."""
        count, total, true = self.defect if event == "defect" else self.top
        with np.errstate(invalid="ignore", divide="ignore"):
            mean, share = total / count, true / count
        errors = np.abs(share - mean)
        edges = np.linspace(0, 1, _N_BINS + 1)
        filled = count > 0
        return Calibration(
            lower=tuple(edges[:-1].tolist()),
            upper=tuple(edges[1:].tolist()),
            count=tuple(int(value) for value in count),
            mean_probability=tuple(mean.tolist()),
            share=tuple(share.tolist()),
            expected_error=float(np.sum((count * errors)[filled]) / count.sum()) if filled.any() else float("nan"),
            largest_error=float(errors[filled].max()) if filled.any() else float("nan"),
        )


def tally_probabilities(
    true: NDArray[np.uint8], probability: NDArray[np.floating], *, predicted: NDArray[Any] | None = None
) -> ProbabilityTally:
    """Count the pixels of one map by the probability of each class.

    Parameters
    ----------
    true : ndarray of uint8, shape (Y, X)
        Classes 0..K - 1; pixels that are 255 are left out.
    probability : ndarray, shape (K, Y, X)
        Probability of each class.
    predicted : ndarray of uint8, shape (Y, X), optional
        Predicted classes: pixels that are 255 have no verdict and are left out.

    Returns
    -------
    ProbabilityTally

    Raises
    ------
    TruthError
        When sizes or classes do not fit, or a probability is not a share of 1.
    """
    if probability.ndim != 3 or probability.shape[0] < 2:
        raise TruthError(f"probabilities have shape {probability.shape}, expected (classes, rows, columns)")
    check_same_shape(probability[0], true, "probability")
    scored = true != IGNORE_LABEL
    if predicted is not None:
        check_same_shape(predicted, true)
        scored &= predicted != IGNORE_LABEL
    classes = true[scored].astype(np.int64)
    n_classes = len(probability)
    if classes.size and int(classes.max()) >= n_classes:
        raise TruthError(f"truth holds class {int(classes.max())}, expected 0 to {n_classes - 1}; use one class scheme")
    values = np.asarray(probability[:, scored], dtype=np.float64)
    if values.size and not (np.isfinite(values).all() and values.min() >= -1e-4 and values.max() <= 1 + 1e-4):
        raise TruthError("some probabilities are not numbers from 0 to 1; mark pixels without a verdict with class 255")
    values = np.clip(values, 0, 1)
    positives, totals = np.zeros((2, n_classes, _N_RANKS), dtype=np.int64)
    for number in range(n_classes):
        ranks = _ranks(values[number])
        totals[number] = np.bincount(ranks, minlength=_N_RANKS)
        positives[number] = np.bincount(ranks[classes == number], minlength=_N_RANKS)
    best = values.argmax(axis=0) if classes.size else classes
    return ProbabilityTally(
        positives=positives,
        totals=totals,
        defect=_reliability(1 - values[0], classes > 0),
        top=_reliability(values.max(axis=0, initial=0.0), best == classes),
    )


def _ranks(probability: Floats) -> NDArray[np.int64]:
    with np.errstate(divide="ignore"):
        odds = np.log(probability) - np.log1p(-probability)
    place = (np.clip(odds, -_REACH, _REACH) + _REACH) / (2 * _REACH)
    return np.asarray(np.minimum((place * _N_RANKS).astype(np.int64), _N_RANKS - 1))


def _reliability(probability: Floats, true: NDArray[np.bool_]) -> Floats:
    bins = np.minimum((probability * _N_BINS).astype(np.int64), _N_BINS - 1)
    return np.stack([np.bincount(bins, weights=w, minlength=_N_BINS) for w in (np.ones(bins.size), probability, true)])
