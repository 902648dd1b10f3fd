"""Section of a report on what the recording could have shown: facts, chart, and the criteria's smallest defects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thermo_qc.report.blocks import Block, Cell, Missing, Paragraph, Picture, Table
from thermo_qc.report.shown_chart import draw_shown
from thermo_qc.report.tables import fact_table, number

__all__ = ["shown_blocks"]

Record = Mapping[str, Any]
_KINDS = {"detectable": "good", "borderline": "review", "cannot be seen": "bad"}


def shown_blocks(record: Record) -> list[Block]:
    """Say what the recording could have shown, whatever a model finds in it."""
    one = record["detectability"]
    blocks: list[Block] = [Missing(text=f"{text}.") for text in one["missing"]]
    if one["missing"] and one["assumed"]:
        blocks.append(Paragraph(text="That is accepted: --assume-detectable was given."))
    if one["setup"] is not None:
        blocks += [_facts(one), *_chart(record)]
    if record["criteria"] is None:
        text = "without criteria nothing is said to be a defect that must be found."
        return [*blocks, Missing(text=text), _meaning(one["limits"])]
    rows = tuple(
        (
            case["limit"],
            Cell(text=f"{case['diameter_mm']:.3g}", kind="number"),
            Cell(text=f"{case['depth_mm']:.3g}", kind="number"),
            Cell(text=number(case["d_prime"], 1, "unknown"), kind="unknown" if case["d_prime"] is None else "number"),
            Cell(text=case["word"], kind=_KINDS.get(case["word"], "unknown")),
        )
        for case in one["cases"]
    )
    header = ("limit", "smallest defect it rejects: diameter, mm", "depth, mm", "d'", "word")
    table = Table(caption="The smallest defects that the criteria reject.", header=header, rows=rows)
    return [*blocks, table, _meaning(one["limits"])]


def _facts(one: Record) -> Table:
    setup = one["setup"]
    heat = f"{setup['energy_j_m2']:.4g} J/m²" if setup["flux_w_m2"] is None else f"{setup['flux_w_m2']:.4g} W/m²"
    misfit = None if one["misfit"] is None else f"{100 * one['misfit']:.2g} % rms"
    facts = [
        ("heating", f"{setup['heating'].replace('_', ' ')}, {heat} ({one['heat_source']})"),
        ("pulse", None if setup["pulse_s"] is None else f"{setup['pulse_s']:g} s"),
        ("noise", f"{1e3 * setup['noise_k']:.3g} mK ({one['noise_source']})"),
        ("recorded", f"{setup['duration_s']:.4g} s at {setup['frame_rate_hz']:.4g} Hz"),
        ("pixel on the plate", f"{setup['pixel_pitch_mm']:.4g} mm"),
        ("blur of the optics, assumed", f"{setup['blur_px']:g} px"),
        ("computed against measured rise of sound material", misfit),
    ]
    return fact_table("What the detectability rests on.", facts)


def _chart(record: Record) -> list[Block]:
    one = record["detectability"]
    sizes = one.get("sizes")
    if sizes is None:
        return [Missing(text="smallest detectable diameters could not be computed for this set-up.")]
    called = [item for item in record["indications"] if not item["suspect"]]
    placed = [
        (int(item["id"]), float(item["depth_mm"]), float(item["equivalent_diameter_mm"]))
        for item in called
        if item["depth_mm"] is not None and item["equivalent_diameter_mm"] is not None
    ]
    png = draw_shown(
        sizes,
        limits=one["limits"],
        cases=[(float(case["depth_mm"]), float(case["diameter_mm"])) for case in one["cases"]],
        indications=placed,
        title="Smallest hole that this recording could have shown",
    )
    caption = (
        "Smallest flat-bottom hole over its depth, for the heat and the noise of this recording; computed at "
        f"{len(sizes['depths_mm'])} depths, between simulated holes interpolated. Where a line ends, even a hole of "
        "twelve times its depth is not enough; none smaller than half its depth was tried."
    )
    if len(placed) < len(called):
        caption += f" {len(called) - len(placed)} indications without a stated depth are not in it."
    return [Picture(png=png, alt="Smallest detectable diameter over depth", caption=caption)]


def _meaning(limits: Record) -> Paragraph:
    return Paragraph(
        text="d' is the detectability index of the matched-filter observer for a flat-bottom hole in a wide plate, "
        "with offset, gain and time shift of every pixel and a quadratic background of every frame unknown to it. "
        f"At least {limits['detectable']:g} is called detectable, below {limits['visible']:g} nothing can be seen. "
        "It says what the recording holds, not what a model finds in it."
    )
