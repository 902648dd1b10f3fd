"""The index beside the results: never the truth, always made anew from the files, safe under several writers."""

from __future__ import annotations

import csv
import json
import logging
import os
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from batch_lab import make_recordings
from stored_results import failure, put_record, put_result

from thermo_qc.cli import main
from thermo_qc.errors import ConfigError, InputError, OutputError
from thermo_qc.workflows import predict, results, run_index
from thermo_qc.workflows.lock import LOCK
from thermo_qc.workflows.predict_folder import Prediction
from thermo_qc.workflows.results import Filter, indications_of, list_results
from thermo_qc.workflows.run_index import INDEX, RunIndex, record_verdict

DURATIONS = ("read_s", "compute_s", "write_s")


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in DURATIONS} for row in rows]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    put_result(folder, "plate1", specimen="wing 1")
    put_result(folder, "sub/plate2", ((5, 5, 25, 25), (30, 30, 34, 34)), specimen="wing 2", model="c" * 64)
    put_result(folder, "plate3", (), specimen="")
    put_record(folder, failures=[failure("/in/bad.h5")])
    return folder


def test_results_and_failures_come_from_the_files(out: Path) -> None:
    rows = list_results([out])
    assert [(row["state"], row["result"], row["n_indications"]) for row in rows] == [
        ("done", "plate1", 1),
        ("done", "plate3", 0),
        ("done", "sub/plate2", 2),
        ("failed", None, None),
    ]
    first = rows[0]
    assert first["options"].items() >= {"facts": {}, "min_area_px": 4, "region": "", "sound": ""}.items()
    assert (first["specimen"], first["largest_mm2"], first["pixel_pitch_mm"]) == ("wing 1", 400.0, 2.0)
    assert (first["verdict"], first["reasons"], first["compute_s"]) == (None, None, None)
    assert rows[-1]["error"] == "it is empty; copy it again" and rows[-1]["finished"] == "2026-05-01T08:00:00+00:00"
    assert [(one["number"], one["area_mm2"]) for one in indications_of(out, "sub/plate2")] == [(1, 1600.0), (2, 64.0)]
    assert (out / INDEX).is_file()


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "torn", "other tables", "table gone"])
def test_a_damaged_index_is_made_anew(out: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    whole, index = list_results([out]), out / INDEX
    content = index.read_bytes()
    if damage == "table gone":
        with closing(sqlite3.connect(index)) as connection:
            connection.execute("DROP TABLE indications")
    elif damage == "other tables":
        index.unlink()
        with closing(sqlite3.connect(index)) as connection:
            connection.execute("CREATE TABLE results (mine)")
    else:
        index.unlink()
    if damage == "torn":
        index.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    elif damage in ("text", "empty"):
        index.write_text("" if damage == "empty" else "no database at all " * 100, encoding="utf-8")
    (out / "plate1.png").touch()
    assert list_results([out]) == whole
    assert len(indications_of(out, "sub/plate2")) == 2
    assert ("made anew" in caplog.text) == (damage in ("text", "torn", "table gone"))


def test_the_files_are_followed(out: Path) -> None:
    list_results([out])
    (out / "plate1.h5").unlink()
    put_result(out, "plate3", ((0, 0, 9, 9),))
    put_result(out, "plate4", ())
    (out / "half.h5").write_bytes(b"torn")
    (out / "half.csv").touch()
    (out / "half.png").touch()
    put_record(out, failures=[])
    assert [(row["result"], row["n_indications"]) for row in list_results([out])] == [
        ("plate3", 1),
        ("plate4", 0),
        ("sub/plate2", 2),
    ]
    assert indications_of(out, "plate1") == []


def test_a_run_tells_its_record_only_now_and_then(out: Path) -> None:
    RunIndex(out).note(Prediction(recording=Path("/in/new.h5"), stem="new", error="it is torn"))
    (out / LOCK).touch()
    assert sum(row["state"] == "failed" for row in list_results([out])) == 2
    (out / LOCK).unlink()  # it is over, and its record is the truth
    assert [row["recording"] for row in list_results([out], Filter(state="failed"))] == ["bad.h5"]


def test_a_failure_hides_the_older_result_as_in_the_summary(out: Path) -> None:
    place = out / "in" / "plate1.h5"
    put_record(out, failures=[failure(str(place.resolve()))])
    assert [row["state"] for row in list_results([out]) if row["place"] == str(place.resolve())] == ["failed"]
    RunIndex(out).note(Prediction(recording=place, stem="plate1", read_s=1.0, compute_s=2.0, write_s=3.0))
    put_record(out, failures=[])
    (row,) = [row for row in list_results([out]) if row["place"] == str(place.resolve())]
    assert (row["state"], *(row[name] for name in DURATIONS)) == ("done", 1.0, 2.0, 3.0)


def test_a_verdict_belongs_to_the_very_result(out: Path) -> None:
    RunIndex(out).note(Prediction(recording=out / "in" / "plate1.h5", stem="plate1", read_s=1, compute_s=2, write_s=3))
    record_verdict(out, "plate1", "reject", reasons=["too large", "=cmd"], details={"criteria_sha256": "d" * 64})
    (out / INDEX).unlink()
    (row,) = list_results([out], Filter(verdict="reject"))
    assert (row["result"], row["reasons"]) == ("plate1", ["too large", "=cmd"])
    assert json.loads((out / "plate1.verdict.json").read_text(encoding="utf-8"))["criteria_sha256"] == "d" * 64
    assert len(list_results([out], Filter(verdict="none"))) == 2
    put_result(out, "plate1", specimen="wing 1", digest="e" * 64)  # another recording: the verdict was on the old one
    assert list_results([out], Filter(verdict="reject")) == []


def test_a_verdict_changes_no_durations(out: Path) -> None:
    RunIndex(out).note(Prediction(recording=out / "in" / "plate1.h5", stem="plate1", read_s=1, compute_s=2, write_s=3))
    record_verdict(out, "plate1", "accept")
    (row,) = list_results([out], Filter(verdict="accept"))
    assert [row[name] for name in DURATIONS] == [1, 2, 3]


@pytest.mark.parametrize(
    ("stem", "verdict", "message"),
    [("plate1", "maybe", "expected one of accept"), ("plate9", "accept", "no whole result 'plate9'")],
)
def test_impossible_verdicts(out: Path, stem: str, verdict: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        record_verdict(out, stem, verdict)


def test_many_writers_lose_nothing(out: Path) -> None:
    stems = [f"p{number}" for number in range(12)]
    for stem in stems:
        put_result(out, stem, ())

    def work(number: int) -> None:
        record_verdict(out, stems[number], ("accept", "reject", "review")[number % 3], reasons=[str(number)])
        index = RunIndex(out)
        for name in ("bad", "worse"):  # the second one waits for company
            index.note(Prediction(recording=Path(f"/in/{name}{number}.h5"), stem="", error="bad"))
        index.flush()
        if number % 6 == 0:
            RunIndex(out).refresh()

    (out / LOCK).touch()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(12)))
    with closing(sqlite3.connect(out / INDEX)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM results WHERE verdict IS NOT NULL").fetchone() == (12,)
        assert connection.execute("SELECT count(*) FROM failures WHERE error = 'bad'").fetchone() == (24,)


def test_without_an_index_that_can_be_written_the_work_goes_on(
    out: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = list_results([out])
    monkeypatch.setattr(run_index, "_BUSY_S", 0.01)
    index = RunIndex(out)
    with closing(sqlite3.connect(out / INDEX, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for number in range(3):
            index.note(Prediction(recording=Path(f"/in/{number}.h5"), stem="", error="bad"))
            index.flush()
        assert list_results([out]) == whole  # asked of the files, by way of memory
    assert caplog.text.count("cannot be kept up to date: database is locked") == 2  # once for each
    (out / INDEX).unlink()
    (out / INDEX).mkdir()
    assert list_results([out]) == whole


@pytest.mark.skipif(sys.platform == "win32", reason="folders without rights are something else there")
def test_a_folder_of_somebody_else_can_be_asked(
    out: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def refused(path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        if str(path) != ":memory:":
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error
        return connect(path, *arguments, **options)

    monkeypatch.setattr(sqlite3, "connect", refused)
    assert len(list_results([out])) == 4 and "unable to open" in caplog.text
    assert not (out / INDEX).exists()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(state="failed"), [None]),
        (Filter(state="done"), ["plate1", "plate3", "sub/plate2"]),
        (Filter(specimen="wing*"), ["plate1", "sub/plate2"]),
        (Filter(specimen="wing 2"), ["sub/plate2"]),
        (Filter(recording="bad.h5"), [None]),
        (Filter(recording="plate?.h5"), ["plate1", "plate3", "sub/plate2"]),
        (Filter(min_area_mm2=401), ["sub/plate2"]),
        (Filter(min_indications=1), ["plate1", "sub/plate2"]),
        (Filter(model="cc"), ["sub/plate2"]),
        (Filter(since="2026-05-01T08:00:01+00:00", state="failed"), []),
        (Filter(since="2026-05-01T07:59:59+00:00", state="failed"), [None]),
    ],
)
def test_filters(out: Path, wanted: Filter, expected: list[str | None]) -> None:
    assert [row["result"] for row in list_results([out], wanted)] == expected


def test_verb_lists_and_exports(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_result(out, "odd", (), recording=tmp_path / "=1+1\n.h5")
    table = tmp_path / "list.csv"
    assert main(["results", str(out), "--state", "done", "-o", str(table)]) == 0
    said = capsys.readouterr()
    assert "4 done, 0 failed" in said.out and "wing 1" in said.out and "list.csv" in said.err
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["result"] for row in rows} == {"plate1", "plate3", "sub/plate2", "odd"}
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert main(["results", str(out), "-o", str(table)]) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert main(["results", str(out), "--json", "--verdict", "none", "-o", str(tmp_path / "list.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == json.loads((tmp_path / "list.json").read_text(encoding="utf-8"))
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "is no folder"),
        (["empty"], "holds no results"),
        (["cv"], "holds a 'cv' run"),
        (["out", "--state", "odd"], "--state is 'odd', expected one of done, failed"),
        (["out", "--verdict", "good"], "expected one of accept, reject, review, none"),
        (["out", "--since", "yesterday"], "'yesterday' is no date; expected 2026-05-31"),
        (["out", "-o", "list.xlsx"], "expected .csv or .json"),
        (["out", "--against", "plate1"], "--against came without --compare"),
        (["out", "--compare", "plate1", "--growth", "0"], "--growth is 0, expected more than 0"),
    ],
)
def test_wrong_usage(
    arguments: list[str],
    message: str,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    put_record(Path("cv"), command="cv")
    assert main(["results", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_errors_have_their_kinds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        results.since_of("99999-01-01")
    with pytest.raises(OutputError):
        results.export([], tmp_path / "list.txt")


def test_predict_keeps_the_index(forest_run: Path, lab: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (first, second), out = make_recordings(tmp_path / "in", lab / "first.h5", 2), tmp_path / "out"
    first.with_suffix(".yaml").write_text("specimen_id: wing 7\n", encoding="utf-8")
    second.write_bytes(b"torn")
    caplog.set_level(logging.CRITICAL)
    predict.run(forest_run, [first, second], out)
    with closing(sqlite3.connect(out / INDEX)) as connection:  # before anybody refreshes it
        assert connection.execute("SELECT state, specimen FROM overview ORDER BY state").fetchall() == [
            ("done", "wing 7"),
            ("failed", None),
        ]
    kept = list_results([out])
    assert kept[0]["compute_s"] > 0 and kept[0]["options"]["min_area_px"] == 4
    (out / INDEX).unlink()
    again = list_results([out])
    again[1]["finished"], kept[1]["finished"] = None, None  # the record was written a moment later
    assert _plain(again) == _plain(kept)
    predict.run(forest_run, [first], out, overwrite=True)
    assert len(list_results([out])) == 1
