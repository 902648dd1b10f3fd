"""Fabricated FLIR files: blocks with a camera record and a raw image, plain, JPEG-LS or PNG; and JPEGs around them."""

from __future__ import annotations

import struct
from typing import Any

import imagecodecs
import numpy as np

SECONDS = 1_700_000_000
PLANCK = {"r1": 21106.76953125, "b": 1501.0, "f": 1.0, "o": -7340, "r2": 0.012545257806777954}
CLEAR = {
    "emissivity": 1.0,
    "distance": 0.0,
    "reflected": 293.15,
    "atmosphere": 295.15,
    "window": 293.15,
    "window_transmission": 1.0,
    "humidity": 0.5,
}
FLOATS = {
    "emissivity": 0x20,
    "distance": 0x24,
    "reflected": 0x28,
    "atmosphere": 0x2C,
    "window": 0x30,
    "window_transmission": 0x34,
    "humidity": 0x3C,
    "r1": 0x58,
    "b": 0x5C,
    "f": 0x60,
    "r2": 0x30C,
}
ATMOSPHERE = (0.006569, 0.01262, -0.002276, -0.00667, 1.9)


def counts_of(n: int, height: int = 6, width: int = 8, seed: int = 0) -> np.ndarray:
    """Counts (T, Y, X) between about 18 and 37 degC with the constants above."""
    return np.random.default_rng(seed).integers(17200, 20800, (n, height, width)).astype(np.uint16)


def celsius(counts: np.ndarray) -> np.ndarray:
    """Planck's law alone, in its published form."""
    signal = PLANCK["r2"] * (counts.astype(np.float64) + PLANCK["o"])
    return PLANCK["b"] / np.log(PLANCK["r1"] / signal + PLANCK["f"]) - 273.15


def camera(order: str = "<", time_s: float | None = 0.0, rate: int = 30, zone: int = -60, **values: Any) -> bytes:
    record = bytearray(2476)
    numbers = {**CLEAR, **PLANCK, **values}
    struct.pack_into(f"{order}H", record, 0, 2)
    for name, offset in FLOATS.items():
        struct.pack_into(f"{order}f", record, offset, numbers[name])
    struct.pack_into(f"{order}5f", record, 0x70, *ATMOSPHERE)
    struct.pack_into(f"{order}i", record, 0x308, int(numbers["o"]))
    struct.pack_into(f"{order}H", record, 0x338, numbers.get("median", 0))
    for offset, text in ((0xD4, b"Test camera"), (0x104, b"4711"), (0x170, b"FOL7")):
        record[offset : offset + len(text)] = text
    if time_s is not None:
        whole, rest = divmod(round(time_s * 1000), 1000)
        struct.pack_into(f"{order}2Ih", record, 0x384, SECONDS + whole, rest, zone)
    struct.pack_into(f"{order}H", record, 0x464, rate)
    return bytes(record)


def raw_image(counts: np.ndarray, order: str = "<", coding: str = "plain") -> bytes:
    height, width = counts.shape
    head = struct.pack(f"{order}3H", 2, width, height).ljust(32, b"\0")
    if coding == "JPEG-LS":
        return head + imagecodecs.jpegls_encode(counts)
    if coding.startswith("PNG"):
        return head + imagecodecs.png_encode(counts.byteswap() if coding == "PNG" else counts)
    return head + counts.astype(f"{order}u2").tobytes()


def block(
    counts: np.ndarray,
    *,
    order: str = "<",
    inner: str = "<",
    coding: str = "plain",
    with_camera: bool = True,
    **values: Any,
) -> bytes:
    """One FFF block; `order` is that of header and directory, `inner` that of the records."""
    records = [(0x01, 4 if coding == "JPEG-LS" else 2, raw_image(counts, inner, coding))]
    if with_camera:
        records.insert(0, (0x20, 1, camera(inner, **values)))
    records.append((0x2B, 1, b"GPS record "))
    offset, entries, content = 64 + 32 * (len(records) + 1), b"", b""
    for kind, subtype, record in records:
        entries += struct.pack(f"{order}2H4I", kind, subtype, 100, 1, offset + len(content), len(record)).ljust(
            32, b"\0"
        )
        content += record
    header = b"FFF\0" + b"TEST".ljust(16, b"\0") + struct.pack(f"{order}3I", 101, 64, len(records) + 1)
    return header.ljust(64, b"\0") + entries + bytes(32) + content


def recording(counts: np.ndarray, *, fps: float = 30.0, gap: bytes = b"", **values: Any) -> bytes:
    """Blocks one after another, with time stamps at `fps`."""
    frames = enumerate(counts)
    return gap.join(block(frame, **{"time_s": index / fps, **values}) for index, frame in frames)


def radiometric_jpeg(fff: bytes, part: int = 1500) -> bytes:
    """A JPEG whose APP1 segments carry a FFF block in parts."""
    picture = imagecodecs.jpeg8_encode(np.zeros((8, 8), np.uint8))
    parts = [fff[start : start + part] for start in range(0, len(fff), part)]
    segments = b""
    for index, content in enumerate(parts):
        payload = b"FLIR\0\x01" + bytes([index, len(parts) - 1]) + content
        segments += b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
    return picture[:2] + segments + picture[2:]
