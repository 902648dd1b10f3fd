"""Damaged camera files: seeded mutations either load or are refused by a ThermoQCError, in little memory."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ptw_irb_files import irb_bytes, kelvin_palette, plain_hcc, ptw_bytes

from thermo_qc.errors import ThermoQCError
from thermo_qc.io import read_sequence

ABSURD = (0, 1, 2**15 - 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
MEMORY_BYTES = 8 * 2**20  # the files have some kilobytes, the palette's table of all 16-bit values 1.5 MB
PIXELS = (np.arange(4 * 6 * 16).reshape(4, 6, 16) * 613 % 65280).astype(np.uint16)


def _ptw() -> bytes:
    return ptw_bytes(PIXELS, clock_s=10 + 0.02 * np.arange(4))


def _irb() -> bytes:
    return irb_bytes(PIXELS[0], kelvin_palette())


def _hcc() -> bytes:
    return plain_hcc(np.repeat(PIXELS, 2, axis=2))


# what is written, and where its sizes, counts and offsets lie
FORMATS: dict[str, tuple[Callable[[], bytes], tuple[int, ...]]] = {
    "a.ptw": (_ptw, (11, 15, 19, 23, 27, 377, 379, 381, 403, 2200 + 80)),
    "a.hcc": (_hcc, (2, 4, 12, 16, 28, 32, 34, 44, 100, 104)),
    "a.irb": (_irb, (25, 29, 64 + 12, 96, 96 + 12, 96 + 16, 167, 169, 171, 173, 167 + 60, 167 + 1084 + 540)),
}


def _mutated(content: bytes, places: tuple[int, ...], rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    kind = rng.integers(5)
    if kind == 0:  # bit flips anywhere
        for place in rng.integers(0, len(changed), size=rng.integers(1, 9)):
            changed[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:  # bit flips in the fields that matter
        for place in rng.choice(places, size=rng.integers(1, 4)):
            changed[place + int(rng.integers(4))] ^= 1 << int(rng.integers(8))
    elif kind == 2:  # absurd counts, offsets and sizes
        for place in rng.choice(places, size=rng.integers(1, 3)):
            layout = "<H" if rng.random() < 0.3 else "<I"
            struct.pack_into(
                layout, changed, place, int(rng.choice(ABSURD)) & (0xFFFF if layout == "<H" else 2**32 - 1)
            )
    elif kind == 3:  # truncations
        del changed[int(rng.integers(1, len(changed))) :]
    else:  # bytes lost, doubled or appended
        at, length = int(rng.integers(len(changed))), int(rng.integers(1, 400))
        part = changed[at : at + length]
        changed[at : at + length] = part + part if rng.random() < 0.5 else b""
    return bytes(changed)


def _open_and_read(path: Path) -> None:
    sequence = read_sequence(path)
    sequence.frames[0]
    sequence.frames[-1, 1:3, 2:5]
    sequence.frames[:, -1, -1]


def _fuzz(folder: Path, name: str, n_files: int) -> None:
    if name == "a.hcc":
        pytest.importorskip("fasthcc")
    write, places = FORMATS[name]
    whole, path = write(), folder / name
    path.write_bytes(whole)
    _open_and_read(path)
    rng = np.random.default_rng([len(whole), n_files])
    refused = 0
    tracemalloc.start()
    try:
        for number in range(n_files):
            path.write_bytes(_mutated(whole, places, rng))
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            try:
                _open_and_read(path)
            except ThermoQCError as error:
                refused += 1
                assert str(folder) in str(error) and "\n" not in str(error), number
            assert tracemalloc.get_traced_memory()[1] - before < MEMORY_BYTES, number
    finally:
        tracemalloc.stop()
    assert 0.2 * n_files < refused < n_files


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files(tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _fuzz(tmp_path, name, 300)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_mutated_files(tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _fuzz(tmp_path, name, 20_000)
