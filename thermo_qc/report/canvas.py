"""The ground that every picture is drawn on: figures without global state, axes in mm, scale bars, PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from numpy.typing import NDArray
from PIL import Image

from thermo_qc.io.files import atomic_path
from thermo_qc.report.palette import sequential_map

__all__ = [
    "DPI",
    "WIDTH_IN",
    "add_colour_bar",
    "add_scale_bar",
    "class_legend",
    "finish",
    "fixed_style",
    "new_figure",
    "panel_grid",
    "place_axes",
    "png_bytes",
    "put_title",
    "robust_limits",
    "show_frame",
    "show_image",
]

DPI = 110
WIDTH_IN = 11.0

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 9.5,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.grid": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "image.interpolation": "nearest",
}


@contextmanager
def fixed_style() -> Iterator[None]:
    """Draw under one fixed style, whatever the user's own matplotlib settings are; works as a decorator too."""
    defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")}
    with matplotlib.rc_context({**defaults, **_STYLE}):
        yield


def finish(figure: Figure, path: Path | None) -> bytes:
    """Render a figure; save it atomically when there is a path.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    content = png_bytes(figure)
    if path is not None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return content


def new_figure(width_in: float, height_in: float) -> Figure:
    """Figure that pyplot does not know of."""
    return Figure(figsize=(width_in, height_in), dpi=DPI)


def place_axes(figure: Figure, left_in: float, top_in: float, width_in: float, height_in: float) -> Axes:
    """Axes at a place given in inches from the top left corner of the figure."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left_in / width, 1.0 - (top_in + height_in) / height, width_in / width, height_in / height))


def panel_grid(
    n_rows: int,
    n_columns: int,
    shape: tuple[int, int],
    *,
    panel_width_in: float,
    gap_in: tuple[float, float] = (0.3, 0.45),
    foot_in: float = 0.95,
    left_in: float = 0.75,
    head_in: float = 0.65,
    right_in: float = 0.15,
) -> tuple[Figure, list[list[Axes]]]:
    """Figure with a grid of equal panels that fit frames of one shape.

    Parameters
    ----------
    n_rows, n_columns : int
        Panels down and across.
    shape : tuple of int
        Rows and columns of the frames; very long ones get a panel of a sensible shape.
    panel_width_in : float
        Width of a panel, inches.
    gap_in : tuple of float
        Space between panels across and down, inches.
    foot_in, left_in, head_in, right_in : float
        Space for the legend, the labels, the title and what hangs to the right, inches.
    """
    panel_height = panel_width_in * float(np.clip(shape[0] / shape[1], 0.35, 1.8))
    across, down = panel_width_in + gap_in[0], panel_height + gap_in[1]
    figure = new_figure(
        left_in + n_columns * across - gap_in[0] + right_in, head_in + n_rows * down - gap_in[1] + foot_in
    )
    grid = [
        [
            place_axes(figure, left_in + column * across, head_in + row * down, panel_width_in, panel_height)
            for column in range(n_columns)
        ]
        for row in range(n_rows)
    ]
    return figure, grid


def put_title(figure: Figure, title: str, *, from_top_in: float = 0.12) -> None:
    """Title over the whole figure, as it is: dollar signs start no formula, letters that the font lacks are boxes."""
    if title:
        place = 1.0 - from_top_in / figure.get_size_inches()[1]
        figure.text(0.5, place, _drawable(title), ha="center", va="top", fontsize=12, parse_math=False)


def _drawable(text: str) -> str:
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    return "".join(char if font.get_char_index(ord(char)) else "\u25a1" for char in text)


def png_bytes(figure: Figure) -> bytes:
    """Render a figure once: the same figure gives the same bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    packed = io.BytesIO()
    Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB").save(
        packed, format="PNG", compress_level=4
    )
    return packed.getvalue()


def robust_limits(values: NDArray[Any], low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
    """Limits of a colour scale: percentiles of the finite values, never equal."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return 0.0, 1.0
    bottom, top = (float(value) for value in np.percentile(finite, (low, high)))
    if top <= bottom:
        bottom, top = float(finite.min()), float(finite.max())
    return (bottom, top) if top > bottom else (bottom - 0.5, top + 0.5)


