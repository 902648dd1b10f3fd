"""FFF, SEQ and CSQ files: layout, byte orders, times, laziness and the messages for damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import flir_bytes as make
import numpy as np
import pytest

from thermo_qc.errors import ConfigError, CorruptFileError, InputError, MissingFactError
from thermo_qc.io import flir_frames
from thermo_qc.io.flir import READER, open_flir
from thermo_qc.io.flir_records import find_blocks

COUNTS = make.counts_of(4)


def _written(folder: Path, content: bytes, name: str = "a.seq") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("inner", ["<", ">"])
@pytest.mark.parametrize("coding", ["plain", "JPEG-LS", "PNG", "PNG right"])
def test_every_coding_and_byte_order(tmp_path: Path, order: str, inner: str, coding: str) -> None:
    median = int(np.median(COUNTS[0])) if coding == "PNG right" else 0
    path = _written(tmp_path, make.recording(COUNTS, order=order, inner=inner, coding=coding, median=median))
    sequence = open_flir(path, unit="counts")
    assert sequence.unit == "counts" and sequence.frames.dtype == np.uint16
    np.testing.assert_array_equal(sequence.frames[:, :, :], COUNTS)
    np.testing.assert_array_equal(sequence.frames[1:3, 2:5, 1:], COUNTS[1:3, 2:5, 1:])
    assert sequence.history[0].parameters["pixels"] == coding.split(maxsplit=1)[0]
    assert READER.matches(path.read_bytes()[:1024])


def test_byte_order_is_that_of_each_record(tmp_path: Path) -> None:
    pieces = [make.block(frame, inner="<>"[n % 2], time_s=n / 10) for n, frame in enumerate(COUNTS)]
    sequence = open_flir(_written(tmp_path, b"".join(pieces)))
    np.testing.assert_allclose(sequence.frames[:, :, :], make.celsius(COUNTS), atol=2e-4)
    np.testing.assert_allclose(sequence.times_s, [0, 0.1, 0.2, 0.3], atol=1e-9)


def test_counts_become_celsius_or_kelvin_and_the_history_says_how(tmp_path: Path) -> None:
    path = _written(tmp_path, make.recording(COUNTS))
    sequence = open_flir(path)
    assert (sequence.unit, sequence.camera, sequence.emissivity, sequence.ambient_c) == ("degC", "Test camera", 1, 22)
    np.testing.assert_allclose(sequence.frames[2], make.celsius(COUNTS[2]), atol=2e-4)
    kelvin = open_flir(path, unit="K")
    np.testing.assert_allclose(kelvin.frames[2], make.celsius(COUNTS[2]) + 273.15, atol=2e-4)
    said = sequence.history[0].parameters
    assert said["conversion"].startswith("Planck constants") and said["planck_b"] == 1501.0
    assert said["date"] == "2023-11-14T23:13:20.000+01:00" and said["serial_number"] == "4711"
    assert said["frame_rate_hz"] == 30 and said["times_from"] == "time stamps" and said["emissivity_from"] == "file"


@pytest.mark.parametrize("values", [{"with_camera": False}, {"r1": 0.0}, {"r2": 0.0}])
def test_without_calibration_counts_stay_counts(tmp_path: Path, values: dict[str, Any]) -> None:
    sequence = open_flir(_written(tmp_path, make.recording(COUNTS, **values)), frame_rate_hz=10)
    assert sequence.unit == "counts" and sequence.emissivity is None
    assert sequence.history[0].parameters["conversion"] == "none: the file has no calibration"
    np.testing.assert_array_equal(sequence.frames[3], COUNTS[3])


def test_emissivity_option_counts_before_the_file(tmp_path: Path) -> None:
    path = _written(tmp_path, make.recording(COUNTS, emissivity=0.6))
    stated, own = open_flir(path, emissivity=1.0), open_flir(path)
    assert (stated.emissivity, own.emissivity) == (1.0, pytest.approx(0.6))
    assert stated.history[0].parameters["emissivity_from"] == "option"
    np.testing.assert_allclose(stated.frames[:, :, :], make.celsius(COUNTS), atol=2e-4)
    warm = make.celsius(COUNTS) > 21  # warmer than what is reflected: a poorer emitter must be warmer still
    assert (own.frames[:, :, :][warm] > stated.frames[:, :, :][warm]).all()


def test_camera_of_the_block_before_serves_blocks_without(tmp_path: Path) -> None:
    content = make.block(COUNTS[0]) + make.block(COUNTS[1], with_camera=False)
    sequence = open_flir(_written(tmp_path, content))
    np.testing.assert_allclose(sequence.frames[1], make.celsius(COUNTS[1]), atol=2e-4)
    np.testing.assert_allclose(sequence.times_s, [0, 1 / 30])


def test_each_frame_is_converted_with_its_own_camera_record(tmp_path: Path) -> None:
    content = make.block(COUNTS[0]) + make.block(COUNTS[1], time_s=1.0, emissivity=0.7)
    frames = open_flir(_written(tmp_path, content)).frames[:, :, :]
    np.testing.assert_allclose(frames[0], make.celsius(COUNTS[0]), atol=2e-4)
    assert np.abs(frames[1] - make.celsius(COUNTS[1])).max() > 1


def test_times_are_stamps_then_frame_rate_then_asked_for(tmp_path: Path) -> None:
    uneven = b"".join(make.block(frame, time_s=time) for frame, time in zip(COUNTS, (0, 0.5, 0.7, 3), strict=True))
    np.testing.assert_allclose(open_flir(_written(tmp_path, uneven)).times_s, [0, 0.5, 0.7, 3], atol=1e-9)
    equal = open_flir(_written(tmp_path, make.recording(COUNTS, time_s=1.0, rate=25)))
    np.testing.assert_allclose(equal.times_s, np.arange(4) / 25, atol=1e-9)
    assert equal.history[0].parameters["times_from"] == "frame rate"
    path = _written(tmp_path, b"".join(make.block(frame, time_s=None, rate=0) for frame in COUNTS))
    with pytest.raises(MissingFactError, match="has no time base; give frame_rate_hz"):
        open_flir(path)
    np.testing.assert_allclose(open_flir(path, frame_rate_hz=2).times_s, [0, 0.5, 1, 1.5])


def test_a_single_frame_is_a_sequence_of_one(tmp_path: Path) -> None:
    sequence = open_flir(_written(tmp_path, make.block(COUNTS[0], time_s=None, rate=0), "a.fff"))
    assert sequence.frames.shape == (1, 6, 8) and sequence.times_s.tolist() == [0.0]


def test_signature_in_pixels_and_gaps_between_blocks(tmp_path: Path) -> None:
    counts = COUNTS.copy()
    fake = np.frombuffer(b"FFF\0" + bytes(16) + struct.pack("<3I", 101, 64, 3), "<u2")
    counts[1].reshape(-1)[: fake.size] = fake
    path = _written(tmp_path, make.recording(counts, gap=b"FFF\0 not a block "))
    np.testing.assert_array_equal(open_flir(path, unit="counts").frames[:, :, :], counts)


def test_opening_decodes_nothing_and_a_frame_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    honest = flir_frames.decode_image

    def counted(path: Path, data: Any, image: Any, rows: slice, median: int) -> np.ndarray:
        decoded.append(image.offset)
        return honest(path, data, image, rows, median)

    monkeypatch.setattr(flir_frames, "decode_image", counted)
    path = _written(tmp_path, make.recording(COUNTS, coding="JPEG-LS"))
    frames = open_flir(path, unit="counts").frames
    assert decoded == []
    frames[2]
    assert decoded == [find_blocks(path, path.read_bytes())[2].image.offset]


def test_one_broken_frame_spares_the_others(tmp_path: Path) -> None:
    content = bytearray(make.recording(COUNTS, coding="JPEG-LS"))
    image = find_blocks(tmp_path, bytes(content))[2].image
    half = image.length // 2
    content[image.offset + half : image.offset + image.length] = bytes(image.length - half)
    frames = open_flir(_written(tmp_path, bytes(content)), unit="counts").frames
    np.testing.assert_array_equal(frames[1], COUNTS[1])
    with pytest.raises(CorruptFileError, match="JPEG-LS image is broken"):
        frames[2]


def test_lost_padding_behind_the_last_stream_is_no_damage(tmp_path: Path) -> None:
    content = bytearray(make.block(COUNTS[0], coding="JPEG-LS"))
    gps = content.index(b"GPS record ")
    del content[gps:]
    struct.pack_into("<I", content, 64 + 64, 0x00000000)  # no GPS entry
    length = struct.unpack_from("<I", content, 64 + 32 + 16)[0]
    struct.pack_into("<I", content, 64 + 32 + 16, length + 4)
    np.testing.assert_array_equal(open_flir(_written(tmp_path, bytes(content)), unit="counts").frames[0], COUNTS[0])
    with pytest.raises(CorruptFileError, match="record of frame 0 is at"):
        open_flir(_written(tmp_path, bytes(content[:-3])), unit="counts")


def _patched(content: bytes, offset: int, form: str, *values: float) -> bytes:
    changed = bytearray(content)
    struct.pack_into(form, changed, offset, *values)
    return bytes(changed)


ONE = make.block(COUNTS[0])
CAMERA = ONE.index(b"\x02\x00" + bytes(30) + struct.pack("<f", 1.0))
RAW = ONE.index(struct.pack("<3H", 2, 8, 6))
DAMAGE = {
    "version": (_patched(ONE, 20, "<I", 7), "FFF header is impossible"),
    "count": (_patched(ONE, 28, "<I", 4_000_000_000), "FFF header is impossible"),
    "directory": (_patched(ONE, 24, "<I", 10**6), "record directory of frame 0 is truncated"),
    "offset": (_patched(ONE, 64 + 32 + 12, "<I", 2**32 - 8), "record of frame 0 is at 4294967288"),
    "length": (_patched(ONE, 64 + 32 + 16, "<I", 2**31), "expected within the .* bytes that are there"),
    "no raw image": (_patched(ONE, 64 + 32, "<H", 0), "frame 0 is with 0 raw images, expected one"),
    "short raw image": (_patched(ONE, 64 + 32 + 16, "<I", 20), "raw image of frame 0 is of 20 bytes"),
    "size": (_patched(ONE, RAW + 2, "<2H", 65535, 65535), "raw image of frame 0 is of 65535 x 65535 pixels"),
    "more pixels than bytes": (_patched(ONE, RAW + 2, "<2H", 80, 60), "expected 9600 bytes for 80 x 60 pixels"),
    "no pixels": (_patched(ONE, RAW + 2, "<2H", 0, 6), "is of 0 x 6 pixels"),
    "byte order": (_patched(ONE, RAW, "<H", 7), r"is marked b'\\x07\\x00', expected marked with its byte order"),
    "camera": (_patched(ONE, 64 + 16, "<I", 100), "camera record is of 100 bytes, expected at least 912"),
    "camera order": (_patched(ONE, CAMERA, "<H", 9), "camera record is marked"),
    "emissivity": (_patched(ONE, CAMERA + 0x20, "<f", 0.0), "emissivity is 0.0, .*; give emissivity as an option"),
    "Planck": (_patched(ONE, CAMERA + 0x58, "<f", -5.0), "Planck constants is -5, .*; give unit=counts"),
    "Planck NaN": (_patched(ONE, CAMERA + 0x5C, "<f", np.nan), "Planck constants is nan"),
    "Planck F": (_patched(ONE, CAMERA + 0x60, "<f", 1e30), "Planck constants F and O is 1e[+]30"),
    "humidity": (_patched(ONE, CAMERA + 0x3C, "<f", -1.0), "relative humidity is -1"),
    "distance": (_patched(ONE, CAMERA + 0x24, "<f", -1.0), "distance is -1"),
    "window": (_patched(ONE, CAMERA + 0x34, "<f", 3.0), "window transmission is 3"),
    "temperature": (_patched(ONE, CAMERA + 0x28, "<f", 0.0), "reflected, atmospheric or window temperature in K is 0"),
    "atmosphere": (_patched(_patched(ONE, CAMERA + 0x24, "<f", 100.0), CAMERA + 0x80, "<f", -90.0), "transmission"),
    "tail": (ONE + bytes(len(ONE) + 1), "part behind frame 0 is .* bytes without a valid block"),
    "cut second block": (ONE + ONE[:2000], "truncated|bytes that are there"),
    "cut second header": (ONE + ONE[:50], "part behind frame 0 is 50 bytes without a valid block"),
    "other size": (ONE + make.block(make.counts_of(1, 7, 8)[0]), "frame 1 is of 8 x 7 pixels, expected 8 x 6"),
    "only the signature": (b"FFF\0", "FFF header is impossible"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    content, message = DAMAGE[name]
    path = _written(tmp_path, content)
    with pytest.raises(CorruptFileError, match=message) as caught:
        open_flir(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("coding", ["JPEG-LS", "PNG"])
def test_compressed_sizes_are_compared_before_decoding(tmp_path: Path, coding: str) -> None:
    content = make.block(COUNTS[0], coding=coding)
    raw = content.index(struct.pack("<3H", 2, 8, 6))
    with pytest.raises(CorruptFileError, match=f"{coding} header is of 8 x 6 pixels, expected 16 bit grey of 800 x 6"):
        open_flir(_written(tmp_path, _patched(content, raw + 2, "<H", 800)))
    size_at = content.index(b"\xff\xf7", raw) + 5 if coding == "JPEG-LS" else raw + 32 + 16
    with pytest.raises(CorruptFileError, match=f"{coding} header is of 0 x 0 pixels"):
        open_flir(_written(tmp_path, _patched(content, size_at, "<2H" if coding == "JPEG-LS" else "<2I", 0, 0)))
    huge = size_at, ">2H" if coding == "JPEG-LS" else ">2I"
    bomb = _patched(_patched(content, raw + 2, "<2H", 9000, 9000), *huge, 9000, 9000)
    with pytest.raises(CorruptFileError, match=f"{coding} image is 162000000 bytes from .*at most 200 times"):
        open_flir(_written(tmp_path, bomb))


def test_jpegls_record_with_other_content(tmp_path: Path) -> None:
    content = _patched(ONE, 64 + 32 + 2, "<H", 4)
    with pytest.raises(CorruptFileError, match="JPEG-LS header is broken"):
        open_flir(_written(tmp_path, content))


def test_options_without_use_are_refused_and_missing_files_named(tmp_path: Path) -> None:
    path = _written(tmp_path, ONE)
    with pytest.raises(ConfigError, match="the FLIR format has no use for 'axes'"):
        open_flir(path, axes="tyx")
    sequence = open_flir(path)
    path.unlink()
    with pytest.raises(InputError, match="has changed or is gone"):
        sequence.frames[0]
