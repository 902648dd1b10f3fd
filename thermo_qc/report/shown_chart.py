"""Chart of what a recording could have shown: smallest detectable diameters by depth, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from thermo_qc.report.canvas import finish, fixed_style, new_figure, place_axes, put_title

__all__ = ["draw_shown"]

_DETECTABLE, _BORDERLINE, _HIDDEN = "#bfe3d4", "#fff1c2", "#e9e9e9"
_LINES = {"detectable": "#00684f", "visible": "#b37400"}
_ROOM = 1.25
_MOST_LABELS = 60
_NEAR = (0.035, 0.05)  # parts of the axes that a number covers
_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
_FEW = FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


@fixed_style()
def draw_shown(
    sizes: Mapping[str, Sequence[float | None]],
    *,
    limits: Mapping[str, float],
    cases: Sequence[tuple[float, float]] = (),
    indications: Sequence[tuple[int, float, float]] = (),
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw the smallest holes that could be shown.

    Parameters
    ----------
    sizes : mapping
        As in the record of an inspection: ``depths_mm``, ``detectable_mm``, ``visible_mm``, ``smallest_mm``,
        ``largest_mm``; None where even the largest hole tried is not enough.
    limits : mapping
        ``visible`` and ``detectable``, limits of d'.
    cases : sequence of (depth, diameter)
        Smallest defects that the criteria reject, mm.
    indications : sequence of (number, depth, diameter)
        What was called, mm.
    title : str
        Over the chart.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    columns = {name: np.array(values, dtype=np.float64) for name, values in sizes.items()}
    depth, low = columns["depths_mm"], columns["smallest_mm"]
    drawn = [*(size for _, size in cases), *(size for _, _, size in indications)]
    known = [*drawn, *low, *(v for name in _LINES for v in columns[f"{name}_mm"] if np.isfinite(v))]
    bottom, top = min(known) / _ROOM, max(known) * 2
    figure = new_figure(8.6, 4.7)
    axes = place_axes(figure, 0.75, 0.55, 5.3, 3.45)
    edges = {name: np.where(np.isfinite(columns[f"{name}_mm"]), columns[f"{name}_mm"], top) for name in _LINES}
    axes.fill_between(depth, edges["detectable"], top, color=_DETECTABLE, label="detectable")
    axes.fill_between(depth, edges["visible"], edges["detectable"], color=_BORDERLINE, label="borderline")
    axes.fill_between(depth, bottom, edges["visible"], color=_HIDDEN, label="cannot be seen")
    for name, colour in _LINES.items():
        label = f"d' = {limits[name]:g}"
        axes.plot(depth, columns[f"{name}_mm"], "o-", color=colour, markersize=4, label=label)
    if cases:
        axes.plot(*np.array(cases).T, "x", color="#d55e00", markersize=9, mew=2.2, label="smallest to be rejected")
    if indications:
        at = np.array([(one[1], one[2]) for one in indications])
        axes.plot(*at.T, "o", color="black", markersize=4.5, label="indication, with its number")
        deepest_at = 1.04 * max(float(depth[-1]), float(at[:, 0].max()))
        for text, x, y in _labels(indications[:_MOST_LABELS], deepest_at, float(np.log(top / bottom))):
            axes.annotate(
                text, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8,
                path_effects=[withStroke(linewidth=2.0, foreground="white")],
            )  # fmt: skip
    deepest = max([float(depth[-1]), *(one[0] for one in cases), *(one[1] for one in indications)])
    axes.set(xlim=(0, 1.04 * deepest), ylim=(bottom, top), yscale="log")
    axes.yaxis.set_major_formatter(_PLAIN)
    axes.yaxis.set_minor_formatter(_FEW)
    axes.tick_params(which="minor", labelsize=7.5)
    axes.set_xlabel("depth below the inspected face in mm")
    axes.set_ylabel("diameter in mm")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), frameon=False)
    put_title(figure, title)
    return finish(figure, path)


def _labels(
    indications: Sequence[tuple[int, float, float]], across: float, down: float
) -> list[tuple[str, float, float]]:
    """Numbers beside their points; those of points so close that they would cover one another stand together."""
    groups: list[tuple[list[int], float, float]] = []
    for number, x, y in indications:
        for numbers, other_x, other_y in groups:
            if abs(x - other_x) < _NEAR[0] * across and abs(np.log(y / other_y)) < _NEAR[1] * down:
                numbers.append(number)
                break
        else:
            groups.append(([number], x, y))
    return [(", ".join(map(str, numbers)), x, y) for numbers, x, y in groups]
