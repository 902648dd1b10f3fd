"""The few building blocks of a page; the template alone knows how they become HTML, and escapes every text."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Block", "Cell", "Code", "Fold", "Missing", "Paragraph", "Picture", "Section", "Table", "Terms"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table; `kind` is "good", "bad", "unknown", "number" or empty, and colours it beside its text."""

    text: str
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str
    block: str = "paragraph"


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A statement that something is missing, and why."""

    text: str
    block: str = "missing"


@dataclass(frozen=True, kw_only=True)
class Code:
    """Text to be shown as it is."""

    text: str
    block: str = "code"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """A list of terms with their meanings."""

    terms: tuple[tuple[str, str], ...]
    block: str = "terms"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: `rows` of `Cell` or str; the first column heads its row."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    block: str = "table"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG inside the page."""

    png: bytes
    alt: str
    caption: str
    block: str = "picture"

    @property
    def uri(self) -> str:
        """The PNG as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        width, height = struct.unpack(">II", self.png[16:24])
        return width, height


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Blocks under a line that opens and closes them."""

    summary: str
    blocks: tuple[Block, ...]
    opened: bool = False
    block: str = "fold"


Block: TypeAlias = "Paragraph | Missing | Code | Terms | Table | Picture | Fold"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A titled part of the page with an anchor."""

    anchor: str
    title: str
    blocks: Sequence[Block]
    children: Sequence[Section] = ()
