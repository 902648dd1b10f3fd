"""The few building blocks of a page; the template alone knows how they become HTML, and escapes every text."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Block",
    "Cell",
    "Code",
    "Fold",
    "Layers",
    "Missing",
    "Paragraph",
    "Picture",
    "Section",
    "Signatures",
    "Table",
    "Terms",
]


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


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Pictures of one frame on top of one another, to be shown and hidden, with the values under the pointer.

    Parameters
    ----------
    name : str
        Identifier on its page: letters, digits and hyphens.
    shape : tuple of int
        Rows and columns of the frame.
    pictures : tuple of (title, PNG, shown)
        From the bottom to the top; one pixel each for a pixel of the frame.
    outlines : tuple of (title, kind, SVG path, shown)
        Lines over the pictures in pixels from the corner of the frame; the kind is a style class.
    labels : tuple of (x, y, text)
        Texts at places in pixels, shown with the first outline.
    values : JSON text
        What the script shows under the pointer, see `thermo_qc.report.layers`.
    caption : str
        Under the pictures.
    """

    name: str
    shape: tuple[int, int]
    pictures: tuple[tuple[str, bytes, bool], ...]
    outlines: tuple[tuple[str, str, str, bool], ...]
    labels: tuple[tuple[float, float, str], ...]
    values: str
    caption: str
    block: str = "layers"

    @property
    def uris(self) -> tuple[str, ...]:
        """The PNGs as data URIs."""
        return tuple("data:image/png;base64," + base64.b64encode(png).decode("ascii") for _, png, _ in self.pictures)


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """Lines to sign on: role and printed name, if known."""

    lines: tuple[tuple[str, str], ...]
    block: str = "signatures"


Block: TypeAlias = "Paragraph | Missing | Code | Terms | Table | Picture | Fold | Layers | Signatures"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A titled part of the page with an anchor."""

    anchor: str
    title: str
    blocks: Sequence[Block]
    children: Sequence[Section] = ()
