"""Files, folders, patterns and lists become recordings; a folder of frames stays one."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import InputError
from thermo_qc.workflows.recordings_found import find_recordings, is_frame_folder

FRAME = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)


def _files(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def _names(found: object, base: Path) -> list[str]:
    return [path.relative_to(base).as_posix() for path in found.recordings]  # type: ignore[attr-defined]


def test_a_folder_gives_its_recordings_in_natural_order(tmp_path: Path) -> None:
    _files(tmp_path, "p10.h5", "p2.mat", "p1.npy", "notes.txt", "photo.jpg", "p1.yaml", ".hidden.h5", "truth.png")
    found = find_recordings([tmp_path])
    assert _names(found, tmp_path) == ["p1.npy", "p2.mat", "p10.h5"]
    assert found.several and found.notes == (f"{tmp_path}: 3 recordings",)


def test_recursive_leaves_results_out(tmp_path: Path) -> None:
    _files(tmp_path, "a.h5", "b/c.h5", "b/d/e.h5", "out/a.h5", "other/run.json", "other/x.h5")
    assert _names(find_recordings([tmp_path], skip=tmp_path / "out"), tmp_path) == ["a.h5"]
    found = find_recordings([tmp_path], recursive=True, skip=tmp_path / "out")
    assert _names(found, tmp_path) == ["a.h5", "b/c.h5", "b/d/e.h5"]


def test_a_folder_of_frames_is_one_recording(tmp_path: Path) -> None:
    writers = {
        "png": lambda path: cv2.imwrite(str(path), FRAME),
        "tif": lambda path: tifffile.imwrite(path, FRAME),
        "csv": lambda path: np.savetxt(path, FRAME, delimiter=","),
    }
    for ending, save in writers.items():
        (tmp_path / ending).mkdir()
        for number in range(3):
            save(tmp_path / ending / f"frame{number}.{ending}")
        found = find_recordings([tmp_path / ending])
        assert found.recordings == (tmp_path / ending,) and not found.several
        assert "one recording, a folder of" in found.notes[0]
    assert _names(find_recordings([tmp_path]), tmp_path) == ["csv", "png", "tif"]  # each of them one
    _files(tmp_path / "png", "whole.h5")
    assert is_frame_folder(tmp_path / "png") == ""


def test_a_folder_of_stacks_is_several_recordings(tmp_path: Path) -> None:
    for number in range(2):
        tifffile.imwrite(tmp_path / f"plate{number}.tif", np.stack([FRAME] * 5))
    assert _names(find_recordings([tmp_path]), tmp_path) == ["plate0.tif", "plate1.tif"]


def test_a_folder_of_tables_is_several_recordings_where_a_frame_shape_is_given(tmp_path: Path) -> None:
    for number in range(2):
        np.savetxt(tmp_path / f"plate{number}.csv", np.stack([FRAME.ravel()] * 5), delimiter=",")
    assert len(find_recordings([tmp_path], facts={"frame_shape": (20, 30)}).recordings) == 2


def test_a_sidecar_makes_a_folder_a_recording(tmp_path: Path) -> None:
    _files(tmp_path, "f1.tif", "f2.tif")
    assert is_frame_folder(tmp_path) == ""
    (tmp_path / "thermo.yaml").write_text("frame_rate_hz: 1\n", encoding="utf-8")
    assert is_frame_folder(tmp_path) == "TIFF"


def test_patterns(tmp_path: Path) -> None:
    _files(tmp_path, "a1.h5", "a2.h5", "b1.h5", "deep/er/a3.h5", "out/a9.h5")
    assert _names(find_recordings([str(tmp_path / "a*.h5")]), tmp_path) == ["a1.h5", "a2.h5"]
    found = find_recordings([str(tmp_path / "**" / "a?.h5")], skip=tmp_path / "out")
    assert sorted(_names(found, tmp_path)) == ["a1.h5", "a2.h5", "deep/er/a3.h5"]
    with pytest.raises(InputError, match="matches nothing"):
        find_recordings([str(tmp_path / "z*.h5")])
    _files(tmp_path, "odd[1].h5")
    assert _names(find_recordings([tmp_path / "odd[1].h5"]), tmp_path) == ["odd[1].h5"]  # a name before a pattern


def test_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _files(tmp_path, "a 1.h5", "b.h5", "sub/c.h5", "sub/d.h5")
    entries = ("# night", "", "a 1.h5", "sub", "b.h5", "sub/*.h5", str(tmp_path / "b.h5"))
    (tmp_path / "list.txt").write_text("\ufeff" + "\r\n".join(entries), encoding="utf-8")
    found = find_recordings([f"@{tmp_path / 'list.txt'}"])
    assert _names(found, tmp_path) == ["a 1.h5", "sub/c.h5", "sub/d.h5", "b.h5"]  # each once
    (tmp_path / "zero.txt").write_bytes(b"a 1.h5\0odd\nname.h5\0")
    assert [path.name for path in find_recordings([f"@{tmp_path / 'zero.txt'}"]).recordings] == [
        "a 1.h5",
        "odd\nname.h5",
    ]

    class _Input:
        buffer = io.BytesIO(b"x.h5\ny.h5\n")

    monkeypatch.setattr(sys, "stdin", _Input())
    assert find_recordings(["@-"]).recordings == (Path("x.h5"), Path("y.h5"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"# nothing\n", "is empty"), (b"\xff\xfe", "not UTF-8"), (b"@more.txt\n", "list in a list")],
)
def test_bad_lists(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        find_recordings([f"@{tmp_path / 'list.txt'}"])
    with pytest.raises(InputError, match="cannot be read"):
        find_recordings([f"@{tmp_path / 'none.txt'}"])


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--recursive"):
        find_recordings([tmp_path])
    with pytest.raises(InputError, match="no frames and no recording or in its folders"):
        find_recordings([tmp_path], recursive=True)


def test_ten_thousand_empty_files_are_listed_without_opening_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10_000):
        (tmp_path / f"p{number}.h5").touch()

    def refuse(*_: object, **__: object) -> object:
        raise AssertionError("a recording was opened")

    monkeypatch.setattr(Path, "open", refuse)
    found = find_recordings([tmp_path])
    assert len(found.recordings) == 10_000
    assert [path.name for path in found.recordings[9:11]] == ["p9.h5", "p10.h5"]


@settings(deadline=None, max_examples=20)
@given(names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40)))
def test_any_name_in_a_folder_is_found_as_it_is(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("names")
    made = set()
    for name in names:
        path = folder / f"{name}.h5"
        try:
            path.touch()
        except OSError:
            continue
        if not path.name.startswith("."):
            made.add(path.name)
    if made:
        assert {path.name for path in find_recordings([folder]).recordings} == made
