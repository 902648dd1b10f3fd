"""Read through HDF5 files in a process of its own: what crashes the library, or never ends, does so here.

`thermo_qc.io.guard` runs this file as a script. It imports h5py alone, takes one path in JSON per line and answers each
with a line: ``done``, or ``memory`` when the library asked for more memory than the process may have.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py

READY, DONE, MEMORY = "ready", "done", "memory"
ATTRIBUTES = ("Unit", "ThermoQC", "SimulationParameter", "LabelIds", "Defects")
MAX_NESTING = 8
MAX_OBJECTS = 2000
CHUNK_GROWTH = 1.1  # a packed chunk is not much larger than the numbers in it
WHOLE_BYTES = 32 * 2**20  # a larger dataset is read at its ends only
FREE_BYTES = 64 * 2**20  # what reading may cost without large chunks
MAX_CHUNK_BYTES = 512 * 2**20  # larger ones are refused by the readers
MEMORY_BYTES = 2 * 2**30  # on top of what the interpreter has
SECONDS, BYTES_PER_SECOND = 1.0, 64 * 2**20  # processor time of a file
IDLE_S = 60.0


class Probe:
    """Touches all that the readers touch; `enough` tells whether the memory sufficed.

    A Python exception is no concern here: the reader will meet the same one and explain it.
    """

    def __init__(self, path: str) -> None:
        self.enough, self.n_objects, self.largest_chunk = True, 0, 0
        self.seen: set[Any] = set()
        before = _peak_bytes()
        self.attempt(self.file, path)
        if _peak_bytes() - before > FREE_BYTES + 3 * self.largest_chunk:
            self.enough = False

    def attempt(self, step: Callable[..., object], *arguments: Any) -> None:
        """Do one step, whatever becomes of it."""
        try:
            step(*arguments)
        except MemoryError:
            self.enough = False
        except Exception as error:
            self.enough = self.enough and "allocat" not in str(error)

    def file(self, path: str) -> None:
        """Touch a whole file."""
        with h5py.File(path, "r") as file:
            self.attempt(self.group, file, file, 0)

    def group(self, file: h5py.File, group: h5py.Group, level: int) -> None:
        """Touch a group and all in it, without following links."""
        for key in list(group):
            self.attempt(self.member, file, group, key, level)

    def member(self, file: h5py.File, group: h5py.Group, key: str, level: int) -> None:
        """Touch one object of a group with its attributes."""
        self.n_objects += 1
        if self.n_objects > MAX_OBJECTS or not isinstance(group.get(key, getlink=True), h5py.HardLink):
            return
        node = group[key]
        for name in ATTRIBUTES:
            self.attempt(node.attrs.get, name)
        if isinstance(node, h5py.Dataset):
            self.attempt(self.dataset, file, node)
        elif isinstance(node, h5py.Group) and level < MAX_NESTING:
            place = h5py.h5o.get_info(node.id).addr
            if place not in self.seen:
                self.seen.add(place)
                self.group(file, node, level + 1)

    def dataset(self, file: h5py.File, data: h5py.Dataset) -> None:
        """Touch layout and filters, and the content: all of a small dataset, the ends of a large one."""
        if data.is_virtual or data.external or data.shape is None:
            return
        data.id.get_storage_size()
        if 0 in data.shape:
            return
        if data.chunks is not None and data.id.get_create_plist().get_nfilters():
            chunk_bytes = math.prod(data.chunks) * data.dtype.itemsize
            limit = CHUNK_GROWTH * chunk_bytes + 1024
            if chunk_bytes <= MAX_CHUNK_BYTES:
                self.largest_chunk = max(self.largest_chunk, chunk_bytes)
            if data.id.chunk_iter(lambda chunk: chunk.size > limit or None):
                self.enough = False  # it would unpack to far more than a chunk, which the library lets happen
                return
        if data.size * data.dtype.itemsize > WHOLE_BYTES:
            self.attempt(data.__getitem__, (0,) * data.ndim)
            self.attempt(data.__getitem__, tuple(length - 1 for length in data.shape))
            return
        content = data[()]
        if data.dtype.kind == "O" and h5py.check_ref_dtype(data.dtype):
            for reference in content.flat:
                self.attempt(self.referred, file, reference)

    def referred(self, file: h5py.File, reference: Any) -> None:
        """Touch the dataset that a MATLAB cell refers to; references in it are not followed."""
        node = file[reference]
        if isinstance(node, h5py.Dataset) and node.dtype.kind != "O":
            self.dataset(file, node)


def _limit_memory() -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        there = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (there + MEMORY_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _peak_bytes() -> int:
    """Largest memory that was ever resident, 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def _limit_time(seconds: float) -> None:
    """End the process after so much processor time, in the middle of native code too; 0 lifts the limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _size_of(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _idle() -> bool:
    """Wait for a request and tell whether none came; Windows cannot wait so, there the end of the input is the end."""
    return os.name == "posix" and not select.select([sys.stdin], [], [], IDLE_S)[0]


def main() -> None:
    """Answer requests until the input ends, or none came for a minute."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory()
    at_start = _peak_bytes()
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    while _peak_bytes() < at_start + FREE_BYTES and not _idle():  # a past peak would hide the next one
        line = sys.stdin.readline()
        if not line:
            return
        path = json.loads(line)
        _limit_time(SECONDS + _size_of(path) / BYTES_PER_SECOND)
        enough = Probe(path).enough
        _limit_time(0)
        sys.stdout.write(f"{DONE if enough else MEMORY}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
