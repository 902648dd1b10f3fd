"""``thermo-qc register``: a recording and its plate brought together by picked points."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, InputError, OutputError
from thermo_qc.io import read_sequence, sha256_of, truth_of_plate, with_hash, write_sequence, write_text
from thermo_qc.io.sidecar import sidecar_candidates
from thermo_qc.plate import PlateSpec, load_plate, pixel_centres_mm
from thermo_qc.preprocess import Registration, fit_homography, rectify
from thermo_qc.sequence import ThermalSequence
from thermo_qc.workflows.convert import check_new_recording
from thermo_qc.workflows.points import points_table

__all__ = ["RegistrationResult", "run"]

logger = logging.getLogger(__name__)
RECORDINGS = (".h5", ".hdf5")
REGISTRATIONS = (".yaml", ".yml")
LARGE_RESIDUAL_MM = 1.0
LARGE_RESIDUAL_PX = 2.0


@dataclass(frozen=True, kw_only=True)
class RegistrationResult:
    """What `run` found and wrote.

    Parameters
    ----------
    registration : Registration
        The homography and its residuals.
    residual_mm : float
        Root mean square distance of the picked points from where the homography puts them.
    n_points : int
        Picked points.
    pixel_pitch_mm : float
        Mean edge of a pixel of the recording on the plate, or the pitch of the rectified recording.
    warning : str
        What should be looked at; empty when nothing.
    registration_path : Path
        The registration file (YAML).
    recording_path : Path or None
        The registered recording, when one was asked for.
    """

    registration: Registration
    residual_mm: float
    n_points: int
    pixel_pitch_mm: float
    warning: str
    registration_path: Path
    recording_path: Path | None


def run(
    recording: Path | str,
    plate: Path | str,
    points: Path | str | Sequence[Sequence[float]],
    *,
    output: Path | str,
    rectify: bool = False,
    rectified_pitch_mm: float | None = None,
    overwrite: bool = False,
    **facts: Any,
) -> RegistrationResult:
    """Register a recording to its plate.

    Parameters
    ----------
    recording : Path or str
        File or folder that `thermo_qc.io.read_sequence` reads.
    plate : Path or str
        Plate specification, or the name of a plate that ships.
    points : sequence of (x_px, y_px, x_mm, y_mm), or a CSV or YAML file of them
        Four or more picked points: column and row index of the pixel (the centre of the first is 0, 0) and place on
        the plate.
    output : Path or str
        ``.yaml``: the registration alone. ``.h5``: the recording with the plate's truth on its own pixels, and the
        registration beside it as ``<stem>.registration.yaml``.
    rectify : bool
        Resample the recording to plate millimetres; for ``.h5`` only.
    rectified_pitch_mm : float, optional
        Pixel pitch then; the recording's mean pixel on the plate when None.
    overwrite : bool
        Replace outputs that exist.
    **facts
        Fields of `thermo_qc.config.Facts`. A stated `pixel_pitch_mm` counts before the one that the registration
        gives; material and thickness come from the plate where nobody else states them.

    Returns
    -------
    RegistrationResult

    Raises
    ------
    InputError
        When points are too few, coincide, lie on one line or outside the frame, or a file cannot be used.
    TruthError
        When the registration puts no pixel on the plate.
    OutputError
        When an output cannot or must not be written.
    ConfigError
        When options contradict one another or a fact is wrong.
    """
    recording, output = Path(recording), Path(output)
    if rectified_pitch_mm is not None and not rectify:
        raise ConfigError("a pitch for the rectified recording came without rectify; pass --rectify too")
    registration_path = _check_outputs(recording, output, rectify=rectify, overwrite=overwrite)
    spec = load_plate(plate)
    sequence = with_hash(read_sequence(recording, **facts), recording)
    table = points_table(points)
    _check_inside(table, sequence.frame_shape)
    registration = fit_homography(table[:, :2], table[:, 2:])
    truth, scale_mm = truth_of_plate(spec, registration.matrix, sequence.frame_shape)
    pitch = float(facts["pixel_pitch_mm"]) if facts.get("pixel_pitch_mm") else scale_mm
    changes = {"truth": truth, "pixel_pitch_mm": pitch, **_from_plate(sequence, spec)}
    registered = sequence.with_frames(
        sequence.frames, "register", parameters={"plate": spec.name, **registration.to_dict()}, **changes
    )
    if rectify:
        pitch = scale_mm if rectified_pitch_mm is None else rectified_pitch_mm
        registered = _rectified(registered, registration, spec, pitch)
    _write(registered, output, registration_path, _registration_text(registration, spec, plate, recording, scale_mm))
    warning = _warning(registration, spec, scale_mm)
    logger.info("%s: residual %.3f mm over %d points", recording, registration.residual_mm, len(table))
    return RegistrationResult(
        registration=registration,
        residual_mm=registration.residual_mm,
        n_points=len(table),
        pixel_pitch_mm=pitch,
        warning=warning,
        registration_path=registration_path,
        recording_path=None if registration_path == output else output,
    )


def _write(registered: ThermalSequence, output: Path, registration_path: Path, text: str) -> None:
    """Write both files or, when the second cannot be written, none."""
    write_text(registration_path, text)
    if registration_path == output:
        return
    try:
        write_sequence(registered, output)
    except OutputError:
        registration_path.unlink(missing_ok=True)
        raise


def _check_outputs(recording: Path, output: Path, *, rectify: bool, overwrite: bool) -> Path:
    if output.suffix.lower() in RECORDINGS:
        check_new_recording(output, recording, RECORDINGS, overwrite=overwrite)
        registration_path = output.with_name(f"{output.stem}.registration.yaml")
    elif output.suffix.lower() in REGISTRATIONS:
        registration_path = output
        if rectify:
            raise OutputError(f"{output} holds a registration only; name an .h5 file for the rectified recording")
    else:
        endings = ", ".join((*REGISTRATIONS, *RECORDINGS))
        raise OutputError(f"{output} ends in '{output.suffix}', expected one of {endings}; choose one of them")
    if registration_path in set(sidecar_candidates(recording)):
        raise OutputError(
            f"{registration_path} would be read as the sidecar of {recording.name}; choose another name, for example "
            f"{recording.stem}.registration.yaml"
        )
    if registration_path.is_dir():
        raise OutputError(f"{registration_path} is a folder, expected a file name; choose another name")
    if registration_path.exists() and not overwrite:
        raise OutputError(f"{registration_path} exists; choose another name or pass --overwrite")
    return registration_path


def _check_inside(table: NDArray[np.float64], shape: tuple[int, int]) -> None:
    height, width = shape
    for number, (x, y) in enumerate(table[:, :2], start=1):
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise InputError(
                f"picked point {number} lies at x {x:g}, y {y:g} px, outside the frame of {width} columns and "
                f"{height} rows; x counts columns, y rows, both from 0"
            )


def _from_plate(sequence: ThermalSequence, spec: PlateSpec) -> dict[str, Any]:
    return {
        "material": sequence.material or spec.material,
        "thickness_mm": sequence.thickness_mm or spec.thickness_mm,
    }


def _rectified(
    sequence: ThermalSequence, registration: Registration, spec: PlateSpec, pitch_mm: float
) -> ThermalSequence:
    """Frames on the plate's grid; the truth is drawn anew there, and left out where the camera did not look."""
    flat = rectify(sequence, registration, (spec.width_mm, spec.height_mm), pitch_mm)
    height, width = sequence.frame_shape
    x, y = registration.to_px(*pixel_centres_mm(flat.frame_shape, pitch_mm))
    seen = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return replace(flat, truth=spec.truth(pitch_mm).restricted_to(seen))


