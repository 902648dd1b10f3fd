"""InfraTec IRB: palette temperatures, single images, folders of them and refusals."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from ptw_irb_files import SHARED, irb_bytes, kelvin_palette, patched

from thermo_qc.errors import AmbiguousInputError, ConfigError, CorruptFileError, MissingFactError, UnknownFormatError
from thermo_qc.io import read_sequence

PIXELS = (np.arange(6 * 7).reshape(6, 7) * 1553 % (255 * 256)).astype(np.uint16)
PALETTE = kelvin_palette()
WHOLE = irb_bytes(PIXELS, PALETTE)
IMAGE_AT = 64 + 3 * 32 + 7
ENTRY_AT = 64 + 32


def kelvin(pixels: np.ndarray) -> np.ndarray:
    return np.interp(pixels / 256, np.arange(256), PALETTE)


@pytest.fixture
def irb(tmp_path: Path):
    def write(content: bytes, name: str = "a.irb") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def test_one_image_is_a_sequence_of_one_frame(irb) -> None:
    sequence = read_sequence(irb(WHOLE))
    assert sequence.frames.shape == (1, 6, 7) and sequence.unit == "degC" and sequence.times_s.tolist() == [0.0]
    np.testing.assert_allclose(sequence.frames[0], kelvin(PIXELS) - 273.15, atol=2e-5)
    assert (sequence.camera, sequence.emissivity, sequence.ambient_c) == ("VARIOCAM", 0.94, 22.5)
    stated = sequence.history[0].parameters
    assert stated["recorded"] == "2014-01-15T12:00:00.000" and stated["camera_serial"] == "4001a"
    assert (stated["calibrated_from_k"], stated["calibrated_to_k"], stated["distance_m"]) == (233.0, 393.0, 1.5)


def test_kelvin_on_demand_and_no_counts(irb) -> None:
    sequence = read_sequence(irb(WHOLE), unit="K")
    assert sequence.unit == "K"
    np.testing.assert_allclose(sequence.frames[0], kelvin(PIXELS), atol=2e-5)
    with pytest.raises(ConfigError, match="holds temperatures and no counts"):
        read_sequence(irb(WHOLE), unit="counts")
    with pytest.raises(ConfigError, match="IRB format has no use for 'variable'"):
        read_sequence(irb(WHOLE), variable="x")


def test_ends_of_the_palette(irb) -> None:
    palette = PALETTE.copy()
    palette[3] = -7.0
    pixels = np.array([[255 * 256, 255 * 256 + 1, 254 * 256 + 255], [3 * 256, 2 * 256 + 1, 2 * 256]], dtype=np.uint16)
    frame = read_sequence(irb(irb_bytes(pixels, palette)), unit="K").frames[0]
    np.testing.assert_array_equal(np.isnan(frame), [[False, True, False], [True, True, False]])
    assert frame[0, 0] == np.float32(PALETTE[255])


def test_folder_is_a_recording_with_the_times_of_its_images(irb, tmp_path: Path) -> None:
    second = 1 / 86400
    for index, (days, milliseconds) in enumerate([(41654.5, 250), (41654.5, 750), (41654.5 + second, 500)], start=8):
        pixels = PIXELS // index
        irb(irb_bytes(pixels, PALETTE, days=days, milliseconds=milliseconds), f"frame{index}.irb")
    sequence = read_sequence(tmp_path)
    np.testing.assert_allclose(sequence.times_s, [0, 0.5, 1.25], atol=1e-6)
    np.testing.assert_allclose(sequence.frames[2], kelvin(PIXELS // 10) - 273.15, atol=2e-5)
    assert sequence.unit == "degC" and sequence.camera == "VARIOCAM"
    assert read_sequence(tmp_path, frame_rate_hz=4.0, unit="K").times_s.tolist() == [0.0, 0.25, 0.5]
    (tmp_path / "frame11.irb").write_bytes(irb_bytes(PIXELS[:5], PALETTE))
    with pytest.raises(CorruptFileError, match=r"frame11.irb: frame is of shape \(5, 7\)"):
        read_sequence(tmp_path, frame_rate_hz=1.0)


def test_large_folder_stays_lazy_and_goes_to_other_processes(
    irb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(3):
        irb(irb_bytes(PIXELS // (index + 1), PALETTE, days=41654.5 + index), f"{index}.irb")
    monkeypatch.setattr("thermo_qc.io.reader.LOAD_BYTES", 0)
    sequence = read_sequence(tmp_path, unit="K")
    assert sequence.is_lazy and sequence.times_s.tolist() == [0.0, 86400.0, 172800.0]
    frames = pickle.loads(pickle.dumps(sequence.frames))
    np.testing.assert_allclose(frames[2, 1:3], kelvin(PIXELS // 3)[1:3], atol=2e-5)
    with pytest.raises(ConfigError, match="holds temperatures and no counts"):
        read_sequence(tmp_path, unit="counts")


def test_folder_without_usable_times_needs_a_person(irb, tmp_path: Path) -> None:
    for index, days in enumerate([41654.5, 41654.5]):
        irb(irb_bytes(PIXELS, PALETTE, days=days), f"{index}.irb")
    with pytest.raises(MissingFactError, match="give frame_rate_hz"):
        read_sequence(tmp_path)
    irb(irb_bytes(PIXELS, PALETTE, days=float("nan")), "1.irb")
    with pytest.raises(MissingFactError, match="give frame_rate_hz"):
        read_sequence(tmp_path)
    (tmp_path / "x.csv").write_text("1,2\n")
    with pytest.raises(AmbiguousInputError, match="1 CSV, 2 IRB"):
        read_sequence(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[:40], "header is cut after 40, expected 64 bytes"),
        (WHOLE[:-1], "image block is 1812 bytes at byte 167, expected"),
        (patched(WHOLE, 29, "<i", 2**31 - 1), "block table is 2147483647 entries at byte 64"),
        (patched(WHOLE, 29, "<i", -1), "block table is -1 entries"),
        (patched(WHOLE, 25, "<i", 10**9), "entries at byte 1000000000"),
        (patched(WHOLE, ENTRY_AT + 12, "<i", -5), "image block is 1812 bytes at byte -5"),
        (patched(WHOLE, ENTRY_AT + 12, "<i", 10**9), "at byte 1000000000"),
        (patched(WHOLE, ENTRY_AT + 16, "<i", 100), "image block is 100 bytes"),
        (patched(WHOLE, IMAGE_AT + 4, "<2h", 32767, 32767), "image size is 32767 x 32767 pixels"),
        (patched(WHOLE, IMAGE_AT + 4, "<2h", -7, -6), "image size is -7 x -6 pixels"),
        (patched(WHOLE, IMAGE_AT, "<h", 1), "bytes per pixel is 1, expected 2"),
        (patched(WHOLE, IMAGE_AT + 60, "<f", float("nan")), "palette is not finite or impossible"),
        (patched(WHOLE, IMAGE_AT + 64, "<f", 3e38), "palette is not finite or impossible"),
    ],
)
def test_damage_in_one_line(irb, content: bytes, message: str) -> None:
    with pytest.raises(CorruptFileError, match=message) as caught:
        read_sequence(irb(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            patched(WHOLE, IMAGE_AT + 2, "<h", 1),
            r"compressed IRB image \(kind 1\), which is not read; save it in IRBIS",
        ),
        (patched(WHOLE, ENTRY_AT, "<i", 4), "of type 'VARIOCAM' with 0 images in its table, expected a single image"),
        (patched(WHOLE, 64, "<i", 1), "with 2 images in its table"),
    ],
)
def test_other_kinds_are_refused_with_a_way_out(irb, content: bytes, message: str) -> None:
    with pytest.raises(UnknownFormatError, match=message) as caught:
        read_sequence(irb(content))
    assert "single uncompressed images in one folder" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "low_c", "high_c", "camera"),
    [
        ("infratec_variocam_640x480.irb", (480, 640), 21.7, 33.5, "VARIOCAM"),
        ("infratec_variocam_640x480_b.irb", (480, 640), 22.2, 46.2, "VARIOCAM"),
        ("infratec_irbacs_1024x768.irb", (768, 1024), -42.9, 16.1, "VARIOCAM_HD"),
    ],
)
def test_real_images(name: str, shape: tuple[int, int], low_c: float, high_c: float, camera: str) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not here")
    sequence = read_sequence(SHARED / name)
    frame = sequence.frames[0]
    assert frame.shape == shape and sequence.unit == "degC" and sequence.camera == camera
    assert frame.min() == pytest.approx(low_c, abs=0.1) and frame.max() == pytest.approx(high_c, abs=0.1)
