"""Pictures of an inspection: thermograms with scales, indications on the plate in mm, probability and depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from thermo_qc.report.canvas import (
    add_colour_bar,
    class_legend,
    finish,
    fixed_style,
    new_figure,
    panel_grid,
    place_axes,
    put_title,
    robust_limits,
    show_frame,
    show_image,
)
from thermo_qc.report.layers import edges_of
from thermo_qc.report.marks import only_outer_labels
from thermo_qc.report.palette import GREY_MAP, TEMPERATURE_MAP, class_colours, sequential_map
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["MarkedIndication", "MarkedRegion", "draw_map", "draw_on_plate", "draw_thermograms"]

Matrix = NDArray[np.float64]
_EDGES = {
    "fail": (("white", 3.4), ("black", 2.0)),
    "uncertain": (("black", 2.4), ("white", 1.0)),
    "": (("black", 0.8),),
}
_MOST_LABELS = 80
_FOOT_IN = 1.0


@dataclass(frozen=True, kw_only=True)
class MarkedIndication:
    """An indication to be drawn: number, place of its label in px, "fail", "uncertain" or "", and whether a suspect."""

    id: int
    x_px: float
    y_px: float
    outcome: str = ""
    suspect: bool = False


@dataclass(frozen=True, kw_only=True)
class MarkedRegion:
    """A region of the criteria to be drawn: corners in plate mm."""

    name: str
    outline_mm: tuple[tuple[float, float], ...]
    ignore: bool = False


def project(matrix: Matrix, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points (..., 2) in pixels from the corner of the frame by a homography that counts from pixel centres."""
    x, y = points_px[..., 0] - 0.5, points_px[..., 1] - 0.5
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return np.asarray(np.stack([u / w, v / w], axis=-1))


