"""CEDIP PTW: counts, time base, metadata, lazy reading and refusals."""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from ptw_irb_files import PTW_FRAME_HEADER, PTW_MAIN, SHARED, patched, ptw_bytes

from thermo_qc.errors import AmbiguousInputError, ConfigError, CorruptFileError, MissingFactError
from thermo_qc.io import read_sequence
from thermo_qc.sequence import Excitation

FRAMES = (np.arange(5 * 6 * 7).reshape(5, 6, 7) * 61 % 16384).astype(np.uint16)


@pytest.fixture
def ptw(tmp_path: Path):
    def write(content: bytes, name: str = "a.ptw") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def test_counts_times_and_facts(ptw) -> None:
    sequence = read_sequence(ptw(ptw_bytes(FRAMES)))
    assert sequence.is_lazy and sequence.unit == "counts" and sequence.frames.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(sequence.frames[:, :, :], FRAMES)
    np.testing.assert_allclose(sequence.times_s, [0, 0.02, 0.04, 0.06, 0.08], rtol=1e-12)
    assert (sequence.camera, sequence.emissivity, sequence.ambient_c) == ("Jade", 0.95, 23.0)
    assert sequence.excitation == Excitation() and sequence.source.format_name == "CEDIP PTW"
    (entry,) = sequence.history
    stated = entry.parameters
    assert "separate file" in stated["unit"] and stated["calibration_file"] == "cal.cpf"
    assert stated["recorded"] == "2011-02-08T15:46:51.840000" and stated["comment"] == "plate 7"
    assert (stated["integration_time_s"], stated["lens"], stated["bits"]) == (0.00015, "50 mm", 14)


@pytest.mark.parametrize(
    "key", [np.s_[3, :, :], np.s_[-1], np.s_[1:4, 2, 3], np.s_[::2, 1:5:2, ::-1], np.s_[:, 5:, 6:], np.s_[2:2]]
)
def test_any_block(ptw, key) -> None:
    np.testing.assert_array_equal(read_sequence(ptw(ptw_bytes(FRAMES))).frames[key], FRAMES[key])


def test_opening_reads_headers_only(ptw) -> None:
    path = ptw(ptw_bytes(FRAMES, clock_s=0.02 * np.arange(5)))
    with mock.patch("numpy.memmap", side_effect=AssertionError("pixels were read")):
        assert read_sequence(path).n_frames == 5


def test_lock_in_frequency_makes_it_periodic(ptw) -> None:
    path = ptw(ptw_bytes(FRAMES, lock_in_hz=0.25))
    assert read_sequence(path).excitation == Excitation(kind="periodic", frequency_hz=0.25)
    assert read_sequence(path, frequency_hz=0.5, excitation="periodic").excitation.frequency_hz == 0.5


@pytest.mark.parametrize("start", [100.0, 86399.95])
def test_clocks_of_the_frames(ptw, start: float, caplog: pytest.LogCaptureFixture) -> None:
    agreeing = read_sequence(ptw(ptw_bytes(FRAMES, clock_s=start + 0.02 * np.arange(5))))
    np.testing.assert_allclose(np.diff(agreeing.times_s), 0.02, rtol=1e-12)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with caplog.at_level(logging.WARNING):
        thinned = read_sequence(ptw(ptw_bytes(FRAMES, clock_s=start + 0.06 * np.arange(5))))
    np.testing.assert_allclose(thinned.times_s, 0.06 * np.arange(5), atol=1e-6)
    assert "advance by 0.06 s; the clocks count" in caplog.text
    assert thinned.history[0].parameters["frame_period_s"] == 0.02


def test_uneven_clocks_need_a_person(ptw) -> None:
    path = ptw(ptw_bytes(FRAMES, clock_s=np.array([0, 0.02, 0.04, 0.06, 5.0])))
    with pytest.raises(AmbiguousInputError, match=r"advance unevenly, by 1.25 s on average; give frame_rate_hz"):
        read_sequence(path)
    np.testing.assert_allclose(read_sequence(path, frame_rate_hz=10).times_s, 0.1 * np.arange(5))


