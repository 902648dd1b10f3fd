"""One part: its stored map becomes verdict, record and report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import CriteriaConfig, ProcedureConfig
from thermo_qc.errors import InputError, ThermoQCError
from thermo_qc.evaluation import DetectionLimits
from thermo_qc.inspection import (
    Criteria,
    DefectMap,
    Limit,
    PlatePlace,
    RecordedSetup,
    Shown,
    ShownSizes,
    Uncertain,
    check_shown,
    judge,
    read_defect_map,
    recorded_setup,
    shown_sizes,
)
from thermo_qc.io import read_sequence, sha256_of, write_json
from thermo_qc.plate import PlateSpec
from thermo_qc.sequence import ThermalSequence
from thermo_qc.workflows.cases import frames_bytes
from thermo_qc.workflows.dispositions import DISPOSITIONS_ENDING, read_dispositions
from thermo_qc.workflows.inspection_record import RECORD_ENDING, Provenance, make_record, read_record
from thermo_qc.workflows.part_page import PAGE_FORMATS, write_pages
from thermo_qc.workflows.plate_place import matrix_from_text, pixel_matrix, plate_matrix_text
from thermo_qc.workflows.predict_folder import ENDINGS, VERDICT_ENDING, Prediction
from thermo_qc.workflows.predict_one import DRAWING, Options, Reserve
from thermo_qc.workflows.result_files import identity_of, read_result
from thermo_qc.workflows.run_folder import fingerprint_of, versions
from thermo_qc.workflows.run_index import record_verdict
from thermo_qc.workflows.scoring import representative_frame

__all__ = ["InspectionPlan", "Judge", "inspect_result", "plate_place"]

_NO_CRITERIA = Criteria(
    name="none",
    limits=(Limit(max_total_fraction=1.0),),
    uncertain=Uncertain(least_inspected_fraction=0.0),
)


@dataclass(frozen=True, kw_only=True)
class InspectionPlan:
    """What is the same for all parts of a run.

    Parameters
    ----------
    criteria : Criteria, optional
        Without, no verdict is given.
    criteria_config : CriteriaConfig, optional
        As read.
    criteria_sha256, procedure_sha256 : str
        Hashes of the files; empty without.
    procedure : ProcedureConfig
        Fields of the report that no recording knows.
    plate : PlateSpec, optional
        Nominal plate.
    matrix : ndarray of float64, shape (3, 3), optional
        Homography from pixels to plate mm of recordings that do not say where the plate is.
    assume_detectable : bool
        Missing facts about detectability are no reason for a review.
    formats : tuple of str
        Files to write beside the record: "html", "pdf", "dicom".
    models : tuple of mapping
        Name and hash of each model.
    class_depths_mm : mapping of str to float
        Depth of each class in the models' training.
    training : mapping of str to str
        Of `thermo_qc.workflows.qualification.training_of`.
    pod : mapping, optional
        Of `thermo_qc.workflows.qualification.load_pod`.
    """

    criteria: Criteria | None
    criteria_config: CriteriaConfig | None = None
    criteria_sha256: str = ""
    procedure: ProcedureConfig = field(default_factory=ProcedureConfig)
    procedure_sha256: str = ""
    plate: PlateSpec | None = None
    matrix: NDArray[np.float64] | None = None
    assume_detectable: bool = False
    formats: tuple[str, ...] = ("html",)
    models: tuple[Mapping[str, str], ...] = ()
    class_depths_mm: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, str] = field(default_factory=dict)
    pod: Mapping[str, Any] | None = None

    def key(self) -> str:
        """Fingerprint of everything that verdict and record depend on besides the result."""
        return fingerprint_of(
            {
                "criteria": None if self.criteria_config is None else self.criteria_config.model_dump(mode="json"),
                "procedure": self.procedure.model_dump(mode="json"),
                "plate": None if self.plate is None else repr(self.plate),
                "matrix": None if self.matrix is None else self.matrix.tolist(),
                "assume_detectable": self.assume_detectable,
                "training": dict(self.training),
                "pod": None if self.pod is None else dict(self.pod),
                "version": versions()["thermo_qc"],
            }
        )


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Gives every stored result its verdict, wherever it was made.

    Parameters
    ----------
    plan : InspectionPlan
        Criteria, procedure, plate, formats.
    run_options : mapping
        Options of the prediction as they go into the record.
    """

    plan: InspectionPlan
    run_options: Mapping[str, Any]

    def __call__(self, result: Prediction, options: Options, reserve: Reserve) -> Prediction:
        """Judge a result; see `inspect_result`."""
        return replace(result, verdict=inspect_result(result, self.plan, options, self.run_options, reserve))


