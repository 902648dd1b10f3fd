"""``thermo-qc inspect``: recordings become verdicts and reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.config import CriteriaConfig, ProcedureConfig, load_config
from thermo_qc.errors import ConfigError, InputError, choose
from thermo_qc.inspection import load_criteria
from thermo_qc.io import read_homography, sha256_of
from thermo_qc.models import TrainedModel
from thermo_qc.plate import load_plate
from thermo_qc.workflows.batch_session import OnResult, Runner, Work, open_batch
from thermo_qc.workflows.inspect_one import InspectionPlan, inspect_result
from thermo_qc.workflows.inspection_tables import write_tables
from thermo_qc.workflows.lock import FolderLock
from thermo_qc.workflows.part_page import PAGE_FORMATS, check_formats
from thermo_qc.workflows.predict import work_for
from thermo_qc.workflows.predict_folder import Prediction, check_apart, output_names
from thermo_qc.workflows.predict_one import Job, Options, failure_of

__all__ = ["Inspected", "run"]


@dataclass(frozen=True, kw_only=True)
class Inspected(Prediction):
    """What became of one recording, with its verdict: "accept", "reject", "review", or "" without."""

    verdict: str = ""


def run(
    model_path: Path,
    recordings: Sequence[Path],
    output: Path,
    *,
    criteria: Path | None = None,
    procedure: Path | None = None,
    plate: str | Path | None = None,
    registration: Path | None = None,
    assume_detectable: bool = False,
    formats: Sequence[str] = ("html",),
    method: str | None = None,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    memory_bytes: int | None = None,
    min_area_px: int = 4,
    region: Path | None = None,
    sound: Path | None = None,
    facts: dict[str, Any] | None = None,
    tta: bool = False,
    batch: bool = False,
    break_lock: bool = False,
    on_progress: Callable[[Inspected], object] | None = None,
) -> list[Inspected]:
    """Predict every recording, judge its map and write its report; what is up to date is kept.

    Parameters
    ----------
    model_path, recordings, output
        As for `thermo_qc.workflows.predict.run`.
    criteria : Path, optional
        Acceptance criteria (YAML); without, no verdict is given.
    procedure : Path, optional
        Fields of the report (YAML), see `thermo_qc.config.ProcedureConfig`.
    plate : str or Path, optional
        Nominal plate: size, thickness, material.
    registration : Path, optional
        Where the plate lies in the frame of recordings that do not say so, from ``thermo-qc register``.
    assume_detectable : bool
        Missing facts about detectability are no reason for a review; a defect that is known not to be detectable is.
    formats : sequence of str
        "html", "pdf", "dicom".
    method, overwrite, device, threads, workers, scheduler, memory_bytes, min_area_px, region, sound, facts, tta, batch
        As for `thermo_qc.workflows.predict.run`.
    break_lock, on_progress
        As there.

    Returns
    -------
    list of Inspected
        In the order of `recordings`.

    Raises
    ------
    ThermoQCError
        When model, criteria, options or output folder cannot be used, or the only recording named.
    """
    if not recordings:
        raise InputError("no recording was named; give at least one file")
    for name in formats:
        choose(PAGE_FORMATS, name, "format")
    check_formats(formats)
    plan = _plan(criteria, procedure, plate, registration, assume_detectable, tuple(dict.fromkeys(formats)))
    names = output_names(recordings)
    check_apart(names, output)
    raising = len(recordings) == 1 and not batch
    work = work_for(
        model_path,
        method=method,
        threads=threads,
        workers=workers if workers is not None else int(batch),
        scheduler=scheduler,
        memory_bytes=memory_bytes,
        raising=raising,
    )
    judged: dict[str, Inspected] = {}
    run_options = {"min_area_px": min_area_px, "device": device, "tta": tta, "facts": facts or {}}
    run_options |= {
        name: "" if path is None else sha256_of(path) for name, path in (("region", region), ("sound", sound))
    }

    def add(job: Job, inspected: Inspected) -> None:
        judged[job.stem] = inspected

    def tell(result: Prediction) -> None:
        if on_progress is not None:
            on_progress(_with_verdict(result, judged))

    with open_batch(
        model_path,
        output,
        _judging(work, plan, run_options, add, raising=raising),
        method=method,
        overwrite=overwrite,
        device=device,
        min_area_px=min_area_px,
        region=region,
        sound=sound,
        facts=facts,
        tta=tta,
        break_lock=break_lock,
        on_progress=tell,
    ) as session:
        try:
            results = session.predict(names)
        finally:
            write_tables(output, session.options.run_id, has_criteria=plan.criteria is not None)
    return [_with_verdict(result, judged) for result in results]


def _with_verdict(result: Prediction, judged: Mapping[str, Inspected]) -> Inspected:
    known = judged.get(result.stem)
    verdict = known.verdict if known is not None and not result.error else ""
    return Inspected(**{name: getattr(result, name) for name in Prediction.__dataclass_fields__}, verdict=verdict)


def _plan(
    criteria: Path | None,
    procedure: Path | None,
    plate: str | Path | None,
    registration: Path | None,
    assume_detectable: bool,
    formats: tuple[str, ...],
) -> InspectionPlan:
    if assume_detectable and criteria is None:
        raise ConfigError("--assume-detectable came without --criteria; there is no verdict that it could change")
    rules = None if criteria is None else load_criteria(criteria)
    nominal = None if plate is None else load_plate(plate)
    if rules is not None and nominal is not None:
        rules.check_plate(nominal.width_mm, nominal.height_mm)
    return InspectionPlan(
        criteria=rules,
        criteria_config=None if criteria is None else load_config(CriteriaConfig, criteria),
        criteria_sha256="" if criteria is None else sha256_of(criteria),
        procedure=ProcedureConfig() if procedure is None else load_config(ProcedureConfig, procedure),
        procedure_sha256="" if procedure is None else sha256_of(procedure),
        plate=nominal,
        matrix=None if registration is None else read_homography(registration),
        assume_detectable=assume_detectable,
        formats=formats,
    )


def _judging(
    work: Work,
    plan: InspectionPlan,
    run_options: Mapping[str, Any],
    add: Callable[[Job, Inspected], None],
    *,
    raising: bool,
) -> Work:
    """Wrap who works on recordings: every result that comes back is judged in this process before it is listed."""

    def make(models: tuple[TrainedModel, ...], options: Options, lock: FolderLock) -> Runner:
        if plan.criteria is not None:
            plan.criteria.check_classes(models[0].class_names)
        full = replace(plan, models=_models(models), class_depths_mm=_class_depths(models))
        return _JudgingRunner(work(models, options, lock), full, options, run_options, add, raising=raising)

    return make


class _JudgingRunner:
    """A runner whose results are judged as they arrive."""

    def __init__(
        self,
        inner: Runner,
        plan: InspectionPlan,
        options: Options,
        run_options: Mapping[str, Any],
        add: Callable[[Job, Inspected], None],
        *,
        raising: bool,
    ) -> None:
        self._inner, self._plan, self._options = inner, plan, options
        self._run_options, self._add, self._raising = run_options, add, raising

    def run(self, jobs: Sequence[Job], on_result: OnResult) -> None:
        """Do all jobs and judge their results."""

        def judged(job: Job, result: Prediction) -> None:
            if not result.error:
                try:
                    verdict = inspect_result(result, self._plan, self._options, self._run_options)
                except Exception as error:
                    if self._raising:
                        raise
                    result = failure_of(job, error)
                else:
                    fields = {name: getattr(result, name) for name in Prediction.__dataclass_fields__}
                    self._add(job, Inspected(**fields, verdict=verdict))
            on_result(job, result)

        self._inner.run(jobs, judged)

    def close(self) -> None:
        """Let go of processes and connections."""
        self._inner.close()


def _models(models: tuple[TrainedModel, ...]) -> tuple[Mapping[str, str], ...]:
    return tuple({"name": f"{model.kind} {model.name}", "sha256": model.sha256} for model in models)


def _class_depths(models: tuple[TrainedModel, ...]) -> dict[str, float]:
    """Greatest depth that any of the models gives each class."""
    depths: dict[str, float] = {}
    for model in models:
        for name, depth in zip(model.class_names[1:], model.class_depths_mm[1:], strict=True):
            if np.isfinite(depth):
                depths[name] = max(depths.get(name, 0.0), float(depth))
    return depths
