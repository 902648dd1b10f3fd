"""Pictures of predicted maps beside the truth: of one recording, by several methods, of several recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from thermo_qc.report.canvas import (
    WIDTH_IN,
    add_scale_bar,
    class_legend,
    finish,
    fixed_style,
    panel_grid,
    part_of,
    put_title,
    robust_limits,
    show_frame,
    show_image,
)
from thermo_qc.report.marks import (
    coloured,
    name_defects,
    only_outer_labels,
    present_classes,
    ring_missed,
    shortened,
)
from thermo_qc.report.palette import OUTCOME_COLOURS, OUTCOME_NAMES, TEMPERATURE_MAP, class_rgba
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["draw_maps_beside_truth", "draw_methods", "draw_outcomes", "outcome_map"]


@fixed_style()
def draw_maps_beside_truth(
    frame: NDArray[Any] | None,
    truth_class: NDArray[np.uint8],
    class_map: NDArray[np.uint8],
    *,
    class_names: Sequence[str],
    defect_index: NDArray[np.int16] | None = None,
    names: Mapping[int, str] | None = None,
    missed: Sequence[int] = (),
    frame_label: str = "rise in K",
    pixel_pitch_mm: float | None = None,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw a frame, the true classes, the predicted classes and where they differ, side by side.

    Parameters
    ----------
    frame : ndarray, shape (Y, X), optional
        Representative frame; its panel says so when missing.
    truth_class, class_map : ndarray of uint8, shape (Y, X)
        True and predicted classes; 255 not used.
    class_names : sequence of str
        Names of all classes, sound first.
    defect_index : ndarray of int16, shape (Y, X), optional
        Number of the true defect of each pixel, for names and rings.
    names : mapping of int to str, optional
        Names of the defects by number.
    missed : sequence of int
        Numbers of the defects that count as missed; ringed and marked in the last panel.
    frame_label : str
        Colour bar of the frame.
    pixel_pitch_mm : float, optional
        Pixel edge in mm; axes in px when unknown.
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    figure, grid = panel_grid(
        2, 2, truth_class.shape[:2], panel_width_in=4.3, gap_in=(1.35, 0.4), head_in=0.7, foot_in=1.25
    )
    panels = [axes for row in grid for axes in row]
    _show_frame_or_say(panels[0], frame, pixel_pitch_mm, frame_label, truth_class != IGNORE_LABEL)
    n_classes, called = len(class_names), _masked(class_map, truth_class)
    show_image(panels[1], class_rgba(truth_class, n_classes), pixel_pitch_mm)
    show_image(panels[2], class_rgba(called, n_classes), pixel_pitch_mm)
    show_image(panels[3], coloured(outcome_map(truth_class, class_map), OUTCOME_COLOURS), pixel_pitch_mm)
    for panel, text in zip(panels, ("Frame", "Truth", "Prediction", "Difference"), strict=True):
        panel.set_title(text)
        only_outer_labels(panel, bottom=panel in grid[1], left=panel in (grid[0][0], grid[1][0]))
    if defect_index is not None:
        ring_missed(panels[3], defect_index, missed, pixel_pitch_mm)
        name_defects(panels[1], defect_index, names or {}, pixel_pitch_mm)
    add_scale_bar(panels[1], class_map.shape[1], pixel_pitch_mm)
    class_legend(figure, *present_classes(class_names, called, truth_class), x=0.28, width_in=5.2)
    class_legend(figure, OUTCOME_NAMES, OUTCOME_COLOURS, x=0.77, width_in=5.2)
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_methods(
    frame: NDArray[Any] | None,
    truth_class: NDArray[np.uint8],
    class_maps: Mapping[str, NDArray[np.uint8]],
    *,
    class_names: Sequence[str],
    defect_index: NDArray[np.int16] | None = None,
    missed: Mapping[str, Sequence[int]] | None = None,
    unit: str = "K",
    pixel_pitch_mm: float | None = None,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw one recording's frame, its truth and the maps of several methods.

    Parameters
    ----------
    frame : ndarray, shape (Y, X), optional
        Representative frame.
    truth_class : ndarray of uint8, shape (Y, X)
        True classes, 255 not used.
    class_maps : mapping of str to ndarray of uint8, shape (Y, X)
        Predicted classes by method.
    class_names : sequence of str
        Names of all classes, sound first.
    defect_index : ndarray of int16, shape (Y, X), optional
        Number of the true defect of each pixel, for the rings.
    missed : mapping of str to sequence of int, optional
        Per method the numbers of the missed defects.
    unit : str
        Unit of the frame; the title of its panel gives the ends of its colour scale.
    pixel_pitch_mm : float, optional
        Pixel edge in mm; axes in px when unknown.
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    n_columns = 4
    n_rows = -(-(len(class_maps) + 2) // n_columns)
    figure, grid = panel_grid(
        n_rows, n_columns, truth_class.shape[:2], panel_width_in=2.35, gap_in=(0.25, 0.4), left_in=0.7
    )
    panels = [axes for row in grid for axes in row]
    used = truth_class != IGNORE_LABEL
    _show_frame_or_say(panels[0], frame, pixel_pitch_mm, "", used)
    panels[0].set_title("Frame" if frame is None else _limits_title(part_of(frame, used), unit))
    show_image(panels[1], class_rgba(truth_class, len(class_names)), pixel_pitch_mm)
    panels[1].set_title("Truth")
    for axes, (method, class_map) in zip(panels[2:], class_maps.items(), strict=False):
        show_image(axes, class_rgba(_masked(class_map, truth_class), len(class_names)), pixel_pitch_mm)
        lost = (missed or {}).get(method, ())
        axes.set_title(f"{shortened(method, 18)}: {len(lost)} missed" if missed else shortened(method, 26))
        if defect_index is not None:
            ring_missed(axes, defect_index, lost, pixel_pitch_mm, word="")
    used = len(class_maps) + 2
    for position, axes in enumerate(panels[:used]):
        only_outer_labels(axes, bottom=position + n_columns >= used, left=position % n_columns == 0)
    for axes in panels[used:]:
        axes.set_axis_off()
    add_scale_bar(panels[0], truth_class.shape[1], pixel_pitch_mm)
    class_legend(figure, *present_classes(class_names, truth_class, *class_maps.values()))
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_outcomes(
    outcomes: Mapping[str, NDArray[np.uint8]],
    *,
    missed: Mapping[str, Sequence[int]] | None = None,
    defect_index: Mapping[str, NDArray[np.int16]] | None = None,
    pixel_pitch_mm: Mapping[str, float | None] | None = None,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw where a method was right and wrong in several recordings.

    Parameters
    ----------
    outcomes : mapping of str to ndarray of uint8, shape (Y, X)
        `outcome_map` of each recording.
    missed, defect_index, pixel_pitch_mm : mapping by recording, optional
        Numbers of the missed defects, numbers of the true defects (Y, X), pixel edges in mm.
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    n_columns = min(5, len(outcomes))
    n_rows = -(-len(outcomes) // n_columns)
    width = min(4.0, (WIDTH_IN - 0.9) / n_columns - 0.2)
    first = next(iter(outcomes.values()))
    figure, grid = panel_grid(n_rows, n_columns, first.shape[:2], panel_width_in=width, gap_in=(0.2, 0.4), left_in=0.7)
    panels = [axes for row in grid for axes in row]
    for position, (axes, (key, outcome)) in enumerate(zip(panels, outcomes.items(), strict=False)):
        pitch = (pixel_pitch_mm or {}).get(key)
        show_image(axes, coloured(outcome, OUTCOME_COLOURS), pitch)
        axes.set_title(shortened(key, int(11 * width)), fontsize=9)
        only_outer_labels(axes, bottom=position + n_columns >= len(outcomes), left=position % n_columns == 0)
        if defect_index is not None and missed is not None:
            ring_missed(axes, defect_index[key], missed.get(key, ()), pitch, word="")
    for axes in panels[len(outcomes) :]:
        axes.set_axis_off()
    class_legend(figure, OUTCOME_NAMES, OUTCOME_COLOURS)
    put_title(figure, title)
    return finish(figure, path)


def outcome_map(truth_class: NDArray[np.uint8], class_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Outcome of every pixel, in the order of `palette.OUTCOME_NAMES`, uint8 (Y, X)."""
    true_defect, called = truth_class > 0, class_map > 0
    result = np.zeros(truth_class.shape, dtype=np.uint8)
    result[true_defect & called] = 2
    result[true_defect & (class_map == truth_class)] = 1
    result[true_defect & ~called] = 3
    result[~true_defect & called] = 4
    result[(truth_class == IGNORE_LABEL) | (class_map == IGNORE_LABEL)] = 5
    return result


def _masked(class_map: NDArray[np.uint8], truth_class: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(truth_class == IGNORE_LABEL, IGNORE_LABEL, class_map).astype(np.uint8)


def _show_frame_or_say(
    axes: Axes, frame: NDArray[Any] | None, pixel_pitch_mm: float | None, label: str, inside: NDArray[np.bool_]
) -> None:
    if frame is None:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no frame was stored", transform=axes.transAxes, ha="center")
    else:
        show_frame(axes, frame, pixel_pitch_mm, map_name=TEMPERATURE_MAP, label=label, inside=inside)


def _limits_title(frame: NDArray[Any], unit: str) -> str:
    low, high = robust_limits(frame)
    return f"Frame, {low:.4g} (dark) to {high:.4g} {unit}"
