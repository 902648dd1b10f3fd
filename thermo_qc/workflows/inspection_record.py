"""The record of an inspection, JSON with a published schema: everything that a report says of one part."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError, InputError
from thermo_qc.inspection import DefectMap, Measured, PlatePlace, RecordedSetup, Shown, ShownSizes, Verdict
from thermo_qc.plate import PlateSpec
from thermo_qc.sequence import ThermalSequence

__all__ = ["RECORD_ENDING", "RECORD_FORMAT", "Provenance", "make_record", "read_record", "record_schema"]

RECORD_ENDING = ".inspection.json"
RECORD_FORMAT = "thermo_qc inspection"
RECORD_VERSION = 1
_TRAINING = ("run", "command", "splits_sha256", "configuration_sha256")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Hashes and versions.

    Parameters
    ----------
    recording, place : str
        As named, and its full path.
    identity : mapping
        See `thermo_qc.workflows.result_files.identity_of`.
    models : sequence of mapping
        Name and hash of each model.
    options : mapping
        Options of the prediction.
    criteria_sha256, procedure_sha256 : str
        Of the files; empty without.
    versions : mapping
        Packages.
    training : mapping
        Run that the models come from, hashes of its splits and its configuration.
    judged_by : str
        Fingerprint of criteria, procedure, plate and its place.
    """

    recording: str
    place: str
    identity: Mapping[str, str]
    models: Sequence[Mapping[str, str]]
    options: Mapping[str, Any]
    criteria_sha256: str
    procedure_sha256: str
    versions: Mapping[str, str]
    training: Mapping[str, str] = field(default_factory=dict)
    judged_by: str = ""


