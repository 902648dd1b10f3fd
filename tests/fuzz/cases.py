"""One small recording, or file beside one, for every reader: how it is written, damaged and opened."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _folders  # noqa: F401
import flir_bytes as flir
import h5py
import imagecodecs
import numpy as np
import scipy.io
import tifffile
from mutations import number_places
from ptw_irb_files import irb_bytes, kelvin_palette, plain_hcc, ptw_bytes

from thermo_qc.io import (
    load_entry,
    load_manifest,
    read_homography,
    read_lockin_map,
    read_region,
    read_sequence,
    read_truth,
    write_any,
)
from thermo_qc.io.native_write import write_sequence
from thermo_qc.sequence import Defect, Excitation, HistoryEntry, Material, Source, ThermalSequence, Truth

T, Y, X = 3, 6, 8
COUNTS = (np.arange(T * Y * X).reshape(T, Y, X) * 613 % 65280).astype(np.uint16)
FRAMES = (20 + COUNTS / 8192).astype(np.float32)
RATE = {"frame_rate_hz": 10.0}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One seed.

    `make(folder)` writes it and returns the file that is damaged; `finish` turns the damaged payload into a file
    (checksums, compression); `use(file)` opens it and reads a frame and some curves. `files` is the length of the long
    run, at least 20,000 for all seeds of a reader together.
    """

    name: str
    make: Callable[[Path], Path]
    use: Callable[[Path], object]
    places: Callable[[bytes], Sequence[int]] = lambda content: ()
    finish: Callable[[bytes], bytes] = bytes
    payload: Callable[[bytes], bytes] = bytes
    text: bool = False
    needs: str = ""
    memory_bytes: int = 48 * 2**20
    files: int = 20_000


def _recording(of_folder: bool = False, **options: Any) -> Callable[[Path], object]:
    def use(file: Path) -> object:
        sequence = read_sequence(file.parent if of_folder else file, **options)
        read_parts(sequence)
        return sequence

    return use


def read_parts(sequence: ThermalSequence) -> None:
    """Decode a frame and two blocks of curves."""
    frames = sequence.frames
    frames[0]
    frames[-1, 1:3, 2:5]
    frames[:, -1, -1]
    frames[:, :2, :3]


def _file(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content())
        return folder / name

    return make


# ---------------------------------------------------------------------------------------------------- HDF5


def sequence_of_everything() -> ThermalSequence:
    """A sequence in which every field is set."""
    index = np.zeros((Y, X), np.int16)
    index[1:3, 2:4], index[4, 5], index[5, :2] = 1, 2, -1
    depth = np.where(index == 1, 1.25, np.nan).astype(np.float32)
    defects = (Defect(number=1, depth_mm=1.25, diameter_mm=7.85, name="A1", peak_contrast_k=0.125), Defect(number=2))
    return ThermalSequence(
        frames=FRAMES,
        times_s=np.array([-1.0, 0.5, 2.0]),
        unit="degC",
        pixel_pitch_mm=0.7,
        excitation=Excitation(kind="long_pulse", stop_s=1.5, flux_w_m2=900.0, frequency_hz=0.1),
        ambient_c=22.5,
        emissivity=0.95,
        thickness_mm=17.0,
        netd_k=0.025,
        material=Material(
            name="GFRP",
            conductivity_through_w_mk=0.3,
            conductivity_in_plane_w_mk=0.4,
            density_kg_m3=1900.0,
            heat_capacity_j_kgk=1000.0,
        ),
        camera="LWIR 640",
        specimen_id="plate 7",
        acquisition_id="a-1",
        source=Source(path="orig.seq", sha256="ab" * 32, format_name="X"),
        history=(HistoryEntry(step="crop", parameters={"rows": [0, 4], "note": None}),),
        truth=Truth(defect_index=index, depth_mm=depth, defects=defects),
    )


