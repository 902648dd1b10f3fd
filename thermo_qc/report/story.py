"""What was done, in plain words, and the facts that let somebody repeat it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from thermo_qc.report.blocks import Block, Code, Missing, Paragraph, Table
from thermo_qc.report.load import RunFolder
from thermo_qc.report.tables import fact_table
from thermo_qc.report.texts import FOLDS_BY

__all__ = ["configuration_blocks", "data_table", "provenance_blocks", "story_blocks"]

KINDS = {
    "curve": "a curve network, which classifies each pixel from its own temperature curve",
    "segmentation": "a segmentation network, which classifies all pixels of a plate together from a stack of images",
    "classical": "a classical classifier, which decides on a few numbers of each pixel",
    "forest": "a random forest, the classical baseline, which classifies each pixel from its own temperature curve",
}


def story_blocks(run: RunFolder) -> list[Block]:
    """Say in plain words what the run did, then list the recordings."""
    blocks: list[Block] = [Paragraph(text=text) for text in _sentences(run)]
    blocks += [Missing(text=note) for note in run.notes]
    data = run.record.get("data") or ()
    if data:
        blocks.append(data_table(data))
    else:
        blocks.append(Missing(text="run.json lists no recordings."))
    return blocks


def _before_after(metrics: Mapping[str, Any]) -> Iterable[str]:
    """Say of each group of recordings what the fine-tuning changed."""
    groups = {
        "validation": "On the validation recordings, which took no part,",
        "held_out": "On the part held out of training",
        "data": "On the recordings that it was trained on (no estimate of new ones)",
    }
    comparison = metrics.get("comparison") or {}
    for name, place in groups.items():
        figures = comparison.get(name) or {}
        scores = [((figures.get(when) or {}).get("metrics") or {}).get("defect_f1") for when in ("before", "after")]
        if all(isinstance(score, int | float) for score in scores):
            yield f"{place} the F1 of defects was {scores[0]:.2f} before and is {scores[1]:.2f} now."


def _sentences(run: RunFolder) -> Iterable[str]:
    record = run.record
    experiment = record.get("experiment") or {}
    n = len(record.get("data") or ())
    recordings = f"{n} recording{'' if n == 1 else 's'}"
    model = experiment.get("model") or {}
    kind = KINDS.get(str(model.get("kind")), "")
    named = f"The model is {model.get('name')}: {kind}." if kind else ""
    if run.command == "cv":
        folds = experiment.get("folds") or {}
        by = FOLDS_BY.get(str(folds.get("by")), "groups that run.json does not name")
        yield (
            f"A model was cross-validated on {recordings}. It was trained once per fold, each time without the "
            "pixels "
            f"that the fold holds out, and then predicted exactly those. What is held out together are {by}."
        )
        only = record.get("only_folds")
        if only is not None:
            yield (
                f"Of {record.get('n_folds', 'all')} folds only {_listed(only)} {'was' if len(only) == 1 else 'were'} "
                "run, so "
                "only the recordings held out there are predicted and scored."
            )
    elif run.command == "train":
        yield (
            f"One model was trained on {recordings}. Nothing was held out, so this run says nothing about how well "
            "the "
            "model does on other recordings; cross-validate (cv) or evaluate it for that."
        )
    elif run.command == "evaluate":
        yield f"A trained model was applied to {recordings} with known truth and scored there."
        seen = record.get("seen_in_training")
        if seen:
            yield (
                f"Beware: the model was trained on {_listed(seen)}, so its scores there say nothing about new "
                "recordings."
            )
    elif run.command == "finetune":
        yield f"A trained model was trained further on {recordings}."
        yield from _before_after(run.metrics or {})
    else:
        yield f"This folder holds a run of '{run.command or 'an unknown command'}' on {recordings}."
    if named:
        yield named
    names = record.get("class_names") or ()
    if names:
        scheme = record.get("class_scheme") or "not recorded"
        yield f"Each pixel gets one of {len(names)} classes (scheme: {scheme}): {', '.join(map(str, names))}."


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(str(item) for item in items)


def data_table(data: Iterable[Mapping[str, Any]], caption: str = "Recordings.") -> Table:
    """List the recordings with plate, acquisition and heating condition."""
    columns = ("key", "plate", "specimen", "acquisition", "condition", "pixel_pitch_mm", "netd_k")
    entries = list(data)
    kept = [name for name in columns if name == "key" or any(entry.get(name) not in (None, "") for entry in entries)]
    titles = {"key": "recording", "pixel_pitch_mm": "pixel pitch mm", "netd_k": "camera noise K"}
    rows = tuple(tuple(_text(entry.get(name)) for name in kept) for entry in entries)
    return Table(caption=caption, header=tuple(titles.get(name, name) for name in kept), rows=rows)


def _text(value: Any) -> str:
    if value is None or value == "":
        return "not recorded"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _hashes(stated: str) -> list[str]:
    """Hashes of the models behind a map: one, or a JSON list of several."""
    try:
        content = json.loads(stated)
    except ValueError:
        return [stated]
    return [str(value) for value in content] if isinstance(content, list) else [stated]


def configuration_blocks(run: RunFolder) -> list[Block]:
    """Show the configuration of a run."""
    if run.config_text is None:
        return [Missing(text=f"config.yaml of {run.name} is not there.")] if run.command != "evaluate" else []
    return [Code(text=run.config_text.rstrip())]


def provenance_blocks(run: RunFolder) -> list[Block]:
    """List who ran what when, the versions, and the hashes of everything that went in."""
    record = run.record
    facts = [
        (name, record.get(name))
        for name in ("command", "name", "status", "started", "finished", "seed", "device", "threads")
    ]
    if record.get("train_s") is not None:
        facts.append(("training time in s", record["train_s"]))
    blocks: list[Block] = [fact_table("The run.", facts)]
    versions = record.get("versions") or {}
    if versions:
        blocks.append(fact_table("Versions.", sorted(versions.items())))
    else:
        blocks.append(Missing(text="run.json names no versions."))
    hashes = [(f"recording {entry.get('key')}", entry.get("sha256")) for entry in record.get("data") or ()]
    if run.command == "cv":
        hashes.append(("splits", record.get("splits_sha256")))
    models = {str(item.attributes["model_sha256"]) for item in run.maps.values() if item.attributes.get("model_sha256")}
    stated = (record.get("model") or {}).get("sha256") or sorted({value for item in models for value in _hashes(item)})
    hashes += [("model", value) for value in ([stated] if isinstance(stated, str) else stated)]
    blocks.append(fact_table("SHA-256 of what went in.", hashes))
    return blocks
