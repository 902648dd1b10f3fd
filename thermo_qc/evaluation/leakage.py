"""The leakage audit: one method's scores under every kind of folds, and what the random score hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thermo_qc.evaluation.detection import detectable_holes, detection_rate

__all__ = ["AUDIT_KINDS", "audit_row", "audit_sentence"]

AUDIT_KINDS = ("random_pixel", "random_frame", "block", "defect", "acquisition", "plate")
_METRICS = ("accuracy", "balanced_accuracy", "defect_f1", "defect_iou", "false_call_fraction")
_RANDOM = ("random_pixel", "random_frame")
_SAME = 0.02
_WORDS = {
    "random_pixel": "random pixels",
    "random_frame": "random frames",
    "block": "blocks",
    "defect": "defects",
    "acquisition": "acquisitions",
    "plate": "plates",
    "unseen": "recordings that no fold has seen",
}


def audit_row(
    *,
    method: str,
    by: str,
    n_folds: int,
    guard_mm: float | None,
    training_share: float | None,
    summary: Mapping[str, Any],
) -> dict[str, Any]:
    """One line of the audit.

    Parameters
    ----------
    method, by : str
        Method, and what its folds hold out together ("unseen": other recordings altogether).
    n_folds : int
        Number of folds.
    guard_mm : float, optional
        Width of the guard ring, mm; None where there is none.
    training_share : float, optional
        Mean share of the usable pixels that a fold trains on.
    summary : mapping
        Result of `summarise` (or ``metrics.json``).

    Returns
    -------
    dict
        Pooled metrics, and holes found of all and of the detectable ones.
    """
    every = detection_rate(summary["holes"])
    detectable = detection_rate(detectable_holes(summary["holes"]))
    return {
        "method": method,
        "by": by,
        "n_folds": n_folds,
        "guard_mm": guard_mm,
        "training_share": training_share,
        **{name: summary["pooled"][name] for name in _METRICS},
        "holes_found": every["found"],
        "holes_total": every["total"],
        "detectable_found": detectable["found"],
        "detectable_total": detectable["total"],
    }


def audit_sentence(rows: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, Any]] = ()) -> str:
    """Say in one sentence what the random score of a method hides.

    The honest score is that of the folds with the lowest defect F1 among those that are not drawn at random.

    Parameters
    ----------
    rows : sequence of mapping
        Lines of `audit_row` of one method.
    differences : sequence of mapping
        Of `audit_differences`: gives the difference its interval.

    Returns
    -------
    str

    Examples
    --------
    >>> scores = {"accuracy": 0.98, "holes_found": 9, "holes_total": 10}
    >>> rows = [{"by": "random_pixel", "defect_f1": 0.8, **scores}, {"by": "plate", "defect_f1": 0.5, **scores}]
    >>> audit_sentence(rows)[:78]
    'Random pixels promise a defect F1 of 0.800 where held-out plates give 0.500: t'
    """
    random = next((row for row in rows if row["by"] == "random_pixel" and row["defect_f1"] is not None), None)
    random = random or next((row for row in rows if row["by"] in _RANDOM and row["defect_f1"] is not None), None)
    honest = [row for row in rows if row["by"] not in _RANDOM and row["defect_f1"] is not None]
    if random is None:
        return "No random folds could be scored, so there is no random score that could hide anything."
    name = _WORDS[random["by"]]
    if not honest:
        return f"Only {name} could be scored: what their defect F1 of {random['defect_f1']:.3f} hides is not known."
    worst = min(honest, key=lambda row: float(row["defect_f1"]))
    gap = random["defect_f1"] - worst["defect_f1"]
    promised, given = f"{random['defect_f1']:.3f}", f"{worst['defect_f1']:.3f}"
    where = _WORDS[worst["by"]] if worst["by"] == "unseen" else f"held-out {_WORDS[worst['by']]}"
    figures = (
        f"{_interval(random['by'], worst['by'], differences)}{_holes(random)} and {_holes(worst)} holes found; "
        f"accuracy alone would have said {random['accuracy']:.3f} and {worst['accuracy']:.3f}"
    )
    if gap <= _SAME:
        return (
            f"{name.capitalize()} promise a defect F1 of {promised} and {where}, the hardest honest test here, give "
            f"{given}: no leak shows in this method on these data ({figures})."
        )
    share = 100 * gap / random["defect_f1"]
    return (
        f"{name.capitalize()} promise a defect F1 of {promised} where {where} give {given}: the random score hides "
        f"that {share:.0f} % of it is lost once what belongs together is held out together ({figures})."
    )


def _holes(row: Mapping[str, Any]) -> str:
    return f"{row['holes_found']} of {row['holes_total']}"


def _interval(random: str, worst: str, differences: Sequence[Mapping[str, Any]]) -> str:
    """Word the interval of the F1 lost; nothing where there is none."""
    for one in differences:
        if (one["first_by"], one["second_by"], one["metric"]) == (random, worst, "defect_f1") and not one["reason"]:
            over = f"95 % interval over {one['n_groups']} recordings"
            return f"difference {one['difference']:+.3f}, {over} {one['low']:+.3f} to {one['high']:+.3f}; "
    return ""
