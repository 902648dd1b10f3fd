"""The pixels of a FLIR raw image: plain 16 bit, JPEG-LS (CSQ) or PNG (radiometric JPEG)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError
from thermo_qc.io.deadline import within
from thermo_qc.io.flir_camera import Buffer
from thermo_qc.io.flir_records import RawImage
from thermo_qc.io.lazy import reason_of

__all__ = ["decode_image", "stored_pixels"]

SOI, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
FREE_BYTES, MAX_RATIO = 16 * 2**20, 200
DECODE_S, PIXELS_PER_S = 1.0, 1e6
START_OF_FRAME, START_OF_SCAN = 0xF7, 0xDA


def decode_image(path: Path, data: Buffer, image: RawImage, rows: slice, raw_median: int = 0) -> NDArray[np.uint16]:
    """Read the counts of some rows of a raw image.

    Parameters
    ----------
    path : Path
        For messages.
    data : bytes or mmap
        What the offsets of `image` refer to.
    image : RawImage
        Of `find_blocks`.
    rows : slice
        With start and stop.
    raw_median : int
        Median count that the camera states; decides the byte order of a PNG, which cameras usually write wrong way
        round. 0 when unknown.

    Returns
    -------
    ndarray of uint16, shape (rows, width)
        A copy in the machine's byte order.

    Raises
    ------
    CorruptFileError
        When the pixels are fewer than stated, coded otherwise, or broken.
    """
    kind = stored_pixels(path, data, image)
    if kind == "plain":
        start, count = image.offset + rows.start * image.width * 2, (rows.stop - rows.start) * image.width
        block = np.frombuffer(data[start : start + 2 * count], dtype=">u2" if image.big_endian else "<u2")
        return block.reshape(-1, image.width).astype(np.uint16)
    stored = bytes(data[image.offset : image.offset + image.length])
    pixels = _decoded(path, kind, stored, image)
    if kind == "PNG":
        swapped = pixels.byteswap()
        if raw_median == 0 or _off(swapped, raw_median) <= _off(pixels, raw_median):
            pixels = swapped
    return pixels[rows]


def stored_pixels(path: Path, data: Buffer, image: RawImage) -> str:
    """Tell how the pixels are stored ("plain", "JPEG-LS", "PNG") after their size was compared with the stored bytes.

    Raises
    ------
    CorruptFileError
        When the record is too short for its pixels, or its own header states another size.
    """
    head = bytes(data[image.offset : image.offset + min(image.length, 1024)])
    pixel_bytes = 2 * image.width * image.height
    if head.startswith(PNG):
        kind, stated = "PNG", _png_size(head)
    elif image.jpeg_ls:
        kind, stated = "JPEG-LS", _jpegls_size(head)
    else:
        if image.length < pixel_bytes:
            found = f"of {image.length} bytes"
            raise CorruptFileError(path, "raw image", f"{pixel_bytes} bytes for {_size(image)} pixels", found)
        return "plain"
    if stated != (image.width, image.height):
        found = "broken" if stated is None else f"of {stated[0]} x {stated[1]} pixels"
        raise CorruptFileError(path, f"{kind} header", f"16 bit grey of {_size(image)} pixels", found)
    if pixel_bytes > max(FREE_BYTES, MAX_RATIO * image.length):
        found = f"{pixel_bytes} bytes from {image.length}"
        raise CorruptFileError(path, f"{kind} image", f"at most {MAX_RATIO} times the stored bytes", found)
    return kind


def _decoded(path: Path, kind: str, stored: bytes, image: RawImage) -> NDArray[np.uint16]:
    try:
        if kind == "PNG":
            pixels: NDArray[Any] = np.asarray(imagecodecs.png_decode(stored))
        else:  # some damaged JPEG-LS data take 10 s to be found broken, a sound megapixel takes 0.02 s
            limit_s = DECODE_S + image.width * image.height / PIXELS_PER_S
            pixels = np.asarray(within(limit_s, imagecodecs.jpegls_decode, stored))
    except Exception as error:
        raise CorruptFileError(path, f"{kind} image", "complete", f"broken ({reason_of(error)})") from None
    if pixels.shape != (image.height, image.width) or pixels.dtype != np.uint16:
        found = f"of shape {pixels.shape}, {pixels.dtype}"
        raise CorruptFileError(path, f"{kind} image", f"16 bit of {_size(image)} pixels", found)
    return pixels


def _size(image: RawImage) -> str:
    return f"{image.width} x {image.height}"


def _off(pixels: NDArray[np.uint16], median: int) -> float:
    return abs(float(np.median(pixels)) - median)


def _png_size(head: bytes) -> tuple[int, int] | None:
    """Width and height of a 16 bit grey PNG."""
    if len(head) < 29 or head[12:16] != b"IHDR" or head[24:26] != b"\x10\x00":
        return None
    width, height = struct.unpack_from(">2I", head, 16)
    return width, height


def _jpegls_size(head: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG-LS image of one component with 9 to 16 bit."""
    place = len(SOI) if head.startswith(SOI) else len(head)
    while place + 10 <= len(head) and head[place] == 0xFF:
        marker, (length,) = head[place + 1], struct.unpack_from(">H", head, place + 2)
        if marker == START_OF_FRAME:
            precision, height, width, components = struct.unpack_from(">B2HB", head, place + 4)
            return (width, height) if 8 < precision <= 16 and components == 1 else None
        if marker == START_OF_SCAN or length < 2:
            return None
        place += 2 + length
    return None
