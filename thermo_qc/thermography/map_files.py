"""Maps on disk: one HDF5 file with every map, its unit, its settings and its limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError
from thermo_qc.io import atomic_path, plain_json
from thermo_qc.io.hdf5 import dataset_at, json_attribute, open_hdf5, text_attribute
from thermo_qc.thermography.scene import Layer, MapImage

__all__ = ["StoredMaps", "read_maps", "write_maps"]

FORMAT = "thermo_qc maps"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredMaps:
    """Result of `read_maps`.

    Parameters
    ----------
    images : tuple of MapImage
        In the order they were computed.
    method_of : mapping
        Layer name to method name.
    regions : mapping
        "region" and "sound" masks, bool (Y, X), where they were given.
    record : mapping
        How the maps were made: recording, hash, options, versions, ...
    pixel_pitch_mm : float, optional
        Of a pixel on the plate.
    """

    images: tuple[MapImage, ...]
    method_of: Mapping[str, str]
    regions: Mapping[str, NDArray[np.bool_]]
    record: Mapping[str, Any]
    pixel_pitch_mm: float | None

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        for image in self.images:
            if image.layer.name == name:
                return image.values
        raise KeyError(name)


def write_maps(
    path: Path | str,
    images: tuple[MapImage, ...],
    *,
    method_of: Mapping[str, str],
    record: Mapping[str, Any],
    pixel_pitch_mm: float | None = None,
    regions: Mapping[str, NDArray[np.bool_]] | None = None,
) -> None:
    """Write maps, whole file or nothing.

    Layout: /maps/NAME (Y, X) float32 with the attributes ``units``, ``long_name``, ``scale``, ``method`` and
    ``metadata`` (JSON); /regions/NAME (Y, X) uint8; the attribute ``record`` (JSON) of the file. /maps is an NXdata
    group, so that silx and H5Web plot it.

    Parameters
    ----------
    path : Path or str
        Target, ``.h5``.
    images : tuple of MapImage
        All of one shape.
    method_of, record, pixel_pitch_mm, regions
        See `StoredMaps`.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    pitch, length = (1.0, "px") if pixel_pitch_mm is None else (pixel_pitch_mm, "mm")
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION, "NX_class": "NXentry"})
        file.attrs["record"] = _json(record)
        if pixel_pitch_mm is not None:
            file.attrs["pixel_pitch_mm"] = pixel_pitch_mm
        group = file.create_group("maps", track_order=True)
        for image in images:
            layer = image.layer
            data = group.create_dataset(
                layer.name,
                data=np.asarray(image.values, dtype=np.float32),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
            data.attrs.update({"units": layer.unit, "long_name": layer.title, "scale": layer.scale})
            data.attrs.update({"method": method_of[layer.name], "metadata": _json(layer.metadata)})
        if images:
            for name, size in zip(("y", "x"), images[0].values.shape, strict=True):
                axis = file.create_dataset(name, data=(np.arange(size) + 0.5) * pitch)
                axis.attrs["units"] = length
                group[name] = h5py.SoftLink(f"/{name}")
            group.attrs.update({"NX_class": "NXdata", "signal": images[0].layer.name, "axes": ["y", "x"]})
        for name, mask in (regions or {}).items():
            file.create_dataset(f"regions/{name}", data=mask.astype(np.uint8), compression="gzip")


def read_maps(path: Path | str) -> StoredMaps:
    """Read what `write_maps` wrote.

    Raises
    ------
    InputError, CorruptFileError
        When the file is missing, broken or another kind of HDF5.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        if text_attribute(file, "format") != FORMAT or not isinstance(file.get("maps"), h5py.Group):
            raise CorruptFileError(path, "format", FORMAT, str(text_attribute(file, "format")))
        images, method_of = [], {}
        for name in file["maps"]:
            if not isinstance(file["maps"].get(name, getlink=True), h5py.HardLink):
                continue
            data = dataset_at(file, path, f"/maps/{name}")
            if data is None or data.ndim != 2:
                raise CorruptFileError(path, f"/maps/{name}", "a map (rows, columns)", "something else")
            scale = text_attribute(data, "scale") or "sequential"
            layer = Layer(
                name=name,
                unit=text_attribute(data, "units") or "1",
                title=text_attribute(data, "long_name") or name,
                scale=scale,  # type: ignore[arg-type]
                metadata=json_attribute(data, path, "metadata") or {},
            )
            images.append(MapImage(layer=layer, values=np.asarray(data[()], dtype=np.float32)))
            method_of[name] = text_attribute(data, "method") or ""
        regions = {}
        for name in file.get("regions") or ():
            mask = dataset_at(file, path, f"/regions/{name}")
            if mask is not None:
                regions[name] = np.asarray(mask[()]) > 0
        pitch = file.attrs.get("pixel_pitch_mm")
        return StoredMaps(
            images=tuple(images),
            method_of=method_of,
            regions=regions,
            record=json_attribute(file, path, "record") or {},
            pixel_pitch_mm=None if pitch is None else float(pitch),
        )


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(plain_json(dict(content)))
