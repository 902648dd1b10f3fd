"""The page of a comparison of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.io import write_text
from thermo_qc.report.blocks import Block, Cell, Fold, Paragraph, Picture, Section, Table
from thermo_qc.report.charts import draw_comparison
from thermo_qc.report.compare_chart import draw_differences
from thermo_qc.report.page import render_page
from thermo_qc.report.tables import UNDEFINED, number, number_cell, percent

__all__ = ["write_compare_page"]

Mapped = Mapping[str, Any]
Rows = Sequence[Mapped]
METRICS = {
    "defect_f1": "defect F1",
    "defect_iou": "defect IoU",
    "balanced_accuracy": "balanced accuracy",
    "false_call_fraction": "sound called a defect",
    "detectable_hit_rate": "detectable holes found",
    "depth_mae_mm": "depth error in mm",
}
_PIXELS = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("matthews", "Matthews correlation"),
    ("defect_precision", "defect precision"),
    ("defect_recall", "defect recall"),
    ("defect_f1", "defect F1"),
    ("defect_iou", "defect IoU"),
    ("average_precision", "average precision"),
    ("calibration_error", "calibration error"),
)


def write_compare_page(comparison: Mapped, path: Path) -> None:
    """Write the page.

    Parameters
    ----------
    comparison : mapping
        Content of ``comparison.json``.
    path : Path
        HTML file.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    rows = comparison["rows"]
    sections = [
        Section(anchor="short", title="The result in short", blocks=_short(comparison)),
        Section(anchor="defects", title="Defects, false calls and depth", blocks=[_defects(rows), _depths(rows)]),
        Section(anchor="pixels", title="Pixels", blocks=[_pixels(rows), *_left_out(rows)]),
        Section(anchor="pod", title="Probability of detection", blocks=[_pod(rows)]),
        Section(anchor="differences", title="Paired differences", blocks=_differences(comparison)),
        Section(anchor="holes", title="What could be seen, hole by hole", blocks=_holes(comparison)),
        Section(anchor="provenance", title="Runs", blocks=_provenance(comparison)),
    ]
    lead = f"{len(rows)} methods on the same truth and the same folds: {comparison['protocol']}."
    write_text(path, render_page(title="Methods side by side", lead=lead, sections=sections))


def _short(comparison: Mapped) -> list[Block]:
    rows = comparison["rows"]
    best = max(rows, key=lambda row: -1.0 if row["defect_f1"] is None else float(row["defect_f1"]))
    text = (
        f"{best['method']} has the highest defect F1, {number(best['defect_f1'])}: it finds "
        f"{best['detectable_found']} of {best['detectable_total']} detectable holes "
        f"with {_rate(best)} false calls per square metre."
    )
    against = [
        f"{one['method']} {one['difference']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"
        for one in comparison["differences"]
        if one["metric"] == "defect_f1" and not one["reason"]
    ]
    said = f"Defect F1 against {comparison['reference']}, with 95 % intervals: {'; '.join(against)}." if against else ""
    panels = {
        "defect F1": {"held-out pixels and holes": [_plain(row["defect_f1"]) for row in rows]},
        "share of the detectable holes found": {"held-out pixels and holes": [_share(row) for row in rows]},
        "false calls per m²": {"held-out pixels and holes": [_plain(row["false_calls_per_m2"]) for row in rows]},
        "depth error in mm": {"held-out pixels and holes": [_plain(row["depth_mae_mm"]) for row in rows]},
    }
    png = draw_comparison([row["method"] for row in rows], panels, title="Methods side by side")
    picture = Picture(
        png=png,
        alt="Bars of the methods",
        caption="Every figure is of pixels that the models had not seen. Axes from 0.",
    )
    return [Paragraph(text=text), *([Paragraph(text=said)] if said else []), picture]


def _left_out(rows: Rows) -> list[Block]:
    """Say which methods did not inspect some of the labelled pixels, and are scored without them."""
    parts = [f"{row['method']} {row['pixels_left_out']}" for row in rows if row["pixels_left_out"]]
    return (
        [Paragraph(text=f"Labelled pixels that a method did not inspect (dead): {', '.join(parts)}.")] if parts else []
    )


def _plain(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _share(row: Mapped) -> float | None:
    return row["detectable_found"] / row["detectable_total"] if row["detectable_total"] else None


def _rate(row: Mapped) -> str:
    return number(row["false_calls_per_m2"], 1)


def _of(row: Mapped, name: str) -> Cell:
    total = row[f"{name}_total"]
    return Cell(text=f"{row[f'{name}_found']} of {total}" if total else "none there", kind="number")


def _defects(rows: Rows) -> Table:
    header = (
        *("method", "kind", "holes found", "detectable found", "borderline found", "found that cannot be seen"),
        *("false calls per m² (95 % interval)", "sound called a defect", "training s"),
    )
    body: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            str(row["method"]),
            str(row["kind"]),
            *(_of(row, name) for name in ("holes", "detectable", "borderline", "cannot_be_seen")),
            Cell(
                text=f"{_rate(row)} ({number(row['false_calls_per_m2_low'], 1)} to "
                f"{number(row['false_calls_per_m2_high'], 1)})",
                kind="number",
            ),
            Cell(text=percent(row["false_call_fraction"]), kind="number"),
            number_cell(row["train_s"], 0, "not recorded"),
        )
        for row in rows
    )
    return Table(caption="Defects found and false calls; a hole counts once per recording.", header=header, rows=body)