def _native(compression: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_sequence(sequence_of_everything(), folder / "a.h5", compression=compression)
        return folder / "a.h5"

    return make


def _pythermondt(folder: Path) -> Path:
    parameters = [["t_p0", "0", "", 0.1, "s"], ["t_p", "0", "", 0.05, "s"], ["ds_lat", "0", "", 2e-4, "m"]]
    with h5py.File(folder / "a.hdf5", "w") as file:
        file.create_dataset("/Data/Tdata", data=np.moveaxis(COUNTS % 64, 0, -1), chunks=(Y, X, 1), compression="gzip")
        file["/Data/Tdata"].attrs["Unit"] = json.dumps({"name": "kelvin"})
        file["/MetaData/DomainValues"] = np.arange(T) * 0.1
        file["/MetaData/ExcitationSignal"] = np.array([0, 1, 0])
        file["/MetaData/LookUpTable"] = 290.0 + np.arange(64) / 7
        file["/MetaData"].attrs["SimulationParameter"] = json.dumps(json.dumps(parameters))
        file["/GroundTruth/DefectMask"] = (COUNTS[0] % 3).astype(np.uint8)
        file["/GroundTruth/DefectMask"].attrs["LabelIds"] = json.dumps({"backwall": 0, "hole": 1})
    return folder / "a.hdf5"


def _latest(folder: Path) -> Path:
    with h5py.File(folder / "a.h5", "w", libver="latest") as file:
        options = {
            "chunks": (4, 4, 2),
            "shuffle": True,
            "fletcher32": True,
            "compression": "lzf",
            "maxshape": (None,) * 3,
        }
        file.create_dataset("/Data/Tdata", data=np.moveaxis(FRAMES, 0, -1), **options)
        file["/MetaData/DomainValues"] = np.arange(T) * 0.1
        for number in range(12):
            file["/MetaData"].attrs[f"note{number}"] = "x" * number
    return folder / "a.h5"


def _matlab73(write: Callable[[h5py.File], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "a.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            write(file)
        with path.open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
        return path

    return make


def _array_73(file: h5py.File) -> None:
    file.create_dataset("x", data=FRAMES.astype("f8"), chunks=(1, Y, X), compression="gzip").attrs["MATLAB_class"] = (
        np.bytes_("double")
    )


def _cell_73(file: h5py.File) -> None:
    refs = file.create_group("#refs#")
    cell = file.create_group("s").create_dataset("x", (T, 1), h5py.ref_dtype)
    for number in range(T):
        cell[number, 0] = refs.create_dataset("abc"[number], data=COUNTS[number].T).ref


# ---------------------------------------------------------------------------------------------------- MATLAB 5, NumPy


def _matlab5(variables: dict[str, Any], compressed: bool = False) -> Callable[[], bytes]:
    def content() -> bytes:
        memory = io.BytesIO()
        scipy.io.savemat(memory, variables, do_compression=compressed)
        return memory.getvalue()

    return content


def deflated_variables(content: bytes) -> bytes:
    """A MATLAB 5 file whose one variable is compressed whatever it holds."""
    packed = zlib.compress(content[128:], 1)
    return content[:128] + struct.pack("<2I", 15, len(packed)) + packed


def _cells() -> np.ndarray:
    cells = np.empty((1, T), object)
    for number in range(T):
        cells[0, number] = COUNTS[number].astype(np.uint8)
    return cells


def _npy() -> bytes:
    memory = io.BytesIO()
    np.save(memory, FRAMES)
    return memory.getvalue()


def _written(name: str) -> Callable[[Path], Path]:
    """A file that `write_any` makes, with every field and truth."""

    def make(folder: Path) -> Path:
        write_any(sequence_of_everything(), folder / name)
        return folder / name

    return make


def _plain_npz() -> bytes:
    memory = io.BytesIO()
    np.savez_compressed(memory, stack=FRAMES, times_s=np.arange(T) * 0.1, other=np.zeros(4))
    return memory.getvalue()


MARK = b"<<member>>"


def _unzipped(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return MARK.join(part for info in archive.infolist() for part in (info.filename.encode(), archive.read(info)))


def zipped(content: bytes) -> bytes:
    """Pack the damaged members again, with checksums that are right."""
    parts, memory = content.split(MARK), io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        warnings.simplefilter("ignore")  # two members of one name
        for name, member in zip(parts[::2], parts[1::2], strict=False):
            info = zipfile.ZipInfo(name.decode("latin-1").split("\0")[0] or "x")
            archive.writestr(info, member)
    return memory.getvalue()


# ---------------------------------------------------------------------------------------------------- TIFF and pictures


def _tiff(frames: np.ndarray = COUNTS, **options: Any) -> Callable[[], bytes]:
    def content() -> bytes:
        memory = io.BytesIO()
        tifffile.imwrite(memory, frames, **({} if options.get("imagej") else {"photometric": "minisblack"}), **options)
        return memory.getvalue()

    return content


def png(pixels: np.ndarray = COUNTS[0]) -> bytes:
    """A grey PNG."""
    return bytes(imagecodecs.png_encode(pixels))


def checked_png(content: bytes) -> bytes:
    """Correct the checksum of every chunk that can be found."""
    changed, place = bytearray(content), 8
    while place + 12 <= len(changed):
        (length,) = struct.unpack_from(">I", changed, place)
        if place + 12 + length > len(changed):
            break
        struct.pack_into(">I", changed, place + 8 + length, zlib.crc32(changed[place + 4 : place + 8 + length]))
        place += 12 + length
    return bytes(changed)


def checked_inner_png(content: bytes) -> bytes:
    """Correct the checksums of a PNG inside another file."""
    start = content.find(b"\x89PNG")
    return content if start < 0 else content[:start] + checked_png(content[start:])


def _csv() -> bytes:
    return "\n".join(";".join(f"{value:.2f}" for value in row) for row in FRAMES[0]).replace(".", ",").encode()


def _table() -> bytes:
    names = ",".join(["time_ms", *(f"r{y}c{x}" for y in range(Y) for x in range(X))])
    rows = (",".join([str(100 * t), *(f"{value:.3f}" for value in FRAMES[t].flat)]) for t in range(T))
    return "\n".join([f"# Celsius, Height;{Y}, Width;{X}", names, *rows]).encode()


def _irbis(content: str = "Temperature", unit: str = "[°C]") -> bytes:
    settings = {"Version": 3, "Content": content, "TempUnit": unit, "ImageWidth": X, "ImageHeight": Y}
    settings |= {"DelimiterValue": "0x3B", "CommaValue": "0x2C", "LIT.LockInFrequency": "6,154", "LIT.PeriodNum": 40}
    head = "\r\n".join(["[Settings]", *(f"{name}={value}" for name, value in settings.items()), "[Data]"])
    return head.encode("latin-1") + b"\r\n" + _csv().replace(b"\n", b"\r\n")


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
    f'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{X}" SizeY="{Y}" SizeZ="1" SizeC="1" SizeT="{T}" '
    'PhysicalSizeX="0.7" PhysicalSizeXUnit="mm" TimeIncrement="100" TimeIncrementUnit="ms"><TiffData IFD="0" '
    f'PlaneCount="{T}"/><Plane TheT="0" TheZ="0" TheC="0" DeltaT="0"/></Pixels></Image></OME>'
)


def _ome() -> bytes:
    memory = io.BytesIO()
    tifffile.imwrite(memory, COUNTS, photometric="minisblack", description=OME, metadata=None)
    return memory.getvalue()


def _folder(name: str, content: Callable[[int], bytes]) -> Callable[[Path], Path]:
    """Three files, of which the second is damaged."""

    def make(folder: Path) -> Path:
        for number in range(T):
            (folder / f"f{number}{name}").write_bytes(content(number))
        return folder / f"f1{name}"

    return make


def _jpeg(number: int, **values: Any) -> bytes:
    return flir.radiometric_jpeg(flir.block(flir.counts_of(1)[0], time_s=number / 10, **values))


# ---------------------------------------------------------------------------------------------------- facts and truth

SIDECAR = b"""frame_rate_hz: 25.0
t_first_s: -0.5
pixel_pitch_mm: 0.7
heating_start_s: 0.0
heating_stop_s: 1.5
excitation: long_pulse
flux_w_m2: 900
ambient_c: 22.5
emissivity: 0.95
unit: degC
thickness_mm: 17.0
camera: LWIR
material: {name: GFRP, conductivity_through_w_mk: 0.3, conductivity_in_plane_w_mk: 0.4, density_kg_m3: 1900,
  heat_capacity_j_kgk: 1000}
"""
MANIFEST = b"""recordings:
- key: a
  recording: a.npy
  truth: mask.png
  depths_mm: {1: 1.5, 2: 3.0}
  region: region.png
  acquisition: first
  condition: "cold, wet"
  facts: {frame_rate_hz: 10.0, pixel_pitch_mm: 0.5, heating_stop_s: 0.1}
- key: b
  recording: a.npy
  plate: gfrp_calibrated
  registration: registration.yaml
  facts: {times_s: [0.0, 0.1, 0.2]}
"""
MANIFEST_CSV = b"""key,recording,truth,depths_mm.1,depths_mm.2,facts.frame_rate_hz,facts.times_s,facts.pixel_pitch_mm
a,a.npy,mask.png,1.5,3.0,10,,0.5
b,a.npy,,,,,0 0.1 0.2,0.7
"""
REGISTRATION = b"matrix:\n- [20.0, 0.5, 1.0]\n- [0.25, 20.0, -2.0]\n- [0.0001, 0.0002, 1.0]\nresidual_mm: 0.3\n"
COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.png", "height": Y, "width": X}],
        "categories": [{"id": 1, "name": "hole"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]],
                "attributes": {"depth_mm": 1.5},
            },
            {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[5.5, 2, 7, 2, 7, 5.25]]},
        ],
    }
).encode()
CVAT = (
    f'<?xml version="1.0" encoding="utf-8"?><annotations><image id="0" name="a.png" width="{X}" height="{Y}">'
    '<polygon label="hole" points="1,1;4,1;4,4;1,4"><attribute name="depth_mm">1.5</attribute></polygon>'
    '<box label="hole" xtl="5" ytl="1" xbr="7" ybr="3" rotation="10"/><ellipse label="b" cx="4" cy="4" rx="2" ry="1"/>'
    "</image></annotations>"
).encode()


