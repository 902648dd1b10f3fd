"""Check the tags of a MATLAB 5 file before SciPy reads it: its compiled code trusts them and can crash."""

from __future__ import annotations

import math
import struct
import zlib
from itertools import pairwise
from pathlib import Path

from thermo_qc.errors import CorruptFileError
from thermo_qc.io.lazy import check_declared_size, most_bytes

__all__ = ["check_matlab5"]

SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
TEXT_TYPES = frozenset({*SIZES, 16, 17, 18})
INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
CELL, STRUCT, OBJECT, CHAR, SPARSE, NUMERIC, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, range(6, 16), 16, 17
COMPLEX_FLAG, LOGICAL_FLAG = 0x0800, 0x0200
HEADER_BYTES = 128
MAX_NESTING = 32
MAX_BYTES = 2**32


def check_matlab5(path: Path) -> None:
    """Refuse a MATLAB 5 file whose variables are truncated or contradict themselves.

    Of variables that are neither numbers, text, cells nor structs only the header counts: they are never loaded, but
    inside cells and structs they are.

    Raises
    ------
    CorruptFileError
        When a tag is impossible, or a compressed variable is broken or far larger than a recording.

    References
    ----------
    MAT-File Format, The MathWorks, version 5 section ("MAT-File Level 5").
    """
    content = memoryview(path.read_bytes())
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:128]))
    if order is None:
        raise CorruptFileError(path, "header", "the byte order mark IM or MI", f"{bytes(content[126:128])!r}")
    walk = _Walk(path, order)
    place = HEADER_BYTES
    while place < len(content):
        kind, data, place = walk.element(content, place, padded=False)
        if kind == COMPRESSED:
            inside = memoryview(_inflate(path, data))
            kind, data, _ = walk.element(inside, 0)
        if kind != MATRIX:
            raise CorruptFileError(path, "variable", f"data type {MATRIX} (matrix)", kind)
        walk.matrix(data, 0)


def _inflate(path: Path, data: memoryview) -> bytes:
    machine = zlib.decompressobj()
    try:
        result = machine.decompress(data, min(MAX_BYTES, most_bytes(len(data)) + 1))
    except zlib.error as error:
        raise CorruptFileError(path, "compressed variable", "complete", f"broken ({error})") from None
    check_declared_size(path, "compressed variable", (len(result),), 1, len(data))
    if not machine.eof:
        raise CorruptFileError(path, "compressed variable", "complete", "truncated")
    return result