@pytest.mark.parametrize("period", [0.0, float("nan"), -1.0])
def test_without_a_period(ptw, period: float) -> None:
    with pytest.raises(MissingFactError, match="no time base; give frame_rate_hz"):
        read_sequence(ptw(ptw_bytes(FRAMES, period_s=period)))
    clocked = read_sequence(ptw(ptw_bytes(FRAMES, period_s=period, clock_s=0.5 * np.arange(5))))
    np.testing.assert_allclose(clocked.times_s, 0.5 * np.arange(5), atol=1e-6)


def test_impossible_facts_are_left_out(ptw) -> None:
    sequence = read_sequence(ptw(ptw_bytes(FRAMES[:1], emissivity=0.0, ambient_k=float("nan"), period_s=0.0)))
    assert (sequence.emissivity, sequence.ambient_c, sequence.n_frames) == (None, None, 1)
    with pytest.raises(ConfigError, match="PTW format has no use for 'axes'"):
        read_sequence(sequence_path := ptw(ptw_bytes(FRAMES), "b.ptw"), axes="tyx")
    assert read_sequence(sequence_path, unit="K", emissivity=0.5).emissivity == 0.5


WHOLE = ptw_bytes(FRAMES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[:1000], "main header is cut after 1000, expected at least 2118 bytes"),
        (WHOLE[:-1], r"frames is 4 complete ones .*, expected 5 frames in"),
        (WHOLE + bytes(PTW_FRAME_HEADER + 84), "frames is 6 complete ones"),
        (patched(WHOLE, 27, "<I", 2**32 - 1), "expected 4294967295 frames in"),
        (patched(WHOLE, 11, "<I", 9), "main header size is 9, expected at least 2118"),
        (patched(WHOLE, 11, "<I", 2**31), "frames is 0 complete ones"),
        (patched(WHOLE, 15, "<I", 2**31), "frame size is 42 and 127"),
        (patched(WHOLE, 377, "<2H", 65535, 65535), "frame size is 42"),
        (patched(WHOLE, 377, "<H", 0), "frames with pixels"),
        (patched(WHOLE, 27, "<I", 0), "number of frames is 0 of 7 x 6 pixels"),
        (patched(WHOLE, 381, "<H", 32), "bits per pixel is 32, expected 1 to 16"),
    ],
)
def test_damage_in_one_line(ptw, content: bytes, message: str) -> None:
    with pytest.raises(CorruptFileError, match=message) as caught:
        read_sequence(ptw(content))
    assert "\n" not in str(caught.value)


def test_wrong_header_behind_the_name(ptw) -> None:
    with pytest.raises(CorruptFileError, match=r"header is something else .* expected that of a CEDIP PTW file"):
        read_sequence(ptw(b"XED\0" + WHOLE[4:]))


@pytest.mark.parametrize(
    ("name", "shape", "mean_first"),
    [("cedip_lwir_100frames.ptw", (100, 68, 75), 5792.5), ("cedip_mwir_100frames.ptw", (100, 64, 69), 6269.1)],
)
def test_real_recordings(name: str, shape: tuple[int, int, int], mean_first: float) -> None:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    sequence = read_sequence(path)
    assert sequence.frames.shape == shape and sequence.unit == "counts" and sequence.camera == "Jade"
    assert sequence.ambient_c == 20.0
    assert np.mean(sequence.frames[0]) == pytest.approx(mean_first, abs=0.1)
    content = path.read_bytes()
    last = np.frombuffer(content[-2 * shape[1] * shape[2] :], "<u2").reshape(shape[1:])
    np.testing.assert_array_equal(sequence.frames[99, 10:20, 30:40], last[10:20, 30:40])
    stated = sequence.history[0].parameters
    assert stated["frame_period_s"] == 0.01 and stated["lens"] == "50 mm"
    assert struct.unpack_from("<I", content, 11)[0] != PTW_MAIN
    assert stated["frame_interval_s"] == pytest.approx(0.03, abs=1e-5)  # every third frame of a 100 Hz camera
