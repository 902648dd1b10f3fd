"""A damaged HDF5 file can crash the HDF5 library or keep it busy for ever; a helper process meets that first.

Of 20,000 files with a few changed bytes, some dozens end so, within the library and out of reach of ``except``. So each
file is read through once by `thermo_qc.io.hdf5_probe` in another process before it is opened here. That process starts
with the first file (0.2 to 0.4 s), serves the following ones within milliseconds and ends after a minute without work.
The verdict is kept until size or time of the file change; a file just written by this program needs none.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from thermo_qc.errors import CorruptFileError

__all__ = ["check_hdf5", "trust_hdf5"]

logger = logging.getLogger(__name__)

WALL_S = None if hasattr(signal, "setitimer") else 10.0  # where the helper can limit its processor time, it does
STARTS = 3
MAX_VERDICTS = 1024
FIELD, EXPECTED = "HDF5 structure", "complete"


class _Prober:
    """The helper process."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("hdf5_probe.py")
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=flags,
            text=True,
            encoding="utf-8",
        )
        if self._answer() != "ready":
            self.close()
            raise OSError("the process that checks HDF5 files does not start")

    def ask(self, path: Path) -> str:
        """Answer of the helper; "" when it has ended instead."""
        try:
            assert self.process.stdin is not None
            with suppress(OSError):  # a broken pipe: it has ended
                self.process.stdin.write(json.dumps(str(path)) + "\n")
                self.process.stdin.flush()
            return self._answer()
        except BaseException:
            self.close()  # an interrupt: its late answer must not be taken for that of another file
            raise

    def _answer(self) -> str:
        assert self.process.stdout is not None
        if WALL_S is None:
            return self.process.stdout.readline().strip()
        timer = threading.Timer(WALL_S, self.process.kill)
        timer.start()
        try:
            return self.process.stdout.readline().strip()
        finally:
            timer.cancel()

    def close(self) -> int:
        """End the helper and give its exit code, negative for the signal that ended it."""
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            return self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class _State:
    """What this process knows; a fork starts afresh."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.prober: _Prober | None = None
        self.possible = bool(sys.executable) and not getattr(sys, "frozen", False)
        self.verdicts: dict[tuple[str, int, int], str] = {}


_state = _State()


def check_hdf5(path: Path) -> None:
    """Refuse an HDF5 file that would crash the library or keep it busy for ever.

    Raises
    ------
    CorruptFileError
        When it does so in the helper process, or takes far more memory there than a recording needs.
    """
    key = _key_of(path)
    if key is None or not _state.possible:
        return  # opening it explains what is wrong
    with _state.lock:
        if key not in _state.verdicts:
            _remember(key, _verdict(path))
        found = _state.verdicts[key]
    if found:
        raise CorruptFileError(path, FIELD, EXPECTED, found)


def trust_hdf5(path: Path) -> None:
    """Take a file that this program has just written for sound."""
    key = _key_of(path)
    if key is not None:
        with _state.lock:
            _remember(key, "")


def _key_of(path: Path) -> tuple[str, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path.absolute()), status.st_size, status.st_mtime_ns


def _remember(key: tuple[str, int, int], verdict: str) -> None:
    while len(_state.verdicts) >= MAX_VERDICTS:
        del _state.verdicts[next(iter(_state.verdicts))]
    _state.verdicts[key] = verdict


def _verdict(path: Path) -> str:
    """Say what is wrong with a file, "" for nothing."""
    for _ in range(STARTS):
        if _state.prober is None or _state.prober.process.poll() is not None:
            _end()
            try:
                _state.prober = _Prober()
            except OSError as error:
                logger.warning("damaged HDF5 files may crash this program, since %s", error)
                _state.possible = False
                return ""
        answer = _state.prober.ask(path.absolute())
        if answer:
            return "" if answer == "done" else "so damaged that reading it takes far more memory than it holds"
        code, _state.prober = _state.prober.close(), None
        if code != 0:  # 0: it had been idle and ended just now
            hang = code in (-getattr(signal, "SIGPROF", 0), -signal.SIGTERM, -9)
            return "so damaged that reading it does not end" if hang else "so damaged that it crashes the HDF5 library"
    return ""


def _end() -> None:
    if _state.prober is not None:
        _state.prober.close()
        _state.prober = None


def _after_fork() -> None:
    """Leave the helper to the parent process."""
    global _state  # noqa: PLW0603
    if _state.prober is not None:
        process = _state.prober.process
        process.returncode = 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    _state = _State()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
