"""One function per verb that makes or uses models: a workflow call and what is printed of its result."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from thermo_qc.cli.batch_verbs import memory_bytes
from thermo_qc.cli.given import given_facts, given_threads
from thermo_qc.cli.progress import progress_bar
from thermo_qc.errors import ConfigError

if TYPE_CHECKING:
    from thermo_qc.training import Spread

__all__ = ["cv", "evaluate", "finetune", "predict", "train"]


def train(arguments: Namespace) -> int:
    """Train one model, on a manifest's recordings or on a corpus of simulated plates."""
    from thermo_qc.workflows import train as workflow
    from thermo_qc.workflows import train_corpus

    on_corpus = train_corpus.names_corpus(arguments.config)
    if arguments.corpus is not None and not on_corpus:
        raise ConfigError(
            f"--corpus is for trainings on simulated plates, {arguments.config} trains on the recordings of a "
            "manifest; leave --corpus out, or take a configuration like configs/general.yaml"
        )
    if on_corpus:
        return _train_on_corpus(arguments)
    with _spread(arguments):
        result = workflow.run(arguments.config, arguments.output, **_training(arguments))
    print(f"wrote {result['model']}")
    print("On the training recordings themselves (no estimate of what new ones would give):")
    print(_class_table(result["metrics"]))
    return 0


def _train_on_corpus(arguments: Namespace) -> int:
    from thermo_qc.workflows import train_corpus

    options = _training(arguments)
    if options.pop("manifest") is not None:
        raise ConfigError("--manifest names recordings, the configuration trains on a corpus; give --corpus instead")
    with _spread(arguments):
        result = train_corpus.run(arguments.config, arguments.output, corpus=arguments.corpus, **options)
    print(f"wrote {result['model']} (trained on {result['n_plates']} simulated plates)")
    return 0


def cv(arguments: Namespace) -> int:
    """Cross-validate one experiment."""
    from thermo_qc.workflows import cv as workflow

    with _spread(arguments) as spread:
        several = arguments.leakage_gap or len(arguments.fold or ()) != 1
        if spread.n_processes > 1 and spread.name == "ddp" and several:
            raise ConfigError("--strategy ddp starts the command again for one training; give --fold N, fold by fold")
        metrics = workflow.run(
            arguments.config,
            arguments.output,
            leakage_gap=arguments.leakage_gap,
            only_folds=arguments.fold,
            **_training(arguments),
        )
    _print_metrics(metrics)
    print(f"wrote {arguments.output / 'report.html'}")
    return 0


def finetune(arguments: Namespace) -> int:
    """Train a model further."""
    from thermo_qc.workflows import finetune as workflow

    options = _training(arguments)
    del options["manifest"]
    metrics = workflow.run(
        arguments.model,
        arguments.data,
        arguments.output,
        method=arguments.method,
        epochs=arguments.epochs,
        freeze=arguments.freeze,
        learning_rate=arguments.learning_rate,
        validate=arguments.validate,
        truth=arguments.truth,
        plate=arguments.plate,
        facts=given_facts(arguments),
        **options,
    )
    print(f"wrote {arguments.output / 'model.safetensors'}")
    print(_before_after(metrics["comparison"]))
    print(f"wrote {arguments.output / 'report.html'}")
    return 0


def evaluate(arguments: Namespace) -> int:
    """Evaluate one model."""
    from thermo_qc.workflows import evaluate as workflow

    with progress_bar("recording") as show:
        metrics = workflow.run(
            arguments.model,
            arguments.manifest,
            arguments.output,
            method=arguments.method,
            overwrite=arguments.overwrite,
            device=arguments.device,
            threads=given_threads(arguments),
            progress=show,
        )
    _print_metrics(metrics)
    print(f"wrote {arguments.output / 'report.html'}")
    return 0


