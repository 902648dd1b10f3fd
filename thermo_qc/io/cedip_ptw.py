"""CEDIP (later FLIR) PTW recordings: counts, since the calibration lies in a separate file.

Little-endian and packed: a main header, then per frame a frame header and rows x columns of 16 bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np

from thermo_qc.config import Facts
from thermo_qc.errors import CorruptFileError
from thermo_qc.io.binary import celsius_of, float_at, text_at
from thermo_qc.io.files import plain_json
from thermo_qc.io.found import Found
from thermo_qc.io.frame_clock import ClockMarks, frame_interval_s, usable_period_s
from thermo_qc.io.reader import Reader, assemble, check_options, reading
from thermo_qc.io.strided import StridedFrames
from thermo_qc.sequence import Excitation, HistoryEntry, ThermalSequence

__all__ = ["READER", "open_ptw"]

KNOWN_BYTES = 2118  # up to the last field that is read
CLOCK_BYTES = 163
DAY_S = 86400.0


@dataclass(frozen=True, kw_only=True)
class PtwHeader:
    """The main header, as far as it is used; lengths in bytes."""

    main_bytes: int
    frame_header_bytes: int
    n_frames: int
    columns: int
    rows: int
    content: bytes

    @property
    def block_bytes(self) -> int:
        """Frame header and pixels."""
        return self.frame_header_bytes + 2 * self.columns * self.rows

    def number(self, offset: int) -> float | None:
        """Float at an offset, None when it is not finite."""
        return float_at(self.content, offset)

    def text(self, offset: int, length: int) -> str:
        """Text of at most `length` bytes."""
        return text_at(self.content, offset, length)


def open_ptw(path: Path, **options: Any) -> ThermalSequence:
    """Open a PTW recording; frames stay in the file. Options are fields of `Facts` without `variable` and `axes`.

    The values are counts. The time base is the frame period, or the clocks of the frames where these run evenly at
    another pace. A demodulation frequency in the header makes the excitation periodic. What else the header states
    (integration time, optics, date, comment, calibration file) goes into the history.
    """
    facts = check_options(path, "the PTW format", options)
    with reading(path, "CEDIP PTW"), path.open("rb") as file:
        header = _header(path, file)
        clock = _clock_marks(header, file)
        first = header.main_bytes + header.frame_header_bytes
        shape = (header.n_frames, header.rows, header.columns)
        frames = StridedFrames(path, shape, np.dtype("<u2"), first=first, distance=header.block_bytes)
    return assemble(path, frames, _found(path, header, clock, facts), facts, READER.name)


def _header(path: Path, file: IO[bytes]) -> PtwHeader:
    content = file.read(KNOWN_BYTES)
    if len(content) < KNOWN_BYTES:
        raise CorruptFileError(path, "main header", f"at least {KNOWN_BYTES} bytes", f"cut after {len(content)}")
    main, frame_header, block_words, pixel_words, n_frames = struct.unpack_from("<5I", content, 11)
    columns, rows, bits = struct.unpack_from("<3H", content, 377)
    header = PtwHeader(
        main_bytes=main,
        frame_header_bytes=frame_header,
        n_frames=n_frames,
        columns=columns,
        rows=rows,
        content=content,
    )
    if main < KNOWN_BYTES:
        raise CorruptFileError(path, "main header size", f"at least {KNOWN_BYTES} bytes", main)
    if 0 in (columns, rows, n_frames):
        found = f"{n_frames} of {columns} x {rows} pixels"
        raise CorruptFileError(path, "number of frames", "frames with pixels", found)
    if not 1 <= bits <= 16:
        raise CorruptFileError(path, "bits per pixel", "1 to 16", bits)
    if pixel_words != columns * rows or 2 * block_words != header.block_bytes:
        expected = f"{columns * rows} and {header.block_bytes / 2:g} 16-bit words for {columns} x {rows} pixels"
        raise CorruptFileError(path, "frame size", expected, f"{pixel_words} and {block_words}")
    _check_size(path, header)
    return header


def _check_size(path: Path, header: PtwHeader) -> None:
    there, wanted = path.stat().st_size, header.main_bytes + header.n_frames * header.block_bytes
    complete = max(0, there - header.main_bytes) // header.block_bytes
    if complete != header.n_frames:
        found = f"{complete} complete ones ({there} bytes)"
        raise CorruptFileError(path, "frames", f"{header.n_frames} frames in {wanted} bytes", found)


def _clock_marks(header: PtwHeader, file: IO[bytes]) -> ClockMarks | None:
    """Clocks of the first, middle and last frame, unrolled over midnight; None where one is not set."""
    if header.frame_header_bytes < CLOCK_BYTES:
        return None
    seconds: list[float] = []
    for index in (0, (header.n_frames - 1) // 2, header.n_frames - 1):
        file.seek(header.main_bytes + index * header.block_bytes)
        content = file.read(CLOCK_BYTES)
        minute, hour, hundredths, second = content[80:84]
        thousandths, millionths = struct.unpack_from("<BH", content, 160)
        if hour > 23 or max(minute, second) > 59 or hundredths > 99 or thousandths > 9 or millionths > 999:
            return None
        time_s = 3600.0 * hour + 60 * minute + second + hundredths / 100 + thousandths / 1e3 + millionths / 1e6
        seconds.append(time_s + DAY_S if seconds and time_s < seconds[0] else time_s)
    first, middle, last = seconds
    return ClockMarks(first_s=first, middle_s=middle, last_s=last, resolution_s=0.01)


def _found(path: Path, header: PtwHeader, clock: ClockMarks | None, facts: Facts) -> Found:
    period = usable_period_s(header.number(403) or 0.0)
    interval = frame_interval_s(path, header.n_frames, stated_s=period, clock=clock, facts=facts)
    if header.n_frames == 1 and interval is None:
        interval = 1.0  # the time of a single frame is zero in any case
    emissivity = header.number(141)
    frequency = header.number(2114) or 0.0
    lock_in = 1e-6 <= frequency <= 1e6
    entry = HistoryEntry(step="open_ptw", parameters=plain_json(_details(header, period, interval)))
    return Found(
        times_s=None if interval is None else np.arange(header.n_frames, dtype=np.float64) * interval,
        times_field="frame period",
        excitation=Excitation(kind="periodic", frequency_hz=frequency) if lock_in else Excitation(),
        unit="counts",
        emissivity=emissivity if emissivity is not None and 0 < emissivity <= 1 else None,
        ambient_c=celsius_of(header.number(145)),
        camera=header.text(44, 20),
        history=(entry,),
    )


def _details(header: PtwHeader, period_s: float | None, interval_s: float | None) -> dict[str, Any]:
    """Collect what no field of a sequence takes, and why the frames are counts."""
    frequency = header.number(2114)
    return {
        "unit": "counts: the calibration to temperature is in a separate file, which is not read",
        "calibration_file": header.text(1563, 100),
        "version": header.text(5, 5),
        "bits": struct.unpack_from("<H", header.content, 381)[0],
        "recorded": _date(header.content),
        "frame_period_s": period_s,
        "frame_interval_s": interval_s,
        "integration_time_s": header.number(407),
        "lens": header.text(64, 20),
        "filter": header.text(84, 20),
        "aperture": header.text(104, 20),
        "distance_m": header.number(149),
        "lock_in_gain": header.number(357) if frequency else None,
        "lock_in_offset": header.number(361) if frequency else None,
        "comment": header.text(563, 1000),
    }


def _date(content: bytes) -> str | None:
    year, day, month, minute, hour, hundredths, second = struct.unpack_from("<H6B", content, 35)
    try:
        return datetime(year, month, day, hour, minute, second, 10_000 * min(hundredths, 99)).isoformat()
    except ValueError:
        return None


READER = Reader(
    name="CEDIP PTW",
    extensions=(".ptw",),
    matches=lambda header: header.startswith(b"CED\0"),
    open=open_ptw,
    tried_on="two real recordings",
)
