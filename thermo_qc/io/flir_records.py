"""FLIR FFF blocks: the record directory, and where each frame's pixels and camera record are.

An FFF file is one block, SEQ and CSQ files are blocks one after another. Nothing here decodes pixels, and no count or
offset of a file is believed before it was compared with the bytes that are really there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from thermo_qc.errors import CorruptFileError
from thermo_qc.io.flir_camera import Buffer, byte_order
from thermo_qc.io.lazy import MAX_FRAME_PIXELS

__all__ = ["SIGNATURE", "FlirBlock", "RawImage", "find_blocks"]

SIGNATURE = b"FFF\0"
HEADER_BYTES, ENTRY_BYTES, SUBHEADER_BYTES = 64, 32, 32
VERSIONS = range(95, 131)
MAX_RECORDS = 64
RAW_DATA, CAMERA_INFO = 0x01, 0x20
JPEG_LS_SUBTYPE = 4
END_OF_JPEG, MAX_PADDING = b"\xff\xd9", 12
TRUNCATED = "truncated; copy the recording again, or cut it in FLIR Research Studio and export it"


class RawImage(NamedTuple):
    """Where the pixels of a frame are: place in the buffer, stored bytes, size in pixels, and how they are stored."""

    offset: int
    length: int
    width: int
    height: int
    big_endian: bool
    jpeg_ls: bool


class FlirBlock(NamedTuple):
    """One frame: first byte, byte behind the last, its pixels, and (offset, length) of its camera record."""

    start: int
    end: int
    image: RawImage
    camera: tuple[int, int] | None


class _Header(NamedTuple):
    order: str
    directory: int
    n_records: int


class _Entry(NamedTuple):
    kind: int
    subtype: int
    offset: int
    length: int


def find_blocks(path: Path, data: Buffer) -> list[FlirBlock]:
    """Index the frames of a file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    data : bytes or mmap
        Its content.

    Returns
    -------
    list of FlirBlock
        At least one; all of one size. A block without camera record points to that of the block before it.

    Raises
    ------
    CorruptFileError
        When a record lies outside the file, frames differ in size, or a part as large as a frame belongs to no block.
    """
    blocks: list[FlirBlock] = []
    for block in _walk(path, data):
        if blocks and block.image[2:4] != blocks[0].image[2:4]:
            first, other = (f"{one.width} x {one.height} pixels" for one in (blocks[0].image, block.image))
            raise CorruptFileError(path, f"frame {len(blocks)}", f"{first} like the first", f"of {other}")
        if block.camera is None and blocks:
            block = block._replace(camera=blocks[-1].camera)
        blocks.append(block)
    return blocks


def _walk(path: Path, data: Buffer) -> Iterator[FlirBlock]:
    if _header(data, 0) is None:
        raise CorruptFileError(path, "FFF header", "a version and a record directory", "impossible")
    start, shortest, number = 0, len(data), 0
    while True:
        block = _block(path, data, start, number)
        yield block
        number, shortest = number + 1, min(shortest, block.end - start)
        # Pixels may hold the signature by chance, and what lies between blocks is shorter than a frame.
        limit = min(len(data), block.end + shortest)
        start = _next_start(data, block.end, limit)
        if start < 0:
            if limit < len(data) or data[block.end : block.end + 4] == SIGNATURE:
                found = f"{len(data) - block.end} bytes without a valid block"
                raise CorruptFileError(path, f"part behind frame {number - 1}", "another frame or the end", found)
            return


def _next_start(data: Buffer, start: int, limit: int) -> int:
    while (start := data.find(SIGNATURE, start, limit)) >= 0:
        if _header(data, start) is not None:
            return start
        start += 1
    return -1


def _header(data: Buffer, start: int) -> _Header | None:
    """Byte order, directory offset and record count of a plausible block, None for anything else."""
    if start + HEADER_BYTES > len(data) or data[start : start + 4] != SIGNATURE:
        return None
    for order in "<>":
        version, directory, count = struct.unpack_from(f"{order}3I", data, start + 20)
        if version in VERSIONS and directory >= HEADER_BYTES and 0 < count < MAX_RECORDS:
            return _Header(order, directory, count)
    return None


def _block(path: Path, data: Buffer, start: int, number: int) -> FlirBlock:
    header = _header(data, start)
    if header is None:
        raise CorruptFileError(path, f"header of frame {number}", "a version and a record directory", "impossible")
    size = len(data) - start
    end = header.directory + header.n_records * ENTRY_BYTES
    if end > size:
        raise CorruptFileError(path, f"record directory of frame {number}", f"within {size} bytes", TRUNCATED)
    entries = []
    for entry in _entries(data, start + header.directory, header):
        entry = _without_lost_padding(data, start, entry)
        if entry.offset < HEADER_BYTES or entry.offset + entry.length > size:
            found = f"at {entry.offset} with {entry.length} bytes"
            raise CorruptFileError(path, f"record of frame {number}", f"within the {size} bytes that are there", found)
        end = max(end, entry.offset + entry.length)
        entries.append(entry)
    raw = [entry for entry in entries if entry.kind == RAW_DATA]
    camera = [entry for entry in entries if entry.kind == CAMERA_INFO]
    if len(raw) != 1:
        raise CorruptFileError(path, f"frame {number}", "one raw image", f"with {len(raw)} raw images")
    place = (start + camera[0].offset, camera[0].length) if camera else None
    return FlirBlock(start, start + end, _raw_image(path, data, start, raw[0], number), place)


def _entries(data: Buffer, start: int, header: _Header) -> Iterator[_Entry]:
    for index in range(header.n_records):
        place = start + index * ENTRY_BYTES
        kind, subtype = struct.unpack_from(f"{header.order}2H", data, place)
        offset, length = struct.unpack_from(f"{header.order}2I", data, place + 12)
        if kind != 0:
            yield _Entry(kind, subtype, offset, length)


def _without_lost_padding(data: Buffer, start: int, entry: _Entry) -> _Entry:
    """Shorten the last JPEG-LS record of a file when only the padding behind its end marker was not written."""
    there = len(data) - start - entry.offset
    jpeg_ls = entry.kind == RAW_DATA and entry.subtype == JPEG_LS_SUBTYPE
    if not (jpeg_ls and MAX_PADDING <= there < entry.length <= there + MAX_PADDING):
        return entry
    return entry._replace(length=there) if data.find(END_OF_JPEG, len(data) - MAX_PADDING) >= 0 else entry


def _raw_image(path: Path, data: Buffer, start: int, entry: _Entry, number: int) -> RawImage:
    field = f"raw image of frame {number}"
    if entry.length <= SUBHEADER_BYTES:
        raise CorruptFileError(path, field, f"more than {SUBHEADER_BYTES} bytes", f"of {entry.length} bytes")
    place = start + entry.offset
    order = byte_order(path, data, place, field)
    width, height = struct.unpack_from(f"{order}2H", data, place + 2)
    if not 0 < width * height <= MAX_FRAME_PIXELS:
        raise CorruptFileError(path, field, "pixels", f"of {width} x {height} pixels")
    jpeg_ls = entry.subtype == JPEG_LS_SUBTYPE
    return RawImage(place + SUBHEADER_BYTES, entry.length - SUBHEADER_BYTES, width, height, order == ">", jpeg_ls)
