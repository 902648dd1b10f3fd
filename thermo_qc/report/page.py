"""Sections to one HTML page that is complete in itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from thermo_qc import __version__
from thermo_qc.report.blocks import Section

__all__ = ["render_page"]


def render_page(*, title: str, lead: str, sections: Sequence[Section]) -> str:
    """Render a page; every text is escaped, pictures and style are inside, and it runs no script.

    Parameters
    ----------
    title, lead : str
        Heading, and the sentence under it.
    sections : sequence of Section
        What it holds.

    Returns
    -------
    str
        HTML.
    """
    environment = Environment(
        loader=PackageLoader("thermo_qc.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title=title,
        lead=lead,
        sections=sections,
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
