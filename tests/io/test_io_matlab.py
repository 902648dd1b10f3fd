"""MATLAB files of both generations, made here and the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from thermo_qc.errors import (
    AmbiguousInputError,
    ConfigError,
    CorruptFileError,
    MissingFactError,
    UnknownNameError,
)
from thermo_qc.io import read_sequence

Save = Callable[[dict[str, Any]], Path]


def _cell(frames: list[np.ndarray], column: bool = False) -> np.ndarray:
    cell = np.empty((len(frames), 1) if column else (1, len(frames)), dtype=object)
    for index, frame in enumerate(frames):
        cell.flat[index] = frame
    return cell


def _save_5(path: Path, content: dict[str, Any]) -> None:
    scipy.io.savemat(path, content, do_compression=True)


def _save_73(path: Path, content: dict[str, Any]) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in content.items():
            _put(file, file, name, value)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def _put(file: h5py.File, group: h5py.Group, name: str, value: Any) -> None:
    if isinstance(value, dict):
        struct = group.create_group(name)
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, inner in value.items():
            _put(file, struct, key, inner)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        targets = file.require_group("#refs#")
        references = np.empty(value.T.shape, dtype=h5py.ref_dtype)
        for index, frame in enumerate(value.flat):
            references.flat[index] = targets.create_dataset(f"{name}{index}", data=frame.T).ref
        group.create_dataset(name, data=references).attrs["MATLAB_class"] = np.bytes_("cell")
    else:
        chunks = True if value.ndim == 3 else None
        group.create_dataset(name, data=value.T, chunks=chunks).attrs["MATLAB_class"] = np.bytes_("single")


@pytest.fixture(params=["5", "7.3"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    def write(content: dict[str, Any]) -> Path:
        {"5": _save_5, "7.3": _save_73}[request.param](tmp_path / "a.mat", content)
        return tmp_path / "a.mat"

    return write


@pytest.mark.parametrize("axes", ["yxt", "tyx", "xty"])
def test_array_with_named_axes(save: Save, frames: np.ndarray, axes: str) -> None:
    stored = np.transpose(frames, ["tyx".index(name) for name in axes])
    sequence = read_sequence(save({"imageArray": stored}), axes=axes, frame_rate_hz=10)
    np.testing.assert_array_equal(sequence.frames[:, :, :], frames)
    np.testing.assert_array_equal(sequence.frames[2, 1], frames[2, 1])
    assert sequence.frames.dtype == np.float32 and sequence.unit == "counts"


def test_array_without_axes_lists_the_readings(save: Save, frames: np.ndarray) -> None:
    path = save({"imageArray": np.moveaxis(frames, 0, -1)})
    message = (
        r"imageArray \(4 x 3 x 5\) does not say which axis is time; "
        r"give axes=yxt \(5 frames of 4 x 3\) or axes=tyx \(4 frames of 3 x 5\)"
    )
    with pytest.raises(MissingFactError, match=message):
        read_sequence(path, frame_rate_hz=1)


@pytest.mark.parametrize("column", [False, True])
def test_cell_of_frames_in_a_struct(save: Save, frames: np.ndarray, column: bool) -> None:
    path = save({"F1": {"images": _cell(list(frames), column)}})
    np.testing.assert_array_equal(read_sequence(path, frame_rate_hz=1).frames[:, :, :], frames)
    turned = read_sequence(path, frame_rate_hz=1, variable="F1.images", axes="txy")
    np.testing.assert_array_equal(turned.frames[:, :, :], np.moveaxis(frames, 1, 2))


def test_several_stacks_are_listed(save: Save, frames: np.ndarray) -> None:
    path = save({"F1": {"images": _cell(list(frames))}, "raw": frames, "mask": np.ones((4, 3))})
    with pytest.raises(AmbiguousInputError) as caught:
        read_sequence(path, frame_rate_hz=1)
    text = str(caught.value)
    assert "holds 2 stacks of frames; choose one with variable=NAME" in text
    assert "F1.images (cell of 5 frames 4 x 3)" in text and "raw (5 x 4 x 3)" in text and "mask" not in text
    assert read_sequence(path, variable="raw", axes="tyx", frame_rate_hz=1).n_frames == 5


def test_wrong_choices(save: Save, frames: np.ndarray) -> None:
    path = save({"F1": {"images": _cell(list(frames))}, "mask": np.ones((4, 3))})
    with pytest.raises(UnknownNameError, match=r"no variable 'F1\.image'; did you mean 'F1\.images'"):
        read_sequence(path, variable="F1.image", frame_rate_hz=1)
    with pytest.raises(CorruptFileError, match=r"mask is mask \(4 x 3\), expected three axes, or a cell of frames"):
        read_sequence(path, variable="mask", frame_rate_hz=1)
    with pytest.raises(
        ConfigError, match=r"axes is 'yxt', but F1\.images is a cell of frames; expected 'tyx' or 'txy'"
    ):
        read_sequence(path, axes="yxt", frame_rate_hz=1)


def test_file_without_frames(save: Save) -> None:
    with pytest.raises(CorruptFileError, match=r"without any \(variables: mask \(4 x 3\)\)"):
        read_sequence(save({"mask": np.ones((4, 3))}), frame_rate_hz=1)


def test_cell_with_a_frame_of_another_size(save: Save, frames: np.ndarray) -> None:
    path = save({"c": _cell([*frames[:2], frames[2, :3]])})
    with pytest.raises(
        CorruptFileError, match=r"c\{3\} is float32 of shape \(3, 3\), expected float32 of shape \(4, 3\)"
    ):
        read_sequence(path, frame_rate_hz=1)


def test_time_base_is_asked_for(save: Save, frames: np.ndarray) -> None:
    with pytest.raises(MissingFactError, match="no time base; give frame_rate_hz"):
        read_sequence(save({"c": _cell(list(frames))}))


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_truncated_file(save: Save, share: float) -> None:
    rng = np.random.default_rng(0)
    path = save({"c": rng.normal(size=(20, 20, 20))})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CorruptFileError, match=r"a\.mat: (element|HDF5 structure) is") as caught:
        read_sequence(path, axes="tyx", frame_rate_hz=1)
    assert "\n" not in str(caught.value)


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    _save_5(tmp_path / "a.mat", {"c": np.ones((3, 4, 5), complex)})
    with pytest.raises(CorruptFileError, match="c is of type complex128, expected real numbers"):
        read_sequence(tmp_path / "a.mat", axes="tyx", frame_rate_hz=1)


def test_text_and_empty_cells_are_no_frames(tmp_path: Path) -> None:
    content = {"name": "plate", "empty": _cell([]), "words": _cell([np.array("a"), np.array("b")])}
    _save_5(tmp_path / "a.mat", content)
    with pytest.raises(CorruptFileError, match="without any"):
        read_sequence(tmp_path / "a.mat", frame_rate_hz=1)


def test_links_in_a_73_file_are_refused(tmp_path: Path, frames: np.ndarray) -> None:
    _save_73(tmp_path / "a.mat", {"x": frames})
    with h5py.File(tmp_path / "a.mat", "a") as file:
        file["y"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(CorruptFileError, match="y is a link, expected inside the file"):
        read_sequence(tmp_path / "a.mat", axes="tyx", frame_rate_hz=1)


def test_a_cell_of_structs_in_a_73_file_is_refused(tmp_path: Path, frames: np.ndarray) -> None:
    _save_73(tmp_path / "a.mat", {"c": _cell(list(frames))})
    with h5py.File(tmp_path / "a.mat", "a") as file:
        references = file["c"][()]
        references.flat[3] = file.create_group("#refs#/struct").ref
        file["c"][...] = references
    with pytest.raises(CorruptFileError, match=r"c\{4\} is a struct or an empty cell, expected a matrix"):
        read_sequence(tmp_path / "a.mat", frame_rate_hz=1)


def test_real_recording(shared_file: Callable[[str], Path]) -> None:
    path = shared_file("real/cfrp_pulsed_60x105x120.mat")
    with pytest.raises(MissingFactError, match="frame_rate_hz"):
        read_sequence(path)
    sequence = read_sequence(path, frame_rate_hz=25)
    assert sequence.frames.shape == (60, 105, 120) and sequence.frames.dtype == np.uint8
    means = sequence.frames[:, :, :].mean(axis=(1, 2))
    assert means[0] > means[-1]  # it cools


def _plain_5(path: Path, name: str = "x", value: Any = None) -> bytearray:
    scipy.io.savemat(path, {name: np.arange(24.0).reshape(2, 3, 4) if value is None else value}, do_compression=False)
    return bytearray(path.read_bytes())


# Places in an uncompressed file with one variable of double numbers: tag at 128, flags 136, dimensions 152, name 176.
@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (126, b"XX", "header is b'XX', expected the byte order mark IM or MI"),
        (128, b"\x0d", r"variable is 13, expected data type 14 \(matrix\)"),
        (132, b"\xff\xff", "element is truncated after"),
        (136, b"\x05", r"array flags is different \(data type 5\)"),
        (152, b"\x06", r"dimensions is different \(data type 6\)"),
        (163, b"\xff", r"dimensions is \(-"),
        (160, b"\x05", r"values is 192 bytes, expected 480 bytes for shape \(5, 3, 4\)"),
        (176, b"\x02", r"array name is different \(data type 2\)"),
        (184, b"\x63", r"values is different \(data type 99\)"),
        (144, b"\x02", r"field names is different|length of field names is different"),
        (144, b"\x01", r"cell or field is different"),
    ],
)
def test_broken_tags_never_reach_the_compiled_reader(tmp_path: Path, place: int, value: bytes, message: str) -> None:
    content = _plain_5(tmp_path / "a.mat")
    content[place : place + len(value)] = value
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(CorruptFileError, match=message):
        read_sequence(tmp_path / "a.mat", axes="tyx", frame_rate_hz=1)


def test_other_classes_beside_the_frames_do_no_harm(tmp_path: Path, frames: np.ndarray) -> None:
    import scipy.sparse

    content = {
        "x": frames,
        "s": scipy.sparse.eye_array(4, format="csc"),
        "t": "text",
        "e": np.zeros((0, 0)),
        "b": np.array([True, False]),
        "z": np.array([1 + 2j, 3]),
        "i": np.int64(3),
        "structs": np.array([(1, "a"), (2, "b")], dtype=[("n", "O"), ("long_name", "O")]),
    }
    for compressed in (False, True):
        scipy.io.savemat(tmp_path / "a.mat", content, do_compression=compressed)
        assert read_sequence(tmp_path / "a.mat", axes="tyx", frame_rate_hz=1).n_frames == 5


def test_a_compressed_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("FREE_BYTES", "BOMB_BYTES"):
        monkeypatch.setattr(f"thermo_qc.io.lazy.{limit}", 10**5)
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.zeros((100, 50, 50))}, do_compression=True)
    with pytest.raises(CorruptFileError, match=r"compressed variable is .* stored bytes, expected at most 200 times"):
        read_sequence(tmp_path / "a.mat", axes="tyx", frame_rate_hz=1)
