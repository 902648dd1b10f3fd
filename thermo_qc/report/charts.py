"""Charts of figures: training, confusion matrix, grid of holes, comparison of methods.

Every function returns the bytes of a PNG and, given `path`, also saves them atomically.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from thermo_qc.report.canvas import WIDTH_IN, add_colour_bar, finish, fixed_style, new_figure, place_axes, put_title
from thermo_qc.report.marks import shortened
from thermo_qc.report.palette import (
    CONFUSION_MAP,
    FOUND_MAP,
    GROUP_COLOURS,
    sequential_map,
    text_colour_on,
)

__all__ = ["draw_comparison", "draw_confusion", "draw_hole_grid", "draw_training"]


@fixed_style()
def draw_training(
    histories: Mapping[str, Mapping[str, Sequence[float]]], *, title: str = "", path: Path | None = None
) -> bytes:
    """Draw the loss of every fold over the epochs, and the learning rate where it was recorded.

    Parameters
    ----------
    histories : mapping of str to mapping of str to sequence of float
        Per fold the columns of its history: epoch, train_loss, and where known validation_loss and learning_rate.
        NaN leaves a gap.
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    with_rate = any("learning_rate" in columns for columns in histories.values())
    figure = new_figure(WIDTH_IN, 4.2)
    axes = place_axes(figure, 0.8, 0.65, 5.9 if with_rate else 9.9, 2.6)
    values: list[float] = []
    for number, (fold, columns) in enumerate(histories.items()):
        colour = GROUP_COLOURS[number % len(GROUP_COLOURS)]
        for column, style, what in (("train_loss", "-", "training"), ("validation_loss", "--", "validation")):
            if column in columns:
                marker = "o" if len(columns[column]) < 4 else ""
                axes.plot(
                    columns["epoch"], columns[column], style, marker=marker, color=colour, label=f"{fold}, {what}"
                )
                values += [value for value in columns[column] if np.isfinite(value)]
    if values and min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel="loss", title="Loss")
    axes.grid(True, color="#e4e4e4", linewidth=0.6)
    if with_rate:
        rate = place_axes(figure, 7.6, 0.65, 3.1, 2.6)
        for number, columns in enumerate(histories.values()):
            if "learning_rate" in columns:
                rate.plot(columns["epoch"], columns["learning_rate"], color=GROUP_COLOURS[number % len(GROUP_COLOURS)])
        rate.set(xlabel="epoch", ylabel="learning rate", title="Learning rate")
        rate.grid(True, color="#e4e4e4", linewidth=0.6)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False, bbox_to_anchor=(0.5, 0.01)
    )
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_confusion(
    confusion: NDArray[np.int64], class_names: Sequence[str], *, title: str = "", path: Path | None = None
) -> bytes:
    """Draw a confusion matrix: share of each true class by colour, share and number of pixels as text.

    Parameters
    ----------
    confusion : ndarray of int, shape (K, K)
        Pixels by true class (rows) and predicted class (columns).
    class_names : sequence of str
        K names.
    title : str
        Over the matrix.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    n_classes = len(class_names)
    sums = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, sums, out=np.full(counts.shape, np.nan), where=sums > 0)
    side = 0.78 * n_classes
    figure = new_figure(side + 3.1, side + 1.6)
    axes = place_axes(figure, 1.7, 0.6, side, side)
    scale = sequential_map(CONFUSION_MAP).with_extremes(bad="#ffffff")
    shown = axes.imshow(share, cmap=scale, vmin=0.0, vmax=1.0)
    for (row, column), count in np.ndenumerate(counts):
        value = share[row, column]
        text = "no pixel" if np.isnan(value) else f"{_percent(value)}\n{_short_count(int(count))}"
        colour = "black" if np.isnan(value) else text_colour_on(scale(value)[:3])
        axes.text(column, row, text, ha="center", va="center", fontsize=7.8, color=colour)
    names = [shortened(name, 16) for name in class_names]
    axes.set_xticks(range(n_classes), names, rotation=30, ha="right")
    axes.set_yticks(range(n_classes), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    add_colour_bar(axes, shown, "share of the true class's pixels")
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_hole_grid(
    depths_mm: Sequence[float],
    diameters_mm: Sequence[float],
    found: NDArray[np.int64],
    total: NDArray[np.int64],
    *,
    detectable: NDArray[np.int64] | None = None,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw how many holes of each depth and diameter were found.

    Parameters
    ----------
    depths_mm, diameters_mm : sequence of float
        Rows and columns of the grid.
    found, total : ndarray of int, shape (D, M)
        Holes found, and holes there.
    detectable : ndarray of int, shape (D, M), optional
        Holes whose contrast is large enough to be seen; -1 where nobody knows. Cells in which none is are hatched.
    title : str
        Over the grid.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    hits, holes = np.asarray(found), np.asarray(total)
    share = np.divide(hits, holes, out=np.full(hits.shape, np.nan), where=holes > 0)
    n_rows, n_columns = share.shape
    width, height = max(3.2, 0.95 * n_columns), max(1.2, 0.62 * n_rows)
    figure = new_figure(width + 2.2, height + 1.5)
    axes = place_axes(figure, 0.95, 0.6, width, height)
    scale = sequential_map(FOUND_MAP).with_extremes(bad="#ffffff")
    shown = axes.imshow(share, cmap=scale, vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        if np.isnan(value):
            continue
        visible = None if detectable is None or detectable[row, column] < 0 else int(detectable[row, column])
        if visible == 0:
            place = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(place, 1, 1, fill=False, hatch="////", edgecolor="#b0b0b0", linewidth=0.0))
        text = f"{hits[row, column]} of {holes[row, column]}"
        text += "" if visible is None else f"\n({visible} visible)"
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=8,
            color="black",
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.2},
        )
    axes.set_xticks(range(n_columns), [f"{value:g}" for value in diameters_mm])
    axes.set_yticks(range(n_rows), [f"{value:g}" for value in depths_mm])
    axes.set(xlabel="diameter in mm", ylabel="depth in mm" if n_rows < 5 else "depth from the inspected face in mm")
    add_colour_bar(axes, shown, "share found")
    note = "white: no such hole" + (
        "" if detectable is None else "; hatched: no hole of this kind stands out of the noise"
    )
    figure.text(0.5, 0.06 / (height + 1.5), note, ha="center", va="bottom", fontsize=8)
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_comparison(
    methods: Sequence[str],
    panels: Mapping[str, Mapping[str, Sequence[float | None]]],
    *,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw bars of methods, one panel per figure of merit, one bar per set of recordings.

    Parameters
    ----------
    methods : sequence of str
        M names.
    panels : mapping of str to mapping of str to sequence of float or None
        Per panel title the bars: name of the set ("held-out recordings") to M values; None is written "not measured".
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    series = list(dict.fromkeys(name for bars in panels.values() for name in bars))
    height = max(1.2, 0.42 * len(methods) + 0.2)
    n_columns = min(2, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = new_figure(WIDTH_IN, 0.6 + n_rows * (height + 0.75) + 0.15)
    width = (WIDTH_IN - 1.75) / n_columns - 0.55
    for position, (name, bars) in enumerate(panels.items()):
        row, column = divmod(position, n_columns)
        axes = place_axes(figure, 1.75 + column * (width + 0.55), 0.7 + row * (height + 0.75), width, height)
        _bars(axes, methods if column == 0 else [""] * len(methods), bars, series)
        axes.set_title(name)
    handles = [Rectangle((0, 0), 1, 1, color=GROUP_COLOURS[i], label=name) for i, name in enumerate(series)]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, bbox_to_anchor=(0.5, 0.0))
    put_title(figure, title)
    return finish(figure, path)


def _bars(axes: Axes, methods: Sequence[str], bars: Mapping[str, Sequence[Any]], series: Sequence[str]) -> None:
    thickness = 0.8 / len(series)
    top = max([value for values in bars.values() for value in values if value is not None], default=1.0) or 1.0
    for number, name in enumerate(series):
        if name not in bars:
            continue
        for row, value in enumerate(bars[name]):
            place = row - 0.4 + (number + 0.5) * thickness
            axes.barh(place, value or 0.0, height=0.92 * thickness, color=GROUP_COLOURS[number])
            text = "not measured" if value is None else f"{value:.3g}"
            axes.text((value or 0.0) + 0.012 * top, place, text, va="center", fontsize=7.5)
    axes.set_yticks(range(len(methods)), [shortened(name, 20) for name in methods])
    axes.set(xlim=(0.0, 1.16 * top), ylim=(len(methods) - 0.5, -0.5))
    axes.spines[["top", "right"]].set_visible(False)


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"


def _short_count(count: int) -> str:
    return f"{count}" if count < 10_000 else f"{count / 1000:.0f} k"
