"""`Splits`: which pixels train and which test in every fold, and its JSON file."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError, FoldError, InputError
from thermo_qc.io.files import write_text

__all__ = ["Splits"]

FORMAT = "thermo_qc splits 1"
_MAX_PIXELS = 10**9


@dataclass(frozen=True, kw_only=True, eq=False)
class Splits:
    """Folds of a cross-validation, pixel by pixel.

    Parameters
    ----------
    by : str
        What a group is: acquisition, plate, condition, defect, depth, block, random_pixel or random_frame.
    n_folds, seed : int
        Number of folds, and the seed they were drawn with.
    fold_maps : dict of str to ndarray of int16, shape (Y, X)
        Per recording the fold that tests each pixel, -1 where the pixel is not to be used.
    guards : dict of str to ndarray of bool, shape (n_folds, Y, X)
        Per recording the pixels that stay out of each fold's training because they lie near its test pixels;
        a recording without a guard ring is not listed.
    groups : tuple of tuple of str
        Names of the groups that each fold tests, for people.
    guard_mm, block_mm : float, optional
        Width of the (widest) guard ring and edge of the blocks, mm, where they were used.
    warnings : tuple of str
        What a reader of the results must know (a class that a fold cannot learn, leaky folds).
    frame_folds : dict of str to ndarray of int16, shape (T,)
        Random-frame folds only: per recording the fold that tests each frame. Every fold then trains and tests all
        usable pixels.
    inner : tuple of Splits
        Nested folds: one per fold, of its training pixels; empty when there are none.
    """

    by: str
    n_folds: int
    seed: int
    fold_maps: Mapping[str, NDArray[np.int16]]
    guards: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    groups: tuple[tuple[str, ...], ...] = ()
    guard_mm: float | None = None
    block_mm: float | None = None
    warnings: tuple[str, ...] = ()
    frame_folds: Mapping[str, NDArray[np.int16]] = field(default_factory=dict)
    inner: tuple[Splits, ...] = ()

    def __post_init__(self) -> None:
        for key, fold_map in self.fold_maps.items():
            if fold_map.ndim != 2 or fold_map.size == 0 or fold_map.min() < -1 or fold_map.max() >= self.n_folds:
                raise FoldError(f"fold map of '{key}' is empty or names folds outside 0..{self.n_folds - 1}")
            guard = self.guards.get(key)
            if guard is not None and guard.shape != (self.n_folds, *fold_map.shape):
                raise FoldError(f"guard of '{key}' has shape {guard.shape}, expected {(self.n_folds, *fold_map.shape)}")
        if not set(self.guards) <= set(self.fold_maps):
            raise FoldError("guards are given for recordings without a fold map")
        if self.frame_folds and set(self.frame_folds) != set(self.fold_maps):
            raise FoldError("frame folds are given for other recordings than fold maps")
        for key, folds in self.frame_folds.items():
            if folds.ndim != 1 or folds.size == 0 or folds.min() < 0 or folds.max() >= self.n_folds:
                raise FoldError(f"frame folds of '{key}' are empty or name folds outside 0..{self.n_folds - 1}")
        if self.inner and len(self.inner) != self.n_folds:
            raise FoldError(f"there are inner folds for {len(self.inner)} of {self.n_folds} folds")

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all recordings."""
        return tuple(self.fold_maps)

    @property
    def leaky(self) -> bool:
        """Whether test pixels have neighbours in training, so that the figures flatter: for the leakage gap only."""
        return self.by in ("random_pixel", "random_frame")

    def test_mask(self, fold: int, key: str) -> NDArray[np.bool_]:
        """Pixels of a recording that this fold tests, bool (Y, X)."""
        fold_map = self._fold_map(fold, key)
        return np.asarray(fold_map >= 0 if self.frame_folds else fold_map == fold)

    def train_mask(self, fold: int, key: str) -> NDArray[np.bool_]:
        """Pixels of a recording that this fold may train on, bool (Y, X)."""
        fold_map = self._fold_map(fold, key)
        if self.frame_folds:
            return np.asarray(fold_map >= 0)
        allowed: NDArray[np.bool_] = (fold_map >= 0) & (fold_map != fold)
        return allowed & ~self.guards[key][fold] if key in self.guards else allowed

    def test_frames(self, fold: int, key: str) -> NDArray[np.bool_] | None:
        """Frames of a recording that this fold tests, bool (T,); None: all, as in every kind but random frames."""
        self._fold_map(fold, key)
        return np.asarray(self.frame_folds[key] == fold) if self.frame_folds else None

    def train_frames(self, fold: int, key: str) -> NDArray[np.bool_] | None:
        """Frames of a recording that this fold may train on, bool (T,); None: all."""
        tested = self.test_frames(fold, key)
        return None if tested is None else ~tested

    def test_keys(self, fold: int) -> tuple[str, ...]:
        """Keys of the recordings with at least one pixel that this fold tests."""
        return tuple(key for key in self.fold_maps if self.test_mask(fold, key).any())

    def train_keys(self, fold: int) -> tuple[str, ...]:
        """Keys of the recordings with at least one pixel to train on in this fold."""
        return tuple(key for key in self.fold_maps if self.train_mask(fold, key).any())

    def _fold_map(self, fold: int, key: str) -> NDArray[np.int16]:
        if not 0 <= fold < self.n_folds:
            raise FoldError(f"fold {fold} was asked for, these splits have folds 0 to {self.n_folds - 1}")
        if key not in self.fold_maps:
            raise FoldError(
                f"recording '{key}' is not in these splits (they hold {', '.join(self.fold_maps)}); make new splits"
            )
        return self.fold_maps[key]

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of everything that the splits say; independent of how the file is compressed."""
        digest = hashlib.sha256(json.dumps([FORMAT, self._header(), list(self.keys)], sort_keys=True).encode())
        for key, fold_map in self.fold_maps.items():
            digest.update(np.asarray(fold_map.shape, dtype="<i8").tobytes())
            digest.update(np.ascontiguousarray(fold_map, dtype="<i2").tobytes())
            if key in self.guards:
                digest.update(np.packbits(self.guards[key]).tobytes())
            if key in self.frame_folds:
                digest.update(np.ascontiguousarray(self.frame_folds[key], dtype="<i2").tobytes())
        for inner in self.inner:
            digest.update(inner.sha256.encode())
        return digest.hexdigest()

    def _header(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "n_folds": self.n_folds,
            "seed": self.seed,
            "guard_mm": self.guard_mm,
            "block_mm": self.block_mm,
            "groups": [list(names) for names in self.groups],
            "warnings": list(self.warnings),
        }

    def save(self, path: Path) -> None:
        """Write the splits as JSON: folds as lists of recordings, masks as compressed bits.

        Raises
        ------
        OutputError
            When the file cannot be written.
        """
        write_text(Path(path), json.dumps(self._content(), indent=1) + "\n")

    def _content(self) -> dict[str, Any]:
        content = {"format": FORMAT, "sha256": self.sha256, **self._header()}
        content["folds"] = [
            {"fold": fold, "test_keys": list(self.test_keys(fold)), "train_keys": list(self.train_keys(fold))}
            for fold in range(self.n_folds)
        ]
        content["recordings"] = [self._pack(key) for key in self.fold_maps]
        if self.inner:
            content["inner"] = [inner._content() for inner in self.inner]
        return content

    def _pack(self, key: str) -> dict[str, Any]:
        fold_map = self.fold_maps[key]
        entry: dict[str, Any] = {"key": key, "shape": list(fold_map.shape)}
        folds = np.unique(fold_map[fold_map >= 0])
        if folds.size == 1:
            entry |= {"fold": int(folds[0]), "valid": _squeeze(np.packbits(fold_map >= 0).tobytes())}
        else:
            entry["fold_map"] = _squeeze(np.ascontiguousarray(fold_map, dtype="<i2").tobytes())
        if key in self.guards:
            entry["guards"] = [_squeeze(np.packbits(guard).tobytes()) for guard in self.guards[key]]
        if key in self.frame_folds:
            entry["frame_folds"] = self.frame_folds[key].tolist()
        return entry

    @staticmethod
    def load(path: Path) -> Splits:
        """Read splits that `save` wrote.

        Raises
        ------
        InputError
            When the file is missing or cannot be read.
        CorruptFileError
            When it is not a splits file, or was changed since it was written.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path} does not exist; run the cross-validation that writes it") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError):
            raise CorruptFileError(path, "content", "JSON", "something else", _HINT) from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            found = content.get("format") if isinstance(content, dict) else type(content).__name__
            raise CorruptFileError(path, "format", f"'{FORMAT}'", repr(found), _HINT)
        try:
            splits = _from_json(content)
        except _BROKEN as error:
            raise CorruptFileError(path, "content", "complete splits", f"broken ({error})", _HINT) from error
        if splits.sha256 != content.get("sha256"):
            raise CorruptFileError(path, "sha256", splits.sha256[:12], str(content.get("sha256"))[:12], _HINT)
        return splits


