"""Damaged files of every format: they load, or one clear line says why not, in little time and memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import BY_NAME, CASES
from harness import Report, damaged, prepared, run_guarded, run_range
from mutations import mutated, number_places

from thermo_qc.io import READERS, detect_format

SHORT = 150 / 20_000  # of the long run


def _check(report: Report) -> None:
    assert not report.failures, "\n".join(f"{report.name} {number}: {what}" for number, what in report.failures)
    assert 0.1 * report.files < report.refused < report.files + (report.files < 200)  # checksums notice nearly all


@pytest.mark.parametrize("name", BY_NAME)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    case = BY_NAME[name]
    if case.needs:
        pytest.importorskip(case.needs)
    _check(run_range(case, tmp_path, 0, round(SHORT * case.files)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", BY_NAME)
def test_many_damaged_files(name: str) -> None:
    case = BY_NAME[name]
    if case.needs:
        pytest.importorskip(case.needs)
    _check(run_guarded(case))


def test_every_reader_has_a_case(tmp_path: Path) -> None:
    opened = set()
    for case in CASES:
        folder = tmp_path / case.name
        folder.mkdir()
        path = case.make(folder)
        if not case.name.startswith(("truth", "sidecar", "manifest", "registration")):
            opened.add(detect_format(folder if case.name.startswith("folder") else path).name)
    assert opened == {reader.name for reader in READERS}


def test_mutations_are_repeatable_and_differ() -> None:
    content = bytes(range(256)) * 4
    versions = [mutated(content, 1, number, places=(0, 8)) for number in range(50)]
    assert versions == [mutated(content, 1, number, places=(0, 8)) for number in range(50)]
    assert len(set(versions)) >= 49 and mutated(content, 2, 0) != versions[0]
    assert {len(version) < len(content) for version in versions} == {True, False}


def test_places_of_numbers() -> None:
    assert number_places(b"\xff" * 8 + (40).to_bytes(4, "little") + b"\xff" * 28) == [8]
    assert number_places(b"\xff" * 6 + (40).to_bytes(2, "big") + b"\xff" * 32, stop=16) == [6]


@pytest.mark.parametrize("name", ["folder_png", "npz_members", "matlab5_zlib"])
def test_wrapped_payloads_get_past_the_checksums(tmp_path: Path, name: str) -> None:
    case = BY_NAME[name]
    path, payload, places = prepared(case, tmp_path)
    reasons = set()
    for number in range(60):
        path.write_bytes(damaged(case, payload, places, number))
        try:
            case.use(path)
        except Exception as error:
            reasons.add(str(error))
    assert not any("CRC" in reason or "checksum" in reason.lower() for reason in reasons), reasons