def _around(folder: Path) -> None:
    np.save(folder / "a.npy", FRAMES)
    (folder / "mask.png").write_bytes(png(LABELS))
    (folder / "region.png").write_bytes(png(np.full((Y, X), 255, np.uint8)))
    (folder / "registration.yaml").write_bytes(REGISTRATION)


def _beside(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        _around(folder)
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _mask(folder: Path) -> Path:
    _around(folder)
    return folder / "mask.png"


def _use_sidecar(path: Path) -> object:
    return read_sequence(path.with_suffix(".npy"))


def _use_manifest(path: Path) -> object:
    return [load_entry(entry) for entry in load_manifest(path).entries]


def _use_truth(path: Path) -> object:
    read_truth(path, (Y, X))
    return read_region(path, (Y, X))


# ---------------------------------------------------------------------------------------------------- the table


def _all(content: bytes) -> Sequence[int]:
    return number_places(content)


def _at(*places: int) -> Callable[[bytes], Sequence[int]]:
    return lambda content: places


def _irb(number: int) -> bytes:
    return irb_bytes(COUNTS[number], kelvin_palette(), milliseconds=100 * number)


def _ptw() -> bytes:
    return ptw_bytes(COUNTS, clock_s=10 + 0.02 * np.arange(T))


def _hcc() -> bytes:
    return plain_hcc(np.repeat(COUNTS, 2, axis=2))


LABELS = (COUNTS[0] % 3).astype(np.uint8)
IMAGEJ = {"finterval": 0.1, "axes": "TYX"}
MATLAB5 = {"places": _all, "files": 7000}
PTW = _at(11, 15, 19, 23, 27, 35, 141, 377, 379, 381, 403, 407, 2114, 2200 + 80, 2200 + 160)
HCC = _at(2, 4, 8, 12, 16, 28, 32, 34, 44, 48, 52, 56, 100, 104)
IRB = _at(25, 29, 64 + 12, 96, 96 + 12, 96 + 16, 167, 169, 171, 173, 167 + 24, 167 + 60, 167 + 1084 + 540)
HDF5 = {"places": _all, "memory_bytes": 96 * 2**20}
FLIR = {"use": _recording(), "places": lambda content: number_places(content, 400)}
TIFF = {"use": _recording(**RATE), "places": _all, "files": 5000}
FOLDER = {"use": _recording(True, **RATE), "files": 10_000}
PLAIN = {"x": FRAMES.astype("f8"), "t": "text"}
STRUCT = {"F1": {"images": _cells(), "n": np.zeros((2, 2)), "note": "text"}}
TEXT = {"text": True}

CASES: tuple[Case, ...] = (
    Case(name="native", make=_native(None), use=_recording(), files=10_000, **HDF5),
    Case(name="native_gzip", make=_native("gzip"), use=_recording(), files=5000, **HDF5),
    Case(name="native_latest", make=_latest, use=_recording(), files=5000, **HDF5),
    Case(name="pythermondt", make=_pythermondt, use=_recording(), **HDF5),
    Case(name="matlab73", make=_matlab73(_array_73), use=_recording(axes="tyx", **RATE), files=7000, **HDF5),
    Case(name="matlab73_cell", make=_matlab73(_cell_73), use=_recording(**RATE), files=7000, **HDF5),
    Case(name="matlab73_own", make=_written("a.mat"), use=_recording(), files=7000, **HDF5),
    Case(name="tiff", make=_file("a.tif", _tiff()), **TIFF),
    Case(name="tiff_zlib", make=_file("a.tif", _tiff(compression="zlib", predictor=True)), **TIFF),
    Case(name="tiff_lzw_tiles", make=_file("a.tif", _tiff(compression="lzw", tile=(16, 16), byteorder=">")), **TIFF),
    Case(name="tiff_big", make=_file("a.tif", _tiff(FRAMES, compression="packbits", bigtiff=True)), **TIFF),
    Case(name="tiff_imagej", make=_file("a.tif", _tiff(FRAMES, imagej=True, metadata=IMAGEJ)), **TIFF),
    Case(name="tiff_ome", make=_file("a.ome.tif", _ome), text=True, **TIFF),
    Case(name="tiff_own", make=_written("a.tif"), text=True, **TIFF),
    Case(name="csq", make=_file("a.csq", lambda: flir.recording(flir.counts_of(2), coding="JPEG-LS")), **FLIR),
    Case(name="jpeg", make=_file("a.jpg", lambda: _jpeg(0, inner=">")), files=10_000, **FLIR),
    Case(
        name="jpeg_png",
        make=_file("a.jpg", lambda: _jpeg(0, coding="PNG")),
        finish=checked_inner_png,
        files=10_000,
        **FLIR,
    ),
    Case(name="fff", make=_file("a.fff", lambda: flir.block(flir.counts_of(1)[0], order=">")), **FLIR),
    Case(name="seq", make=_file("a.seq", lambda: flir.recording(flir.counts_of(2), gap=bytes(16))), **FLIR),
    Case(name="folder_jpeg", make=_folder(".jpg", _jpeg), places=FLIR["places"], **FOLDER),
    Case(name="folder_png", make=_folder(".png", lambda n: png(COUNTS[n])), finish=checked_png, **FOLDER),
    Case(name="folder_tiff", make=_folder(".tif", lambda n: _tiff(COUNTS[n])()), places=_all, **FOLDER),
    Case(name="folder_csv", make=_folder(".csv", lambda n: _csv()), **TEXT, **FOLDER),
    Case(name="folder_irbis", make=_folder(".txt", lambda n: _irbis()), **TEXT, **FOLDER),
    Case(name="folder_irb", make=_folder(".irb", _irb), places=IRB, **FOLDER),
    Case(name="irb", make=_file("a.irb", lambda: _irb(0)), use=_recording(), places=IRB),
    Case(name="ptw", make=_file("a.ptw", _ptw), use=_recording(), places=PTW),
    Case(name="hcc", make=_file("a.hcc", _hcc), use=_recording(), places=HCC, needs="fasthcc"),
    Case(name="matlab5", make=_file("a.mat", _matlab5(PLAIN)), use=_recording(axes="tyx", **RATE), **MATLAB5),
    Case(name="matlab5_struct", make=_file("a.mat", _matlab5(STRUCT)), use=_recording(**RATE), **MATLAB5),
    Case(
        name="matlab5_zlib",
        make=_file("a.mat", _matlab5({"x": FRAMES.astype("f8")})),
        use=_recording(axes="tyx", **RATE),
        finish=deflated_variables,
        **MATLAB5,
    ),
    Case(name="npy", make=_file("a.npy", _npy), use=_recording(**RATE), places=_at(6, 8), **TEXT),
    Case(name="npz", make=_written("a.npz"), use=_recording(), places=_all, files=7000),
    Case(name="npz_plain", make=_file("a.npz", _plain_npz), use=_recording(), places=_all, files=7000),
    Case(
        name="npz_members",
        make=_written("a.npz"),
        use=_recording(),
        payload=_unzipped,
        finish=zipped,
        files=7000,
        **TEXT,
    ),
    Case(name="csv_table", make=_file("a.csv", _table), use=_recording(), **TEXT),
    Case(name="lockin_text", make=_file("a.txt", lambda: _irbis("Phase", "")), use=read_lockin_map, **TEXT),
    Case(name="sidecar", make=_beside("a.yaml", SIDECAR), use=_use_sidecar, **TEXT),
    Case(name="manifest", make=_beside("m.yaml", MANIFEST), use=_use_manifest, files=10_000, **TEXT),
    Case(name="manifest_csv", make=_beside("m.csv", MANIFEST_CSV), use=_use_manifest, files=10_000, **TEXT),
    Case(name="registration", make=_beside("r.yaml", REGISTRATION), use=read_homography, **TEXT),
    Case(name="truth_png", make=_mask, use=_use_truth, finish=checked_png),
    Case(name="truth_tiff", make=_file("mask.tif", _tiff(LABELS)), use=_use_truth, places=_all),
    Case(name="truth_coco", make=_beside("a.json", COCO), use=_use_truth, **TEXT),
    Case(name="truth_cvat", make=_beside("a.xml", CVAT), use=_use_truth, **TEXT),
)
BY_NAME = {case.name: case for case in CASES}
