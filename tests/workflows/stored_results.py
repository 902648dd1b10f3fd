"""Results as predict leaves them, made without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.indications import find_indications, indications_to_csv
from thermo_qc.inspection import DefectMap, write_defect_map
from thermo_qc.io import write_json
from thermo_qc.workflows.plate_place import pixel_matrix
from thermo_qc.workflows.predict_folder import attributes_of

RUN = "f" * 64
Box = tuple[int, int, int, int]


def put_result(
    folder: Path,
    stem: str,
    boxes: tuple[Box, ...] = ((5, 5, 15, 15),),
    *,
    shape: tuple[int, int] = (40, 50),
    pitch_mm: float | None = 2.0,
    recording: Path | None = None,
    specimen: str = "",
    matrix: Any = None,
    ignored: Box | None = None,
    model: str = "a" * 64,
    digest: str = "b" * 64,
) -> Path:
    """Write map, table and picture; boxes are rows and columns r0, c0, r1, c1 of the class "hole"."""
    class_map = np.zeros(shape, dtype=np.uint8)
    for r0, c0, r1, c1 in boxes:
        class_map[r0:r1, c0:c1] = 1
    if ignored is not None:
        class_map[ignored[0] : ignored[2], ignored[1] : ignored[3]] = 255
    probability = np.stack([class_map != 1, class_map == 1]).astype(np.float32)
    prediction = DefectMap(
        class_map=class_map,
        probability=probability,
        depth_mm=np.where(class_map == 1, 2.0, np.nan).astype(np.float32),
        class_names=("sound", "hole"),
        pixel_pitch_mm=pitch_mm,
        model_sha256=(model,),
        input_sha256=digest,
    )
    found = find_indications(class_map, probability, class_names=("sound", "hole"), pixel_pitch_mm=pitch_mm)
    base = folder / stem
    base.parent.mkdir(parents=True, exist_ok=True)
    indications_to_csv(found, base.with_name(base.name + ".csv"))
    base.with_name(base.name + ".png").write_bytes(b"picture")
    attributes = attributes_of(
        recording or folder / "in" / f"{Path(stem).name}.h5",
        RUN,
        n_indications=len(found),
        defect_fraction=float((class_map == 1).mean()),
        specimen_id=specimen,
        plate_matrix="" if matrix is None else str(np.asarray(matrix).tolist()),
    )
    write_defect_map(prediction, base.with_name(base.name + ".h5"), extra_attributes=attributes)
    return base


def put_record(folder: Path, **entries: Any) -> None:
    """Write the record of the run that made the results."""
    options = {"facts": {}, "min_area_px": 4, "region": "", "sound": ""}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", {"command": "predict", "fingerprint": RUN, **options, **entries})


def failure(place: str, reason: str = "it is empty; copy it again") -> dict[str, str]:
    """Give a failure as the record has it."""
    return {"place": place, "recording": Path(place).name, "reason": reason, "time": "2026-05-01T08:00:00+00:00"}


def plate_of(pitch_mm: float, *, shift_mm: tuple[float, float] = (0.0, 0.0)) -> Any:
    """Homography of frames that lie parallel to their plate."""
    moved = np.eye(3)
    moved[:2, 2] = shift_mm
    return moved @ pixel_matrix(pitch_mm)
