"""TIFF: time axes and lengths of OME and ImageJ, the real radiometric page, laziness, hostile directories."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermo_qc.errors import AmbiguousInputError, CorruptFileError, MissingFactError, ThermoQCError
from thermo_qc.io import read_sequence
from thermo_qc.io.tiff_frames import EncodedFrames, ScatteredFrames, StridedFrames
from thermo_qc.io.tiff_pages import walk_pages

COUNTS = np.arange(5 * 16 * 8, dtype=np.uint16).reshape(5, 16, 8) * 7
PLANES = {"DeltaT": [0.0, 1.0, 2.5, 3.0, 5.0], "DeltaTUnit": ["ms"] * 5}


def _ome(path: Path, **metadata: object) -> Path:
    tifffile.imwrite(path, COUNTS, ome=True, photometric="minisblack", metadata={"axes": "TYX", **metadata})
    return path


@pytest.mark.parametrize(
    ("metadata", "times", "pitch"),
    [
        ({"TimeIncrement": 0.5, "TimeIncrementUnit": "s"}, np.arange(5) / 2, None),
        ({"TimeIncrement": 40, "TimeIncrementUnit": "ms"}, np.arange(5) * 0.04, None),
        (
            {"TimeIncrement": 2, "TimeIncrementUnit": "min", "PhysicalSizeX": 500, "PhysicalSizeY": 500},
            np.arange(5) * 120,
            0.5,
        ),
        ({"Plane": PLANES, "TimeIncrement": 9.0}, np.array([0, 1, 2.5, 3, 5]) / 1000, None),
        ({"TimeIncrement": 1.0, "PhysicalSizeX": 0.05, "PhysicalSizeXUnit": "cm"}, np.arange(5), 0.5),
        ({"TimeIncrement": 1.0, "PhysicalSizeX": 3, "PhysicalSizeXUnit": "pixel"}, np.arange(5), None),
        ({"TimeIncrement": 1.0, "PhysicalSizeX": 500, "PhysicalSizeY": 700}, np.arange(5), None),
    ],
)
def test_ome(tmp_path: Path, metadata: dict[str, object], times: np.ndarray, pitch: float | None) -> None:
    sequence = read_sequence(_ome(tmp_path / "a.ome.tif", **metadata))
    np.testing.assert_array_equal(sequence.loaded().frames, COUNTS)
    np.testing.assert_allclose(sequence.times_s, times)
    assert (sequence.pixel_pitch_mm, sequence.unit) == (pitch, "counts")


def test_ome_without_times(tmp_path: Path) -> None:
    with pytest.raises(MissingFactError, match="no time base"):
        read_sequence(_ome(tmp_path / "a.ome.tif"))
    xml = (
        '<OME><Image><Pixels SizeT="5"><Plane TheT="0" DeltaT="1"/><Plane TheT="7" DeltaT="x"/></Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "b.ome.tif", COUNTS, photometric="minisblack", description=xml, metadata=None)
    with pytest.raises(MissingFactError, match="no time base"):
        read_sequence(tmp_path / "b.ome.tif")


@pytest.mark.parametrize(("axes", "message"), [("ZYX", "1 times, 5 planes"), ("CYX", "5 channels")])
def test_ome_planes_are_no_times(tmp_path: Path, axes: str, message: str) -> None:
    with pytest.raises(AmbiguousInputError, match=rf"{message}.*export one plane and one channel"):
        read_sequence(_ome(tmp_path / "a.ome.tif", axes=axes), frame_rate_hz=1)


def test_ome_images_and_other_files(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for _ in range(2):
            file.write(COUNTS, photometric="minisblack", metadata={"axes": "TYX"})
    with pytest.raises(AmbiguousInputError, match=r"2 images \(frames, .*\); export one alone"):
        read_sequence(tmp_path / "a.ome.tif", frame_rate_hz=1)
    path = tmp_path / "b.ome.tif"
    for link, other in (('<UUID FileName="/x">y</UUID>', True), ('<UUID FileName="old name.tif">me</UUID>', False)):
        xml = (
            f'<OME UUID="me"><Image><Pixels SizeT="5"><TiffData PlaneCount="5">{link}</TiffData></Pixels></Image></OME>'
        )
        tifffile.imwrite(path, COUNTS, photometric="minisblack", description=xml, metadata=None)
        if other:
            with pytest.raises(CorruptFileError, match="planes is in /x, expected inside the file"):
                read_sequence(path, frame_rate_hz=1)
        else:
            np.testing.assert_array_equal(read_sequence(path, frame_rate_hz=1).loaded().frames, COUNTS)


@pytest.mark.parametrize(
    ("metadata", "resolution", "interval", "pitch"),
    [
        ({"finterval": 0.25, "unit": "mm"}, (2, 2), 0.25, 0.5),
        ({"finterval": 40, "tunit": "ms", "unit": "cm"}, (20, 20), 0.04, 0.5),
        ({"fps": 50, "unit": "micron"}, (0.002, 0.002), 0.02, 0.5),
        ({"finterval": 1, "unit": "pixel"}, (1, 1), 1.0, None),
        ({"finterval": 1, "unit": "mm"}, (2, 3), 1.0, None),
        ({"finterval": 1}, (72, 72), 1.0, None),
    ],
)
def test_imagej(
    tmp_path: Path, metadata: dict[str, object], resolution: tuple[float, float], interval: float, pitch: float | None
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COUNTS, imagej=True, metadata={"axes": "TYX", **metadata}, resolution=resolution)
    sequence = read_sequence(path)
    np.testing.assert_array_equal(sequence.loaded().frames, COUNTS)
    np.testing.assert_allclose(sequence.times_s, np.arange(5) * interval)
    assert sequence.pixel_pitch_mm == (None if pitch is None else pytest.approx(pitch))


def test_imagej_calibration_line(tmp_path: Path) -> None:
    metadata = {"axes": "TYX", "fps": 10, "cf": 0, "c0": -273.15, "c1": 0.04, "vunit": "Temp(C)"}
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, imagej=True, metadata=metadata)
    sequence = read_sequence(tmp_path / "a.tif")
    np.testing.assert_allclose(sequence.loaded().frames, COUNTS * 0.04 - 273.15, rtol=1e-6)
    assert sequence.unit == "degC"
    assert sequence.history[0].parameters["unit"] == "degC: by ImageJ's calibration line"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"images=5", b"images=9", "pages is 5, expected 9|frames behind the first page is truncated"),
        (b"images=5", b"images=x", "ImageJ's images is 'x', expected a number"),
        (b"frames=5", b"slices=0", "ImageJ's slices is '0'"),
    ],
)
def test_imagej_lines_that_lie(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COUNTS, imagej=True, metadata={"axes": "TYX"})
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(CorruptFileError, match=message):
        read_sequence(path, frame_rate_hz=1)


def test_one_directory_for_many_frames(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, photometric="minisblack", truncate=True)
    assert len(walk_pages(tmp_path / "a.tif")[1]) == 1
    np.testing.assert_array_equal(read_sequence(tmp_path / "a.tif", frame_rate_hz=1).loaded().frames, COUNTS)


def test_radiometric_sample_stays_counts(shared_file: Callable[[str], Path]) -> None:
    path = shared_file("formats/radiometric.tiff")
    sequence = read_sequence(path)
    np.testing.assert_array_equal(sequence.frames[0], tifffile.imread(path))
    assert (sequence.unit, sequence.camera, sequence.n_frames) == ("counts", "Duo Pro R (8340357)", 1)
    assert (int(np.min(sequence.frames[0])), int(np.max(sequence.frames[0]))) == (6743, 7077)
    assert sequence.history[0].parameters["unit"] == "counts: the file has no calibration"


def test_frame_rate_tag(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", COUNTS, photometric="minisblack", metadata=None, extratags=[(51044, 5, 1, (30, 1))]
    )
    np.testing.assert_allclose(read_sequence(tmp_path / "a.tif").times_s, np.arange(5) / 30)


@pytest.mark.parametrize(
    ("options", "view"),
    [
        ({}, StridedFrames),
        ({"bigtiff": True, "byteorder": ">"}, StridedFrames),
        ({"compression": "zlib", "rowsperstrip": 5}, EncodedFrames),
        ({"compression": "lzw", "predictor": True}, EncodedFrames),
        ({"tile": (16, 16), "compression": "zlib"}, EncodedFrames),
    ],
    ids=str,
)
def test_views_read_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], view: type
) -> None:
    monkeypatch.setattr("thermo_qc.io.reader.LOAD_BYTES", 100)
    frames = np.random.default_rng(1).integers(0, 2**14, (4, 37, 41)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack", **options)
    lazy = read_sequence(tmp_path / "a.tif", frame_rate_hz=1).frames
    assert isinstance(lazy, view)
    for key in (np.s_[:, :, :], np.s_[2], np.s_[1:3, 3:21, 17:40], np.s_[:, 36, 0], np.s_[3, 15:17, 15:17]):
        np.testing.assert_array_equal(lazy[key], frames[key])


def test_scattered_pages_and_thumbnails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermo_qc.io.reader.LOAD_BYTES", 100)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for number, frame in enumerate(COUNTS):
            software = "x" * 100 * number  # directories of different size
            file.write(frame, photometric="minisblack", metadata=None, contiguous=False, software=software)
        file.write(COUNTS[0, :4, :4], photometric="minisblack", metadata=None, subfiletype=1)
    lazy = read_sequence(tmp_path / "a.tif", frame_rate_hz=1).frames
    assert isinstance(lazy, ScatteredFrames)
    np.testing.assert_array_equal(lazy[1:4, 2:9, 3:5], COUNTS[1:4, 2:9, 3:5])


def test_strips_outside_the_block_are_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermo_qc.io.reader.LOAD_BYTES", 100)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COUNTS, photometric="minisblack", compression="zlib", rowsperstrip=4)
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[1].dataoffsets[3]
    content = bytearray(path.read_bytes())
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    lazy = read_sequence(path, frame_rate_hz=1).frames
    np.testing.assert_array_equal(lazy[1, 0:12], COUNTS[1, 0:12])
    with pytest.raises(CorruptFileError, match="frames is broken"):
        lazy[1]


def _tiff(entries: list[tuple[int, int, int, int]], then: int = 0, pixels: bytes = bytes(64)) -> bytes:
    """Write a file of one directory at byte 8."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", then) + pixels


