"""Parts of a run's page that say what was found, how well, how deep, how sure, and what sound material got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thermo_qc.report.blocks import Block, Cell, Fold, Missing, Paragraph, Picture, Section, Table
from thermo_qc.report.evaluation_charts import draw_pod, draw_reliability
from thermo_qc.report.load import RunFolder
from thermo_qc.report.tables import UNDEFINED, number, number_cell, percent

__all__ = ["evaluation_sections", "pod_blocks"]

Mapped = Mapping[str, Any]
_ABSENT = "this run was scored before this figure was stored; evaluate it again to see it."
_CURVES = (("diameter", "diameter in mm", "mm"), ("aspect", "diameter / depth", ""))


def evaluation_sections(run: RunFolder) -> list[Section]:
    """Give the sections on indications, sound material, depth, probabilities and POD; none for a training run.

    Without metrics there are none either: the section on metrics says that they are missing.
    """
    metrics = run.metrics
    if run.command == "train" or not metrics:
        return []
    return [
        Section(anchor="indications", title="Indications", blocks=_indications(metrics)),
        Section(anchor="sound", title="Sound material", blocks=_sound(metrics)),
        Section(anchor="depth", title="Depth", blocks=_depth(metrics)),
        Section(anchor="probabilities", title="Probabilities", blocks=_probabilities(metrics, run.name)),
        Section(anchor="pod", title="Probability of detection", blocks=pod_blocks(metrics.get("pod"), run.name)),
    ]


def _share(share: Mapped) -> str:
    if share.get("value") is None:
        return UNDEFINED
    bounds = f"{percent(share['low'])} to {percent(share['high'])}"
    return f"{share['count']} of {share['total']} = {percent(share['value'])} ({bounds})"


def _rate(rate: Mapped) -> str:
    if rate.get("value") is None:
        return f"{rate.get('count', 0)}, rate {UNDEFINED}"
    return (
        f"{number(rate['value'], 2)} per m² ({number(rate['low'], 2)} to {number(rate['high'], 2)}; {rate['count']} on "
        f"{number(rate['exposure'], 3)} m²)"
    )


def _facts(caption: str, rows: Sequence[tuple[str, str]]) -> Table:
    cells: tuple[tuple[Cell | str, ...], ...] = tuple(
        (name, Cell(text=text, kind="unknown" if text == UNDEFINED else "")) for name, text in rows
    )
    return Table(caption=caption, header=("what", "value"), rows=cells)


def _statement(found: Mapped) -> list[Block]:
    said = str(found.get("statement") or "")
    return [Missing(text=f"{said[0].upper()}{said[1:]}.")] if said else []


def _indications(metrics: Mapped) -> list[Block]:
    found = metrics.get("indications")
    if not found:
        return [Missing(text=_ABSENT)]
    table = _facts(
        "Predicted regions against true defects, with exact 95 % intervals (Clopper-Pearson for shares, Poisson for "
        "rates).",
        [
            ("defects found", _share(found["hits"])),
            ("regions that lie on a defect", _share(found["true_regions"])),
            ("false calls", _rate(found["false_calls_per_m2"])),
            ("largest false call", _with_unit(found["largest_false_call_mm2"], "mm²")),
        ],
    )
    errors: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            title,
            Cell(text=str(found[name]["n"]), kind="number"),
            *(
                number_cell(found[name][column], 2, UNDEFINED)
                for column in ("bias", "rms", "median_absolute", "largest_absolute")
            ),
        )
        for title, name in (
            ("distance between the centres", "position_mm"),
            ("equivalent diameter of the region", "size_mm"),
            ("equivalent diameter at half maximum (-6 dB)", "half_maximum_size_mm"),
        )
    )
    header = ("error in mm of", "defects", "mean", "root mean square", "median size", "largest")
    return [
        Paragraph(text=f"Overlap rule: {found['rule']}."),
        *_statement(found),
        table,
        Table(caption="Errors of place and size of the defects found, mm.", header=header, rows=errors),
        *_contrast(metrics.get("contrasts")),
        *_intervals(metrics.get("intervals")),
    ]


def _with_unit(value: Any, unit: str) -> str:
    return UNDEFINED if value is None else f"{number(value, 2)} {unit}"


def _contrast(contrasts: Mapped | None) -> list[Block]:
    if not contrasts or not contrasts.get("n"):
        return []
    text = (
        f"In the map of the {contrasts['map']} the median contrast to noise of {contrasts['n']} defects is "
        f"{number(contrasts['median_cnr'], 2)}, the median Tanimoto score {number(contrasts['median_tanimoto'], 2)} "
        "(contrasts.csv lists them)."
    )
    return [Paragraph(text=text)]


def _intervals(intervals: Mapped | None) -> list[Block]:
    if not intervals:
        return []
    if intervals.get("reason"):
        return [Missing(text=f"No intervals of the pixel metrics: {intervals['reason']}.")]
    rows: tuple[tuple[Cell | str, ...], ...] = tuple(
        (name.replace("_", " "), number_cell(low, 3, UNDEFINED), number_cell(high, 3, UNDEFINED))
        for name, (low, high) in intervals["scalars"].items()
    )
    caption = (
        f"95 % intervals of the pixel metrics from {intervals['n_groups']} resampled {intervals['groups']}: "
        "neighbouring pixels are no independent evidence."
    )
    table = Table(caption=caption, header=("metric", "from", "to"), rows=rows)
    return [Fold(summary="Intervals of the pixel metrics", blocks=(table,))]


def _sound(metrics: Mapped) -> list[Block]:
    sound = metrics.get("sound")
    if not sound:
        return [Missing(text=_ABSENT)]
    quantiles = [
        (f"probability of a defect: {100 * float(share):g} % of the sound pixels lie below", number(value, 3))
        for share, value in sound["score_quantiles"].items()
    ]
    table = _facts(
        "Sound material farther than 3 pixels from any true defect.",
        [
            ("sound pixels", f"{sound['n_pixels']:,}".replace(",", " ")),
            ("called a defect", percent(sound["false_call_fraction"])),
            ("false regions", _rate(sound["false_calls_per_m2"])),
            ("largest false region", _with_unit(sound["largest_mm2"], "mm²")),
            ("its equivalent diameter", _with_unit(sound["largest_diameter_mm"], "mm")),
            *quantiles,
            ("defect-free recordings without a false region", _share(sound["defect_free"])),
            ("false regions on defect-free recordings", _rate(sound["defect_free_per_m2"])),
        ],
    )
    return [*_statement(sound), table]


def _depth(metrics: Mapped) -> list[Block]:
    depths = metrics.get("depths")
    if not depths:
        return [Missing(text=_ABSENT)]
    blocks: list[Block] = []
    if depths.get("reason"):
        blocks.append(Missing(text=f"No depth errors: {depths['reason']}."))
    else:
        rows = [*depths["by_depth"], depths["overall"]]
        cells: tuple[tuple[Cell | str, ...], ...] = tuple(
            (
                "all" if row["depth_mm"] is None else f"{row['depth_mm']:.3g} mm",
                Cell(text=str(row["n"]), kind="number"),
                *(number_cell(row[name], 2, UNDEFINED) for name in ("mae_mm", "rmse_mm", "bias_mm")),
                Cell(text=percent(row["relative"]), kind="number"),
                number_cell(row["bound_ratio"], 2, UNDEFINED),
            )
            for row in rows
        )
        header = ("true depth", "defects", "mean |error| mm", "RMS mm", "bias mm", "relative", "over the bound")
        caption = "Depth of the defects found. Bias: positive is called too deep. The bound is that of Cramer and Rao."
        blocks.append(Table(caption=caption, header=header, rows=cells))
    if depths["coverage"]:
        stated = [
            (f"inside the {100 * float(level):g} % interval", _share(s)) for level, s in depths["coverage"].items()
        ]
        blocks.append(_facts("Stated uncertainty of the depth: how often the true depth lies inside.", stated))
    blocks += [Paragraph(text=f"{note[0].upper()}{note[1:]}.") for note in depths.get("notes", ())]
    return [*blocks, *_classes_by_depth(depths.get("class_confusion") or ())]


def _classes_by_depth(rows: Sequence[Mapped]) -> list[Block]:
    if not rows:
        return []
    names = tuple(rows[0]["called"])
    body: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            f"{row['depth_mm']:.3g} mm ({', '.join(row['true_class'])})",
            *(Cell(text=str(row["called"][name]), kind="number") for name in names),
            Cell(text=str(row["missed"]), kind="number"),
            Cell(text=str(row["total"]), kind="number"),
        )
        for row in rows
    )
    header = ("true depth (class)", *(f"called {name}" for name in names), "missed", "all")
    return [Table(caption="What the defects of each depth were called.", header=header, rows=body)]


def _probabilities(metrics: Mapped, name: str) -> list[Block]:
    precision, calibration = metrics.get("average_precision"), metrics.get("calibration")
    if not precision or not calibration:
        return [Missing(text=_ABSENT)]
    rows: tuple[tuple[Cell | str, ...], ...] = tuple(
        (label, number_cell(value, 3, UNDEFINED), Cell(text=str(precision["support"][label]), kind="number"))
        for label, value in precision["per_class"].items()
    )
    blocks: list[Block] = [
        Table(
            caption="Average precision of each class against all others; classes without a pixel have none.",
            header=("class", "average precision", "support (pixels)"),
            rows=(*rows, ("mean", number_cell(precision["mean"], 3, UNDEFINED), "")),
        )
    ]
    defect, top = calibration["defect"], calibration["top"]
    blocks.append(
        Paragraph(
            text=f"Expected calibration error: {number(defect['expected_error'])} for the probability of a defect, "
            f"{number(top['expected_error'])} for the likeliest class (0: probabilities mean what they say)."
        )
    )
    if any(defect["count"]):
        png = draw_reliability(defect, title=f"{name}: reliability")
        caption = "How often a stated probability of a defect comes true (left), and how often it is stated (right)."
        blocks.append(Picture(png=png, alt="Reliability diagram", caption=caption))
    return blocks


def pod_blocks(pod: Mapped | None, name: str) -> list[Block]:
    """Table and chart of POD curves as in ``metrics.json``; the reason where there is no number."""
    if not pod:
        return [Missing(text=_ABSENT)]
    blocks: list[Block] = []
    drawn = {}
    rows: list[tuple[Cell | str, ...]] = []
    for key, label, unit in _CURVES:
        curve = pod.get(key)
        if not curve:
            continue
        rows.append(_pod_row(label, curve, unit))
        if not curve["reason"]:
            drawn[label] = curve
        for note in curve["notes"]:
            if (text := f"{label}: {note}.") not in [getattr(block, "text", "") for block in blocks]:
                blocks.append(Paragraph(text=text))
    header = ("POD by", "targets", "looks", "found", "a50", "a90", "a90/95", "a90/95, targets resampled")
    caption = (
        "Hit/miss POD, logit link. a50, a90: sizes found with 50 and 90 % (two-sided 95 % likelihood-ratio bounds); "
        "a90/95: one-sided 95 % bound of a90. Where there is no number, the reason stands."
    )
    blocks.insert(0, Table(caption=caption, header=header, rows=tuple(rows)))
    rate = pod.get("false_calls_per_m2")
    said = f"False calls at the same decision: {_rate(rate)}." if rate else ""
    blocks.append(Paragraph(text=said) if said else Missing(text="false calls at the same decision are not stated."))
    if drawn:
        png = draw_pod(drawn, title=f"{name}: probability of detection")
        blocks.append(Picture(png=png, alt="POD curves", caption="POD with its pointwise 95 % bounds."))
    return blocks


def _pod_row(label: str, curve: Mapped, unit: str) -> tuple[Cell | str, ...]:
    bootstrap = curve.get("bootstrap") or {}
    return (
        label + (" (indicative)" if curve["indicative"] else ""),
        *(Cell(text=str(curve[name]), kind="number") for name in ("n_targets", "n_looks", "n_hits")),
        _size(curve["a50"], unit, bounds=True),
        _size(curve["a90"], unit, bounds=True),
        _size(curve["a90_95"], unit),
        _size(bootstrap["a90_95"], unit) if bootstrap else Cell(text="not resampled", kind="unknown"),
    )


def _size(size: Mapped, unit: str, *, bounds: bool = False) -> Cell:
    if size["value"] is None:
        return Cell(text=str(size["reason"]), kind="unknown")
    text = f"{size['value']:.3g} {unit}".strip()
    if bounds:
        low, high = size["low"], size["high"]
        text += f" ({'0' if low is None else f'{low:.3g}'} to {'unbounded' if high is None else f'{high:.3g}'})"
    return Cell(text=text, kind="number")
