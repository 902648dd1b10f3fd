"""The camera record of a FLIR frame: calibration, object parameters, names and time stamp."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeAlias

from thermo_qc.errors import CorruptFileError

__all__ = ["Buffer", "CameraInfo", "byte_order", "camera_time_s", "read_camera"]

Buffer: TypeAlias = bytes | mmap.mmap

CAMERA_BYTES = 0x390
FRAME_RATE_AT = 0x464
MAX_ZONE_MINUTES = 14 * 60
ORDER_MARKS = {b"\x02\x00": "<", b"\x00\x02": ">"}


@dataclass(frozen=True, kw_only=True)
class CameraInfo:
    """Camera record of a frame, as stored; temperatures in K, lengths in m, relative humidity as a fraction."""

    emissivity: float
    distance_m: float
    reflected_k: float
    atmosphere_k: float
    window_k: float
    window_transmission: float
    humidity: float
    planck_r1: float
    planck_b: float
    planck_f: float
    planck_o: float
    planck_r2: float
    alpha1: float
    alpha2: float
    beta1: float
    beta2: float
    x: float
    range_max_k: float
    range_min_k: float
    model: str
    part_number: str
    serial_number: str
    software: str
    lens: str
    field_of_view_deg: float
    raw_median: int
    date: str
    frame_rate_hz: float | None


def byte_order(path: Path, data: Buffer, place: int, field: str) -> str:
    """Tell the byte order ("<" or ">") that a record's first two bytes state.

    Raises
    ------
    CorruptFileError
        When they state none.
    """
    mark = bytes(data[place : place + 2])
    if mark not in ORDER_MARKS:
        raise CorruptFileError(path, field, "marked with its byte order", f"marked {mark!r}")
    return ORDER_MARKS[mark]


def read_camera(path: Path, data: Buffer, place: tuple[int, int]) -> CameraInfo:
    """Read the camera record at (offset, length).

    Raises
    ------
    CorruptFileError
        When it is too short, outside the file, or without a byte order.

    References
    ----------
    Layout as published by P. Harvey, ExifTool tag names, "FLIR CameraInfo".
    """
    start, length = place
    record = data[start : start + length]
    if len(record) < CAMERA_BYTES:
        raise CorruptFileError(path, "camera record", f"at least {CAMERA_BYTES} bytes", f"of {len(record)} bytes")
    order = byte_order(path, record, 0, "camera record")

    def at(form: str, offset: int) -> Any:
        return struct.unpack_from(order + form, record, offset)[0]

    def text(offset: int, size: int) -> str:
        return bytes(record[offset : offset + size]).split(b"\0")[0].decode("utf-8", errors="replace").strip()

    rate = at("H", FRAME_RATE_AT) if len(record) >= FRAME_RATE_AT + 2 else 0
    alpha_beta_x = struct.unpack_from(f"{order}5f", record, 0x70)
    info = CameraInfo(
        emissivity=at("f", 0x20),
        distance_m=at("f", 0x24),
        reflected_k=at("f", 0x28),
        atmosphere_k=at("f", 0x2C),
        window_k=at("f", 0x30),
        window_transmission=at("f", 0x34),
        humidity=at("f", 0x3C),
        planck_r1=at("f", 0x58),
        planck_b=at("f", 0x5C),
        planck_f=at("f", 0x60),
        planck_o=float(at("i", 0x308)),
        planck_r2=at("f", 0x30C),
        **dict(zip(("alpha1", "alpha2", "beta1", "beta2", "x"), alpha_beta_x, strict=True)),
        range_max_k=at("f", 0x90),
        range_min_k=at("f", 0x94),
        model=text(0xD4, 32),
        part_number=text(0xF4, 16),
        serial_number=text(0x104, 16),
        software=text(0x114, 16),
        lens=text(0x170, 32),
        field_of_view_deg=at("f", 0x1B4),
        raw_median=at("H", 0x338),
        date=_date(*struct.unpack_from(f"{order}2Ih", record, 0x384)),
        frame_rate_hz=float(rate) if rate else None,
    )
    return replace(info, humidity=info.humidity / 100) if 1 < info.humidity <= 100 else info


def camera_time_s(data: Buffer, place: tuple[int, int]) -> float | None:
    """Time stamp of the camera record at (offset, length), s since 1970 to the millisecond; None when it has none."""
    start, length = place
    order = ORDER_MARKS.get(bytes(data[start : start + 2]))
    if length < CAMERA_BYTES or order is None:
        return None
    seconds, milliseconds = struct.unpack_from(f"{order}2I", data, start + 0x384)
    return seconds + (milliseconds & 0xFFFF) / 1000 if seconds else None


def _date(seconds: int, milliseconds: int, west_minutes: int) -> str:
    """ISO date of a time stamp, with the camera's time zone where it states a possible one; "" without a stamp."""
    if seconds == 0:
        return ""
    zone = timezone(timedelta(minutes=-west_minutes)) if abs(west_minutes) <= MAX_ZONE_MINUTES else UTC
    moment = datetime.fromtimestamp(seconds, tz=UTC) + timedelta(milliseconds=milliseconds & 0xFFFF)
    return moment.astimezone(zone).isoformat(timespec="milliseconds")
