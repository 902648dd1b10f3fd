from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thermo_qc.errors import CorruptFileError, InputError, OutputError, UnknownFormatError
from thermo_qc.inspection import DefectMap, read_defect_map, read_stored_map, write_defect_map

SHAPE = (5, 7)


def make_map(**changes: object) -> DefectMap:
    rng = np.random.default_rng(0)
    parts: dict[str, object] = {
        "class_map": rng.integers(0, 3, SHAPE).astype(np.uint8),
        "probability": rng.random((3, *SHAPE)).astype(np.float32),
        "depth_mm": np.where(rng.random(SHAPE) > 0.5, 2.5, np.nan).astype(np.float32),
        "class_names": ("sound", "3 mm, naïve", "deep"),
        "pixel_pitch_mm": 1.5,
        "model_sha256": ("aa", "bb"),
        "input_sha256": "cc",
    }
    return DefectMap(**{**parts, **changes})  # type: ignore[arg-type]


def equal(first: DefectMap, second: DefectMap) -> bool:
    arrays = all(
        np.array_equal(getattr(first, name), getattr(second, name), equal_nan=name != "class_map")
        and getattr(first, name).dtype == getattr(second, name).dtype
        for name in ("class_map", "probability", "depth_mm")
    )
    facts = ("class_names", "pixel_pitch_mm", "model_sha256", "input_sha256")
    return arrays and all(getattr(first, name) == getattr(second, name) for name in facts)


@given(
    class_map=hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 255])),
    depth=hnp.arrays(np.float32, SHAPE, elements=st.floats(0, 20, width=32) | st.just(np.nan)),
    pitch=st.none() | st.floats(0.1, 10),
)
@settings(deadline=None, max_examples=10)
def test_what_is_written_is_read(tmp_path_factory, class_map, depth, pitch):
    path = tmp_path_factory.mktemp("maps") / "map.h5"
    original = make_map(class_map=class_map, depth_mm=depth, pixel_pitch_mm=pitch)
    write_defect_map(original, path)
    assert equal(read_defect_map(path), original)


def test_everything_beside_the_map_comes_back(tmp_path):
    rng = np.random.default_rng(1)
    parts = {
        "truth_class_map": rng.integers(0, 3, SHAPE).astype(np.uint8),
        "truth_depth_mm": rng.random(SHAPE).astype(np.float32),
        "truth_defect_index": rng.integers(-1, 9, SHAPE).astype(np.int16),
        "frame": rng.random(SHAPE).astype(np.float64),
        "fold": rng.integers(-1, 3, SHAPE).astype(np.int8),
    }
    write_defect_map(make_map(), tmp_path / "a.h5", frame_time_s=12.5, extra_attributes={"run": "x", "n": 3}, **parts)
    stored = read_stored_map(tmp_path / "a.h5")
    for name, values in parts.items():
        assert getattr(stored, name) == pytest.approx(values)
    assert stored.frame_time_s == 12.5
    assert stored.attributes == {"run": "x", "n": 3}
    with h5py.File(tmp_path / "a.h5") as file:
        assert {"class_map", "probability", "depth_mm", "frame", "fold", "truth/class_map"} <= {
            *file,
            "truth/class_map",
        }
        assert file["truth/defect_index"].dtype == np.int16
        assert json.loads(file.attrs["class_names"])[1] == "3 mm, naïve"
        assert file["frame"].attrs["time_s"] == 12.5
    write_defect_map(make_map(), tmp_path / "b.h5")
    plain = read_stored_map(tmp_path / "b.h5")
    assert plain.frame is None and plain.fold is None and plain.truth_class_map is None and plain.frame_time_s is None


def test_wrong_shapes_and_names_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="frame has shape"):
        write_defect_map(make_map(), tmp_path / "a.h5", frame=np.zeros((2, 2)))
    with pytest.raises(OutputError, match="'class_names' belongs to the defect map"):
        write_defect_map(make_map(), tmp_path / "a.h5", extra_attributes={"class_names": "x"})
    assert list(tmp_path.iterdir()) == []


def test_a_map_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_defect_map(make_map(), tmp_path / "a.h5")
    with pytest.raises(OutputError):
        write_defect_map(make_map(), tmp_path / "a.h5" / "b.h5")
    with pytest.raises(TypeError):
        write_defect_map(make_map(input_sha256="new"), tmp_path / "a.h5", extra_attributes={"x": object()})  # type: ignore[dict-item]
    assert read_defect_map(tmp_path / "a.h5").input_sha256 == "cc"
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_files_that_are_no_maps_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist or is no file"):
        read_defect_map(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(UnknownFormatError, match="is no HDF5 file"):
        read_defect_map(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(UnknownFormatError, match="no defect map of thermo_qc"):
        read_defect_map(tmp_path / "other.h5")


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.pop("probability"),
        lambda file: file.attrs.pop("class_names"),
        lambda file: file.attrs.update(class_names="{broken"),
        lambda file: file.attrs.update(class_names='["sound"]'),
        lambda file: file.attrs.update(pixel_pitch_mm="wide"),
        lambda file: (file.pop("class_map"), file.create_dataset("class_map", data=np.zeros((2, 2), np.uint8))),
    ],
)
def test_damaged_maps_are_refused(tmp_path, damage):
    write_defect_map(make_map(), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        damage(file)
    with pytest.raises(CorruptFileError, match="predict again"):
        read_defect_map(tmp_path / "a.h5")


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_truncated_maps_are_refused(tmp_path, keep):
    write_defect_map(make_map(), tmp_path / "a.h5")
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=r"a\.h5"):
        read_defect_map(tmp_path / "a.h5")
