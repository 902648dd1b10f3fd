"""A folder that recordings arrive in: what is complete is taken, once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from thermo_qc.errors import ConfigError, InputError
from thermo_qc.workflows import inbox, watch
from thermo_qc.workflows.inbox import Inbox, digest_of


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(inbox.time, "monotonic", found)
    return found


@pytest.fixture
def look(tmp_path: Path, clock: Clock) -> Callable[[float], list[str]]:
    """Let time go by, look, and say what is ready."""
    place = Inbox(tmp_path, recursive=True, settle_s=5.0, skip=tmp_path / "out")

    def wait_and_look(seconds: float) -> list[str]:
        clock.now += seconds
        found = place.look()
        return [path.relative_to(tmp_path).as_posix() for path in found]

    wait_and_look.place = place  # type: ignore[attr-defined]
    return wait_and_look


def test_a_growing_file_is_left_until_it_has_been_still(look: Callable[[float], list[str]], tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"1")
    assert look(0) == [] and look.place.settling and look.place.changed
    path.write_bytes(b"12")
    assert look(60) == [] and look.place.changed  # however long the pause was
    assert look(4.9) == [] and not look.place.changed
    assert look(0.1) == ["a.npy"]
    look.place.did(path)
    assert look(100) == [] and not look.place.waiting
    path.write_bytes(b"123")
    assert look(1) == [] and look(5) == ["a.npy"]


def test_the_clock_of_the_wall_does_not_matter(look: Callable[[float], list[str]], tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"1")
    for stamp in (0, 4102444800, 1):  # 1970, 2100, 1970
        os.utime(path, (stamp, stamp))
        assert look(5) == []
    assert look(5) == ["a.npy"]


def test_facts_that_arrive_later_make_it_another_state(look: Callable[[float], list[str]], tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"1")
    look(0)
    (tmp_path / "a.yaml").write_text("unit: K\n", encoding="utf-8")
    assert look(5) == [] and look(5) == ["a.npy"]
    look.place.did(path)
    (tmp_path / "a.yaml").unlink()
    assert look(5) == [] and look(5) == ["a.npy"]


def test_what_failed_is_left_alone_until_it_changes(look: Callable[[float], list[str]], tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"1")
    look(0)
    look.place.remember_failure(str(path.resolve()), digest_of(look.place.state_of(path)))
    assert look(10) == [] and not look.place.waiting
    path.write_bytes(b"12")
    assert look(1) == [] and look(5) == ["a.npy"]


def test_frames_of_a_folder_are_no_recordings_by_themselves(look: Callable[[float], list[str]], tmp_path: Path) -> None:
    frames = tmp_path / "plate"
    frames.mkdir()
    for number in range(3):  # one every four seconds
        cv2.imwrite(str(frames / f"{number}.tif"), np.zeros((6, 8), np.uint16))
        assert look(4) == []
    assert look(5) == ["plate"]


def test_results_and_folders_below(look: Callable[[float], list[str]], tmp_path: Path) -> None:
    for name in ("out/a.npy", "sub/b.npy", "sub/.c.npy", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    look(0)
    assert look(5) == ["sub/b.npy"]
    (tmp_path / "sub" / "d.npy").write_bytes(b"1")  # something arrives beside it: wait
    assert look(1) == [] and look(5) == ["sub/b.npy", "sub/d.npy"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs rights that can be wanting")
def test_without_rights_it_waits(look: Callable[[float], list[str]], tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"1")
    (tmp_path / "a.npy").chmod(0)
    look(0)
    assert look(5) == [] and look.place.waiting and not look.place.settling


def test_what_cannot_be_read_waits(
    look: Callable[[float], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "a.npy").write_bytes(b"1")
    look(0)

    def locked(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", locked)
        assert look(5) == [] and look(5) == []
        assert [path.name for path in look.place.waiting] == ["a.npy"] and not look.place.settling
    assert caplog.text.count("Permission denied") == 1
    assert look(5) == ["a.npy"]


def test_an_inbox_that_vanishes_is_waited_for(tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    place = Inbox(tmp_path / "in", settle_s=0, skip=tmp_path / "out")
    assert place.look() == [] and place.look() == []
    assert caplog.text.count("waiting for it") == 1
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.npy").write_bytes(b"1")
    assert [path.name for path in place.look()] == ["a.npy"]


def test_impossible_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--settle-s is nan"):
        Inbox(tmp_path, settle_s=float("nan"), skip=tmp_path)
    for folder, message in (
        (tmp_path / "none", "is no folder"),
        (tmp_path / "out" / "in", "lies in the output folder"),
    ):
        if "out" in folder.parts[-2]:
            folder.mkdir(parents=True)
        with pytest.raises(InputError, match=message):
            watch.run(folder, tmp_path / "model", tmp_path / "out", None)  # type: ignore[arg-type]


def test_names_are_kept_and_never_shared(tmp_path: Path) -> None:
    taken: dict[str, str] = {}
    (tmp_path / "sub").mkdir()
    expected = {"a.npy": "a", "a.mat": "a.mat", "sub/a.npy": "sub/a", "summary.h5": "summary.h5", "a.h5": "a.h5"}
    for name, stem in expected.items():
        (tmp_path / name).touch()
        assert watch._name(tmp_path / name, tmp_path, taken) == stem
    for name, stem in expected.items():
        assert watch._name(tmp_path / name, tmp_path, taken) == stem
