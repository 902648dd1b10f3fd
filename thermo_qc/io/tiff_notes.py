"""What the description of a TIFF file says about its pages: OME-XML and the lines of ImageJ."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import AmbiguousInputError, CorruptFileError
from thermo_qc.io.lazy import MAX_FRAMES
from thermo_qc.sequence import Unit

__all__ = ["OWN_NAMESPACE", "Notes", "imagej_notes", "length_mm", "ome_notes"]

logger = logging.getLogger(__name__)

OWN_NAMESPACE = "thermo_qc"
SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("µs", "μs", "us", "usec", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nsec"), 1e-9),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
}
MILLIMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "\\u00b5m", "micrometer"), 1e-3),
    **dict.fromkeys(("nm", "nanometer"), 1e-6),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 10.0),
    **dict.fromkeys(("m", "meter", "metre"), 1e3),
    **dict.fromkeys(("in", "inch", "inches"), 25.4),
}
UNITS: dict[str, Unit] = {
    **dict.fromkeys(("k", "kelvin", "temp(k)", "temperature (k)", "temperature [k]"), "K"),
    **dict.fromkeys(
        ("c", "°c", "degc", "deg c", "celsius", "temp(c)", "temperature (c)", "temperature [°c]", "temperature (°c)"),
        "degC",
    ),
}
SQUARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What a description says; None where it is silent.

    `pages` are the numbers of the pages that are frames, in their order; `stored` is the number of frames behind one
    page; `factor` and `offset` turn the stored numbers into `unit`; `own` is the text that thermo_qc put there, and
    `images` the pages of each named image.
    """

    pages: tuple[int, ...] | None = None
    stored: int | None = None
    times_s: NDArray[np.float64] | None = None
    interval_s: float | None = None
    times_field: str = ""
    pixel_pitch_mm: float | None = None
    factor: float | None = None
    offset: float = 0.0
    unit: Unit | None = None
    own: str | None = None
    images: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def length_mm(value: float | None, unit: str) -> float | None:
    """Turn a length into millimetres; None for pixels and other units that are no length."""
    scale = MILLIMETRES.get(unit.strip().lower())
    usable = value is not None and scale is not None and math.isfinite(value) and value > 0
    return float(f"{value * scale:.9g}") if usable and value is not None and scale is not None else None


def _pitch(path: Path, x_mm: float | None, y_mm: float | None) -> float | None:
    if x_mm is not None and y_mm is not None and abs(x_mm - y_mm) > SQUARE * x_mm:
        logger.warning("%s: pixels are %g x %g mm and not square; give pixel_pitch_mm", path, x_mm, y_mm)
        return None
    return x_mm


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def imagej_notes(path: Path, description: str, resolution: tuple[float, float] | None, n_pages: int) -> Notes:
    """Read the lines that ImageJ writes (``images=60``, ``finterval=0.1``, ...).

    Parameters
    ----------
    path : Path
        For messages.
    description : str
        Text of the first page, which starts with ``ImageJ=``.
    resolution : tuple of float, optional
        Pixels per unit along x and y, from the tags of the page.
    n_pages : int
        Pages in the file.

    Raises
    ------
    AmbiguousInputError
        When there are channels, slices and frames, or two of them.
    """
    values = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    counts = {name: _count(path, values, name) for name in ("images", "frames", "slices", "channels")}
    t, z, c = (counts[name] for name in ("frames", "slices", "channels"))
    if sum(count > 1 for count in (t, z, c)) > 1:
        _refuse_planes(path, "ImageJ's stack", t, z, c)
    if z > 1 or c > 1:  # whoever did not say what the pages are has a stack of slices, or of channels by tifffile
        logger.warning("%s: ImageJ's stack says %d slices, %d channels; its pages are taken for frames", path, z, c)
    n_frames = counts["images"]
    if n_pages not in (1, n_frames):
        raise CorruptFileError(path, "pages", f"{n_frames} as ImageJ's description says", f"{n_pages}")
    interval = _number(values.get("finterval"))
    if interval is None and (rate := _number(values.get("fps"))) and rate > 0:
        interval = 1 / rate
    elif interval is not None:
        interval *= SECONDS.get(values.get("tunit", "s").strip().lower(), math.nan)
    unit = values.get("unit", "").strip()
    x_mm, y_mm = (length_mm(1 / part, unit) if part > 0 else None for part in resolution or (0.0, 0.0))
    offset, factor = (_number(values.get(name)) for name in ("c0", "c1"))
    straight = values.get("cf", "").strip() == "0" and offset is not None and factor is not None
    return Notes(
        stored=n_frames if n_pages == 1 and n_frames > 1 else None,
        interval_s=interval if interval and math.isfinite(interval) and interval > 0 else None,
        times_field="ImageJ finterval",
        pixel_pitch_mm=_pitch(path, x_mm, y_mm),
        factor=factor if straight else None,
        offset=offset if straight and offset is not None else 0.0,
        unit=UNITS.get(values.get("vunit", "").strip().lower()) if straight else None,
    )


def _count(path: Path, values: Mapping[str, str], name: str) -> int:
    text = values.get(name, "1").strip()
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= MAX_FRAMES):
        raise CorruptFileError(path, f"ImageJ's {name}", f"a number from 1 to {MAX_FRAMES}", f"'{text[:20]}'")
    return int(text)