class _Walk:
    """Walk through nested elements of one file in one byte order."""

    def __init__(self, path: Path, order: str) -> None:
        self.path, self.order = path, order

    def element(self, view: memoryview, place: int, padded: bool = True) -> tuple[int, memoryview, int]:
        """Give data type, data and the place behind it of the element at `place`."""
        if place + 8 > len(view):
            raise CorruptFileError(self.path, "element", "complete", "truncated")
        kind, size = struct.unpack_from(f"{self.order}II", view, place)
        if kind >> 16:  # at most four bytes, beside their tag
            kind, size, start, after = kind & 0xFFFF, kind >> 16, place + 4, place + 8
            if size > 4:
                raise CorruptFileError(self.path, "small element", "of at most 4 bytes", f"of {size}")
        else:
            start = place + 8
            after = start + (-(-size // 8) * 8 if padded and kind != COMPRESSED else size)
        if start + size > len(view):
            raise CorruptFileError(self.path, "element", f"of {size} bytes", f"truncated after {len(view) - start}")
        return kind, view[start : start + size], after

    def matrix(self, view: memoryview, level: int) -> None:
        """Check one array with all that it holds; an empty element is an empty array."""
        if len(view) == 0:
            return
        if level > MAX_NESTING:
            raise CorruptFileError(self.path, "variable", f"at most {MAX_NESTING} levels deep", "deeper")
        flags, place = self._numbers(view, 0, UINT32, "array flags")
        klass, is_complex = flags[0] & 0xFF, bool(flags[0] & COMPLEX_FLAG)
        if flags[0] & LOGICAL_FLAG and klass not in (SPARSE, *NUMERIC):
            raise CorruptFileError(self.path, "array flags", "logical numbers", f"logical of class {klass}")
        if klass == OPAQUE:
            self._opaque(view, place, level)
            return
        lengths, place = self._numbers(view, place, INT32, "dimensions")
        if len(lengths) < 2 or min(lengths) < 0:
            raise CorruptFileError(self.path, "dimensions", "two or more lengths", lengths)
        kind, _, place = self.element(view, place)
        self._expect(kind == INT8, "array name", kind)
        count = math.prod(lengths)
        if klass in (CELL, STRUCT) or (klass in (OBJECT, FUNCTION) and level > 0):
            self._parts(view, place, klass, count, level)
        elif klass == CHAR or klass in NUMERIC:
            for _ in range(2 if is_complex else 1):
                place = self._values(view, place, klass, lengths)
        elif level > 0 or klass == SPARSE:
            self._expect(klass == SPARSE and len(lengths) == 2, "array class", klass)
            self._sparse(view, place, (lengths[0], lengths[1]), is_complex)

    def _parts(self, view: memoryview, place: int, klass: int, count: int, level: int) -> None:
        """Check the arrays in a cell, struct, object or function."""
        if klass == OBJECT:
            kind, _, place = self.element(view, place)
            self._expect(kind == INT8, "class name", kind)
        if klass in (STRUCT, OBJECT):
            count *= self._fields(view, place)
            place = self.element(view, self.element(view, place)[2])[2]
        for _ in range(1 if klass == FUNCTION else count):
            kind, data, place = self.element(view, place)
            self._expect(kind == MATRIX, "cell or field", kind)
            self.matrix(data, level + 1)

    def _opaque(self, view: memoryview, place: int, level: int) -> None:
        """Check an object of MATLAB's newer kind: three names and an array."""
        for _ in range(3):
            kind, _, place = self.element(view, place)
            self._expect(kind == INT8, "class name", kind)
        kind, data, _ = self.element(view, place)
        self._expect(kind == MATRIX, "object", kind)
        self.matrix(data, level + 1)

    def _values(self, view: memoryview, place: int, klass: int, lengths: tuple[int, ...]) -> int:
        kind, data, place = self.element(view, place)
        self._expect(kind in (TEXT_TYPES if klass == CHAR else SIZES), "values", kind)
        wanted = math.prod(lengths) * SIZES.get(kind, 0)
        if klass != CHAR and len(data) != wanted:
            raise CorruptFileError(self.path, "values", f"{wanted} bytes for shape {lengths}", f"{len(data)} bytes")
        return place

    def _sparse(self, view: memoryview, place: int, lengths: tuple[int, int], is_complex: bool) -> None:
        """Check a sparse matrix: the row of each value, where each column starts, and the values."""
        rows, place = self._numbers(view, place, INT32, "rows of a sparse matrix", empty=True)
        starts, place = self._numbers(view, place, INT32, "columns of a sparse matrix")
        n_values = starts[-1]
        right = len(starts) == lengths[1] + 1 and starts[0] == 0 and n_values <= len(rows)
        right = right and all(low <= high for low, high in pairwise(starts))
        self._expect(right and all(0 <= row < lengths[0] for row in rows[:n_values]), "sparse matrix", SPARSE)
        for _ in range(2 if is_complex else 1):
            kind, data, place = self.element(view, place)
            self._expect(kind in SIZES and len(data) >= n_values * SIZES[kind], "sparse matrix", kind)

    def _numbers(
        self, view: memoryview, place: int, wanted: int, what: str, empty: bool = False
    ) -> tuple[tuple[int, ...], int]:
        kind, data, after = self.element(view, place)
        self._expect(kind == wanted and len(data) % 4 == 0 and (empty or len(data) > 0), what, kind)
        return struct.unpack(f"{self.order}{len(data) // 4}{'I' if wanted == UINT32 else 'i'}", data), after

    def _fields(self, view: memoryview, place: int) -> int:
        (length,), place = self._numbers(view, place, INT32, "length of field names")
        kind, names, _ = self.element(view, place)
        self._expect(kind == INT8 and length > 0 and len(names) % length == 0, "field names", kind)
        return len(names) // length

    def _expect(self, right: bool, what: str, kind: int) -> None:
        if not right:
            raise CorruptFileError(self.path, what, "as MATLAB writes them", f"different (data type {kind})")
