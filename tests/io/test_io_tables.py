"""CSV tables: what a spreadsheet would run, unknown values, numbers that come back, one line per row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import OutputError
from thermo_qc.io import write_csv


def _read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _cell(path: Path, value: str | float | None, **options: int) -> str:
    write_csv(path, ["a", "b"], [[value, "last"]], **options)
    ((first, last),) = _read(path)[1:]
    assert last == "last"
    return first


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n\t @x", "  =1", "\x00=1", "\uff1d1", "\uff0b1", "\u2028-1"],
)
def test_text_that_a_spreadsheet_would_run_is_kept_from_it(tmp_path: Path, text: str) -> None:
    cell = _cell(tmp_path / "t.csv", text)
    assert cell.startswith("'")
    assert cell[1:].strip() == text.strip("\x00\u2028 \t\r\n")
    write_csv(tmp_path / "t.csv", [text], [])
    assert _read(tmp_path / "t.csv")[0][0].startswith("'")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf")])
@pytest.mark.parametrize("digits", [6, 17])
def test_unknown_is_empty(tmp_path: Path, value: float | None, digits: int) -> None:
    assert _cell(tmp_path / "t.csv", value, digits=digits) == ""


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0.1, 17, "0.1"),
        (1 / 3, 6, "0.333333"),
        (-2.5, 6, "-2.5"),
        (np.float64(0.25), 17, "0.25"),
        (np.float32(0.5), 6, "0.5"),
        (7, 6, "7"),
        (12345678, 6, "12345678"),
        (True, 6, "True"),
    ],
)
def test_numbers_and_truth_values(tmp_path: Path, value: float, digits: int, expected: str) -> None:
    assert _cell(tmp_path / "t.csv", value, digits=digits) == expected


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    write_csv(path, ["x"], [[value] for value in values])
    back = [float(row[0]) for row in _read(path)[1:]]
    assert np.array(back).tobytes() == np.array(values).tobytes()


@pytest.mark.parametrize("text", ["a  b", "recordings/my  plate .h5", " leading", "trailing ", 'quo"ted, comma', "a;b"])
def test_spaces_and_quotes_survive(tmp_path: Path, text: str) -> None:
    assert _cell(tmp_path / "t.csv", text) == text


@pytest.mark.parametrize("text", ["Prüfkörper 3", "試験片", "𝛼-Fläche", "no\u00a0break", "e\u0301"])
def test_unicode_survives(tmp_path: Path, text: str) -> None:
    assert _cell(tmp_path / "t.csv", text) == text


@pytest.mark.parametrize(
    "between", ["\n", "\r\n", "\r", "\t", "\x0b", "\x0c", "\x1e", "\x85", "\u2028", "\u2029", "\x00"]
)
def test_line_breaks_and_control_characters_become_one_space(tmp_path: Path, between: str) -> None:
    assert _cell(tmp_path / "t.csv", f"two{between}lines") == "two lines"
    assert len((tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()) == 2


def test_a_byte_that_is_no_text_is_written_as_its_escape(tmp_path: Path) -> None:
    assert _cell(tmp_path / "t.csv", "plate\udcff.h5") == "plate\\udcff.h5"


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=30))
def test_any_text_is_one_cell_of_one_line_that_runs_nothing(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "text.csv"
    cell = _cell(path, text)
    assert not cell.strip().startswith(("=", "+", "-", "@"))
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_a_row_that_fails_leaves_the_older_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, ["a"], [["old"]])

    def rows() -> Iterator[list[str]]:
        yield ["new"]
        raise ValueError("no second row")

    with pytest.raises(ValueError, match="no second row"):
        write_csv(path, ["a"], rows())
    assert _read(path) == [["a"], ["old"]]
    assert [one.name for one in tmp_path.iterdir()] == ["t.csv"]


def test_a_table_that_cannot_be_written_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, ["a"], [["old"]])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OutputError, match=r"t\.csv cannot be written: No space left on device"):
            write_csv(path, ["a"], [["new"]])
    assert _read(path) == [["a"], ["old"]]
    assert [one.name for one in tmp_path.iterdir()] == ["t.csv"]