def _refuse_planes(path: Path, what: str, t: int, z: int, c: int) -> None:
    """Refuse planes whose axis is not time."""
    if z > 1 or c > 1:
        raise AmbiguousInputError(
            f"{path}: {what} has {t} times, {z} planes in depth and {c} channels, so which pages are frames over time "
            "is open; export one plane and one channel with the frames along the time axis"
        )


def ome_notes(path: Path, description: str, n_pages: int) -> Notes:
    """Read the OME-XML of a file.

    Parameters
    ----------
    path : Path
        The file.
    description : str
        Text of the first page.
    n_pages : int
        Pages in the file.

    Raises
    ------
    AmbiguousInputError
        When the file holds several images, or planes in depth or channels.
    CorruptFileError
        When the XML is broken or names pages that are not there.

    References
    ----------
    Goldberg et al., The Open Microscopy Environment (OME) Data Model and XML file, Genome Biology 6, R47, 2005,
    doi:10.1186/gb-2005-6-5-r47.
    """
    if "<!DOCTYPE" in description.upper() or "<!ENTITY" in description.upper():
        raise CorruptFileError(path, "OME-XML", "plain XML", "XML with a DOCTYPE or entities")
    try:
        root = ElementTree.fromstring(description)
    except (ElementTree.ParseError, ValueError) as error:
        raise CorruptFileError(path, "OME-XML", "well-formed XML", f"broken ({error})") from None
    images = {}
    for number, image in enumerate(_named(root, "Image")):
        pixels = next(iter(_named(image, "Pixels")), None)
        if pixels is not None:
            name = image.get("Name", "") if number else "frames"
            images[name if name and name not in images else f"image {number + 1}"] = pixels
    own = next(
        (
            next((value.text or "" for value in _named(note, "Value")), "")
            for notes in _named(root, "StructuredAnnotations")
            for note in _named(notes, "CommentAnnotation")
            if note.get("Namespace") == OWN_NAMESPACE
        ),
        None,
    )
    if not images:
        raise CorruptFileError(path, "OME-XML", "an image with pixels", "without one")
    if len(images) > 1 and own is None:
        raise AmbiguousInputError(f"{path} holds {len(images)} images ({', '.join(images)}); export one alone")
    places = {name: _pages(path, root, pixels, n_pages) for name, pixels in images.items()}
    pixels = images["frames"]
    times, interval = _ome_times(pixels, len(places["frames"]))
    x_mm, y_mm = (
        length_mm(_number(pixels.get(f"PhysicalSize{axis}")), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "XY"
    )
    return Notes(
        pages=places["frames"],
        times_s=times,
        interval_s=interval,
        times_field="OME DeltaT" if times is not None else "OME TimeIncrement",
        pixel_pitch_mm=_pitch(path, x_mm, y_mm),
        own=own,
        images=places,
    )


def _named(node: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Children of that name in any namespace."""
    return (child for child in node if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == name)


def _whole(path: Path, node: ElementTree.Element, name: str, default: int) -> int:
    text = node.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise CorruptFileError(path, f"OME-XML {name}", "a whole number", f"'{text[:20]}'")
    return int(text)


def _pages(path: Path, root: ElementTree.Element, pixels: ElementTree.Element, n_pages: int) -> tuple[int, ...]:
    """Page of each frame."""
    t, z, c = (_whole(path, pixels, f"Size{axis}", 1) for axis in "TZC")
    _refuse_planes(path, "the OME image", t, z, c)
    if not 1 <= t <= n_pages:
        raise CorruptFileError(path, "OME-XML SizeT", f"at most the {n_pages} pages of the file", t)
    places = [-1] * t
    for data in _named(pixels, "TiffData"):
        for link in _named(data, "UUID"):
            if link.get("FileName") not in (None, path.name) and link.text != root.get("UUID"):
                hint = "export the recording into one file"
                raise CorruptFileError(path, "planes", "inside the file", f"in {link.get('FileName')}", hint)
        page, first = _whole(path, data, "IFD", 0), _whole(path, data, "FirstT", 0)
        count = _whole(path, data, "PlaneCount", 1 if data.get("IFD") else t)
        if page + count > n_pages or first + count > t:
            found = f"pages {page} to {page + count - 1} as frames from {first}"
            raise CorruptFileError(path, "OME-XML TiffData", f"{n_pages} pages and {t} frames", found)
        places[first : first + count] = range(page, page + count)
    if all(place < 0 for place in places) and t == n_pages:
        return tuple(range(t))
    if min(places) < 0:
        raise CorruptFileError(path, "OME-XML TiffData", f"a page for each of {t} frames", "incomplete")
    return tuple(places)


def _ome_times(pixels: ElementTree.Element, n_frames: int) -> tuple[NDArray[np.float64] | None, float | None]:
    times = np.full(n_frames, np.nan)
    for plane in _named(pixels, "Plane"):
        index, value = _number(plane.get("TheT")), _number(plane.get("DeltaT"))
        if index is not None and value is not None and 0 <= index < n_frames:
            times[int(index)] = value * SECONDS.get(plane.get("DeltaTUnit", "s"), math.nan)
    if np.isfinite(times).all() and n_frames:
        return times, None
    increment = _number(pixels.get("TimeIncrement"))
    if increment is None:
        return None, None
    increment *= SECONDS.get(pixels.get("TimeIncrementUnit", "s"), math.nan)
    return None, increment if math.isfinite(increment) and increment > 0 else None
