"""A part's inspections beside one another: indications matched by overlap on the plate."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_results import plate_of, put_record, put_result

from thermo_qc.cli import main
from thermo_qc.errors import InputError
from thermo_qc.preprocess import fit_homography, rectify
from thermo_qc.sequence import HistoryEntry, ThermalSequence
from thermo_qc.workflows.compare_results import Comparison, compare_maps
from thermo_qc.workflows.part_history import compare_part
from thermo_qc.workflows.plate_place import matrix_from_text, plate_matrix_text

HOLE, DEEP, FAR = (5, 5, 15, 15), (20, 10, 30, 18), (32, 40, 37, 46)


def _kinds(comparison: Comparison) -> dict[str, int]:
    return {kind: comparison.count(kind) for kind in {change.kind for change in comparison.changes}}


def _both(tmp_path: Path, now: dict[str, Any], before: dict[str, Any]) -> Comparison:
    return compare_maps(put_result(tmp_path, "now", **now), put_result(tmp_path, "before", **before))


@pytest.mark.parametrize(
    ("now", "before", "kinds"),
    [
        ((HOLE,), (HOLE,), {"unchanged": 1}),
        ((HOLE, FAR), (HOLE,), {"unchanged": 1, "new": 1}),
        ((HOLE,), (HOLE, FAR), {"unchanged": 1, "gone": 1}),
        (((4, 4, 17, 17),), (HOLE,), {"grown": 1}),
        (((6, 6, 13, 13),), (HOLE,), {"shrunk": 1}),
        (((5, 5, 15, 16),), (HOLE,), {"unchanged": 1}),  # a tenth more
        (((14, 14, 24, 24),), (HOLE,), {"new": 1, "gone": 1}),  # they touch by one pixel of a hundred
        (((5, 5, 15, 26),), (HOLE, (5, 16, 15, 26)), {"unchanged": 1}),  # merged: sums count
        ((HOLE, (5, 16, 15, 26)), ((5, 5, 15, 26),), {"unchanged": 1}),
        ((), (), {}),
    ],
)
def test_kinds_of_change(tmp_path: Path, now: Any, before: Any, kinds: dict[str, int]) -> None:
    comparison = _both(tmp_path, {"boxes": now}, {"boxes": before})
    assert _kinds(comparison) == kinds
    assert (comparison.place, comparison.unit) == ("frame", "mm")


def test_areas_and_positions(tmp_path: Path) -> None:
    (change, new) = sorted(
        _both(tmp_path, {"boxes": ((5, 5, 15, 20), FAR)}, {"boxes": (HOLE,)}).changes, key=lambda one: one.kind
    )
    assert (change.kind, change.now, change.before) == ("grown", (1,), (1,))
    assert (change.area_now, change.area_before) == pytest.approx((600.0, 400.0))
    assert (change.x, change.y) == pytest.approx((25.0, 20.0))
    assert (new.now, new.before, new.area_now, new.area_before) == ((2,), (), 120.0, 0.0)


def test_on_the_plate_cameras_may_have_moved(tmp_path: Path) -> None:
    """Half the resolution, 20 mm aside and turned by a right angle: the same hole of 20 mm at the same place."""
    turned = np.array([[0, -1.0, 100.0], [1.0, 0, 0], [0, 0, 1]]) @ plate_of(1.0)  # pixel (x, y) -> (100 - y, x)
    now = {"boxes": ((70, 10, 90, 30),), "shape": (100, 80), "pitch_mm": 1.0, "matrix": turned}
    before = {"boxes": (HOLE,), "pitch_mm": 2.0, "matrix": plate_of(2.0)}
    comparison = _both(tmp_path, now, before)
    assert comparison.place == "plate"
    (change,) = comparison.changes
    assert change.kind == "unchanged" and (change.x, change.y) == pytest.approx((20.0, 20.0), abs=0.6)
    assert change.area_now == pytest.approx(400.0, rel=0.06)
    aside = {**before, "matrix": plate_of(2.0, shift_mm=(40.0, 0.0))}
    assert _kinds(_both(tmp_path, now, aside)) in ({"new": 1, "gone": 1}, {"not inspected before": 1, "gone": 1})


def test_what_was_out_of_sight_is_not_new(tmp_path: Path) -> None:
    hidden = {"boxes": (HOLE,), "ignored": (30, 35, 40, 50)}
    assert _kinds(_both(tmp_path, {"boxes": (HOLE, FAR)}, hidden)) == {"unchanged": 1, "not inspected before": 1}
    assert _kinds(_both(tmp_path, hidden, {"boxes": (HOLE, FAR)})) == {"unchanged": 1, "not inspected now": 1}
    small = {"boxes": (HOLE,), "shape": (30, 30)}
    assert _kinds(_both(tmp_path, {"boxes": (HOLE, FAR)}, small)) == {"unchanged": 1, "not inspected before": 1}


def test_without_millimetres(tmp_path: Path) -> None:
    comparison = _both(tmp_path, {"pitch_mm": None}, {"pitch_mm": 2.0})
    assert (comparison.place, comparison.unit, _kinds(comparison)) == ("pixels", "px", {"unchanged": 1})
    with pytest.raises(InputError, match=r"cannot be compared: .* without a pixel pitch; register both"):
        _both(tmp_path, {"pitch_mm": None}, {"shape": (30, 30)})


def test_small_regions_that_were_no_indications_are_none_here(tmp_path: Path) -> None:
    import h5py

    base = put_result(tmp_path, "now", (HOLE, (30, 30, 31, 31)))
    with h5py.File(base.with_name("now.h5"), "r+") as file:
        file.attrs["n_indications"] = 1
    assert _kinds(compare_maps(base, put_result(tmp_path, "before", (HOLE,)))) == {"unchanged": 1}


def test_a_registered_recording_says_where_its_plate_is() -> None:
    points = np.array([[0, 0], [39, 0], [39, 29], [0, 29.0]])
    registration = fit_homography(points, points * 2.0 + 7)
    sequence = ThermalSequence(frames=np.zeros((2, 30, 40), np.float32), times_s=np.arange(2.0), unit="K")
    assert plate_matrix_text(sequence) == ""
    entry = HistoryEntry(step="register", parameters={"plate": "p", **registration.to_dict()})
    registered = sequence.with_frames(sequence.frames, "register", parameters=entry.parameters, pixel_pitch_mm=2.0)
    matrix = matrix_from_text(plate_matrix_text(registered))
    assert matrix is not None
    assert (matrix @ [3, 4, 1])[:2] / (matrix @ [3, 4, 1])[2] == pytest.approx([13, 15])
    flat = rectify(registered, registration, (100.0, 80.0), 0.5)
    matrix = matrix_from_text(plate_matrix_text(flat))
    assert matrix is not None and (matrix @ [3, 4, 1])[:2] == pytest.approx([1.75, 2.25])
    assert matrix_from_text("[[1]]") is None and matrix_from_text("") is None


@pytest.fixture
def history(tmp_path: Path) -> list[Path]:
    """Three inspections of one part in two folders, done in another order than they were recorded."""
    folders = [tmp_path / "spring", tmp_path / "autumn"]
    wanted = [("c", 1, (HOLE, FAR), 0), ("a", 3, ((4, 4, 17, 17), FAR, DEEP), 1), ("b", 2, (HOLE, FAR, DEEP), 0)]
    for stem, day, boxes, number in wanted:
        recording = tmp_path / f"{stem}.h5"
        recording.touch()
        os.utime(recording, ns=(day * 86400 * 10**9, day * 86400 * 10**9))
        put_result(folders[number], stem, boxes, recording=recording, specimen="wing 7")
    put_result(folders[1], "lonely", (), specimen="wing 8")
    put_result(folders[1], "nameless", (HOLE,))
    for folder in folders:
        put_record(folder)
    return folders


def test_inspections_follow_one_another_as_they_were_recorded(history: list[Path]) -> None:
    steps = compare_part(history, "wing 7")
    assert [(step.before["result"], step.now["result"]) for step in steps] == [("c", "b"), ("b", "a")]
    assert [_kinds(step.comparison) for step in steps] == [{"new": 1, "unchanged": 2}, {"grown": 1, "unchanged": 2}]
    assert [step.now["result"] for step in compare_part(history, "b")] == ["b"]
    (step,) = compare_part(history, "c.h5", against="a")
    assert _kinds(step.comparison) == {"gone": 1, "shrunk": 1, "unchanged": 1}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("wing 8", "was inspected once"),
        ("c", "'wing 7' has no inspection before 'c'; give --against"),
        ("nameless", "names no specimen, so its earlier inspections are not known"),
        ("wing 77", "there is no result and no specimen 'wing 77'; did you mean 'wing 7'"),
    ],
)
def test_nothing_to_compare(part: str, message: str, history: list[Path]) -> None:
    with pytest.raises(InputError, match=message):
        compare_part(history, part)


def test_two_results_of_one_name(history: list[Path]) -> None:
    put_result(history[1], "c", ())
    with pytest.raises(InputError, match=r"'c' are 2 results \(.*spring/c, .*autumn/c\)"):
        compare_part(history, "c")


def test_verb(history: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["results", *map(str, history), "--compare", "wing 7"]
    assert main([*command, "-o", str(tmp_path / "changes.csv")]) == 0
    said = capsys.readouterr().out
    assert "a (1970-01-04" in said and "taken as lying alike" in said and said.count("grown") == 1
    table = (tmp_path / "changes.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 7 and table[1].startswith("b,c,new,2,,frame,mm,")
    assert main([*command, "--json", "-o", str(tmp_path / "changes.json")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == json.loads((tmp_path / "changes.json").read_text(encoding="utf-8"))
    assert [line["now"]["result"] for line in lines] == ["b", "a"]
    assert main([*command, "--growth", "5"]) == 0
    assert "grown" not in capsys.readouterr().out
