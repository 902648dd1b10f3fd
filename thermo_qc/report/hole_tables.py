"""Holes as tables: found or missed, and whether they could have been seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.evaluation import detectable_holes, detection_rate
from thermo_qc.report.blocks import Cell, Table
from thermo_qc.report.tables import number_cell

__all__ = [
    "DETECTABLE_RATIO",
    "detectable_grid",
    "grid_table",
    "hole_matrix",
    "hole_sentence",
    "hole_table_block",
    "outcome_of",
    "rate_text",
]

DETECTABLE_RATIO = 5.0
Mapped = Mapping[str, Any]


def rate_text(rate: Mapped) -> str:
    """Such as "18 of 23 (78 %, 95 % interval 58 to 90 %)"; "none there" without a hole."""
    if not rate["total"]:
        return "none there"
    low, middle, high = (100 * rate[name] for name in ("rate_low", "rate", "rate_high"))
    return f"{rate['found']} of {rate['total']} ({middle:.0f} %, 95 % interval {low:.0f} to {high:.0f} %)"


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
    if predicted is not None and hole.get("found"):
        verdict = Cell(text="right", kind="good") if hole.get("class_right") else Cell(text="wrong", kind="bad")
    return (
        str(hole.get("name") or hole.get("number")),
        number_cell(hole.get("depth_mm"), 2),
        number_cell(hole.get("diameter_mm"), 2),
        number_cell(hole.get("peak_contrast_k"), 3),
        number_cell(ratio, 1),
        seen,
        outcome_of(hole),
        Cell(text=f"{100 * hole['coverage']:.0f} %", kind="number")
        if hole.get("coverage") is not None
        else number_cell(None, 0),
        number_cell(hole.get("iou"), 2),
        _class_name(hole.get("true_class"), class_names, "unknown"),
        _class_name(predicted, class_names, "nothing called"),
        verdict,
        number_cell(hole.get("predicted_depth_mm"), 2, "none"),
    )


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
            number_cell(depth, 2),
            number_cell(diameter, 2),
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


def grid_table(grid: Mapped, detectable: NDArray[np.int64]) -> Table:
    """Hits by depth (rows) and diameter (columns); blue where all are found, orange where a visible one is missed."""
    rows: list[tuple[Cell | str, ...]] = []
    for row, depth in enumerate(grid["depths_mm"]):
        counts = zip(grid["found"][row], grid["total"][row], detectable[row].tolist(), strict=True)
        rows.append((f"{depth:g} mm deep", *(_grid_cell(*entry) for entry in counts)))
    header = ("", *(f"⌀ {value:g} mm" for value in grid["diameters_mm"]))
    return Table(caption="Holes found by depth and diameter, over all recordings.", header=header, rows=tuple(rows))


def _grid_cell(found: int, total: int, visible: int) -> Cell:
    if not total:
        return Cell(text="no such hole", kind="unknown")
    text = f"{found} of {total}" + ("" if visible < 0 else f" ({visible} visible)")
    if found == total:
        return Cell(text=text, kind="good")
    return Cell(text=text, kind="bad" if visible < 0 or found < visible else "faint")
