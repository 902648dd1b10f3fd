"""Intervals of pixel metrics: by resampling whole groups of pixels, since neighbours are no independent evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, TruthError
from thermo_qc.evaluation.intervals import check_confidence
from thermo_qc.evaluation.metrics import SCALARS, confusion_matrix
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["MetricIntervals", "block_confusions", "metric_intervals"]

FEWEST_GROUPS = 5
_MOST_UNDEFINED = 0.05
_PER_CLASS = ("precision", "recall", "f1", "iou")
Bounds = tuple[float, float]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MetricIntervals:
    """Percentile intervals of pixel metrics.

    Parameters
    ----------
    scalars : mapping of str to (low, high)
        Those in `SCALARS`; (NaN, NaN) where the metric is undefined in more than 5 % of the resamples.
    per_class : mapping of str to mapping of str to (low, high)
        Class name to precision, recall, f1, iou.
    n_groups : int
        Groups that were resampled.
    confidence : float
        Of the intervals.
    reason : str
        Why there are none; empty when there are.
    """

    scalars: Mapping[str, Bounds]
    per_class: Mapping[str, Mapping[str, Bounds]]
    n_groups: int
    confidence: float
    reason: str = ""


def metric_intervals(
    confusions: Sequence[NDArray[np.int64]],
    class_names: Sequence[str],
    *,
    rng: np.random.Generator,
    n_resamples: int = 500,
    confidence: float = 0.95,
) -> MetricIntervals:
    """Resample groups and take percentiles of every metric of the summed confusion matrix.

    Parameters
    ----------
    confusions : sequence of ndarray of int64, shape (K, K)
        One confusion matrix per group (recording, plate, block of pixels); groups without a pixel have no part.
    class_names : sequence of str
        K names.
    rng : Generator
        Source of chance.
    n_resamples : int
        At least 100.
    confidence : float
        Of the intervals.

    Returns
    -------
    MetricIntervals
        With a reason in place of intervals when there are fewer than 5 groups.

    Raises
    ------
    ConfigError
        When an option is wrong.
    """
    check_confidence(confidence)
    if n_resamples < 100:
        raise ConfigError(f"n_resamples is {n_resamples}, expected at least 100 for intervals")
    groups = np.array([matrix for matrix in confusions if np.sum(matrix) > 0], dtype=np.int64)
    if len(groups) < FEWEST_GROUPS:
        reason = f"{len(groups)} groups of pixels are too few to resample; at least {FEWEST_GROUPS} are needed"
        nothing = (float("nan"), float("nan"))
        return MetricIntervals(
            scalars=dict.fromkeys(SCALARS, nothing),
            per_class={name: dict.fromkeys(_PER_CLASS, nothing) for name in class_names},
            n_groups=len(groups),
            confidence=confidence,
            reason=reason,
        )
    weights = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=n_resamples)
    scalars, classes = stacked_metrics(np.tensordot(weights, groups, axes=1))
    return MetricIntervals(
        scalars={name: _bounds(scalars[name], confidence) for name in SCALARS},
        per_class={
            label: {name: _bounds(classes[name][:, number], confidence) for name in _PER_CLASS}
            for number, label in enumerate(class_names)
        },
        n_groups=len(groups),
        confidence=confidence,
    )


def stacked_metrics(confusions: NDArray[np.int64]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Compute the figures of `pixel_metrics` for many confusion matrices at once.

    Parameters
    ----------
    confusions : ndarray of int64, shape (R, K, K)
        Row: true class, column: predicted class.

    Returns
    -------
    scalars : dict of str to ndarray, shape (R,)
        Those in `SCALARS`.
    per_class : dict of str to ndarray, shape (R, K)
        precision, recall, f1, iou.
    """
    matrices = np.asarray(confusions, dtype=np.float64)
    classes = _class_figures(matrices)
    sound, called = matrices[:, 0], matrices[:, 1:]
    binary = np.stack(
        [
            np.stack([sound[:, 0], sound[:, 1:].sum(axis=1)], axis=1),
            np.stack([called[:, :, 0].sum(axis=1), called[:, :, 1:].sum(axis=(1, 2))], axis=1),
        ],
        axis=1,
    )
    defect = {name: values[:, 1] for name, values in _class_figures(binary).items()}
    trace = np.trace(matrices, axis1=1, axis2=2)
    scalars = {
        "accuracy": _ratio(trace, matrices.sum(axis=(1, 2))),
        "balanced_accuracy": _mean(classes["recall"]),
        "macro_f1": _mean(classes["f1"]),
        "mean_iou": _mean(classes["iou"]),
        "matthews": _matthews(matrices, trace),
        **{f"defect_{name}": defect[name] for name in _PER_CLASS},
        "false_call_fraction": _ratio(sound[:, 1:].sum(axis=1), sound.sum(axis=1)),
    }
    return scalars, classes