_BROKEN = (LookupError, TypeError, ValueError, AttributeError, OverflowError, zlib.error, binascii.Error, FoldError)
_HINT = "the file was changed or cut after it was written; make the splits again"


def _from_json(content: Mapping[str, Any]) -> Splits:
    fold_maps: dict[str, NDArray[np.int16]] = {}
    guards: dict[str, NDArray[np.bool_]] = {}
    frames: dict[str, NDArray[np.int16]] = {}
    for entry in content["recordings"]:
        key, shape = str(entry["key"]), (int(entry["shape"][0]), int(entry["shape"][1]))
        if not 0 < shape[0] * shape[1] <= _MAX_PIXELS:
            raise ValueError(f"shape {shape}")
        if "fold" in entry:
            fold_maps[key] = np.where(_bits(entry["valid"], shape), int(entry["fold"]), -1).astype(np.int16)
        else:
            raw = _expand(entry["fold_map"], 2 * shape[0] * shape[1])
            fold_maps[key] = np.frombuffer(raw, dtype="<i2").reshape(shape).astype(np.int16)
        if "guards" in entry:
            guards[key] = np.stack([_bits(text, shape) for text in entry["guards"]])
        if "frame_folds" in entry:
            frames[key] = np.array(entry["frame_folds"], dtype=np.int16)
    return Splits(
        by=content["by"],
        n_folds=int(content["n_folds"]),
        seed=int(content["seed"]),
        fold_maps=fold_maps,
        guards=guards,
        groups=tuple(tuple(names) for names in content["groups"]),
        guard_mm=content["guard_mm"],
        block_mm=content["block_mm"],
        warnings=tuple(content["warnings"]),
        frame_folds=frames,
        inner=tuple(_from_json(part) for part in content.get("inner", ())),
    )


def _squeeze(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def _expand(text: str, n_bytes: int) -> bytes:
    """Undo `_squeeze`; a text that would expand to another length is refused before it fills the memory."""
    machine = zlib.decompressobj()
    raw = machine.decompress(base64.b64decode(text, validate=True), n_bytes + 1)
    if len(raw) != n_bytes or not machine.eof:
        raise ValueError(f"mask of {len(raw)} bytes, expected {n_bytes}")
    return raw


def _bits(text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    n_pixels = shape[0] * shape[1]
    packed = np.frombuffer(_expand(text, -(-n_pixels // 8)), dtype=np.uint8)
    return np.unpackbits(packed, count=n_pixels).astype(bool).reshape(shape)
