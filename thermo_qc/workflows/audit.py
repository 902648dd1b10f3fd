"""``thermo-qc audit``: the same method under folds that leak and folds that do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.errors import ConfigError, FoldError, ModelError, SequenceError, TrainingError
from thermo_qc.evaluation import Splits
from thermo_qc.evaluation.audit_differences import audit_differences
from thermo_qc.evaluation.leakage import AUDIT_KINDS, audit_row, audit_sentence
from thermo_qc.inspection import load_model
from thermo_qc.io import load_manifest, write_csv, write_json
from thermo_qc.workflows.cases import LabelledRecording, load_recordings
from thermo_qc.workflows.cv import cross_validate
from thermo_qc.workflows.evaluate import evaluate_models, set_threads
from thermo_qc.workflows.lock import locked
from thermo_qc.workflows.run_folder import fingerprint_of, open_run, undone_if_refused
from thermo_qc.workflows.train import Experiment, load_experiment

__all__ = ["run"]

Announce = Callable[[str], None]
_CANNOT = (FoldError, TrainingError, ModelError, SequenceError)
_BY_RECORDING = ("plate", "acquisition")


@dataclass(frozen=True, kw_only=True)
class _Options:
    """How each run is made."""

    overwrite: bool
    device: str
    threads: int | None
    progress: bool
    announce: Announce


def run(
    config_paths: Sequence[Path],
    output: Path,
    *,
    manifest: Path | None = None,
    unseen: Path | None = None,
    kinds: Sequence[str] = AUDIT_KINDS,
    overrides: tuple[str, ...] = (),
    overwrite: bool = False,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    seed: int | None = None,
    progress: bool = False,
    announce: Announce = lambda text: None,
) -> dict[str, Any]:
    """Cross-validate methods under every kind of folds that the data allow, and write table, figures and page.

    Parameters
    ----------
    config_paths : sequence of Path
        Experiments; their own kind of folds does not matter, their number of folds is kept where there are so many
        groups, else one group is left out at a time.
    output : Path
        Folder; each kind of folds is an ordinary run folder ``METHOD/KIND`` in it. An interrupted audit continues, and
        a finished one may be asked for more kinds.
    manifest : Path, optional
        Instead of the configurations' own.
    unseen : Path, optional
        Manifest of recordings that no fold has: scored with the models of the plate (else acquisition) folds.
    kinds : sequence of str
        Kinds of folds, of `AUDIT_KINDS`.
    overrides, overwrite, resume, device, threads, seed, progress
        As in `thermo_qc.workflows.cv.run`.
    announce : callable
        Told what is being done.

    Returns
    -------
    dict
        Content of ``audit.json``.

    Raises
    ------
    ConfigError
        When two experiments have the same name, or no kind of folds is asked for.
    OutputError
        When the folder holds something else.
    FoldError
        When no kind of folds could be scored.
    """
    from thermo_qc.report.audit_page import write_audit_page

    if not kinds:
        raise ConfigError(f"no kind of folds is asked for; name some of {', '.join(AUDIT_KINDS)}")
    if threads is not None:
        set_threads(threads)
    options = _Options(overwrite=overwrite, device=device, threads=threads, progress=progress, announce=announce)
    experiments = [load_experiment(path, manifest=manifest, overrides=overrides, seed=seed) for path in config_paths]
    names = [experiment.config.name for experiment in experiments]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ConfigError(f"two experiments are called '{twice[0]}'; give them names of their own to tell them apart")
    identity = [_identity(experiment) for experiment in experiments]
    with locked(output, break_lock=None):
        folder = open_run(
            output, command="audit", fingerprint=fingerprint_of(identity), overwrite=overwrite, resume=resume
        )
        with undone_if_refused(folder):
            folder.update(
                **{"status": "running", "name": "leakage audit", "methods": names, "kinds": list(kinds)},
                device=device,
                threads=threads,
            )
            audit: dict[str, Any] = {
                "methods": [_audit(one, output / one.config.name, kinds, unseen, options) for one in experiments],
                "detectable": "noise-free peak contrast of at least 5 times the camera noise",
            }
            _refuse_empty(audit["methods"])
            _write(audit, output)
            write_audit_page(audit, output / "report.html")
            folder.finish()
    return audit


def _refuse_empty(methods: Sequence[Mapping[str, Any]]) -> None:
    """Refuse an audit without a single score."""
    if not any(method["rows"] for method in methods):
        reasons = dict.fromkeys(f"{one['by']}: {one['reason']}" for method in methods for one in method["left_out"])
        raise FoldError(f"no kind of folds could be scored ({'; '.join(reasons)})")


def _write(audit: Mapping[str, Any], output: Path) -> None:
    """Write ``audit.json``, ``audit.csv`` and ``differences.csv``."""
    write_json(output / "audit.json", audit)
    for file, name in (("audit.csv", "rows"), ("differences.csv", "differences")):
        rows = [{"method": method["method"], **row} for method in audit["methods"] for row in method[name]]
        columns = list(rows[0]) if rows else ["method"]
        write_csv(output / file, columns, [[row[column] for column in columns] for row in rows], digits=6)


def _identity(experiment: Experiment) -> Any:
    """Collect what must be equal for an audit to be continued; each run inside checks itself again."""
    dump = experiment.config.model_dump(mode="json", exclude={"data", "folds"})
    folds = experiment.config.folds.model_dump(mode="json", exclude={"by"})
    return [dump, folds, experiment.seed, [(one.key, one.sha256) for one in experiment.recordings]]


def _audit(
    experiment: Experiment, folder: Path, kinds: Sequence[str], unseen: Path | None, options: _Options
) -> dict[str, Any]:
    """Score one method under every kind of folds."""
    rows: list[dict[str, Any]] = []
    summaries: dict[str, dict[str, Any]] = {}
    left_out: list[dict[str, str]] = []
    warnings: list[dict[str, str]] = []
    name = experiment.config.name
    for kind in kinds:
        options.announce(f"{name}: {kind.replace('_', ' ')} folds")
        try:
            metrics = _under(experiment, kind, folder / kind, options)
        except _CANNOT as error:
            left_out.append({"by": kind, "reason": str(error)})
            with suppress(OSError):
                folder.rmdir()  # only where nothing is in it
            continue
        summaries[kind] = metrics
        splits = Splits.load(folder / kind / "splits.json")
        warnings += [{"by": kind, "warning": text} for text in splits.warnings]
        rows.append(
            audit_row(
                method=name,
                by=kind,
                n_folds=splits.n_folds,
                guard_mm=splits.guard_mm if splits.guards else None,
                training_share=_training_share(splits, experiment.recordings),
                summary=metrics,
            )
        )
    if unseen is not None:
        try:
            rows.append(_unseen(name, folder, [row["by"] for row in rows], unseen, options))
        except _CANNOT as error:
            left_out.append({"by": "unseen", "reason": str(error)})
    ordered = {kind: summaries[kind] for kind in AUDIT_KINDS if kind in summaries}
    differences = audit_differences(ordered, seed=experiment.seed)
    return {
        "method": name,
        "sentence": audit_sentence(rows, differences),
        "rows": rows,
        "differences": differences,
        "left_out": left_out,
        "warnings": warnings,
    }


def _under(experiment: Experiment, kind: str, folder: Path, options: _Options) -> dict[str, Any]:
    """Cross-validate under one kind of folds; with fewer groups than folds, one group is left out at a time."""
    from thermo_qc.report import build_report

    k = experiment.config.folds.k
    groups = {"acquisition": "acquisition", "plate": "plate"}.get(kind)
    if groups is not None and k is not None:
        found = {getattr(recording.fold_item(), groups) for recording in experiment.recordings}
        k = None if len(found) < k else k
    inner = experiment.config.folds.inner_by is not None or experiment.config.folds.inner_k is not None
    update = {"by": kind, "k": k, "inner_by": kind if inner else None}  # nested folds hold out the same as outer ones
    folds = experiment.config.folds.model_copy(update=update)
    chosen = replace(experiment, config=experiment.config.model_copy(update={"folds": folds}))
    metrics = cross_validate(
        chosen,
        folder,
        overwrite=options.overwrite,
        device=options.device,
        threads=options.threads,
        progress=options.progress,
        announce=lambda text: options.announce(f"{experiment.config.name}: {kind.replace('_', ' ')} folds, {text}"),
    )
    if not (folder / "report.html").is_file():
        build_report(folder)
    stored: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))  # NaN reads None
    return metrics | stored


def _training_share(splits: Splits, recordings: Sequence[LabelledRecording]) -> float:
    """Mean share of the usable pixels (random frames: of the frames) that a fold trains on."""
    if splits.frame_folds:
        return 1.0 - 1.0 / splits.n_folds
    usable = sum(int((splits.fold_maps[one.key] >= 0).sum()) for one in recordings)
    trained = [sum(int(splits.train_mask(fold, one.key).sum()) for one in recordings) for fold in range(splits.n_folds)]
    return float(np.mean(trained)) / usable


def _unseen(name: str, folder: Path, done: Sequence[str], manifest: Path, options: _Options) -> dict[str, Any]:
    """Score the models of the folds by whole recordings on recordings that they do not know."""
    source = next((kind for kind in _BY_RECORDING if kind in done), None)
    if source is None:
        raise FoldError("no folds by plate or acquisition were scored, so there are no models for unseen recordings")
    options.announce(f"{name}: unseen recordings")
    models = load_model(folder / source, None)
    scheme = str(models[0].metadata.get("scheme_name") or "binary")
    target = folder / "unseen"
    recordings = load_recordings(load_manifest(manifest), scheme)
    evaluate_models(models, recordings, target, name=name, overwrite=options.overwrite, device=options.device)
    metrics = json.loads((target / "metrics.json").read_text(encoding="utf-8"))
    seen = metrics.get("seen_in_training") or ()
    if seen:
        raise FoldError(f"{', '.join(seen)} of {manifest} took part in training; name recordings of another plate")
    return audit_row(method=name, by="unseen", n_folds=len(models), guard_mm=None, training_share=None, summary=metrics)
