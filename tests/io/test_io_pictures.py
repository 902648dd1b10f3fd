"""TIFF stacks and folders of frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from thermo_qc.errors import AmbiguousInputError, ConfigError, CorruptFileError, InputError, MissingFactError
from thermo_qc.io import read_sequence
from thermo_qc.io.frame_folder import natural_key, read_csv_frame

COUNTS = np.arange(5 * 16 * 8, dtype=np.uint16).reshape(5, 16, 8) * 7


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"imagej": True},
        {"compression": "zlib"},
        {"byteorder": ">"},
        {"photometric": "minisblack", "metadata": None},
        {"tile": (16, 16)},
    ],
    ids=str,
)
def test_stack(tmp_path: Path, options: dict[str, object]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, **{"photometric": "minisblack", **options})
    sequence = read_sequence(tmp_path / "a.tif", frame_rate_hz=50, unit="counts")
    np.testing.assert_array_equal(sequence.frames[:, :, :], COUNTS)
    assert sequence.times_s[1] == 0.02


def test_stack_in_float_larger_than_memory_allows_stays_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thermo_qc.io.reader.LOAD_BYTES", 100)
    for options in ({}, {"imagej": True}):
        tifffile.imwrite(tmp_path / "a.tif", COUNTS.astype(np.float32), photometric="minisblack", **options)
        sequence = read_sequence(tmp_path / "a.tif", frame_rate_hz=50)
        assert sequence.is_lazy
        np.testing.assert_array_equal(sequence.frames[1:4:2, 3:9, -2], COUNTS[1:4:2, 3:9, -2])


def test_imagej_interval_is_the_time_base(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, imagej=True, metadata={"axes": "TYX", "finterval": 0.25})
    np.testing.assert_allclose(read_sequence(tmp_path / "a.tif").times_s, np.arange(5) / 4)
    tifffile.imwrite(tmp_path / "b.tif", COUNTS, photometric="minisblack")
    with pytest.raises(MissingFactError, match="no time base"):
        read_sequence(tmp_path / "b.tif")


@pytest.mark.parametrize(
    ("pages", "error", "message"),
    [
        ([np.zeros((4, 5, 3), np.uint8)], CorruptFileError, "pages is in colour, expected one grey channel"),
        ([COUNTS[0], COUNTS[1, :8]], AmbiguousInputError, r"holds 2 stacks \(16 x 8, 8 x 8\)"),
    ],
)
def test_pages_that_are_no_stack(tmp_path: Path, pages: list[np.ndarray], error: type[Exception], message: str) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for page in pages:
            tiff.write(page, photometric="rgb" if page.ndim == 3 else "minisblack", metadata=None)
    with pytest.raises(error, match=message):
        read_sequence(tmp_path / "a.tif", frame_rate_hz=1)


def test_hyperstacks_are_refused(tmp_path: Path) -> None:
    volume = np.zeros((3, 2, 4, 5), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", volume, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(AmbiguousInputError, match="has 3 times, 2 planes in depth and 1 channels, so which pages"):
        read_sequence(tmp_path / "a.tif", frame_rate_hz=1)


@pytest.mark.parametrize("metadata", [{}, None])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
def test_truncated_stack(tmp_path: Path, share: float, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        if metadata is None:
            for frame in COUNTS:
                tiff.write(frame, photometric="minisblack", metadata=None, contiguous=False)
        else:
            tiff.write(COUNTS, photometric="minisblack", compression="zlib")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CorruptFileError, match=r"truncated or broken|unreadable") as caught:
        read_sequence(path, frame_rate_hz=1)
    assert "\n" not in str(caught.value)


def _save_frame(path: Path, frame: np.ndarray) -> None:
    if path.suffix == ".csv":
        np.savetxt(path, frame, delimiter=",", fmt="%.2f")
    elif path.suffix == ".png":
        Image.fromarray(frame).save(path)
    else:
        tifffile.imwrite(path, frame, photometric="minisblack")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("ending", "unit"), [(".tiff", "counts"), (".png", "counts"), (".csv", "degC")])
def test_folder_in_natural_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, unit: str, lazy: bool
) -> None:
    if lazy:
        monkeypatch.setattr("thermo_qc.io.reader.LOAD_BYTES", 100)
    folder = tmp_path / "plate7"
    folder.mkdir()
    for number, frame in zip((2, 10, 1, 100, 9), COUNTS, strict=True):
        _save_frame(folder / f"Frame_{number}{ending}", frame)
    for name in ("notes.txt", ".hidden.png"):
        (folder / name).write_text("x")
    (folder / "thermo.yaml").write_text("frame_rate_hz: 5\ncamera: from the folder\n")
    sequence = read_sequence(folder)
    np.testing.assert_array_equal(sequence.frames[:, :, :], COUNTS[[2, 0, 4, 1, 3]])
    np.testing.assert_array_equal(sequence.frames[1:3, 2:4, 5], COUNTS[[0, 4], 2:4, 5])
    assert (sequence.unit, sequence.times_s[1], sequence.camera, sequence.is_lazy) == (
        unit,
        0.2,
        "from the folder",
        lazy,
    )
    assert sequence.source is not None and len(sequence.source.sha256) == 64


def test_sidecar_beside_the_folder_and_twice(tmp_path: Path) -> None:
    folder = tmp_path / "v1.2"
    folder.mkdir()
    _save_frame(folder / "1.png", COUNTS[0])
    (tmp_path / "v1.2.yaml").write_text("frame_rate_hz: 5")
    assert read_sequence(folder).n_frames == 1
    (folder / "thermo.yaml").write_text("frame_rate_hz: 5")
    with pytest.raises(AmbiguousInputError, match="several sidecar files"):
        read_sequence(folder)


def test_folders_that_are_no_recording(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no frames; expected one TIFF, PNG, CSV.* file per frame"):
        read_sequence(tmp_path, frame_rate_hz=1)
    _save_frame(tmp_path / "1.png", COUNTS[0])
    with pytest.raises(ConfigError, match="a folder of frames has no use for 'axes'"):
        read_sequence(tmp_path, frame_rate_hz=1, axes="tyx")
    _save_frame(tmp_path / "2.tif", COUNTS[0])
    with pytest.raises(AmbiguousInputError, match=r"frames of several kinds \(1 PNG, 1 TIFF\); keep one kind"):
        read_sequence(tmp_path, frame_rate_hz=1)


@pytest.mark.parametrize("ending", [".tif", ".png", ".csv"])
def test_frames_of_different_size(tmp_path: Path, ending: str) -> None:
    _save_frame(tmp_path / f"1{ending}", COUNTS[0])
    _save_frame(tmp_path / f"2{ending}", COUNTS[1, :9])
    with pytest.raises(CorruptFileError, match=rf"2\{ending}: frame is of shape \(9, 8\), expected \(16, 8\)"):
        read_sequence(tmp_path, frame_rate_hz=1)


def test_frames_of_different_type(tmp_path: Path) -> None:
    _save_frame(tmp_path / "1.png", COUNTS[0])
    _save_frame(tmp_path / "2.png", COUNTS[0].astype(np.uint8))
    with pytest.raises(CorruptFileError, match=r"2\.png: pixels is uint8, expected uint16 like 1\.png"):
        read_sequence(tmp_path, frame_rate_hz=1)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def _multipage(path: Path) -> None:
    tifffile.imwrite(path, COUNTS, photometric="minisblack")


def _colour_tiff(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((4, 4, 3), np.uint8), photometric="rgb")


def _colour_png(path: Path) -> None:
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("1.png", _truncate, "picture is broken or truncated"),
        ("1.png", _colour_png, r"picture is in colour \(mode RGB\), expected one grey channel"),
        ("1.png", lambda path: path.write_bytes(b"no picture"), "picture is unreadable"),
        ("1.tif", _truncate, "truncated or broken"),
        ("1.tif", _multipage, "content is of 5 pages, expected one page; open the file itself"),
        ("1.tif", _colour_tiff, r"page is of shape \(4, 4, 3\), expected one grey channel"),
        ("1.csv", lambda path: path.write_text("1,2\n3,x\n"), "table is something else .*expected rows of numbers"),
        ("1.csv", lambda path: path.write_text("1,2\n3\n"), "table is something else"),
        ("1.csv", lambda path: path.write_text("\n"), "table is empty, expected rows of numbers"),
        ("1.csv", lambda path: path.write_text("a,b\nc,d\n"), "table is without one, expected rows of numbers"),
        ("1.csv", lambda path: path.write_text("Width,3\nHeight,2\n1,2\n3,4\n"), "2 rows of 3 numbers as stated"),
    ],
)
def test_broken_frames(tmp_path: Path, name: str, change: Callable[[Path], object], message: str) -> None:
    _save_frame(tmp_path / name, COUNTS[0])
    change(tmp_path / name)
    with pytest.raises(CorruptFileError, match=message) as caught:
        read_sequence(tmp_path, frame_rate_hz=1)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "21.5,22\n23,24.25\n",
        "21,5;22\n23;24,25\n",
        "21.5\t22\r\n23\t24.25",
        "21.5 22\n23 24.25\n",
        "\ufeff21.5,22,\n23,24.25,\n",
        "21,5 22,0\r\n23,0 24,25\r\n",
        "\ufeffFile;C:\\Bilder\\Platte 7.irb\r\nEmissivity;0,95\r\nWidth;2\r\nHeight;2\r\n\r\n21,5;22\r\n23;24,25\r\n",
        "Frame 1,,\nTemperature (C)\n21.5,22\n23,24.25\n",
    ],
)
def test_dialects_of_csv(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    frame = read_csv_frame(tmp_path / "a.csv")
    np.testing.assert_array_equal(frame, np.array([[21.5, 22], [23, 24.25]], np.float32))


@pytest.mark.parametrize("ending", [".csv", ".txt", ".asc"])
@pytest.mark.parametrize(("header", "unit"), [("", "degC"), ("Temperature [K]\n", "K"), ("Einheit: °C\n", "degC")])
def test_unit_of_text_frames(tmp_path: Path, ending: str, header: str, unit: str) -> None:
    for number in range(3):
        (tmp_path / f"f{number}{ending}").write_text(f"{header}21,5;22\n23;24,25\n", encoding="latin-1")
    sequence = read_sequence(tmp_path, frame_rate_hz=1)
    assert (sequence.unit, sequence.n_frames, sequence.frames[0, 1, 1]) == (unit, 3, np.float32(24.25))


def test_natural_order() -> None:
    names = ["b1", "a10", "a9", "A1", "a01", "a", "1", "²"]
    ordered = [path.name for path in sorted(map(Path, names), key=natural_key)]
    assert ordered.index("a9") < ordered.index("a10") and ordered.index("A1") < ordered.index("a9")
    assert ordered[0] == "1" and sorted(ordered) == sorted(names)
