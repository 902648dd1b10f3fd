"""Pixel metrics: from a confusion matrix to per-class and defect figures; what does not exist is NaN, never 0 or 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import TruthError
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["SCALARS", "check_same_shape", "confusion_matrix", "pixel_metrics"]

SCALARS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "mean_iou",
    "matthews",
    "defect_iou",
    "defect_f1",
    "defect_precision",
    "defect_recall",
    "false_call_fraction",
)


def check_same_shape(predicted: NDArray[Any], true: NDArray[Any], what: str = "prediction") -> None:
    """Refuse maps of different sizes.

    Raises
    ------
    TruthError
        With both sizes.
    """
    if predicted.shape != true.shape:
        raise TruthError(
            f"{what} has {_size(predicted)} pixels, the truth has {_size(true)} (rows x columns); "
            "predict and label the same frame"
        )


def _size(values: NDArray[Any]) -> str:
    return " x ".join(str(length) for length in values.shape)


def confusion_matrix(true: NDArray[np.uint8], predicted: NDArray[np.uint8], n_classes: int) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Parameters
    ----------
    true, predicted : ndarray of uint8, one shape
        Classes 0..n_classes - 1; pixels that are 255 in either (not to be used, no verdict) are left out.
    n_classes : int
        Number of classes with sound.

    Returns
    -------
    ndarray of int64, shape (n_classes, n_classes)
        Row: true class, column: predicted class.

    Raises
    ------
    TruthError
        When the sizes differ or a label lies outside the classes.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    check_same_shape(predicted, true)
    scored = (true != IGNORE_LABEL) & (predicted != IGNORE_LABEL)
    rows, columns = true[scored].astype(np.int64), predicted[scored].astype(np.int64)
    for name, labels in (("truth", rows), ("prediction", columns)):
        if labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
            wrong = labels[(labels < 0) | (labels >= n_classes)][0]
            raise TruthError(
                f"{name} holds class {wrong}, expected 0 to {n_classes - 1} or {IGNORE_LABEL}; "
                "use one class scheme for both"
            )
    return (
        np.bincount(rows * n_classes + columns, minlength=n_classes**2).reshape(n_classes, n_classes).astype(np.int64)
    )


def pixel_metrics(confusion: NDArray[np.int64], class_names: Sequence[str]) -> dict[str, Any]:
    """Figures of one confusion matrix.

    A class without true pixels is absent: its figures are NaN and stay out of the means (`balanced_accuracy`,
    `macro_f1`, `mean_iou`). `defect_*` take all defect classes as one against sound; `false_call_fraction` is the share
    of sound pixels called a defect; `matthews` is the correlation coefficient over all classes.

    Parameters
    ----------
    confusion : ndarray of int64, shape (K, K)
        Row: true class, column: predicted class; class 0 is sound.
    class_names : sequence of str
        K names.

    Returns
    -------
    dict
        ``n_pixels``, ``confusion`` (lists), ``per_class`` (name to precision, recall, f1, iou, support) and the
        scalars in `SCALARS`.

    Raises
    ------
    TruthError
        When the matrix is not K x K.

    References
    ----------
    Gorodkin, Comput. Biol. Chem. 28 (2004) 367-374, doi:10.1016/j.compbiolchem.2004.09.006 (Matthews for K classes).

    Examples
    --------
    >>> figures = pixel_metrics(np.array([[90, 10], [5, 15]]), ("sound", "defect"))
    >>> figures["defect_iou"], figures["false_call_fraction"]
    (0.5, 0.1)
    """
    confusion = np.asarray(confusion, dtype=np.int64)
    n_classes = len(class_names)
    if confusion.shape != (n_classes, n_classes):
        raise TruthError(
            f"confusion matrix has shape {confusion.shape}, expected {(n_classes, n_classes)} "
            f"for {', '.join(class_names)}"
        )
    classes = [_class_figures(confusion, number) for number in range(n_classes)]
    sound, total = int(confusion[0].sum()), int(confusion.sum())
    defect = _class_figures(_as_binary(confusion), 1)
    return {
        "n_pixels": total,
        "confusion": confusion.tolist(),
        "per_class": dict(zip(class_names, classes, strict=True)),
        "accuracy": _ratio(int(np.trace(confusion)), total),
        "balanced_accuracy": _mean([figures["recall"] for figures in classes]),
        "macro_f1": _mean([figures["f1"] for figures in classes]),
        "mean_iou": _mean([figures["iou"] for figures in classes]),
        "matthews": _matthews(confusion),
        "defect_iou": defect["iou"],
        "defect_f1": defect["f1"],
        "defect_precision": defect["precision"],
        "defect_recall": defect["recall"],
        "false_call_fraction": _ratio(int(confusion[0, 1:].sum()), sound),
    }


def _class_figures(confusion: NDArray[np.int64], number: int) -> dict[str, Any]:
    hits = int(confusion[number, number])
    support, called = int(confusion[number].sum()), int(confusion[:, number].sum())
    if support == 0:
        return {"precision": np.nan, "recall": np.nan, "f1": np.nan, "iou": np.nan, "support": 0}
    return {
        "precision": _ratio(hits, called),
        "recall": hits / support,
        "f1": 2 * hits / (support + called),
        "iou": hits / (support + called - hits),
        "support": support,
    }


def _as_binary(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join all defect classes."""
    return np.array(
        [[confusion[0, 0], confusion[0, 1:].sum()], [confusion[1:, 0].sum(), confusion[1:, 1:].sum()]], dtype=np.int64
    )


def _matthews(confusion: NDArray[np.int64]) -> float:
    """Matthews' coefficient; 0 where one class is predicted throughout, NaN where one class is true throughout."""
    matrix = confusion.astype(np.float64)
    total, true, called = matrix.sum(), matrix.sum(axis=1), matrix.sum(axis=0)
    spread_true, spread_called = total**2 - true @ true, total**2 - called @ called
    if spread_true == 0:
        return float("nan")
    if spread_called == 0:
        return 0.0
    return float((np.trace(matrix) * total - true @ called) / np.sqrt(spread_true * spread_called))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
