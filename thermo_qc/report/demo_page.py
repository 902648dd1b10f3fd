"""The page of a demo: several methods on the same recordings, and on a layout that none was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thermo_qc.report.blocks import Block, Fold, Missing, Paragraph, Picture, Section, Terms
from thermo_qc.report.charts import draw_comparison
from thermo_qc.report.load import DemoFolder, PredictionFile, RunFolder
from thermo_qc.report.maps import draw_methods, draw_outcomes, outcome_map
from thermo_qc.report.parts import curve_blocks, plate_blocks, split_blocks, usable_maps
from thermo_qc.report.run_page import class_names_of, frame_label
from thermo_qc.report.scores import hole_blocks, metric_blocks, missed_numbers, training_blocks
from thermo_qc.report.story import configuration_blocks, data_table, provenance_blocks, story_blocks
from thermo_qc.report.tables import comparison_table, leakage_table
from thermo_qc.report.texts import GLOSSARY, LEAKAGE_HIDES

__all__ = ["demo_sections"]

Runs = Mapping[str, RunFolder]


def demo_sections(demo: DemoFolder) -> list[Section]:
    """Sections of the page of a demo."""
    return [
        Section(anchor="done", title="What was done", blocks=_story(demo)),
        Section(anchor="comparison", title="The methods side by side", blocks=_comparison_blocks(demo)),
        Section(anchor="leakage", title="The leakage gap", blocks=_leakage_blocks(demo)),
        Section(anchor="plate", title="The plate", blocks=_first(demo.runs, plate_blocks, "run")),
        Section(anchor="splits", title="Which pixels trained and which tested", blocks=_splits(demo.runs)),
        Section(
            anchor="curves", title="Curves of representative pixels", blocks=_first(demo.runs, curve_blocks, "run")
        ),
        _map_section("maps", "Predicted maps beside the truth", demo.runs),
        Section(
            anchor="unseen-plate",
            title="The layout that no method was trained on",
            blocks=_first(demo.unseen, plate_blocks, "run on an unseen layout"),
        ),
        _map_section("unseen-maps", "Maps of the unseen layout", demo.unseen),
        _methods("methods", "Every method in detail", demo.runs),
        _methods("unseen-methods", "Every method on the unseen layout", demo.unseen),
        Section(anchor="glossary", title="How to read the figures", blocks=[Terms(terms=GLOSSARY)]),
        Section(anchor="provenance", title="Configurations, versions and hashes", blocks=_provenance(demo)),
    ]


def _story(demo: DemoFolder) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(
            text=f"{len(demo.runs)} methods were cross-validated on the same recordings of one plate and then applied "
            f"to {'a plate of another layout that none was trained on' if demo.unseen else 'no further plate'}. "
            f"The methods: {', '.join(demo.runs) or 'none'}."
        )
    ]
    blocks += [Paragraph(text=str(note)) for note in (demo.comparison or {}).get("notes", ())]
    blocks += [Missing(text=note) for note in demo.notes]
    groups = (("Recordings that were cross-validated.", demo.runs), ("Recordings of the unseen layout.", demo.unseen))
    for caption, runs in groups:
        entries: dict[str, Any] = {}
        for run in runs.values():
            entries |= {str(entry.get("key")): entry for entry in run.record.get("data") or ()}
            blocks += [Missing(text=f"{run.name}: {note}") for note in run.notes]
        if entries:
            blocks.append(data_table(entries.values(), caption))
    return blocks


def _comparison_blocks(demo: DemoFolder) -> list[Block]:
    rows = (demo.comparison or {}).get("rows") or ()
    if not rows:
        return [Missing(text="comparison.json holds no comparison of the methods.")]
    held, unseen = "held-out recordings", "unseen layout"
    panels = {
        "Defect IoU (higher is better)": {
            held: [row.get("defect_iou") for row in rows],
            unseen: [row.get("unseen_defect_iou") for row in rows],
        },
        "Visible holes found in % (higher is better)": {
            held: [_share(row, "detectable") for row in rows],
            unseen: [_share(row, "unseen_detectable") for row in rows],
        },
        "Balanced accuracy (higher is better)": {held: [row.get("balanced_accuracy") for row in rows]},
        "False calls in % of sound material (lower is better)": {
            held: [_percent(row.get("false_call_fraction")) for row in rows],
            unseen: [_percent(row.get("unseen_false_call_fraction")) for row in rows],
        },
    }
    png = draw_comparison([str(row.get("method", "")) for row in rows], panels, title="Methods compared")
    caption = (
        "Held-out recordings: each predicted by a model that has not seen its acquisition. Unseen layout: a plate "
        "that no "
        "method was trained on. Visible holes have a noise-free peak contrast of at least 5 times the camera noise."
    )
    return [comparison_table(rows), Picture(png=png, alt="Bars comparing the methods", caption=caption)]


def _share(row: Mapping[str, Any], what: str) -> float | None:
    found, total = row.get(f"{what}_found"), row.get(f"{what}_total")
    return 100.0 * found / total if found is not None and total else None


def _percent(value: Any) -> float | None:
    return None if value is None else 100.0 * float(value)


def _leakage_blocks(demo: DemoFolder) -> list[Block]:
    rows = (demo.comparison or {}).get("leakage") or ()
    if not rows:
        return [
            Paragraph(text=LEAKAGE_HIDES),
            Missing(text="the gap was not measured in this demo; run it with --full to see it."),
        ]
    return [Paragraph(text=LEAKAGE_HIDES), leakage_table(rows)]


def _first(runs: Runs, make: Any, what: str) -> list[Block]:
    """Blocks that are the same for every run, made from the first."""
    for run in runs.values():
        return list(make(run))
    return [Missing(text=f"there is no {what}.")]


def _splits(runs: Runs) -> list[Block]:
    """Draw the splits of the runs, those that several runs share once."""
    shared: dict[str, list[str]] = {}
    for name, run in runs.items():
        shared.setdefault(str(run.record.get("splits_sha256") or f"of {name}"), []).append(name)
    blocks: list[Block] = []
    for names in shared.values():
        blocks += [Paragraph(text=f"Splits of {', '.join(names)}:"), *split_blocks(runs[names[0]])]
        for name in names:
            only = runs[name].record.get("only_folds")
            if only is not None:
                blocks.append(Paragraph(text=f"Of {name} only fold {', '.join(map(str, only))} was run."))
    return blocks or [Missing(text="there is no run.")]


def _map_section(anchor: str, title: str, runs: Runs) -> Section:
    keys = list(dict.fromkeys(key for run in runs.values() for key in run.predictions))
    if not keys:
        return Section(anchor=anchor, title=title, blocks=[Missing(text="no predictions were stored.")])
    text = (
        "One picture per recording: a frame, the truth, and what each method called. A dashed ring marks a hole that "
        "counts "
        "as missed; pixels that are not used are grey."
    )
    children = [
        Section(anchor=f"{anchor}-{position}", title=key, blocks=_methods_on(runs, key))
        for position, key in enumerate(keys)
    ]
    return Section(anchor=anchor, title=title, blocks=[Paragraph(text=text)], children=children)


def _methods_on(runs: Runs, key: str) -> list[Block]:
    blocks: list[Block] = []
    maps: dict[str, PredictionFile] = {}
    for name, run in runs.items():
        item = run.predictions.get(key)
        problem = (
            f"{name} has no prediction of {key}"
            if item is None
            else item
            if isinstance(item, str)
            else usable_maps(item)
        )
        if problem is None and isinstance(item, PredictionFile):
            maps[name] = item
        else:
            blocks.append(Missing(text=f"{str(problem).rstrip('.')}{_because(run)}."))
    shapes = {item.class_map.shape for item in maps.values()}
    truth = next((item.truth_class for item in maps.values()), None)
    if len(shapes) != 1 or truth is None:
        return [
            *blocks,
            Missing(text=f"the maps of {key} cannot be drawn side by side (sizes: {sorted(shapes) or 'none'})."),
        ]
    first_name, first = next(iter(maps.items()))
    missed = {name: missed_numbers(runs[name], key) for name in maps}
    png = draw_methods(
        first.frame,
        truth,
        {name: item.class_map for name, item in maps.items()},
        class_names=first.class_names or class_names_of(runs[first_name]),
        defect_index=first.defect_index,
        missed=missed,
        pixel_pitch_mm=first.pixel_pitch_mm,
        title=key,
    )
    counted = ", ".join(
        f"{name} {len(runs[name].holes_of(key)) - len(lost)} of {len(runs[name].holes_of(key))}"
        for name, lost in missed.items()
    )
    caption = f"{key}; the frame shows the {frame_label(first)}. Holes found: {counted}."
    return [Picture(png=png, alt=f"Maps of {key} by every method", caption=caption), *blocks]


def _because(run: RunFolder) -> str:
    only = run.record.get("only_folds")
    return "" if only is None else f" (only fold {', '.join(map(str, only))} of it was run)"


def _methods(anchor: str, title: str, runs: Runs) -> Section:
    children = [
        Section(anchor=f"{anchor}-{position}", title=name, blocks=_method_blocks(name, run))
        for position, (name, run) in enumerate(runs.items())
    ]
    blocks: Sequence[Block] = () if children else [Missing(text="there is no run.")]
    return Section(anchor=anchor, title=title, blocks=blocks, children=children)


def _method_blocks(name: str, run: RunFolder) -> list[Block]:
    names = class_names_of(run)
    usable = {key: item for key, item in run.maps.items() if usable_maps(item) is None}
    blocks = _outcome_blocks(name, run, usable)
    blocks += metric_blocks(run, names, pictures=False)
    blocks += hole_blocks(run, names, pictures=False)
    return [*blocks, *training_blocks(run)]


def _outcome_blocks(name: str, run: RunFolder, usable: Mapping[str, PredictionFile]) -> list[Block]:
    if not usable:
        return [Missing(text=f"no prediction of {name} can be drawn beside its truth.")]
    outcomes = {
        key: outcome_map(item.truth_class, item.class_map)
        for key, item in usable.items()
        if item.truth_class is not None
    }
    png = draw_outcomes(
        outcomes,
        missed={key: missed_numbers(run, key) for key in usable},
        defect_index={key: item.defect_index for key, item in usable.items() if item.defect_index is not None},
        pixel_pitch_mm={key: item.pixel_pitch_mm for key, item in usable.items()},
        title=f"{name}: where it is right and wrong",
    )
    caption = (
        "Truth and prediction compared pixel by pixel, one panel per recording. A dashed ring marks a hole that "
        "counts as missed."
    )
    return [Picture(png=png, alt=f"Right and wrong pixels of {name}", caption=caption)]


def _provenance(demo: DemoFolder) -> list[Block]:
    blocks: list[Block] = []
    for group, runs in (("", demo.runs), (" on the unseen layout", demo.unseen)):
        for name, run in runs.items():
            inner = (*story_blocks(run)[:1], *configuration_blocks(run), *provenance_blocks(run))
            blocks.append(Fold(summary=f"{name}{group}", blocks=inner))
    return blocks or [Missing(text="there is no run.")]
