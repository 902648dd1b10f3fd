"""Outlines drawn by people: COCO JSON and CVAT XML."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import AmbiguousInputError, CorruptFileError, InputError, TruthError
from thermo_qc.io.labels import MAX_DEPTH_MM
from thermo_qc.io.lazy import reason_of

__all__ = ["Outline", "fill_outline", "read_coco", "read_cvat"]

DEPTH = "depth_mm"
ELLIPSE_CORNERS = 180
FARTHEST_PX = 1e9
MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """One drawn defect.

    Parameters
    ----------
    label : str
        Name of its kind.
    polygons : tuple of ndarray, shape (N, 2)
        Corners (x, y) in pixels; the top-left pixel covers 0 to 1, its centre is at 0.5.
    depth_mm : float, optional
        Depth from the attribute ``depth_mm`` of the drawing.
    """

    label: str
    polygons: tuple[NDArray[np.float64], ...]
    depth_mm: float | None = None


def fill_outline(outline: Outline, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie inside one of the polygons (even-odd rule), bool (Y, X)."""
    result = np.zeros(shape, dtype=np.bool_)
    for polygon in outline.polygons:
        low = np.clip(np.floor(polygon.min(axis=0)), 0, (shape[1], shape[0])).astype(int)
        high = np.clip(np.ceil(polygon.max(axis=0)), 0, (shape[1], shape[0])).astype(int)
        part = slice(low[1], high[1]), slice(low[0], high[0])
        x, y = np.arange(low[0], high[0]) + 0.5, (np.arange(low[1], high[1]) + 0.5)[:, None]
        inside = np.zeros((high[1] - low[1], high[0] - low[0]), dtype=np.bool_)
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if y0 != y1:
                inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        result[part] |= inside
    return result


def read_coco(path: Path, shape: tuple[int, int]) -> list[Outline]:
    """Read the polygons of a COCO annotation file that describes one picture.

    Raises
    ------
    AmbiguousInputError
        When it describes several pictures.
    TruthError
        When the picture's size is not `shape`.
    CorruptFileError
        When it is no COCO file, or holds run-length masks.
    """
    try:
        content = json.loads(_read_text(path))
        pictures, annotations = content["images"], content["annotations"]
        names = {entry["id"]: str(entry["name"]) for entry in content.get("categories", [])}
        if len(pictures) != 1:
            listed = ", ".join(str(picture.get("file_name", picture.get("id"))) for picture in pictures[:10]) or "none"
            raise AmbiguousInputError(
                f"{path} describes {len(pictures)} pictures ({listed}), expected one; export it alone"
            )
        _check_size(path, (int(pictures[0]["height"]), int(pictures[0]["width"])), shape)
        return [_coco_outline(path, entry, names) for entry in annotations]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise CorruptFileError(path, "content", "COCO annotations", f"something else ({reason_of(error)})") from None


def _coco_outline(path: Path, entry: dict[str, Any], names: dict[int, str]) -> Outline:
    segmentation = entry["segmentation"]
    if not isinstance(segmentation, list) or not segmentation:
        hint = "export polygons, or a PNG mask"
        raise CorruptFileError(path, f"annotation {entry.get('id')}", "polygons", "a run-length mask or empty", hint)
    polygons = tuple(_polygon(path, np.asarray(flat, dtype=np.float64).reshape(-1, 2)) for flat in segmentation)
    attributes = entry.get("attributes") or {}
    label = names.get(entry["category_id"], str(entry["category_id"]))
    return Outline(label=label, polygons=polygons, depth_mm=_depth(path, attributes.get(DEPTH)))


def read_cvat(path: Path, shape: tuple[int, int]) -> list[Outline]:
    """Read polygons, boxes and ellipses of a "CVAT for images" XML file that describes one picture.

    Raises
    ------
    AmbiguousInputError
        When it describes several pictures.
    TruthError
        When the picture's size is not `shape`.
    CorruptFileError
        When it is no CVAT file, declares entities, or holds other shapes.
    """
    text = _read_text(path)
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise CorruptFileError(
            path, "content", "plain XML", "XML with a DOCTYPE or entities", "export it from CVAT again"
        )
    try:
        root = ElementTree.fromstring(text)
        pictures = root.findall("image")
        if root.tag != "annotations" or len(pictures) != 1:
            listed = ", ".join(picture.get("name", "?") for picture in pictures[:10]) or "none"
            raise AmbiguousInputError(
                f"{path} describes {len(pictures)} pictures ({listed}), expected one; export it alone"
            )
        _check_size(path, (int(pictures[0].attrib["height"]), int(pictures[0].attrib["width"])), shape)
        return list(_cvat_outlines(path, pictures[0]))
    except (ElementTree.ParseError, KeyError, ValueError, OverflowError) as error:
        raise CorruptFileError(path, "content", "CVAT annotations", f"something else ({reason_of(error)})") from None


def _cvat_outlines(path: Path, picture: ElementTree.Element) -> Iterator[Outline]:
    for node in picture:
        if node.tag == "tag":
            continue
        corners = _cvat_corners(path, node)
        depths = [attribute.text for attribute in node.findall("attribute") if attribute.get("name") == DEPTH]
        depth = _depth(path, depths[0]) if depths else None
        yield Outline(label=node.attrib["label"], polygons=(_polygon(path, corners),), depth_mm=depth)


def _cvat_corners(path: Path, node: ElementTree.Element) -> NDArray[np.float64]:
    if node.tag == "polygon":
        return np.array([pair.split(",") for pair in node.attrib["points"].split(";")], dtype=np.float64)
    turn = math.radians(_number(node.get("rotation", "0")))
    if node.tag == "box":
        x0, y0, x1, y1 = (_number(node.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        centre = np.array([x0 + x1, y0 + y1]) / 2
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) - centre
    elif node.tag == "ellipse":
        centre = np.array([_number(node.attrib["cx"]), _number(node.attrib["cy"])])
        angle = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
        radii = _number(node.attrib["rx"]), _number(node.attrib["ry"])
        corners = np.column_stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle)])
    else:
        hint = "export polygons, or a PNG mask"
        raise CorruptFileError(path, "shape", "a polygon, box or ellipse", f"a {node.tag}", hint)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.asarray(centre + corners @ rotation)


def _number(text: str) -> float:
    number = float(text)
    if not abs(number) <= FARTHEST_PX:
        raise ValueError(f"{text[:40]} is no place in a picture")
    return number


def _polygon(path: Path, corners: NDArray[np.float64]) -> NDArray[np.float64]:
    if corners.ndim != 2 or corners.shape[0] < 3 or corners.shape[1] != 2:
        raise CorruptFileError(path, "polygon", "at least three finite corners (x, y)", f"of shape {corners.shape}")
    if not (np.abs(corners) <= FARTHEST_PX).all():
        raise CorruptFileError(path, "polygon", "finite corners near the picture", "infinite or far away")
    return corners


def _depth(path: Path, value: Any) -> float | None:
    if value is None or value == "":
        return None
    depth = float(value)
    if not 0 < depth <= MAX_DEPTH_MM:
        raise CorruptFileError(path, DEPTH, "a positive number", value)
    return depth


def _check_size(path: Path, stated: tuple[int, int], shape: tuple[int, int]) -> None:
    if stated != shape:
        raise TruthError(
            f"{path} describes a picture of {stated[0]} x {stated[1]} pixels, the frames have {shape[0]} x {shape[1]}; "
            "draw it on a frame of this recording"
        )


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CorruptFileError(path, "content", "at most 256 MiB of annotations", f"{path.stat().st_size} bytes")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise CorruptFileError(path, "content", "UTF-8 text", "something else") from None
