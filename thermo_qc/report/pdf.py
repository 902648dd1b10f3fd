"""The report of a part as PDF, from the same sections as the HTML page, through ReportLab (optional package)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import matplotlib

from thermo_qc import __version__
from thermo_qc.errors import MissingDependencyError
from thermo_qc.io import atomic_path
from thermo_qc.report.blocks import (
    Block,
    Code,
    Fold,
    Layers,
    Missing,
    Paragraph,
    Picture,
    Section,
    Signatures,
    Table,
    Terms,
)
from thermo_qc.report.inspection_maps import PartMaps
from thermo_qc.report.inspection_page import BANNERS, part_sections, part_title

if TYPE_CHECKING:
    from reportlab.platypus import Flowable

__all__ = ["check_reportlab", "write_part_pdf"]

_FONT, _BOLD, _ITALIC = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"
_COLOURS = {"good": "#d9ecf7", "bad": "#f9d9c4", "review": "#fff6d6", "accept": "#d9ecf7", "reject": "#f9d9c4"}
_MARGIN_PT = 48.0
_LEAST_PT = 70.0  # of a table on the page of its caption
_HALF_PT = 320.0  # two pictures of this height fit on a page; a little larger ones are drawn smaller
_MOST_CHARACTERS = 3000  # of a cell; a longer one would not fit on a page
Styles = Mapping[str, Any]


def check_reportlab() -> None:
    """Refuse PDF where ReportLab is not installed.

    Raises
    ------
    MissingDependencyError
        With the pip line.
    """
    if find_spec("reportlab") is None:
        raise MissingDependencyError("reportlab", "writing reports as PDF")


def write_part_pdf(record: Mapping[str, Any], maps: PartMaps, path: Path) -> None:
    """Write the report of a part as PDF, A4, whole or not at all.

    Parameters
    ----------
    record : mapping
        See `thermo_qc.workflows.inspection_record`.
    maps : PartMaps
        What is drawn.
    path : Path
        PDF file.

    Raises
    ------
    MissingDependencyError
        When ReportLab is not installed.
    OutputError
        When the file cannot be written.
    """
    check_reportlab()
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    styles = _styles()
    title = f"Inspection: {part_title(record)}"
    story = [_text(title, styles["title"]), _text(f"Recording {record['recording']['name']}.", styles["body"])]
    story += _banner(record, styles, A4[0] - 2 * _MARGIN_PT)
    for section in part_sections(record, maps):
        story += _section(section, styles, A4[0] - 2 * _MARGIN_PT)
    packed = io.BytesIO()
    document = SimpleDocTemplate(
        packed,
        pagesize=A4,
        leftMargin=_MARGIN_PT,
        rightMargin=_MARGIN_PT,
        topMargin=_MARGIN_PT,
        bottomMargin=_MARGIN_PT,
        title=title,
        author=str(record["procedure"].get("people", {}).get("organisation") or ""),
        creator=f"thermo_qc {__version__}",
    )
    foot = f"{title[:90]} · thermo_qc {__version__} · inspected {record['written']}"

    def decorate(canvas: Any, page: Any) -> None:
        canvas.saveState()
        canvas.setFont(_FONT, 7)
        canvas.drawString(_MARGIN_PT, 0.6 * _MARGIN_PT, foot)
        canvas.drawRightString(A4[0] - _MARGIN_PT, 0.6 * _MARGIN_PT, f"page {page.page}")
        canvas.restoreState()

    document.build(story, onFirstPage=decorate, onLaterPages=decorate)
    with atomic_path(path) as temporary:
        temporary.write_bytes(packed.getvalue())


def _styles() -> Styles:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in (_FONT, _BOLD, _ITALIC):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    body = ParagraphStyle("body", fontName=_FONT, fontSize=8.5, leading=11.5, spaceAfter=4, splitLongWords=1)
    return {
        "body": body,
        "title": ParagraphStyle("title", parent=body, fontName=_BOLD, fontSize=16, leading=20, spaceAfter=6),
        "heading": ParagraphStyle(
            "heading", parent=body, fontName=_BOLD, fontSize=12, leading=15, spaceBefore=14, keepWithNext=1
        ),
        "caption": ParagraphStyle("caption", parent=body, fontName=_ITALIC, fontSize=7.5, leading=10, spaceBefore=4),
        "cell": ParagraphStyle("cell", parent=body, fontSize=7, leading=8.6, spaceAfter=0),
        "head": ParagraphStyle("head", parent=body, fontName=_BOLD, fontSize=7, leading=8.6, spaceAfter=0),
        "banner": ParagraphStyle("banner", parent=body, fontSize=10, leading=14, spaceAfter=0),
    }


def _text(text: str, style: Any) -> Flowable:
    from reportlab.platypus import Paragraph as Flow

    return Flow(escape(text), style)


def _banner(record: Mapping[str, Any], styles: Styles, width: float) -> list[Flowable]:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Paragraph as Flow
    from reportlab.platypus import Table as Grid

    verdict = record["verdict"]
    if verdict is None:
        return []
    word = BANNERS[verdict["word"]]
    more = len(verdict["reasons"]) - 1
    others = f" (and {more} more reason{'s' * (more > 1)})" if more else ""
    reason = escape(str(verdict["reasons"][0])[:_MOST_CHARACTERS] + others)
    text = Flow(f'<font name="{_BOLD}" size="14">{word}</font>&nbsp;&nbsp;{reason}', styles["banner"])
    look = [
        ("BACKGROUND", (0, 0), (-1, -1), HexColor(_COLOURS[verdict["word"]])),
        ("BOX", (0, 0), (-1, -1), 1, HexColor("#555555")),
        ("TOPPADDING", (0, 0), (-1, -1), 6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 8),
    ]
    return [Grid([[text]], colWidths=[width], style=look)]


def _section(section: Section, styles: Styles, width: float) -> list[Flowable]:
    from reportlab.platypus import CondPageBreak

    story: list[Flowable] = [CondPageBreak(2 * _LEAST_PT), _text(section.title, styles["heading"])]
    for block in section.blocks:
        story += _block(block, styles, width)
    for child in section.children:
        story += _section(child, styles, width)
    return story


def _block(block: Block, styles: Styles, width: float) -> list[Flowable]:
    from reportlab.platypus import CondPageBreak, KeepTogether

    match block:
        case Paragraph():
            flow = [_text(block.text, styles["body"])]
        case Missing():
            flow = [_text(f"Missing: {block.text}", styles["caption"])]
        case Code():
            flow = [_text(line, styles["body"]) for line in block.text.splitlines()]
        case Terms():
            flow = [_text(f"{term}: {meaning}", styles["body"]) for term, meaning in block.terms]
        case Table():
            flow = [CondPageBreak(_LEAST_PT), _text(block.caption, styles["caption"]), _table(block, styles, width)]
        case Picture():
            flow = [KeepTogether([_picture(block, width), _text(block.caption, styles["caption"])])]
        case Signatures():
            flow = [_signatures(block, styles, width)]
        case Fold():
            flow = [part for inner in block.blocks for part in _block(inner, styles, width)]
        case Layers():
            flow = []  # to be looked at on a screen; the pictures beside it say the same
    return flow


def _picture(block: Picture, width: float) -> Flowable:
    from reportlab.platypus import Image

    across, down = block.size
    shown = min(width, across * 0.62, 560.0 * across / down)
    if _HALF_PT < down * shown / across < 1.25 * _HALF_PT:
        shown = _HALF_PT * across / down
    return Image(io.BytesIO(block.png), width=shown, height=shown * down / across, hAlign="LEFT")


def _table(block: Table, styles: Styles, width: float) -> Flowable:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import LongTable

    rows = [[_text(name, styles["head"]) for name in block.header]]
    look: list[tuple[Any, ...]] = [
        ("GRID", (0, 0), (-1, -1), 0.4, HexColor("#cfd6dd")),
        ("BACKGROUND", (0, 0), (-1, 0), HexColor("#e9eff5")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        *((side, (0, 0), (-1, -1), 2.5) for side in ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING", "BOTTOMPADDING")),
    ]
    texts = [list(block.header)]
    for number, row in enumerate(block.rows, start=1):
        words = [cell if isinstance(cell, str) else cell.text for cell in row]
        rows.append([_text(word[:_MOST_CHARACTERS], styles["cell"]) for word in words])
        texts.append(words)
        for column, cell in enumerate(row):
            colour = None if isinstance(cell, str) else _COLOURS.get(cell.kind)
            if colour is not None:
                look.append(("BACKGROUND", (column, number), (column, number), HexColor(colour)))
    if not block.rows:
        rows.append([_text("nothing to list", styles["cell"])] + [_text("", styles["cell"])] * (len(block.header) - 1))
    return LongTable(rows, colWidths=_widths(texts, width), repeatRows=1, style=look, hAlign="LEFT", splitInRow=1)


def _widths(texts: Sequence[Sequence[str]], width: float) -> list[float]:
    """Widths of columns after their longest word and their text, within the page."""
    least, wanted = [], []
    for column in zip(*texts, strict=True):
        longest = max(len(word) for text in column for word in (text.split() or [""]))
        least.append(9.0 + 4.9 * min(longest, 20))
        wanted.append(8.0 + 4.6 * min(max(len(text) for text in column), 110))
    if sum(wanted) <= width:
        return wanted
    shrink = min(1.0, width / sum(least))
    floor = [shrink * value for value in least]
    room, more = width - sum(floor), [max(0.0, a - b) for a, b in zip(wanted, floor, strict=True)]
    share = room / sum(more) if sum(more) > 0 else 0.0
    return [a + max(0.0, share) * b for a, b in zip(floor, more, strict=True)]


def _signatures(block: Signatures, styles: Styles, width: float) -> Flowable:
    from reportlab.lib.colors import black
    from reportlab.platypus import Table as Grid

    n = len(block.lines)
    texts = [_text(f"{role}{f': {name}' if name else ''}", styles["cell"]) for role, name in block.lines]
    hints = [_text("name, signature, date", styles["caption"]) for _ in block.lines]
    gap = 14.0
    columns = [value for _ in range(n) for value in ((width - gap * (n - 1)) / n, gap)][:-1]
    rows: list[list[Any]] = [[""] * len(columns), _spread(texts), _spread(hints)]
    lines = [("LINEABOVE", (2 * column, 1), (2 * column, 1), 0.8, black) for column in range(n)]
    return Grid(rows, colWidths=columns, rowHeights=[46.0, None, None], style=lines)


def _spread(items: Sequence[Any]) -> list[Any]:
    return [value for item in items for value in (item, "")][:-1]
