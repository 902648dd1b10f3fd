"""The page of a single run: train, cv or evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thermo_qc.report.blocks import Block, Missing, Paragraph, Picture, Section, Terms
from thermo_qc.report.evaluation_blocks import evaluation_sections
from thermo_qc.report.hole_tables import hole_sentence
from thermo_qc.report.load import PredictionFile, RunFolder
from thermo_qc.report.maps import draw_maps_beside_truth
from thermo_qc.report.parts import curve_blocks, plate_blocks, split_blocks, usable_maps
from thermo_qc.report.scores import hole_blocks, metric_blocks, missed_numbers, training_blocks
from thermo_qc.report.story import configuration_blocks, provenance_blocks, story_blocks
from thermo_qc.report.tables import leakage_table, number, percent
from thermo_qc.report.texts import GLOSSARY, LEAKAGE_HIDES, MAPS_HELP

__all__ = ["class_names_of", "frame_label", "run_sections"]

MAX_MAPS = 24


def run_sections(run: RunFolder) -> list[Section]:
    """Sections of the page of one run."""
    names = class_names_of(run)
    sections = [
        Section(anchor="done", title="What was done", blocks=story_blocks(run)),
        Section(anchor="short", title="The result in short", blocks=_short(run)),
        Section(anchor="plate", title="The plate", blocks=plate_blocks(run)),
    ]
    if run.command == "cv":
        sections.append(
            Section(anchor="splits", title="Which pixels trained and which tested", blocks=split_blocks(run))
        )
    sections += [
        _map_section(run),
        Section(anchor="metrics", title="Metrics", blocks=metric_blocks(run, names)),
        Section(anchor="holes", title="Holes found and missed", blocks=hole_blocks(run, names)),
        *evaluation_sections(run),
        Section(anchor="curves", title="Curves of representative pixels", blocks=curve_blocks(run)),
    ]
    if run.command != "evaluate":
        sections.append(Section(anchor="training", title="Training", blocks=training_blocks(run)))
    if run.command == "cv":
        sections.append(Section(anchor="leakage", title="The leakage gap", blocks=_leakage_blocks(run)))
    return [
        *sections,
        Section(anchor="glossary", title="How to read the figures", blocks=[Terms(terms=GLOSSARY)]),
        Section(anchor="configuration", title="Configuration", blocks=configuration_blocks(run)),
        Section(anchor="provenance", title="Versions and hashes", blocks=provenance_blocks(run)),
    ]


def class_names_of(run: RunFolder) -> tuple[str, ...]:
    """Names of the classes, from wherever the run states them."""
    stated = run.record.get("class_names") or (run.metrics or {}).get("class_names")
    if stated:
        return tuple(str(name) for name in stated)
    return next((item.class_names for item in run.maps.values() if item.class_names), ())


def frame_label(item: PredictionFile) -> str:
    """Label of the colour bar of a stored frame."""
    return "rise in K" if item.frame_time_s is None else f"rise in K at {item.frame_time_s:.4g} s"


def _short(run: RunFolder) -> list[Block]:
    pooled = (run.metrics or {}).get("pooled")
    if not pooled:
        return [Missing(text="this run has no metrics of held-out pixels, so there is no result to state.")]
    text = (
        f"Over all test pixels: balanced accuracy {number(pooled.get('balanced_accuracy'))}, defect IoU "
        f"{number(pooled.get('defect_iou'))}, defect F1 {number(pooled.get('defect_f1'))}, and "
        f"{percent(pooled.get('false_call_fraction'))} of the sound material falsely called a defect."
    )
    return [Paragraph(text=hole_sentence(run.holes)), Paragraph(text=text)]


def _map_section(run: RunFolder) -> Section:
    blocks: list[Block] = [Paragraph(text=MAPS_HELP)]
    expected = [str(entry.get("key")) for entry in run.record.get("data") or ()]
    keys = [key for key in expected if key in run.predictions] + [key for key in run.predictions if key not in expected]
    if not keys:
        why = "; a train run predicts none, use predict or evaluate" if run.command == "train" else ""
        return Section(
            anchor="maps",
            title="Predicted maps beside the truth",
            blocks=[Missing(text=f"no predictions were stored{why}.")],
        )
    absent = [key for key in expected if key not in run.predictions]
    if absent:
        blocks.append(Missing(text=f"no prediction was stored of {', '.join(absent)}{_why_absent(run)}."))
    if len(keys) > MAX_MAPS:
        blocks.append(
            Paragraph(text=f"The first {MAX_MAPS} of {len(keys)} recordings are shown; predictions/ holds all maps.")
        )
    children = [
        Section(anchor=f"map-{position}", title=key, blocks=_map_blocks(run, key))
        for position, key in enumerate(keys[:MAX_MAPS])
    ]
    return Section(anchor="maps", title="Predicted maps beside the truth", blocks=blocks, children=children)


def _why_absent(run: RunFolder) -> str:
    if run.command == "finetune":
        return ": trained on, while the maps are those of the validation recordings"
    only = run.record.get("only_folds")
    return "" if only is None else f" (only fold {', '.join(map(str, only))} was run)"


def _map_blocks(run: RunFolder, key: str) -> list[Block]:
    item = run.predictions[key]
    if isinstance(item, str):
        return [Missing(text=item)]
    problem = usable_maps(item)
    if problem is not None or item.truth_class is None:
        return [Missing(text=f"{problem}, so nothing can be drawn.")]
    holes, missed = run.holes_of(key), missed_numbers(run, key)
    png = draw_maps_beside_truth(
        item.frame,
        item.truth_class,
        item.class_map,
        class_names=item.class_names or class_names_of(run),
        defect_index=item.defect_index,
        names={int(hole["number"]): str(hole.get("name", "")) for hole in holes if hole.get("number") is not None},
        missed=missed,
        frame_label=frame_label(item),
        pixel_pitch_mm=item.pixel_pitch_mm,
        title=key,
    )
    return [
        Picture(
            png=png, alt=f"Frame, truth, prediction and difference of {key}", caption=_map_caption(key, holes, missed)
        )
    ]


def _map_caption(key: str, holes: Sequence[Any], missed: Sequence[int]) -> str:
    if not holes:
        return f"{key}. The per-hole table knows no hole of this recording."
    names = [str(hole.get("name") or hole["number"]) for hole in holes if hole.get("number") in missed]
    lost = f"missed: {', '.join(names)}" if names else "none missed"
    return f"{key}: {len(holes) - len(missed)} of {len(holes)} holes found, {lost}."


def _leakage_blocks(run: RunFolder) -> list[Block]:
    blocks: list[Block] = [Paragraph(text=LEAKAGE_HIDES)]
    metrics = run.metrics or {}
    leakage, pooled = metrics.get("leakage"), metrics.get("pooled")
    if not leakage or not pooled:
        return [
            *blocks,
            Missing(text="the leakage gap was not measured in this run; repeat cv with --leakage-gap to see it."),
        ]
    random = leakage.get("metrics") or {}
    by = ((run.record.get("experiment") or {}).get("folds") or {}).get("by", "not recorded")
    rows = [
        {"method": run.name, "by": by, "n_folds": len(metrics.get("folds") or ()), **pooled},
        {
            "method": run.name,
            "by": leakage.get("by", "random_pixel"),
            "n_folds": leakage.get("n_folds", "not recorded"),
            **random,
        },
    ]
    blocks.append(leakage_table(rows))
    honest, flattering = pooled.get("defect_iou"), random.get("defect_iou")
    if honest is not None and flattering is not None:
        text = (
            f"The random-pixel score promises a defect IoU of {number(flattering)} where the honest one is "
            f"{number(honest)}: "
            f"a gap of {float(flattering) - float(honest):+.3f}."
        )
        blocks.append(Paragraph(text=text))
    return blocks
