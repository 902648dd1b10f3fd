"""Write a sequence as OME-TIFF: a page per frame, times and pixel pitch where other software looks for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from thermo_qc.errors import OutputError, SequenceError
from thermo_qc.io.files import atomic_path
from thermo_qc.io.metadata import defects_to_json, metadata_to_json
from thermo_qc.io.native_write import BLOCK_BYTES
from thermo_qc.io.tiff import TRUTH_IMAGES
from thermo_qc.io.tiff_notes import OWN_NAMESPACE
from thermo_qc.sequence import ThermalSequence

__all__ = ["write_tiff"]

TYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
CLASSIC_BYTES = 2**32 - 2**26  # what a TIFF with 32-bit offsets holds, with room for directories
DIRECTORY_BYTES = 512


def write_tiff(sequence: ThermalSequence, path: Path | str) -> None:
    """Write a sequence to one TIFF file that `read_sequence` reads back with all its metadata.

    Frames are uncompressed pages with OME-XML: `DeltaT` of each plane, `PhysicalSizeX`, and a comment annotation with
    everything else as JSON. Truth follows as two more images. Above 4 GiB the file is a BigTIFF. Frames in a file are
    copied block by block.

    Parameters
    ----------
    sequence : ThermalSequence
        What to write.
    path : Path or str
        File name; an older file is replaced when the new one is complete.

    Raises
    ------
    OutputError
        When the file cannot be written, or OME-TIFF has no type for the frames.
    SequenceError
        When metadata cannot be stored as JSON.
    """
    dtype = np.dtype(sequence.frames.dtype).newbyteorder("=")
    if dtype.name not in TYPES:
        raise OutputError(f"{path}: OME-TIFF has no type for frames of {dtype}; write .h5, or convert them to float32")
    shape = (sequence.n_frames, *sequence.frame_shape)
    n_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize + shape[0] * DIRECTORY_BYTES
    own = _own_json(sequence)
    with (
        atomic_path(path) as temporary,
        tifffile.TiffWriter(temporary, ome=True, bigtiff=n_bytes > CLASSIC_BYTES) as file,
    ):
        metadata = _ome(sequence) | {"CommentAnnotation": {"Namespace": OWN_NAMESPACE, "Value": own}}
        file.write(_frames(sequence, dtype), shape=shape, dtype=dtype, photometric="minisblack", metadata=metadata)
        if sequence.truth is not None:
            for name in TRUTH_IMAGES:
                image = getattr(sequence.truth, name)
                file.write(image, photometric="minisblack", metadata={"axes": "YX", "Name": name})


def _frames(sequence: ThermalSequence, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    step = max(1, BLOCK_BYTES // (dtype.itemsize * int(np.prod(sequence.frame_shape))))
    for start in range(0, sequence.n_frames, step):
        yield from np.ascontiguousarray(sequence.frames[start : start + step, :, :], dtype=dtype)


def _own_json(sequence: ThermalSequence) -> str:
    content = metadata_to_json(sequence) | {"times_s": sequence.times_s.tolist()}
    if sequence.truth is not None:
        content["defects"] = defects_to_json(sequence.truth)
    try:
        return json.dumps(content)
    except (TypeError, ValueError) as error:
        raise SequenceError(
            f"metadata cannot be stored as JSON ({error}); keep JSON types in history parameters"
        ) from None


def _ome(sequence: ThermalSequence) -> dict[str, Any]:
    times = sequence.times_s.tolist()
    result: dict[str, Any] = {
        "axes": "TYX",
        "Name": sequence.specimen_id or "frames",
        "Plane": {"DeltaT": times, "DeltaTUnit": ["s"] * len(times)},
    }
    if sequence.frame_rate_hz:
        result |= {"TimeIncrement": 1 / sequence.frame_rate_hz, "TimeIncrementUnit": "s"}
    if sequence.pixel_pitch_mm is not None:
        for axis in "XY":
            result |= {f"PhysicalSize{axis}": sequence.pixel_pitch_mm, f"PhysicalSize{axis}Unit": "mm"}
    return result
