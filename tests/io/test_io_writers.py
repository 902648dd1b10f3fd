"""Every written format gives back what was written, and nothing when it cannot be written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, CorruptFileError, OutputError, SequenceError
from thermo_qc.io import read_sequence, write_any, write_matlab, write_tiff
from thermo_qc.io.convert import WRITERS
from thermo_qc.io.tiff_frames import StridedFrames
from thermo_qc.sequence import Excitation, HistoryEntry, ThermalSequence

ENDINGS = sorted(WRITERS)
Same = Callable[[ThermalSequence, ThermalSequence], None]


@pytest.mark.parametrize("ending", ENDINGS)
def test_everything_comes_back(tmp_path: Path, full_sequence: ThermalSequence, assert_same: Same, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_any(full_sequence, path)
    again = read_sequence(path)
    assert_same(full_sequence, again)
    assert again.source is not None and again.source == full_sequence.source
    write_any(replace(full_sequence, truth=None), path)
    assert read_sequence(path).truth is None
    assert read_sequence(path, camera="by hand", frame_rate_hz=4).camera == "by hand"


@pytest.mark.parametrize("ending", ENDINGS)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_round_trip(tmp_path: Path, assert_same: Same, ending: str, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", ">u2", "int16", "int32", "float32", "float64"]))
    seed = data.draw(st.integers(0, 99))
    values = np.random.default_rng(seed).normal(50, 20, shape).astype(dtype)
    times = np.cumsum(data.draw(st.lists(st.floats(1e-4, 1e3), min_size=shape[0], max_size=shape[0])))
    sequence = ThermalSequence(
        frames=values,
        times_s=times - times[0] - data.draw(st.floats(0, 100)),
        unit=data.draw(st.sampled_from(["K", "degC", "counts"])),
        pixel_pitch_mm=data.draw(st.none() | st.floats(1e-3, 100)),
        emissivity=data.draw(st.none() | st.floats(0.01, 1)),
        camera=data.draw(st.text(max_size=8)),
        excitation=Excitation(kind="long_pulse", stop_s=data.draw(st.none() | st.floats(0, 100))),
        history=(HistoryEntry(step="x", parameters={"text": data.draw(st.text(max_size=5))}),),
    )
    write_any(sequence, tmp_path / f"a{ending}")
    assert_same(sequence, read_sequence(tmp_path / f"a{ending}"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_lazy_frames_are_copied_in_blocks(
    tmp_path: Path, full_sequence: ThermalSequence, assert_same: Same, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    write_any(full_sequence, tmp_path / "a.h5")
    lazy = read_sequence(tmp_path / "a.h5")
    assert lazy.is_lazy
    monkeypatch.setattr("thermo_qc.io.native_write.frame_blocks.__defaults__", ((1, 1, 1), 4 * 3 * 4 * 2))
    write_any(lazy, tmp_path / f"b{ending}")
    assert_same(full_sequence, read_sequence(tmp_path / f"b{ending}"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_whole_or_not_at_all(tmp_path: Path, full_sequence: ThermalSequence, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"old")
    bad = replace(full_sequence, history=(HistoryEntry(step="x", parameters={"array": np.ones(3)}),))
    with pytest.raises(SequenceError, match="metadata cannot be stored as JSON"):
        write_any(bad, path)

    class Broken:
        shape, dtype = (5, 4, 3), np.dtype(np.float32)

        def __getitem__(self, key: object) -> np.ndarray:
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device; free the disk"):
        write_any(replace(full_sequence, frames=Broken()), path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(("write", "name"), [(write_tiff, "a.tif"), (write_matlab, "a.mat")])
def test_types_without_a_name(
    tmp_path: Path, full_sequence: ThermalSequence, write: Callable[..., None], name: str
) -> None:
    with pytest.raises(OutputError, match=r"for frames of float16; write \.h5"):
        write(replace(full_sequence, frames=np.ones((5, 4, 3), np.float16)), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_unknown_ending(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    with pytest.raises(OutputError, match=r"expected one of \.h5, \.hdf5, \.npz, \.mat, \.tif, \.tiff"):
        write_any(full_sequence, tmp_path / "a.xyz")


def test_other_software_finds_the_facts_of_a_tiff(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    write_tiff(full_sequence, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.is_ome and len(tiff.series) == 3
        assert tiff.series[0].axes == "TYX"
        np.testing.assert_array_equal(tiff.series[0].asarray(), full_sequence.frames[:, :, :])
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"][0]["Pixels"]
    assert [plane["DeltaT"] for plane in pixels["Plane"]] == full_sequence.times_s.tolist()
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.7, "mm")


def test_large_tiff_is_a_bigtiff_and_mapped(
    tmp_path: Path, full_sequence: ThermalSequence, assert_same: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thermo_qc.io.tiff_write.CLASSIC_BYTES", 100)
    monkeypatch.setattr("thermo_qc.io.reader.LOAD_BYTES", 100)
    write_tiff(full_sequence, tmp_path / "a.tif")
    assert (tmp_path / "a.tif").read_bytes()[:4] == b"II+\0"
    again = read_sequence(tmp_path / "a.tif")
    assert isinstance(again.frames, StridedFrames)
    assert_same(full_sequence, again)


def test_matlab_file_is_read_lazily_and_by_name(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    path = tmp_path / "a.mat"
    write_matlab(full_sequence, path)
    assert path.read_bytes().startswith(b"MATLAB 7.3 MAT-file") and path.read_bytes()[124:128] == b"\0\2IM"
    assert read_sequence(path).is_lazy
    with h5py.File(path) as file:
        assert file["images"].shape == (5, 3, 4)  # MATLAB shows rows, columns, frames
        assert file["images"].attrs["MATLAB_class"] == b"single"
        assert bytes(file["unit"][:, 0].astype(np.uint8)) == b"degC"
        assert file["pixel_pitch_mm"][()] == [[0.7]]
        assert file["excitation/stop_s"][()] == [[1.5]]
    with pytest.raises(ConfigError, match="says itself what is what; leave variable and axes out"):
        read_sequence(path, axes="yxt")


@pytest.mark.parametrize("n_frames", [1, 5])
def test_matlab_may_save_it_again_as_version_5(
    tmp_path: Path, full_sequence: ThermalSequence, assert_same: Same, n_frames: int
) -> None:
    part = replace(full_sequence, frames=full_sequence.frames[:n_frames], times_s=full_sequence.times_s[:n_frames])
    write_matlab(part, tmp_path / "a.mat")
    with h5py.File(tmp_path / "a.mat") as file:
        content = {name: file[name][()].T for name in ("images", "times_s", "defect_index", "depth_mm")}
        content["thermo_qc"] = file["thermo_qc"][:, 0].astype("<u2").tobytes().decode("utf-16-le")
    content["images"] = content["images"][..., 0] if n_frames == 1 else content["images"]
    scipy.io.savemat(tmp_path / "b.mat", content, do_compression=True)
    assert_same(part, read_sequence(tmp_path / "b.mat"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thermo_qc": None}, "does not say which axis is time|stacks"),
        ({"thermo_qc": "{"}, "thermo_qc is broken, expected the JSON"),
        ({"thermo_qc": "{}"}, "metadata is different"),
        ({"times_s": [1.0, 2.0]}, "times_s is of shape"),
        ({"images": np.ones((3, 4))}, "images is incomplete"),
        ({"depth_mm": None}, "truth is incomplete"),
        ({"depth_mm": np.ones((2, 2))}, "truth is contradictory"),
    ],
)
def test_matlab_files_changed_afterwards(
    tmp_path: Path, full_sequence: ThermalSequence, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "a.mat"
    write_matlab(full_sequence, path)
    with h5py.File(path, "r+") as file:
        for name, value in change.items():
            del file[name]
            if isinstance(value, str):
                file[name] = np.frombuffer(value.encode("utf-16-le"), "<u2")[:, None]
            elif value is not None:
                file[name] = np.atleast_2d(value)
    with pytest.raises(Exception, match=message) as caught:
        read_sequence(path, frame_rate_hz=None)
    assert caught.type.__module__ == "thermo_qc.errors"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("&quot;times_s&quot;", "&quot;times_x&quot;", "annotation is broken"),
        ("&quot;number&quot;: 1", "&quot;number&quot;: 7", "truth is contradictory"),
        ('SizeT="5"', 'SizeT="9"', "SizeT is 9, expected at most the 7 pages"),
        ('Name="depth_mm"', 'Name="depth_xx"', "image depth_mm is 0 pages, expected one page"),
        ("<StructuredAnnotations>", "<StructuredAnnotationz>", "OME-XML is broken"),
    ],
)
def test_tiff_files_changed_afterwards(
    tmp_path: Path, full_sequence: ThermalSequence, old: str, new: str, message: str
) -> None:
    path = tmp_path / "a.tif"
    write_tiff(full_sequence, path)
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode(), 1))
    with pytest.raises(CorruptFileError, match=message):
        read_sequence(path)


def test_annotation_holds_the_facts_as_json(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    write_tiff(full_sequence, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        note = tifffile.xml2dict(tiff.ome_metadata)["OME"]["StructuredAnnotations"]["CommentAnnotation"]
    assert json.loads(note["Value"])["excitation"]["kind"] == "long_pulse"
