"""One function per verb: a workflow call and what is printed of its result."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from thermo_qc.cli.batch_verbs import memory_bytes
from thermo_qc.cli.progress import progress_bar
from thermo_qc.errors import ConfigError, InputError, ThermoQCError

if TYPE_CHECKING:
    from thermo_qc.evaluation import InspectionSetup
    from thermo_qc.training import Spread

__all__ = [
    "convert",
    "cv",
    "demo",
    "evaluate",
    "finetune",
    "info",
    "list_formats",
    "list_methods",
    "maps",
    "plan",
    "predict",
    "register",
    "report",
    "simulate",
    "train",
]

_POINT_FIELDS = 4
_PLAN_SETUP = ("netd_k", "quantisation_k", "pixel_pitch_mm", "blur_px", "frame_rate_hz", "cold_s")


def info(arguments: Namespace) -> int:
    """Describe recordings; 3 when some of several cannot be read."""
    from thermo_qc.workflows import info as workflow

    failed = 0
    for position, recording in enumerate(arguments.recordings):
        try:
            description = workflow.describe(recording, **given_facts(arguments))
        except ThermoQCError as error:
            if len(arguments.recordings) == 1:
                raise
            failed += 1
            print(f"thermo-qc: {error}", file=sys.stderr)
            continue
        if arguments.json:
            print(json.dumps(description, allow_nan=False))
        else:
            print("\n" * bool(position) + workflow.render(description))
    return 3 if failed else 0


def convert(arguments: Namespace) -> int:
    """Convert one recording."""
    from thermo_qc.workflows import convert as workflow

    written = workflow.run(
        arguments.recording, arguments.output, overwrite=arguments.overwrite, **given_facts(arguments)
    )
    print(f"wrote {written}")
    return 0


def register(arguments: Namespace) -> int:
    """Register one recording to its plate."""
    from thermo_qc.workflows import register as workflow

    points: Any = arguments.points if arguments.points is not None else [_point(text) for text in arguments.point]
    result = workflow.run(
        arguments.recording,
        arguments.plate,
        points,
        output=arguments.output,
        rectify=arguments.rectify,
        rectified_pitch_mm=arguments.rectified_pitch_mm,
        overwrite=arguments.overwrite,
        **given_facts(arguments),
    )
    print(f"wrote {arguments.output}")
    print(
        f"residual {result.residual_mm:.2f} mm over {result.n_points} points, {result.pixel_pitch_mm:.3f} mm per pixel"
    )
    if result.warning:
        print(f"thermo-qc: {result.warning}", file=sys.stderr)
    return 0


def maps(arguments: Namespace) -> int:
    """Compute maps of one recording."""
    from thermo_qc.workflows import maps as workflow

    with progress_bar("tile") as show:
        result = workflow.run(
            arguments.recording,
            arguments.output,
            methods=[name for text in arguments.methods for name in text.split(",") if name],
            config=arguments.config,
            overrides=tuple(arguments.set),
            prepare=[step for text in arguments.prepare for step in text.split(",") if step],
            region=arguments.region,
            sound=arguments.sound,
            threads=_threads(arguments),
            pictures=not arguments.no_pictures,
            overwrite=arguments.overwrite,
            facts=given_facts(arguments),
            progress=show,
        )
    for name, reason in result.skipped.items():
        print(f"left out {name}: {reason}", file=sys.stderr)
    print(f"wrote {result.file} ({result.n_maps} maps)")
    if result.scores is not None:
        print(f"wrote {result.scores}")
    for page in result.overviews:
        print(f"wrote {page}")
    return 0


def list_formats() -> None:
    """Print every format with what its reader was tried on."""
    from thermo_qc.workflows import info as workflow

    print(workflow.list_formats())


def list_methods() -> None:
    """Print every method of the maps verb with a line on it."""
    from thermo_qc.thermography import METHODS

    for name, method in METHODS.items():
        line = (method.__doc__ or "").strip().splitlines()[0].removeprefix("Options of ").removeprefix("the ")
        print(f"{name:18} {line[:1].upper()}{line[1:]}")


def simulate(arguments: Namespace) -> int:
    """Simulate one recording, or the plates of a corpus."""
    if arguments.number is not None:
        return _simulate_corpus(arguments)
    from thermo_qc.workflows import simulate as workflow

    with progress_bar("%") as show:
        workflow.run(
            arguments.config,
            arguments.output,
            overrides=tuple(arguments.set),
            overwrite=arguments.overwrite,
            progress=lambda part: show(round(100 * part), 100),
        )
    print(f"wrote {arguments.output}")
    return 0


def _simulate_corpus(arguments: Namespace) -> int:
    from thermo_qc.workflows import corpus
    from thermo_qc.workflows.simulate import describes_corpus

    if not describes_corpus(arguments.config):
        raise ConfigError(f"{arguments.config} describes one plate, -n counts those of a corpus; leave -n out")
    if arguments.overwrite:
        raise InputError("-n adds plates to a corpus and replaces none; leave --overwrite out, or name another folder")
    with progress_bar("plate") as show:
        plates = corpus.run(
            arguments.config,
            arguments.output,
            n_plates=arguments.number,
            overrides=tuple(arguments.set),
            workers=arguments.workers,
            progress=show,
        )
    print(f"{arguments.output}: {len(plates)} plates")
    return 0


def plan(arguments: Namespace) -> int:
    """Plan an inspection."""
    from thermo_qc.evaluation import DetectionLimits
    from thermo_qc.workflows import plan as workflow

    with progress_bar("depth") as show:
        result = workflow.run(
            arguments.material,
            arguments.thickness_mm,
            setup=_planned_setup(arguments),
            limits=DetectionLimits(visible=arguments.visible, detectable=arguments.detectable),
            depths_mm=arguments.depths_mm,
            smallest_mm=arguments.smallest_diameter_mm,
            largest_mm=arguments.largest_diameter_mm,
            wanted_depth_mm=arguments.wanted_depth_mm,
            wanted_diameter_mm=arguments.wanted_diameter_mm,
            pulses_s=arguments.pulses_s,
            longest_s=arguments.longest_s,
            max_rise_k=arguments.max_rise_k,
            output=arguments.output,
            overwrite=arguments.overwrite,
            progress=show,
        )
    print(workflow.render(result))
    for name in workflow.FILES if arguments.output is not None else ():
        print(f"wrote {arguments.output / name}")
    return 0


def _planned_setup(arguments: Namespace) -> InspectionSetup:
    """Gather heating, losses, camera and recording from the options of ``plan``."""
    from thermo_qc.evaluation import InspectionSetup
    from thermo_qc.simulation import Heating, Losses

    names = ("front_w_m2k", "back_w_m2k", "hole_floor_w_m2k")
    return InspectionSetup(
        heating=Heating(
            kind=arguments.heating,
            flux_w_m2=arguments.flux_w_m2,
            duration_s=arguments.pulse_s,
            energy_j_m2=arguments.energy_j_m2,
        ),
        losses=Losses(**{name: getattr(arguments, name) for name in names}),
        duration_s=arguments.recording_s,
        **{name: getattr(arguments, name) for name in _PLAN_SETUP},
    )


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
            threads=_threads(arguments),
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
            threads=_threads(arguments),
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


def report(arguments: Namespace) -> int:
    """Write the report of a run folder."""
    from thermo_qc.workflows import report as workflow

    overwrite = arguments.overwrite or arguments.output is None  # the run's own page is always made anew
    print(f"wrote {workflow.run(arguments.run, output=arguments.output, overwrite=overwrite)}")
    return 0


def demo(arguments: Namespace) -> int:
    """Run the demo."""
    from thermo_qc.workflows import demo as workflow

    table = workflow.run(
        arguments.output,
        full=arguments.full,
        seed=arguments.seed,
        overwrite=arguments.overwrite,
        device=arguments.device,
        threads=_threads(arguments),
    )
    print(table)
    print(f"wrote {arguments.output / 'report.html'}")
    return 0


def given_facts(arguments: Namespace) -> dict[str, Any]:
    """Facts given as options, checked."""
    from thermo_qc.cli.parser import FACT_OPTIONS
    from thermo_qc.config import Facts, parse_config

    given = {name: getattr(arguments, name) for name in FACT_OPTIONS if getattr(arguments, name, None) is not None}
    if "material" in given:
        from thermo_qc.plate import load_material

        given["material"] = asdict(load_material(given["material"]))
    parse_config(Facts, given, "options")
    return given


def _training(arguments: Namespace) -> dict[str, Any]:
    return {
        "manifest": getattr(arguments, "manifest", None),
        "overrides": tuple(arguments.set),
        "overwrite": arguments.overwrite,
        "resume": arguments.resume,
        "device": arguments.device,
        "threads": _threads(arguments),
        "seed": arguments.seed,
        "progress": sys.stderr.isatty(),
    }


def _spread(arguments: Namespace) -> AbstractContextManager[Spread]:
    from thermo_qc.training import spread_over

    return spread_over(devices=arguments.devices, nodes=arguments.nodes, strategy=arguments.strategy)


def _threads(arguments: Namespace) -> int | None:
    if arguments.threads is not None and arguments.threads < 1:
        raise ConfigError(f"--threads is {arguments.threads}, expected at least 1")
    return None if arguments.threads is None else int(arguments.threads)


def _point(text: str) -> tuple[float, float, float, float]:
    try:
        x_px, y_px, x_mm, y_mm = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--point {text}: expected {_POINT_FIELDS} numbers XPX,YPX,XMM,YMM") from None
    return x_px, y_px, x_mm, y_mm


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
