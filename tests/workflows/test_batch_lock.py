"""One run at a time in a folder: refused, taken over, broken, lost."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from thermo_qc.errors import OutputError
from thermo_qc.io import remove_partial
from thermo_qc.workflows import lock as module
from thermo_qc.workflows.lock import LOCK, locked


def _ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def _put(folder: Path, name: str = LOCK, **changes: object) -> None:
    owner = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": "2020-01-01T00:00:00+00:00",
        "birth": "",
        "token": "other",
    }
    (folder / name).write_text(json.dumps({**owner, **changes}), encoding="utf-8")


def test_the_lock_names_its_owner_and_goes_with_the_block(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with locked(out) as lock:
        content = json.loads((out / LOCK).read_text(encoding="utf-8"))
        assert (content["host"], content["pid"]) == (socket.gethostname(), os.getpid())
        lock.check()
    assert not out.exists()  # nothing was put into it
    with locked(out):
        (out / "result").touch()
    assert [path.name for path in out.iterdir()] == ["result"]


def test_a_living_owner_is_respected(tmp_path: Path) -> None:
    _put(tmp_path)
    with pytest.raises(OutputError, match=rf"process {os.getpid()} on .* for \d+ h.*--break-lock"), locked(tmp_path):
        pass
    assert (tmp_path / LOCK).is_file()


def test_another_machine_is_respected_and_can_be_overruled(tmp_path: Path) -> None:
    _put(tmp_path, host="elsewhere", pid=_ended_process())
    with pytest.raises(OutputError, match="on elsewhere"), locked(tmp_path):
        pass
    with locked(tmp_path, break_lock=True) as lock:
        lock.check()
    assert not list(tmp_path.iterdir())


def test_a_dead_owner_is_replaced(tmp_path: Path) -> None:
    _put(tmp_path, pid=_ended_process())
    with locked(tmp_path) as lock:
        assert lock.owner.pid == os.getpid()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no start times of processes")
def test_another_process_of_the_same_number_is_not_the_owner(tmp_path: Path) -> None:
    _put(tmp_path, birth="another-boot/1")
    with locked(tmp_path) as lock:
        lock.check()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"host": 1, "pid": "x"}', "\0"])
def test_a_lock_that_cannot_be_read_is_left_alone(content: str, tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(content, encoding="utf-8")
    with pytest.raises(OutputError, match="does not say whose it is"), locked(tmp_path):
        pass
    with locked(tmp_path, break_lock=True):
        pass


@pytest.mark.parametrize("started", ["2999-01-01T00:00:00+00:00", "yesterday", "2020-01-01T00:00:00"])
def test_the_age_survives_a_clock_that_jumped(started: str, tmp_path: Path) -> None:
    _put(tmp_path, started=started)
    with pytest.raises(OutputError, match=r"for (0 s|an unknown time)"), locked(tmp_path):
        pass


def test_who_lost_the_folder_stops_and_leaves_the_new_owner_his_lock(tmp_path: Path) -> None:
    with locked(tmp_path) as first:
        with locked(tmp_path, break_lock=True) as second:
            second.check()
            with pytest.raises(OutputError, match=f"taken from this run .it belongs to process {os.getpid()}"):
                first.check()
        with pytest.raises(OutputError, match="belongs to nobody"):
            first.check()
        _put(tmp_path)
    assert (tmp_path / LOCK).is_file()


def test_only_one_of_many_gets_a_stale_lock(tmp_path: Path) -> None:
    _put(tmp_path, pid=_ended_process())
    barrier, release = threading.Barrier(8), threading.Event()
    held: list[str] = []
    refused: list[str] = []

    def attempt() -> None:
        barrier.wait()
        try:
            with locked(tmp_path) as lock:
                held.append(lock.owner.token)
                release.wait(20)
        except OutputError as error:
            refused.append(str(error))
            if len(refused) == 7:
                release.set()

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1 and len(refused) == 7
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("still_held", [False, True])
def test_whose_file_was_tidied_away_tries_again(
    still_held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run takes the folder while this one writes its lock, and removes what looks half-written."""
    plain, stack = os.link, ExitStack()

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", plain)
        stack.enter_context(locked(tmp_path))
        remove_partial(tmp_path)
        if not still_held:
            stack.close()
        plain(source, target)

    monkeypatch.setattr(os, "link", late)
    with stack:
        if still_held:
            with pytest.raises(OutputError, match="in use by another run"), locked(tmp_path):
                pass
        else:
            with locked(tmp_path) as lock:
                lock.check()
    assert not list(tmp_path.iterdir())


def test_who_is_slow_to_remove_a_stale_lock_leaves_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run reads a stale lock and is held up; meanwhile another one has taken the folder over."""
    _put(tmp_path, pid=_ended_process())
    others: list[module.FolderLock] = []
    plain, stack = module._remove, ExitStack()

    def slow(path: Path, expected: module.Owner | None, claimant: module.Owner, *, force: bool = False) -> None:
        if not others:
            monkeypatch.setattr(module, "_remove", plain)
            others.append(stack.enter_context(locked(tmp_path)))
        plain(path, expected, claimant, force=force)

    monkeypatch.setattr(module, "_remove", slow)
    with stack:
        with pytest.raises(OutputError, match="in use by another run"), locked(tmp_path):
            pass
        others[0].check()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("alive", [False, True])
def test_a_claim_on_a_stale_lock_counts_while_its_maker_lives(alive: bool, tmp_path: Path) -> None:
    _put(tmp_path, pid=_ended_process())
    claim = module._claim_on(tmp_path / LOCK, module._read(tmp_path / LOCK))
    _put(tmp_path, pid=os.getpid() if alive else _ended_process(), name=claim.name)
    if alive:
        with pytest.raises(OutputError, match="being taken by other runs"), locked(tmp_path):
            pass
    with locked(tmp_path, break_lock=alive):
        assert not claim.exists()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_keeps_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, owner: module.Owner) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with locked(tmp_path):
        monkeypatch.setattr(module, "_create", full)
    assert not list(tmp_path.iterdir())


def test_a_claim_that_was_left_behind_is_swept_away(tmp_path: Path) -> None:
    _put(tmp_path, pid=_ended_process(), name=f"{LOCK}.0123")
    with locked(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(OutputError, match="is a file"), locked(tmp_path / "out"):
        pass


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs rights that can be wanting")
def test_a_folder_without_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path):
            pass
    finally:
        tmp_path.chmod(0o700)


def test_without_hard_links_the_lock_works_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with locked(tmp_path), pytest.raises(OutputError, match="in use"), locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
