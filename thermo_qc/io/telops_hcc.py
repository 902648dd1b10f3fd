"""Telops HCC recordings, through the package fasthcc.

No recording of a real camera was at hand: the reader is tested on files that fasthcc writes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import Facts
from thermo_qc.errors import ConfigError, CorruptFileError, MissingDependencyError
from thermo_qc.io.files import plain_json
from thermo_qc.io.found import Found
from thermo_qc.io.frame_clock import ClockMarks, frame_interval_s, usable_period_s
from thermo_qc.io.lazy import FileFrames
from thermo_qc.io.reader import Reader, assemble, check_options, reading
from thermo_qc.sequence import HistoryEntry, ThermalSequence, Unit

__all__ = ["READER", "open_hcc"]

PREFIX_BYTES = 48
MODES = {0: "raw", 1: "NUC", 2: "RT"}
TEMPERATURE_MODE = 2
BATCH_BYTES = 16 * 2**20


class HccFrames(FileFrames):
    """View of the frames of an HCC file: 16-bit counts, or values scaled by what the header of each frame says."""

    def __init__(self, path: Path, shape: tuple[int, int, int], *, scaled: bool, shift: float) -> None:
        super().__init__(path, shape, np.dtype(np.float32 if scaled else np.uint16))
        self._scaled, self._shift = scaled, shift

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        result = np.empty(
            (time.stop - time.start, rows.stop - rows.start, columns.stop - columns.start), dtype=self.dtype
        )
        batch = max(1, BATCH_BYTES // (2 * self.shape[1] * self.shape[2]))
        with _fasthcc(self.path).HCCReader(self.path) as file:
            for start in range(time.start, time.stop, batch):
                stop = min(start + batch, time.stop)
                block = file.read_frames(start, stop)[:, rows, columns]
                if self._scaled:
                    scales = [_scale(self.path, header) for header in file.read_metadata(start, stop)]
                    factor, offset = (np.array(part)[:, np.newaxis, np.newaxis] for part in zip(*scales, strict=True))
                    block = block * factor + (offset + self._shift)
                result[start - time.start : stop - time.start] = block
        return result


def open_hcc(path: Path, **options: Any) -> ThermalSequence:
    """Open an HCC recording; frames stay in the file. Options are fields of `Facts` without `variable` and `axes`.

    Frames of calibration mode RT are temperatures in degC (K with ``unit=K``, the stored numbers with
    ``unit=counts``); those of other modes are counts. The time base is the frame rate, or the clocks of the frames
    where these run evenly at another pace.

    Raises
    ------
    MissingDependencyError
        When the package fasthcc is missing.
    """
    facts = check_options(path, "the HCC format", options)
    with reading(path, "Telops HCC"):
        n_frames, rows, columns = _shape(path)
        with _fasthcc(path).HCCReader(path) as file:
            middle = (n_frames - 1) // 2
            marked = [file.read_metadata(index, index + 1)[0] for index in (0, middle, n_frames - 1)]
        _check_marks(path, marked, (rows, columns))
        unit = _unit(path, marked[0]["CalibrationMode"], facts)
        shift = -273.15 if unit == "degC" else 0.0
        frames = HccFrames(path, (n_frames, rows, columns), scaled=unit != "counts", shift=shift)
        if unit != "counts":
            _scale(path, marked[0])
    return assemble(path, frames, _found(path, n_frames, marked, unit, facts), facts, READER.name)


def _fasthcc(path: Path) -> ModuleType:
    try:
        import fasthcc
    except ImportError:
        raise MissingDependencyError("fasthcc", f"{path}: reading Telops HCC") from None
    module: ModuleType = fasthcc
    return module


def _shape(path: Path) -> tuple[int, int, int]:
    """Frames, rows and columns, after the size of the file was compared with them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(PREFIX_BYTES)
    if len(head) < PREFIX_BYTES:
        raise CorruptFileError(path, "header", f"{PREFIX_BYTES} bytes", f"cut after {len(head)}")
    columns, rows = struct.unpack_from("<2H", head, 32)
    if columns < PREFIX_BYTES // 4 or rows == 0:
        expected = f"at least {PREFIX_BYTES // 4} columns and a row"
        raise CorruptFileError(path, "frame size", expected, f"{columns} x {rows} pixels")
    frame_bytes = 2 * columns * (rows + 2)  # the header takes the room of two rows
    if size < frame_bytes or size % frame_bytes:
        expected = f"a multiple of {frame_bytes} bytes ({columns} x {rows} pixels and a header)"
        raise CorruptFileError(path, "file size", expected, f"{size} bytes")
    return size // frame_bytes, rows, columns


