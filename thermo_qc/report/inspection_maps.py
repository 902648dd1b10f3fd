"""Maps of a part for its report: layers, indications on the plate, probability, depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.report.blocks import Block, Layers, Missing, Picture
from thermo_qc.report.canvas import part_of, robust_limits
from thermo_qc.report.inspection_pictures import MarkedIndication, MarkedRegion, draw_map, draw_on_plate, project
from thermo_qc.report.layers import colour_png, corner_path, edge_path, layer_values, rgba_png, value_field
from thermo_qc.report.palette import GREY_MAP, TEMPERATURE_MAP, class_rgba
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["PartMaps", "axes_of", "depth_picture", "map_blocks", "plate_picture", "probability_picture"]

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class PartMaps:
    """Arrays that a page draws.

    Parameters
    ----------
    class_map : ndarray of uint8, shape (Y, X)
        Classes.
    defect_probability, depth_mm : ndarray, shape (Y, X)
        Probability of any defect; depth.
    labels : ndarray of int32, shape (Y, X)
        Number of the indication of each pixel.
    thermograms : sequence of (str, ndarray of shape (Y, X))
        Frames with their titles; empty when the recording is not at hand.
    frame : ndarray, shape (Y, X), optional
        Representative frame.
    frame_unit, frame_title : str
        Its unit, and what it is.
    missing : str
        Why there are no frames.
    """

    class_map: NDArray[np.uint8]
    defect_probability: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    labels: NDArray[np.int32]
    thermograms: Sequence[tuple[str, NDArray[Any]]] = field(default=())
    frame: NDArray[Any] | None = None
    frame_unit: str = "K"
    frame_title: str = ""
    missing: str = ""


def axes_of(record: Record) -> tuple[NDArray[np.float64], str, str]:
    """Homography to the axes of pictures, whose they are, and their unit: the plate's, the frame's, or pixels."""
    matrix, pitch = record["map"]["plate_matrix"], record["map"]["pixel_pitch_mm"]
    if matrix is not None:
        return np.asarray(matrix, dtype=np.float64), "plate", "mm"
    scale = 1.0 if pitch is None else float(pitch)
    return (
        np.array([[scale, 0, scale / 2], [0, scale, scale / 2], [0, 0, 1.0]]),
        "frame",
        "px" if pitch is None else "mm",
    )


def marked_regions(record: Record) -> list[MarkedRegion]:
    """Regions of the criteria."""
    regions = []
    for region in (record["criteria"] or {}).get("regions", ()):
        corners = region["polygon_mm"]
        if corners is None:
            x0, y0, x1, y1 = region["rectangle_mm"]
            corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        outline = tuple((float(x), float(y)) for x, y in corners)
        regions.append(MarkedRegion(name=region["name"], outline_mm=outline, ignore=region["ignore"]))
    return regions


def marked_indications(record: Record) -> list[MarkedIndication]:
    """Give the indications to draw; suspects only where they may break a limit."""
    return [
        MarkedIndication(
            id=one["id"],
            x_px=one["centroid_px"][0],
            y_px=one["centroid_px"][1],
            outcome="fail" if one["breaks"] else "uncertain" if one["may_break"] else "",
            suspect=one["suspect"],
        )
        for one in record["indications"]
        if not one["suspect"] or one["may_break"]
    ]


def plate_picture(record: Record, maps: PartMaps) -> bytes:
    """Draw the indications on the plate; on the frame where the plate's place in it is not known."""
    matrix, where, unit = axes_of(record)
    on_plate, size = where == "plate", record["part"]["size_mm"]
    return draw_on_plate(
        maps.class_map,
        maps.labels,
        class_names=record["map"]["class_names"],
        matrix=matrix,
        unit=unit,
        where=where,
        plate_size_mm=None if size is None or not on_plate else (size[0], size[1]),
        indications=marked_indications(record),
        regions=marked_regions(record) if on_plate else [],
        title=f"Indications on the {where}",
    )


def probability_picture(record: Record, maps: PartMaps) -> bytes:
    """Draw the probability of a defect with its scale."""
    return draw_map(
        np.where(maps.class_map == IGNORE_LABEL, np.nan, maps.defect_probability),
        label="probability of a defect",
        limits=(0.0, 1.0),
        pixel_pitch_mm=record["map"]["pixel_pitch_mm"],
        title="Probability of a defect",
    )


def depth_picture(record: Record, maps: PartMaps) -> bytes:
    """Draw the depths with their scale; empty, and saying so, where none is stated."""
    stated = bool(np.isfinite(maps.depth_mm).any())
    return draw_map(
        maps.depth_mm,
        label="depth in mm",
        map_name="plasma_r",
        backdrop=maps.frame,
        pixel_pitch_mm=record["map"]["pixel_pitch_mm"],
        title="Depth" if stated else "Depth: none is stated",
    )


