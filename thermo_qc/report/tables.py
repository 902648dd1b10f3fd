"""Figures of a run as tables; what is not defined reads "not defined", never zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.report.blocks import Cell, Table

__all__ = [
    "class_table",
    "comparison_table",
    "confusion_table",
    "fact_table",
    "leakage_table",
    "metrics_table",
    "number",
    "number_cell",
    "percent",
]

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


def number_cell(value: Any, digits: int, missing: str = "unknown") -> Cell:
    """Make a cell with a number of so many decimals; `missing` for None and NaN."""
    text = number(value, digits, missing)
    return Cell(text=text, kind="unknown" if text == missing else "number")


def confusion_table(confusion: NDArray[np.int64], class_names: Sequence[str]) -> Table:
    """Write the confusion matrix in numbers: pixels, and their share of the true class."""
    rows: list[tuple[Cell | str, ...]] = []
    for true, counts in enumerate(confusion):
        total = int(counts.sum())
        cells = [_confusion_cell(true, called, int(count), total) for called, count in enumerate(counts)]
        rows.append((class_names[true], *cells))
    caption = "Confusion matrix: pixels by true class (row) and predicted class (column), with their share of the row."
    return Table(caption=caption, header=("true class", *class_names), rows=tuple(rows))


def _confusion_cell(true: int, called: int, count: int, total: int) -> Cell:
    share = f" ({100 * count / total:.1f} %)" if total else ""
    kind = "good" if true == called else "bad" if called == 0 or true == 0 else "faint"
    return Cell(text=f"{count:,}".replace(",", " ") + share, kind=f"number {kind}" if count else "number")


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
            number_cell(row.get("train_s"), 0, "not recorded"),
            number_cell(row.get("model_mb"), 2, "not recorded"),
        )
        for row in rows
    )
    return Table(caption="All methods side by side.", header=header, rows=body)


def _of(found: Any, total: Any) -> Cell:
    if found is None or total is None:
        return Cell(text="not measured", kind="unknown")
    return Cell(text=f"{found} of {total}" if total else "none there", kind="number")
