"""Which reader gets a file, and what is said of files that none gets."""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.errors import CorruptFileError, InputError, UnknownFormatError
from thermo_qc.io import READERS, Reader, detect_format, formats, read_sequence
from thermo_qc.sequence import ThermalSequence


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.otvis", b"x", r"is a edevis recording, which is not read; open it with the package pythermondt"),
        ("a.di", b"content.xml" + bytes(246) + b"ustar", "edevis recording"),
        ("renamed.bin", b"content.xml" + bytes(246) + b"ustar", "edevis recording"),
        ("a.ats", b"x", "FLIR ATS recording, which is not read; export the sequence to TIFF, CSV frames"),
        ("renamed.bin", bytes(339) + b"FLIR SC6000".ljust(68, b"\0") + b"\x80\2\0\2" + bytes(99), "FLIR ATS recording"),
        ("a.ravi", b"RIFF\0\0\0\0AVI ", "Optris RAVI recording"),
        ("renamed.bin", b"RIFF\0\0\0\0AVI ", "Optris RAVI recording"),
        ("a.png", b"\x89PNG\r\n", "single picture, which is not read; name the folder"),
        ("a.xyz", b"hello", r"a\.xyz has no known format \(it starts with b'hello'\); known: HDF5"),
    ],
)
def test_refused_formats_say_the_way_out(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnknownFormatError, match=message) as caught:
        read_sequence(tmp_path / name, frame_rate_hz=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", [reader for reader in READERS if not reader.folders], ids=lambda reader: reader.name)
def test_right_name_with_other_content_and_empty_files(tmp_path: Path, reader: Reader) -> None:
    for extension in reader.extensions:
        path = tmp_path / f"a{extension}"
        path.write_bytes(b"")
        with pytest.raises(CorruptFileError, match="content is empty, expected a recording"):
            read_sequence(path)
        path.write_bytes(b"plain text")
        with pytest.raises(CorruptFileError, match=f"header is something else .*expected that of a {reader.name} file"):
            read_sequence(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; check the path"):
        read_sequence(tmp_path / "none.h5")


def test_the_header_counts_and_not_the_name(tmp_path: Path, frames: np.ndarray) -> None:
    with (tmp_path / "a.dat").open("wb") as file:
        np.save(file, frames)
    assert detect_format(tmp_path / "a.dat").name == "NumPy .npy"
    assert read_sequence(tmp_path / "a.dat", frame_rate_hz=1).n_frames == 5


def test_table_of_readers_is_complete_and_names_are_unique() -> None:
    names = [reader.name for reader in READERS]
    assert len(set(names)) == len(names) >= 8
    assert sum(reader.folders for reader in READERS) == 1


def _open_toy(path: Path, **options: object) -> ThermalSequence:
    shape = (3, 2, 2)
    return ThermalSequence(frames=np.ones(shape), times_s=np.arange(3.0), unit="K", specimen_id=str(sorted(options)))


TOY = Reader(name="toy", extensions=(".toy",), matches=lambda header: header.startswith(b"TOY"), open=_open_toy)
BAD = Reader(name="bad", extensions=(".bad",), matches=lambda header: header.startswith(b"BAD"), open=lambda path: None)
NO_READER = 3


def test_other_packages_add_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    group = "thermo_qc.readers"
    entries = [
        EntryPoint(name="toy", value=f"{__name__}:TOY", group=group),
        EntryPoint(name="bad", value=f"{__name__}:BAD", group=group),
        EntryPoint(name="gone", value="no_such_package:READER", group=group),
        EntryPoint(name="three", value=f"{__name__}:NO_READER", group=group),
    ]
    monkeypatch.setattr(formats, "entry_points", lambda group: entries)
    formats.all_readers.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert [reader.name for reader in formats.all_readers()[len(READERS) :]] == ["bad", "toy"]
        assert "reader 'gone' (no_such_package:READER) cannot be loaded" in caplog.text
        assert "reader 'three'" in caplog.text and "is int, expected a Reader" in caplog.text
        (tmp_path / "a.toy").write_bytes(b"TOY")
        assert read_sequence(tmp_path / "a.toy", camera="c", ambient_c=1).specimen_id == "['ambient_c', 'camera']"
        (tmp_path / "a.bad").write_bytes(b"BAD")
        with pytest.raises(InputError, match="the reader 'bad' returned NoneType; update the package"):
            read_sequence(tmp_path / "a.bad")
    finally:
        formats.all_readers.cache_clear()
