"""HDF5 files that are broken, hostile or of pyThermoNDT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from thermo_qc.errors import ConfigError, CorruptFileError, UnknownFormatError
from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.sequence import ThermalSequence

Write = Callable[..., Path]


def test_foreign_file_without_extras(write_hdf5: Write, frames: np.ndarray) -> None:
    sequence = read_sequence(write_hdf5())
    np.testing.assert_array_equal(sequence.frames[:, :, :], frames)
    np.testing.assert_array_equal(sequence.times_s, np.arange(5) * 0.5)
    assert sequence.unit == "counts" and sequence.truth is None and sequence.excitation.kind == "unknown"


def test_look_up_table_gives_kelvin(write_hdf5: Write) -> None:
    table = 290.0 + np.arange(60) / 7
    counts = np.arange(60, dtype=np.uint16).reshape(4, 3, 5)[::-1]
    path = write_hdf5(Data__Tdata=counts, MetaData__LookUpTable=table)
    sequence = read_sequence(path)
    assert sequence.unit == "K" and sequence.frames.dtype == np.float32
    np.testing.assert_array_equal(sequence.frames[:, :, :], np.moveaxis(table.astype(np.float32)[counts], -1, 0))


@pytest.mark.parametrize("counts", [np.full((4, 3, 5), 7, np.uint8), np.full((4, 3, 5), -1, np.int16)])
def test_index_outside_the_look_up_table(write_hdf5: Write, counts: np.ndarray) -> None:
    path = write_hdf5(Data__Tdata=counts, MetaData__LookUpTable=np.arange(7.0))
    with pytest.raises(CorruptFileError, match="indices of the 7 entries of /MetaData/LookUpTable"):
        read_sequence(path).loaded()


@pytest.mark.parametrize(
    ("signal", "kind", "start", "stop"),
    [
        ([0, 1, 0, 0, 0], "long_pulse", 0.5, 1.0),
        ([0, 1, 1, 1, 0], "long_pulse", 0.5, 2.0),
        ([0, 0, 1, 1, 1], "step", 1.0, None),
        ([1, 0, 1, 0, 1], "periodic", 0.0, None),
    ],
)
def test_excitation_signal_moves_time_zero(
    write_hdf5: Write, signal: list[float], kind: str, start: float, stop: float | None
) -> None:
    sequence = read_sequence(write_hdf5(MetaData__ExcitationSignal=np.array(signal, float)))
    np.testing.assert_allclose(sequence.times_s, np.arange(5) * 0.5 - start)
    assert (sequence.excitation.kind, sequence.excitation.start_s) == (kind, 0.0)
    assert sequence.excitation.stop_s == (None if stop is None else pytest.approx(stop - start))


def test_short_heating_is_a_flash(write_hdf5: Write) -> None:
    path = write_hdf5(
        MetaData__ExcitationSignal=np.array([0, 1, 0, 0, 0.0]), MetaData__DomainValues=np.arange(5) * 0.05
    )
    assert read_sequence(path).excitation.kind == "flash"


def test_milliseconds_and_units(write_hdf5: Write) -> None:
    path = write_hdf5()
    with h5py.File(path, "a") as file:
        file["/MetaData/DomainValues"].attrs["Unit"] = json.dumps(
            {"name": "millisecond", "quantity": "time", "symbol": "ms"}
        )
        file["/Data/Tdata"].attrs["Unit"] = json.dumps({"name": "celsius", "quantity": "temperature", "symbol": "C"})
    sequence = read_sequence(path)
    assert sequence.unit == "degC"
    np.testing.assert_allclose(sequence.times_s, np.arange(5) * 0.5e-3)


def test_spectra_are_refused(write_hdf5: Write) -> None:
    path = write_hdf5()
    with h5py.File(path, "a") as file:
        file["/MetaData/DomainValues"].attrs["Unit"] = json.dumps({"name": "hertz"})
    with pytest.raises(CorruptFileError, match="in unit 'hertz', expected times in seconds"):
        read_sequence(path)


def test_255_is_a_defect_and_labels_have_names(write_hdf5: Write) -> None:
    mask = np.array([[255, 0, 9], [0, 0, 9], [0, 0, 0], [255, 255, 0]], np.uint8)
    path = write_hdf5(GroundTruth__DefectMask=mask)
    with h5py.File(path, "a") as file:
        file["/GroundTruth/DefectMask"].attrs["LabelIds"] = json.dumps({"Backwall": 9, "Inclusion": 255, "Air": 0})
    truth = read_sequence(path).truth
    assert truth is not None
    np.testing.assert_array_equal(truth.defect_index, [[1, 0, 0], [0, 0, 0], [0, 0, 0], [2, 2, 0]])
    assert [defect.name for defect in truth.defects] == ["Inclusion.1", "Inclusion.2"]


def _fem(write_hdf5: Write, rows: Any) -> Path:
    path = write_hdf5(GroundTruth__DefectMask=np.eye(4, 3, dtype=np.uint8))
    with h5py.File(path, "a") as file:
        file["/MetaData"].attrs["SimulationParameter"] = json.dumps(json.dumps(rows))
    return path


def test_parameters_of_a_simulation_are_facts(write_hdf5: Write) -> None:
    values = {"ds_lat": 2e-4, "th_mat": 3.8e-3, "dp_def": 1.25e-3, "t_p0": 0.25, "t_p": 0.02, "P_p": 5e4}
    values |= {"k1_mat": 8.0, "k2_mat": 2.0, "k3_mat": 0.5, "rho_mat": 1500.0, "cp_mat": 750.0}
    sequence = read_sequence(
        _fem(write_hdf5, [["Name"], *([name, "", "", value, ""] for name, value in values.items())])
    )
    assert (sequence.pixel_pitch_mm, sequence.thickness_mm) == (0.2, 3.8)
    assert sequence.material is not None and sequence.truth is not None
    assert sequence.material.conductivities_in_plane_w_mk == (8.0, 2.0)
    assert [defect.depth_mm for defect in sequence.truth.defects] == [1.25]
    assert sequence.times_s[0] == -0.25 and sequence.excitation.kind == "flash"
    assert sequence.excitation.stop_s == pytest.approx(0.02)
    assert sequence.excitation.flux_w_m2 == 5e4


def test_strange_parameters_of_a_simulation_are_left_alone(write_hdf5: Write) -> None:
    sequence = read_sequence(_fem(write_hdf5, {"th_mat": [1]}))
    assert sequence.thickness_mm is None


def _change(path: Path, change: Callable[[h5py.File], None]) -> Path:
    with h5py.File(path, "a") as file:
        change(file)
    return path


def _external_link(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    file["/Data/Tdata"] = h5py.ExternalLink("elsewhere.h5", "/x")


def _hidden_external_link(file: h5py.File) -> None:
    file["elsewhere"] = h5py.ExternalLink("elsewhere.h5", "/x")
    del file["/MetaData"]
    file["/MetaData"] = h5py.SoftLink("/elsewhere")


def _dangling(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    file["/Data/Tdata"] = h5py.SoftLink("/nowhere")


def _external_storage(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    file.create_dataset("/Data/Tdata", (4, 3, 5), "f4", external=[("raw.bin", 0, 240)])


def _virtual(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    layout = h5py.VirtualLayout((4, 3, 5), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "d", (4, 3, 5))
    file.create_virtual_dataset("/Data/Tdata", layout)


def _objects(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    file.create_dataset("/Data/Tdata", (4, 3, 5), dtype=h5py.vlen_dtype(np.uint8))


def _strings(file: h5py.File) -> None:
    del file["/MetaData/DomainValues"]
    file.create_dataset("/MetaData/DomainValues", data=["0", "1", "2", "3", "4"], dtype=h5py.string_dtype())


def _group(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    file.create_group("/Data/Tdata")


def _plane(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    file["/Data/Tdata"] = np.zeros((4, 3))


def _nan(file: h5py.File) -> None:
    file["/Data/Tdata"][...] = np.nan


def _huge(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    file.create_dataset("/Data/Tdata", (4000, 3000, 50000), "f4", chunks=(100, 100, 10), compression="gzip")


def _huge_chunk(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    file.create_dataset("/Data/Tdata", (4000, 3000, 20), "f4", chunks=(4000, 3000, 20), compression="gzip")


def _times_missing_one(file: h5py.File) -> None:
    del file["/MetaData/DomainValues"]
    file["/MetaData/DomainValues"] = np.arange(4.0)


def _times_back(file: h5py.File) -> None:
    file["/MetaData/DomainValues"][3] = 0.1


def _bad_table(file: h5py.File) -> None:
    del file["/Data/Tdata"]
    file["/Data/Tdata"] = np.zeros((4, 3, 5), np.uint8)
    file["/MetaData/LookUpTable"] = np.zeros((2, 2))


def _bad_json(file: h5py.File) -> None:
    file["/MetaData"].attrs["ThermoQC"] = "{"


def _bad_metadata(file: h5py.File) -> None:
    file["/MetaData"].attrs["ThermoQC"] = json.dumps({"unit": "K", "excitation": {"colour": 1}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_external_link, "/Data/Tdata is a link, expected stored in its place; copy the data into the file"),
        (_dangling, "/Data/Tdata is a link"),
        (_hidden_external_link, "/MetaData/DomainValues is a link"),
        (_external_storage, "is stored in other files"),
        (_virtual, "is stored in other files"),
        (_objects, "/Data/Tdata is of type object, expected plain numbers"),
        (_strings, "/MetaData/DomainValues is of type object, expected plain numbers"),
        (_group, "/Data/Tdata is a group, expected a dataset"),
        (_plane, r"of shape \(4, 3\), expected three non-empty axes"),
        (_nan, "NaN or infinite everywhere"),
        (_huge, r"2235 GiB from 0 stored bytes"),
        (_huge_chunk, "chunks of at most 512 MiB"),
        (_times_missing_one, r"DomainValues is of shape \(4,\), expected one time for each of 5 frames; give times_s"),
        (_times_back, "DomainValues is not increasing or not finite"),
        (_bad_table, "LookUpTable is float64 of shape"),
        (_bad_json, "attribute ThermoQC is '{', expected JSON"),
        (_bad_metadata, "metadata is different"),
    ],
)
def test_broken_and_hostile_files(write_hdf5: Write, change: Callable[[h5py.File], None], message: str) -> None:
    with pytest.raises(CorruptFileError, match=message) as caught:
        read_sequence(_change(write_hdf5(), change))
    assert "\n" not in str(caught.value)


def test_unknown_filter_is_named(write_hdf5: Write) -> None:
    def change(file: h5py.File) -> None:
        del file["/Data/Tdata"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4, 3, 5))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((4, 3, 5))
        h5py.h5d.create(file["/Data"].id, b"Tdata", h5py.h5t.IEEE_F32LE, space, plist)

    with pytest.raises(CorruptFileError, match=r"compressed with filter 32015.*write it again with gzip"):
        read_sequence(_change(write_hdf5(), change))


def test_hdf5_of_something_else(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(UnknownFormatError, match=r"is an HDF5 file without /Data/Tdata; save it as \.npz"):
        read_sequence(tmp_path / "a.h5")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_file(tmp_path: Path, full_sequence: ThermalSequence, share: float) -> None:
    path = tmp_path / "a.h5"
    write_sequence(full_sequence, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CorruptFileError, match=r"HDF5 structure is (truncated|broken)"):
        read_sequence(path)


def test_flipped_bytes_in_compressed_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stack = rng.normal(size=(32, 32, 32))
    path = tmp_path / "a.h5"
    write_sequence(ThermalSequence(frames=stack, times_s=np.arange(32.0), unit="K"), path, compression="gzip")
    with h5py.File(path) as file:
        info = file["/Data/Tdata"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    middle = info.byte_offset + info.size // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="frames is broken"):
        read_sequence(path).loaded()


@pytest.mark.parametrize("name", ["DefectMask", "Valid", "DepthMap"])
def test_own_truth_must_be_complete(tmp_path: Path, full_sequence: ThermalSequence, name: str) -> None:
    path = tmp_path / "a.h5"
    write_sequence(full_sequence, path)
    with h5py.File(path, "a") as file:
        del file[f"/GroundTruth/{name}"]
    with pytest.raises(CorruptFileError, match="/GroundTruth is incomplete"):
        read_sequence(path)


def test_own_truth_must_agree_with_its_table(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    path = tmp_path / "a.h5"
    write_sequence(full_sequence, path)
    with h5py.File(path, "a") as file:
        file["/GroundTruth"].attrs["Defects"] = json.dumps([{"number": 1}])
    with pytest.raises(CorruptFileError, match=r"contradictory \(defects \[2\] are on the map but not in the list"):
        read_sequence(path)


@pytest.mark.parametrize("option", [{"variable": "x"}, {"axes": "tyx"}])
def test_layout_options_are_refused_not_ignored(write_hdf5: Write, option: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="the native HDF5 format has no use for"):
        read_sequence(write_hdf5(), **option)


@pytest.mark.parametrize(("name", "pulse_s", "thickness_mm"), [("1.3mm_ellipse", 0.02, 1.3), ("3.8mm_rect", 0.02, 3.8)])
def test_finite_element_files(
    shared_file: Callable[[str], Path], name: str, pulse_s: float, thickness_mm: float
) -> None:
    sequence = read_sequence(shared_file(f"fem/cfrp_{name}_inclusion.hdf5"))
    assert sequence.frames.shape == (1000, 100, 100) and sequence.unit == "K" and sequence.is_lazy
    assert (sequence.pixel_pitch_mm, sequence.thickness_mm) == (0.2, thickness_mm)
    assert sequence.excitation.stop_s == pytest.approx(pulse_s) and sequence.times_s[0] < 0 < sequence.times_s[1]
    # Cold at 20 degC before the pulse; the adiabatic rise after it is below 1 K.
    np.testing.assert_allclose(sequence.frames[0], 293.15, atol=1e-3)
    assert 0.5 < np.median(sequence.frames[-1]) - 293.15 < 1.2
    assert sequence.truth is not None and len(sequence.truth.defects) == 1
    assert 0 < (sequence.truth.defect_index == 1).mean() < 0.5