def _depths(rows: Rows) -> Table:
    header = (
        *("method", "holes", "mean size of the error, mm", "root mean square, mm", "bias, mm", "relative"),
        "ratio to the Cramer-Rao bound",
    )
    body: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            str(row["method"]),
            Cell(text=str(row["depth_n"]), kind="number"),
            *(number_cell(row[name], 3, UNDEFINED) for name in ("depth_mae_mm", "depth_rmse_mm", "depth_bias_mm")),
            Cell(text=percent(row["depth_relative"]), kind="number"),
            number_cell(row["depth_bound_ratio"], 1, "no bound known"),
        )
        for row in rows
    )
    caption = (
        "Depth of the holes found. The ratio is the root mean square of error / bound: no unbiased estimate gets below "
        "1; a method that knows the depths of the classes by heart may. The bound knows all but noise and diameter: "
        "where it is a few micrometres, the constants of the plate, known to some per cent, rule the error."
    )
    return Table(caption=caption, header=header, rows=body)


def _pixels(rows: Rows) -> Table:
    body: tuple[tuple[Cell | str, ...], ...] = tuple(
        (str(row["method"]), *(number_cell(row[name], 3, UNDEFINED) for name, _ in _PIXELS)) for row in rows
    )
    header = ("method", *(title for _, title in _PIXELS))
    return Table(caption="Pixel metrics over all test pixels.", header=header, rows=body)


def _pod(rows: Rows) -> Table:
    body: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            str(row["method"]),
            number_cell(row["a90_mm"], 1, "none"),
            number_cell(row["a90_95_mm"], 1, "none"),
            str(row["pod_reason"] or ""),
        )
        for row in rows
    )
    caption = "Diameter found nine times in ten (a90) and its upper 95 % bound (a90/95), or why there is none."
    return Table(caption=caption, header=("method", "a90, mm", "a90/95, mm", "reason"), rows=body)


def _differences(comparison: Mapped) -> list[Block]:
    found = comparison["differences"]
    text = (
        f"Each method minus {comparison['reference']} on the same {comparison['groups']}s. The intervals come from "
        f"resampling whole {comparison['groups']}s, the same ones for both methods: neighbouring pixels are no "
        "independent evidence. An interval that leaves zero out is marked."
    )
    body: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            f"{one['method']}: {METRICS[one['metric']]}",
            number_cell(one["first"], 3, UNDEFINED),
            number_cell(one["second"], 3, UNDEFINED),
            number_cell(one["difference"], 3, UNDEFINED),
            one["reason"]
            or Cell(text=f"{one['low']:+.3f} to {one['high']:+.3f}{' *' if one['decided'] else ''}", kind="number"),
        )
        for one in found
    )
    header = ("method: metric", comparison["reference"], "method", "difference", "95 % interval (* leaves zero out)")
    table = Table(caption="Paired differences.", header=header, rows=body)
    if all(one["reason"] for one in found):
        return [Paragraph(text=text), table]
    png = draw_differences(found, METRICS, title=f"Difference from {comparison['reference']}")
    caption = "Points: difference; lines: 95 % interval. Full: the interval leaves zero out; open: undecided."
    picture = Picture(png=png, alt="Paired differences with intervals", caption=caption)
    return [Paragraph(text=text), picture, Fold(summary="The differences in numbers", blocks=(table,))]


def _holes(comparison: Mapped) -> list[Block]:
    limits = comparison["limits"]
    names = [row["method"] for row in comparison["rows"]]
    text = (
        f"d' from {limits['detectable']:g} on is detectable, from {limits['visible']:g} on borderline, below cannot be "
        "seen. It is that of an observer who knows neither offset, gain and time shift of a pixel nor the background "
        "of a frame, in the light of the dimmest sound places. The bound of the depth leaves the diameter unknown."
    )
    blocks: list[Block] = [Paragraph(text=text)]
    for key, facts in comparison["recordings"].items():
        own = [hole for hole in comparison["holes"] if hole["key"] == key]
        about = facts["reason"] or f"noise {facts['noise']}; heat {facts['heat']}"
        counts = ", ".join(
            f"{sum(hole['word'] == word for hole in own)} {word}"
            for word in ("detectable", "borderline", "cannot be seen", "unknown")
            if any(hole["word"] == word for hole in own)
        )
        table = Table(
            caption=f"{key}: {about}.",
            header=("hole", "diameter, mm", "depth, mm", "d'", "word", "bound of the depth, mm", *names),
            rows=tuple(_hole(hole, names) for hole in own),
        )
        blocks.append(Fold(summary=f"{key}: {counts or 'no holes'}", blocks=(table,), opened=len(blocks) == 1))
    return blocks


def _hole(hole: Mapped, names: Sequence[str]) -> tuple[Cell | str, ...]:
    kind = {"detectable": "good", "cannot be seen": "bad"}.get(hole["word"], "unknown")
    return (
        str(hole["name"] or hole["number"]),
        number_cell(hole["diameter_mm"], 1, "unknown"),
        number_cell(hole["depth_mm"], 2, "unknown"),
        number_cell(hole["d_prime"], 1, "unknown"),
        Cell(text=hole["word"], kind=kind),
        number_cell(hole["depth_bound_mm"], 3, "unknown"),
        *(_found(hole, name) for name in names),
    )


def _found(hole: Mapped, name: str) -> Cell:
    if not hole[f"found: {name}"]:
        return Cell(text="missed", kind="bad")
    depth = hole[f"depth_mm: {name}"]
    return Cell(text="found" if depth is None else f"{depth:.2f} mm", kind="good")


def _provenance(comparison: Mapped) -> list[Block]:
    body = tuple((str(row["method"]), str(row["run"])) for row in comparison["rows"])
    text = f"Overlap rule: {comparison['rule']}. Splits: {comparison['splits_sha256'] or 'none; finished models'}."
    return [Paragraph(text=text), Table(caption="Run folders.", header=("method", "folder"), rows=body)]