def _class_figures(matrices: Floats) -> dict[str, Floats]:
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    support, called = matrices.sum(axis=2), matrices.sum(axis=1)
    figures = {
        "precision": _ratio(hits, called),
        "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, support + called),
        "iou": _ratio(hits, support + called - hits),
    }
    return {name: np.where(support > 0, values, np.nan) for name, values in figures.items()}


def _matthews(matrices: Floats, trace: Floats) -> Floats:
    total, true, called = matrices.sum(axis=(1, 2)), matrices.sum(axis=2), matrices.sum(axis=1)
    spread_true = total**2 - (true**2).sum(axis=1)
    spread_called = total**2 - (called**2).sum(axis=1)
    ratio = _ratio(trace * total - (true * called).sum(axis=1), np.sqrt(spread_true * spread_called))
    return np.where(spread_true == 0, np.nan, np.where(spread_called == 0, 0.0, ratio))


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0))


def _mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _bounds(values: Floats, confidence: float) -> Bounds:
    known = values[np.isfinite(values)]
    if known.size < (1 - _MOST_UNDEFINED) * len(values):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return float(low), float(high)


def block_confusions(
    true: NDArray[np.uint8], predicted: NDArray[np.uint8], n_classes: int, *, block_px: int = 32
) -> list[NDArray[np.int64]]:
    """Cut a map into squares and count each: groups for a map that stands alone.

    Squares wider than the defects and their surroundings keep what belongs together in one group; they are still
    neighbours on one plate, so the intervals say nothing about other plates.

    Parameters
    ----------
    true, predicted : ndarray of uint8, shape (Y, X)
        As for `confusion_matrix`.
    n_classes : int
        Number of classes with sound.
    block_px : int
        Edge of the squares, pixels.

    Returns
    -------
    list of ndarray of int64, shape (K, K)
        Squares without a pixel that counts are left out.

    Raises
    ------
    TruthError
        When the maps do not fit.
    ConfigError
        When the squares have no edge.
    """
    if block_px < 1:
        raise ConfigError(f"block_px is {block_px}, expected 1 pixel or more")
    confusion_matrix(true, predicted, n_classes)  # refuses what does not fit
    rows, columns = np.nonzero((true != IGNORE_LABEL) & (predicted != IGNORE_LABEL))
    if true.ndim != 2:
        raise TruthError(f"the maps have shape {true.shape}, expected (Y, X)")
    n_wide = -(-true.shape[1] // block_px)
    block = rows // block_px * n_wide + columns // block_px
    cell = true[rows, columns].astype(np.int64) * n_classes + predicted[rows, columns]
    n_blocks = n_wide * -(-true.shape[0] // block_px)
    counts = np.bincount(block * n_classes**2 + cell, minlength=n_blocks * n_classes**2)
    matrices = counts.reshape(n_blocks, n_classes, n_classes).astype(np.int64)
    return [matrix for matrix in matrices if matrix.any()]