def make_record(
    *,
    stem: str,
    key: str,
    sequence: ThermalSequence,
    prediction: DefectMap,
    verdict: Verdict,
    has_criteria: bool,
    criteria: Mapping[str, Any] | None,
    recorded: RecordedSetup | None,
    shown: Shown | None,
    assume_detectable: bool,
    limits: Mapping[str, float],
    procedure: Mapping[str, Mapping[str, Any]],
    plate: PlateSpec | None,
    place: PlatePlace,
    provenance: Provenance,
    map_sha256: str,
    frame_time_s: float,
    sizes: ShownSizes | None = None,
    pod: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Put together the record of one part; keys as in the schema `record_schema`."""
    matrix = place.matrix
    return {
        "format": RECORD_FORMAT,
        "version": RECORD_VERSION,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "key": key,
        "result": stem,
        "part": {
            "specimen": sequence.specimen_id,
            "acquisition": sequence.acquisition_id,
            "plate": None if plate is None else plate.name,
            "size_mm": None if place.size_mm is None else list(place.size_mm),
            "thickness_mm": sequence.thickness_mm if plate is None else plate.thickness_mm,
            "material": None if recorded is None or recorded.material is None else asdict(recorded.material),
        },
        "recording": _recording(sequence, provenance),
        "procedure": {name: dict(fields) for name, fields in procedure.items() if isinstance(fields, Mapping)},
        "map": {
            "file_sha256": map_sha256,
            "rows": prediction.shape[0],
            "columns": prediction.shape[1],
            "pixel_pitch_mm": prediction.pixel_pitch_mm,
            "class_names": list(prediction.class_names),
            "inspected_px": int(prediction.inspected.sum()),
            "defect_px": int(prediction.defect.sum()),
            "plate_matrix": None if matrix is None else matrix.tolist(),
            "frame_time_s": frame_time_s,
            "notes": list(prediction.notes),
        },
        "indications": [_indication(item, prediction, matrix, verdict) for item in verdict.measures.items],
        "criteria": criteria,
        "findings": [asdict(finding) for finding in verdict.findings] if has_criteria else [],
        "detectability": _detectability(recorded, shown, assume_detectable, limits, sizes),
        "pod": None if pod is None else dict(pod),
        "verdict": {"word": verdict.word, "reasons": list(verdict.reasons), "doubts": list(verdict.doubts)}
        if has_criteria
        else None,
        "dispositions": [],
        "provenance": {
            "result": dict(provenance.identity),
            "models": [dict(model) for model in provenance.models],
            "options": dict(provenance.options),
            "criteria_sha256": provenance.criteria_sha256,
            "procedure_sha256": provenance.procedure_sha256,
            "versions": dict(provenance.versions),
            "training": {name: str(provenance.training.get(name, "")) for name in _TRAINING},
            "judged_by": provenance.judged_by,
        },
    }


def _recording(sequence: ThermalSequence, provenance: Provenance) -> dict[str, Any]:
    heating = sequence.excitation
    return {
        "name": provenance.recording,
        "place": provenance.place,
        "sha256": provenance.identity["recording_sha256"],
        "facts_sha256": provenance.identity["facts_sha256"],
        "format": "" if sequence.source is None else sequence.source.format_name,
        "camera": sequence.camera,
        "unit": sequence.unit,
        "frames": sequence.n_frames,
        "frame_rate_hz": sequence.frame_rate_hz,
        "first_s": float(sequence.times_s[0]),
        "last_s": float(sequence.times_s[-1]),
        "excitation": heating.kind,
        "heating_stop_s": heating.stop_s,
        "flux_w_m2": heating.flux_w_m2,
        "ambient_c": sequence.ambient_c,
        "emissivity": sequence.emissivity,
        "netd_k": sequence.netd_k,
        "history": [entry.step for entry in sequence.history],
    }


def _indication(
    item: Measured, prediction: DefectMap, matrix: NDArray[np.float64] | None, verdict: Verdict
) -> dict[str, Any]:
    one = item.indication
    pitch = prediction.pixel_pitch_mm
    diameters = None if pitch is None else item.diameters_mm(pitch)
    on_plate = None
    if matrix is not None:
        x, y, w = matrix @ np.array([one.centroid_x_px, one.centroid_y_px, 1.0])
        on_plate = [float(x / w), float(y / w)]
    broken = {
        word: [finding.limit for finding in verdict.findings if finding.outcome == word and one.id in finding.ids]
        for word in ("fail", "uncertain")
    }
    return {
        "id": one.id,
        "suspect": item.suspect,
        "class": one.class_name,
        "possible_classes": list(item.classes),
        "centroid_px": [one.centroid_x_px, one.centroid_y_px],
        "bbox_px": list(one.bbox_px),
        "centroid_frame_mm": None if pitch is None else [one.centroid_x_mm, one.centroid_y_mm],
        "centroid_plate_mm": on_plate,
        "area_px": {"certain": item.area_px[0], "called": one.area_px, "possible": item.area_px[1]},
        "area_mm2": one.area_mm2,
        "equivalent_diameter_mm": one.equivalent_diameter_mm,
        "diameter_interval_mm": None if diameters is None else list(diameters),
        "depth_mm": one.depth_mm,
        "depth_interval_mm": None if item.depth_mm is None else list(item.depth_mm),
        "defect_probability": item.defect_probability,
        "class_probability": one.mean_probability,
        "cnr": one.cnr,
        "breaks": broken["fail"],
        "may_break": broken["uncertain"],
    }


def _detectability(
    recorded: RecordedSetup | None,
    shown: Shown | None,
    assumed: bool,
    limits: Mapping[str, float],
    sizes: ShownSizes | None,
) -> dict[str, Any]:
    setup = None if recorded is None else recorded.setup
    return {
        "assumed": assumed,
        "limits": dict(limits),
        "setup": None
        if setup is None
        else {
            "heating": setup.heating.kind,
            "flux_w_m2": None if setup.heating.kind == "flash" else setup.heating.flux_w_m2,
            "energy_j_m2": setup.heating.energy_j_m2 if setup.heating.kind == "flash" else None,
            "pulse_s": setup.heating.stop_s,
            "noise_k": setup.noise_k,
            "pixel_pitch_mm": setup.pixel_pitch_mm,
            "blur_px": setup.blur_px,
            "frame_rate_hz": setup.frame_rate_hz,
            "duration_s": setup.duration_s,
        },
        "noise_source": "" if recorded is None else recorded.noise_source,
        "heat_source": "" if recorded is None else recorded.heat_source,
        "misfit": None if recorded is None else recorded.misfit,
        "missing": list(recorded.missing if recorded else ()) if shown is None else list(shown.missing),
        "cases": [] if shown is None else [asdict(case) for case in shown.cases],
        "sizes": None if sizes is None else {name: list(values) for name, values in asdict(sizes).items()},
    }


def read_record(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises
    ------
    InputError
        When there is none.
    CorruptFileError
        When it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; make it with thermo-qc inspect") from None
    except (OSError, ValueError) as error:
        raise CorruptFileError(path, "content", "JSON", f"broken ({error})", "inspect the recording again") from error
    stated = (content.get("format"), content.get("version")) if isinstance(content, dict) else (None, None)
    if stated != (RECORD_FORMAT, RECORD_VERSION):
        raise CorruptFileError(
            path,
            "format",
            f"{RECORD_FORMAT} {RECORD_VERSION}",
            f"{stated[0]} {stated[1]}",
            "inspect the recording again",
        )
    return dict(content)


def record_schema() -> dict[str, Any]:
    """JSON schema of the record, as the package ships it."""
    text = (resources.files("thermo_qc") / "resources" / "schemas" / "inspection-1.schema.json").read_text("utf-8")
    return dict(json.loads(text))
