"""Pages of inspections as HTML: one of each part, one of all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from thermo_qc import __version__
from thermo_qc.io import write_text
from thermo_qc.report.blocks import Block, Missing, Paragraph, Section, Table
from thermo_qc.report.inspection_maps import PartMaps
from thermo_qc.report.inspection_page import BANNERS, part_sections, part_title

__all__ = ["write_batch_page", "write_part_page"]

_MOST_UNLISTED = 200
_LEAD = "Inspection by active infrared thermography."


def write_part_page(record: Mapping[str, Any], maps: PartMaps, path: Path) -> None:
    """Write the page of one part, whole or not at all.

    Parameters
    ----------
    record : mapping
        See `thermo_qc.workflows.inspection_record`.
    maps : PartMaps
        What is drawn.
    path : Path
        HTML file.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    script = (resources.files("thermo_qc.report") / "templates" / "layers.js").read_text("utf-8")
    verdict = record["verdict"]
    banner = None
    if verdict is not None:
        first = str(verdict["reasons"][0])
        more = len(verdict["reasons"]) - 1
        others = f" (and {more} more reason{'s' * (more > 1)})" if more > 0 else ""
        text = f"{first}{others}"
        banner = {"kind": verdict["word"], "word": BANNERS[verdict["word"]], "text": text}
    page = _render(
        title=f"Inspection: {part_title(record)}",
        lead=f"{_LEAD} Recording {record['recording']['name']}.",
        banner=banner,
        sections=part_sections(record, maps),
        parts=(),
        script=script,
    )
    write_text(path, page)


def write_batch_page(
    records: Sequence[Mapping[str, Any]],
    failures: Sequence[tuple[str, str]],
    path: Path,
    *,
    unlisted: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page of a folder of results.

    Parameters
    ----------
    records : sequence of mapping
        Of the parts.
    failures : sequence of (recording, reason)
        What could not be done.
    path : Path
        HTML file; parts' pages are linked relative to its folder.
    unlisted : sequence of (result, reason)
        Results in the folder that are not among the records.
    """
    counts = {word: sum((record["verdict"] or {}).get("word") == word for record in records) for word in BANNERS}
    judged = sum(counts.values())
    blocks: list[Block] = []
    if judged:
        said = ", ".join(f"{count} {BANNERS[word]}" for word, count in counts.items())
        blocks.append(
            Paragraph(
                text=f"{_count(judged, 'part')} with a verdict: {said}; {_count(len(failures), 'recording')} failed."
            )
        )
    else:
        blocks.append(Paragraph(text="No criteria were given, so there are no verdicts: standards set none."))
    failed: list[Block] = [Paragraph(text="Every recording could be inspected.")]
    if failures:
        header = ("recording", "reason")
        failed = [
            Missing(text="these recordings have no result, so nothing is said about their parts."),
            Table(caption="Recordings that failed.", header=header, rows=tuple(failures)),
        ]
    parts = [_part_row(record, path.parent) for record in records]
    page = _render(
        title="Inspection of a batch",
        lead=f"{_LEAD} {_count(len(records), 'part')}.",
        banner=None,
        sections=[
            Section(anchor="parts", title="Parts", blocks=blocks),
            Section(anchor="failures", title="Recordings that failed", blocks=failed),
            *_unlisted(unlisted),
        ],
        parts=parts,
        script="",
    )
    write_text(path, page)


def _unlisted(results: Sequence[tuple[str, str]]) -> list[Section]:
    """Name the results that lie in the folder and are not among the parts; no section where there is none."""
    if not results:
        return []
    shown = [(stem, f"{reason[0].upper()}{reason[1:]}.") for stem, reason in results[:_MOST_UNLISTED]]
    more = len(results) - len(shown)
    caption = "Results in this folder that are not among the parts above." + (f" {more} more." if more else "")
    blocks: list[Block] = [
        Missing(text=f"{_count(len(results), 'result')} in this folder could not be listed with the parts."),
        Table(caption=caption, header=("result", "reason"), rows=tuple(shown)),
    ]
    return [Section(anchor="unlisted", title="Results without a valid inspection", blocks=blocks)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _part_row(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    verdict = record["verdict"]
    kinds = {"accept": "good", "reject": "bad", "review": "review"}
    stem = Path(str(record["result"]))
    page = stem.with_name(f"{stem.name}.html")
    return {
        "title": part_title(record),
        "recording": str(record["recording"]["name"]),
        "link": quote(page.as_posix()) if (folder / page).is_file() else "",
        "verdict": "–" if verdict is None else BANNERS[verdict["word"]],
        "kind": "unknown" if verdict is None else kinds[verdict["word"]],
        "indications": sum(not one["suspect"] for one in record["indications"]),
        "reason": "" if verdict is None else str(verdict["reasons"][0]),
    }


def _render(**content: Any) -> str:
    environment = Environment(
        loader=PackageLoader("thermo_qc.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = str(content["script"])
    return environment.get_template("inspection.html.j2").render(
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **content,
    )
