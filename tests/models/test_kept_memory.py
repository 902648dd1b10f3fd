"""Freed blocks stay with the process while a network works, and only then."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from thermo_qc.models import memory
from thermo_qc.models.memory import kept_memory

glibc = pytest.mark.skipif(memory._glibc() is None, reason="needs glibc")

# Counts the pages that the system clears while large blocks come and go, in a process of its own: what other tests left
# in the heap, and the threads that they left, would be counted with it. Pages of 4 KiB, whatever the machine prefers.
_COUNT = """
import ctypes, json, resource
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE
import numpy as np
from thermo_qc.models.memory import kept_memory

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        for size in (24, 40, 64):  # MiB, beyond what glibc keeps by itself
            np.ones(size << 20, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

outside = faults(4)
with kept_memory():
    faults(1)  # taken once
    inside = faults(4)
print(json.dumps([outside, inside, faults(4)]))
"""


@pytest.fixture(autouse=True)
def no_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in memory._OWN:
        monkeypatch.delenv(name, raising=False)


@glibc
@pytest.mark.skipif(sys.platform != "linux", reason="counts Linux's page faults")
def test_blocks_are_cleared_once_inside_and_every_time_outside() -> None:
    done = subprocess.run([sys.executable, "-c", _COUNT], check=True, capture_output=True, text=True)
    before, inside, after = json.loads(done.stdout)
    assert inside < before / 5
    assert after > 5 * max(1, inside)  # and given back


@glibc
def test_the_outermost_block_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[int, int]] = []
    monkeypatch.setattr(memory, "_set", lambda _libc, values: told.append(values))
    with kept_memory(), pytest.raises(ValueError, match="inside"), kept_memory():
        raise ValueError("inside")
    assert told == [memory._KEPT, memory._USUAL]


@pytest.mark.parametrize("name", memory._OWN)
def test_thresholds_of_the_environment_stay(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "131072")
    monkeypatch.setattr(memory, "_set", lambda *_: pytest.fail("thresholds were set"))
    with kept_memory():
        pass


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        """A C library without malloc's parameters."""

    memory._glibc.cache_clear()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _name: Other())
    assert memory._glibc() is None
    memory._glibc.cache_clear()
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with kept_memory():
        assert not memory._inside
