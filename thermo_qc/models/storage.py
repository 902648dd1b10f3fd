"""A model file: one safetensors file with its description as JSON in the header; nothing in it is executed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from thermo_qc.errors import ModelError
from thermo_qc.io import atomic_path

__all__ = ["content_hash", "json_types", "read_model_file", "write_model_file"]

KEY = "thermo_qc"
FORMAT_VERSION = 1
Arrays = dict[str, NDArray[Any]]


def content_hash(description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 (hex) over the description and every array's name, type, shape and bytes."""
    digest = hashlib.sha256(_json(description).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{arrays[name].shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_model_file(path: Path, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write a model file atomically and return the hash of its content.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    digest = content_hash(description, arrays)
    header = {"format_version": FORMAT_VERSION, "sha256": digest, "model": dict(description)}
    content = save({name: _plain(array) for name, array in arrays.items()}, metadata={KEY: _json(header)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return digest


def read_model_file(path: Path) -> tuple[dict[str, Any], Arrays, str]:
    """Read a model file.

    Returns
    -------
    description : dict
    arrays : dict of str to ndarray
    sha256 : str
        Hash of the content, checked.

    Raises
    ------
    ModelError
        When the file is missing, no model, broken or from a newer version.
    """
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist; check the path")
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(KEY)
            arrays = {name: file.get_tensor(name) for name in file.keys()} if text else {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ModelError(
            f"{path} is no model file of thermo_qc or is damaged ({str(error).splitlines()[0][:120]}); copy it again, "
            "or name the model.safetensors of a run"
        ) from error
    if not text:
        raise ModelError(
            f"{path} is a safetensors file without a description by thermo_qc; name the model.safetensors of a run"
        )
    header = _header(path, text)
    if content_hash(header["model"], arrays) != header["sha256"]:
        raise ModelError(f"{path} has been damaged or changed (its content does not match its checksum); copy it again")
    return header["model"], arrays, header["sha256"]


def _header(path: Path, text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: the description in the header is no JSON; copy the file again") from error
    if not isinstance(header, dict) or not isinstance(header.get("model"), dict) or "sha256" not in header:
        raise ModelError(f"{path}: the description in the header is incomplete; copy the file again")
    version = header.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelError(f"{path} has model format {version}, this version reads {FORMAT_VERSION}; update thermo_qc")
    return header


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    return np.require(array, requirements="C")


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False, ensure_ascii=True)


def json_types(value: Any) -> Any:
    """Return the same content in JSON types: tuples become lists, NaN and infinities None, the unknown text."""
    if isinstance(value, Mapping):
        return {str(key): json_types(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [json_types(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str | type(None)) else str(value)
