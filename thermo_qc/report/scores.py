"""Parts of a page about what came out: metrics, every hole found or missed, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thermo_qc.report.blocks import Block, Fold, Missing, Paragraph, Picture
from thermo_qc.report.charts import draw_confusion, draw_hole_grid, draw_training
from thermo_qc.report.hole_tables import detectable_grid, grid_table, hole_matrix, hole_sentence, hole_table_block
from thermo_qc.report.load import RunFolder
from thermo_qc.report.tables import class_table, confusion_table, metrics_table

__all__ = ["hole_blocks", "metric_blocks", "missed_numbers", "training_blocks"]


def missed_numbers(run: RunFolder, key: str) -> tuple[int, ...]:
    """Numbers of the holes of a recording that count as missed."""
    return tuple(
        int(hole["number"]) for hole in run.holes_of(key) if not hole.get("found") and hole.get("number") is not None
    )


def metric_blocks(run: RunFolder, class_names: Sequence[str], *, pictures: bool = True) -> list[Block]:
    """Tables of metrics, and the confusion matrix as a picture or as a table."""
    if run.metrics is None:
        return _training_figures(run, class_names)
    blocks: list[Block] = [metrics_table(run.metrics)]
    pooled = run.metrics.get("pooled")
    if not pooled:
        return [*blocks, Missing(text="metrics.json holds no pooled metrics.")]
    blocks.append(class_table(pooled, class_names, "Each class, over all test pixels."))
    if any(entry is None for figures in (pooled.get("per_class") or {}).values() for entry in figures.values()):
        blocks.append(
            Paragraph(text="Not defined: the class has no true pixel (recall) or was never predicted (precision).")
        )
    blocks += _confusion_blocks(pooled, class_names, run.name, pictures)
    depth = run.metrics.get("depth") or {}
    if depth.get("n"):
        blocks.append(
            Paragraph(
                text=f"Depth of the {depth['n']} holes found with a predicted depth: mean absolute error "
                f"{depth['mae_mm']:.2f} mm, bias {depth['bias_mm']:+.2f} mm (positive: called too deep)."
            )
        )
    folds = run.metrics.get("folds") or ()
    if len(folds) > 1:
        tables = tuple(
            class_table(
                fold["metrics"],
                class_names,
                f"Fold {fold['fold']}, tested on {', '.join(map(str, fold['test_keys']))}.",
            )
            for fold in folds
        )
        blocks.append(Fold(summary="Each class in each fold", blocks=tables))
    return blocks


def _training_figures(run: RunFolder, class_names: Sequence[str]) -> list[Block]:
    own = (run.training_metrics or {}).get("metrics")
    if not own:
        return [Missing(text="no metrics were stored for this run, so nothing can be said about its quality.")]
    note = (
        "These figures are from the recordings that the model was trained on: an upper bound, not an estimate of its "
        "quality."
    )
    blocks: list[Block] = [Paragraph(text=note), metrics_table({"pooled": own})]
    return [
        *blocks,
        class_table(own, class_names, "Each class, on the training pixels."),
        *_confusion_blocks(own, class_names, run.name),
    ]


def _confusion_blocks(
    metrics: Mapping[str, Any], class_names: Sequence[str], name: str, pictures: bool = True
) -> list[Block]:
    confusion = np.asarray(metrics.get("confusion") or ())
    if confusion.shape != (len(class_names), len(class_names)):
        return [Missing(text="the confusion matrix was not stored or does not fit the classes.")]
    table = confusion_table(confusion, class_names)
    if not pictures:
        return [table]
    caption = (
        "Confusion matrix. Rows are the true class, columns what the model called; each row adds up to 100 %. The "
        "diagonal is right; the first column below the first row are missed pixels, the first row right of the "
        "diagonal are false calls."
    )
    png = draw_confusion(confusion, class_names, title=f"{name}: confusion matrix")
    return [
        Picture(png=png, alt="Confusion matrix", caption=caption),
        Fold(summary="Confusion matrix in numbers", blocks=(table,)),
    ]


def hole_blocks(run: RunFolder, class_names: Sequence[str], *, pictures: bool = True) -> list[Block]:
    """List every hole: found or missed, by depth and diameter (picture or table), and recording by recording."""
    holes = run.holes
    if not holes:
        why = "a train run predicts nothing" if run.command == "train" else "metrics.json is missing or knows no hole"
        return [Missing(text=f"no per-hole table was stored ({why}).")]
    blocks: list[Block] = [
        Paragraph(text=hole_sentence(holes)),
        hole_matrix(
            holes,
            "Every hole in every recording. 'Missed, visible' is a fault of the model; 'missed, in the noise' is "
            "what physics allows.",
        ),
    ]
    blocks += _grid_blocks(run, pictures)
    for key in dict.fromkeys(str(hole.get("key", "")) for hole in holes):
        table = hole_table_block(run.holes_of(key), class_names, f"Holes of {key}.")
        missed = sum(not hole.get("found") for hole in run.holes_of(key))
        summary = f"{key}: all {len(run.holes_of(key))} holes, {missed} missed"
        blocks.append(Fold(summary=summary, blocks=(table,), opened=pictures))
    return blocks


def _grid_blocks(run: RunFolder, pictures: bool) -> list[Block]:
    grid = (run.metrics or {}).get("grid") or {}
    depths, diameters = grid.get("depths_mm"), grid.get("diameters_mm")
    if not depths or not diameters:
        return [
            Missing(text="depths or diameters of the holes are unknown, so there is no grid of depth and diameter.")
        ]
    detectable = detectable_grid(run.holes, depths, diameters)
    if not pictures:
        return [grid_table(grid, detectable)]
    caption = (
        "Holes found by depth and diameter, over all recordings. 'Visible' counts those whose contrast is at "
        "least 5 times the camera noise."
    )
    png = draw_hole_grid(
        depths,
        diameters,
        np.asarray(grid["found"]),
        np.asarray(grid["total"]),
        detectable=detectable if (detectable >= 0).any() else None,
        title=f"{run.name}: holes found",
    )
    return [Picture(png=png, alt="Holes found by depth and diameter", caption=caption)]


def training_blocks(run: RunFolder) -> list[Block]:
    """Draw the training curves."""
    if run.command == "evaluate":
        return []
    if not run.histories:
        kind = ((run.record.get("experiment") or {}).get("model") or {}).get("kind")
        if kind in {"forest", "classical"}:
            name = "random forest" if kind == "forest" else "classical classifier"
            return [Paragraph(text=f"A {name} is not trained in epochs, so there is no training curve.")]
        return [Missing(text="no history.csv was found, so the training curves are not drawn.")]
    caption = (
        "Loss after every epoch; one colour per fold. Solid: on the training pixels. Dashed: on pixels kept back for "
        "validation, where there were any."
    )
    usable = {name: columns for name, columns in run.histories.items() if "train_loss" in columns}
    if not usable:
        return [Missing(text="the training histories hold no column train_loss.")]
    png = draw_training(usable, title=f"{run.name}: training")
    return [Picture(png=png, alt="Training curves", caption=caption)]
