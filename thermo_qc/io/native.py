"""The project's own HDF5 file, whose paths are pyThermoNDT's; files of pyThermoNDT itself open too.

Layout (rows H, columns W, frames T)::

    /Data/Tdata                (H, W, T)  numbers; integers may index /MetaData/LookUpTable
    /MetaData/DomainValues     (T,)       times, s
    /MetaData/ExcitationSignal (T,)       1 while heating
    /MetaData/LookUpTable      (N,)       temperature of each integer in Tdata (foreign files)
    /GroundTruth/DefectMask    (H, W)     0 sound, else the number (own files) or label (foreign files) of a defect
    /GroundTruth/Valid         (H, W)     own files: 0 where the truth is not to be used
    /GroundTruth/DepthMap      (H, W)     own files: mm from the inspected face, NaN where sound or unknown

Own files carry ``ThermoQC`` (JSON) as attribute of /MetaData and ``Defects`` (JSON) as attribute of /GroundTruth.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError, TruthError, UnknownFormatError
from thermo_qc.io.found import Found
from thermo_qc.io.hdf5 import (
    HDF5_SIGNATURE,
    HDF5Frames,
    dataset_at,
    json_attribute,
    open_hdf5,
    read_small,
    text_attribute,
)
from thermo_qc.io.metadata import defects_from_json, found_from_json, truth_from_maps
from thermo_qc.io.pythermondt import foreign_found
from thermo_qc.io.reader import Reader, assemble, check_options, reading
from thermo_qc.sequence import ThermalSequence, Truth, Unit

__all__ = ["READER", "open_native"]

UNCHUNKED_SLAB = 32  # neighbouring frames lie side by side: reading one costs as much as reading these
FRAMES, TIMES, TABLE = "/Data/Tdata", "/MetaData/DomainValues", "/MetaData/LookUpTable"
UNITS: dict[str, Unit] = {"kelvin": "K", "celsius": "degC"}
SECONDS = {"second": 1.0, "millisecond": 1e-3, "undefined": 1.0}


def open_native(path: Path, **options: Any) -> ThermalSequence:
    """Open a native or pyThermoNDT file; frames stay in the file.

    Parameters
    ----------
    path : Path
        The file.
    **options
        Fields of `thermo_qc.config.Facts`, without `variable` and `axes`.

    Returns
    -------
    ThermalSequence

    Raises
    ------
    UnknownFormatError
        When the HDF5 file has no /Data/Tdata.
    CorruptFileError
        When parts are missing, contradict one another or lead outside the file.
    """
    facts = check_options(path, "the native HDF5 format", options)
    with reading(path, "HDF5"), open_hdf5(path) as file:
        frames, unit = _frames(file, path)
        times = _times(file, path)
        meta = file.get("/MetaData")
        own = json_attribute(meta, path, "ThermoQC")
        if own is None:
            excitation = read_small(file, path, "/MetaData/ExcitationSignal")
            mask = read_small(file, path, "/GroundTruth/DefectMask")
            parameters = json_attribute(meta, path, "SimulationParameter")
            labels = json_attribute(file.get("/GroundTruth/DefectMask"), path, "LabelIds")
            found = foreign_found(
                path, times_s=times, unit=unit, signal=excitation, mask=mask, labels=labels, parameters=parameters
            )
        else:
            found = _own_found(file, path, own, times)
    return assemble(path, frames, found, facts, READER.name)


def _frames(file: h5py.File, path: Path) -> tuple[HDF5Frames, Unit]:
    data = dataset_at(file, path, FRAMES)
    if data is None:
        raise UnknownFormatError(
            f"{path} is an HDF5 file without {FRAMES}; save it as .npz with one stack (T, Y, X) and times_s, or as .mat"
        )
    if data.ndim != 3 or 0 in data.shape:
        raise CorruptFileError(path, FRAMES, "three non-empty axes (row, column, time)", f"of shape {data.shape}")
    table = read_small(file, path, TABLE) if data.dtype.kind in "iu" else None
    height, width, n_frames = data.shape
    slab = UNCHUNKED_SLAB if data.chunks is None else data.chunks[2]
    unit_node, dtype, convert = data, data.dtype, None
    if table is not None:
        if table.ndim != 1 or table.dtype.kind != "f":
            raise CorruptFileError(path, TABLE, "one row of temperatures", f"{table.dtype} of shape {table.shape}")
        unit_node, dtype = file[TABLE], np.dtype(np.float32)
        convert = partial(_look_up, path, table.astype(np.float32))
    unit = UNITS.get(_unit_name(unit_node, path), "K" if table is not None else "counts")
    order = (2, 0, 1)
    return HDF5Frames(path, FRAMES, (n_frames, height, width), dtype, order=order, slab=slab, convert=convert), unit


def _look_up(path: Path, table: NDArray[np.float32], block: NDArray[Any]) -> NDArray[Any]:
    if block.size and (int(block.max()) >= table.size or int(block.min()) < 0):
        raise CorruptFileError(
            path, FRAMES, f"indices of the {table.size} entries of {TABLE}", f"up to {int(block.max())}"
        )
    result: NDArray[Any] = table[block]
    return result


def _unit_name(node: Any, path: Path) -> str:
    text = text_attribute(node, "Unit")
    if text is None:
        return "undefined"
    unit = json_attribute(node, path, "Unit") if text.startswith("{") else {"name": text}
    return str(unit.get("name", "undefined")) if isinstance(unit, dict) else "undefined"


def _times(file: h5py.File, path: Path) -> NDArray[np.float64] | None:
    times = read_small(file, path, TIMES)
    if times is None:
        return None
    name = _unit_name(file[TIMES], path)
    if name not in SECONDS:
        hint = "open a file with frames over time, before any Fourier transform"
        raise CorruptFileError(path, TIMES, "times in seconds", f"in unit '{name}'", hint)
    return np.asarray(times, dtype=np.float64).reshape(-1) * SECONDS[name]


def _own_found(file: h5py.File, path: Path, own: Any, times: NDArray[np.float64] | None) -> Found:
    if times is None:
        raise CorruptFileError(path, TIMES, "one time per frame", "missing")
    return found_from_json(path, own, times, TIMES, _own_truth(file, path))


def _own_truth(file: h5py.File, path: Path) -> Truth | None:
    names = ("DefectMask", "Valid", "DepthMap")
    index, valid, depth = (read_small(file, path, f"/GroundTruth/{name}") for name in names)
    defects = json_attribute(file.get("/GroundTruth"), path, "Defects")
    if index is None and defects is None:
        return None
    if index is None or valid is None or depth is None or defects is None:
        raise CorruptFileError(
            path, "/GroundTruth", "DefectMask, Valid, DepthMap and the attribute Defects", "incomplete"
        )
    try:
        if not index.shape == valid.shape == depth.shape:
            raise TruthError("the maps differ in shape")
        return truth_from_maps(np.where(valid > 0, index.astype(np.int16), -1), depth, defects_from_json(path, defects))
    except TruthError as error:
        raise CorruptFileError(path, "/GroundTruth", "maps and table that agree", f"contradictory ({error})") from None


READER = Reader(
    name="HDF5 of thermo_qc or pyThermoNDT",
    extensions=(".h5", ".hdf5"),
    matches=lambda header: header.startswith(HDF5_SIGNATURE),
    open=open_native,
    tried_on="files of pyThermoNDT",
)
