"""``thermo-qc inspect``: recordings become verdicts and reports."""

from __future__ import annotations

import time
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
from thermo_qc.workflows.batch_session import BatchSession, open_batch
from thermo_qc.workflows.inspect_one import InspectionPlan, Judge
from thermo_qc.workflows.inspection_tables import write_tables
from thermo_qc.workflows.part_page import PAGE_FORMATS, check_formats
from thermo_qc.workflows.predict import work_for
from thermo_qc.workflows.predict_folder import Prediction, check_apart, output_names
from thermo_qc.workflows.qualification import load_pod, pod_of_models, training_of

__all__ = ["Inspection", "LiveTables", "prepare", "run"]

TABLES_S = 10.0  # how old tables and page may be while a run goes on


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What turns maps into verdicts, the same for all parts; made by `prepare`.

    Parameters
    ----------
    plan : InspectionPlan
        Criteria, procedure, plate, formats.
    run_options : mapping
        Options of the prediction as they go into the records.
    """

    plan: InspectionPlan
    run_options: Mapping[str, Any]

    def judge(self, models: tuple[TrainedModel, ...]) -> Judge:
        """Make who judges the results of these models.

        Raises
        ------
        ConfigError
            When the criteria name classes that the models do not know.
        """
        if self.plan.criteria is not None:
            self.plan.criteria.check_classes(models[0].class_names)
        plan = replace(self.plan, models=_models(models), class_depths_mm=_class_depths(models))
        return Judge(plan=plan, run_options=self.run_options)

    def write_tables(self, output: Path, run_id: str) -> None:
        """Write ``verdicts.csv`` and ``inspection.html`` over all parts."""
        write_tables(output, run_id, has_criteria=self.plan.criteria is not None)


class LiveTables:
    """Tables and page over all parts while a run goes on: written now and then, and at its end.

    Parameters
    ----------
    inspection : Inspection, optional
        Of the run; without one nothing is written.

    Attributes
    ----------
    session : BatchSession, optional
        To be set once the folder is open.
    """

    def __init__(self, inspection: Inspection | None) -> None:
        self.session: BatchSession | None = None
        self._inspection, self._stale = inspection, True
        self._next_s = time.monotonic() + TABLES_S

    def changed(self) -> None:
        """Take note of a new result."""
        self._stale = True
        if time.monotonic() > self._next_s:
            self.write()

    def write(self) -> None:
        """Write what is not up to date; of many parts that takes long and is done more rarely."""
        if self._inspection is None or self.session is None or not self._stale:
            return
        started = time.monotonic()
        self._inspection.write_tables(self.session.folder.path, self.session.options.run_id)
        self._stale, now = False, time.monotonic()
        self._next_s = now + max(TABLES_S, 10 * (now - started))


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
    on_progress: Callable[[Prediction], object] | None = None,
) -> list[Prediction]:
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
        "html", "pdf", "png", "dicom".
    method, overwrite, device, threads, workers, scheduler, memory_bytes, min_area_px, region, sound, facts, tta, batch
        As for `thermo_qc.workflows.predict.run`.
    break_lock, on_progress
        As there.

    Returns
    -------
    list of Prediction
        In the order of `recordings`, each with its verdict.

    Raises
    ------
    ThermoQCError
        When model, criteria, options or output folder cannot be used, or the only recording named.
    """
    if not recordings:
        raise InputError("no recording was named; give at least one file")
    inspection = prepare(
        criteria=criteria,
        procedure=procedure,
        plate=plate,
        registration=registration,
        assume_detectable=assume_detectable,
        formats=formats,
        min_area_px=min_area_px,
        device=device,
        tta=tta,
        facts=facts,
        region=region,
        sound=sound,
        model_path=model_path,
        method=method,
    )
    tables = LiveTables(inspection)

    def tell(result: Prediction) -> None:
        tables.changed()
        if on_progress is not None:
            on_progress(result)

    names = output_names(recordings)
    check_apart(names, output)
    work = work_for(
        model_path,
        method=method,
        threads=threads,
        workers=workers if workers is not None else int(batch),
        scheduler=scheduler,
        memory_bytes=memory_bytes,
        raising=len(recordings) == 1 and not batch,
        finish=inspection.judge,
    )
    with open_batch(
        model_path,
        output,
        work,
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
        tables.session = session
        try:
            return session.predict(names)
        finally:
            tables.write()


def prepare(
    *,
    criteria: Path | None = None,
    procedure: Path | None = None,
    plate: str | Path | None = None,
    registration: Path | None = None,
    assume_detectable: bool = False,
    formats: Sequence[str] = ("html",),
    min_area_px: int = 4,
    device: str = "cpu",
    tta: bool = False,
    facts: Mapping[str, Any] | None = None,
    region: Path | None = None,
    sound: Path | None = None,
    model_path: Path | None = None,
    method: str | None = None,
) -> Inspection:
    """Load and check what an inspection needs besides models and recordings; parameters as of `run`.

    Raises
    ------
    ThermoQCError
        When criteria, procedure, plate, registration or formats cannot be used.
    """
    for name in formats:
        choose(PAGE_FORMATS, name, "format")
    check_formats(formats)
    masks = {name: "" if path is None else sha256_of(path) for name, path in (("region", region), ("sound", sound))}
    plan = _plan(criteria, procedure, plate, registration, assume_detectable, tuple(dict.fromkeys(formats)))
    if model_path is not None:
        plan = replace(plan, training=training_of(model_path, method))
        plan = replace(plan, pod=plan.pod or pod_of_models(model_path, method))
    return Inspection(
        plan=plan,
        run_options={"min_area_px": min_area_px, "device": device, "tta": tta, "facts": dict(facts or {}), **masks},
    )


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
    fields = ProcedureConfig() if procedure is None else load_config(ProcedureConfig, procedure)
    pod = None if procedure is None or fields.pod is None else load_pod(procedure.parent / fields.pod)
    return InspectionPlan(
        criteria=rules,
        criteria_config=None if criteria is None else load_config(CriteriaConfig, criteria),
        criteria_sha256="" if criteria is None else sha256_of(criteria),
        procedure=fields,
        pod=pod,
        procedure_sha256="" if procedure is None else sha256_of(procedure),
        plate=nominal,
        matrix=None if registration is None else read_homography(registration),
        assume_detectable=assume_detectable,
        formats=formats,
    )


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
