"""FLIR radiometric JPEG: a picture for people with an FFF block in its FLIR segments; one file, or a folder of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thermo_qc.config import Facts
from thermo_qc.errors import CorruptFileError, UnknownFormatError
from thermo_qc.io.flir_frames import FlirRecord, assemble_flir
from thermo_qc.io.flir_records import find_blocks
from thermo_qc.io.reader import Reader, check_options, reading
from thermo_qc.sequence import ThermalSequence

__all__ = ["READER", "fff_of_jpeg", "open_flir_jpeg", "open_flir_jpegs"]

SOI = b"\xff\xd8"
APP1, START_OF_SCAN, END_OF_IMAGE, FILL = 0xE1, 0xDA, 0xD9, 0xFF
FLIR_MARK = b"FLIR\0\x01"
MARK_BYTES = 8  # "FLIR", 0, 1, number of the segment, number of the last


def open_flir_jpeg(path: Path, **options: Any) -> ThermalSequence:
    """Open one radiometric JPEG as a sequence of one frame. Options as those of `open_flir`.

    Raises
    ------
    UnknownFormatError
        When the picture holds no radiometric data.
    CorruptFileError
        When the data are damaged.
    """
    facts = check_options(path, "the FLIR JPEG format", options)
    return assemble_flir(path, [_record(path)], opened_fff, facts, READER.name)


def open_flir_jpegs(path: Path, files: Sequence[Path], facts: Facts, format_name: str) -> ThermalSequence:
    """Open radiometric JPEGs of one size as the frames of a recording, in the order given.

    Raises
    ------
    UnknownFormatError
        When a picture holds no radiometric data.
    CorruptFileError
        When the data of one are damaged or of another size.
    MissingFactError
        When time stamps do not increase from picture to picture.
    """
    records = [_record(file) for file in files]
    first = records[0].block.image
    for record in records:
        image = record.block.image
        if (image.width, image.height) != (first.width, first.height):
            expected = f"{first.width} x {first.height} pixels like {files[0].name}"
            raise CorruptFileError(record.file, "frame", expected, f"of {image.width} x {image.height}")
    return assemble_flir(path, records, opened_fff, facts, format_name, rate_counts=False)


def _record(file: Path) -> FlirRecord:
    with reading(file, READER.name), opened_fff(file) as data:
        blocks = find_blocks(file, data)
        if len(blocks) != 1:
            raise CorruptFileError(file, "FLIR segments", "one frame", f"holding {len(blocks)} frames")
        return FlirRecord.of(file, data, blocks[0])


@contextmanager
def opened_fff(path: Path) -> Iterator[bytes]:
    """FFF block of a radiometric JPEG."""
    yield fff_of_jpeg(path, path.read_bytes())


def fff_of_jpeg(path: Path, content: bytes) -> bytes:
    """Join the FLIR segments of a JPEG.

    Parameters
    ----------
    path : Path
        For messages.
    content : bytes
        The file's.

    Returns
    -------
    bytes
        The FFF block, never longer than `content`.

    Raises
    ------
    UnknownFormatError
        When there is no FLIR segment.
    CorruptFileError
        When one is missing, double or truncated.
    """
    parts: dict[int, bytes] = {}
    lasts: set[int] = set()
    for segment in _app1_segments(path, content):
        if segment.startswith(FLIR_MARK) and len(segment) > MARK_BYTES:
            number, last = segment[6], segment[7]
            if number in parts or number > last:
                raise CorruptFileError(
                    path, f"FLIR segment {number}", f"there once of {last + 1}", "double or too many"
                )
            parts[number] = segment[MARK_BYTES:]
            lasts.add(last)
    if not parts:
        raise UnknownFormatError(
            f"{path} is a JPEG picture without radiometric data, which is not read; export it as radiometric JPEG, "
            "TIFF or CSV in the camera's software"
        )
    if len(lasts) != 1 or len(parts) != max(lasts) + 1:
        raise CorruptFileError(path, "FLIR segments", f"{max(lasts) + 1} segments", f"only {len(parts)} of them")
    return b"".join(parts[number] for number in sorted(parts))


def _app1_segments(path: Path, content: bytes) -> Iterator[bytes]:
    place = len(SOI)
    while place + 4 <= len(content):
        if content[place] != FILL:
            raise CorruptFileError(path, f"JPEG marker at byte {place}", "0xFF", f"0x{content[place]:02X}")
        marker = content[place + 1]
        if marker == FILL:
            place += 1
            continue
        if marker in (START_OF_SCAN, END_OF_IMAGE):
            return
        (length,) = struct.unpack_from(">H", content, place + 2)
        if length < 2 or place + 2 + length > len(content):
            raise CorruptFileError(path, f"JPEG segment at byte {place}", "within the file", f"of {length} bytes")
        if marker == APP1:
            yield content[place + 4 : place + 2 + length]
        place += 2 + length


READER = Reader(
    name="FLIR radiometric JPEG",
    extensions=(".jpg", ".jpeg"),
    matches=lambda header: header.startswith(SOI + b"\xff"),
    open=open_flir_jpeg,
    tried_on="one real picture of an E60",
)
