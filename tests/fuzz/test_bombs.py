"""Small files that state, or unpack to, far more than they hold."""

from __future__ import annotations

import io
import json
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import pytest
import scipy.io
import tifffile
from cases import OME, RATE, X, Y, checked_png, read_parts
from flir_bytes import block, recording

from thermo_qc.errors import ThermoQCError
from thermo_qc.io import load_manifest, read_homography, read_sequence, read_truth

MANY = 2**31 - 1
FREE = 160 * 2**20
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
ENTITIES = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {name} '{f'&{before};' * 10}'>" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def _sparse_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("/Data/Tdata", (700, 700, 700), "f4", chunks=(32, 32, 64), compression="gzip")
        file["/MetaData/DomainValues"] = np.arange(700.0)


def _one_huge_chunk(path: Path) -> None:
    with h5py.File(path, "w") as file:
        shape = (4000, 4000, 4)
        data = file.create_dataset("/Data/Tdata", shape, "f4", chunks=shape, compression="gzip")
        data.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(1000)))
        file["/MetaData/DomainValues"] = np.arange(4.0)


def _deflated_chunk(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("/Data/Tdata", (8, 8, 4), "f4", chunks=(8, 8, 4), compression="gzip")
        data.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(200 * 2**20)))
        file["/MetaData/DomainValues"] = np.arange(4.0)


def _zeros_mat(path: Path) -> None:
    scipy.io.savemat(path, {"x": np.zeros((4, 400, 700, 40), np.uint8)}, do_compression=True)
    content = path.read_bytes()
    (length,) = struct.unpack_from("<I", content, 132)
    inner = zlib.decompress(content[136 : 136 + length])
    packed = zlib.compress(inner + bytes(300 * 2**20), 9)
    path.write_bytes(content[:128] + struct.pack("<2I", 15, len(packed)) + packed)


def _npz(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (300, 1024, 1024)})
        for _ in range(300):
            file.write(bytes(2**20))


def _npz_that_lies(path: Path) -> None:
    _npz(path)
    content = path.read_bytes()
    size = struct.pack("<I", 300 * 2**20 + 128)
    path.write_bytes(content.replace(size, struct.pack("<I", 2000)))


def _npy_header(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY\2\0" + struct.pack("<I", MANY) + b"{'descr': '<f4'}")


def _npy_nested(path: Path) -> None:
    header = b"(" * 9000
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)


def _png(path: Path, side: int = 11_000, pixels: bytes = bytes(100)) -> None:
    content = imagecodecs.png_encode(np.zeros((4, 4), np.uint16))
    start = content.index(b"IDAT")
    packed = zlib.compress(pixels)
    changed = bytearray(content[: start - 4] + struct.pack(">I", len(packed)) + b"IDAT" + packed + bytes(4))
    struct.pack_into(">2I", changed, 16, side, side)
    path.write_bytes(checked_png(bytes(changed)) + content[-12:])


def _folder_of_png(path: Path) -> None:
    path.mkdir()
    _png(path / "f0.png")


