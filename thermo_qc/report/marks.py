"""Marks that several pictures share: names, rings round missed defects, coloured label maps, lean axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from thermo_qc.report.palette import IGNORE_COLOUR, class_colours
from thermo_qc.sequence import IGNORE_LABEL

__all__ = [
    "coloured",
    "label",
    "name_defects",
    "only_outer_labels",
    "outline",
    "present_classes",
    "ring_missed",
    "shortened",
    "unit_label",
]


def unit_label(unit: str) -> str:
    """Label of a colour bar for frames in this unit."""
    return {"K": "temperature rise in K", "degC": "temperature in °C", "counts": "camera counts"}.get(unit, unit)


def coloured(values: NDArray[np.uint8], colours: Sequence[str]) -> NDArray[np.uint8]:
    """Colour of every pixel, uint8 (Y, X, 3): `colours[value]`."""
    table = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours], dtype=np.uint8)
    return table[values]


def shortened(text: str, limit: int) -> str:
    """Text of at most `limit` characters, cut in the middle."""
    return text if len(text) <= limit else f"{text[: limit // 2 - 1]}…{text[-(limit // 2) :]}"


def present_classes(names: Sequence[str], *maps: NDArray[np.uint8]) -> tuple[list[str], list[str]]:
    """Names and colours of all classes, and of "not used" where a map has such pixels."""
    labels, colours = list(names), list(class_colours(len(names)))
    if any((values == IGNORE_LABEL).any() for values in maps):
        labels, colours = [*labels, "not used"], [*colours, IGNORE_COLOUR]
    return labels, colours


def only_outer_labels(axes: Axes, *, bottom: bool, left: bool) -> None:
    """Keep the labels of the axes only where a panel lies at the border of its grid."""
    axes.tick_params(labelbottom=bottom, labelleft=left, bottom=bottom, left=left)
    if not bottom:
        axes.set_xlabel("")
    if not left:
        axes.set_ylabel("")


def label(
    axes: Axes, x_px: float, y_px: float, text: str, pixel_pitch_mm: float | None, *, above: bool = False
) -> None:
    """Text with a white rim at a pixel; `above` puts it over the place."""
    pitch = 1.0 if pixel_pitch_mm is None else pixel_pitch_mm
    axes.text(
        (x_px + 0.5) * pitch,
        (y_px + 0.5) * pitch,
        text,
        ha="center",
        va="bottom" if above else "center",
        fontsize=8,
        color="black",
        clip_on=True,
        path_effects=[withStroke(linewidth=2.2, foreground="white")],
    )


def name_defects(
    axes: Axes, defect_index: NDArray[np.int16], names: Mapping[int, str], pixel_pitch_mm: float | None
) -> None:
    """Write the name (or number) of every defect above it."""
    for number in (int(value) for value in np.unique(defect_index) if value > 0):
        rows, columns = np.nonzero(defect_index == number)
        top = float(rows.min()) - 0.02 * defect_index.shape[0]
        label(axes, float(columns.mean()), top, names.get(number, str(number)), pixel_pitch_mm, above=True)


def ring_missed(
    axes: Axes,
    defect_index: NDArray[np.int16],
    missed: Sequence[int],
    pixel_pitch_mm: float | None,
    word: str = "missed",
) -> None:
    """Ring the missed defects and say that they were missed."""
    pitch = 1.0 if pixel_pitch_mm is None else pixel_pitch_mm
    for number in missed:
        rows, columns = np.nonzero(defect_index == number)
        if rows.size == 0:
            continue
        radius = (np.sqrt(rows.size / np.pi) + 0.015 * max(defect_index.shape)) * pitch
        centre = ((columns.mean() + 0.5) * pitch, (rows.mean() + 0.5) * pitch)
        axes.add_patch(Circle(centre, radius, fill=False, edgecolor="black", linewidth=1.2, linestyle="--"))
        if not word:
            continue
        axes.text(
            centre[0],
            centre[1] + radius,
            word,
            ha="center",
            va="top",
            fontsize=7.5,
            clip_on=True,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
        )


def outline(axes: Axes, class_map: NDArray[np.uint8], pixel_pitch_mm: float | None) -> None:
    """Draw a thin dark line round every defect region, so that it stands out in grey print too."""
    defect = (class_map > 0) & (class_map != IGNORE_LABEL)
    if not defect.any():
        return
    pitch = 1.0 if pixel_pitch_mm is None else pixel_pitch_mm
    framed = np.pad(defect, 1).astype(np.float32)
    x, y = ((np.arange(length) - 0.5) * pitch for length in framed.shape[::-1])
    limits = axes.get_xlim(), axes.get_ylim()
    axes.contour(x, y, framed, levels=[0.5], colors="black", linewidths=0.7)
    axes.set(xlim=limits[0], ylim=limits[1])
