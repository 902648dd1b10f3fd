"""The native HDF5 file: round trip, laziness, and what other programs find in it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermo_qc.errors import InputError, OutputError, SequenceError
from thermo_qc.io import read_sequence, write_any, write_npz, write_sequence
from thermo_qc.io.native_write import frame_blocks
from thermo_qc.sequence import Defect, Excitation, HistoryEntry, Material, Source, ThermalSequence, Truth

Same = Callable[[ThermalSequence, ThermalSequence], None]

positive = st.floats(1e-6, 1e6)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def truths(draw: st.DrawFn, shape: tuple[int, int]) -> Truth:
    index = draw(hnp.arrays(np.int16, shape, elements=st.integers(-1, 3)))
    depth = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 10, width=32) | st.just(float("nan"))))
    optional = st.none() | positive
    defects = tuple(
        Defect(
            number=number,
            depth_mm=draw(optional),
            diameter_mm=draw(optional),
            name=draw(text),
            peak_contrast_k=draw(optional),
        )
        for number in (1, 2, 3)
    )
    return Truth(defect_index=index, depth_mm=depth, defects=defects)


@st.composite
def sequences(draw: st.DrawFn) -> ThermalSequence:
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=5))
    dtype = draw(st.sampled_from(["u1", "<i2", ">u2", "<f2", "<f4", ">f4", "<f8", "<i8"]))
    elements = {"elements": st.floats(-100, 100, width=16)} if "f" in dtype else {}
    frames = draw(hnp.arrays(dtype, shape, **elements))
    steps = draw(st.lists(st.floats(0.01, 10), min_size=shape[0], max_size=shape[0]))
    start = draw(st.floats(-5, 5))
    material = Material(
        name=draw(text),
        conductivity_through_w_mk=draw(positive),
        conductivity_in_plane_w_mk=draw(positive),
        density_kg_m3=draw(positive),
        heat_capacity_j_kgk=draw(positive),
    )
    history = draw(st.lists(st.tuples(text, st.dictionaries(text, json_values, max_size=2)), max_size=2))
    optional = st.none() | positive
    return ThermalSequence(
        frames=frames,
        times_s=start + np.cumsum(steps),
        unit=draw(st.sampled_from(["K", "degC", "counts"])),
        pixel_pitch_mm=draw(optional),
        excitation=Excitation(
            kind=draw(st.sampled_from(["flash", "long_pulse", "step", "periodic", "unknown"])),
            start_s=start,
            stop_s=draw(st.none() | st.floats(6, 9)),
            flux_w_m2=draw(optional),
            frequency_hz=draw(optional),
        ),
        ambient_c=draw(st.none() | st.floats(-50, 100)),
        emissivity=draw(st.none() | st.floats(0.01, 1)),
        thickness_mm=draw(optional),
        netd_k=draw(optional),
        material=draw(st.none() | st.just(material)),
        camera=draw(text),
        specimen_id=draw(text),
        acquisition_id=draw(text),
        source=Source(path=draw(text), sha256="0" * 64, format_name=draw(text)),
        history=tuple(HistoryEntry(step=step, parameters=parameters) for step, parameters in history),
        truth=draw(st.none() | truths((shape[1], shape[2]))),
    )


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(sequence=sequences(), writer=st.sampled_from(["plain", "gzip", "lzf", "npz"]))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, assert_same: Same, sequence: ThermalSequence, writer: str
) -> None:
    path = tmp_path_factory.mktemp("trip") / ("a.npz" if writer == "npz" else "a.h5")
    if writer == "npz":
        write_npz(sequence, path, compressed=True)
    else:
        write_sequence(sequence, path, compression=None if writer == "plain" else writer)  # type: ignore[arg-type]
    result = read_sequence(path)
    assert_same(result, sequence)
    assert result.source == sequence.source


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.npz"])
def test_every_field_survives(tmp_path: Path, full_sequence: ThermalSequence, assert_same: Same, name: str) -> None:
    write_any(full_sequence, tmp_path / name)
    result = read_sequence(tmp_path / name)
    assert_same(result, full_sequence)
    assert result.source == full_sequence.source


def test_source_is_the_file_when_the_sequence_has_none(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    write_sequence(replace(full_sequence, source=None), tmp_path / "a.h5")
    source = read_sequence(tmp_path / "a.h5").source
    assert source is not None
    assert (source.path, len(source.sha256), source.format_name) == ("a.h5", 64, "HDF5 of thermo_qc or pyThermoNDT")


def test_frames_stay_in_the_file_and_index_like_an_array(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    stack = rng.normal(size=(70, 40, 35)).astype(np.float32)
    path = tmp_path / "a.h5"
    write_sequence(ThermalSequence(frames=stack, times_s=np.arange(70.0), unit="K"), path, compression="gzip")
    sequence = read_sequence(path)
    lazy: Any = sequence.frames
    assert sequence.is_lazy and lazy.ndim == 3 and len(lazy) == 70 and lazy.nbytes == stack.nbytes
    keys: list[Any] = [
        np.s_[3],
        np.s_[-1, :, :],
        np.s_[:, 5:9, 30:],
        np.s_[::7, ::-3, 4],
        np.s_[..., 2],
        np.s_[2:2],
        np.s_[np.int64(4), 1, 2],
        np.s_[1, ...],
        np.s_[60:10:-9],
        np.s_[100:, 1],
    ]
    for key in keys:
        np.testing.assert_array_equal(lazy[key], stack[key])
        assert lazy[key].shape == stack[key].shape
    for index in range(70):
        np.testing.assert_array_equal(lazy[index], stack[index])
    np.testing.assert_array_equal(np.asarray(lazy), stack)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy))[69], stack[69])
    assert not sequence.loaded().is_lazy


def test_a_frame_may_be_changed_without_changing_the_next_read(
    tmp_path: Path, full_sequence: ThermalSequence, frames: np.ndarray
) -> None:
    write_sequence(full_sequence, tmp_path / "a.h5")
    lazy = read_sequence(tmp_path / "a.h5").frames
    lazy[2][:] = -1
    np.testing.assert_array_equal(lazy[2], frames[2])


@pytest.mark.parametrize("key", [np.s_[5], np.s_[0, 4], np.s_[0, 0, -4], np.s_[0, 0, 0, 0], [0, 1], True])
def test_impossible_indices_are_index_errors(tmp_path: Path, full_sequence: ThermalSequence, key: Any) -> None:
    write_sequence(full_sequence, tmp_path / "a.h5")
    with pytest.raises(IndexError):
        read_sequence(tmp_path / "a.h5").frames[key]


def test_a_file_that_changes_after_opening_is_noticed(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    path = tmp_path / "a.h5"
    write_sequence(full_sequence, path)
    sequence = read_sequence(path)
    write_sequence(full_sequence.crop(slice(0, 2), slice(0, 2)), path)
    with pytest.raises(InputError, match="has changed or is gone since it was opened; read it again"):
        sequence.loaded()
    path.unlink()
    with pytest.raises(InputError, match="has changed or is gone"):
        sequence.loaded()


class CountingFrames:
    """Frames that are made when asked for and remember the largest block."""

    shape = (300, 96, 128)
    dtype = np.dtype(np.float64)
    largest = 0

    def __getitem__(self, key: tuple[slice, slice, slice]) -> np.ndarray:
        t, y, x = (np.arange(length)[part] for length, part in zip(self.shape, key, strict=True))
        self.largest = max(self.largest, t.size * y.size * x.size * 8)
        return np.asarray(t[:, None, None] * 1e6 + y[:, None] * 1e3 + x, dtype=np.float64)


@pytest.mark.parametrize("name", ["a.h5", "a.npz"])
def test_lazy_frames_are_written_in_bounded_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(frame_blocks, "__defaults__", ((1, 1, 1), 2**21))
    source = CountingFrames()
    sequence = ThermalSequence(frames=source, times_s=np.arange(300.0), unit="K")
    source.largest = 0
    write_any(sequence, tmp_path / name)
    assert 0 < source.largest <= 8 * 32 * 32 * 128 + 2**21
    frames = read_sequence(tmp_path / name).frames
    assert frames[299, 95, 127] == 299_095_127
    assert frames[31, 33, 32] == 31_033_032


@pytest.mark.parametrize("shape", [(1, 1, 1), (100, 70, 50), (33, 1000, 3), (1000, 1, 1)])
def test_blocks_cover_every_frame_and_row_once(shape: tuple[int, int, int]) -> None:
    hits = np.zeros(shape, dtype=int)
    for time, rows in frame_blocks(hits, (min(32, shape[0]), min(32, shape[1]), 32), 2**18):
        hits[time, rows] += 1
    assert (hits == 1).all()


def test_other_programs_find_pythermondt_paths_and_nxdata(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    write_sequence(full_sequence, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        data = file["/Data/Tdata"]
        assert data.shape == (4, 3, 5)
        assert json.loads(data.attrs["Unit"])["name"] == "celsius"
        np.testing.assert_array_equal(file["/MetaData/DomainValues"], full_sequence.times_s)
        np.testing.assert_array_equal(file["/MetaData/ExcitationSignal"], [0, 1, 1, 0, 0])
        np.testing.assert_array_equal(file["/GroundTruth/DefectMask"], np.maximum(full_sequence.truth.defect_index, 0))
        assert json.loads(file["/GroundTruth/DefectMask"].attrs["LabelIds"]) == {"sound": 0, "1 A1": 1, "2": 2}
        group = file["/" + file.attrs["default"]]
        assert (group.attrs["NX_class"], group.attrs["signal"]) == ("NXdata", "Tdata")
        assert [group[name].shape[0] for name in group.attrs["axes"]] == list(data.shape)
        np.testing.assert_allclose(group["x"], [0.35, 1.05, 1.75])
        assert group["x"].attrs["units"] == "mm"
        kinds: list[str] = []
        file.visititems(lambda _, node: kinds.append(node.dtype.kind) if isinstance(node, h5py.Dataset) else None)
        assert set(kinds) <= set("fiu")  # pyThermoNDT turns every dataset into a tensor


def test_unknown_compression_extension_and_history_are_refused(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    with pytest.raises(OutputError, match="compression is 'zip', expected None, 'gzip' or 'lzf'"):
        write_sequence(full_sequence, tmp_path / "a.h5", compression="zip")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match=r"expected one of \.h5, \.hdf5, \.npz"):
        write_any(full_sequence, tmp_path / "a.xyz")
    strange = replace(full_sequence, history=(HistoryEntry(step="x", parameters={"a": object()}),))
    for writer in (write_sequence, write_npz):
        with pytest.raises(SequenceError, match="keep JSON types in history parameters"):
            writer(strange, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_in_the_source_leaves_the_old_file(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    path, other = tmp_path / "a.h5", tmp_path / "b.h5"
    write_sequence(full_sequence, path)
    before = path.read_bytes()
    write_sequence(full_sequence, other)
    lazy = read_sequence(other)
    other.unlink()
    with pytest.raises(InputError, match="has changed or is gone"):
        write_sequence(lazy, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
