"""Paired differences of methods with their intervals, as a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thermo_qc.report.canvas import WIDTH_IN, finish, fixed_style, new_figure, place_axes, put_title
from thermo_qc.report.marks import shortened
from thermo_qc.report.palette import GROUP_COLOURS

__all__ = ["draw_differences"]


@fixed_style()
def draw_differences(
    differences: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, str],
    *,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw one panel per metric, one line per method.

    Parameters
    ----------
    differences : sequence of mapping
        ``method``, ``metric``, ``difference``, ``low``, ``high``, ``reason``, ``decided``.
    metrics : mapping of str to str
        Metrics to draw, and their titles.
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    methods = list(dict.fromkeys(str(one["method"]) for one in differences))
    shown = [name for name in metrics if any(one["metric"] == name for one in differences)]
    columns = min(3, len(shown))
    height = max(0.7, 0.3 * len(methods) + 0.2)
    rows = -(-len(shown) // columns)
    figure = new_figure(WIDTH_IN, 0.7 + rows * (height + 0.85) + 0.1)
    width = (WIDTH_IN - 1.7) / columns - 0.35
    for position, name in enumerate(shown):
        row, column = divmod(position, columns)
        axes = place_axes(figure, 1.7 + column * (width + 0.35), 0.75 + row * (height + 0.85), width, height)
        axes.axvline(0.0, color="#888888", linewidth=0.8)
        for one in differences:
            if one["metric"] != name:
                continue
            place = methods.index(str(one["method"]))
            if one["reason"]:
                axes.text(0.5, place, "no interval", transform=axes.get_yaxis_transform(), va="center", fontsize=7)
                continue
            colour = GROUP_COLOURS[0]
            axes.plot([one["low"], one["high"]], [place, place], color=colour, linewidth=1.6)
            axes.plot(
                one["difference"], place, "o", color=colour, markerfacecolor=colour if one["decided"] else "white"
            )
        axes.set_yticks(range(len(methods)), [shortened(one, 20) if column == 0 else "" for one in methods])
        axes.set(ylim=(len(methods) - 0.5, -0.5), title=metrics[name])
        axes.grid(True, axis="x", color="#e4e4e4", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    put_title(figure, title)
    return finish(figure, path)
