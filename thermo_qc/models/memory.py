"""Memory that stays with the process between the steps of a network."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["kept_memory"]

_TRIM, _PAD, _MMAP = -1, -2, -3  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD of glibc's malloc.h
_KEPT = {_MMAP: 2**31 - 1, _TRIM: 2**31 - 1, _PAD: 2**28}
_USUAL = {_MMAP: 2**25, _TRIM: 2**26, _PAD: 0}  # where glibc's own adaptation ends
_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
_lock = threading.Lock()
_inside: list[str] = []  # names of the threads that are


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let freed blocks stay with the process inside the block, and give them back at its end.

    The C library of Linux (glibc) hands large blocks back to the system as soon as they are free; a network asks for
    them again in its next step, and the system clears them page by page, which takes up to half of a step on the CPU.
    Does nothing with other C libraries, or where the environment sets the thresholds of malloc itself.

    References
    ----------
    GNU C Library manual, section 3.2.3.7, Malloc Tunable Parameters.
    """
    libc = _glibc()
    if libc is None or any(name in os.environ for name in _OWN):
        yield
        return
    with _lock:
        _inside.append(threading.current_thread().name)
        if len(_inside) == 1:
            _set(libc, _KEPT)
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if not _inside:
                _set(libc, _USUAL)
                libc.malloc_trim(ctypes.c_size_t(0))


@cache
def _glibc() -> Any:
    """Return the C library of this process when it is glibc, else None."""
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version, libc.mallopt, libc.malloc_trim  # noqa: B018  # raises where there is no such function
    except (OSError, AttributeError, TypeError):
        return None
    return libc


def _set(libc: Any, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        libc.mallopt(ctypes.c_int(parameter), ctypes.c_int(value))
