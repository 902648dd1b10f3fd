"""The methods of a demo: cross-validated, tried on the unseen layout, summed up in one row each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from thermo_qc.config import ExperimentConfig, load_config
from thermo_qc.evaluation import detectable_holes
from thermo_qc.inspection import load_model
from thermo_qc.io import load_manifest
from thermo_qc.workflows.cases import LabelledRecording, load_recordings
from thermo_qc.workflows.cv import cross_validate
from thermo_qc.workflows.demo_plan import Method, resource
from thermo_qc.workflows.demo_progress import Progress, Tell
from thermo_qc.workflows.evaluate import evaluate_models, set_threads
from thermo_qc.workflows.processes import run_side_by_side
from thermo_qc.workflows.run_folder import read_run
from thermo_qc.workflows.train import Experiment

__all__ = ["MethodResult", "run_methods"]

CLASS_SCHEME = "regions"


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """Row of the comparison, and rows of the leakage table."""

    row: dict[str, Any]
    leakage: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class _Job:
    method: Method
    output: Path
    seed: int
    device: str
    threads: int | None


def run_methods(
    methods: Sequence[Method],
    output: Path,
    *,
    seed: int,
    device: str,
    threads: int | None,
    workers: int,
    progress: Progress,
) -> list[MethodResult]:
    """Run every method, several at a time where the CPU trains.

    Parameters
    ----------
    methods : sequence of Method
        What to run; the costliest start first.
    output : Path
        The demo's folder, with its manifests.
    seed : int
        Added to the methods' own seeds.
    device : str
        "cpu", "cuda" or "auto"; one method at a time unless it is "cpu".
    threads : int, optional
        CPU threads of all methods together; all cores when None.
    workers : int
        Processes.
    progress : Progress
        Is told what goes on.

    Returns
    -------
    list of MethodResult
        In the order of `methods`.
    """
    _recordings.cache_clear()  # an earlier demo of this process may have held others under the same path
    side_by_side = workers > 1 and device == "cpu" and len(methods) > 1
    share = max(1, (threads or os.cpu_count() or workers) // workers) if side_by_side else threads
    order = sorted(methods, key=lambda method: -method.total_seconds) if side_by_side else methods
    jobs = [_Job(method=method, output=output, seed=seed, device=device, threads=share) for method in order]
    results = run_side_by_side(_run_method, jobs, workers if side_by_side else 1, progress.tell)
    by_name = {method.name: result for method, result in zip(order, results, strict=True)}
    return [by_name[method.name] for method in methods]


@cache
def _recordings(manifest: Path) -> list[LabelledRecording]:
    """Load the recordings of a manifest, once in each process."""
    return load_recordings(load_manifest(manifest), CLASS_SCHEME)


def _run_method(job: _Job, tell: Tell) -> MethodResult:
    method, output = job.method, job.output
    tell((method.label, "reading the recordings", 0.0))
    if job.threads is not None:
        set_threads(job.threads)
    config = load_config(ExperimentConfig, resource(f"methods/{method.name}.yaml"), method.overrides)
    recordings, unseen = _recordings(output / "manifest.yaml"), _recordings(output / "unseen.yaml")
    steps = _Steps(method, tell)

    def validate(by: str, only: tuple[int, ...] | None, target: Path) -> dict[str, Any]:
        changed = config.model_copy(update={"folds": config.folds.model_copy(update={"by": by})})
        return cross_validate(
            Experiment(config=changed, recordings=recordings, seed=config.seed + job.seed),
            target,
            device=job.device,
            threads=job.threads,
            progress=steps.epoch,
            only_folds=only,
            announce=lambda text: steps.begin(text if by == "acquisition" else f"{text} by {by.replace('_', ' ')}"),
        )

    target = output / "runs" / method.name
    metrics = validate("acquisition", None if method.all_folds else (0,), target)
    steps.say("the unseen layout")
    models = load_model(target)
    elsewhere = evaluate_models(models, unseen, output / "unseen" / method.name, name=method.name, device=job.device)
    gaps = []
    if method.leakage:
        gaps.append(_gap(method, "acquisition", metrics))
        for by in ("block", "random_pixel"):
            gaps.append(_gap(method, by, validate(by, None, output / "leakage" / f"{method.name}_{by}")))
    tell((method.label, "", method.total_seconds))
    return MethodResult(row=_row(method, metrics, elsewhere, target), leakage=gaps)


class _Steps:
    """Turns folds and epochs of one method into messages."""

    def __init__(self, method: Method, tell: Tell) -> None:
        self.method, self.tell, self.folds, self.text = method, tell, 0, ""

    def begin(self, text: str) -> None:
        """Tell that a fold begins."""
        self.text = text
        self.say(text)
        self.folds += 1

    def epoch(self, done: int, total: int, _loss: float) -> None:
        """Tell that an epoch has ended."""
        share = self.folds - 1 + done / max(1, total)
        self.tell((self.method.label, f"{self.text}, epoch {done}/{total}", share * self.method.seconds))

    def say(self, text: str) -> None:
        """Something goes on that costs little."""
        self.tell((self.method.label, text, self.folds * self.method.seconds))


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
