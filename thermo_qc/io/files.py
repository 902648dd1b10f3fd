"""Writing files whole or not at all, and fingerprints of what was read."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.errors import InputError, OutputError

__all__ = [
    "atomic_path",
    "is_there",
    "partial_path",
    "plain_json",
    "remove_partial",
    "sha256_of",
    "write_json",
    "write_text",
]

_PARTIAL = re.compile(r"\.[0-9a-f]{12}\.part")


def is_there(path: Path) -> bool:
    """Whether a file or folder exists; no file has a name that the system does not allow."""
    try:
        return path.exists()
    except OSError:
        return False


def partial_path(target: Path) -> Path:
    """Give a new name in the folder of `target` for what is written before it gets its own name."""
    return target.with_name(f".{uuid.uuid4().hex[:12]}.part")


def remove_partial(folder: Path) -> None:
    """Remove what killed programs left half-written in a folder and in those below it; only for who holds its lock."""
    for path in folder.rglob(".*.part"):
        if _PARTIAL.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


@contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `target` that becomes `target` when the block ends well.

    Parameters
    ----------
    target : Path or str
        The file to make; its folder is made where it is missing.

    Yields
    ------
    Path
        A file name in the same folder that does not exist yet. It is flushed to the disk and renamed at the end; when
        the block raises, it is removed and an older `target` stays as it was.

    Raises
    ------
    OutputError
        When the folder or the file cannot be written (disk full, no permission, `target` is a folder).
    """
    target = Path(target)
    temporary = partial_path(target)
    try:
        if target.is_dir():
            raise OutputError(f"{target} is a folder, expected a file name; add one")
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{target} cannot be written: {reason}; free the disk or choose another place") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with line ends of one character, whole or not at all.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path | str, obj: Any) -> None:
    """Write JSON, whole or not at all; NaN and infinities become null, NumPy values plain ones.

    Raises
    ------
    OutputError
        When the file cannot be written.
    TypeError
        When `obj` holds something that JSON has no form for.
    """
    write_text(path, json.dumps(plain_json(obj), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def plain_json(obj: Any) -> Any:
    """Turn NumPy values, tuples and paths into JSON types and every non-finite number into None."""
    if isinstance(obj, dict):
        return {str(key): plain_json(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple | set | frozenset):
        return [plain_json(value) for value in (sorted(obj) if isinstance(obj, set | frozenset) else obj)]
    if isinstance(obj, np.ndarray):
        return plain_json(obj.tolist())
    if isinstance(obj, np.generic):
        return plain_json(obj.item())
    if isinstance(obj, float) and not math.isfinite(obj):
        return None
    return str(obj) if isinstance(obj, Path) else obj


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file's bytes, or of a folder's sorted relative names and contents, as 64 hex digits.

    Files are hashed once per state: name, size and time of change are remembered in this process.

    Raises
    ------
    InputError
        When the path is missing or cannot be read.
    """
    path = Path(path)
    try:
        if not path.is_dir():
            return _hash_of_state(path.resolve(), path.stat().st_size, path.stat().st_mtime_ns)
        digest = hashlib.sha256()
        for name, file in sorted(
            (file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file()
        ):
            digest.update(f"{name}\0{sha256_of(file)}\n".encode())
        return digest.hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=4096)
def _hash_of_state(path: Path, size: int, changed_ns: int) -> str:
    del size, changed_ns  # part of the key only
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
