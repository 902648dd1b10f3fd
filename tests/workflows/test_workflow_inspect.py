"""The verbs inspect and dispose: verdicts and exit codes, restarts, failures, dispositions, bad usage."""

from __future__ import annotations

import csv
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from thermo_qc.cli import main
from thermo_qc.cli.inspect_verbs import code_of
from thermo_qc.errors import OutputError
from thermo_qc.workflows import inspect as workflow
from thermo_qc.workflows import inspect_one
from thermo_qc.workflows.inspection_record import record_schema
from thermo_qc.workflows.inspection_tables import write_tables
from thermo_qc.workflows.run_index import RunIndex

NO_PAGE = ("--format", ",")  # drawing one takes most of the time of an inspection
LOOSE = {"max_equivalent_diameter_mm": 30, "detect_depth_mm": 2.0}


def criteria(folder: Path, *limits: dict[str, Any], **more: Any) -> str:
    path = folder / "criteria.yaml"
    path.write_text(yaml.safe_dump({"name": "test", "limits": list(limits), **more}), encoding="utf-8")
    return str(path)


def inspect(forest_run: Path, output: Path, *arguments: object) -> int:
    return main(["inspect", *map(str, arguments), "--model", str(forest_run), "-o", str(output), "--threads", "1"])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def inspected(lab: Path, forest_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """Folder of results, criteria, exit code: one good and one broken recording; one limit is broken."""
    folder = tmp_path_factory.mktemp("inspect")
    broken = folder / "broken.h5"
    broken.write_bytes(b"\x89HDF\r\n\x1a\n nothing")
    rules = criteria(folder, LOOSE, {"classes": ["surface defect"], "max_area_mm2": 50, "detect_depth_mm": 1.5})
    code = inspect(forest_run, folder / "out", lab / "first.h5", broken, "--criteria", rules)
    return folder / "out", Path(rules), code


def test_verdict_record_tables_and_pages(inspected: tuple[Path, Path, int]) -> None:
    output, _, code = inspected
    assert code == 3
    verdict = json.loads((output / "first.verdict.json").read_text(encoding="utf-8"))
    assert verdict["verdict"] == "reject"
    record = json.loads((output / "first.inspection.json").read_text(encoding="utf-8"))
    jsonschema.validate(record, record_schema())
    assert record["verdict"]["reasons"] == verdict["reasons"]
    assert record["detectability"]["missing"] == []
    assert {case["word"] for case in record["detectability"]["cases"]} == {"detectable"}
    (row,) = rows_of(output / "verdicts.csv")
    assert (row["verdict"], row["n_open"]) == ("reject", "0")
    assert [one["recording"] for one in rows_of(output / "failures.csv")] == [str(output.parent / "broken.h5")]
    page = (output / "inspection.html").read_text(encoding="utf-8")
    assert 'href="first.html"' in page
    assert "broken.h5" in page
    found = RunIndex(output).ask(lambda index: index.execute("SELECT stem, verdict FROM results").fetchall())
    assert found == [("first", "reject")]


def test_the_page_names_every_result_that_does_not_stand(inspected: tuple[Path, Path, int], tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(inspected[0], output)
    run_id = json.loads((output / "run.json").read_text(encoding="utf-8"))["fingerprint"]
    endings = [path.name[len("first") :] for path in output.glob("first.*")]
    for name in ("cut", "lost", "unjudged", "bare"):
        for ending in endings:
            shutil.copy(output / f"first{ending}", output / f"{name}{ending}")
    (output / "cut.inspection.json").write_text('{"format": "thermo', encoding="utf-8")
    (output / "lost.h5").unlink()
    (output / "unjudged.verdict.json").unlink()
    (output / "bare.inspection.json").unlink()
    write_tables(output, run_id, has_criteria=True)
    page = (output / "inspection.html").read_text(encoding="utf-8")
    assert "4 results in this folder could not be listed" in page
    for name, reason in (
        ("cut", "The record of the inspection cannot be used"),
        ("lost", "Its map or table of indications is missing"),
        ("unjudged", "Its verdict file is missing"),
        ("bare", "It has a map but was not inspected"),
    ):
        row = re.search(rf"<tr>\s*<t[hd][^>]*>{name}</t[hd]>.*?</tr>", page, re.DOTALL)
        assert row is not None and reason in row[0], name
    assert [row["result"] for row in rows_of(output / "verdicts.csv")] == ["first"]
    write_tables(output, "another", has_criteria=True)
    assert "It was made by other models or options" in (output / "inspection.html").read_text(encoding="utf-8")


def test_a_rerun_keeps_what_still_holds(
    inspected: tuple[Path, Path, int], lab: Path, forest_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    shutil.copytree(inspected[0], output)
    stamps = {path.name: path.stat().st_mtime_ns for path in output.glob("first.*")}
    code = inspect(forest_run, output, lab / "first.h5", "--criteria", inspected[1], "--json")
    assert code == 4
    line = json.loads(capsys.readouterr().out)
    assert (line["state"], line["verdict"]) == ("up to date", "reject")
    assert {path.name: path.stat().st_mtime_ns for path in output.glob("first.*")} == stamps
    loose = criteria(tmp_path, LOOSE)
    assert inspect(forest_run, output, lab / "first.h5", "--criteria", loose) == 0
    assert "first.h5: ACCEPT, 4 indications (up to date)" in capsys.readouterr().out
    (output / "first.html").unlink()
    assert inspect(forest_run, output, lab / "first.h5", "--criteria", loose) == 0
    assert (output / "first.html").is_file()
    assert (output / "first.h5").stat().st_mtime_ns == stamps["first.h5"]


def test_what_could_not_be_seen_is_for_review(
    inspected: tuple[Path, Path, int], lab: Path, forest_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(inspected[0], output)
    deep = criteria(tmp_path, {"max_equivalent_diameter_mm": 20, "detect_depth_mm": 7.8})
    assert inspect(forest_run, output, lab / "first.h5", "--criteria", deep, *NO_PAGE) == 5
    record = json.loads((output / "first.inspection.json").read_text(encoding="utf-8"))
    assert record["detectability"]["cases"][0]["word"] in ("borderline", "cannot be seen")
    unknown = criteria(tmp_path, {"max_equivalent_diameter_mm": 30})
    assert inspect(forest_run, output, lab / "first.h5", "--criteria", unknown, *NO_PAGE) == 5
    record = json.loads((output / "first.inspection.json").read_text(encoding="utf-8"))
    assert "deepest_mm" in record["verdict"]["reasons"][0]
    assert inspect(forest_run, output, lab / "first.h5", "--criteria", unknown, "--assume-detectable", *NO_PAGE) == 0


def test_without_criteria_there_is_no_verdict(
    inspected: tuple[Path, Path, int],
    lab: Path,
    forest_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    shutil.copytree(inspected[0], output)
    assert inspect(forest_run, output, lab / "first.h5", *NO_PAGE) == 0
    out = capsys.readouterr().out
    assert not any(word in out for word in ("ACCEPT", "REJECT", "REVIEW"))
    assert not (output / "first.verdict.json").exists()
    assert not (output / "verdicts.csv").exists()
    assert json.loads((output / "first.inspection.json").read_text(encoding="utf-8"))["verdict"] is None


def test_dispositions_stand_beside_the_result(
    inspected: tuple[Path, Path, int],
    lab: Path,
    forest_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    shutil.copytree(inspected[0], output)
    before = {name: (output / name).read_bytes() for name in ("first.h5", "first.csv", "first.verdict.json")}
    said = ["--as", "dismissed", "--by", "A. B.", "--why", "tool <mark>"]
    assert main(["dispose", str(output), str(lab / "first.h5"), "2", *said]) == 0
    assert {name: (output / name).read_bytes() for name in before} == before
    page = (output / "first.html").read_text(encoding="utf-8")
    assert "dismissed by A. B." in page
    assert "tool &lt;mark&gt;" in page
    record = json.loads((output / "first.inspection.json").read_text(encoding="utf-8"))
    jsonschema.validate(record, record_schema())
    assert [(one["indication"], one["stale"]) for one in record["dispositions"]] == [(2, False)]
    path = output / "first.dispositions.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace(record["map"]["file_sha256"], "0" * 64), encoding="utf-8")
    assert inspect(forest_run, output, lab / "first.h5", "--criteria", inspected[1]) == 4
    assert "stale" in (output / "first.html").read_text(encoding="utf-8")
    capsys.readouterr()
    for arguments, line in (
        ((str(output), "first", "99"), "no indication 99; it has 1 to"),
        ((str(output), "second", "1"), "no inspected result of 'second'"),
        ((str(tmp_path / "no"), "first", "1"), "is no folder"),
    ):
        assert main(["dispose", *arguments, *said]) == 2
        assert line in capsys.readouterr().err
    assert main(["dispose", str(output), "first", "1", "--as", "maybe", *said[2:]]) == 2
    assert "unknown disposition 'maybe'" in capsys.readouterr().err
    (output / "first.h5").write_bytes((output / "first.h5").read_bytes() + b" ")
    assert main(["dispose", str(output), "first", "1", *said]) == 2
    assert "has changed since it was inspected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("failed", "rejected", "review", "code"),
    [(0, 0, 0, 0), (1, 2, 3, 3), (1, 0, 0, 3), (0, 1, 3, 4), (0, 1, 0, 4), (0, 0, 1, 5)],
)
def test_the_worst_part_gives_the_code(failed: int, rejected: int, review: int, code: int) -> None:
    assert code_of(n_failed=failed, n_rejected=rejected, n_review=review) == code


def test_parts_that_cannot_be_judged_are_listed_and_judged_again(
    inspected: tuple[Path, Path, int],
    lab: Path,
    forest_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    output = tmp_path / "out"
    shutil.copytree(inspected[0], output)
    parts = [lab / "first.h5", lab / "second.h5"]
    rules = Path(criteria(tmp_path, {"classes": ["surface defect"], "max_number": 0}))
    stamp = (output / "first.h5").stat().st_mtime_ns
    real = inspect_one.write_pages

    def write_pages(record: dict[str, Any], *arguments: Any, **options: Any) -> None:
        if record["result"] == "first":
            raise OutputError("no space left for the page")
        real(record, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(inspect_one, "write_pages", write_pages)
        results = workflow.run(forest_run, parts, output, criteria=rules)
    assert [(result.verdict, result.error) for result in results] == [
        ("", "no space left for the page"),
        ("reject", ""),
    ]
    assert str(parts[0]) in [row["recording"] for row in rows_of(output / "failures.csv")]
    assert [row["result"] for row in rows_of(output / "verdicts.csv")] == ["second"]
    assert json.loads((output / "first.inspection.json").read_text(encoding="utf-8"))["criteria"]["limits"][1:]  # old
    results = workflow.run(forest_run, parts, output, criteria=rules)
    assert [(result.verdict, result.skipped) for result in results] == [("reject", True)] * 2
    assert (output / "first.h5").stat().st_mtime_ns == stamp
    assert str(parts[0]) not in [row["recording"] for row in rows_of(output / "failures.csv")]
    assert [row["result"] for row in rows_of(output / "verdicts.csv")] == ["first", "second"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--format", "docx"], "unknown format 'docx'"),
        (["--assume-detectable"], "--assume-detectable came without --criteria"),
        (["--criteria", "none.yaml"], "none.yaml does not exist"),
        (["--plate", "gfrp_calibratd"], "did you mean 'gfrp_calibrated'"),
    ],
)
def test_wrong_usage_makes_nothing(
    arguments: list[str],
    line: str,
    lab: Path,
    forest_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert inspect(forest_run, tmp_path / "out", lab / "first.h5", *arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_unknown_classes_are_wrong_usage(
    lab: Path, forest_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = criteria(tmp_path, {"classes": ["surface defekt"], "max_number": 0})
    assert inspect(forest_run, tmp_path / "out", lab / "first.h5", lab / "second.h5", "--criteria", rules) == 2
    assert "did you mean 'surface defect'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
