"""NumPy files: .npy holds frames alone, .npz of `write_npz` holds everything, other .npz hold one stack by name.

Arrays are (T, Y, X) unless `axes` says otherwise. Nothing pickled is ever loaded.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from thermo_qc.errors import (
    AmbiguousInputError,
    ConfigError,
    CorruptFileError,
    SequenceError,
    TruthError,
    UnknownNameError,
    suggestion,
)
from thermo_qc.io.bounded import BoundedFile
from thermo_qc.io.files import atomic_path
from thermo_qc.io.found import Found
from thermo_qc.io.layout import arrange, axis_order, check_three_axes
from thermo_qc.io.lazy import FileFrames, check_declared_size
from thermo_qc.io.metadata import defects_from_json, defects_to_json, found_from_json, metadata_to_json, truth_from_maps
from thermo_qc.io.native_write import frame_blocks
from thermo_qc.io.reader import Reader, assemble, check_options, reading
from thermo_qc.sequence import ThermalSequence, Truth

__all__ = ["NPY_READER", "NPZ_READER", "write_npz"]

TIMES = "times_s"


class NpyFrames(FileFrames):
    """View of a .npy file through its memory map, opened for each read."""

    def __init__(
        self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], order: tuple[int, int, int]
    ) -> None:
        super().__init__(path, shape, dtype)
        self._order = order

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        stored = np.load(self.path, mmap_mode="r", allow_pickle=False)
        block = np.transpose(stored, self._order)[time, rows, columns]
        return np.array(block, dtype=self.dtype, order="C")


def open_npy(path: Path, **options: Any) -> ThermalSequence:
    """Open a .npy file; frames stay in the file. Options are fields of `Facts` without `variable`."""
    facts = check_options(path, "the .npy format", options, ("axes",))
    with reading(path, "NumPy .npy"), BoundedFile(path) as file:
        shape, dtype = _header(path, "array", file)
        data_start = file.tell()
    check_three_axes(path, "array", shape, dtype.kind)
    stored, wanted = path.stat().st_size - data_start, int(np.prod(shape, dtype=object)) * dtype.itemsize
    if stored != wanted:
        found = "truncated" if stored < wanted else "too long"
        raise CorruptFileError(path, "array", f"{wanted} bytes for shape {shape}", f"{found} ({stored} bytes)")
    order = axis_order(facts.axes or "tyx")
    t, y, x = (shape[axis] for axis in order)
    frames = NpyFrames(path, (t, y, x), np.dtype(np.uint8) if dtype.kind == "b" else dtype, order)
    return assemble(path, frames, Found(), facts, NPY_READER.name)


def _header(path: Path, field: str, file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    if version not in {(1, 0), (2, 0)}:
        raise CorruptFileError(path, field, "plain numbers (.npy version 1 or 2)", f"version {version}")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise CorruptFileError(path, field, "plain numbers", "pickled objects, which may run code", "save plain arrays")
    return shape, dtype


def open_npz(path: Path, **options: Any) -> ThermalSequence:
    """Open a .npz file, into memory. Options are fields of `Facts`."""
    facts = check_options(path, "the .npz format", options, ("variable", "axes"))
    with reading(path, "NumPy .npz"), zipfile.ZipFile(path) as archive:
        names = {
            info.filename.removesuffix(".npy"): info for info in archive.infolist() if info.filename.endswith(".npy")
        }
        if "metadata" in names and "frames" in names:
            if facts.variable is not None or facts.axes is not None:
                raise ConfigError(
                    f"{path} was written by thermo_qc and says itself what is what; leave variable and axes out"
                )
            frames = _member(path, archive, names["frames"])
            check_three_axes(path, "frames", frames.shape, frames.dtype.kind)
            return assemble(path, frames, _own_found(path, archive, names), facts, NPZ_READER.name)
        name = _stack_name(path, archive, names, facts.variable)
        frames = _member(path, archive, names[name])
        check_three_axes(path, name, frames.shape, frames.dtype.kind)
        times = _member(path, archive, names[TIMES]).astype(np.float64) if TIMES in names else None
    frames = arrange(frames, facts.axes or "tyx")
    return assemble(path, frames, Found(times_s=times, times_field=TIMES), facts, NPZ_READER.name)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array after its stated size was compared with the archive's directory."""
    check_declared_size(path, info.filename, (info.file_size,), 1, info.compress_size)
    with archive.open(info) as file:
        shape, dtype = _header(path, info.filename, file)
        wanted = file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if wanted != info.file_size:
        raise CorruptFileError(path, info.filename, f"{wanted} bytes for shape {shape}", f"{info.file_size} bytes")
    with archive.open(info) as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def _stack_name(path: Path, archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo], variable: str | None) -> str:
    if variable is not None:
        if variable not in names:
            raise UnknownNameError(f"{path} has no array '{variable}'{suggestion(variable, names)}")
        return variable
    shapes = {}
    for name, info in names.items():
        with archive.open(info) as file:
            shapes[name] = _header(path, info.filename, file)[0]
    stacks = [name for name, shape in shapes.items() if len(shape) == 3]
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
    if not stacks:
        raise CorruptFileError(path, "content", "an array with three axes", f"without one (arrays: {listed})")
    if len(stacks) > 1:
        raise AmbiguousInputError(f"{path} holds {len(stacks)} stacks; choose one with variable=NAME; arrays: {listed}")
    return stacks[0]


