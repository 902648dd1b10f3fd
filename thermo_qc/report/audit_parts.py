"""Parts of the page of a leakage audit: differences between kinds of folds, and the folds on the plate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thermo_qc.errors import ThermoQCError
from thermo_qc.report.blocks import Block, Cell, Fold, Missing, Paragraph, Picture, Table
from thermo_qc.report.compare_chart import draw_differences
from thermo_qc.report.load import RunFolder, load_folder
from thermo_qc.report.parts import split_blocks
from thermo_qc.report.tables import UNDEFINED, number_cell

__all__ = ["difference_blocks", "split_parts"]

Rows = Sequence[Mapping[str, Any]]
_METRICS = {
    "defect_f1": "pixel F1 of defects",
    "accuracy": "accuracy",
    "false_call_fraction": "sound called a defect (share)",
    "hit_rate": "holes found (share)",
}


def difference_blocks(differences: Rows, *, method: str) -> list[Block]:
    """Draw what each kind of folds scores less than the first one, and list the differences of all pairs.

    Parameters
    ----------
    differences : sequence of mapping
        Of `thermo_qc.evaluation.audit_differences.audit_differences`; nothing is drawn for none.
    method : str
        For the title.
    """
    if not differences:
        return []
    known = [one for one in differences if not one["reason"]]
    first = str(known[0]["first_by"]) if known else ""
    against = [{**one, "method": _by(one["second_by"])} for one in known if one["first_by"] == first]
    blocks: list[Block] = []
    if against:
        n_groups = against[0]["n_groups"]
        text = (
            f"What is lost against {_by(first)} folds. The 95 % intervals come from resampling the {n_groups} "
            "recordings, the same ones for both kinds: neighbouring pixels are no independent evidence. With so few "
            "recordings they are indicative, and they say nothing of other plates."
        )
        picture = Picture(
            png=draw_differences(against, _METRICS, title=f"{method}: difference from {_by(first)} folds"),
            alt="Differences between kinds of folds with intervals",
            caption=f"Points: score minus that of {_by(first)} folds; lines: 95 % interval. Full: the interval leaves "
            "zero out; open: undecided.",
        )
        blocks += [Paragraph(text=text), picture]
    body = tuple(_row(one) for one in differences)
    header = ("folds", "metric", "first", "second", "second - first", "95 % interval (* leaves zero out)")
    table = Table(caption="Differences between kinds of folds.", header=header, rows=body)
    return [*blocks, Fold(summary="Differences of all pairs in numbers", blocks=(table,))]


def _row(one: Mapping[str, Any]) -> tuple[Cell | str, ...]:
    interval: Cell | str = str(one["reason"])
    if not interval:
        star = " *" if one["decided"] else ""
        interval = Cell(text=f"{one['low']:+.4f} to {one['high']:+.4f}{star}", kind="number")
    return (
        f"{_by(one['first_by'])}, {_by(one['second_by'])}",
        _METRICS[one["metric"]],
        *(number_cell(one[name], 4, UNDEFINED) for name in ("first", "second", "difference")),
        interval,
    )


def split_parts(folder: Path, kinds: Sequence[str]) -> list[Block]:
    """Draw the folds of each run folder ``folder/KIND`` on the plate, under lines that open."""
    parts: list[Block] = []
    for kind in kinds:
        try:
            run = load_folder(folder / kind)
            blocks = split_blocks(run) if isinstance(run, RunFolder) else []
        except ThermoQCError as error:
            blocks = [Missing(text=f"the splits cannot be drawn: {error}.")]
        parts.append(Fold(summary=f"Folds by {_by(kind)}", blocks=tuple(blocks), opened=kind in ("block", "defect")))
    return parts


def _by(name: Any) -> str:
    return str(name).replace("_", " ")
