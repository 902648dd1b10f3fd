"""One run at a time in a folder: a lock file that says who has it and since when."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from thermo_qc.errors import OutputError
from thermo_qc.io import partial_path

__all__ = ["LOCK", "FolderLock", "Owner", "locked", "locked_by_leader"]

LOCK = ".thermo-qc.lock"
_ATTEMPTS = 20
_PAUSE_S = 0.02
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who holds a lock.

    Parameters
    ----------
    host : str
        Name of the machine.
    pid : int
        Process on it.
    started : str
        When the lock was taken, ISO time in UTC.
    birth : str
        When the process and its machine started, as the system says it ("" where it does not): another process that
        got the same number later has another one.
    token : str
        Different for every lock.
    """

    host: str
    pid: int
    started: str
    birth: str
    token: str

    @property
    def age(self) -> str:
        """Time since the lock was taken, for a message; a clock that was set back makes it 0."""
        try:
            seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(self.started)).total_seconds()))
        except (ValueError, TypeError):
            return "an unknown time"
        if seconds < 120:
            return f"{seconds} s"
        return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"

    def is_gone(self) -> bool:
        """Whether the owner was a process of this machine that has ended; of other machines nobody can say."""
        if self.host != socket.gethostname():
            return False
        return not _is_running(self.pid) or (bool(self.birth) and _birth(self.pid) not in ("", self.birth))


@dataclass(frozen=True, kw_only=True)
class FolderLock:
    """A lock that is held."""

    path: Path
    owner: Owner

    def check(self) -> None:
        """Refuse to go on once somebody else has taken the folder (with ``--break-lock``).

        Raises
        ------
        OutputError
            With the new owner.
        """
        now = _read(self.path)
        if now != self.owner:
            who = "nobody" if now is None else f"process {now.pid} on {now.host}"
            raise OutputError(
                f"{self.path.parent} was taken from this run (it belongs to {who} now); this run stops, what it has "
                "done stays; give the same command again to continue"
            )


@contextmanager
def locked(folder: Path, *, break_lock: bool | None = False) -> Iterator[FolderLock]:
    """Hold a folder while the block runs.

    The lock of a process of this machine that is no longer there is taken over.

    Parameters
    ----------
    folder : Path
        Made where it is missing, and removed again when nothing was put into it.
    break_lock : bool, optional
        Take the folder whoever holds it; None: the command has no such option, and its message names the lock file.

    Yields
    ------
    FolderLock
        Of this process.

    Raises
    ------
    OutputError
        When somebody else holds the folder, or it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, expected a folder for the results; choose another name")
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _take(folder / LOCK, break_lock)
    except OSError as error:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}; choose another folder") from error
    try:
        yield lock
    finally:
        if _read(lock.path) == lock.owner:
            with suppress(OSError):
                _give_back(lock)
        if made:
            with suppress(OSError):  # results are in it
                folder.rmdir()


@contextmanager
def locked_by_leader(folder: Path) -> Iterator[None]:
    """Hold the folder of a training, see `locked`; of the processes that share one training, the first holds it."""
    if any(os.environ.get(name, "0").strip() not in ("", "0") for name in _RANKS):
        yield
        return
    with locked(folder, break_lock=None):
        yield


def _take(path: Path, break_lock: bool | None) -> FolderLock:
    owner = Owner(
        host=socket.gethostname(),
        pid=os.getpid(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        birth=_birth(os.getpid()),
        token=uuid.uuid4().hex,
    )
    n_unreadable = 0
    way_out = f"delete {path}" if break_lock is None else "add --break-lock"
    for _ in range(_ATTEMPTS):
        if _create(path, owner):
            _sweep(path.parent)
            return FolderLock(path=path, owner=owner)
        there = _read(path)
        if there is not None and not break_lock and not there.is_gone():
            raise OutputError(
                f"{path.parent} is in use by another run (process {there.pid} on {there.host}, for {there.age}); wait "
                f"for it, choose another folder, or {way_out} if that run is gone"
            )
        if there is None and not break_lock:
            time.sleep(_PAUSE_S)  # it is being removed or written just now
            n_unreadable += path.exists() and _read(path) is None
            if n_unreadable < _ATTEMPTS // 2:
                continue
            raise OutputError(
                f"{path} is there but does not say whose it is; {way_out} if no other run uses the folder"
            )
        _remove(path, there, owner, force=bool(break_lock))
    raise OutputError(f"{path.parent} is being taken by other runs; give the command again")


def _create(path: Path, owner: Owner) -> bool:
    """Write the lock whole under another name and give it its own unless that is taken."""
    own = partial_path(path)
    text = json.dumps(asdict(owner))
    try:
        own.write_text(text, encoding="utf-8")
        os.link(own, path)
    except FileExistsError:
        return False
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise
        return False  # another run, which has the folder, has tidied it meanwhile
    except OSError:
        if not own.exists() or own.stat().st_size != len(text.encode()):
            raise
        return _create_exclusively(path, text)  # a file system without hard links
    finally:
        own.unlink(missing_ok=True)
    return True


def _create_exclusively(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def _remove(path: Path, expected: Owner | None, claimant: Owner, *, force: bool = False) -> None:
    """Remove a lock unless somebody else has put another one in its place meanwhile.

    Reading and removing are two steps. Whoever takes them first makes a claim on that one lock (a file named by its
    token, made only where none is), so that nobody removes the lock of a run that was quicker. A claim is a lock like
    any other: that of a process that is gone is removed in the same way.
    """
    claim = _claim_on(path, expected)
    if not _create(claim, claimant):
        other = _read(claim)
        if other is not None and (force or other.is_gone()):
            _remove(claim, other, claimant, force=force)
        else:
            time.sleep(_PAUSE_S)
        return
    try:
        if _read(path) == expected:
            path.unlink(missing_ok=True)
    finally:
        claim.unlink(missing_ok=True)


def _give_back(lock: FolderLock) -> None:
    """Remove the own lock; on a full disk, which has no room for a claim, without one."""
    try:
        _remove(lock.path, lock.owner, lock.owner)
    except OSError:
        lock.path.unlink()


def _claim_on(path: Path, expected: Owner | None) -> Path:
    what = path.name if expected is None else f"{path.name} {expected.token}"
    return path.with_name(f"{LOCK}.{hashlib.sha256(what.encode('utf-8', 'backslashreplace')).hexdigest()[:24]}")


def _sweep(folder: Path) -> None:
    """Remove claims on earlier locks, whose makers are gone; those locks never come back."""
    for claim in folder.glob(f"{LOCK}.*"):
        other = _read(claim)
        if other is not None and other.is_gone():
            claim.unlink(missing_ok=True)


def _read(path: Path) -> Owner | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Owner(
            host=str(content["host"]),
            pid=int(content["pid"]),
            started=str(content["started"]),
            birth=str(content["birth"]),
            token=str(content["token"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_running(pid: int) -> bool:
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE
        if not handle:
            return bool(kernel.GetLastError() == 5)  # access denied: it is there
        ended = kernel.WaitForSingleObject(handle, 0) == 0
        kernel.CloseHandle(handle)
        return not ended
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return _state(pid) not in ("Z", "X")


def _stat_fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _state(pid: int) -> str:
    """State of a process on Linux ("Z": it has ended, its parent has not looked yet); "" elsewhere."""
    fields = _stat_fields(pid)
    return fields[0] if fields else ""


def _birth(pid: int) -> str:
    fields = _stat_fields(pid)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return f"{boot}/{fields[19]}" if len(fields) > 19 else ""