GOOD = [
    (256, 3, 1, 4),
    (257, 3, 1, 4),
    (258, 3, 1, 16),
    (259, 3, 1, 1),
    (262, 3, 1, 1),
    (273, 4, 1, 110),
    (279, 4, 1, 32),
]


def _changed(code: int, *entry: int) -> list[tuple[int, int, int, int]]:
    return [(code, *entry) if old[0] == code else old for old in GOOD]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_tiff(GOOD, then=8), "page 2 is one that comes back to itself"),
        (_tiff(GOOD, then=10**6), "page 2 is truncated or broken"),
        (_tiff([(n, 3, 1, 1) for n in range(1100)]), "page 1 is truncated or broken, expected a directory of at most"),
        (_tiff(_changed(256, 3, 1, 0)), "page 1 is of 4 x 0 pixels"),
        (_tiff(_changed(257, 4, 1, 2**31)), "page 1 is|at most 200 times"),
        (_tiff(_changed(273, 4, 1, 2**31)), "page 1 is truncated or broken, expected complete"),
        (_tiff(_changed(279, 4, 2**30, 8)), "page 1"),
        (_tiff(_changed(273, 7, 1, 110)), "page 1 is tag 273 of type 7"),
        (_tiff(_changed(258, 3, 1, 77)), "of 77 bits|unreadable|broken"),
        (b"II*\0\0\0\0\0", "pages is none"),
        (b"II+\0\x04\0\0\0" + bytes(8), "header is"),
    ],
)
def test_hostile_directories(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(CorruptFileError, match=message) as caught:
        read_sequence(tmp_path / "a.tif", frame_rate_hz=1).loaded()
    assert "\n" not in str(caught.value)


def test_the_good_one_reads(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(_tiff(GOOD))
    assert read_sequence(tmp_path / "a.tif").frame_shape == (4, 4)


@pytest.mark.parametrize("kind", ["ome", "imagej", "zlib"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_are_read_or_refused(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    path = tmp_path / f"{kind}.tif"
    options: dict[str, object] = {"compression": "zlib"} if kind == "zlib" else {kind: True}
    tifffile.imwrite(path, COUNTS[:, :6, :6], photometric="minisblack", metadata={"axes": "TYX"}, **options)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "b.tif").write_bytes(bytes(content[: data.draw(st.integers(20, len(content)))]))
    try:
        read_sequence(tmp_path / "b.tif", frame_rate_hz=1).loaded()
    except ThermoQCError as error:
        assert "\n" not in str(error)
