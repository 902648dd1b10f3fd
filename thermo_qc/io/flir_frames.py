"""Frames of FLIR files: read and converted one by one, and what their camera states about the recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import Facts
from thermo_qc.errors import CorruptFileError
from thermo_qc.io.flir_camera import Buffer, CameraInfo, camera_time_s, read_camera
from thermo_qc.io.flir_pixels import decode_image, stored_pixels
from thermo_qc.io.flir_radiometry import ZERO_C_K, Radiometry, radiometry_of, temperature_table_k
from thermo_qc.io.flir_records import FlirBlock
from thermo_qc.io.found import Found
from thermo_qc.io.lazy import FileFrames
from thermo_qc.io.reader import assemble, reading
from thermo_qc.sequence import HistoryEntry, ThermalSequence, Unit

__all__ = ["FlirFrames", "FlirRecord", "assemble_flir"]

MAPPED_FRAMES = 16

Opener = Callable[[Path], AbstractContextManager[Buffer]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FlirRecord:
    """One frame: its file, its block there, and the time stamp of its camera (s since 1970)."""

    file: Path
    block: FlirBlock
    time_s: float | None

    @classmethod
    def of(cls, file: Path, data: Buffer, block: FlirBlock) -> FlirRecord:
        """Join a block with its time stamp."""
        time_s = None if block.camera is None else camera_time_s(data, block.camera)
        return cls(file=file, block=block, time_s=time_s)


class FlirFrames(FileFrames):
    """View of the frames of one or more FLIR files; only the frames asked for are decoded.

    Parameters
    ----------
    path : Path
        File or folder of the recording.
    records : sequence of FlirRecord
        One per frame, all of one size.
    opened : callable
        Gives the bytes that the blocks refer to, as a context manager.
    unit : {"counts", "degC", "K"}
        Counts stay as they are, temperatures are calculated with each frame's own camera record.
    emissivity, ambient_c : float, optional
        Count before the file's.
    """

    def __init__(
        self,
        path: Path,
        records: Sequence[FlirRecord],
        opened: Opener,
        *,
        unit: Unit,
        emissivity: float | None = None,
        ambient_c: float | None = None,
    ) -> None:
        image = records[0].block.image
        dtype = np.dtype(np.uint16 if unit == "counts" else np.float32)
        super().__init__(path, (len(records), image.height, image.width), dtype)
        self._records, self._opened, self._unit = records, opened, unit
        self._emissivity, self._ambient_c = emissivity, ambient_c

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        result = np.empty(
            (time.stop - time.start, rows.stop - rows.start, columns.stop - columns.start), dtype=self.dtype
        )
        wanted = enumerate(self._records[time])
        # A map that is closed now and then keeps few of a large file's pages in this process.
        for (file, _), records in groupby(wanted, key=lambda pair: (pair[1].file, pair[0] // MAPPED_FRAMES)):
            with self._opened(file) as data:
                for place, record in records:
                    result[place] = self._frame(record, data, rows, columns)
        return result

    def _frame(self, record: FlirRecord, data: Buffer, rows: slice, columns: slice) -> NDArray[Any]:
        camera = None if record.block.camera is None else read_camera(record.file, data, record.block.camera)
        median = 0 if camera is None else camera.raw_median
        counts = decode_image(record.file, data, record.block.image, rows, median)[:, columns]
        if self._unit == "counts":
            return counts
        radiometry = camera and radiometry_of(record.file, camera, self._emissivity, self._ambient_c)
        if radiometry is None:
            hint = "give unit=counts to read the raw counts"
            raise CorruptFileError(record.file, "calibration", "in every frame as in the first", "missing", hint)
        table = temperature_table_k(radiometry)
        return table[counts] if self._unit == "K" else table[counts] - np.float32(ZERO_C_K)


def assemble_flir(
    path: Path,
    records: Sequence[FlirRecord],
    opened: Opener,
    facts: Facts,
    format_name: str,
    *,
    rate_counts: bool = True,
) -> ThermalSequence:
    """Make the sequence of indexed frames.

    Counts become degC (K with ``unit=K``) where the file carries Planck constants; without them, or with
    ``unit=counts``, they stay counts. The history says which, and with what numbers. `rate_counts` says whether the
    camera's frame rate may stand in for missing time stamps: not for pictures taken one by one.

    Raises
    ------
    CorruptFileError
        When the first frame or its camera record is broken.
    MissingFactError
        When neither time stamps nor frame rate are known.
    """
    first = records[0]
    with reading(path, format_name), opened(first.file) as data:
        camera = None if first.block.camera is None else read_camera(first.file, data, first.block.camera)
        stored = stored_pixels(first.file, data, first.block.image)
    radiometry = None
    if camera is not None and facts.unit != "counts":
        radiometry = radiometry_of(first.file, camera, facts.emissivity, facts.ambient_c)
    unit: Unit = "counts" if radiometry is None else (facts.unit or "degC")
    frames = FlirFrames(path, records, opened, unit=unit, emissivity=facts.emissivity, ambient_c=facts.ambient_c)
    times_s, times_field = _times(records, camera if rate_counts else None)
    found = Found(
        times_s=times_s,
        times_field=times_field,
        unit=unit,
        ambient_c=None if camera is None or radiometry is None else round(camera.atmosphere_k - ZERO_C_K, 3),
        emissivity=None if radiometry is None else round(radiometry.emissivity, 6),
        camera="" if camera is None else camera.model,
        history=(_history(camera, radiometry, unit, stored, times_field if times_s is not None else "none", facts),),
    )
    return assemble(path, frames, found, facts, format_name)


def _times(records: Sequence[FlirRecord], camera: CameraInfo | None) -> tuple[NDArray[np.float64] | None, str]:
    """Time stamps where every frame has one of its own, else the frame rate; a frame alone is at 0."""
    if len(records) == 1:
        return np.zeros(1), "single frame"
    stamps = np.array([np.nan if record.time_s is None else record.time_s for record in records])
    if (np.diff(stamps) > 0).all():
        return np.round(stamps - stamps[0], 3), "time stamps"
    if camera is not None and camera.frame_rate_hz is not None:
        return np.arange(len(records)) / camera.frame_rate_hz, "frame rate"
    return None, "time stamps"


def _history(
    camera: CameraInfo | None, radiometry: Radiometry | None, unit: Unit, stored: str, times: str, facts: Facts
) -> HistoryEntry:
    content: dict[str, Any] = {"pixels": stored, "times_from": times, "unit": unit}
    if camera is not None:
        names = ("model", "part_number", "serial_number", "software", "lens", "date", "frame_rate_hz")
        content |= {name: getattr(camera, name) for name in names}
    if radiometry is None:
        asked = facts.unit == "counts"
        content["conversion"] = "none: unit=counts was asked for" if asked else "none: the file has no calibration"
    else:
        content["conversion"] = "Planck constants of each frame's camera record"
        content["emissivity_from"] = "option" if facts.emissivity is not None else "file"
        content |= {name: float(f"{getattr(radiometry, name):.7g}") for name in radiometry.__dataclass_fields__}
    return HistoryEntry(step="read_flir", parameters=content)
