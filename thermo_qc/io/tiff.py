"""TIFF files (also BigTIFF): pages are frames; OME and ImageJ say more, and files of thermo_qc say everything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from thermo_qc.errors import AmbiguousInputError, CorruptFileError, TruthError
from thermo_qc.io.files import plain_json
from thermo_qc.io.found import Found
from thermo_qc.io.lazy import FileFrames, check_declared_size
from thermo_qc.io.metadata import defects_from_json, found_from_json, truth_from_maps
from thermo_qc.io.reader import Reader, assemble, check_options, load_when_small, reading
from thermo_qc.io.strided import StridedFrames
from thermo_qc.io.tiff_frames import LinearFrames, plain_frames, quiet_tifffile, stack_of
from thermo_qc.io.tiff_notes import Notes, imagej_notes, ome_notes
from thermo_qc.io.tiff_pages import Page, walk_pages
from thermo_qc.sequence import HistoryEntry, ThermalSequence, Truth

__all__ = ["READER", "TRUTH_IMAGES", "open_tiff"]

TRUTH_IMAGES = ("defect_index", "depth_mm")
FRAME_RATE_TAG, SERIAL_TAG, XMP_TAG = 51044, 50735, 700


@dataclass(frozen=True, kw_only=True)
class FirstPage:
    """What only the tags of the first page say."""

    dtype: np.dtype[Any]
    description: str
    resolution: tuple[float, float] | None
    camera: str
    frame_rate_hz: float | None


def open_tiff(path: Path, **options: Any) -> ThermalSequence:
    """Open a TIFF file. Options are fields of `Facts` without `variable` and `axes`.

    The time base is that of OME (DeltaT of each plane, else TimeIncrement), of ImageJ (finterval, fps) or the tag
    FrameRate; the pixel pitch is OME's PhysicalSizeX or ImageJ's scale where its unit is a length. The numbers are
    counts unless ImageJ's straight calibration line, or thermo_qc itself, says what they are.

    Raises
    ------
    AmbiguousInputError
        When pages differ in size or type, or there are planes in depth or channels beside or instead of times.
    CorruptFileError
        When pages or pixels are missing.
    """
    facts = check_options(path, "the TIFF format", options)
    with reading(path, "TIFF"):
        order, pages = walk_pages(path)
        first = _first_page(path)
        notes = _notes(path, first, len(pages))
        chosen = pages if notes.pages is None else [pages[place] for place in notes.pages]
        _check_kinds(path, chosen)
        frames = _frames(path, order, chosen, first, notes)
        found = _found(path, order, pages, frames, first, notes)
        source = frames if isinstance(frames, StridedFrames) and frames.nbytes > 2**26 else load_when_small(frames)
    return assemble(path, source, found, facts, READER.name)


def _first_page(path: Path) -> FirstPage:
    with quiet_tifffile(path), tifffile.TiffFile(path, _multifile=False) as tiff:
        page = tiff.pages[0]
        if page.dtype is None:
            found = f"of {page.bitspersample} bits in sample format {page.sampleformat}"
            raise CorruptFileError(path, "pixels", "whole numbers or floats", found, "export 8, 16 or 32 bits")
        tags = page.tags
        rate = _ratio(tags.valueof(FRAME_RATE_TAG))
        parts = [_ratio(tags.valueof(name)) for name in ("XResolution", "YResolution")]
        serial = tags.valueof(SERIAL_TAG)
        camera = _xmp_camera(tags.valueof(XMP_TAG))
        return FirstPage(
            dtype=np.dtype(page.dtype),
            description=page.description or "",
            resolution=(parts[0], parts[1]) if parts[0] and parts[1] else None,
            camera=f"{camera} ({serial})" if camera and serial else camera,
            frame_rate_hz=rate if rate and 1e-5 <= rate <= 1e6 else None,
        )


def _ratio(value: Any) -> float | None:
    ok = isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, int) for part in value) and value[1]
    return value[0] / value[1] if ok else None


def _xmp_camera(value: Any) -> str:
    """Camera that the XMP packet names; it is searched as text, for it may be padded."""
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else ""
    inside = text.partition("cameraModel>")[2].partition("<")[0]
    return inside.strip()[:80] if inside.isprintable() else ""


def _notes(path: Path, first: FirstPage, n_pages: int) -> Notes:
    text = first.description.strip()
    if text.startswith("ImageJ="):
        return imagej_notes(path, text, first.resolution, n_pages)
    if text.startswith(("<?xml", "<OME")) and "<OME" in text[:2000]:
        return ome_notes(path, text, n_pages)
    if text.startswith('{"shape"') and n_pages == 1:  # one page with the pixels of all behind it, by tifffile
        content = json.loads(text)
        shape = content.get("shape")
        if content.get("truncated") and isinstance(shape, list) and len(shape) == 3 and isinstance(shape[0], int):
            return Notes(stored=shape[0])
    return Notes()


def _check_kinds(path: Path, pages: list[Page]) -> None:
    kinds = list(dict.fromkeys(page.kind for page in pages))
    if len(kinds) > 1:
        counts = [sum(page.kind == kind for page in pages) for kind in kinds]
        listed = ", ".join(
            f"{count} x {kind.height} x {kind.width}" if count > 1 else f"{kind.height} x {kind.width}"
            for kind, count in zip(kinds[:10], counts, strict=False)
        )
        raise AmbiguousInputError(
            f"{path} holds {len(kinds)} stacks ({listed}); export pages of one size and type alone"
        )
    if kinds[0].samples != 1:
        raise CorruptFileError(path, "pages", "one grey channel", "in colour", "export radiometric or grey frames")


def _frames(path: Path, order: str, pages: list[Page], first: FirstPage, notes: Notes) -> FileFrames:
    kind = pages[0].kind
    n_frames = notes.stored or len(pages)
    shape = (n_frames, kind.height, kind.width)
    check_declared_size(path, "pages", shape, first.dtype.itemsize, path.stat().st_size)
    if notes.stored is not None:
        frames = plain_frames(path, order, pages[0], notes.stored)
    else:
        frames = stack_of(path, order, pages, first.dtype)
    if notes.factor is not None and (notes.factor, notes.offset) != (1.0, 0.0):
        return LinearFrames(frames, notes.factor, notes.offset)
    return frames


def _found(path: Path, order: str, pages: list[Page], frames: FileFrames, first: FirstPage, notes: Notes) -> Found:
    n_frames = frames.shape[0]
    times, name = notes.times_s, notes.times_field
    if times is None:
        interval = notes.interval_s
        if interval is None and first.frame_rate_hz is not None:
            interval, name = 1 / first.frame_rate_hz, "tag FrameRate"
        if interval is None and n_frames == 1:
            interval = 1.0  # the time of a single frame is zero in any case
        times = None if interval is None else np.arange(n_frames, dtype=np.float64) * interval
    if notes.own is not None:
        return _own_found(path, order, pages, notes)
    unit = notes.unit or "counts"
    said = "the file has no calibration" if notes.unit is None else "by ImageJ's calibration line"
    details = {
        "unit": f"{unit}: {said}",
        "times": name if times is not None and n_frames > 1 else None,
        "factor": notes.factor,
        "offset": notes.offset if notes.factor is not None else None,
    }
    return Found(
        times_s=times,
        times_field=name or "time axis",
        unit=unit,
        pixel_pitch_mm=notes.pixel_pitch_mm,
        camera=first.camera,
        history=(HistoryEntry(step="open_tiff", parameters=plain_json(details)),),
    )


def _own_found(path: Path, order: str, pages: list[Page], notes: Notes) -> Found:
    """Undo what `thermo_qc.io.tiff_write` noted."""
    try:
        content = json.loads(notes.own or "")
        times = np.array(content.pop("times_s"), dtype=np.float64)
        defects = content.pop("defects", None)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorruptFileError(path, "annotation", "JSON of thermo_qc with times_s", "broken") from None
    truth: Truth | None = None
    if defects is not None:
        index, depth = (_map(path, order, pages, notes, name) for name in TRUTH_IMAGES)
        try:
            truth = truth_from_maps(index, depth, defects_from_json(path, defects))
        except TruthError as error:
            raise CorruptFileError(path, "truth", "maps and table that agree", f"contradictory ({error})") from None
    return found_from_json(path, content, times, "times_s of the annotation", truth)


def _map(path: Path, order: str, pages: list[Page], notes: Notes, name: str) -> NDArray[Any]:
    places = notes.images.get(name, ())
    if len(places) != 1:
        raise CorruptFileError(path, f"image {name}", "one page", f"{len(places)} pages")
    page = pages[places[0]]
    return stack_of(path, order, [page], np.dtype(np.float64))[0]


READER = Reader(
    name="TIFF",
    extensions=(".tif", ".tiff"),
    matches=lambda header: header[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    open=open_tiff,
    tried_on="one real radiometric page; stacks made by tifffile",
)
