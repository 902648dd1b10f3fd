"""One table with a row per frame, and the dialects of tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermo_qc.errors import AmbiguousInputError, ConfigError, CorruptFileError, MissingFactError, UnknownFormatError
from thermo_qc.io import detect_format, read_sequence

VALUES = np.random.default_rng(0).normal(25, 3, (6, 12)).astype(np.float32)
NAMES = [f"r{row}c{column}" for row in range(3) for column in range(4)]


def _write(
    path: Path, rows: np.ndarray, *, header: str = "", sep: str = ";", decimal: str = ".", end: str = "\n"
) -> Path:
    lines = [sep.join(repr(float(value)).replace(".", decimal) for value in row) for row in rows]
    path.write_bytes((header + end.join(lines) + end).encode())
    return path


def _with_first(column: np.ndarray) -> np.ndarray:
    return np.hstack([np.asarray(column, dtype=np.float64)[:, None], VALUES])


def test_nobody_says_the_rows_and_columns(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", VALUES[:, :9])  # nine pixels are no 3 x 3 frame unless somebody says so
    with pytest.raises(MissingFactError, match=r"6 rows of 9 numbers .*give frame_shape .*sidecar a\.csv\.yaml"):
        read_sequence(path, frame_rate_hz=1)
    (tmp_path / "a.csv.yaml").write_text("{frame_shape: [3, 3], frame_rate_hz: 2, unit: degC}")
    sequence = read_sequence(path)
    np.testing.assert_array_equal(sequence.loaded().frames, VALUES[:, :9].reshape(6, 3, 3))
    assert (sequence.unit, sequence.times_s[1]) == ("degC", 0.5)


@pytest.mark.parametrize("shape", ["3x4", "3 x 4", "3,4", [3, 4], (3, 4)])
def test_shape_from_an_option(tmp_path: Path, shape: object) -> None:
    sequence = read_sequence(_write(tmp_path / "a.txt", VALUES), frame_shape=shape, frame_rate_hz=1)
    np.testing.assert_array_equal(sequence.loaded().frames, VALUES.reshape(6, 3, 4))
    assert sequence.unit == "counts"


@pytest.mark.parametrize(
    ("sep", "decimal", "end"),
    [(";", ",", "\r\n"), ("\t", ".", "\n"), (",", ".", "\r\n"), (" ", ",", "\n"), (" ", ".", "\n")],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_dialects(tmp_path: Path, sep: str, decimal: str, end: str, mark: str) -> None:
    path = _write(tmp_path / "a.csv", VALUES, header=mark, sep=sep, decimal=decimal, end=end)
    sequence = read_sequence(path, frame_shape=(3, 4), frame_rate_hz=1)
    np.testing.assert_array_equal(sequence.loaded().frames, VALUES.reshape(6, 3, 4))


@pytest.mark.parametrize(
    ("name", "scale"), [("time_s", 1.0), ("t [ms]", 1e-3), ("Zeit", 1.0), ("rel. time (min)", 60.0), ("Time_us", 1e-6)]
)
def test_time_column_and_names_of_pixels(tmp_path: Path, name: str, scale: float) -> None:
    times = np.array([-2.0, 0.0, 1.0, 4.0, 5.5, 9.0])
    header = f"# plate 7, values in degC\n{name};{';'.join(NAMES)}\n"
    sequence = read_sequence(_write(tmp_path / "a.csv", _with_first(times), header=header))
    np.testing.assert_array_equal(sequence.loaded().frames, VALUES.reshape(6, 3, 4))
    np.testing.assert_allclose(sequence.times_s, times * scale)
    assert sequence.unit == "degC"


def test_size_from_labels_and_frame_numbers_are_no_times(tmp_path: Path) -> None:
    header = f"Width;4\nHeight;3\nframe;{';'.join('p' for _ in NAMES)}\n"
    path = _write(tmp_path / "a.csv", _with_first(np.arange(6)), header=header)
    with pytest.raises(MissingFactError, match="no time base"):
        read_sequence(path)
    assert read_sequence(path, frame_rate_hz=4).times_s[-1] == 1.25


def test_pixels_column_by_column(tmp_path: Path) -> None:
    columns_first = VALUES.reshape(6, 3, 4).transpose(0, 2, 1).reshape(6, 12)
    path = _write(tmp_path / "a.csv", columns_first)
    sequence = read_sequence(path, axes="txy", frame_shape=(3, 4), frame_rate_hz=1)
    np.testing.assert_array_equal(sequence.loaded().frames, VALUES.reshape(6, 3, 4))
    names = [f"p_{row + 1}_{column + 1}" for column in range(4) for row in range(3)]
    path = _write(tmp_path / "b.csv", columns_first, header=";".join(names) + "\n")
    np.testing.assert_array_equal(
        read_sequence(path, axes="txy", frame_rate_hz=1).loaded().frames, VALUES.reshape(6, 3, 4)
    )
    with pytest.raises(MissingFactError, match="does not say"):
        read_sequence(path, frame_rate_hz=1)
    with pytest.raises(ConfigError, match="rows are frames; expected 'tyx' or 'txy'"):
        read_sequence(path, frame_rate_hz=1, axes="yxt")


def test_a_nameless_first_column_that_counts_is_ambiguous(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", _with_first(np.arange(6)))
    with pytest.raises(
        AmbiguousInputError, match=r"counts 0, 1, .* may be seconds or frame numbers; give frame_rate_hz"
    ):
        read_sequence(path, frame_shape=(3, 4))
    assert read_sequence(path, frame_shape=(3, 4), frame_rate_hz=4).times_s[-1] == 1.25
    path = _write(tmp_path / "b.csv", _with_first(np.arange(6) / 8))
    assert read_sequence(path, frame_shape=(3, 4)).times_s[-1] == 0.625


def test_large_tables_stay_in_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermo_qc.io.reader.LOAD_BYTES", 100)
    sequence = read_sequence(_write(tmp_path / "a.csv", VALUES), frame_shape=(3, 4), frame_rate_hz=1)
    assert sequence.is_lazy
    np.testing.assert_array_equal(sequence.frames[4:1:-2, 1:, -1], VALUES.reshape(6, 3, 4)[4:1:-2, 1:, -1])


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("1;2;3;4\n5;6;7\n", {}, CorruptFileError, "row 2 of numbers is of 3, expected 4 numbers"),
        ("1;2;3;4\n5;6;x;8\n", {}, CorruptFileError, "table is something else"),
        ("1;2;x;4\n5;6;7;8\n", {}, CorruptFileError, "table is something else"),
        ("1;2;3;4\n5;6;7;8\n", {"frame_shape": (2, 3)}, ConfigError, "4 numbers in a row, but frames of 2 x 3 have 6"),
        ("1;2;3;4\n5;6;7;8\n", {"frame_shape": (1, 2)}, CorruptFileError, "columns before the pixels is nameless"),
        ("time;a;b;c\n5;6;7;8\n", {}, CorruptFileError, "first column is 'time', which frame_shape takes for a pixel"),
        ("room;a;b;c;d\n5;6;7;8;9\n", {}, CorruptFileError, "columns before the pixels is 'room', expected a time"),
        ("time;a;b;c;d\n12:30;6;7;8;9\n", {}, CorruptFileError, r"something else|time in row 1 is '12:30'"),
        ("1;2;3;4\n", {"frame_shape": (0, 4)}, ConfigError, r"'frame_shape\.0' is 0"),
        ("1;2;3;4\n", {"frame_shape": "4"}, ConfigError, "frame_shape"),
        ("1;2;3;4\n", {"variable": "a"}, ConfigError, "has no use for 'variable'"),
        ("a;b\n" * 300 + "1;2\n", {}, CorruptFileError, "without one|header is something else"),
    ],
)
def test_broken_tables(
    tmp_path: Path, text: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(error, match=message) as caught:
        read_sequence(path, **{"frame_shape": (2, 2), "frame_rate_hz": 1, **options})
    assert "\n" not in str(caught.value)


def test_other_texts_are_no_tables(tmp_path: Path) -> None:
    for text in (
        "recordings:\n  - {key: a1, recording: a1.h5}\n",
        '{"a": [1, 2]}',
        "<xml version='1.0'/>",
        "hello, world",
    ):
        (tmp_path / "a.dat").write_text(text)
        with pytest.raises(UnknownFormatError):
            detect_format(tmp_path / "a.dat")
    (tmp_path / "wide.dat").write_text("time_s," + ",".join(f"(0,{n})" for n in range(400)) + "\n0" + ",1" * 400)
    assert detect_format(tmp_path / "wide.dat").name == "CSV table"


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(2, 4)),
    dialect=st.sampled_from([(";", ","), (";", "."), ("\t", ","), (",", "."), (" ", ".")]),
    timed=st.booleans(),
)
def test_round_trip(
    tmp_path: Path, data: st.DataObject, shape: tuple[int, int, int], dialect: tuple[str, str], timed: bool
) -> None:
    n, height, width = shape
    value = st.floats(width=32, allow_nan=False, allow_infinity=False)
    cells = data.draw(st.lists(value, min_size=n * height * width, max_size=n * height * width))
    rows = np.array(cells, dtype=np.float32).reshape(n, -1)
    times = np.linspace(0.25, 1.0, n)
    table = np.hstack([times[:, None], rows]) if timed else rows
    path = _write(tmp_path / "a.csv", table, sep=dialect[0], decimal=dialect[1])
    sequence = read_sequence(path, frame_shape=(height, width), **({} if timed else {"frame_rate_hz": 1}))
    np.testing.assert_array_equal(sequence.loaded().frames, rows.reshape(shape))
    if timed:
        np.testing.assert_array_equal(sequence.times_s, times)
