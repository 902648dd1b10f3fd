"""Charts of an evaluation: POD curves and the reliability of probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.report.canvas import WIDTH_IN, finish, fixed_style, new_figure, place_axes, put_title
from thermo_qc.report.palette import GROUP_COLOURS

__all__ = ["draw_pod", "draw_reliability"]

_GRID: dict[str, Any] = {"color": "#e4e4e4", "linewidth": 0.6}


@fixed_style()
def draw_pod(curves: Mapping[str, Mapping[str, Any]], *, title: str = "", path: Path | None = None) -> bytes:
    """Draw POD curves with their bounds.

    Parameters
    ----------
    curves : mapping of str to mapping
        Label of the size to a curve as in ``metrics.json`` (``sizes``, ``pod``, ``low``, ``high``, ``a90``,
        ``a90_95``, ``confidence``).
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    figure = new_figure(WIDTH_IN, 3.9)
    width = 4.4 if len(curves) > 1 else 8.0
    for number, (label, curve) in enumerate(curves.items()):
        axes = place_axes(figure, 0.8 + number * 5.4, 0.65, width, 2.5)
        colour = GROUP_COLOURS[number % len(GROUP_COLOURS)]
        sizes, pod, low, high = (np.array(curve[name], dtype=np.float64) for name in ("sizes", "pod", "low", "high"))
        axes.fill_between(sizes, low, high, color=colour, alpha=0.2, linewidth=0, label="bounds (95 %)")
        axes.plot(sizes, pod, color=colour, label="POD")
        axes.axhline(0.9, color="#888888", linewidth=0.8, linestyle=":")
        for name, style, said in (("a90", "--", "a90"), ("a90_95", "-.", "a90/95")):
            value = curve[name]["value"]
            if value is not None:
                axes.axvline(value, color="#333333", linewidth=1.0, linestyle=style, label=f"{said} = {value:.3g}")
        axes.set(xlabel=label, ylabel="probability of detection", ylim=(0, 1.02))
        axes.grid(True, **_GRID)
        axes.legend(loc="lower right", frameon=False, fontsize=8)
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_reliability(calibration: Mapping[str, Any], *, title: str = "", path: Path | None = None) -> bytes:
    """Draw how often a stated probability of a defect comes true.

    Parameters
    ----------
    calibration : mapping
        As in ``metrics.json``: ``mean_probability``, ``share``, ``count``, ``lower``, ``upper``.
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    rows = zip(calibration["mean_probability"], calibration["share"], calibration["count"], strict=True)
    known = np.array([row for row in rows if row[2]], dtype=np.float64).reshape(-1, 3)
    figure = new_figure(WIDTH_IN, 3.9)
    axes = place_axes(figure, 0.8, 0.65, 4.4, 2.5)
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, linestyle=":", label="means what it says")
    axes.plot(known[:, 0], known[:, 1], "o-", color=GROUP_COLOURS[0], label="this run")
    axes.set(xlabel="stated probability of a defect", ylabel="share that is a defect", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(True, **_GRID)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    counts = place_axes(figure, 6.2, 0.65, 4.4, 2.5)
    lower, upper = np.array(calibration["lower"]), np.array(calibration["upper"])
    counts.bar(lower, calibration["count"], width=upper - lower, align="edge", color=GROUP_COLOURS[0], alpha=0.7)
    counts.set(xlabel="stated probability of a defect", ylabel="pixels", xlim=(0, 1))
    if known.size:
        counts.set_yscale("log")
    put_title(figure, title)
    return finish(figure, path)