@fixed_style()
def draw_thermograms(
    frames: Sequence[tuple[str, NDArray[Any]]],
    *,
    pixel_pitch_mm: float | None = None,
    unit: str = "K",
    inside: NDArray[np.bool_] | None = None,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw thermograms side by side, each with a scale of its own.

    Parameters
    ----------
    frames : sequence of (str, ndarray of shape (Y, X))
        Title and temperatures or rises.
    pixel_pitch_mm : float, optional
        Pixel edge; axes in px when unknown.
    unit : str
        For the scales.
    inside : ndarray of bool, shape (Y, X), optional
        Pixels that the scales are made for.
    title : str
        Over all.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    columns = min(3, len(frames))
    rows = -(-len(frames) // columns)
    figure, grid = panel_grid(
        rows, columns, frames[0][1].shape[:2], panel_width_in=2.55, gap_in=(0.95, 0.55), head_in=0.7, foot_in=0.5,
        right_in=0.85,
    )  # fmt: skip
    panels = [(row, column) for row in range(rows) for column in range(columns)]
    for position, (row, column) in enumerate(panels):
        axes = grid[row][column]
        if position >= len(frames):
            axes.remove()
            continue
        name, values = frames[position]
        show_frame(axes, values, pixel_pitch_mm, map_name=TEMPERATURE_MAP, label=unit, inside=inside)
        axes.set_title(name)
        only_outer_labels(axes, bottom=position + columns >= len(frames), left=column == 0)
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_map(
    values: NDArray[Any],
    *,
    label: str,
    map_name: str = "viridis",
    limits: tuple[float, float] | None = None,
    backdrop: NDArray[Any] | None = None,
    pixel_pitch_mm: float | None = None,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw one map with its scale; pixels without a value show the backdrop in grey.

    Parameters
    ----------
    values : ndarray, shape (Y, X)
        Map; NaN is left clear.
    label : str
        Of the scale.
    map_name : str
        Colour map.
    limits : tuple of float, optional
        Of the scale; robust ones when None.
    backdrop : ndarray, shape (Y, X), optional
        Frame underneath.
    pixel_pitch_mm : float, optional
        Pixel edge; axes in px when unknown.
    title : str
        Over the map.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    figure, ((axes,),) = panel_grid(1, 1, values.shape[:2], panel_width_in=4.4, head_in=0.55, foot_in=0.6, right_in=1.1)
    if backdrop is not None:
        show_frame(axes, backdrop, pixel_pitch_mm, map_name=GREY_MAP)
    low, high = robust_limits(values) if limits is None else limits
    colours = sequential_map(map_name).with_extremes(bad=(0, 0, 0, 0))
    shown = show_image(axes, np.ma.masked_invalid(values), pixel_pitch_mm, cmap=colours, vmin=low, vmax=high)
    add_colour_bar(axes, shown, label)
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_on_plate(
    class_map: NDArray[np.uint8],
    labels: NDArray[np.int32],
    *,
    class_names: Sequence[str],
    matrix: Matrix,
    unit: str = "mm",
    where: str = "plate",
    plate_size_mm: tuple[float, float] | None = None,
    indications: Sequence[MarkedIndication] = (),
    regions: Sequence[MarkedRegion] = (),
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw the outlines of indications and regions where they lie on the plate, in mm.

    Parameters
    ----------
    class_map : ndarray of uint8, shape (Y, X)
        Classes of the frame.
    labels : ndarray of int32, shape (Y, X)
        Number of the indication of each pixel.
    class_names : sequence of str
        Sound first.
    matrix : ndarray of float64, shape (3, 3)
        Homography from pixels (the centre of the first is 0) to the axes of the picture.
    unit, where : str
        Unit of the axes, and whose coordinates they are.
    plate_size_mm : tuple of float, optional
        Width and height of the plate, drawn as a frame.
    indications : sequence of MarkedIndication
        Numbered, at most the first 80; those that break a limit have a thick black outline, those that
        may a hollow one.
    regions : sequence of MarkedRegion
        Dashed.
    title : str
        Over the picture.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    rows, columns = class_map.shape
    frame = project(matrix, np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], dtype=np.float64))
    corners = frame if plate_size_mm is None else np.array([[0, 0], plate_size_mm], dtype=np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    span = high - low
    width = 6.6
    height = width * float(np.clip(span[1] / span[0], 0.3, 1.5))
    figure = new_figure(width + 1.0, height + 0.6 + _FOOT_IN)
    axes = place_axes(figure, 0.75, 0.55, width, height)
    axes.set_facecolor("#f4f4f4")
    colours = class_colours(len(class_names))
    used = (class_map > 0) & (class_map != IGNORE_LABEL)
    for index in range(1, len(class_names)):
        pixels = np.argwhere((class_map == index) & used)
        if pixels.size:
            quads = pixels[:, None, ::-1] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
            axes.add_collection(
                PolyCollection(
                    list(project(matrix, quads.astype(np.float64))),
                    facecolors=colours[index],
                    edgecolors=colours[index],
                    linewidths=0.2,
                )
            )
    if plate_size_mm is not None:
        w, h = plate_size_mm
        axes.add_patch(Polygon([(0, 0), (w, 0), (w, h), (0, h)], fill=False, edgecolor="black", linewidth=1.2))
    _draw_regions(axes, regions)
    _draw_indications(axes, labels, matrix, indications)
    margin = 0.02 * span
    axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(high[1] + margin[1], low[1] - margin[1]))
    axes.set_aspect("equal")
    axes.set_xlabel(f"x on the {where} in {unit}")
    axes.set_ylabel(f"y on the {where} in {unit}")
    class_legend(figure, list(class_names[1:]), list(colours[1:]))
    put_title(figure, title)
    return finish(figure, path)


def _draw_regions(axes: Axes, regions: Sequence[MarkedRegion]) -> None:
    for region in regions:
        colour = "#777777" if region.ignore else "#0072b2"
        hatch = "//" if region.ignore else None
        axes.add_patch(
            Polygon(
                region.outline_mm, fill=False, edgecolor=colour, linewidth=1.2, linestyle="--", hatch=hatch, alpha=0.9
            )
        )
        x, y = np.min(np.asarray(region.outline_mm), axis=0)
        text = f"{region.name} (not judged)" if region.ignore else region.name
        axes.text(
            x, y, text, va="bottom", fontsize=8, color=colour, clip_on=True, parse_math=False,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
        )  # fmt: skip


def _draw_indications(
    axes: Axes, labels: NDArray[np.int32], matrix: Matrix, indications: Sequence[MarkedIndication]
) -> None:
    for mark in indications:
        edges = edges_of(labels == mark.id)
        for colour, width in _EDGES[mark.outcome]:  # told apart without colour, on light and on dark classes
            lines = list(project(matrix, edges))
            style = ":" if mark.suspect else "-"
            axes.add_collection(
                LineCollection(lines, colors=colour, linewidths=width, linestyles=style, capstyle="projecting")
            )
    for mark in indications[:_MOST_LABELS]:
        x, y = project(matrix, np.array([mark.x_px + 0.5, mark.y_px + 0.5]))
        axes.text(
            x, y, str(mark.id), ha="center", va="center", fontsize=8, clip_on=True,
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
        )  # fmt: skip