def _registration_text(
    registration: Registration, spec: PlateSpec, plate: Path | str, recording: Path, scale_mm: float
) -> str:
    content = {
        "plate": spec.name,
        "plate_file": str(plate),
        "recording": recording.name,
        "recording_sha256": sha256_of(recording),
        "pixel_pitch_mm": scale_mm,
        **registration.to_dict(),
    }
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)


def _warning(registration: Registration, spec: PlateSpec, scale_mm: float) -> str:
    worst = int(np.argmax(registration.residuals_mm))
    largest = float(registration.residuals_mm[worst])
    said = []
    if largest > max(LARGE_RESIDUAL_MM, LARGE_RESIDUAL_PX * scale_mm):
        said.append(
            f"picked point {worst + 1} lies {largest:.1f} mm from where the fit puts it "
            f"(rms of all {registration.residual_mm:.1f} mm); check or pick it again"
        )
    if len(registration.points_px) == 4:
        said.append("four points always fit exactly, so the residual proves nothing; pick a fifth")
    if registration.mirrored:
        said.append("the picked points mirror the plate; right only for a mirrored image or a view of the other face")
    x, y = registration.points_mm.T
    outside = np.flatnonzero((x < 0) | (x > spec.width_mm) | (y < 0) | (y > spec.height_mm))
    if outside.size:
        said.append(f"picked point {outside[0] + 1} lies outside the {spec.width_mm:g} x {spec.height_mm:g} mm plate")
    return "; ".join(said)
