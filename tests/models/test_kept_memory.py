"""Freed blocks stay with the process while a network works, and only then."""

from __future__ import annotations

import resource
import sys

import numpy as np
import pytest

from thermo_qc.models import memory
from thermo_qc.models.memory import kept_memory

glibc = pytest.mark.skipif(memory._glibc() is None, reason="needs glibc")
_BLOCKS = [(24 + size) << 20 for size in (0, 16, 40)]  # beyond what glibc keeps by itself


def faults(rounds: int = 4) -> int:
    """Pages that the system had to clear while large blocks came and went."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        for size in _BLOCKS:
            np.ones(size, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.fixture(autouse=True)
def no_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in memory._OWN:
        monkeypatch.delenv(name, raising=False)


@glibc
@pytest.mark.skipif(sys.platform != "linux", reason="counts Linux's page faults")
def test_blocks_are_cleared_once_inside_and_every_time_outside() -> None:
    outside = faults()
    with kept_memory():
        faults(1)  # taken once
        inside = faults()
    assert inside < outside / 5
    assert faults() > 5 * max(1, inside)  # and given back


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
