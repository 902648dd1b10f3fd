"""Write the project's own HDF5 file in bounded memory, whole or not at all; `thermo_qc.io.native` has the layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from thermo_qc.errors import OutputError, SequenceError
from thermo_qc.io.files import atomic_path
from thermo_qc.io.guard import trust_hdf5
from thermo_qc.io.metadata import defects_to_json, metadata_to_json
from thermo_qc.sequence import FrameSource, ThermalSequence, Truth

__all__ = ["Compression", "frame_blocks", "write_sequence"]

Compression = Literal["gzip", "lzf"] | None
CHUNK = (32, 32, 64)  # rows, columns, frames: tests/benchmarks/bench_native_chunks.py compares others
BLOCK_BYTES = 64 * 2**20
UNITS = {
    "K": {"name": "kelvin", "quantity": "temperature", "symbol": "K"},
    "degC": {"name": "celsius", "quantity": "temperature", "symbol": "°C"},
    "counts": {"name": "arbitrary", "quantity": "arbitrary", "symbol": "a. u."},
    "s": {"name": "second", "quantity": "time", "symbol": "s"},
    "1": {"name": "dimensionless", "quantity": "dimensionless", "symbol": "1"},
    "mm": {"name": "millimetre", "quantity": "length", "symbol": "mm"},
    "px": {"name": "pixel", "quantity": "length", "symbol": "px"},
}


def write_sequence(sequence: ThermalSequence, path: Path | str, *, compression: Compression = None) -> None:
    """Write a sequence to the native HDF5 format.

    The file holds every field; `read_sequence` gives it back. Frames in a file are copied block by block (64 MiB),
    chunked 32 x 32 pixels x 64 frames, so that one frame and the curves of a small block are both quick. NXdata
    attributes let silx and H5Web plot it, pyThermoNDT finds its own paths.

    Parameters
    ----------
    sequence : ThermalSequence
        What to write.
    path : Path or str
        File name; an older file is replaced when the new one is complete.
    compression : {None, "gzip", "lzf"}
        Lossless compression of the frames; None is quickest to read.

    Raises
    ------
    OutputError
        When the file cannot be written, or `compression` is unknown.
    SequenceError
        When metadata cannot be stored as JSON.

    Examples
    --------
    >>> write_sequence(sequence, "plate7.h5", compression="gzip")  # doctest: +SKIP
    """
    if compression not in (None, "gzip", "lzf"):
        raise OutputError(f"compression is '{compression}', expected None, 'gzip' or 'lzf'")
    attributes = {"ThermoQC": _json(metadata_to_json(sequence)), "Source": "thermo_qc"}
    with atomic_path(path) as temporary:
        try:
            with h5py.File(temporary, "w", libver=("earliest", "v110")) as file:
                _write_frames(file, sequence, compression)
                _write_metadata(file, sequence, attributes)
                if sequence.truth is not None:
                    _write_truth(file, sequence.truth)
        except RuntimeError as error:  # h5py's form of a failed flush
            raise OSError(str(error)) from error
    trust_hdf5(Path(path))


def frame_blocks(
    frames: FrameSource, chunk: tuple[int, int, int] = (1, 1, 1), max_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[slice, slice]]:
    """Cut (T, Y, X) into blocks of whole columns, as many frames as fit `max_bytes`, aligned to chunks (T, Y, X).

    Yields
    ------
    time, rows : slice
        In the order of time, so that files of frames are read once from front to back.
    """
    n_frames, height, width = (int(length) for length in frames.shape)
    pixel_bytes = np.dtype(frames.dtype).itemsize
    rows_step = min(height, max(chunk[1], max_bytes // (pixel_bytes * width * chunk[0]) // chunk[1] * chunk[1]))
    time_step = max(chunk[0], max_bytes // (pixel_bytes * width * rows_step) // chunk[0] * chunk[0])
    for start in range(0, n_frames, time_step):
        for row in range(0, height, rows_step):
            yield slice(start, min(start + time_step, n_frames)), slice(row, min(row + rows_step, height))


def _write_frames(file: h5py.File, sequence: ThermalSequence, compression: Compression) -> None:
    height, width = sequence.frame_shape
    shape = (height, width, sequence.n_frames)
    chunks = tuple(min(length, size) for length, size in zip(shape, CHUNK, strict=True))
    dtype = np.dtype(sequence.frames.dtype).newbyteorder("=")
    data = file.create_dataset(
        "/Data/Tdata", shape, dtype, chunks=chunks, compression=compression, shuffle=compression is not None
    )
    for time, rows in frame_blocks(sequence.frames, (chunks[2], chunks[0], chunks[1])):
        data[rows, :, time] = np.moveaxis(np.asarray(sequence.frames[time, rows, :]), 0, -1)
    _describe(data, sequence.unit, "temperature" if sequence.unit != "counts" else "signal")
    pitch, length = (1.0, "px") if sequence.pixel_pitch_mm is None else (sequence.pixel_pitch_mm, "mm")
    for name, size in (("y", height), ("x", width)):
        _describe(file.create_dataset(f"/Data/{name}", data=(np.arange(size) + 0.5) * pitch), length, name)
    file["/Data/time"] = h5py.SoftLink("/MetaData/DomainValues")
    file["/Data"].attrs.update({"NX_class": "NXdata", "signal": "Tdata", "axes": ["y", "x", "time"]})
    file.attrs.update({"NX_class": "NXentry", "default": "Data"})


def _write_metadata(file: h5py.File, sequence: ThermalSequence, attributes: dict[str, str]) -> None:
    times = file.create_dataset("/MetaData/DomainValues", data=sequence.times_s)
    _describe(times, "s", "time after the start of the excitation")
    start, stop = sequence.excitation.start_s, sequence.excitation.stop_s
    end = np.inf if stop is None else stop
    heating = ((sequence.times_s >= start) & (sequence.times_s < end)).astype(np.float64)
    if sequence.excitation.kind in ("unknown", "periodic"):
        heating[:] = 0.0
    _describe(file.create_dataset("/MetaData/ExcitationSignal", data=heating), "1", "1 while heating")
    file["/MetaData"].attrs.update(attributes)


def _write_truth(file: h5py.File, truth: Truth) -> None:
    index = np.maximum(truth.defect_index, 0)
    mask = file.create_dataset("/GroundTruth/DefectMask", data=index)
    _describe(mask, "1", "number of the defect, 0 sound")
    mask.attrs["LabelIds"] = _json(
        {"sound": 0, **{_label(defect.number, defect.name): defect.number for defect in truth.defects}}
    )
    valid = file.create_dataset("/GroundTruth/Valid", data=truth.valid.astype(np.uint8))
    _describe(valid, "1", "1 where the truth may be used")
    _describe(file.create_dataset("/GroundTruth/DepthMap", data=truth.depth_mm), "mm", "depth from the inspected face")
    file["/GroundTruth"].attrs["Defects"] = _json(defects_to_json(truth))


def _label(number: int, name: str) -> str:
    return f"{number} {name}".strip()


def _describe(dataset: h5py.Dataset, unit: str, long_name: str) -> None:
    dataset.attrs.update({"Unit": json.dumps(UNITS[unit]), "units": unit, "long_name": long_name})


def _json(content: Any) -> str:
    try:
        return json.dumps(content)
    except (TypeError, ValueError) as error:
        raise SequenceError(
            f"metadata cannot be stored as JSON ({error}); keep JSON types in history parameters"
        ) from None
