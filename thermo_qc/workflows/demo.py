"""``thermo-qc demo``: the whole application on the simulated calibrated plate."""

from __future__ import annotations

import csv
import io
import logging
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from thermo_qc.config import ExperimentConfig, load_config, read_yaml
from thermo_qc.evaluation import detectable_holes, render_table
from thermo_qc.inspection import load_model
from thermo_qc.io import load_manifest, write_json, write_text
from thermo_qc.workflows.cases import LabelledRecording, load_recordings
from thermo_qc.workflows.cv import cross_validate
from thermo_qc.workflows.evaluate import evaluate_models, set_threads
from thermo_qc.workflows.run_folder import fingerprint_of, open_run, read_run
from thermo_qc.workflows.train import Experiment

__all__ = ["Method", "Plan", "load_plan", "run"]

log = logging.getLogger(__name__)

UNSEEN = "unseen_layout"


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method of the demo.

    Parameters
    ----------
    name : str
        File stem under ``resources/demo/methods``.
    label : str
        For people.
    all_folds : bool
        Cross-validate over all folds, or show one fold only.
    seconds : float
        Rough cost of one fold, for the progress bar.
    overrides : tuple of str
        Settings that differ from the method's file.
    leakage : bool
        Show the leakage gap: random-pixel and block folds as well.
    """

    name: str
    label: str
    all_folds: bool
    seconds: float
    overrides: tuple[str, ...] = ()
    leakage: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a demo runs: simulations, the unseen plate, methods and the number of folds."""

    acquisitions: tuple[str, ...]
    unseen: str
    methods: tuple[Method, ...]
    simulation_overrides: tuple[str, ...] = ()


def load_plan(name: str) -> Plan:
    """Load one of the plans that ship: "quick", "full" (or "tiny", for tests of the machinery)."""
    content = read_yaml(_resource("plans.yaml"))[name]
    methods = tuple(Method(**{**entry, "overrides": tuple(entry.get("overrides", ()))}) for entry in content["methods"])
    return Plan(
        acquisitions=tuple(content["acquisitions"]),
        unseen=content["unseen"],
        methods=methods,
        simulation_overrides=tuple(content.get("simulation_overrides", ())),
    )


def run(
    output: Path,
    *,
    full: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    plan: Plan | None = None,
    workers: int = 2,
) -> str:
    """Simulate, cross-validate, test on an unseen layout, compare and report.

    Parameters
    ----------
    output : Path
        Folder for everything; an interrupted demo continues there.
    full : bool
        The long version with all folds and the leakage gap.
    seed : int
        Seed of simulations and trainings.
    overwrite : bool
        Start anew.
    device : str
        "cpu", "cuda" or "auto".
    threads : int, optional
        CPU threads.
    plan : Plan, optional
        Instead of the plans that ship.
    workers : int
        Processes that simulate at the same time.

    Returns
    -------
    str
        The comparison as a text table.
    """
    from thermo_qc.report import build_report

    chosen = load_plan("full" if full else "quick") if plan is None else plan
    fingerprint = fingerprint_of([repr(chosen), seed])
    folder = open_run(output, command="demo", fingerprint=fingerprint, overwrite=overwrite)
    folder.update(name="demo", seed=seed, device=device, threads=threads, full=full)
    if threads is not None:
        set_threads(threads)
    with _progress(chosen) as progress:
        _simulate(chosen, output, seed, workers, progress)
        recordings = _recordings(output / "manifest.yaml")
        unseen = _recordings(output / "unseen.yaml")
        rows, leakage = [], []
        for method in chosen.methods:
            row, gap = _run_method(
                method, recordings, unseen, output, seed=seed, device=device, threads=threads, progress=progress
            )
            rows.append(row)
            leakage += gap
        progress.say("writing the report", 0)
        table = _write_comparison(output, rows, leakage)
        folder.finish()
        build_report(output)
    return table


