"""The helper process that meets damaged HDF5 files first."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from cases import BY_NAME

from thermo_qc.errors import CorruptFileError
from thermo_qc.io import guard, hdf5_probe, read_sequence


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A state without helper and verdicts, and no helper left behind."""
    monkeypatch.setattr(guard, "_state", guard._State())
    yield
    guard._end()


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["/Data/Tdata"] = np.arange(60.0).reshape(4, 3, 5)
        file["/MetaData/DomainValues"] = np.arange(5.0)
    return tmp_path / "a.h5"


def _with_heap(folder: Path, place: int, new: bytes) -> Path:
    """A file whose heap of variable-length texts is overwritten `place` bytes after its start."""
    with h5py.File(folder / "a.h5", "w") as file:
        file["/Data/Tdata"] = np.arange(60.0).reshape(4, 3, 5)
        file["/MetaData/DomainValues"] = np.arange(5.0)
        file["/Data/Tdata"].attrs["Unit"] = "x" * 100
    content = bytearray((folder / "a.h5").read_bytes())
    heap = content.index(b"GCOL")
    content[heap + place : heap + place + len(new)] = new
    (folder / "a.h5").write_bytes(content)
    return folder / "a.h5"


def test_a_loop_in_the_file_ends(tmp_path: Path) -> None:
    path = _with_heap(tmp_path, 16, b"\1" + bytes(7) + (2**64 - 16).to_bytes(8, "little"))
    clock = time.process_time()
    with pytest.raises(CorruptFileError, match="HDF5 structure is so damaged that reading it does not end"):
        read_sequence(path)
    assert time.process_time() - clock < 1


@pytest.mark.parametrize(("grown", "enough"), [(2**20, True), (2**30, False)])
def test_memory_that_the_library_takes_counts(
    sound: Path, monkeypatch: pytest.MonkeyPatch, grown: int, enough: bool
) -> None:
    peaks = iter([2**28, 2**28 + grown])
    monkeypatch.setattr(hdf5_probe, "_peak_bytes", lambda: next(peaks))
    assert hdf5_probe.Probe(str(sound)).enough is enough


def test_a_chunk_that_unpacks_to_more_than_a_chunk_is_too_much(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("/Data/Tdata", (8, 8, 4), "f4", chunks=(8, 8, 4), compression="gzip")
        data.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(4 * 2**20)))
    with pytest.raises(CorruptFileError, match="takes far more memory than it holds"):
        guard.check_hdf5(tmp_path / "a.h5")


def test_a_helper_serves_many_files_and_remembers(sound: Path) -> None:
    guard.check_hdf5(sound)
    assert guard._state.prober is not None
    process = guard._state.prober.process
    other = sound.with_name("b.h5")
    other.write_bytes(sound.read_bytes())
    guard.check_hdf5(other)
    assert guard._state.prober.process is process and len(guard._state.verdicts) == 2
    guard._end()
    guard.check_hdf5(sound)
    assert guard._state.prober is None
    os.utime(sound, (5, 5))
    guard.check_hdf5(sound)
    assert guard._state.prober is not None and guard._state.prober.process is not process


def test_a_helper_that_ended_is_replaced(sound: Path) -> None:
    guard.check_hdf5(sound)
    assert guard._state.prober is not None
    guard._state.prober.process.kill()
    guard._state.prober.process.wait()
    os.utime(sound, (5, 5))
    guard.check_hdf5(sound)
    assert guard._state.verdicts[guard._key_of(sound)] == ""


def test_an_idle_helper_ends_and_is_replaced(sound: Path) -> None:
    guard.check_hdf5(sound)
    assert guard._state.prober is not None and guard._state.prober.process.stdin is not None
    guard._state.prober.process.stdin.close()
    assert guard._state.prober.process.wait(timeout=20) == 0
    os.utime(sound, (5, 5))
    guard.check_hdf5(sound)


def test_without_helper_files_open_and_the_log_says_so(
    sound: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", str(sound.with_name("no python")))
    with caplog.at_level(logging.WARNING):
        assert read_sequence(sound).n_frames == 5
        os.utime(sound, (5, 5))
        guard.check_hdf5(sound)
    assert len(caplog.records) == 1 and "damaged HDF5 files may crash this program" in caplog.text


def test_files_of_this_program_need_no_helper(tmp_path: Path) -> None:
    path = BY_NAME["native"].make(tmp_path)
    assert read_sequence(path).n_frames == 3 and guard._state.prober is None


def test_missing_files_are_left_to_whoever_opens_them(tmp_path: Path) -> None:
    guard.check_hdf5(tmp_path / "none.h5")
    assert not guard._state.verdicts


def test_verdicts_are_forgotten_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_VERDICTS", 2)
    for number in range(3):
        guard._remember((str(number), 0, 0), "")
    assert [key[0] for key in guard._state.verdicts] == ["1", "2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_leaves_the_helper_to_its_parent(sound: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from thermo_qc.io import guard\n"
        "path = Path(sys.argv[1]); guard.check_hdf5(path); first = guard._state.prober.process.pid\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    ok = guard._state.prober is None and not guard._state.verdicts\n"
        "    guard.check_hdf5(path); ok = ok and guard._state.prober.process.pid != first\n"
        "    guard._end(); os._exit(not ok)\n"
        "assert os.waitpid(child, 0)[1] == 0; os.utime(path, (5, 5)); guard.check_hdf5(path)\n"
        "assert guard._state.prober.process.pid == first\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(sound)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