def inspect_result(
    result: Prediction,
    plan: InspectionPlan,
    options: Options,
    run_options: Mapping[str, Any],
    reserve: Reserve = lambda size: False,
) -> str:
    """Give a verdict on a stored result and write record and report, unless they are there and up to date.

    Parameters
    ----------
    result : Prediction
        A result without an error.
    plan : InspectionPlan
        Criteria, procedure, plate, formats.
    options : Options
        Of the prediction.
    run_options : mapping
        Options of the prediction as they go into the record.
    reserve : callable
        ``reserve(bytes) -> bool``: whether the frames may be in memory; else they are read from their file as needed.

    Returns
    -------
    str
        "accept", "reject", "review", or "" without criteria.

    Raises
    ------
    ThermoQCError
        When something cannot be read or written.
    """
    folder, stem = options.output, result.stem
    base = folder / stem
    files = read_result(folder, stem)
    if files is None:
        raise InputError(f"{base}: the result is not complete; predict {result.recording} again")
    identity, key = identity_of(files.columns), plan.key()
    known = _known(base, identity, key, plan, options)
    if known is not None:
        return known
    stored = base.with_name(base.name + ENDINGS[-1])
    prediction = read_defect_map(stored)
    sequence = read_sequence(result.recording, **options.facts)
    if reserve(frames_bytes(sequence)):
        sequence = sequence.loaded()
    if sequence.frame_shape != prediction.shape:
        raise InputError(
            f"{result.recording} has frames of {sequence.frame_shape}, its result {prediction.shape}; predict it again"
        )
    place = plate_place(sequence, plan.plate, plan.matrix)
    recorded, shown, sizes = _shown(sequence, prediction, plan)
    frame, frame_time_s = representative_frame(sequence)
    doubts = () if shown is None else shown.doubts
    if shown is not None and plan.assume_detectable:
        doubts = tuple(text for text in doubts if not text.endswith("is missing"))
    verdict = judge(
        prediction,
        plan.criteria or _NO_CRITERIA,
        place=place,
        min_area_px=options.min_area_px,
        signal=frame,
        class_bands_mm=_bands(plan.plate, prediction.class_names, plan.class_depths_mm),
        doubts=doubts,
    )
    limits = DetectionLimits() if plan.criteria is None else plan.criteria.detection
    record = make_record(
        stem=str(files.columns["stem"]),
        key=key,
        sequence=sequence,
        prediction=prediction,
        verdict=verdict,
        has_criteria=plan.criteria is not None,
        criteria=_criteria_entry(plan),
        recorded=recorded,
        shown=shown,
        sizes=sizes,
        assume_detectable=plan.assume_detectable,
        limits=asdict(limits),
        procedure=plan.procedure.model_dump(mode="json"),
        pod=plan.pod,
        plate=plan.plate,
        place=place,
        provenance=Provenance(
            recording=str(files.columns["recording"]),
            place=str(files.columns["place"]),
            identity=identity,
            models=plan.models,
            options=run_options,
            criteria_sha256=plan.criteria_sha256,
            procedure_sha256=plan.procedure_sha256,
            versions=versions(),
            training=plan.training,
            judged_by=key,
        ),
        map_sha256=sha256_of(stored),
        frame_time_s=frame_time_s,
    )
    record["dispositions"] = dispositions_of(base, record["map"]["file_sha256"])
    with DRAWING:
        write_pages(record, prediction, sequence, base, formats=plan.formats, signal=frame)
    if plan.criteria is not None:
        record_verdict(
            folder,
            stem,
            verdict.word,
            reasons=verdict.reasons,
            details={
                "key": key,
                "criteria": plan.criteria.name,
                "criteria_sha256": plan.criteria_sha256,
                "indications": sorted({number for finding in verdict.findings for number in finding.ids}),
            },
            index=False,
        )
    else:
        base.with_name(base.name + VERDICT_ENDING).unlink(missing_ok=True)
    write_json(base.with_name(base.name + RECORD_ENDING), record)  # last: it says that all is there
    return verdict.word if plan.criteria is not None else ""