class _Progress:
    """One bar for the whole demo; its text says what is being done."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.base, self.text = bar, 0.0, ""

    def say(self, text: str, seconds: float) -> None:
        """Announce a step and what it will cost."""
        self.base += seconds
        self.text = text
        self.bar.set_description_str(f"{text:<44}")
        self._to(self.base - seconds)
        self.seconds = seconds

    def epoch(self, done: int, total: int, loss: float) -> None:
        """Advance inside a training."""
        self.bar.set_description_str(f"{f'{self.text}, epoch {done}/{total}':<44}")
        self._to(self.base - self.seconds * (1 - done / max(1, total)))

    def finish(self) -> None:
        """Fill the bar."""
        self._to(self.bar.total)

    def _to(self, value: float) -> None:
        self.bar.n = min(round(value), self.bar.total)
        self.bar.refresh()


@contextmanager
def _progress(plan: Plan) -> Iterator[_Progress]:
    folds = 3
    total = 5 * (len(plan.acquisitions) + 1)
    for method in plan.methods:
        runs = folds if method.all_folds else 1
        total += round(method.seconds * (runs + (5 + folds if method.leakage else 0)))
    with tqdm(
        total=total,
        file=sys.stderr,
        disable=None,
        bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}",
        mininterval=0.5,
    ) as bar:
        progress = _Progress(bar)
        yield progress
        progress.finish()


def _resource(name: str) -> Path:
    return Path(str(resources.files("thermo_qc") / "resources" / "demo" / name))


def _simulate(plan: Plan, output: Path, seed: int, workers: int, progress: _Progress) -> None:
    data = output / "data"
    data.mkdir(exist_ok=True)
    names = [*plan.acquisitions, plan.unseen]
    wanted = [(name, data / f"{name}.h5") for name in names if not (data / f"{name}.h5").is_file()]
    progress.say(f"simulating {len(names)} recordings", 5 * len(names))
    jobs = [
        (str(_resource(f"acquisitions/{name}.yaml")), str(path), plan.simulation_overrides, seed)
        for name, path in wanted
    ]
    if workers > 1 and len(jobs) > 1:
        with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(_simulate_one, *job) for job in jobs]
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                progress.epoch(done, len(jobs), 0.0)
    else:
        for job in jobs:
            _simulate_one(*job)
    _write_manifest(output / "manifest.yaml", plan.acquisitions)
    _write_manifest(output / "unseen.yaml", (plan.unseen,))


def _simulate_one(config: str, target: str, overrides: tuple[str, ...], seed: int) -> None:
    from thermo_qc.workflows import simulate

    base = int(read_yaml(Path(config)).get("seed", 0))
    simulate.run(Path(config), Path(target), overrides=(*overrides, f"seed={base + 1000 * seed}"), overwrite=True)


def _write_manifest(path: Path, names: tuple[str, ...]) -> None:
    entries = []
    for name in names:
        config = read_yaml(_resource(f"acquisitions/{name}.yaml"))
        entries.append(
            {
                "key": name,
                "recording": f"data/{name}.h5",
                "plate": config["plate"],
                "specimen": config.get("specimen_id", ""),
                "acquisition": config.get("acquisition_id", name),
                "condition": config.get("condition", ""),
            }
        )
    write_text(path, yaml.safe_dump({"recordings": entries}, sort_keys=False))


def _recordings(manifest: Path) -> list[LabelledRecording]:
    return load_recordings(load_manifest(manifest), "regions")


def _run_method(
    method: Method,
    recordings: list[LabelledRecording],
    unseen: list[LabelledRecording],
    output: Path,
    *,
    seed: int,
    device: str,
    threads: int | None,
    progress: _Progress,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    config = load_config(ExperimentConfig, _resource(f"methods/{method.name}.yaml"), method.overrides)
    experiment = Experiment(config=config, recordings=recordings, seed=config.seed + seed)

    def folds(label: str, by: str | None, only: tuple[int, ...] | None, target: Path) -> dict[str, Any]:
        changed = config
        if by is not None:
            changed = config.model_copy(update={"folds": config.folds.model_copy(update={"by": by})})
        return cross_validate(
            Experiment(config=changed, recordings=recordings, seed=experiment.seed),
            target,
            device=device,
            threads=threads,
            progress=progress.epoch,
            only_folds=only,
            announce=lambda text: progress.say(f"{method.label}{label}: {text}", method.seconds),
        )

    target = output / "runs" / method.name
    metrics = folds("", None, None if method.all_folds else (0,), target)
    models = load_model(target)
    elsewhere = evaluate_models(models, unseen, output / "unseen" / method.name, name=method.name, device=device)
    row = _row(method, metrics, elsewhere, target)
    gaps: list[dict[str, Any]] = []
    if method.leakage:
        gaps.append(_gap(method, "acquisition", metrics))
        for by, label in (("block", " by block"), ("random_pixel", " by random pixel")):
            gaps.append(_gap(method, by, folds(label, by, None, output / "leakage" / f"{method.name}_{by}")))
    return row, gaps


def _row(method: Method, metrics: Mapping[str, Any], elsewhere: Mapping[str, Any], target: Path) -> dict[str, Any]:
    pooled, holes = metrics["pooled"], metrics["holes"]
    seen, there = detectable_holes(holes), detectable_holes(elsewhere["holes"])
    record = read_run(target) or {}
    sizes = [path.stat().st_size for path in sorted(target.glob("fold_*/model.safetensors"))]
    n_folds = len(metrics["folds"])
    return {
        "method": method.label,
        "kind": str(record.get("experiment", {}).get("model", {}).get("kind", "")),
        "protocol": f"by acquisition, {n_folds} folds" if method.all_folds else "by acquisition, one fold",
        "balanced_accuracy": pooled["balanced_accuracy"],
        "defect_iou": pooled["defect_iou"],
        "defect_f1": pooled["defect_f1"],
        "false_call_fraction": pooled["false_call_fraction"],
        "holes_found": sum(bool(hole["found"]) for hole in holes),
        "holes_total": len(holes),
        "detectable_found": sum(bool(hole["found"]) for hole in seen),
        "detectable_total": len(seen),
        "unseen_defect_iou": elsewhere["pooled"]["defect_iou"],
        "unseen_holes_found": sum(bool(hole["found"]) for hole in elsewhere["holes"]),
        "unseen_holes_total": len(elsewhere["holes"]),
        "unseen_detectable_found": sum(bool(hole["found"]) for hole in there),
        "unseen_detectable_total": len(there),
        "unseen_false_call_fraction": elsewhere["pooled"]["false_call_fraction"],
        "train_s": record.get("train_s"),
        "model_mb": round(max(sizes) / 1e6, 2) if sizes else None,
    }


def _gap(method: Method, by: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    names = ("balanced_accuracy", "defect_iou", "defect_f1", "accuracy")
    return {
        "method": method.label,
        "by": by,
        "n_folds": len(metrics["folds"]),
        **{name: metrics["pooled"][name] for name in names},
    }


def _write_comparison(output: Path, rows: list[dict[str, Any]], leakage: list[dict[str, Any]]) -> str:
    notes = [
        "Every pixel is predicted by a model that has not seen its acquisition.",
        "Detectable: peak contrast in the noise-free simulation at least 5 times the camera noise.",
        "The unseen layout is a plate that no method trained on; the models of the folds act there as one ensemble.",
    ]
    if any("one fold" in str(row["protocol"]) for row in rows):
        notes.append(
            "Methods shown on one fold are scored on its test acquisitions only; demo --full compares all alike."
        )
    write_json(output / "comparison.json", {"rows": rows, "leakage": leakage, "notes": notes})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(output / "comparison.csv", text.getvalue())
    shown = [
        {
            "method": row["method"],
            "protocol": row["protocol"],
            "bal. acc.": row["balanced_accuracy"],
            "defect IoU": row["defect_iou"],
            "defect F1": row["defect_f1"],
            "false calls": row["false_call_fraction"],
            "holes": f"{row['holes_found']}/{row['holes_total']}",
            "detectable": f"{row['detectable_found']}/{row['detectable_total']}",
            "unseen IoU": row["unseen_defect_iou"],
            "unseen detectable": f"{row['unseen_detectable_found']}/{row['unseen_detectable_total']}",
            "train s": row["train_s"],
        }
        for row in rows
    ]
    parts = [render_table(shown, list(shown[0]))]
    if leakage:
        parts.append("What random-pixel folds would have said:\n" + render_table(leakage, list(leakage[0])))
    return "\n\n".join([*parts, *notes])
