"""Numbers and texts at fixed places of camera files; everything is little-endian."""

from __future__ import annotations

import math
import struct

__all__ = ["celsius_of", "float_at", "text_at"]


def float_at(content: bytes, offset: int) -> float | None:
    """Read a 32-bit float to its seven digits (0.98, not 0.980000019); None when it is not finite."""
    value = struct.unpack_from("<f", content, offset)[0]
    return float(f"{value:.7g}") if math.isfinite(value) else None


def text_at(content: bytes, offset: int, length: int) -> str:
    """Read a text of at most `length` bytes, ended by the first zero byte; what cannot be printed becomes a blank."""
    text = content[offset : offset + length].split(b"\0", 1)[0].decode("latin-1")
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


def celsius_of(kelvin: float | None) -> float | None:
    """Turn an ambient temperature in K into degC; None when no place on earth is that warm or cold."""
    return round(kelvin - 273.15, 4) if kelvin is not None and 150 <= kelvin <= 400 else None
