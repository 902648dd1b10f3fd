"""The typed metadata of a sequence as plain JSON types and back; shared by the project's own HDF5 and NPZ files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError, SequenceError
from thermo_qc.io.found import Found
from thermo_qc.io.lazy import reason_of
from thermo_qc.sequence import Defect, Excitation, HistoryEntry, Material, Source, ThermalSequence, Truth

__all__ = [
    "NUMBERS",
    "TEXTS",
    "defects_from_json",
    "defects_to_json",
    "found_from_json",
    "metadata_to_json",
    "truth_from_maps",
]

NUMBERS = ("pixel_pitch_mm", "ambient_c", "emissivity", "thickness_mm", "netd_k")
TEXTS = ("unit", "camera", "specimen_id", "acquisition_id")


def metadata_to_json(sequence: ThermalSequence) -> dict[str, Any]:
    """Everything but frames, times and truth, as JSON types; unknown numbers are left out."""
    result: dict[str, Any] = {name: getattr(sequence, name) for name in TEXTS}
    result |= {name: float(getattr(sequence, name)) for name in NUMBERS if getattr(sequence, name) is not None}
    result["excitation"] = asdict(sequence.excitation)
    result["history"] = [asdict(entry) for entry in sequence.history]
    if sequence.material is not None:
        result["material"] = asdict(sequence.material)
    if sequence.source is not None:
        result["source"] = asdict(sequence.source)
    return result


def found_from_json(
    path: Path, content: Any, times_s: NDArray[np.float64], times_field: str, truth: Truth | None
) -> Found:
    """Undo `metadata_to_json`.

    Raises
    ------
    CorruptFileError
        When an entry is unknown or of the wrong type.
    """
    try:
        material, source = content.get("material"), content.get("source")
        known: dict[str, Any] = {name: float(content[name]) for name in NUMBERS if content.get(name) is not None}
        known |= {name: str(content[name]) for name in TEXTS}
        history = (
            HistoryEntry(step=str(entry["step"]), parameters=dict(entry["parameters"])) for entry in content["history"]
        )
        return Found(
            times_s=times_s,
            times_field=times_field,
            starts_at_zero=True,
            excitation=Excitation(**content["excitation"]),
            material=None if material is None else Material(**material),
            source=None if source is None else Source(**source),
            history=tuple(history),
            truth=truth,
            **known,
        )
    except (AttributeError, KeyError, TypeError, ValueError, SequenceError) as error:
        raise CorruptFileError(
            path, "metadata", "the entries that thermo_qc writes", f"different ({reason_of(error)})"
        ) from None


def defects_to_json(truth: Truth) -> list[dict[str, Any]]:
    """Defect table as JSON types."""
    return [asdict(defect) for defect in truth.defects]


def defects_from_json(path: Path, content: Any) -> tuple[Defect, ...]:
    """Undo `defects_to_json`.

    Raises
    ------
    CorruptFileError
        When an entry is unknown or of the wrong type.
    """
    try:
        return tuple(Defect(**entry) for entry in content)
    except TypeError as error:
        raise CorruptFileError(
            path, "defect table", "the entries that thermo_qc writes", f"different ({reason_of(error)})"
        ) from None


def truth_from_maps(index: NDArray[Any], depth_mm: NDArray[Any], defects: tuple[Defect, ...]) -> Truth:
    """Truth of stored maps; `Truth` checks that they belong together."""
    return Truth(defect_index=index.astype(np.int16), depth_mm=depth_mm.astype(np.float32), defects=defects)
