"""Telops HCC: files written by fasthcc and by the documented layout; no real recording was at hand."""

from __future__ import annotations

import builtins
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ptw_irb_files import patched, plain_hcc

from thermo_qc.errors import (
    AmbiguousInputError,
    ConfigError,
    CorruptFileError,
    MissingDependencyError,
    MissingFactError,
)
from thermo_qc.io import detect_format, read_sequence

PIXELS = (np.arange(5 * 6 * 32).reshape(5, 6, 32) * 67 % 65536).astype(np.uint16)
FRAME = 2 * 32 * (6 + 2)


@pytest.fixture
def hcc(tmp_path: Path):
    pytest.importorskip("fasthcc")

    def write(content: bytes, name: str = "a.hcc") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def test_temperatures_of_files_written_by_fasthcc(tmp_path: Path) -> None:
    fasthcc = pytest.importorskip("fasthcc")
    temperatures = 293.15 + PIXELS.astype(np.float32) / 1024
    clocks = [{"POSIXTime": 1_700_000_000 + k // 2, "SubSecondTime": 5_000_000 * (k % 2)} for k in range(5)]
    fasthcc.write_hcc(tmp_path / "a.hcc", temperatures, frame_rate=2.0, metadata=clocks, exposure_time=100.0)
    sequence = read_sequence(tmp_path / "a.hcc")
    assert sequence.is_lazy and sequence.unit == "degC" and sequence.frames.dtype == np.float32
    np.testing.assert_allclose(sequence.frames[:, :, :], temperatures - 273.15, atol=0.5 / 256 + 1e-4)
    np.testing.assert_allclose(sequence.times_s, 0.5 * np.arange(5))
    stated = sequence.history[0].parameters
    assert (stated["calibration_mode"], stated["exposure_time_us"], stated["header_version"]) == ("RT", 100.0, "12.7")
    assert stated["posix_time_s"] == 1_700_000_000


@pytest.mark.parametrize("version", [(5, 0), (10, 3), (12, 0), (12, 7)])
def test_documented_layout_with_an_offset_for_each_frame(hcc, version: tuple[int, int]) -> None:
    path = hcc(plain_hcc(PIXELS, version=version))
    kelvin = PIXELS / 256 + 273.15 + np.arange(5)[:, np.newaxis, np.newaxis]
    sequence = read_sequence(path)
    np.testing.assert_allclose(sequence.times_s, 0.02 * np.arange(5), rtol=1e-12)
    np.testing.assert_allclose(sequence.frames[:, :, :], kelvin - 273.15, atol=1e-4)
    np.testing.assert_allclose(sequence.frames[1:4:2, 2:, 5:9], (kelvin - 273.15)[1:4:2, 2:, 5:9], atol=1e-4)
    np.testing.assert_allclose(read_sequence(path, unit="K").frames[4, 2], kelvin[4, 2], atol=1e-4)
    np.testing.assert_array_equal(read_sequence(path, unit="counts").frames[-1], PIXELS[-1])


@pytest.mark.parametrize("mode", [0, 1])
def test_other_modes_are_counts(hcc, mode: int) -> None:
    path = hcc(plain_hcc(PIXELS, mode=mode))
    sequence = read_sequence(path)
    assert sequence.unit == "counts" and sequence.frames.dtype == np.uint16
    np.testing.assert_array_equal(sequence.frames[2:4], PIXELS[2:4])
    with pytest.raises(ConfigError, match=r"holds counts \(calibration mode (raw|NUC)\), not K"):
        read_sequence(path, unit="K")


def _with_clocks(content: bytes, seconds: list[int]) -> bytes:
    for index, second in enumerate(seconds):
        content = patched(content, index * FRAME + 100, "<2I", 1_700_000_000 + second, 0)
    return content


def test_clocks_against_the_frame_rate(hcc, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sequence = read_sequence(hcc(_with_clocks(plain_hcc(PIXELS), [0, 2, 4, 6, 8])))
    np.testing.assert_allclose(sequence.times_s, 2.0 * np.arange(5))
    assert "the clocks count" in caplog.text
    uneven = hcc(_with_clocks(plain_hcc(PIXELS), [0, 2, 4, 6, 80]))
    with pytest.raises(AmbiguousInputError, match="unevenly"):
        read_sequence(uneven)
    assert read_sequence(uneven, frame_rate_hz=1.0).times_s[-1] == 4.0
    with pytest.raises(MissingFactError, match="no time base"):
        read_sequence(hcc(plain_hcc(PIXELS, rate_hz=0.0)))


WHOLE = plain_hcc(PIXELS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[:-1], r"file size is 2559 bytes, expected a multiple of 512 bytes \(32 x 6 pixels and a header\)"),
        (patched(WHOLE, 32, "<2H", 65535, 65535), "file size is 2560 bytes, expected a multiple"),
        (patched(WHOLE, 32, "<H", 3), "frame size is 3 x 6 pixels, expected at least 12 columns"),
        (patched(WHOLE, 34, "<H", 0), "frame size is 32 x 0 pixels"),
        (patched(WHOLE, 12, "<f", float("nan")), "scale and offset of a frame is .* nan"),
        (patched(WHOLE, 16, "<b", 127), r"scale and offset of a frame is 2\^127"),
        (patched(WHOLE, 4 * FRAME + 28, "<B", 0), "calibration mode of a frame is"),
        (patched(WHOLE, 2 * FRAME, "<H", 0), "content is unreadable .*signature"),
        (b"TX" + WHOLE[2:], "header is something else"),
        (WHOLE[:20], "header is something else"),
    ],
)
def test_damage_in_one_line(hcc, content: bytes, message: str) -> None:
    with pytest.raises(CorruptFileError, match=message) as caught:
        read_sequence(hcc(content))
    assert "\n" not in str(caught.value)


def test_damage_between_the_marked_frames_is_found_when_read(hcc) -> None:
    sequence = read_sequence(hcc(patched(WHOLE, FRAME + 12, "<f", float("inf"))))
    assert np.isfinite(sequence.frames[0]).all()
    with pytest.raises(CorruptFileError, match="scale and offset of a frame"):
        sequence.frames[1]


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "fasthcc":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    path = tmp_path / "a.hcc"
    path.write_bytes(WHOLE)
    assert detect_format(path).name == "Telops HCC"
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"a.hcc: reading Telops HCC needs .*: pip install fasthcc$"):
        read_sequence(path)
