"""InfraTec IRB: single images; each pixel is a place in the image's palette of 256 temperatures in kelvin."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import Facts
from thermo_qc.errors import ConfigError, CorruptFileError, UnknownFormatError
from thermo_qc.io.binary import celsius_of, float_at, text_at
from thermo_qc.io.files import plain_json
from thermo_qc.io.found import Found
from thermo_qc.io.reader import Reader, assemble, check_options, reading
from thermo_qc.sequence import HistoryEntry, ThermalSequence, Unit

__all__ = ["READER", "found_of_images", "irb_unit", "open_irb", "read_irb_image"]

BLOCK_BYTES = 32
MAX_BLOCKS = 4096
IMAGE_BLOCK = 1
HEADER_BYTES, PALETTE_ENTRIES, DETAIL_BYTES = 60, 256, 644
PIXELS_AT = HEADER_BYTES + 4 * PALETTE_ENTRIES + DETAIL_BYTES
MAX_KELVIN = 1e5
OLE_EPOCH = datetime(1899, 12, 30)
ADVICE = "save it in IRBIS as single uncompressed images in one folder, or export it as CSV frames or TIFF"


@dataclass(frozen=True, kw_only=True)
class IrbImage:
    """Where one image lies in its file, and what it states."""

    offset: int
    rows: int
    columns: int
    header: bytes
    palette_k: NDArray[np.float32]
    details: bytes

    @property
    def time(self) -> datetime | None:
        """When the image was taken."""
        days, milliseconds = struct.unpack_from("<di", self.details, 540)
        if not 1 <= days < 1e5:
            return None
        seconds = 86400.0 * days
        if abs(seconds - round(seconds)) < 2e-3 and 0 <= milliseconds < 1000:  # whole seconds and milliseconds apart
            seconds = round(seconds) + milliseconds / 1000
        return OLE_EPOCH + timedelta(seconds=seconds)


def open_irb(path: Path, **options: Any) -> ThermalSequence:
    """Open a single image as a sequence of one frame, into memory.

    Options are fields of `Facts` without `variable` and `axes`; temperatures are in degC, or in K with ``unit=K``.
    Sequences in one file and compressed images are refused; a folder of single images is a recording
    (`thermo_qc.io.frame_folder`).
    """
    facts = check_options(path, "the IRB format", options)
    with reading(path, "InfraTec IRB"):
        unit = irb_unit(path, facts)
        frame = read_irb_image(path, unit)
        found = found_of_images([path], unit)
    return assemble(path, frame[np.newaxis], found, facts, READER.name)


def irb_unit(path: Path, facts: Facts) -> Unit:
    """Choose the unit of the temperatures: degC unless a person wants K.

    Raises
    ------
    ConfigError
        When counts are asked for, which the file does not hold.
    """
    if facts.unit == "counts":
        raise ConfigError(f"{path} holds temperatures and no counts; give unit=degC or unit=K, or leave it out")
    return facts.unit or "degC"


def read_irb_image(path: Path, unit: Unit = "degC") -> NDArray[np.float32]:
    """Read the temperatures of a single image.

    Parameters
    ----------
    path : Path
        The file.
    unit : {"degC", "K"}
        Of the result.

    Returns
    -------
    ndarray of float32, shape (Y, X)
        Temperatures; NaN where a pixel points behind the palette or at an entry below 0 K.

    Raises
    ------
    CorruptFileError
        When the file is damaged.
    UnknownFormatError
        When the image is compressed or the file is a sequence.
    """
    with reading(path, "InfraTec IRB"), path.open("rb") as file:
        image = _image(path, file)
        file.seek(image.offset + PIXELS_AT)
        pixels = np.frombuffer(file.read(2 * image.rows * image.columns), dtype="<u2")
    frame: NDArray[np.float32] = _temperatures(image.palette_k, unit)[pixels].reshape(image.rows, image.columns)
    return frame


def _temperatures(palette_k: NDArray[np.float32], unit: Unit) -> NDArray[np.float32]:
    """Temperature of each 16-bit value: low byte = fraction of the way from one palette entry to the next."""
    entries = np.where(palette_k < 0, np.nan, palette_k.astype(np.float64))
    fraction = np.arange(256) / 256
    result = np.full((PALETTE_ENTRIES, 256), np.nan)
    result[:-1] = entries[:-1, np.newaxis] * (1 - fraction) + entries[1:, np.newaxis] * fraction
    result[:, 0] = entries
    return (result - (273.15 if unit == "degC" else 0.0)).astype(np.float32).ravel()


def _image(path: Path, file: IO[bytes]) -> IrbImage:
    size = path.stat().st_size
    head = file.read(64)
    if len(head) < 64:
        raise CorruptFileError(path, "header", "64 bytes", f"cut after {len(head)}")
    table, count = struct.unpack_from("<2i", head, 25)
    if not (1 <= count <= MAX_BLOCKS and 33 <= table <= size - count * BLOCK_BYTES):
        expected = f"1 to {MAX_BLOCKS} entries inside the file of {size} bytes"
        raise CorruptFileError(path, "block table", expected, f"{count} entries at byte {table}")
    file.seek(table)
    blocks = list(struct.iter_unpack("<8i", file.read(count * BLOCK_BYTES)))
    images = [(block[3], block[4]) for block in blocks if block[0] == IMAGE_BLOCK]
    if len(images) != 1:
        kind = head[5:13].split(b"\0", 1)[0].decode("latin-1").strip()
        raise UnknownFormatError(
            f"{path} is an InfraTec IRB file of type {kind!r} with {len(images)} images in its table, expected a "
            f"single image; {ADVICE}"
        )
    return _image_at(path, file, *images[0], size)


def _image_at(path: Path, file: IO[bytes], offset: int, length: int, size: int) -> IrbImage:
    if offset < 64 or length < PIXELS_AT or offset + length > size:
        expected = f"at least {PIXELS_AT} bytes inside the file of {size} bytes"
        raise CorruptFileError(path, "image block", expected, f"{length} bytes at byte {offset}")
    file.seek(offset)
    content = file.read(PIXELS_AT)
    bytes_per_pixel, compressed, columns, rows = struct.unpack_from("<4h", content)
    if compressed:
        raise UnknownFormatError(f"{path} is a compressed IRB image (kind {compressed}), which is not read; {ADVICE}")
    if bytes_per_pixel != 2:
        raise CorruptFileError(path, "bytes per pixel", 2, bytes_per_pixel)
    if rows < 1 or columns < 1 or length != PIXELS_AT + 2 * rows * columns:
        raise CorruptFileError(
            path, "image size", f"rows and columns that fill {length - PIXELS_AT} bytes", f"{columns} x {rows} pixels"
        )
    palette = np.frombuffer(content, dtype="<f4", count=PALETTE_ENTRIES, offset=HEADER_BYTES)
    if not (np.abs(palette) < MAX_KELVIN).all():
        raise CorruptFileError(path, "palette", "256 temperatures in K", "not finite or impossible")
    details = content[PIXELS_AT - DETAIL_BYTES :]
    header = content[:HEADER_BYTES]
    return IrbImage(offset=offset, rows=rows, columns=columns, header=header, palette_k=palette, details=details)


def found_of_images(files: Sequence[Path], unit: Unit) -> Found:
    """Say what the images of a recording state, in their order; only headers are read.

    The times are those in the images, counted from the first, where each has one and they strictly increase. A single
    image is at zero. Camera, emissivity and ambient temperature are those of the first image.
    """
    images = []
    for path in files:
        with reading(path, "InfraTec IRB"), path.open("rb") as file:
            images.append(_image(path, file))
    first = images[0]
    emissivity = float_at(first.header, 24)
    details = {
        "unit": f"{unit}: the temperature palette of each image",
        "recorded": first.time and first.time.isoformat(timespec="milliseconds"),
        "distance_m": float_at(first.header, 28),
        "path_temperature_k": float_at(first.header, 40),
        "centre_wavelength_um": float_at(first.header, 48),
        "calibrated_from_k": float_at(first.details, 92),
        "calibrated_to_k": float_at(first.details, 96),
        "camera_serial": text_at(first.details, 450, 16),
        "lens": text_at(first.details, 202, 32),
    }
    return Found(
        times_s=_times(images),
        times_field="times of the images",
        unit=unit,
        emissivity=emissivity if emissivity is not None and 0 < emissivity <= 1 else None,
        ambient_c=celsius_of(float_at(first.header, 32)),
        camera=text_at(first.details, 142, 12),
        history=(HistoryEntry(step="open_irb", parameters=plain_json(details)),),
    )


def _times(images: Sequence[IrbImage]) -> NDArray[np.float64] | None:
    if len(images) == 1:
        return np.zeros(1)
    stamps = [image.time for image in images]
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(stamps):
        return None
    times = np.array([(stamp - known[0]).total_seconds() for stamp in known])
    return times if (np.diff(times) > 0).all() else None


READER = Reader(
    name="InfraTec IRB",
    extensions=(".irb",),
    matches=lambda header: header.startswith(b"\xffIRB\0"),
    open=open_irb,
    tried_on="three real images",
)
