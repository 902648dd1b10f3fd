"""Chart of the curves of representative places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from thermo_qc.report.canvas import WIDTH_IN, finish, fixed_style, new_figure, place_axes, put_title
from thermo_qc.report.curves import PixelCurves
from thermo_qc.report.palette import depth_colours

__all__ = ["draw_curves"]


@fixed_style()
def draw_curves(curves: PixelCurves, *, title: str = "", path: Path | None = None) -> bytes:
    """Draw the temperature rise of representative places, and their contrast against sound material, over log time.

    Parameters
    ----------
    curves : PixelCurves
        From `representative_curves`.
    title : str
        Over both panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    figure = new_figure(WIDTH_IN, 5.15)
    left = place_axes(figure, 0.75, 0.75, 4.4, 3.0)
    right = place_axes(figure, 6.25, 0.75, 4.5, 3.0)
    depths = sorted({round(curve.depth_mm, 3) for curve in curves.defects})
    colour_of = dict(zip(depths, depth_colours(len(depths)), strict=True))
    left.plot(curves.times_s, curves.sound, color="#666666", linewidth=2.4, label="sound, far from all defects")
    for number, curve in enumerate(curves.defects):
        style: dict[str, Any] = {
            "color": colour_of[round(curve.depth_mm, 3)],
            "linewidth": 1.4,
            "linestyle": ("-", "--", "-.", ":")[number % 4],
        }
        name = f"{curve.name}: {curve.depth_mm:.4g} mm deep" + (
            "" if curve.diameter_mm is None else f", ⌀ {curve.diameter_mm:.4g} mm"
        )
        left.plot(curves.times_s, curve.rise, label=name, **style)
        right.plot(curves.times_s, curve.contrast, **style)
    right.axhline(0.0, color="#666666", linewidth=1.0)
    if curves.noise is not None:
        right.axhspan(-curves.noise, curves.noise, color="#dddddd", zorder=0, label="± noise of one pixel")
    note = _contrast_axis(right, curves)
    for axes in (left, right):
        _time_axis(axes, curves)
    left.set_ylabel(f"rise in {curves.unit}")
    right.set_ylabel(f"contrast against sound in {curves.unit}{note}")
    left.set_title("Rise above the cold plate")
    right.set_title("Contrast: hole minus the sound ring round it")
    handles, labels = left.get_legend_handles_labels()
    shade = [entry for entry in zip(*right.get_legend_handles_labels(), strict=True) if entry[1] not in labels]
    handles, labels = handles + [handle for handle, _ in shade], labels + [text for _, text in shade]
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, bbox_to_anchor=(0.5, 0.01))
    put_title(figure, title)
    return finish(figure, path)


def _time_axis(axes: Axes, curves: PixelCurves) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("time from the start of the heating in s")
    axes.grid(True, which="both", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    if curves.heating_stop_s is not None:
        axes.axvline(
            curves.heating_stop_s, color="#d55e00", linewidth=1.2, linestyle=(0, (1, 1)), label="heating stops"
        )


def _contrast_axis(axes: Axes, curves: PixelCurves) -> str:
    """Make small and large contrasts readable on one axis: linear near zero, logarithmic above."""
    peak = max((float(np.nanmax(np.abs(curve.contrast), initial=0.0)) for curve in curves.defects), default=0.0)
    floor = curves.noise if curves.noise is not None else 0.01 * peak
    if not 0 < 20 * floor < peak:
        return ""
    axes.set_yscale("symlog", linthresh=2 * floor)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return f"\n(logarithmic above {2 * floor:.2g} {curves.unit})"