def part_of(values: NDArray[Any], inside: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Values of the pixels inside; all of them where no pixel is, or nobody says which."""
    return values if inside is None or not inside.any() else np.asarray(values[inside])


def show_image(axes: Axes, image: NDArray[Any], pixel_pitch_mm: float | None, **options: Any) -> Any:
    """Show an array with its axes in mm (or px when the pitch is unknown), the origin at the top left."""
    pitch = 1.0 if pixel_pitch_mm is None else pixel_pitch_mm
    height, width = image.shape[:2]
    shown = axes.imshow(image, extent=(0.0, width * pitch, height * pitch, 0.0), interpolation="nearest", **options)
    unit = "px" if pixel_pitch_mm is None else "mm"
    axes.set_xlabel(f"x in {unit}")
    axes.set_ylabel(f"y in {unit}")
    return shown


def show_frame(
    axes: Axes,
    frame: NDArray[Any],
    pixel_pitch_mm: float | None,
    *,
    map_name: str,
    label: str = "",
    inside: NDArray[np.bool_] | None = None,
) -> Any:
    """Show a temperature frame between robust limits of its pixels `inside`; with a label also its colour bar."""
    low, high = robust_limits(part_of(frame, inside))
    shown = show_image(axes, frame, pixel_pitch_mm, cmap=sequential_map(map_name), vmin=low, vmax=high)
    if label:
        add_colour_bar(axes, shown, label, extend=_extend(frame, low, high))
    return shown


def add_colour_bar(axes: Axes, shown: Any, label: str, extend: str = "neither") -> None:
    """Colour bar to the right of a panel, as high as the panel."""
    figure = cast(Figure, axes.figure)
    box = axes.get_position()
    width = figure.get_size_inches()[0]
    bar_axes = figure.add_axes((box.x1 + 0.08 / width, box.y0, 0.14 / width, box.height))
    figure.colorbar(shown, cax=bar_axes, label=label, extend=extend, extendfrac=0.02)


def _extend(frame: NDArray[Any], low: float, high: float) -> str:
    finite = frame[np.isfinite(frame)]
    below, above = bool((finite < low).any()), bool((finite > high).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get((below, above), "both")


def add_scale_bar(axes: Axes, width_px: int, pixel_pitch_mm: float | None) -> float:
    """Draw a scale bar of a round length, about a fifth of the frame, in the lower left corner; return its length."""
    pitch, unit = (1.0, "px") if pixel_pitch_mm is None else (pixel_pitch_mm, "mm")
    wanted = 0.25 * width_px * pitch
    decade = 10.0 ** np.floor(np.log10(wanted))
    length = float(decade * max(step for step in (1.0, 2.0, 5.0) if step * decade <= wanted * 1.0000001))
    height, _ = sorted(axes.get_ylim())[::-1]
    bar = AnchoredSizeBar(
        axes.transData,
        length,
        f"{length:g} {unit}",
        "lower left",
        pad=0.25,
        borderpad=0.4,
        sep=2,
        frameon=True,
        size_vertical=0.012 * height,
        color="black",
    )
    bar.patch.set(alpha=0.85, edgecolor="none")
    axes.add_artist(bar)
    return length


def class_legend(
    figure: Figure, names: Sequence[str], colours: Sequence[str], *, x: float = 0.5, width_in: float | None = None
) -> None:
    """Legend of colour patches at the foot of a figure, centred at the fraction `x` of its width."""
    handles = [
        Patch(facecolor=colour, edgecolor="#555555", linewidth=0.6, label=name)
        for name, colour in zip(names, colours, strict=True)
    ]
    room = figure.get_size_inches()[0] if width_in is None else width_in
    longest = max(len(name) for name in names)
    fitting = int(np.clip(room / (0.45 + 0.07 * longest), 1, len(handles)))
    n_rows = -(-len(handles) // fitting)
    columns = -(-len(handles) // n_rows)
    bottom = 0.06 / figure.get_size_inches()[1]
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(x, bottom),
        ncols=columns,
        frameon=False,
        borderpad=0.1,
        columnspacing=1.4,
    )