def _check_marks(path: Path, marked: list[Mapping[str, Any]], shape: tuple[int, int]) -> None:
    """Refuse a file whose first, middle and last frame differ in what all frames share."""
    for header in marked:
        found = (header["Height"], header["Width"], header["CalibrationMode"])
        expected = (*shape, marked[0]["CalibrationMode"])
        if found != expected:
            field = "rows, columns and calibration mode of a frame"
            raise CorruptFileError(path, field, f"{expected} as in the first frame", found)


def _unit(path: Path, mode: int, facts: Facts) -> Unit:
    if facts.unit == "counts" or mode == TEMPERATURE_MODE:
        return facts.unit or "degC"
    if facts.unit is not None:
        raise ConfigError(
            f"{path} holds counts (calibration mode {MODES.get(mode, mode)}), not {facts.unit}; leave the unit out, or "
            "export the recording in mode RT"
        )
    return "counts"


def _scale(path: Path, header: Mapping[str, Any]) -> tuple[float, float]:
    """Factor and offset (K) of one frame."""
    exponent, offset = header["DataExp"], header["DataOffset"]
    if not (-32 <= exponent <= 8 and abs(offset) <= 1e5):
        expected = "2^-32 to 2^8 and a temperature"
        raise CorruptFileError(path, "scale and offset of a frame", expected, f"2^{exponent} and {offset:g}")
    return 2.0**exponent, offset


def _found(path: Path, n_frames: int, marked: list[Mapping[str, Any]], unit: Unit, facts: Facts) -> Found:
    first = marked[0]
    rate = first["AcquisitionFrameRate"]
    period = usable_period_s(1 / rate) if rate > 0 else None
    interval = frame_interval_s(path, n_frames, stated_s=period, clock=_clock(marked), facts=facts)
    if n_frames == 1 and interval is None:
        interval = 1.0  # the time of a single frame is zero in any case
    mode = MODES.get(first["CalibrationMode"], first["CalibrationMode"])
    details = {
        "calibration_mode": mode,
        "unit": f"{unit}: " + ("as stored" if unit == "counts" else "scale and offset of each frame"),
        "header_version": f"{first['DeviceXMLMajorVersion']}.{first['DeviceXMLMinorVersion']}",
        "frame_rate_hz": rate,
        "frame_interval_s": interval,
        "exposure_time_us": first["ExposureTime"],
        "window_offset_px": [first["OffsetX"], first["OffsetY"]],
        "posix_time_s": first.get("POSIXTime") or None,
    }
    return Found(
        times_s=None if interval is None else np.arange(n_frames, dtype=np.float64) * interval,
        times_field="frame rate",
        unit=unit,
        history=(HistoryEntry(step="open_hcc", parameters=plain_json(details)),),
    )


def _clock(marked: list[Mapping[str, Any]]) -> ClockMarks | None:
    """Clocks of the marked frames; None for old headers, which have none, and where one is not set."""
    if not all(header.get("POSIXTime") and header["SubSecondTime"] < 10**7 for header in marked):
        return None
    start = marked[0]["POSIXTime"]
    first, middle, last = (header["POSIXTime"] - start + header["SubSecondTime"] * 1e-7 for header in marked)
    return ClockMarks(first_s=first, middle_s=middle, last_s=last, resolution_s=1e-7)


READER = Reader(
    name="Telops HCC",
    extensions=(".hcc",),
    matches=lambda header: header.startswith(b"TC") and len(header) >= PREFIX_BYTES and 5 <= header[3] <= 15,
    open=open_hcc,
)
