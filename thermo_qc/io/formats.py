"""`read_sequence`: which reader opens a file, and the table of readers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.config import Facts, parse_config
from thermo_qc.errors import CorruptFileError, InputError, UnknownFormatError
from thermo_qc.io import (
    cedip_ptw,
    csv_table,
    flir,
    flir_jpeg,
    frame_folder,
    infratec_irb,
    irbis_text,
    matlab,
    native,
    numpy_files,
    telops_hcc,
    tiff,
)
from thermo_qc.io.files import is_there
from thermo_qc.io.reader import Reader
from thermo_qc.io.sidecar import merge_facts, read_facts_sidecar
from thermo_qc.sequence import ThermalSequence

__all__ = ["READERS", "all_readers", "detect_format", "read_sequence"]

logger = logging.getLogger(__name__)

READERS: tuple[Reader, ...] = (
    native.READER,
    matlab.READER,
    numpy_files.NPY_READER,
    numpy_files.NPZ_READER,
    tiff.READER,
    flir.READER,
    flir_jpeg.READER,
    cedip_ptw.READER,
    infratec_irb.READER,
    telops_hcc.READER,
    irbis_text.READER,
    csv_table.READER,
    frame_folder.READER,
)
"""All formats; a file goes to the first reader that knows its header."""

ENTRY_POINTS = "thermo_qc.readers"
HEADER_BYTES = 1024


def read_sequence(path: Path | str, **facts: Any) -> ThermalSequence:
    """Open a recording of any known format.

    Parameters
    ----------
    path : Path or str
        File, or folder of frames.
    **facts
        Fields of `thermo_qc.config.Facts` (`frame_rate_hz`, `pixel_pitch_mm`, `heating_start_s`, ...). What is given
        here counts before the sidecar YAML beside the recording (`read_facts_sidecar`), and that before the file.
        Times are on the file's own axis; the result's axis starts with the heating where its start is known.

    Returns
    -------
    ThermalSequence
        Frames of large or quickly readable files stay in the file; `loaded()` brings them into memory.

    Raises
    ------
    InputError
        When the path is missing, empty or unreadable (`UnknownFormatError`, `CorruptFileError`, `AmbiguousInputError`
        and `MissingFactError` are its kinds).
    ConfigError
        When a fact is unknown, impossible, or of no use to the format.

    Examples
    --------
    >>> sequence = read_sequence("plate7.mat", variable="F1.images", frame_rate_hz=25.0)  # doctest: +SKIP
    """
    path = Path(path)
    given = parse_config(Facts, {name: _plain(value) for name, value in facts.items() if value is not None}, str(path))
    reader = detect_format(path)
    options = merge_facts(given, read_facts_sidecar(path))
    sequence = reader.open(path, **options)
    if not isinstance(sequence, ThermalSequence):
        raise InputError(
            f"{path}: the reader '{reader.name}' returned {type(sequence).__name__}; update the package that brings it"
        )
    logger.debug("%s: %s, %d frames of %s", path, reader.name, sequence.n_frames, sequence.frame_shape)
    return sequence


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def detect_format(path: Path | str) -> Reader:
    """Find the reader for a file by its first bytes, or for a folder.

    Raises
    ------
    InputError
        When the path is missing, empty or cannot be read.
    UnknownFormatError
        When no reader knows it; the message says how to export where the format is known but not read.
    CorruptFileError
        When the file name promises a format that the first bytes deny.
    """
    path = Path(path)
    if is_there(path) and path.is_dir():
        for reader in all_readers():
            if reader.folders:
                return reader
        raise UnknownFormatError(f"{path} is a folder, expected a file")
    header = _header(path)
    for reader in all_readers():
        if not reader.folders and reader.matches(header):
            return reader
    raise _unknown(path, header)


def _header(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if not header:
        raise CorruptFileError(path, "content", "a recording", "empty")
    return header


@dataclass(frozen=True, kw_only=True)
class KnownFormat:
    """A format that is recognised only to say how its recordings get in."""

    name: str
    extensions: tuple[str, ...]
    matches: Callable[[bytes], bool]
    advice: str


_EXPORT = "export the sequence to TIFF, CSV frames (degC), MATLAB or HDF5 in {software} and give frame_rate_hz"


def _is_ats(header: bytes) -> bool:
    """Whether the header names a FLIR camera where the one public description of ATS has it (not verified)."""
    camera = header[339:361].split(b"\0", 1)[0]
    columns, rows = (int.from_bytes(header[place : place + 2], "little") for place in (407, 409))
    return camera.lstrip().upper().startswith(b"FLIR") and 16 <= columns <= 8192 and 16 <= rows <= 8192


REFUSED: tuple[KnownFormat, ...] = (
    KnownFormat(
        name="edevis recording",
        extensions=(".otvis", ".itvispulse", ".di"),
        matches=lambda header: header[257:262] == b"ustar" and header.startswith(b"content.xml"),
        advice="open it with the package pythermondt (in its own environment) and save it as HDF5, which opens here",
    ),
    KnownFormat(
        name="FLIR ATS recording",
        extensions=(".ats",),
        matches=_is_ats,
        advice=_EXPORT.format(software="FLIR Research Studio (or ResearchIR)"),
    ),
    KnownFormat(
        name="Optris RAVI recording",
        extensions=(".ravi",),
        matches=lambda header: header.startswith(b"RIFF") and header[8:12] == b"AVI ",
        advice=_EXPORT.format(software="Optris PIX Connect"),
    ),
    KnownFormat(
        name="single picture",
        extensions=(".png", ".bmp"),
        matches=lambda header: header.startswith(b"\x89PNG"),
        advice="name the folder that holds the frames of the recording",
    ),
)


def _unknown(path: Path, header: bytes) -> InputError:
    ending = path.suffix.lower()
    for known in REFUSED:
        if known.matches(header) or ending in known.extensions:
            return UnknownFormatError(f"{path} is a {known.name}, which is not read; {known.advice}")
    for reader in all_readers():
        if ending in reader.extensions:
            found = f"something else (it starts with {header[:8]!r})"
            return CorruptFileError(path, "header", f"that of a {reader.name} file", found)
    names = ", ".join(f"{reader.name} ({', '.join(reader.extensions)})" for reader in all_readers())
    return UnknownFormatError(
        f"{path} has no known format (it starts with {header[:8]!r}); known: {names}; export to one of them"
    )


@lru_cache(maxsize=1)
def all_readers() -> tuple[Reader, ...]:
    """`READERS` and those that other packages offer under the entry point group ``thermo_qc.readers``.

    An entry point names a `Reader`. One that cannot be imported is reported in the log and left out.
    """
    return (*READERS, *_offered_readers())


def _offered_readers() -> tuple[Reader, ...]:
    found = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            reader = entry.load()
        except Exception as error:
            logger.warning("reader '%s' (%s) cannot be loaded: %s", entry.name, entry.value, error)
            continue
        if isinstance(reader, Reader):
            found.append(reader)
        else:
            logger.warning("reader '%s' (%s) is %s, expected a Reader", entry.name, entry.value, type(reader).__name__)
    return tuple(found)
