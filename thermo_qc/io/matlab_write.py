"""Write a sequence as a MATLAB file of version 7.3.

Version 7.3 and not 5: it is HDF5, so frames of any size are written block by block and read lazily; version 5 ends at
2 GiB for a variable and would have to lie in memory whole.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import OutputError, SequenceError
from thermo_qc.io.files import atomic_path
from thermo_qc.io.metadata import NUMBERS, TEXTS, defects_to_json, metadata_to_json
from thermo_qc.io.native_write import frame_blocks
from thermo_qc.sequence import ThermalSequence

__all__ = ["write_matlab"]

CLASSES = {
    "float32": "single",
    "float64": "double",
    **{name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
}
CHUNK = (64, 32, 32)  # frames, columns, rows: MATLAB's axes appear reversed in HDF5
USER_BLOCK = 512


def write_matlab(sequence: ThermalSequence, path: Path | str) -> None:
    """Write a sequence to a .mat file that `read_sequence` reads back with all its metadata.

    In MATLAB, ``load`` gives ``images`` (rows, columns, frames), ``times_s``, ``unit``, the struct ``excitation``,
    ``pixel_pitch_mm`` and the other known facts, with truth ``defect_index`` and ``depth_mm``; ``thermo_qc`` holds all
    metadata as JSON, which counts when the file is read back.

    Parameters
    ----------
    sequence : ThermalSequence
        Frames in a file are copied block by block.
    path : Path or str
        File name; an older file is replaced when the new one is complete.

    Raises
    ------
    OutputError
        When the file cannot be written, or MATLAB has no class for the frames.
    SequenceError
        When metadata cannot be stored as JSON.
    """
    dtype = np.dtype(sequence.frames.dtype).newbyteorder("=")
    if dtype.name not in CLASSES:
        raise OutputError(f"{path}: MATLAB has no class for frames of {dtype}; write .h5, or convert them to float32")
    content = metadata_to_json(sequence)
    variables: dict[str, Any] = {
        name: content[name] for name in (*NUMBERS, *TEXTS) if content.get(name) not in (None, "")
    }
    if sequence.truth is not None:
        content["defects"] = defects_to_json(sequence.truth)
        variables |= {"defect_index": sequence.truth.defect_index, "depth_mm": sequence.truth.depth_mm}
    try:
        variables["thermo_qc"] = json.dumps(content)
    except (TypeError, ValueError) as error:
        raise SequenceError(
            f"metadata cannot be stored as JSON ({error}); keep JSON types in history parameters"
        ) from None
    with atomic_path(path) as temporary:
        try:
            with h5py.File(temporary, "w", userblock_size=USER_BLOCK, libver=("earliest", "v110")) as file:
                _write_frames(file, sequence, dtype)
                _write(file, "times_s", sequence.times_s[:, np.newaxis])
                group = file.create_group("excitation")
                group.attrs["MATLAB_class"] = np.bytes_("struct")
                for name, value in content["excitation"].items():
                    if value is not None:
                        _write(group, name, value)
                for name, value in variables.items():
                    _write(file, name, value)
        except RuntimeError as error:  # h5py's form of a failed flush
            raise OSError(str(error)) from error
        with temporary.open("r+b") as raw:
            raw.write(_header())


def _header() -> bytes:
    """First 128 bytes: text, no subsystem data, version 2.0 of the layout, byte order mark."""
    text = b"MATLAB 7.3 MAT-file, written by thermo_qc"
    return text.ljust(116) + bytes(8) + struct.pack("<H", 0x0200) + b"IM"


def _write_frames(file: h5py.File, sequence: ThermalSequence, dtype: np.dtype[Any]) -> None:
    height, width = sequence.frame_shape
    shape = (sequence.n_frames, width, height)
    chunks = tuple(min(length, size) for length, size in zip(shape, CHUNK, strict=True))
    data = file.create_dataset("images", shape, dtype, chunks=chunks)
    for time, rows in frame_blocks(sequence.frames, (chunks[0], chunks[2], chunks[1])):
        data[time, :, rows] = np.swapaxes(np.asarray(sequence.frames[time, rows, :]), 1, 2)
    data.attrs["MATLAB_class"] = np.bytes_(CLASSES[dtype.name])


def _write(group: h5py.Group, name: str, value: NDArray[Any] | str | float) -> None:
    """Write text as char, numbers as they are; MATLAB has no axes less than two."""
    if isinstance(value, str):
        units = np.frombuffer(value.encode("utf-16-le", errors="replace"), dtype="<u2")
        data = group.create_dataset(name, data=units[:, np.newaxis])
        data.attrs["MATLAB_class"] = np.bytes_("char")
        data.attrs["MATLAB_int_decode"] = np.int32(2)
        return
    array = np.atleast_2d(np.asarray(value))
    array = array.astype(np.float64) if not isinstance(value, np.ndarray) else array
    data = group.create_dataset(name, data=array.T)
    data.attrs["MATLAB_class"] = np.bytes_(CLASSES[array.dtype.name])
