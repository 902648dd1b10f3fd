"""Radiometric JPEGs: one file, a folder of them, and JPEGs that are none."""

from __future__ import annotations

from pathlib import Path

import flir_bytes as make
import imagecodecs
import numpy as np
import pytest

from thermo_qc.errors import CorruptFileError, MissingFactError, UnknownFormatError
from thermo_qc.io import read_sequence
from thermo_qc.io.flir_jpeg import READER, fff_of_jpeg, open_flir_jpeg, open_flir_jpegs
from thermo_qc.io.reader import check_options

COUNTS = make.counts_of(3)


def _jpeg(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(make.radiometric_jpeg(content))
    return path


@pytest.mark.parametrize("coding", ["plain", "PNG"])
def test_one_picture_is_a_sequence_of_one_frame(tmp_path: Path, coding: str) -> None:
    path = _jpeg(tmp_path, "a.jpg", make.block(COUNTS[0], coding=coding))
    assert READER.matches(path.read_bytes()[:1024])
    sequence = open_flir_jpeg(path)
    assert (sequence.frames.shape, sequence.unit, sequence.camera) == ((1, 6, 8), "degC", "Test camera")
    np.testing.assert_allclose(sequence.frames[0], make.celsius(COUNTS[0]), atol=2e-4)
    np.testing.assert_array_equal(open_flir_jpeg(path, unit="counts").frames[0], COUNTS[0])
    assert sequence.times_s.tolist() == [0.0]


def test_several_pictures_are_a_recording_with_their_time_stamps(tmp_path: Path) -> None:
    files = [_jpeg(tmp_path, f"{n}.jpg", make.block(COUNTS[n], time_s=n * 1.5)) for n in range(3)]
    facts = check_options(tmp_path, "a folder of frames", {"emissivity": 0.9})
    sequence = open_flir_jpegs(tmp_path, files, facts, "folder of frames (JPEG)")
    assert sequence.emissivity == 0.9 and sequence.source is not None
    assert sequence.source.format_name == "folder of frames (JPEG)"
    np.testing.assert_allclose(sequence.times_s, [0, 1.5, 3.0], atol=1e-9)
    counts = open_flir_jpegs(tmp_path, files, check_options(tmp_path, "x", {"unit": "counts"}), "x")
    np.testing.assert_array_equal(counts.frames[1:, :, 2:4], COUNTS[1:, :, 2:4])


def test_pictures_of_two_sizes_or_without_times_are_refused(tmp_path: Path) -> None:
    facts = check_options(tmp_path, "x", {})
    files = [_jpeg(tmp_path, f"{n}.jpg", make.block(COUNTS[n], time_s=None)) for n in range(2)]
    with pytest.raises(MissingFactError, match="has no time base"):
        open_flir_jpegs(tmp_path, files, facts, "x")
    files.append(_jpeg(tmp_path, "9.jpg", make.block(make.counts_of(1, 3, 3)[0])))
    with pytest.raises(CorruptFileError, match=r"9\.jpg: frame is of 3 x 3, expected 8 x 6 pixels like 0\.jpg"):
        open_flir_jpegs(tmp_path, files, facts, "x")


def test_ordinary_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg8_encode(np.zeros((8, 8), np.uint8)))
    with pytest.raises(UnknownFormatError, match="is a JPEG picture without radiometric data, which is not read"):
        open_flir_jpeg(tmp_path / "a.jpg")


def test_lost_doubled_and_cut_segments(tmp_path: Path) -> None:
    fff = make.block(COUNTS[0])
    whole = make.radiometric_jpeg(fff)
    assert fff_of_jpeg(tmp_path, whole) == fff
    second = whole.index(b"FLIR\0\x01\x01")
    lost = whole[: second - 4] + whole[second + 8 + len(fff) - 1500 :]
    with pytest.raises(CorruptFileError, match="FLIR segments is only 1 of them, expected 2 segments"):
        fff_of_jpeg(tmp_path, lost)
    doubled = whole.replace(b"FLIR\0\x01\x01", b"FLIR\0\x01\x00")
    with pytest.raises(CorruptFileError, match="FLIR segment 0 is double or too many"):
        fff_of_jpeg(tmp_path, doubled)
    with pytest.raises(CorruptFileError, match=r"JPEG segment at byte .*expected within the file"):
        fff_of_jpeg(tmp_path, whole[: second + 100])
    with pytest.raises(CorruptFileError, match="JPEG marker at byte 2 is 0x41, expected 0xFF"):
        fff_of_jpeg(tmp_path, b"\xff\xd8ABCDEF")
    with pytest.raises(CorruptFileError, match="FLIR segments is holding 2 frames, expected one frame"):
        open_flir_jpeg(_jpeg(tmp_path, "two.jpg", fff + fff))


def test_a_folder_of_radiometric_pictures_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for n, name in enumerate(("f2.jpg", "f10.jpg", "f11.JPEG")):
        _jpeg(tmp_path, name, make.block(COUNTS[n], time_s=n * 1.5))
    sequence = read_sequence(tmp_path)
    assert sequence.source is not None and sequence.source.format_name == "folder of frames (JPEG)"
    np.testing.assert_allclose(sequence.times_s, [0, 1.5, 3.0], atol=1e-9)
    np.testing.assert_allclose(sequence.frames[:, :, :], make.celsius(COUNTS), atol=2e-4)
    stated = read_sequence(tmp_path, emissivity=0.5, frame_rate_hz=2)
    assert stated.emissivity == 0.5 and stated.times_s.tolist() == [0.0, 0.5, 1.0]
    assert np.abs(stated.frames[0] - sequence.frames[0]).max() > 1
    (tmp_path / "note.csv").write_text("1,2\n3,4\n")
    assert read_sequence(tmp_path, frame_rate_hz=2).frames.shape == (1, 2, 2)  # pictures beside frames are photographs
    (tmp_path / "note.csv").unlink()
    (tmp_path / "f3.jpg").write_bytes(imagecodecs.jpeg8_encode(np.zeros((8, 8), np.uint8)))
    with pytest.raises(UnknownFormatError, match=r"f3\.jpg is a JPEG picture without radiometric data"):
        read_sequence(tmp_path)
