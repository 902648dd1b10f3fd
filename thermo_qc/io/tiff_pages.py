"""The pages of a TIFF file, found by a walk through its directories that no broken file can lead astray."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.errors import CorruptFileError
from thermo_qc.io.lazy import MAX_FRAMES

__all__ = ["Page", "PageKind", "page_dtype", "walk_pages"]

MAX_TAGS = 1024
REDUCED, MASK = 1, 4  # bits of NewSubfileType: thumbnails and masks are no frames
SIZES = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 8: ("h", 2), 9: ("i", 4), 13: ("I", 4), 16: ("Q", 8), 17: ("q", 8)}
SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS, FORMAT = 322, 323, 324, 325, 339
TABLES = frozenset({STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS})
KINDS = {1: "u", 2: "i", 3: "f"}
WANTED = frozenset(
    {
        *(SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP),
        *(STRIP_COUNTS, PLANAR, PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS, FORMAT),
    }
)


@dataclass(frozen=True, kw_only=True)
class PageKind:
    """What pages of one stack have in common; `tile` is rows and columns of a tile, or of a strip."""

    height: int
    width: int
    bits: int
    sample_format: int
    samples: int
    compression: int
    predictor: int
    photometric: int
    tile: tuple[int, int]
    tiled: bool


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page: the place of its directory, and of its pixels where they lie unpacked in one piece (else None)."""

    directory: int
    kind: PageKind
    pixels: int | None


def page_dtype(kind: PageKind, order: str) -> np.dtype[Any] | None:
    """Type of unpacked pixels as stored; None where a decoder has to unpack them."""
    letter = KINDS.get(kind.sample_format)
    if letter is None or kind.bits not in ((16, 32, 64) if letter == "f" else (8, 16, 32, 64)):
        return None
    return np.dtype(f"{order}{letter}{kind.bits // 8}")


