"""Writers of tiny camera files after the documented layouts."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "formats"
PTW_MAIN, PTW_FRAME_HEADER = 2200, 170


def ptw_bytes(frames: np.ndarray, *, clock_s: np.ndarray | None = None, **fields: Any) -> bytes:
    """A PTW file; `fields` are period_s, lock_in_hz, emissivity, ambient_k; no clocks (all zero) unless given."""
    t, y, x = frames.shape
    main = bytearray(PTW_MAIN)
    main[0:4], main[5:9], main[10] = b"CED\0", b"5.60", 0x1A
    words = y * x
    struct.pack_into("<5I", main, 11, PTW_MAIN, PTW_FRAME_HEADER, PTW_FRAME_HEADER // 2 + words, words, t)
    struct.pack_into("<H6B", main, 35, 2011, 8, 2, 46, 15, 84, 51)
    for offset, text in ((44, b"Jade"), (64, b"50 mm"), (84, b"NE_001%"), (563, b"plate 7"), (1563, b"cal.cpf")):
        main[offset : offset + len(text)] = text
    struct.pack_into("<2f", main, 141, fields.get("emissivity", 0.95), fields.get("ambient_k", 296.15))
    struct.pack_into("<3H", main, 377, x, y, 14)
    struct.pack_into("<2f", main, 403, fields.get("period_s", 0.02), 0.00015)
    struct.pack_into("<f", main, 2114, fields.get("lock_in_hz", 0.0))
    parts = [bytes(main)]
    for index in range(t):
        header = bytearray(PTW_FRAME_HEADER)
        if clock_s is not None:
            put_ptw_clock(header, float(clock_s[index]))
        parts += [bytes(header), frames[index].astype("<u2").tobytes()]
    return b"".join(parts)


def put_ptw_clock(header: bytearray, time_s: float) -> None:
    micros = round(time_s * 1e6) % 86_400_000_000
    seconds, rest = divmod(micros, 1_000_000)
    struct.pack_into("<4B", header, 80, seconds // 60 % 60, seconds // 3600, rest // 10_000, seconds % 60)
    struct.pack_into("<BH", header, 160, rest % 10_000 // 1000, rest % 1000)


def irb_bytes(pixels: np.ndarray, palette_k: np.ndarray, *, days: float = 41654.5, milliseconds: int = 0) -> bytes:
    """A single-image IRB file; `pixels` are 256 x palette index + fraction."""
    y, x = pixels.shape
    start = 64 + 3 * 32 + 7  # after the table and a text block
    length = 60 + 1024 + 644 + 2 * y * x
    head = b"\xffIRB\0" + b"VARIOCAM" + bytes(8) + struct.pack("<3i", 100, 64, 3) + bytes(31)
    table = struct.pack("<8i", 3, 100, 1, 64 + 3 * 32, 7, 0, 0, 0)
    table += struct.pack("<8i", 1, 101, 1, start, length, 0, 1, 0) + bytes(32)
    header = bytearray(60)
    struct.pack_into("<4h", header, 0, 2, 0, x, y)
    struct.pack_into("<3f", header, 24, 0.94, 1.5, 295.65)
    struct.pack_into("<f", header, 48, 9.5)
    details = bytearray(644)
    struct.pack_into("<2f", details, 92, 233.0, 393.0)
    details[142:150], details[202:208], details[450:455] = b"VARIOCAM", b"1.0/30", b"4001a"
    struct.pack_into("<di", details, 540, days, milliseconds)
    image = bytes(header) + palette_k.astype("<f4").tobytes() + bytes(details) + pixels.astype("<u2").tobytes()
    return head + table + b"[a]\nb=1" + image


def plain_hcc(frames: np.ndarray, *, mode: int = 2, rate_hz: float = 50.0, version: tuple[int, int] = (12, 7)) -> bytes:
    """A file after the documented layout, written without fasthcc; each frame has its own offset and no clock."""
    t, y, x = frames.shape
    parts = []
    for index in range(t):
        header = bytearray(4 * x)
        struct.pack_into("<2s2BH", header, 0, b"TC", version[1], version[0], 4 * x)
        struct.pack_into("<Ifb", header, 8, index, 273.15 + index, -8)
        struct.pack_into("<IB", header, 24, 11016, mode)
        struct.pack_into("<2H", header, 32, x, y)
        struct.pack_into("<I", header, 44, round(1000 * rate_hz))
        parts += [bytes(header), frames[index].astype("<u2").tobytes()]
    return b"".join(parts)


def kelvin_palette() -> np.ndarray:
    """256 rising temperatures with uneven steps, K."""
    return 250.0 + 0.5 * np.arange(256) + 1e-3 * np.arange(256) ** 2


def patched(content: bytes, offset: int, layout: str, *values: Any) -> bytes:
    """Overwrite numbers at an offset."""
    changed = bytearray(content)
    struct.pack_into(layout, changed, offset, *values)
    return bytes(changed)