def _own_found(path: Path, archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo]) -> Found:
    missing = {TIMES} - set(names)
    if missing:
        raise CorruptFileError(path, TIMES, "one time per frame", "missing")
    content = json.loads(str(_member(path, archive, names["metadata"])))
    truth: Truth | None = None
    if {"defect_index", "depth_mm"} <= set(names):
        index, depth = (_member(path, archive, names[name]) for name in ("defect_index", "depth_mm"))
        try:
            truth = truth_from_maps(index, depth, defects_from_json(path, content.pop("defects", [])))
        except TruthError as error:
            raise CorruptFileError(path, "truth", "maps and table that agree", f"contradictory ({error})") from None
    return found_from_json(path, content, _member(path, archive, names[TIMES]), TIMES, truth)


def write_npz(sequence: ThermalSequence, path: Path | str, *, compressed: bool = False) -> None:
    """Write a sequence to one .npz file that `read_sequence` reads back with all its metadata.

    Parameters
    ----------
    sequence : ThermalSequence
        Frames in a file are copied block by block.
    path : Path or str
        File name; an older file is replaced when the new one is complete. The file holds ``frames`` (T, Y, X),
        ``times_s``, ``metadata`` (JSON text) and, with truth, ``defect_index`` and ``depth_mm``.
    compressed : bool
        Whether to compress.

    Raises
    ------
    OutputError
        When the file cannot be written.
    SequenceError
        When metadata cannot be stored as JSON.
    """
    content = metadata_to_json(sequence)
    arrays: dict[str, NDArray[Any]] = {TIMES: sequence.times_s}
    if sequence.truth is not None:
        content["defects"] = defects_to_json(sequence.truth)
        arrays |= {"defect_index": sequence.truth.defect_index, "depth_mm": sequence.truth.depth_mm}
    try:
        arrays["metadata"] = np.array(json.dumps(content))
    except (TypeError, ValueError) as error:
        raise SequenceError(
            f"metadata cannot be stored as JSON ({error}); keep JSON types in history parameters"
        ) from None
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", method) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy.write_array(file, array, allow_pickle=False)
        with archive.open("frames.npy", "w", force_zip64=True) as file:
            _write_frames(file, sequence)


def _write_frames(file: IO[bytes], sequence: ThermalSequence) -> None:
    frames = sequence.frames
    shape, dtype = tuple(int(length) for length in frames.shape), np.dtype(frames.dtype)
    npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    for time, rows in frame_blocks(frames):
        file.write(np.ascontiguousarray(frames[time, rows, :], dtype=dtype).tobytes())


NPY_READER = Reader(
    name="NumPy .npy",
    extensions=(".npy",),
    matches=lambda header: header.startswith(b"\x93NUMPY"),
    open=open_npy,
    tried_on="files written by NumPy",
)
NPZ_READER = Reader(
    name="NumPy .npz",
    extensions=(".npz",),
    matches=lambda header: header.startswith((b"PK\x03\x04", b"PK\x05\x06")),
    open=open_npz,
    tried_on="files written by NumPy",
)