def walk_pages(path: Path) -> tuple[str, list[Page]]:
    """Find all pages but thumbnails and masks.

    Returns
    -------
    order : {"<", ">"}
        Byte order.
    pages : list of Page

    Raises
    ------
    CorruptFileError
        When a directory or pixels lie outside the file, or directories form a loop.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        walk = _Walk(path, content)
        return walk.order, walk.pages()


class _Walk:
    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self.path, self.content, self.size = path, content, len(content)
        self.order = {b"II": "<", b"MM": ">"}.get(content[:2], "<")
        magic = self._unpack("H", 2)[0] if self.size >= 8 else 0
        if magic not in (42, 43) or (magic == 43 and (self.size < 16 or self._unpack("HH", 4) != (8, 0))):
            raise CorruptFileError(path, "header", "that of a TIFF file", f"{content[:8]!r}")
        self.big = magic == 43
        self.kinds: dict[Any, tuple[PageKind, bool]] = {}
        self.spent = 0  # bytes of directories and tables walked: honest ones do not overlap

    def _unpack(self, form: str, place: int) -> tuple[Any, ...]:
        return struct.unpack_from(self.order + form, self.content, place)

    def pages(self) -> list[Page]:
        result: list[Page] = []
        number, seen = 0, set[int]()
        place = self._unpack("Q", 8)[0] if self.big else self._unpack("I", 4)[0]
        while place:
            number += 1
            if place in seen or number > MAX_FRAMES:
                raise self._broken(number, "a chain of directories", "one that comes back to itself")
            seen.add(place)
            tags, place_of_next = self._directory(place, number)
            subfile = self._values(tags, SUBFILE, number)
            if not (subfile and subfile[0] & (REDUCED | MASK)):
                result.append(self._page(place, tags, number))
            place = place_of_next
        if not result:
            raise CorruptFileError(self.path, "pages", "at least one", "none")
        return result

    def _broken(self, number: int, expected: str, found: str = "truncated or broken") -> CorruptFileError:
        return CorruptFileError(self.path, f"page {number}", expected, found)

    def _spend(self, n_bytes: int, number: int) -> None:
        self.spent += n_bytes
        if self.spent > 2 * self.size + 4096:
            raise self._broken(number, "directories of its own")

    def _directory(self, place: int, number: int) -> tuple[dict[int, tuple[int, int, int]], int]:
        """Give type, count and place of the value of each wanted tag, and the place of the next directory."""
        head, entry, tail = ("Q", 20, "Q") if self.big else ("H", 12, "I")
        start = place + (8 if self.big else 2)
        if start > self.size:
            raise self._broken(number, "a directory inside the file")
        count = self._unpack(head, place)[0]
        end = start + count * entry
        if count > MAX_TAGS or end + (8 if self.big else 4) > self.size:
            raise self._broken(number, f"a directory of at most {MAX_TAGS} tags inside the file")
        self._spend(count * entry, number)
        form = struct.Struct(self.order + ("HHQ8x" if self.big else "HHI4x"))
        tags = {}
        for index, (code, kind, length) in enumerate(form.iter_unpack(self.content[start:end])):
            if code in WANTED and code not in tags:
                tags[code] = (kind, length, start + index * entry + (12 if self.big else 8))
        return tags, self._unpack(tail, end)[0]

    def _values(self, tags: dict[int, tuple[int, int, int]], code: int, number: int) -> tuple[int, ...]:
        if code not in tags:
            return ()
        kind, count, place = tags[code]
        if kind not in SIZES:
            raise self._broken(number, "whole numbers", f"tag {code} of type {kind}")
        letter, item = SIZES[kind]
        n_bytes = count * item
        if n_bytes > (8 if self.big else 4):
            place = self._unpack("Q" if self.big else "I", place)[0]
            self._spend(n_bytes, number)
        if place + n_bytes > self.size:
            raise self._broken(number, "complete tables")
        return self._unpack(f"{count}{letter}", place)

    def _page(self, place: int, tags: dict[int, tuple[int, int, int]], number: int) -> Page:
        key = tuple((code, kind, self._unpack("Q" if self.big else "I", at)) for code, (kind, _, at) in tags.items())
        key = tuple(part for part in key if part[0] not in TABLES)
        if key not in self.kinds:
            self.kinds[key] = self._kind(tags, number)
        kind, plain = self.kinds[key]
        offsets = self._values(tags, TILE_OFFSETS if kind.tiled else STRIP_OFFSETS, number)
        counts = self._values(tags, TILE_COUNTS if kind.tiled else STRIP_COUNTS, number)
        n_bytes = kind.height * kind.width * kind.samples * kind.bits // 8
        if not counts and len(offsets) == 1 and kind.compression == 1:
            counts = (n_bytes,)
        expected = -(-kind.height // kind.tile[0]) * -(-kind.width // kind.tile[1])
        if kind.samples == 1 and not expected == len(offsets) == len(counts):
            found = f"of {len(offsets)} places, {len(counts)} sizes"
            raise self._broken(number, f"{expected} strips or tiles", found)
        ends = tuple(map(add, offsets, counts))
        if not ends or min(offsets) < 0 or min(counts) < 0 or max(ends) > self.size:
            raise self._broken(number, "complete")
        if not plain or ends[:-1] != offsets[1:] or sum(counts) < n_bytes:
            return Page(directory=place, kind=kind, pixels=None)
        if offsets[0] + n_bytes > self.size:
            raise self._broken(number, "complete")
        return Page(directory=place, kind=kind, pixels=offsets[0])

    def _kind(self, tags: dict[int, tuple[int, int, int]], number: int) -> tuple[PageKind, bool]:
        """Give the kind of a page and whether its pixels are stored unpacked, row after row."""

        def value(code: int, default: int) -> int:
            values = self._values(tags, code, number)
            return values[0] if values else default

        height, width, tiled = value(LENGTH, 0), value(WIDTH, 0), TILE_OFFSETS in tags
        kind = PageKind(
            height=height,
            width=width,
            bits=value(BITS, 1),
            sample_format=value(FORMAT, 1),
            samples=value(SAMPLES, 1),
            compression=value(COMPRESSION, 1),
            predictor=value(PREDICTOR, 1),
            photometric=value(PHOTOMETRIC, 1),
            tile=(value(TILE_LENGTH, 0), value(TILE_WIDTH, 0))
            if tiled
            else (min(value(ROWS_PER_STRIP, height), height), width),
            tiled=tiled,
        )
        if height < 1 or width < 1 or min(kind.tile) < 1:
            raise self._broken(number, "rows and columns", f"of {height} x {width} pixels")
        straight = kind.compression == 1 and kind.predictor == 1 and not tiled and value(FILL_ORDER, 1) == 1
        return kind, straight and page_dtype(kind, self.order) is not None
