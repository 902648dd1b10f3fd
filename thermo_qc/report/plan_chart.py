"""Chart of a plan: the smallest hole that a set-up shows at each depth, and the recording that a wanted hole needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from thermo_qc.evaluation import DepthPlan, DetectionLimits, WantedHole
from thermo_qc.report.canvas import WIDTH_IN, finish, fixed_style, new_figure, place_axes, put_title
from thermo_qc.report.palette import depth_colours

__all__ = ["draw_plan"]

_DETECTABLE, _BORDERLINE, _HIDDEN = "#bfe3d4", "#fff1c2", "#e9e9e9"
_LINES = {"detectable": "#00684f", "visible": "#b37400"}
_PULSE = "#0072b2"
_RISE = "#d55e00"


@fixed_style()
def draw_plan(
    depths: Sequence[DepthPlan],
    *,
    limits: DetectionLimits,
    thickness_mm: float,
    smallest_mm: float,
    largest_mm: float,
    wanted: WantedHole | None = None,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw a plan.

    Parameters
    ----------
    depths : sequence of DepthPlan
        Rising depth.
    limits : DetectionLimits
        Of d'.
    thickness_mm : float
        Of the plate.
    smallest_mm, largest_mm : float
        Diameters between which was searched.
    wanted : WantedHole, optional
        The hole that somebody wants to see; drawn as a third panel where it has more than one pulse.
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    with_pulses = wanted is not None and len(wanted.needs) > 1
    figure = new_figure(WIDTH_IN + (5.0 if with_pulses else 0.0), 4.9)
    left = place_axes(figure, 0.75, 0.75, 4.3, 3.0)
    _draw_smallest(left, depths, limits, thickness_mm, smallest_mm, largest_mm)
    if wanted is not None:
        left.plot(wanted.depth_mm, wanted.diameter_mm, "x", color="black", markersize=9, mew=2, label="wanted hole")
    foot = (0.6 / figure.get_size_inches()[0], 0.135)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=foot, ncols=3, frameon=False)
    _draw_indices(place_axes(figure, 6.0, 0.75, 3.4, 3.0), depths, limits)
    if wanted is not None and with_pulses:
        _draw_pulses(place_axes(figure, 11.25, 0.75, 3.8, 3.0), wanted)
    put_title(figure, title)
    return finish(figure, path)


def _draw_smallest(
    axes: Axes,
    depths: Sequence[DepthPlan],
    limits: DetectionLimits,
    thickness_mm: float,
    smallest_mm: float,
    largest_mm: float,
) -> None:
    """Draw the smallest diameters over the depth, and the regions between them."""
    depth = np.array([plan.depth_mm for plan in depths])
    sizes = {
        "detectable": np.array([plan.detectable_mm for plan in depths]),
        "visible": np.array([plan.visible_mm for plan in depths]),
    }
    found = np.concatenate(list(sizes.values()))
    found = found[np.isfinite(found)]
    top = min(largest_mm, 1.25 * float(found.max())) if found.size else largest_mm
    top = max(top, 2.2 * smallest_mm)
    edges = {name: np.where(np.isnan(values), top, values) for name, values in sizes.items()}
    axes.fill_between(depth, edges["detectable"], top, color=_DETECTABLE, label="detectable")
    axes.fill_between(depth, edges["visible"], edges["detectable"], color=_BORDERLINE, label="borderline")
    axes.fill_between(depth, smallest_mm, edges["visible"], color=_HIDDEN, label="cannot be seen")
    axes.axhspan(0, smallest_mm, facecolor="none", edgecolor="#bbbbbb", hatch="////", linewidth=0, label="not tried")
    for name, values in sizes.items():
        axes.plot(
            depth,
            values,
            "o-",
            color=_LINES[name],
            markersize=4,
            label=f"d' = {getattr(limits, name):g}",
        )
    rule = np.array([0.0, thickness_mm])
    axes.plot(rule, 2 * rule, ":", color="#444444", linewidth=1.2, label="diameter = 2 × depth")
    axes.set(xlim=(0, thickness_mm), ylim=(0, top), title="Smallest hole that can be shown")
    axes.set_xlabel("depth below the inspected face in mm")
    axes.set_ylabel("diameter in mm")


def _draw_indices(axes: Axes, depths: Sequence[DepthPlan], limits: DetectionLimits) -> None:
    """Draw the simulated indices over the diameter."""
    for plan, colour in zip(depths, depth_colours(len(depths)), strict=True):
        axes.plot(plan.diameters_mm, plan.d_primes, "o-", color=colour, markersize=3.5, label=f"{plan.depth_mm:.3g}")
    for name in ("detectable", "visible"):
        axes.axhline(getattr(limits, name), color=_LINES[name], linestyle="--", linewidth=1.2)
    axes.set(xscale="log", yscale="log", title="Simulated holes")
    axes.set_xlabel("diameter in mm")
    axes.set_ylabel("detectability index d'")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_PLAIN)
        axis.set_minor_formatter(_FEW)
    axes.tick_params(which="minor", labelsize=7.5)
    axes.grid(True, which="both", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(title="depth in mm", loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=8)


_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
_FEW = FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _draw_pulses(axes: Axes, wanted: WantedHole) -> None:
    """Draw the recording time, and the rise of the surface, over the pulse."""
    needs = [need for need in wanted.needs if np.isfinite(need.recording_s)]
    missing = [need.pulse_s for need in wanted.needs if np.isnan(need.recording_s)]
    axes.plot([need.pulse_s for need in needs], [need.recording_s for need in needs], "o-", color=_PULSE)
    axes.plot(missing, [wanted.longest_s] * len(missing), "^", color=_PULSE, mfc="white", clip_on=False)
    axes.set(
        xscale="log",
        ylim=(0, 1.08 * max([need.recording_s for need in needs] + [wanted.longest_s] * bool(missing))),
        title=f"To detect {wanted.diameter_mm:g} mm at {wanted.depth_mm:g} mm depth",
    )
    axes.set_xlabel("pulse in s" + (f" (△: more than {wanted.longest_s:g} s)" if missing else ""))
    axes.set_ylabel("shortest recording in s", color=_PULSE)
    axes.xaxis.set_major_formatter(_PLAIN)
    axes.xaxis.set_minor_formatter(_FEW)
    axes.tick_params(which="minor", labelsize=7.5)
    axes.grid(True, which="both", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    rise: Any = axes.twinx()
    rise.plot([need.pulse_s for need in wanted.needs], [need.peak_rise_k for need in wanted.needs], "s--", color=_RISE)
    rise.set_ylim(bottom=0)
    rise.set_ylabel("largest surface rise in K", color=_RISE)