def dispositions_of(base: Path, map_sha256: str) -> list[dict[str, Any]]:
    """Read the dispositions beside a result, each with whether it is stale."""
    found = read_dispositions(base.with_name(base.name + DISPOSITIONS_ENDING))
    return [{**asdict(entry), "stale": entry.is_stale(map_sha256)} for entry in found]


def plate_place(
    sequence: ThermalSequence, plate: PlateSpec | None, given: NDArray[np.float64] | None = None
) -> PlatePlace:
    """Say where a recording lies on its plate: as registered, as given, or filling a frame of the plate's size."""
    matrix = matrix_from_text(plate_matrix_text(sequence))
    matrix = given if matrix is None else matrix
    pitch = sequence.pixel_pitch_mm
    if plate is None:
        return PlatePlace(matrix=matrix)
    if matrix is None and pitch is not None:
        rows, columns = sequence.frame_shape
        fits = abs(columns * pitch - plate.width_mm) <= pitch and abs(rows * pitch - plate.height_mm) <= pitch
        matrix = pixel_matrix(pitch) if fits else None
    return PlatePlace(matrix=matrix, size_mm=(plate.width_mm, plate.height_mm), margin_mm=plate.edge_margin_mm)


def _known(base: Path, identity: Mapping[str, str], key: str, plan: InspectionPlan, options: Options) -> str | None:
    """Return the verdict of an earlier run that still holds, None when there is none."""
    if options.redo:
        return None
    try:
        record = read_record(base.with_name(base.name + RECORD_ENDING))
        map_sha256 = str(record["map"]["file_sha256"])
        same = record["key"] == key and record["provenance"]["result"] == dict(identity)
        if not same or record["dispositions"] != dispositions_of(base, map_sha256):
            return None
        if not all(path.is_file() for name in plan.formats for path in PAGE_FORMATS[name](base)):
            return None
        if plan.criteria is None:
            return ""
        verdict = json.loads(base.with_name(base.name + VERDICT_ENDING).read_text(encoding="utf-8"))
        return str(verdict["verdict"]) if verdict["key"] == key and verdict["result"] == dict(identity) else None
    except (ThermoQCError, OSError, ValueError, KeyError, TypeError):
        return None


def _shown(
    sequence: ThermalSequence, prediction: DefectMap, plan: InspectionPlan
) -> tuple[RecordedSetup, Shown | None, ShownSizes | None]:
    plate = plan.plate
    recorded = recorded_setup(
        sequence,
        sound=np.asarray(prediction.inspected & ~prediction.defect),
        material=None if plate is None else plate.material,
        thickness_mm=None if plate is None else plate.thickness_mm,
    )
    if plan.criteria is None:
        return recorded, None, shown_sizes(recorded)
    shown = check_shown(plan.criteria, recorded, class_depths_mm=plan.class_depths_mm)
    return recorded, shown, shown_sizes(recorded, plan.criteria.detection)


def _bands(
    plate: PlateSpec | None, class_names: tuple[str, ...], class_depths_mm: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Depths of the classes: as a class scheme of the plate says, else from half way to half way between them."""
    for scheme in plate.schemes.values() if plate is not None else ():
        if tuple(scheme.class_names) == class_names and len(class_names) > 2:
            starts = (0.0, *scheme.max_depth_mm[:-1])
            return {
                name: (start, end)
                for name, start, end in zip(class_names[1:], starts, scheme.max_depth_mm, strict=True)
            }
    if len(class_names) < 3 or any(name not in class_depths_mm for name in class_names[1:]):
        return {}
    order = sorted(class_names[1:], key=lambda name: class_depths_mm[name])
    edges = [0.0, *(0.5 * (class_depths_mm[a] + class_depths_mm[b]) for a, b in pairwise(order)), inf]
    return dict(zip(order, pairwise(edges), strict=True))


def _criteria_entry(plan: InspectionPlan) -> dict[str, Any] | None:
    if plan.criteria_config is None:
        return None
    return {"sha256": plan.criteria_sha256, **plan.criteria_config.model_dump(mode="json")}
