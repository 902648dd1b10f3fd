"""The page of a leakage audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thermo_qc.io import write_text
from thermo_qc.report.audit_parts import difference_blocks, split_parts
from thermo_qc.report.blocks import Block, Cell, Paragraph, Picture, Section, Table, Terms
from thermo_qc.report.charts import draw_comparison
from thermo_qc.report.page import render_page
from thermo_qc.report.tables import number_cell, percent
from thermo_qc.report.texts import LEAKAGE_HIDES

__all__ = ["write_audit_page"]

Rows = Sequence[Mapping[str, Any]]
_COLUMNS = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("defect_f1", "pixel F1 of defects"),
    ("defect_iou", "IoU of defects"),
)
_KINDS = (
    ("random pixel", "Every pixel goes to a fold by chance. Its neighbours, which saw the same heat, train."),
    ("random frame", "Every frame goes to a fold by chance. All pixels train and test, on different frames."),
    ("block", "Squares of the plate are held out in all recordings, with a guard ring round them."),
    ("defect", "Defects with their surroundings are held out in all recordings, with a guard ring round them."),
    ("acquisition", "Whole recordings are held out; the plate itself, and where its defects lie, may have been seen."),
    ("plate", "All recordings of a plate are held out: what a new plate will get."),
    ("unseen", "Other recordings altogether, judged by the mean of the models of the last kind of folds by recording."),
)


def write_audit_page(audit: Mapping[str, Any], path: Path) -> None:
    """Write the page.

    Parameters
    ----------
    audit : mapping
        Content of ``audit.json``.
    path : Path
        HTML file in the folder of the audit, whose runs' folds are drawn.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    sections = [_method(one, position, path.parent) for position, one in enumerate(audit["methods"])]
    sections.append(
        Section(anchor="kinds", title="The kinds of folds", blocks=[Terms(terms=_KINDS), Paragraph(text=LEAKAGE_HIDES)])
    )
    lead = "The same method, scored under folds that leak and folds that do not."
    write_text(path, render_page(title="Leakage audit", lead=lead, sections=sections))


def _method(one: Mapping[str, Any], position: int, folder: Path) -> Section:
    rows = one["rows"]
    blocks: list[Block] = [Paragraph(text=one["sentence"])]
    if rows:
        blocks += [_table(one["method"], rows), _chart(one["method"], rows)]
        blocks += difference_blocks(one["differences"], method=one["method"])
    if one["left_out"]:
        body = tuple((_by(entry["by"]), entry["reason"]) for entry in one["left_out"])
        blocks.append(Table(caption="Kinds of folds that could not be scored.", header=("folds by", "why"), rows=body))
    if one["warnings"]:
        body = tuple((_by(entry["by"]), entry["warning"]) for entry in one["warnings"])
        blocks.append(Table(caption="What must be known of the folds.", header=("folds by", "note"), rows=body))
    kinds = [row["by"] for row in rows if row["by"] != "unseen"]
    blocks += split_parts(folder / one["method"], kinds)
    return Section(anchor=f"method-{position}", title=str(one["method"]), blocks=blocks)


def _table(method: str, rows: Rows) -> Table:
    header = ("folds by", "folds", "guard ring", "trained on", *(title for _, title in _COLUMNS))
    header += ("sound called a defect", "holes found", "detectable holes found")
    body: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            _by(row["by"]),
            Cell(text=str(row["n_folds"]), kind="number"),
            Cell(text="none" if row["guard_mm"] is None else f"{row['guard_mm']:.3g} mm", kind="number"),
            Cell(text=percent(row["training_share"], "other recordings"), kind="number"),
            *(number_cell(row[name], 3, "not defined") for name, _ in _COLUMNS),
            Cell(text=percent(row["false_call_fraction"]), kind="number"),
            Cell(text=f"{row['holes_found']} of {row['holes_total']}", kind="number"),
            Cell(text=f"{row['detectable_found']} of {row['detectable_total']}", kind="number"),
        )
        for row in rows
    )
    caption = (
        f"{method} under every kind of folds, all test pixels together. Trained on: mean share of the usable pixels "
        "that a fold trains on, after the guard ring. Detectable: contrast without noise at least 5 times the noise."
    )
    return Table(caption=caption, header=header, rows=body)


def _chart(method: str, rows: Rows) -> Picture:
    panels = {title: {"pooled over the folds": [row[name] for row in rows]} for name, title in _COLUMNS}
    png = draw_comparison([_by(row["by"]) for row in rows], panels, title=f"{method}: score by kind of folds")
    return Picture(
        png=png,
        alt=f"Scores of {method} by kind of folds",
        caption="Each bar is the same method on the same data; only what was held out together differs. Axes from 0.",
    )


def _by(name: str) -> str:
    return str(name).replace("_", " ")
