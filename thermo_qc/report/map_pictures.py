"""Pictures of classical maps: one with its colour bar, and many on one page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.report.canvas import (
    add_colour_bar,
    finish,
    fixed_style,
    panel_grid,
    put_title,
    robust_limits,
    show_image,
)
from thermo_qc.report.marks import only_outer_labels, shortened
from thermo_qc.report.palette import sequential_map
from thermo_qc.thermography import Layer, MapImage

__all__ = ["draw_map", "draw_overview"]

_COLOURS = {"sequential": "inferno", "diverging": "RdBu_r", "cyclic": "twilight"}
_UNITS = {"1": "", "K*s": "K·s", "counts*s": "counts·s", "mm2/s": "mm²/s", "degC": "°C"}


@fixed_style()
def draw_map(image: MapImage, *, pixel_pitch_mm: float | None, note: str = "", path: Path | None = None) -> bytes:
    """Draw one map with axes, colour bar and unit.

    Parameters
    ----------
    image : MapImage
        The map; pixels without a value are light blue.
    pixel_pitch_mm : float, optional
        For axes in mm; they are in px when it is unknown.
    note : str
        Second line of the title, for example the recording's name.
    path : Path, optional
        PNG to write.

    Returns
    -------
    bytes
        The PNG.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    figure, axes = panel_grid(1, 1, image.values.shape, panel_width_in=6.0, foot_in=0.65, head_in=0.7, right_in=1.15)
    put_title(figure, f"{image.layer.title}\n{shortened(note, 90)}" if note else image.layer.title)
    shown, extend = _show(axes[0][0], image, pixel_pitch_mm)
    add_colour_bar(axes[0][0], shown, unit_text(image.layer), extend=extend)
    return finish(figure, path)


@fixed_style()
def draw_overview(
    images: Sequence[MapImage],
    *,
    pixel_pitch_mm: float | None,
    title: str,
    columns: int = 4,
    path: Path | None = None,
) -> bytes:
    """Draw many maps on one page, each with its own colour bar.

    Parameters
    ----------
    images : sequence of MapImage
        At least one, of one shape.
    pixel_pitch_mm : float, optional
        For axes in mm.
    title : str
        Of the page.
    columns : int
        Maps side by side.
    path : Path, optional
        PNG to write.

    Returns
    -------
    bytes
        The PNG.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    columns = min(columns, len(images))
    n_rows = math.ceil(len(images) / columns)
    figure, grid = panel_grid(
        n_rows,
        columns,
        images[0].values.shape,
        panel_width_in=2.6,
        gap_in=(1.05, 0.5),
        foot_in=0.6,
        head_in=0.75,
        right_in=1.0,
    )
    put_title(figure, title)
    panels = [axes for row in grid for axes in row]
    for axes, image in zip(panels, images, strict=False):
        shown, extend = _show(axes, image, pixel_pitch_mm)
        axes.set_title(shortened(image.layer.title, 44), fontsize=8)
        add_colour_bar(axes, shown, unit_text(image.layer), extend=extend)
        number = panels.index(axes)
        only_outer_labels(axes, bottom=number + columns >= len(images), left=number % columns == 0)
    for axes in panels[len(images) :]:
        axes.set_visible(False)
    return finish(figure, path)


def unit_text(layer: Layer) -> str:
    """Give the unit for the colour bar; empty for pure numbers."""
    return _UNITS.get(layer.unit, layer.unit)


def _show(axes: Any, image: MapImage, pixel_pitch_mm: float | None) -> tuple[Any, str]:
    values = np.where(np.isfinite(image.values), image.values, np.nan)
    low, high = robust_limits(values)
    if image.layer.scale == "diverging":
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    elif image.layer.scale == "cyclic":
        low, high = -math.pi, math.pi
    finite = values[np.isfinite(values)]
    below, above = bool((finite < low).any()), bool((finite > high).any())
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}.get((below, above), "both")
    colours = sequential_map(_COLOURS[image.layer.scale])
    return show_image(axes, values, pixel_pitch_mm, cmap=colours, vmin=low, vmax=high), extend