def predict(arguments: Namespace) -> int:
    """Predict recordings; 3 when some failed."""
    from thermo_qc.cli.batch import BatchPrinter, one_line
    from thermo_qc.workflows import predict as workflow
    from thermo_qc.workflows.recordings_found import find_recordings

    room = memory_bytes(arguments)
    facts = given_facts(arguments)
    found = find_recordings(arguments.recordings, recursive=arguments.recursive, skip=arguments.output, facts=facts)
    for note in found.notes:
        print(f"thermo-qc: {one_line(note)}", file=sys.stderr)
    total = len(found.recordings)
    with progress_bar("recording") as show:
        show(0, total)
        printed = BatchPrinter(total, show, as_json=arguments.json)
        results = workflow.run(
            arguments.model,
            found.recordings,
            arguments.output,
            method=arguments.method,
            overwrite=arguments.overwrite,
            device=arguments.device,
            threads=given_threads(arguments),
            workers=arguments.workers,
            scheduler=arguments.scheduler,
            memory_bytes=room,
            min_area_px=arguments.min_area_px,
            region=arguments.region,
            sound=arguments.sound,
            facts=facts,
            tta=arguments.tta,
            batch=found.several,
            break_lock=arguments.break_lock,
            on_progress=printed,
        )
    failed = sum(bool(result.error) for result in results)
    if not arguments.json:
        print(f"wrote {arguments.output / 'summary.csv'}")
    if failed:
        print(
            f"thermo-qc: {failed} of {len(results)} recordings failed; see {arguments.output / 'failures.csv'}",
            file=sys.stderr,
        )
    return 3 if failed else 0


def _training(arguments: Namespace) -> dict[str, Any]:
    return {
        "manifest": getattr(arguments, "manifest", None),
        "overrides": tuple(arguments.set),
        "overwrite": arguments.overwrite,
        "resume": arguments.resume,
        "device": arguments.device,
        "threads": given_threads(arguments),
        "seed": arguments.seed,
        "progress": sys.stderr.isatty(),
    }


def _spread(arguments: Namespace) -> AbstractContextManager[Spread]:
    from thermo_qc.training import spread_over

    return spread_over(devices=arguments.devices, nodes=arguments.nodes, strategy=arguments.strategy)


def _print_metrics(metrics: Mapping[str, Any]) -> None:
    from thermo_qc.evaluation import render_table

    print(_class_table(metrics["pooled"]))
    wanted = ("balanced_accuracy", "defect_iou", "defect_f1", "false_call_fraction")
    rows = []
    for name in wanted:
        row = {"metric": name, "pooled": metrics["pooled"][name]}
        row |= {"mean of folds": metrics["mean"].get(name), "sd": metrics["std"].get(name)}
        if metrics.get("leakage"):
            row["random pixels (leaky)"] = metrics["leakage"]["metrics"][name]
        rows.append(row)
    print()
    print(render_table(rows, list(rows[0])))
    holes = metrics["holes"]
    if holes:
        print(f"\nfound {sum(bool(hole['found']) for hole in holes)} of {len(holes)} defects")


def _before_after(comparison: Mapping[str, Any]) -> str:
    from thermo_qc.evaluation import render_table

    texts = {
        "data": "trained on (no estimate of new ones)",
        "held_out": "held out of training",
        "validation": "validation recordings",
    }
    rows = []
    for group, figures in comparison.items():
        for when in ("before", "after"):
            found = figures[when]
            row = {"recordings": texts[group] if when == "before" else "", "model": when}
            row |= {name: found["metrics"][name] for name in ("balanced_accuracy", "defect_iou", "defect_f1")}
            row["false calls"] = found["false_calls"]
            row["defects found"] = f"{found['holes_found']} of {found['holes_total']}" if "holes_found" in found else ""
            rows.append(row)
    return render_table(rows, list(rows[0]))


def _class_table(metrics: Mapping[str, Any]) -> str:
    from thermo_qc.evaluation import render_table

    rows = [{"class": name, **values} for name, values in metrics["per_class"].items()]
    return render_table(rows, ["class", "precision", "recall", "f1", "iou", "support"])
