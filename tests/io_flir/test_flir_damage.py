"""FLIR files cut anywhere; other damage is in tests/fuzz."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flir_bytes as make
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
