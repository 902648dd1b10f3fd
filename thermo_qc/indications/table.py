"""Indications as a CSV file that spreadsheets open without running anything in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thermo_qc.indications.indication import Indication
from thermo_qc.io.tables import write_csv

__all__ = ["CSV_COLUMNS", "indications_to_csv"]

CSV_COLUMNS = (
    "id",
    "class",
    "class_index",
    "centroid_x_px",
    "centroid_y_px",
    "bbox_x0_px",
    "bbox_y0_px",
    "bbox_x1_px",
    "bbox_y1_px",
    "centroid_x_mm",
    "centroid_y_mm",
    "bbox_x0_mm",
    "bbox_y0_mm",
    "bbox_x1_mm",
    "bbox_y1_mm",
    "area_px",
    "area_mm2",
    "equivalent_diameter_mm",
    "depth_mm",
    "mean_probability",
    "cnr",
    "warnings",
)


def indications_to_csv(indications: Sequence[Indication], path: Path, *, warnings: Sequence[str] = ()) -> None:
    """Write one row per indication, whole file or nothing.

    Parameters
    ----------
    indications : sequence of Indication
        What `find_indications` returned; an empty list leaves the header alone.
    path : Path
        Target. Lengths are in the unit of the column name, unknown values are empty; text that a spreadsheet would run
        as a formula gets an apostrophe in front.
    warnings : sequence of str
        What limits the trust in all of them, for the last column.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    told = "; ".join(warnings)
    write_csv(path, CSV_COLUMNS, ((*_row(indication), told) for indication in indications), digits=6)


def _row(indication: Indication) -> tuple[str | float | None, ...]:
    return (
        indication.id,
        indication.class_name,
        indication.class_index,
        indication.centroid_x_px,
        indication.centroid_y_px,
        *indication.bbox_px,
        indication.centroid_x_mm,
        indication.centroid_y_mm,
        *(indication.bbox_mm or (None,) * 4),
        indication.area_px,
        indication.area_mm2,
        indication.equivalent_diameter_mm,
        indication.depth_mm,
        indication.mean_probability,
        indication.cnr,
    )
