"""Text exports of InfraTec IRBIS: the real phase map, its mutations, and temperature frames of the same form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermo_qc.errors import CorruptFileError, InputError, ThermoQCError, UnknownFormatError
from thermo_qc.io import detect_format, read_lockin_map, read_sequence

SAMPLE = "formats/irbis_lockin_phase_ascii.txt"
HEAD = "[Settings]\nVersion=3\nDelimiterValue=0x3B\nCommaValue=0x2E\nLIT.LockInFrequency=6.154\nContent={content}\n"
HEAD += "TempUnit={unit}\nImageWidth=3\nImageHeight=2\n\n[Data]\n"
ROWS = "1.5;-2;3;\n4;5.25;-180;\n"


def _text(content: str = "Phase", unit: str = "M-0", rows: str = ROWS) -> str:
    return HEAD.format(content=content, unit=unit) + rows


def test_the_real_phase_map(shared_file: Callable[[str], Path]) -> None:
    path = shared_file(SAMPLE)
    phase = read_lockin_map(path)
    assert (phase.values.shape, phase.unit, phase.quantity) == ((164, 1280), "deg", "phase")
    assert phase.values[0, 0] == np.float32(66.649) and phase.values[-1, -1] == np.float32(-89.334)
    assert -180 <= phase.values.min() < -179 < 179 < phase.values.max() <= 180
    assert phase.metadata["lockin_frequency_hz"] == 6.154
    assert (phase.metadata["frames_per_period"], phase.metadata["n_periods"]) == (65, 373)
    assert phase.metadata["Params.Rec.Date"] == "2021-10-12"
    with pytest.raises(
        UnknownFormatError, match=r"lock-in phase map \(164 x 1280 pixels\) .*read_lockin_map"
    ) as caught:
        read_sequence(path)
    assert "thermo-qc maps" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_amplitude_in_other_encodings(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(_text("Amplitude", "mK").replace("\n", end).encode(encoding))
    result = read_lockin_map(path)
    assert (result.quantity, result.unit) == ("amplitude", "mK")
    np.testing.assert_array_equal(result.values, np.array([[1.5, -2, 3], [4, 5.25, -180]], np.float32))


def test_decimal_comma(tmp_path: Path) -> None:
    text = _text(rows=ROWS.replace(".", ",")).replace("CommaValue=0x2E", "CommaValue=0x2C")
    (tmp_path / "a.txt").write_text(text)
    assert read_lockin_map(tmp_path / "a.txt").values[1, 1] == 5.25


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ImageWidth=3", "ImageWidth=4", r"2 rows of 4 numbers as stated"),
        ("ImageWidth=3", "ImageWidth=99999999999999", "ImageWidth is '99999999999999', expected a whole number"),
        ("ImageHeight=2", "", "ImageHeight is '', expected a whole number"),
        ("DelimiterValue=0x3B", "DelimiterValue=0x41", "DelimiterValue is '0x41', expected one of 0x3B"),
        ("DelimiterValue=0x3B", "DelimiterValue=0x2C", "something else|DelimiterValue"),
        ("Content=Phase", "Content=Magic", "Content is 'Magic', expected Phase or Amplitude"),
        ("Version=3", "Version", "name=value"),
        ("[Data]", "[Date]", "without them"),
        ("5.25", "abc", "something else"),
        ("5.25;", "", "something else"),
        ("5.25", "5250", "expected phases from -360 to 360"),
        (ROWS, "", "is empty, expected rows"),
    ],
)
def test_mutations(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(_text().replace(old, new))
    with pytest.raises(CorruptFileError, match=message) as caught:
        read_lockin_map(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_lockin_map(tmp_path / "none.txt")
    (tmp_path / "a.txt").write_text("1;2;3\n")
    with pytest.raises(UnknownFormatError, match=r"does not start with \[Settings\]"):
        read_lockin_map(tmp_path / "a.txt")


def test_temperatures_are_frames_of_a_folder(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        (tmp_path / f"plate_{number}.asc").write_text(_text("Temperature", "°C"), encoding="latin-1")
    sequence = read_sequence(tmp_path, frame_rate_hz=2)
    assert (sequence.n_frames, sequence.unit, sequence.frame_shape) == (3, "degC", (2, 3))
    with pytest.raises(UnknownFormatError, match=r"one image of InfraTec IRBIS as text .* name the folder"):
        read_sequence(tmp_path / "plate_1.asc")
    (tmp_path / "plate_3.asc").write_text(_text())
    with pytest.raises(CorruptFileError, match="Content is 'Phase' in 'M-0', expected temperatures"):
        read_sequence(tmp_path, frame_rate_hz=2)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 150), new=st.binary(max_size=6), cut=st.integers(0, 6))
def test_mutated_text_is_read_or_refused(tmp_path: Path, place: int, new: bytes, cut: int) -> None:
    content = _text().encode()
    path = tmp_path / "a.txt"
    path.write_bytes(content[:place] + new + content[place + cut :])
    for read in (read_lockin_map, read_sequence):
        try:
            read(path)
        except ThermoQCError as error:
            assert "\n" not in str(error)


def test_detected_by_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text(_text())
    assert detect_format(tmp_path / "a.dat").name == "lock-in result of InfraTec IRBIS as text"
