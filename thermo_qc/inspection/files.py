"""Defect maps on disk: one HDF5 file each, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thermo_qc import __version__
from thermo_qc.errors import CorruptFileError, InputError, OutputError, UnknownFormatError
from thermo_qc.inspection.defect_map import DefectMap
from thermo_qc.io import atomic_path

__all__ = ["StoredMap", "read_defect_map", "read_stored_map", "write_defect_map"]

FORMAT = "thermo_qc defect map"
FORMAT_VERSION = 1
Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredMap:
    """A defect map with what a run stored beside it; every part but the map may be missing.

    Parameters
    ----------
    prediction : DefectMap
        The map.
    truth_class_map, truth_depth_mm, truth_defect_index : ndarray, shape (Y, X), optional
        Known classes, depths (mm) and defect numbers.
    frame : ndarray of float32, shape (Y, X), optional
        Representative frame, usually the temperature rise.
    frame_time_s : float, optional
        Its time.
    fold : ndarray of int8, shape (Y, X), optional
        Fold whose model predicted a pixel, -1 for none.
    attributes : dict
        Further attributes.
    """

    prediction: DefectMap
    truth_class_map: NDArray[np.uint8] | None = None
    truth_depth_mm: NDArray[np.float32] | None = None
    truth_defect_index: NDArray[np.int16] | None = None
    frame: NDArray[np.float32] | None = None
    frame_time_s: float | None = None
    fold: NDArray[np.int8] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


_OPTIONAL: dict[str, tuple[str, Any]] = {
    "truth_class_map": ("truth/class_map", np.uint8),
    "truth_depth_mm": ("truth/depth_mm", np.float32),
    "truth_defect_index": ("truth/defect_index", np.int16),
    "frame": ("frame", np.float32),
    "fold": ("fold", np.int8),
}
_OWN = {
    "format",
    "format_version",
    "thermo_qc_version",
    "class_names",
    "pixel_pitch_mm",
    "model_sha256",
    "input_sha256",
    "notes",
    "options",
}


def write_defect_map(
    prediction: DefectMap,
    path: Path | str,
    *,
    truth_class_map: Array | None = None,
    truth_depth_mm: Array | None = None,
    truth_defect_index: Array | None = None,
    frame: Array | None = None,
    frame_time_s: float | None = None,
    fold: Array | None = None,
    extra_attributes: Mapping[str, str | int | float] | None = None,
) -> None:
    """Write a defect map as HDF5: /class_map, /probability, /depth_mm (/depth_std_mm), and what else is given.

    Parameters
    ----------
    prediction : DefectMap
        The map.
    path : Path
        Target, usually ``.h5``.
    truth_class_map, truth_depth_mm, truth_defect_index, frame, fold : ndarray, shape (Y, X), optional
        See `StoredMap`; they become /truth/class_map, /truth/depth_mm, /truth/defect_index, /frame and /fold.
    frame_time_s : float, optional
        Time of the frame, attribute ``time_s`` of /frame.
    extra_attributes : mapping, optional
        Further attributes of the file.

    Raises
    ------
    OutputError
        When the file cannot be written, or an extra attribute has a name of the format's own.
    InputError
        When an array has another shape than the map.
    """
    arrays = {
        "truth_class_map": truth_class_map,
        "truth_depth_mm": truth_depth_mm,
        "truth_defect_index": truth_defect_index,
        "frame": frame,
        "fold": fold,
    }
    extra = dict(extra_attributes or {})
    if clash := sorted(_OWN & set(extra)):
        raise OutputError(f"attribute '{clash[0]}' belongs to the defect map itself; choose another name")
    for name, array in arrays.items():
        if array is not None and array.shape != prediction.shape:
            raise InputError(f"{name} has shape {array.shape}, the defect map has {prediction.shape}")
    with atomic_path(Path(path)) as temporary, h5py.File(temporary, "w") as file:
        _write_map(file, prediction)
        file.attrs.update(extra)
        for name, array in arrays.items():
            if array is not None:
                place, kind = _OPTIONAL[name]
                _dataset(file, place, np.asarray(array, dtype=kind))
        if frame is not None and frame_time_s is not None:
            file["frame"].attrs["time_s"] = float(frame_time_s)


def _write_map(file: h5py.File, prediction: DefectMap) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["thermo_qc_version"] = __version__
    file.attrs["class_names"] = json.dumps(list(prediction.class_names))
    file.attrs["model_sha256"] = json.dumps(list(prediction.model_sha256))
    file.attrs["input_sha256"] = prediction.input_sha256
    if prediction.notes:
        file.attrs["notes"] = json.dumps(list(prediction.notes))
    if prediction.options:
        file.attrs["options"] = json.dumps(dict(prediction.options))
    if prediction.pixel_pitch_mm is not None:
        file.attrs["pixel_pitch_mm"] = float(prediction.pixel_pitch_mm)
    _dataset(file, "class_map", prediction.class_map)
    _dataset(file, "probability", prediction.probability)
    _dataset(file, "depth_mm", prediction.depth_mm)
    file["depth_mm"].attrs["units"] = "mm"
    if prediction.depth_std_mm is not None:
        _dataset(file, "depth_std_mm", prediction.depth_std_mm)
        file["depth_std_mm"].attrs["units"] = "mm"


def _dataset(file: h5py.File, name: str, values: Array) -> None:
    written = file.create_dataset(name, data=values, compression="gzip", compression_opts=4, shuffle=True)
    written.flush()  # chunks that wait for their data set's end come in any order: the same map, other bytes


def read_defect_map(path: Path | str) -> DefectMap:
    """Read the map of a file that `write_defect_map` wrote; errors as for `read_stored_map`."""
    return read_stored_map(path).prediction


def read_stored_map(path: Path | str) -> StoredMap:
    """Read a defect map and everything stored beside it.

    Parameters
    ----------
    path : Path
        File that `write_defect_map` wrote.

    Returns
    -------
    StoredMap

    Raises
    ------
    InputError
        When the file is missing.
    UnknownFormatError
        When it is no defect map.
    CorruptFileError
        When it is damaged or incomplete.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file; name a defect map written by predict, cv or evaluate")
    try:
        with h5py.File(path, "r") as file:
            if _text(file.attrs.get("format", "")) != FORMAT:
                raise UnknownFormatError(
                    f"{path} is an HDF5 file but no defect map of thermo_qc; name one written by predict"
                )
            return _read(file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError) as error:
        if not h5py.is_hdf5(path):
            raise UnknownFormatError(
                f"{path} is no HDF5 file; name a defect map written by predict, cv or evaluate"
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorruptFileError(path, "defect map", "complete", f"damaged ({reason})", "predict again") from error
    except UnknownFormatError:
        raise
    except InputError as error:
        raise CorruptFileError(path, "defect map", "consistent", f"inconsistent ({error})", "predict again") from error


def _read(file: h5py.File) -> StoredMap:
    pitch = file.attrs.get("pixel_pitch_mm")
    prediction = DefectMap(
        class_map=np.asarray(file["class_map"][...], dtype=np.uint8),
        probability=np.asarray(file["probability"][...], dtype=np.float32),
        depth_mm=np.asarray(file["depth_mm"][...], dtype=np.float32),
        class_names=tuple(map(str, json.loads(_text(file.attrs["class_names"])))),
        pixel_pitch_mm=None if pitch is None else float(pitch),
        model_sha256=tuple(map(str, json.loads(_text(file.attrs["model_sha256"])))),
        input_sha256=_text(file.attrs["input_sha256"]),
        depth_std_mm=np.asarray(file["depth_std_mm"][...], dtype=np.float32) if "depth_std_mm" in file else None,
        notes=tuple(map(str, json.loads(_text(file.attrs.get("notes", "[]"))))),
        options=dict(json.loads(_text(file.attrs.get("options", "{}")))),
    )
    arrays = {
        name: np.asarray(file[place][...], dtype=kind) if place in file else None
        for name, (place, kind) in _OPTIONAL.items()
    }
    for name, array in arrays.items():
        if array is not None and array.shape != prediction.shape:
            raise InputError(f"{_OPTIONAL[name][0]} has {array.shape} pixels, the map {prediction.shape}")
    time = file["frame"].attrs.get("time_s") if "frame" in file else None
    return StoredMap(
        prediction=prediction,
        frame_time_s=None if time is None else float(time),
        attributes={name: _plain(value) for name, value in file.attrs.items() if name not in _OWN},
        **arrays,
    )


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