def map_blocks(record: Record, maps: PartMaps) -> list[Block]:
    """Draw the layers to toggle, indications on the plate, probability and depth."""
    matrix, where, unit = axes_of(record)
    on_plate = where == "plate"
    regions = marked_regions(record) if on_plate else []
    blocks: list[Block] = [Missing(text=f"{text}.") for text in record["map"]["notes"]]
    if not on_plate:
        blocks.append(Missing(text=f"where the plate lies in the frame is not known; places are those of the {where}."))
    blocks.append(_layers(record, maps, matrix, where, unit, regions))
    png = plate_picture(record, maps)
    caption = (
        f"Indications on the {where} in {unit}, seen from the inspected face. Thick black outlines break a limit, "
        "hollow ones may, dotted ones are places that the model does not call a defect but that may be one."
    )
    blocks.append(Picture(png=png, alt="Indications on the plate", caption=caption))
    png = probability_picture(record, maps)
    blocks.append(Picture(png=png, alt="Probability of a defect", caption="Probability of any defect in each pixel."))
    if np.isfinite(maps.depth_mm).any():
        png = depth_picture(record, maps)
        text = "Depth below the inspected face where the model calls a defect."
        blocks.append(Picture(png=png, alt="Depth of the indications", caption=text))
    else:
        blocks.append(Missing(text="no depth is stated for any pixel, so there is no map of it."))
    return blocks


def _layers(
    record: Record,
    maps: PartMaps,
    matrix: NDArray[np.float64],
    where: str,
    unit: str,
    regions: Sequence[MarkedRegion],
) -> Layers:
    names = list(record["map"]["class_names"])
    known = maps.class_map != IGNORE_LABEL
    probability = np.where(known, maps.defect_probability, np.nan)
    pictures: list[tuple[str, bytes, bool]] = []
    fields = []
    if maps.frame is not None:
        limits = robust_limits(part_of(maps.frame, known))
        title = f"{maps.frame_title} ({limits[0]:.3g} to {limits[1]:.3g} {maps.frame_unit})"
        pictures.append((title, colour_png(maps.frame, map_name=TEMPERATURE_MAP, limits=limits), True))
        fields.append(value_field("frame", maps.frame, unit=maps.frame_unit, digits=3))
    else:
        grey = np.where(known, 0.5, np.nan)
        pictures.append(("inspected", colour_png(grey, map_name=GREY_MAP, limits=(0, 1)), True))
    pictures.append(
        ("probability (0 to 1)", colour_png(probability, map_name="viridis", limits=(0, 1), clear=True), False),
    )
    if np.isfinite(maps.depth_mm).any():
        limits = robust_limits(maps.depth_mm)
        title = f"depth ({limits[0]:.3g} to {limits[1]:.3g} mm)"
        pictures.append((title, colour_png(maps.depth_mm, map_name="plasma_r", limits=limits, clear=True), False))
    rgba = class_rgba(maps.class_map, len(names), alpha=0.55, show_sound=False)
    pictures.append(("classes", rgba_png(rgba), False))
    fields.append(value_field("probability", probability, digits=2))
    fields.append(value_field("depth", maps.depth_mm, unit="mm", digits=2))
    fields.append(value_field("class", np.where(known, maps.class_map, np.nan), names=names))
    fields.append(value_field("indication", np.where(maps.labels > 0, maps.labels, np.nan), digits=0, names=None))
    called = [one for one in record["indications"] if not one["suspect"]]
    suspects = [one["id"] for one in record["indications"] if one["suspect"]]
    failing = [one["id"] for one in record["indications"] if one["breaks"] or one["may_break"]]
    numbers = [one["id"] for one in called]
    outlines = [("indications", "outline", edge_path(np.isin(maps.labels, numbers)), True)]
    if failing:
        outlines.append(("break or may break a limit", "fail", edge_path(np.isin(maps.labels, failing)), True))
    if suspects:
        outlines.append(("suspect places", "suspect", edge_path(np.isin(maps.labels, suspects)), False))
    inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    for region in regions:
        corners = project(inverse, np.asarray(region.outline_mm, dtype=np.float64) + 0.5) + 0.5
        outlines.append((f"region {region.name}", "region", corner_path(corners.tolist()), True))
    return Layers(
        name="layers-1",
        shape=(record["map"]["rows"], record["map"]["columns"]),
        pictures=tuple(pictures),
        outlines=tuple(outlines),
        labels=tuple(
            (round(one["centroid_px"][0] + 0.5, 2), round(one["bbox_px"][1] - 0.5, 2), str(one["id"])) for one in called
        ),
        values=layer_values(maps.class_map.shape[:2], fields, matrix=matrix, where=where, unit=unit),
        caption="The frame with layers to show and hide; the values under the pointer stand below it. White outlines "
        "are indications, blue ones break or may break a limit, dashed white ones are suspect places, green ones "
        "regions of the criteria.",
    )
