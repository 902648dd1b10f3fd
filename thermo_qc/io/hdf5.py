"""Safe access to HDF5 files: nothing outside the file, no pickled objects, no filters from plugins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError, InputError
from thermo_qc.io.guard import check_hdf5
from thermo_qc.io.lazy import FileFrames, check_declared_size

__all__ = ["HDF5_SIGNATURE", "HDF5Frames", "dataset_at", "json_attribute", "read_small", "text_attribute"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
MAX_CHUNK_BYTES = 512 * 2**20
MAX_SMALL_BYTES = 2**30
TILE_FRAMES = 32
TILE_ROWS = 64
CURVE_SLABS = 3  # more of them than this of a part of the frame: somebody wants curves


def dataset_at(file: h5py.File, path: Path, name: str) -> h5py.Dataset | None:
    """Give the dataset `name` ("/Data/Tdata"), None where there is none.

    Raises
    ------
    CorruptFileError
        When there is a link on the way, or the dataset's bytes lie outside the file, hold objects or strings,
        or need a filter that HDF5 itself does not have.
    """
    node: Any = file
    for part in name.strip("/").split("/"):
        if not isinstance(node, h5py.Group) or part not in list(node.keys()):
            return None
        if not isinstance(node.get(part, getlink=True), h5py.HardLink):
            raise CorruptFileError(path, name, "stored in its place", "a link", "copy the data into the file")
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        raise CorruptFileError(path, name, "a dataset", f"a {type(node).__name__.lower()}")
    check_dataset(node, path, name)
    return node


def check_dataset(dataset: h5py.Dataset, path: Path, name: str, objects: bool = False) -> None:
    """Refuse a dataset that is not plain numbers stored in this file with HDF5's own filters.

    `objects` lets references through, for MATLAB cells.
    """
    if dataset.is_virtual or dataset.external:
        raise CorruptFileError(
            path, name, "stored inside the file", "stored in other files", "copy the data into the file"
        )
    if dataset.dtype.kind not in ("biufcO" if objects else "biufc"):
        raise CorruptFileError(
            path, name, "plain numbers", f"of type {dataset.dtype}", "export it as an array of numbers"
        )
    plist = dataset.id.get_create_plist()
    for index in range(plist.get_nfilters()):
        code, _, _, label = plist.get_filter(index)
        if code not in FILTERS or not h5py.h5z.filter_avail(code):
            known = ", ".join(FILTERS.values())
            found = f"compressed with filter {code} ({label.decode(errors='replace') or 'unnamed'})"
            raise CorruptFileError(
                path, name, f"compressed with one of {known} or not at all", found, "write it again with gzip"
            )
    if dataset.chunks is not None and np.prod(dataset.chunks, dtype=float) * dataset.dtype.itemsize > MAX_CHUNK_BYTES:
        raise CorruptFileError(path, name, "chunks of at most 512 MiB", f"in chunks of {dataset.chunks}")
    stored = min(dataset.id.get_storage_size(), path.stat().st_size)
    check_declared_size(path, name, dataset.shape or (), dataset.dtype.itemsize, stored)
    check_declared_size(path, f"chunk of {name}", dataset.chunks or (), dataset.dtype.itemsize, stored)


def read_small(file: h5py.File, path: Path, name: str) -> NDArray[Any] | None:
    """Read a whole dataset; None where it is missing or empty.

    Raises
    ------
    CorruptFileError
        When it is not plain numbers stored in this file, or has more than 1 GiB.
    """
    dataset = dataset_at(file, path, name)
    if dataset is None or dataset.shape is None or dataset.size == 0:
        return None
    if dataset.size * dataset.dtype.itemsize > MAX_SMALL_BYTES:
        raise CorruptFileError(path, name, "at most 1 GiB", f"of shape {dataset.shape}")
    return np.asarray(dataset[()])


def text_attribute(node: Any, name: str) -> str | None:
    """Text of an attribute, None where it is missing or no text."""
    value = node.attrs.get(name) if node is not None else None
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return str(value) if isinstance(value, str) else None


def json_attribute(node: Any, path: Path, name: str) -> Any:
    """Content of an attribute that holds JSON, None where it is missing.

    Raises
    ------
    CorruptFileError
        When it is no JSON.
    """
    text = text_attribute(node, name)
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        raise CorruptFileError(path, f"attribute {name}", "JSON", f"'{text[:40] if text else ''}'") from None


class HDF5Frames(FileFrames):
    """View (T, Y, X) of a three-dimensional dataset in any order of axes.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        The dataset.
    shape, dtype, slab
        As in `FileFrames`.
    order : tuple of int
        Axis of the dataset for time, row and column.
    convert : callable, optional
        Applied to each block read (the look-up table).
    """

    def __init__(
        self,
        path: Path,
        name: str,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        *,
        order: tuple[int, int, int],
        slab: int = 1,
        convert: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    ) -> None:
        super().__init__(path, shape, dtype, slab)
        self._name, self._order, self._convert = name, order, convert

    def _read(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        whole_frames = (rows.stop - rows.start, columns.stop - columns.start) == self.shape[1:]
        if self._order[0] == 2 and time.stop - time.start > CURVE_SLABS * self._slab and not whole_frames:
            return self._read_curves(time, rows, columns)
        result = np.empty([part.stop - part.start for part in (time, rows, columns)], dtype=self.dtype)
        with h5py.File(self.path, "r") as file:
            dataset = file[self._name]
            # Turning the axes tile by tile keeps within the processor's cache and needs no second copy of everything.
            for t in _tiles(time, self._slab * -(-TILE_FRAMES // self._slab)):
                for y in _tiles(rows, TILE_ROWS):
                    key: list[slice] = [slice(None)] * 3
                    for axis, part in zip(self._order, (t, y, columns), strict=True):
                        key[axis] = part
                    tile = np.transpose(dataset[tuple(key)], self._order)
                    place = (
                        slice(t.start - time.start, t.stop - time.start),
                        slice(y.start - rows.start, y.stop - rows.start),
                    )
                    result[place] = tile if self._convert is None else self._convert(tile)
        return result

    def _read_curves(self, time: slice, rows: slice, columns: slice) -> NDArray[Any]:
        """Read many frames of a part of the plate as they lie: each pixel's curve stays in one piece of memory."""
        key: list[slice] = [slice(None)] * 3
        for axis, part in zip(self._order, (time, rows, columns), strict=True):
            key[axis] = part
        with h5py.File(self.path, "r") as file:
            block = file[self._name][tuple(key)]
        return np.transpose(block if self._convert is None else self._convert(block), self._order)


def _tiles(part: slice, step: int) -> Iterator[slice]:
    """Cut a slice at the multiples of `step`, so that the pieces meet the chunks of the file."""
    start = part.start
    while start < part.stop:
        stop = min(part.stop, (start // step + 1) * step)
        yield slice(start, stop)
        start = stop


def open_hdf5(path: Path) -> h5py.File:
    """Open for reading; what is truncated or broken is refused in one line, also where the library would crash."""
    check_hdf5(path)
    try:
        return h5py.File(path, "r")
    except PermissionError:
        raise InputError(f"{path} cannot be read: permission denied; change its permissions") from None
    except OSError as error:
        found = "truncated" if "truncated" in str(error) else "broken or incomplete"
        raise CorruptFileError(path, "HDF5 structure", "complete", found) from error
