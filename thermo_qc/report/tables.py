"""Figures of a run as tables; what is not defined reads "not defined", never zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.evaluation import detectable_holes, detection_rate
from thermo_qc.report.blocks import Cell, Table

__all__ = [
    "DETECTABLE_RATIO",
    "class_table",
    "comparison_table",
    "detectable_grid",
    "fact_table",
    "hole_matrix",
    "hole_sentence",
    "hole_table_block",
    "leakage_table",
    "metrics_table",
    "number",
    "outcome_of",
    "percent",
    "rate_text",
]

DETECTABLE_RATIO = 5.0
UNDEFINED = "not defined"
Mapped = Mapping[str, Any]

_SCALARS = (
    ("balanced_accuracy", "balanced accuracy"),
    ("defect_iou", "defect IoU"),
    ("defect_f1", "defect F1"),
    ("defect_precision", "defect precision"),
    ("defect_recall", "defect recall"),
    ("false_call_fraction", "false calls"),
    ("accuracy", "accuracy"),
)
_AS_PERCENT = {"false_call_fraction"}


def number(value: Any, digits: int = 3, missing: str = UNDEFINED) -> str:
    """Write a number with so many decimals; `missing` for None and NaN."""
    return missing if value is None or not np.isfinite(value) else f"{float(value):.{digits}f}"


def percent(value: Any, missing: str = UNDEFINED) -> str:
    """Write a fraction in percent; `missing` for None and NaN."""
    return missing if value is None or not np.isfinite(value) else f"{100 * float(value):.2f} %"


def rate_text(rate: Mapped) -> str:
    """Such as "18 of 23 (78 %, 95 % interval 58 to 90 %)"; "none there" without a hole."""
    if not rate["total"]:
        return "none there"
    low, middle, high = (100 * rate[name] for name in ("rate_low", "rate", "rate_high"))
    return f"{rate['found']} of {rate['total']} ({middle:.0f} %, 95 % interval {low:.0f} to {high:.0f} %)"


def fact_table(caption: str, facts: Sequence[tuple[str, Any]]) -> Table:
    """Two columns: what, and its value ("not recorded" where there is none)."""
    rows: tuple[tuple[Cell | str, ...], ...] = tuple(
        (name, str(value) if value not in (None, "") else Cell(text="not recorded", kind="unknown"))
        for name, value in facts
    )
    return Table(caption=caption, header=("what", "value"), rows=rows)


def metrics_table(metrics: Mapped) -> Table:
    """Scalars of every fold, pooled over all pixels, and mean with standard deviation over the folds."""
    rows: list[tuple[Cell | str, ...]] = []
    folds = metrics.get("folds") or ()
    for fold in folds:
        tested = ", ".join(str(key) for key in fold.get("test_keys", ()))
        rows.append((f"fold {fold['fold']}: {tested}", *_scalar_cells(fold["metrics"])))
    if metrics.get("pooled"):
        rows.append(("all test pixels together (pooled)", *_scalar_cells(metrics["pooled"])))
    if len(folds) > 1 and metrics.get("mean"):
        mean, std = metrics["mean"], metrics.get("std") or {}
        spread = [
            _value_cell(name, mean.get(name), None if std.get(name) is None else std[name]) for name, _ in _SCALARS
        ]
        rows.append(("mean ± standard deviation over the folds", *spread, Cell(text="", kind="number")))
    header = ("scored on", *(title for _, title in _SCALARS), "pixels")
    return Table(
        caption="Pixel metrics. Accuracy stands last because sound pixels dominate it.", header=header, rows=tuple(rows)
    )


def _scalar_cells(metrics: Mapped) -> list[Cell]:
    cells = [_value_cell(name, metrics.get(name)) for name, _ in _SCALARS]
    n_pixels = metrics.get("n_pixels")
    return [
        *cells,
        Cell(text="not recorded" if n_pixels is None else f"{int(n_pixels):,}".replace(",", " "), kind="number"),
    ]


def _value_cell(name: str, value: Any, spread: Any = None) -> Cell:
    if value is None or not np.isfinite(value):
        return Cell(text=UNDEFINED, kind="unknown")
    show = percent if name in _AS_PERCENT else number
    return Cell(text=show(value) + ("" if spread is None else f" ± {show(spread)}"), kind="number")


def class_table(metrics: Mapped, class_names: Sequence[str], caption: str) -> Table:
    """Precision, recall, F1 and IoU of each class with its support."""
    rows: list[tuple[Cell | str, ...]] = []
    for name in class_names:
        entry = (metrics.get("per_class") or {}).get(name, {})
        values = [_value_cell(key, entry.get(key)) for key in ("precision", "recall", "f1", "iou")]
        support = entry.get("support")
        rows.append((name, *values, Cell(text="not recorded" if support is None else str(int(support)), kind="number")))
    header = ("class", "precision", "recall", "F1", "IoU", "support (pixels)")
    return Table(caption=caption, header=header, rows=tuple(rows))


def outcome_of(hole: Mapped) -> Cell:
    """Found or missed, and for a miss whether the hole could have been seen."""
    ratio = hole.get("contrast_to_noise")
    if hole.get("found"):
        return Cell(text="found", kind="good")
    if ratio is None or not np.isfinite(ratio):
        return Cell(text="missed", kind="bad")
    return (
        Cell(text="missed, visible", kind="bad")
        if ratio >= DETECTABLE_RATIO
        else Cell(text="missed, in the noise", kind="faint")
    )


def hole_table_block(holes: Sequence[Mapped], class_names: Sequence[str], caption: str) -> Table:
    """Every hole with what was found of it and whether it could have been seen."""
    rows: tuple[tuple[Cell | str, ...], ...] = tuple(_hole_row(hole, class_names) for hole in holes)
    header = (
        "hole", "depth mm", "diameter mm", "contrast K", "contrast / noise", "could be seen", "result",
        "covered", "IoU", "true class", "predicted class", "class", "predicted depth mm",
    )  # fmt: skip
    return Table(caption=caption, header=header, rows=rows)


def _hole_row(hole: Mapped, class_names: Sequence[str]) -> tuple[Cell | str, ...]:
    ratio = hole.get("contrast_to_noise")
    seen = Cell(text="unknown", kind="unknown")
    if ratio is not None and np.isfinite(ratio):
        seen = Cell(text="yes" if ratio >= DETECTABLE_RATIO else "no")
    predicted = hole.get("predicted_class")
    verdict = Cell(text="none", kind="unknown")
    if predicted is not None:
        verdict = Cell(text="right", kind="good") if hole.get("class_right") else Cell(text="wrong", kind="bad")
    return (
        str(hole.get("name") or hole.get("number")),
        _plain(hole.get("depth_mm"), 2),
        _plain(hole.get("diameter_mm"), 2),
        _plain(hole.get("peak_contrast_k"), 3),
        _plain(ratio, 1),
        seen,
        outcome_of(hole),
        Cell(text=f"{100 * hole['coverage']:.0f} %", kind="number")
        if hole.get("coverage") is not None
        else _plain(None, 0),
        _plain(hole.get("iou"), 2),
        _class_name(hole.get("true_class"), class_names, "unknown"),
        _class_name(predicted, class_names, "nothing called"),
        verdict,
        _plain(hole.get("predicted_depth_mm"), 2, "none"),
    )


def _plain(value: Any, digits: int, missing: str = "unknown") -> Cell:
    text = number(value, digits, missing)
    return Cell(text=text, kind="unknown" if text == missing else "number")


def _class_name(value: Any, class_names: Sequence[str], missing: str) -> Cell | str:
    if value is None:
        return Cell(text=missing, kind="unknown")
    if isinstance(value, str):
        return value
    return class_names[int(value)] if 0 <= int(value) < len(class_names) else f"class {int(value)}"


def hole_matrix(holes: Sequence[Mapped], caption: str) -> Table:
    """Every hole in every recording: found or missed at a glance."""
    keys = list(dict.fromkeys(str(hole.get("key", "")) for hole in holes))
    facts: dict[tuple[Any, ...], dict[str, Cell]] = {}
    for hole in holes:
        identity = (hole.get("name") or hole.get("number"), hole.get("depth_mm"), hole.get("diameter_mm"))
        facts.setdefault(identity, {})[str(hole.get("key", ""))] = outcome_of(hole)
    rows: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            str(name),
            _plain(depth, 2),
            _plain(diameter, 2),
            *(cells.get(key, Cell(text="not there", kind="unknown")) for key in keys),
        )
        for (name, depth, diameter), cells in facts.items()
    )
    return Table(caption=caption, header=("hole", "depth mm", "diameter mm", *keys), rows=rows)


def detectable_grid(
    holes: Sequence[Mapped], depths_mm: Sequence[float], diameters_mm: Sequence[float]
) -> NDArray[np.int64]:
    """Count the holes that can be seen in every cell of a grid of hits, (D, M); -1 where no contrast is known."""
    grid = np.full((len(depths_mm), len(diameters_mm)), -1, dtype=np.int64)
    if grid.size == 0:
        return grid
    for hole in holes:
        depth, diameter, ratio = hole.get("depth_mm"), hole.get("diameter_mm"), hole.get("contrast_to_noise")
        if depth is None or diameter is None or ratio is None or not np.isfinite(ratio):
            continue
        row = int(np.abs(np.asarray(depths_mm) - depth).argmin())
        column = int(np.abs(np.asarray(diameters_mm) - diameter).argmin())
        grid[row, column] = max(0, int(grid[row, column])) + int(ratio >= DETECTABLE_RATIO)
    return grid


def leakage_table(rows: Sequence[Mapped]) -> Table:
    """Scores of one model by the kind of folds it was scored under."""
    names = ("balanced_accuracy", "defect_iou", "defect_f1", "accuracy")
    header = ("method", "folds by", "number of folds", "balanced accuracy", "defect IoU", "defect F1", "accuracy")
    body: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            str(row.get("method", "")),
            str(row.get("by", "")).replace("_", " "),
            Cell(text=str(row.get("n_folds", "not recorded")), kind="number"),
            *(_value_cell(name, row.get(name)) for name in names),
        )
        for row in rows
    )
    return Table(caption="The same model under different kinds of folds.", header=header, rows=body)


def comparison_table(rows: Sequence[Mapped]) -> Table:
    """Compare the methods of a demo."""
    header = (
        "method", "kind", "protocol", "balanced accuracy", "defect IoU", "defect F1", "false calls", "holes found",
        "visible holes found", "unseen layout: defect IoU", "unseen layout: holes found",
        "unseen layout: visible holes found", "unseen layout: false calls", "training s", "model MB",
    )  # fmt: skip
    body: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            str(row.get("method", "")),
            str(row.get("kind") or "not recorded"),
            str(row.get("protocol") or "not recorded"),
            *(
                _value_cell(name, row.get(name))
                for name in ("balanced_accuracy", "defect_iou", "defect_f1", "false_call_fraction")
            ),
            _of(row.get("holes_found"), row.get("holes_total")),
            _of(row.get("detectable_found"), row.get("detectable_total")),
            _value_cell("defect_iou", row.get("unseen_defect_iou")),
            _of(row.get("unseen_holes_found"), row.get("unseen_holes_total")),
            _of(row.get("unseen_detectable_found"), row.get("unseen_detectable_total")),
            _value_cell("false_call_fraction", row.get("unseen_false_call_fraction")),
            _plain(row.get("train_s"), 0, "not recorded"),
            _plain(row.get("model_mb"), 2, "not recorded"),
        )
        for row in rows
    )
    return Table(caption="All methods side by side.", header=header, rows=body)


def _of(found: Any, total: Any) -> Cell:
    if found is None or total is None:
        return Cell(text="not measured", kind="unknown")
    return Cell(text=f"{found} of {total}" if total else "none there", kind="number")


def hole_sentence(holes: Sequence[Mapped]) -> str:
    """Say how many of the holes, and how many of the visible ones, were found."""
    if not holes:
        return "The per-hole table is empty."
    known = [hole for hole in holes if hole.get("contrast_to_noise") is not None]
    text = f"Found: {rate_text(detection_rate(holes))} of all holes in all recordings."
    if not known:
        return (
            text
            + " Nobody knows the noise-free contrast of these holes, so nobody can say which of them could be seen."
        )
    visible = detection_rate(detectable_holes(holes, DETECTABLE_RATIO))
    return text + (
        f" Of those that can be seen (peak contrast at least {DETECTABLE_RATIO:g} times the camera noise): "
        f"{rate_text(visible)}."
    )
