"""FLIR FFF (one frame), SEQ (frames of 16 bit) and CSQ (frames in JPEG-LS) files."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thermo_qc.io.flir_frames import FlirRecord, assemble_flir
from thermo_qc.io.flir_records import SIGNATURE, find_blocks
from thermo_qc.io.reader import Reader, check_options, reading
from thermo_qc.sequence import ThermalSequence

__all__ = ["READER", "open_flir"]


def open_flir(path: Path, **options: Any) -> ThermalSequence:
    """Open a FLIR FFF, SEQ or CSQ file; frames stay in the file and only those asked for are decoded.

    Options are fields of `Facts` without `variable` and `axes`. `emissivity` and `ambient_c` (of the air) count before
    the file's in the conversion to temperatures; ``unit="counts"`` leaves the counts, ``unit="K"`` gives kelvin.

    Raises
    ------
    CorruptFileError
        When the file is damaged.
    MissingFactError
        When several frames have neither time stamps nor a frame rate.
    """
    facts = check_options(path, "the FLIR format", options)
    with reading(path, READER.name), opened_map(path) as data:
        if hasattr(mmap, "MADV_RANDOM"):
            data.madvise(mmap.MADV_RANDOM)  # the index needs a few pages of each block, not what lies around them
        records = [FlirRecord.of(path, data, block) for block in find_blocks(path, data)]
    return assemble_flir(path, records, opened_map, facts, READER.name)


@contextmanager
def opened_map(path: Path) -> Iterator[mmap.mmap]:
    """Memory map of a file, closed at the end; what is read from it is a copy."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


READER = Reader(
    name="FLIR FFF/SEQ/CSQ",
    extensions=(".fff", ".seq", ".csq"),
    matches=lambda header: header.startswith(SIGNATURE),
    open=open_flir,
    tried_on="real files of Duo Pro R, T420, SC660 and T1030sc",
)
