"""NumPy files, plain, hostile and the project's own."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.errors import AmbiguousInputError, ConfigError, CorruptFileError, MissingFactError, UnknownNameError
from thermo_qc.io import read_sequence, write_npz
from thermo_qc.sequence import ThermalSequence


@pytest.mark.parametrize("axes", ["tyx", "yxt", "ytx", "xyt"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_axes_are_taken_by_name(tmp_path: Path, frames: np.ndarray, axes: str, order: str) -> None:
    stored = np.asarray(np.transpose(frames, ["tyx".index(name) for name in axes]), order=order)
    np.save(tmp_path / "a.npy", stored)
    np.savez(tmp_path / "a.npz", stack=stored)
    for name in ("a.npy", "a.npz"):
        sequence = read_sequence(tmp_path / name, axes=axes, frame_rate_hz=1)
        np.testing.assert_array_equal(sequence.frames[:, :, :], frames)
        np.testing.assert_array_equal(sequence.frames[3, 1:3, -1], frames[3, 1:3, -1])
        assert sequence.unit == "counts"


def test_npy_stays_in_its_file_and_big_endian_and_logical_values_are_read(tmp_path: Path, frames: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", frames.astype(">f8"))
    sequence = read_sequence(tmp_path / "a.npy", frame_rate_hz=1)
    assert sequence.is_lazy
    np.testing.assert_array_equal(sequence.loaded().frames, frames)
    np.save(tmp_path / "b.npy", frames > 30)
    assert read_sequence(tmp_path / "b.npy", frame_rate_hz=1).loaded().frames.dtype == np.uint8


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4)), r"array is of shape \(3, 4\), expected three non-empty axes"),
        (np.zeros((3, 0, 2)), r"of shape \(3, 0, 2\)"),
        (np.zeros((2, 2, 2), complex), "array is of type 'c', expected real numbers"),
        (np.zeros((2, 2, 2), "U3"), "array is of type 'U'"),
        (np.array([{"a": 1}], dtype=object), "pickled objects, which may run code"),
        (np.zeros((2, 2, 2), [("a", "f4")]), "array is of type 'V'"),
    ],
)
def test_arrays_that_are_no_frames(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(CorruptFileError, match=message):
        read_sequence(tmp_path / "a.npy", frame_rate_hz=1)


@pytest.mark.parametrize(("change", "message"), [(-4, r"truncated \(236 bytes\)"), (4, r"too long \(244 bytes\)")])
def test_npy_of_the_wrong_length(tmp_path: Path, frames: np.ndarray, change: int, message: str) -> None:
    np.save(tmp_path / "a.npy", frames)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(CorruptFileError, match=message):
        read_sequence(tmp_path / "a.npy", frame_rate_hz=1)


def test_npy_with_a_broken_header(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': junk  ")
    with pytest.raises(CorruptFileError, match=r"content is unreadable .*expected a complete NumPy \.npy file"):
        read_sequence(tmp_path / "a.npy")


def test_npz_needs_a_choice_between_stacks(tmp_path: Path, frames: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", hot=frames, cold=frames + 1, mask=np.ones((4, 3)))
    with pytest.raises(
        AmbiguousInputError, match=r"holds 2 stacks; choose one with variable=NAME; arrays: hot \(5, 4, 3\)"
    ):
        read_sequence(tmp_path / "a.npz", frame_rate_hz=1)
    sequence = read_sequence(tmp_path / "a.npz", variable="cold", frame_rate_hz=1)
    np.testing.assert_array_equal(sequence.frames[0], frames[0] + 1)
    with pytest.raises(UnknownNameError, match="no array 'col'; did you mean 'cold'"):
        read_sequence(tmp_path / "a.npz", variable="col", frame_rate_hz=1)
    with pytest.raises(CorruptFileError, match=r"mask is of shape \(4, 3\)"):
        read_sequence(tmp_path / "a.npz", variable="mask", frame_rate_hz=1)


def test_npz_time_base(tmp_path: Path, frames: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", frames=frames, times_s=[0, 1, 2, 4, 8])
    np.testing.assert_array_equal(read_sequence(tmp_path / "a.npz").times_s, [0, 1, 2, 4, 8])
    np.savez(tmp_path / "b.npz", frames=frames, times_s=[0, 1])
    with pytest.raises(CorruptFileError, match=r"times_s is of shape \(2,\), expected one time for each of 5 frames"):
        read_sequence(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", frames=frames)
    with pytest.raises(MissingFactError, match="no time base"):
        read_sequence(tmp_path / "c.npz")


def test_npz_without_a_stack(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(CorruptFileError, match=r"without one \(arrays: x \(3,\)\), expected an array with three axes"):
        read_sequence(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("note.txt", "x")
    with pytest.raises(CorruptFileError, match=r"arrays: none"):
        read_sequence(tmp_path / "b.npz")


def test_npz_with_pickles_is_never_loaded(tmp_path: Path, frames: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([print], dtype=object))
    with pytest.raises(CorruptFileError, match="pickled objects, which may run code"):
        read_sequence(tmp_path / "a.npz")


def test_own_npz_says_itself_what_is_what(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    write_npz(full_sequence, tmp_path / "a.npz")
    with pytest.raises(ConfigError, match="leave variable and axes out"):
        read_sequence(tmp_path / "a.npz", axes="tyx")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as content:
        assert json.loads(str(content["metadata"]))["specimen_id"] == "plate 7"


@pytest.mark.parametrize("share", [0.3, 0.95])
def test_truncated_npz(tmp_path: Path, full_sequence: ThermalSequence, share: float) -> None:
    path = tmp_path / "a.npz"
    write_npz(full_sequence, path, compressed=True)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CorruptFileError, match=r"expected a complete NumPy \.npz file"):
        read_sequence(path)


def test_flipped_byte_in_npz(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    path = tmp_path / "a.npz"
    write_npz(full_sequence, path)
    content = bytearray(path.read_bytes())
    content[content.index(b"frames.npy") + 200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="Bad CRC-32"):
        read_sequence(path)


def _npy_header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def test_a_header_that_claims_more_than_the_archive_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("frames.npy", _npy_header((10**6, 10**4, 10**4)) + bytes(64))
    with pytest.raises(CorruptFileError, match=r"frames\.npy is 192 bytes, expected 400000000000128 bytes"):
        read_sequence(tmp_path / "a.npz", frame_rate_hz=1)


def test_a_zip_bomb_is_refused_unopened(tmp_path: Path) -> None:
    size = 2**31
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("frames.npy", _npy_header((2, 2, 2)))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = size.to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(
        CorruptFileError, match=r"frames\.npy is 2 GiB from 128 stored bytes, expected at most 200 times"
    ):
        read_sequence(tmp_path / "a.npz", frame_rate_hz=1)


def test_own_npz_with_missing_or_wrong_parts(tmp_path: Path, frames: np.ndarray) -> None:
    metadata = json.dumps({"unit": "K", **dict.fromkeys(("camera", "specimen_id", "acquisition_id"), "")})
    np.savez(tmp_path / "a.npz", frames=frames, metadata=metadata)
    with pytest.raises(CorruptFileError, match="times_s is missing"):
        read_sequence(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", frames=frames, metadata=metadata, times_s=np.arange(5))
    with pytest.raises(CorruptFileError, match=r"metadata is different \('history'\)"):
        read_sequence(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", frames=frames, metadata="{", times_s=np.arange(5))
    with pytest.raises(CorruptFileError, match="content is unreadable"):
        read_sequence(tmp_path / "c.npz")
    index = np.ones((4, 3), np.int16)
    np.savez(
        tmp_path / "d.npz", frames=frames, metadata=metadata, times_s=np.arange(5), defect_index=index, depth_mm=index
    )
    with pytest.raises(CorruptFileError, match="truth is contradictory"):
        read_sequence(tmp_path / "d.npz")
