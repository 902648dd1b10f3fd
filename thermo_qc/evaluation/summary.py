"""Folds joined into one result: pooled, mean and spread, holes, grid, depth errors; rows for comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thermo_qc.errors import FoldError
from thermo_qc.evaluation.detection import detectable_holes, detection_grid, detection_rate
from thermo_qc.evaluation.metrics import SCALARS, pixel_metrics

__all__ = ["comparison_row", "depth_errors", "leakage_row", "summarise"]

Result = Mapping[str, Any]


def summarise(
    fold_results: Sequence[Result], class_names: Sequence[str], *, holes: Sequence[Result] | None = None
) -> dict[str, Any]:
    """Join the results of the folds.

    Parameters
    ----------
    fold_results : sequence of dict
        Per fold ``fold``, ``test_keys``, ``metrics`` (of `pixel_metrics`), ``holes`` (of `hole_table`) and, optionally,
        ``false_calls`` (regions).
    class_names : sequence of str
        Names of all classes.
    holes : sequence of dict, optional
        Hole table of the joined out-of-fold maps, for folds that cut through defects (blocks, random pixels), where
        the folds' own tables would count a defect once per part; None joins those tables.

    Returns
    -------
    dict
        ``class_names``; ``folds`` (fold, test_keys, metrics); ``pooled`` (metrics of the summed confusion matrix);
        ``mean``, ``std`` (sample standard deviation, NaN for a single fold) and ``count`` (folds with a value) of every
        scalar over the folds; ``holes``; ``detection`` and ``detectable`` (share found with its interval, of all holes
        and of those with a contrast of at least 5 times the noise); ``grid``; ``depth``; ``false_calls``; ``leakage``
        (None).

    Raises
    ------
    FoldError
        When there are no results.
    """
    if not fold_results:
        raise FoldError("there are no fold results to summarise; train and score at least one fold")
    confusion = np.sum([result["metrics"]["confusion"] for result in fold_results], axis=0)
    parts = [hole for result in fold_results for hole in result.get("holes", ())]
    listed = [dict(hole) for hole in (parts if holes is None else holes)]
    mean, std, counts = _spread([result["metrics"] for result in fold_results])
    calls = [result["false_calls"] for result in fold_results if result.get("false_calls") is not None]
    return {
        "class_names": list(class_names),
        "folds": [_fold_entry(result) for result in fold_results],
        "pooled": pixel_metrics(confusion, class_names),
        "mean": mean,
        "std": std,
        "count": counts,
        "holes": listed,
        "detection": detection_rate(listed),
        "detectable": detection_rate(detectable_holes(listed)),
        "grid": detection_grid(listed),
        "depth": depth_errors(listed),
        "false_calls": sum(calls) if calls else None,
        "leakage": None,
    }


def _fold_entry(result: Result) -> dict[str, Any]:
    entry = {"fold": result["fold"], "test_keys": list(result["test_keys"]), "metrics": result["metrics"]}
    return entry | ({"false_calls": result["false_calls"]} if result.get("false_calls") is not None else {})


def _spread(metrics: Sequence[Result]) -> tuple[dict[str, float], dict[str, float], dict[str, int]]:
    mean, std, counts = {}, {}, {}
    for name in SCALARS:
        values = np.array([entry[name] for entry in metrics if not _missing(entry.get(name))], dtype=np.float64)
        mean[name] = float(values.mean()) if values.size else float("nan")
        std[name] = float(values.std(ddof=1)) if values.size > 1 else float("nan")
        counts[name] = int(values.size)
    return mean, std, counts


def _missing(value: float | None) -> bool:
    return value is None or bool(np.isnan(value))


def depth_errors(holes: Sequence[Result]) -> dict[str, Any]:
    """Errors of the predicted depth over the holes found, where both depths are known.

    Parameters
    ----------
    holes : sequence of dict
        Entries of `hole_table`.

    Returns
    -------
    dict
        ``n``; ``mae_mm`` mean absolute error; ``bias_mm`` mean error (positive: called too deep); ``relative`` mean of
        |error| / true depth; NaN when n is 0.
    """
    pairs = [
        (hole["predicted_depth_mm"], hole["depth_mm"])
        for hole in holes
        if hole["found"] and not _missing(hole["predicted_depth_mm"]) and not _missing(hole["depth_mm"])
    ]
    if not pairs:
        return {"n": 0, "mae_mm": np.nan, "bias_mm": np.nan, "relative": np.nan}
    predicted, true = np.array(pairs, dtype=np.float64).T
    error = predicted - true
    return {
        "n": len(pairs),
        "mae_mm": float(np.abs(error).mean()),
        "bias_mm": float(error.mean()),
        "relative": float((np.abs(error) / true).mean()),
    }


def comparison_row(
    *,
    method: str,
    kind: str,
    protocol: str,
    summary: Result,
    unseen: Result | None = None,
    train_s: float | None = None,
    model_mb: float | None = None,
) -> dict[str, Any]:
    """One line of a comparison of methods.

    Parameters
    ----------
    method, kind : str
        Name, and what it is (curve, segmentation, forest).
    protocol : str
        How it was validated ("5 folds by acquisition").
    summary : dict
        Cross-validated result of `summarise` (or ``metrics.json``).
    unseen : dict, optional
        Result on a plate layout that no fold has seen.
    train_s, model_mb : float, optional
        Training time of all folds, s; size of one model, MB.

    Returns
    -------
    dict
        As in ``comparison.json``; unknown values are None.
    """
    pooled, holes = summary["pooled"], summary["holes"]
    found, detectable = detection_rate(holes), detection_rate(detectable_holes(holes))
    row: dict[str, Any] = {"method": method, "kind": kind, "protocol": protocol}
    row |= {name: pooled[name] for name in ("balanced_accuracy", "defect_iou", "defect_f1", "false_call_fraction")}
    row |= {"holes_found": found["found"], "holes_total": found["total"]}
    row |= {"detectable_found": detectable["found"], "detectable_total": detectable["total"]}
    elsewhere = None if unseen is None else detection_rate(unseen["holes"])
    row |= {
        "unseen_defect_iou": None if unseen is None else unseen["pooled"]["defect_iou"],
        "unseen_holes_found": None if elsewhere is None else elsewhere["found"],
        "unseen_holes_total": None if elsewhere is None else elsewhere["total"],
        "unseen_false_call_fraction": None if unseen is None else unseen["pooled"]["false_call_fraction"],
    }
    return row | {"train_s": train_s, "model_mb": model_mb}


def leakage_row(*, method: str, by: str, n_folds: int, metrics: Result) -> dict[str, Any]:
    """One line of the leakage table: the same method under one kind of folds.

    Parameters
    ----------
    method, by : str
        Method, and what its folds group by.
    n_folds : int
        Number of folds.
    metrics : dict
        Pooled metrics of `pixel_metrics`.

    Returns
    -------
    dict
        As in ``comparison.json``.
    """
    names = ("balanced_accuracy", "defect_iou", "defect_f1", "accuracy")
    return {"method": method, "by": by, "n_folds": n_folds, **{name: metrics[name] for name in names}}