def _tiff(compression: str, **options: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        tifffile.imwrite(path, np.zeros((2, 16, 16), np.uint16), compression=compression, **options)
        content = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as tiff:
            for page in tiff.pages:
                for name in ("ImageWidth", "ImageLength", "RowsPerStrip", "TileWidth", "TileLength"):
                    if name in page.tags:
                        value = struct.pack("<I" if page.tags[name].dtype == 4 else "<H", 60_000)
                        content[page.tags[name].valueoffset : page.tags[name].valueoffset + len(value)] = value
        path.write_bytes(content)

    return make


def _ome(path: Path) -> None:
    text = OME.replace("<OME", f"{ENTITIES}]><OME").replace('Name="', 'Name="&i;')
    tifffile.imwrite(path, np.zeros((3, 6, 8), np.uint16), description=text, metadata=None, photometric="minisblack")


def _csq(path: Path) -> None:
    counts = np.zeros((1, 12_000, 12_000), np.uint16)
    small = recording(np.zeros((1, 6, 8), np.uint16), coding="JPEG-LS")
    size, big = struct.pack("<2H", 8, 6), struct.pack("<2H", *counts.shape[1:])
    path.write_bytes(small.replace(b"\2\0" + size, b"\2\0" + big).replace(struct.pack(">2H", 6, 8), big[::-1]))


def _fff(path: Path) -> None:
    content = block(np.zeros((6, 8), np.uint16))
    path.write_bytes(content.replace(struct.pack("<2H", 8, 6), struct.pack("<2H", 65535, 2000)))


def _csv(path: Path) -> None:
    path.write_text(f"Height;{MANY // 3}\nWidth;3\n1;2;3\n4;5;6\n")


BOMBS: dict[str, Callable[[Path], None]] = {
    "sparse.h5": _sparse_hdf5,
    "chunk.h5": _one_huge_chunk,
    "deflated.h5": _deflated_chunk,
    "zeros.mat": _zeros_mat,
    "zeros.npz": _npz,
    "lie.npz": _npz_that_lies,
    "header.npy": _npy_header,
    "nested.npy": _npy_nested,
    "frames": _folder_of_png,
    "strips.tif": _tiff("zlib"),
    "tiles.tif": _tiff("lzw", tile=(16, 16)),
    "zstd.tif": _tiff("zstd"),
    "entities.tif": _ome,
    "a.csq": _csq,
    "a.fff": _fff,
    "a.csv": _csv,
}


@pytest.fixture
def in_bounds() -> object:
    """Check time and memory of the test, less what writing the file took."""

    def run(call: Callable[[], object], path: Path) -> None:
        tracemalloc.start()
        clock = time.thread_time()
        try:
            with pytest.raises(ThermoQCError) as caught:
                call()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
        assert time.thread_time() - clock < 2
        assert peak < FREE, f"{peak / 2**20:.0f} MiB for {path}: {caught.value}"

    return run


@pytest.mark.parametrize("name", BOMBS)
def test_recordings(tmp_path: Path, in_bounds: Callable[..., None], name: str) -> None:
    path = tmp_path / name
    BOMBS[name](path)

    def read() -> None:
        read_parts(read_sequence(path, **RATE))

    in_bounds(read, path)


@pytest.mark.parametrize(
    "text",
    [
        *(f"{ALIASES}{key}: *i\n" for key in ("times_s", "camera", "material", "matrix", "recordings", "<<", "? *i\n")),
        *("loop: &z [*z]\n", "camera: &z {<<: *z}\n", f"camera: {'[' * 3000}\n", f"matrix: {'{a: ' * 3000}\n"),
        *(
            "- " * 3000,
            "camera: !!bool x\n",
            "matrix: !!float ''\n",
            f"matrix: [{'9' * 4000}]\n",
            "camera: !!set {a: 1}\n",
        ),
    ],
    ids=lambda text: text[-24:].strip().replace("/", ""),
)
def test_yaml(tmp_path: Path, in_bounds: Callable[..., None], text: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 3), np.float32))
    for name, read in (("a.yaml", read_sequence), ("m.yaml", load_manifest), ("r.yaml", read_homography)):
        (tmp_path / name).write_text(text)
        target = tmp_path / ("a.npy" if name == "a.yaml" else name)
        in_bounds(lambda read=read, target=target: read(target), target)


def _coco(**changes: object) -> str:
    picture = {"id": 1, "height": Y, "width": X}
    note = {"id": 1, "category_id": 1, "segmentation": [[1, 1, 4, 1, 4, 4]], **changes}
    return json.dumps({"images": [picture], "annotations": [note]})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xml", f"{ENTITIES}]><annotations>&i;</annotations>"),
        ("a.xml", "<a>" * 20_000),
        ("a.json", "[" * 100_000),
        ("a.json", _coco(segmentation=[[1, 1, 4, 1, 10**400, 4]])),
        ("a.json", _coco(segmentation=[[1, 1, 4, 1, 1e300, 4]])),
        ("a.json", _coco(segmentation={"counts": [MANY], "size": [MANY, MANY]})),
        ("a.json", _coco(attributes={"depth_mm": 10**400})),
    ],
)
def test_outlines(tmp_path: Path, in_bounds: Callable[..., None], name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    in_bounds(lambda: read_truth(tmp_path / name, (Y, X)), tmp_path / name)


def test_a_huge_mask(tmp_path: Path, in_bounds: Callable[..., None]) -> None:
    _png(tmp_path / "mask.png")
    in_bounds(lambda: read_truth(tmp_path / "mask.png", (11_000, 11_000)), tmp_path / "mask.png")


def test_a_real_sparse_recording_is_no_bomb(tmp_path: Path) -> None:
    memory = io.BytesIO()
    np.savez_compressed(memory, x=np.zeros((30, 256, 256), np.uint16))
    (tmp_path / "a.npz").write_bytes(memory.getvalue())
    assert read_sequence(tmp_path / "a.npz", **RATE).n_frames == 30
