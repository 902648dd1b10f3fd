"""Dispositions are appended, never lost, and say on which result they were stated."""

from __future__ import annotations

from pathlib import Path

import pytest

from thermo_qc.errors import ConfigError, CorruptFileError, OutputError, UnknownNameError
from thermo_qc.workflows.dispositions import append_disposition, read_dispositions

SHA = "ab" * 32
SAID = {"indication": 2, "word": "dismissed", "by": "A. B.", "why": "tool mark", "result_sha256": SHA}


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "a.dispositions.jsonl"
    assert read_dispositions(path) == ()
    first = append_disposition(path, **SAID)  # type: ignore[arg-type]
    before = path.read_bytes()
    second = append_disposition(path, **{**SAID, "word": "confirmed", "why": "=1+1 <b>\u2028ü"})  # type: ignore[arg-type]
    assert path.read_bytes().startswith(before)
    assert read_dispositions(path) == (first, second)
    assert second.why == "=1+1 <b> ü"
    assert not first.is_stale(SHA)
    assert first.is_stale("cd" * 32)


def test_a_line_cut_off_by_a_crash_costs_that_line_only(tmp_path: Path) -> None:
    path = tmp_path / "a.dispositions.jsonl"
    first = append_disposition(path, **SAID)  # type: ignore[arg-type]
    with path.open("ab") as file:
        file.write(b'{"indication": 3, "wor')
    assert read_dispositions(path) == (first,)
    second = append_disposition(path, **SAID)  # type: ignore[arg-type]
    assert read_dispositions(path) == (first, second)


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.dispositions.jsonl"
    path.write_text('nonsense\n{"indication": 1}\n', encoding="utf-8")
    with pytest.raises(CorruptFileError, match="line 1"):
        read_dispositions(path)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(CorruptFileError, match="unreadable"):
        read_dispositions(path)


@pytest.mark.parametrize(
    ("change", "kind", "line"),
    [
        ({"word": "confirm"}, UnknownNameError, "did you mean 'confirmed'"),
        ({"by": "  "}, ConfigError, "--by is empty"),
        ({"why": "x" * 3000}, ConfigError, "--why has 3000 characters"),
    ],
)
def test_bad_words_are_refused(tmp_path: Path, change: dict[str, str], kind: type[Exception], line: str) -> None:
    path = tmp_path / "a.dispositions.jsonl"
    with pytest.raises(kind, match=line):
        append_disposition(path, **{**SAID, **change})  # type: ignore[arg-type]
    assert not path.exists()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        append_disposition(tmp_path / "no" / "a.jsonl", **SAID)  # type: ignore[arg-type]
