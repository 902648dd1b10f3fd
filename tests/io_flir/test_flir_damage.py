"""Mutated FLIR files: bit flips, cuts, absurd numbers, offsets past the end: one clear line says why not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flir_bytes as make
import numpy as np
import pytest

from thermo_qc.errors import ThermoQCError
from thermo_qc.io.flir import open_flir
from thermo_qc.io.flir_jpeg import open_flir_jpeg

COUNTS = make.counts_of(2)
Opener = Callable[..., Any]
FORMATS: dict[str, tuple[bytes, Opener]] = {
    "fff": (make.block(COUNTS[0], order=">"), open_flir),
    "seq": (make.recording(COUNTS, gap=bytes(16)), open_flir),
    "csq": (make.recording(COUNTS, coding="JPEG-LS"), open_flir),
    "jpg": (make.radiometric_jpeg(make.block(COUNTS[0], inner=">")), open_flir_jpeg),
    "png.jpg": (make.radiometric_jpeg(make.block(COUNTS[0], coding="PNG")), open_flir_jpeg),
}
ABSURD = (0, 1, 2, 0x7F, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFE0, 0xFFFFFFFF)


def _mutated(whole: bytes, rng: np.random.Generator, hot: np.ndarray) -> bytes:
    """Damage a file once or a few times; most hits go to bytes that are not zero."""
    content = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.choice(hot)) if rng.random() < 0.8 else int(rng.integers(len(content)))
        place = min(place, len(content) - 1)
        kind = rng.integers(5)
        if kind == 0:
            content[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            content[place] = int(rng.integers(256))
        elif kind == 2:
            form = rng.choice(["<H", ">H", "<I", ">I"])
            size = struct.calcsize(form)
            if place + size <= len(content):
                value = int(rng.choice(ABSURD)) if rng.random() < 0.7 else len(whole) + int(rng.integers(-40, 40))
                struct.pack_into(form, content, place, value & (2 ** (8 * size) - 1))
        elif kind == 3:
            start = int(rng.integers(len(content)))
            content[place:place] = content[start : start + int(rng.integers(1, 200))]
        else:
            del content[place : place + int(rng.integers(1, 400 if rng.random() < 0.7 else len(content)))]
        if not content:
            return b"F"
    return bytes(content)


def _fuzz(folder: Path, name: str, n_files: int, seed: int) -> None:
    whole, opened = FORMATS[name]
    rng = np.random.default_rng(seed)
    hot = np.flatnonzero(np.frombuffer(whole, np.uint8))
    limit = 64 * 2**20 if name in {"csq", "png.jpg"} else 2 * 2 * len(whole)
    refused = 0
    for number in range(n_files):
        content = _mutated(whole, rng, hot)
        path = folder / f"{number % 7}.{name}"
        path.write_bytes(content)
        try:
            frames = opened(path, unit="counts" if number % 2 else None).frames
            assert frames.nbytes <= limit, f"mutation {number}: {frames.shape} from {len(content)} bytes"
            frames[:, :, :]
        except ThermoQCError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error), f"mutation {number}"
        except Exception as error:
            raise AssertionError(f"mutation {number} of {name} (seed {seed}): {error!r}") from error
    assert 0.1 * n_files < refused < n_files


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.timeout(300)
def test_mutations_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    _fuzz(tmp_path, name, 300, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.timeout(3600)
def test_twenty_thousand_mutations(tmp_path: Path, name: str) -> None:
    _fuzz(tmp_path, name, 20_000, seed=4)


@pytest.mark.parametrize("name", FORMATS)
def test_every_cut_is_refused_or_loses_only_what_is_behind_the_pixels(tmp_path: Path, name: str) -> None:
    whole, opened = FORMATS[name]
    path = tmp_path / f"a.{name}"
    for length in [*range(1, 140), *range(140, len(whole), 97)]:
        path.write_bytes(whole[:length])
        try:
            shape = opened(path, unit="counts").frames.shape
            assert name != "fff" and shape == (1, 6, 8), length
        except ThermoQCError as error:
            assert "\n" not in str(error)
