"""``thermo-qc demo``: the whole application on the simulated calibrated plate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from thermo_qc.config import read_yaml
from thermo_qc.evaluation import render_table
from thermo_qc.io import write_csv, write_json, write_text
from thermo_qc.workflows.demo_methods import run_methods
from thermo_qc.workflows.demo_plan import Plan, load_plan, resource
from thermo_qc.workflows.demo_progress import Progress, progress_bar
from thermo_qc.workflows.lock import locked
from thermo_qc.workflows.processes import run_side_by_side
from thermo_qc.workflows.run_folder import fingerprint_of, open_run

__all__ = ["load_plan", "run"]


@dataclass(frozen=True, kw_only=True)
class _Simulation:
    name: str
    target: Path
    overrides: tuple[str, ...]
    seed: int


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
        CPU threads of all processes together.
    plan : Plan, optional
        Instead of the plans that ship.
    workers : int
        Processes that simulate and train at the same time.

    Returns
    -------
    str
        The comparison as a text table.
    """
    chosen = load_plan("full" if full else "quick") if plan is None else plan
    with locked(output, break_lock=None):
        return _run(chosen, output, full, seed, overwrite, device, threads, workers)


def _run(
    chosen: Plan, output: Path, full: bool, seed: int, overwrite: bool, device: str, threads: int | None, workers: int
) -> str:
    from thermo_qc.report import build_report

    fingerprint = fingerprint_of([repr(chosen), seed])
    folder = open_run(output, command="demo", fingerprint=fingerprint, overwrite=overwrite)
    folder.update(name="demo", seed=seed, device=device, threads=threads, full=full)
    with progress_bar(chosen) as progress:
        _simulate(chosen, output, seed=seed, workers=workers, progress=progress)
        results = run_methods(
            chosen.methods,
            output,
            seed=seed,
            device=device,
            threads=threads,
            workers=workers,
            progress=progress,
        )
        progress.tell(("report", "writing", 0.0))
        leakage = [row for result in results for row in result.leakage]
        table = _write_comparison(output, [result.row for result in results], leakage)
        folder.finish()
        build_report(output)
    return table


def _simulate(plan: Plan, output: Path, *, seed: int, workers: int, progress: Progress) -> None:
    data = output / "data"
    data.mkdir(exist_ok=True)
    names = [*plan.acquisitions, plan.unseen]
    wanted = [name for name in names if not (data / f"{name}.h5").is_file()]
    share = plan.simulation_seconds / max(1, len(wanted))
    finished: dict[str, float] = dict.fromkeys(wanted, 0.0)

    def show(message: tuple[str, float]) -> None:
        finished.update([message])
        text = f"{sum(part == 1.0 for part in finished.values())} of {len(wanted)} recordings"
        progress.tell(("simulation", text, share * sum(finished.values())))

    progress.tell(("simulation", f"{len(wanted)} recordings", 0.0))
    jobs = [
        _Simulation(name=name, target=data / f"{name}.h5", overrides=plan.simulation_overrides, seed=seed)
        for name in wanted
    ]
    run_side_by_side(_simulate_one, jobs, workers, show)
    progress.tell(("simulation", "", plan.simulation_seconds))
    _write_manifest(output / "manifest.yaml", plan.acquisitions)
    _write_manifest(output / "unseen.yaml", (plan.unseen,))


def _simulate_one(job: _Simulation, tell: Callable[[tuple[str, float]], None]) -> None:
    from thermo_qc.workflows import simulate

    config = resource(f"acquisitions/{job.name}.yaml")
    seed = int(read_yaml(config).get("seed", 0)) + 1000 * job.seed
    simulate.run(
        config,
        job.target,
        overrides=(*job.overrides, f"seed={seed}"),
        overwrite=True,
        progress=lambda part: tell((job.name, min(part, 0.99))),
    )
    tell((job.name, 1.0))  # the file is there


def _write_manifest(path: Path, names: Sequence[str]) -> None:
    entries = []
    for name in names:
        config = read_yaml(resource(f"acquisitions/{name}.yaml"))
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
    write_csv(output / "comparison.csv", list(rows[0]), [list(row.values()) for row in rows])
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
