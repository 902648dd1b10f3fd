"""Text exports of InfraTec IRBIS: an INI section ``[Settings]``, then rows of numbers under ``[Data]``.

A lock-in result is one map and no recording: `read_lockin_map` reads it. A single temperature image is a frame of a
folder. Tried on one real phase map.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError, InputError, UnknownFormatError
from thermo_qc.io.csv_text import Dialect, decoded, parse_rows
from thermo_qc.io.lazy import MAX_FRAME_PIXELS
from thermo_qc.io.reader import Reader, reading
from thermo_qc.sequence import Unit

__all__ = ["READER", "IrbisTable", "LockinMap", "is_irbis_text", "is_lockin_map", "read_irbis_table", "read_lockin_map"]

Quantity = Literal["phase", "amplitude"]
SETTINGS, DATA = "[Settings]", "[Data]"
MAX_SETTINGS = 10_000
TEMPERATURES: dict[str, Unit] = {"°c": "degC", "c": "degC", "degc": "degC", "k": "K"}


@dataclass(frozen=True, kw_only=True, eq=False)
class IrbisTable:
    """Numbers (Y, X) and the settings above them, as text."""

    values: NDArray[np.float32]
    settings: dict[str, str]

    @property
    def content(self) -> str:
        """What the numbers are, in the software's words ("Phase")."""
        return self.settings.get("Content", "")

    @property
    def temperature_unit(self) -> Unit | None:
        """Unit of temperature; None where the export names none."""
        return TEMPERATURES.get(self.settings.get("TempUnit", "").strip("[] ").lower())


@dataclass(frozen=True, kw_only=True, eq=False)
class LockinMap:
    """Result of a lock-in measurement.

    Parameters
    ----------
    values : ndarray of float32, shape (Y, X)
        Phase or amplitude; NaN where the export has no value.
    unit : str
        "deg" for phases, the export's own word for amplitudes.
    quantity : {"phase", "amplitude"}
        What the values are.
    metadata : dict
        The settings of the export as text, and as numbers ``lockin_frequency_hz``, ``frames_per_period``,
        ``camera_frame_rate_hz`` and ``n_periods`` where they are stated.
    """

    values: NDArray[np.float32]
    unit: str
    quantity: Quantity
    metadata: dict[str, Any]


def is_irbis_text(header: bytes) -> bool:
    """Whether the first bytes of a file are those of a text export."""
    return decoded(header).lstrip("\ufeff \r\n").startswith(SETTINGS)


def read_irbis_table(path: Path) -> IrbisTable:
    """Read a text export; its stated size must be that of its rows.

    Raises
    ------
    CorruptFileError
        When settings or rows are broken or contradict one another.
    """
    text = decoded(path.read_bytes()).lstrip("\ufeff \r\n")
    head, mark, body = text.partition(f"\n{DATA}")
    lines = head.splitlines()
    if not mark or not lines or lines[0].strip() != SETTINGS or len(lines) > MAX_SETTINGS:
        raise CorruptFileError(path, "header", f"the sections {SETTINGS} and {DATA}", "without them")
    settings = dict(_setting(path, line) for line in lines[1:] if line.strip())
    rows = [line for line in body.splitlines() if line.strip()]
    if not rows:
        raise CorruptFileError(path, DATA, "rows of numbers", "empty")
    separator = _sign(path, settings, "DelimiterValue", {0x3B: ";", 0x2C: ",", 0x09: "\t"})
    decimal = _sign(path, settings, "CommaValue", {0x2E: ".", 0x2C: ","})
    if separator == decimal:
        raise CorruptFileError(path, "DelimiterValue", "another sign than CommaValue", "the same")
    dialect = Dialect(separator=separator, decimal_comma=decimal == ",")
    values = parse_rows(path, rows, dialect, len(lines) + 2)
    stated = tuple(_whole(path, settings, name) for name in ("ImageHeight", "ImageWidth"))
    if stated != values.shape:
        raise CorruptFileError(path, DATA, f"{stated[0]} rows of {stated[1]} numbers as stated", f"of {values.shape}")
    if values.size > MAX_FRAME_PIXELS:
        raise CorruptFileError(path, DATA, f"at most {MAX_FRAME_PIXELS} pixels", values.size)
    return IrbisTable(values=values, settings=settings)


