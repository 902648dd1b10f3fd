"""Seeded damage to files: the same seed and number give the same mutation on every machine."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

import numpy as np

ABSURD = (
    *(0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 2**24, 2**27 + 1, 2**30, 2**31 - 1),
    *(2**31, 2**32 - 32, 2**32 - 2, 2**32 - 1, 2**32, 2**40, 2**53, 2**63 - 1, 2**63, 2**64 - 16, 2**64 - 1),
)
FORMS = ("B", "<H", ">H", "<I", ">I", "<Q", ">Q")
ODD_NUMBERS = (
    *("0", "-1", "1", "2", "1e308", "-1e308", "1e999", "nan", "inf", "-inf", "1e-320", "0.1", "255", "65536"),
    *("2147483648", "99999999999", "18446744073709551616", "9" * 400, "1" + "0" * 5000, "0x10", "1_0", "1,5", ""),
)
ODD_TEXTS = (
    *("null", "~", "true", "[]", "{}", "[[[[[[[[", "{{{{", "]", "}", ":", ",", ";;", "\t", "\n", "\n\n- ", "&a ", "*a"),
    *(
        "&a [*a]",
        "<<: *a",
        "!!python/object/apply:os.getcwd []",
        "!!binary x",
        "!!bool x",
        "!!float ''",
        "!!timestamp x",
        "? ",
        "| ",
        "'",
        '"',
        "\0",
        "\ud7ff",
    ),
    *("\ufeff", "<a>", "</a>", "<!DOCTYPE x>", "&lt;", "&#0;", "../..", "/", "con", "a" * 300, "٣", "½", "\u2028"),
)
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def mutated(content: bytes, seed: int, number: int, *, places: Sequence[int] = (), text: bool = False) -> bytes:
    """Damage a file in one to three ways.

    `places` are offsets of counts, sizes and offsets in its header: half of the hits go there, the others to bytes that
    are not zero, or anywhere. Of text, numbers and signs are replaced too.
    """
    rng = np.random.default_rng([seed, number])
    changed = bytearray(content)
    hot = np.flatnonzero(np.frombuffer(content, np.uint8))
    for _ in range(int(rng.choice((1, 1, 2, 3)))):
        if text and rng.random() < 0.7:
            _change_text(changed, rng)
        else:
            _change_bytes(changed, rng, places, hot, len(content))
        if not changed:
            return content[:1]
    return bytes(changed)


def number_places(content: bytes, stop: int | None = None) -> list[int]:
    """Even offsets before `stop` at which a small count, or an offset into the file, seems to be stored."""
    limit = len(content) + 64
    found = []
    for place in range(0, min(len(content), len(content) if stop is None else stop) - 8, 2):
        for form in FORMS[1:]:
            if 0 < struct.unpack_from(form, content, place)[0] <= limit:
                found.append(place)
                break
    return found


def _place(rng: np.random.Generator, places: Sequence[int], hot: np.ndarray, length: int) -> int:
    way = rng.random()
    if len(places) and way < 0.5:
        place = int(places[int(rng.integers(len(places)))])
    elif way < 0.85 and hot.size:
        place = int(hot[int(rng.integers(hot.size))])
    else:
        place = int(rng.integers(length))
    return min(place, length - 1)


def _change_bytes(
    changed: bytearray, rng: np.random.Generator, places: Sequence[int], hot: np.ndarray, whole: int
) -> None:
    place, kind = _place(rng, places, hot, len(changed)), int(rng.integers(10))
    if kind < 2:
        for _ in range(int(rng.integers(1, 5))):
            changed[place] ^= 1 << int(rng.integers(8))
            place = _place(rng, places, hot, len(changed))
    elif kind == 2:
        changed[place] = int(rng.integers(256))
    elif kind < 7:
        _put_number(changed, rng, place, whole)
    elif kind == 7:
        start = int(rng.integers(len(changed)))
        changed[place:place] = changed[start : start + int(rng.integers(1, 200))]
    elif kind == 8:
        del changed[place : place + int(rng.integers(1, 400 if rng.random() < 0.5 else len(changed) + 1))]
    elif rng.random() < 0.5:
        del changed[int(rng.integers(1, len(changed) + 1)) :]
    else:
        length = int(rng.integers(1, 65))
        changed[place : place + length] = bytes([int(rng.choice((0, 255)))]) * length


def _put_number(changed: bytearray, rng: np.random.Generator, place: int, whole: int) -> None:
    form = FORMS[int(rng.integers(len(FORMS)))]
    size = struct.calcsize(form)
    if place + size > len(changed):
        return
    way = rng.random()
    if way < 0.6:
        value = ABSURD[int(rng.integers(len(ABSURD)))]
    elif way < 0.8:
        value = whole + int(rng.integers(-64, 65))
    else:
        value = struct.unpack_from(form, changed, place)[0] + int(rng.choice((-1, 1, 8, -8, 256)))
    struct.pack_into(form, changed, place, value % 2 ** (8 * size))


def _change_text(changed: bytearray, rng: np.random.Generator) -> None:
    numbers = list(NUMBER.finditer(changed)) if rng.random() < 0.6 else []
    if numbers:
        start, stop = numbers[int(rng.integers(len(numbers)))].span()
        new = ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))]
    else:
        start = int(rng.integers(len(changed)))
        stop = start + int(rng.integers(0, 4))
        new = ODD_TEXTS[int(rng.integers(len(ODD_TEXTS)))]
    changed[start:stop] = new.encode()