def _setting(path: Path, line: str) -> tuple[str, str]:
    name, mark, value = line.partition("=")
    if not mark or not name.strip():
        raise CorruptFileError(path, SETTINGS, "lines of the form name=value", f"'{line.strip()[:60]}'")
    return name.strip(), value.strip()


def _sign(path: Path, settings: dict[str, str], name: str, known: dict[int, str]) -> str:
    """Separator or decimal sign from its code ("0x3B")."""
    text = settings.get(name, "")
    try:
        return known[int(text, 16)]
    except (KeyError, ValueError):
        listed = ", ".join(f"0x{code:02X}" for code in known)
        raise CorruptFileError(path, name, f"one of {listed}", f"'{text[:20]}'") from None


def _whole(path: Path, settings: dict[str, str], name: str) -> int:
    text = settings.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise CorruptFileError(path, name, "a whole number", f"'{text[:20]}'")
    return int(text)


def read_lockin_map(path: Path | str) -> LockinMap:
    """Read a lock-in result (phase or amplitude) that InfraTec IRBIS exported as text.

    Parameters
    ----------
    path : Path or str
        The text file.

    Returns
    -------
    LockinMap

    Raises
    ------
    InputError
        When the file is missing, broken, or no lock-in result.

    Examples
    --------
    >>> phase = read_lockin_map("phase.txt")  # doctest: +SKIP
    >>> phase.quantity, phase.unit, phase.metadata["lockin_frequency_hz"]  # doctest: +SKIP
    ('phase', 'deg', 6.154)
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            known = is_irbis_text(file.read(64))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if not known:
        raise UnknownFormatError(f"{path} is no text export of InfraTec IRBIS: it does not start with {SETTINGS}")
    with reading(path, "IRBIS text"):
        table = read_irbis_table(path)
    quantity = _quantity(path, table)
    unit = "deg" if quantity == "phase" else table.settings.get("TempUnit", "") or "unknown"
    if quantity == "phase" and np.nanmax(np.abs(table.values), initial=0.0) > 360:
        raise CorruptFileError(path, DATA, "phases from -360 to 360 degrees", f"up to {np.nanmax(table.values):g}")
    return LockinMap(values=table.values, unit=unit, quantity=quantity, metadata={**table.settings, **_numbers(table)})


def is_lockin_map(path: Path | str) -> bool:
    """Whether `read_lockin_map` may read a file; False for whatever cannot be opened."""
    try:
        with Path(path).open("rb") as file:
            head = decoded(file.read(16_384))
    except OSError:
        return False
    return (
        is_irbis_text(head[:64].encode()) and re.search(r"^Content=(Phase|Amplitude)", head, re.MULTILINE) is not None
    )


def _quantity(path: Path, table: IrbisTable) -> Quantity:
    content = table.content.lower()
    if content.startswith("phase"):
        return "phase"
    if content.startswith("amplitude"):
        return "amplitude"
    found = f"'{table.content[:40]}'"
    raise CorruptFileError(path, "Content", "Phase or Amplitude", found, "export the lock-in result")


def _numbers(table: IrbisTable) -> dict[str, float]:
    names = {
        "lockin_frequency_hz": "LIT.LockInFrequency",
        "frames_per_period": "LIT.FramesPerPeriod",
        "camera_frame_rate_hz": "LIT.CameraFramerate",
        "n_periods": "LIT.PeriodNum",
    }
    result = {}
    for name, key in names.items():
        try:
            value = float(table.settings[key].replace(",", "."))
        except (KeyError, ValueError):
            continue
        if math.isfinite(value):
            result[name] = value
    return result


def _refuse(path: Path, **_: Any) -> NoReturn:
    """Say what the file is: one map has no time axis."""
    with reading(path, "IRBIS text"):
        table = read_irbis_table(path)
    if table.temperature_unit is not None:
        raise UnknownFormatError(
            f"{path} is one image of InfraTec IRBIS as text and no recording; name the folder that holds one such file "
            "per frame"
        )
    quantity = _quantity(path, table)
    raise UnknownFormatError(
        f"{path} is a lock-in {quantity} map ({table.values.shape[0]} x {table.values.shape[1]} pixels) and no "
        "recording: read it with thermo_qc.io.read_lockin_map; thermo-qc maps --methods lockin makes such maps from "
        "a recording"
    )


READER = Reader(
    name="lock-in result of InfraTec IRBIS as text",
    extensions=(),
    matches=is_irbis_text,
    open=_refuse,
    tried_on="one real phase map",
)
