"""Pictures of plates: a prediction over its frame, the plate and its defects, the splits of a cross-validation.

Every function returns the bytes of a PNG and, given `path`, also saves them atomically.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.indications import Indication
from thermo_qc.plate import ClassScheme, PlateSpec
from thermo_qc.report.canvas import (
    WIDTH_IN,
    add_scale_bar,
    class_legend,
    finish,
    fixed_style,
    panel_grid,
    put_title,
    show_frame,
    show_image,
)
from thermo_qc.report.marks import (
    coloured,
    label,
    name_defects,
    only_outer_labels,
    outline,
    present_classes,
    shortened,
    unit_label,
)
from thermo_qc.report.palette import (
    GREY_MAP,
    IGNORE_COLOUR,
    ROLE_COLOURS,
    ROLE_NAMES,
    SOUND_COLOUR,
    TEMPERATURE_MAP,
    class_colours,
    class_rgba,
    depth_colours,
)
from thermo_qc.sequence import Truth

__all__ = ["draw_plate", "draw_prediction", "draw_splits"]

MAX_NUMBERS = 80


@fixed_style()
def draw_prediction(
    frame: NDArray[Any],
    class_map: NDArray[np.uint8],
    *,
    class_names: Sequence[str],
    pixel_pitch_mm: float | None = None,
    indications: Sequence[Indication] = (),
    title: str = "",
    unit: str = "K",
    path: Path | None = None,
) -> bytes:
    """Draw a temperature frame beside the same frame in grey with the predicted defects in colours.

    Parameters
    ----------
    frame : ndarray, shape (Y, X)
        Temperature or rise in `unit`; NaN pixels are drawn in light blue.
    class_map : ndarray of uint8, shape (Y, X)
        0 sound, 1..K, 255 not used.
    class_names : sequence of str
        Names of all classes, sound first.
    pixel_pitch_mm : float, optional
        Pixel edge in mm; axes and scale bar are in px when unknown.
    indications : sequence of Indication
        Numbered on the map. Of more than 80 the largest 80, and the title says so.
    title : str
        Over both panels.
    unit : str
        Unit of the frame, for its colour bar.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    figure, ((left, right),) = panel_grid(1, 2, class_map.shape[:2], panel_width_in=4.3, gap_in=(1.35, 0), head_in=0.7)
    show_frame(left, frame, pixel_pitch_mm, map_name=TEMPERATURE_MAP, label=unit_label(unit))
    left.set_title("Temperature frame")
    show_frame(right, frame, pixel_pitch_mm, map_name=GREY_MAP)
    overlay = class_rgba(class_map, len(class_names), alpha=0.8, show_sound=False)
    show_image(right, overlay, pixel_pitch_mm)
    outline(right, class_map, pixel_pitch_mm)
    add_scale_bar(right, class_map.shape[1], pixel_pitch_mm)
    numbered = sorted(indications, key=lambda place: -place.area_px)[:MAX_NUMBERS]
    for place in numbered:
        top = place.centroid_y_px - float(np.sqrt(place.area_px / np.pi)) - 1
        label(right, place.centroid_x_px, top, str(place.id), pixel_pitch_mm, above=True)
    count = f", the largest {len(numbered)} of {len(indications)} numbered" if len(indications) > len(numbered) else ""
    right.set_title(f"Predicted defects: {len(indications)} indication{'' if len(indications) == 1 else 's'}{count}")
    class_legend(figure, *present_classes(class_names, class_map))
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_plate(
    plate: PlateSpec | Truth,
    *,
    pixel_pitch_mm: float | None = None,
    scheme: ClassScheme | None = None,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw where the defects of a plate lie, named, coloured by depth from the inspected face.

    Parameters
    ----------
    plate : PlateSpec or Truth
        A plate is drawn at 0.5 mm per pixel unless `pixel_pitch_mm` says otherwise.
    pixel_pitch_mm : float, optional
        Pixel edge of the truth in mm; axes in px when unknown.
    scheme : ClassScheme, optional
        Colours by its classes; by the single depths when None.
    title : str
        Over the picture.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    if isinstance(plate, PlateSpec):
        pixel_pitch_mm = pixel_pitch_mm or 0.5
        plate = plate.truth(pixel_pitch_mm)
    figure, ((axes,),) = panel_grid(1, 1, plate.shape, panel_width_in=6.2, head_in=0.55)
    image, names, colours = _depth_image(plate) if scheme is None else _scheme_image(plate, scheme)
    show_image(axes, image, pixel_pitch_mm)
    add_scale_bar(axes, plate.shape[1], pixel_pitch_mm)
    labels = {defect.number: defect.name or str(defect.number) for defect in plate.defects}
    name_defects(axes, plate.defect_index, labels, pixel_pitch_mm)
    class_legend(figure, names, colours)
    put_title(figure, title)
    return finish(figure, path)


@fixed_style()
def draw_splits(
    roles: Mapping[str, NDArray[np.uint8]],
    *,
    pixel_pitch_mm: Mapping[str, float | None] | None = None,
    title: str = "",
    path: Path | None = None,
) -> bytes:
    """Draw what each fold does with each recording.

    Parameters
    ----------
    roles : mapping of str to ndarray of uint8, shape (F, Y, X)
        Per recording: 0 not used, 1 training, 2 guard ring, 3 held out, for each of the F folds.
    pixel_pitch_mm : mapping of str to float, optional
        Pixel edge per recording in mm; axes in px when unknown.
    title : str
        Over the panels.
    path : Path, optional
        Where to save the PNG.

    Returns
    -------
    bytes
        The PNG.
    """
    keys = list(roles)
    n_folds, *shape = roles[keys[0]].shape
    width = min(1.7, (WIDTH_IN - 1.2) / len(keys) - 0.15)
    figure, grid = panel_grid(
        n_folds, len(keys), (shape[0], shape[1]), panel_width_in=width, gap_in=(0.15, 0.15), left_in=0.95
    )
    for column, key in enumerate(keys):
        pitch = (pixel_pitch_mm or {}).get(key)
        grid[0][column].set_title(shortened(key, int(11 * width)), fontsize=8.5)
        for fold in range(n_folds):
            axes = grid[fold][column]
            show_image(axes, coloured(roles[key][fold], ROLE_COLOURS), pitch)
            only_outer_labels(axes, bottom=fold == n_folds - 1, left=column == 0)
            if column == 0:
                axes.set_ylabel(f"fold {fold}\n{axes.get_ylabel()}")
    class_legend(figure, ROLE_NAMES, ROLE_COLOURS)
    put_title(figure, title)
    return finish(figure, path)


def _depth_image(truth: Truth) -> tuple[NDArray[np.uint8], list[str], list[str]]:
    known = {defect.number: round(float(defect.depth_mm), 2) for defect in truth.defects if defect.depth_mm is not None}
    depths = tuple(sorted({depth for number, depth in known.items() if (truth.defect_index == number).any()}))
    colours = [SOUND_COLOUR, *depth_colours(len(depths)), class_colours(2)[1], IGNORE_COLOUR]
    values = np.zeros(truth.shape, dtype=np.uint8)
    unknown = len(depths) + 1
    for number in (int(value) for value in np.unique(truth.defect_index) if value > 0):
        values[truth.defect_index == number] = depths.index(known[number]) + 1 if number in known else unknown
    values[truth.defect_index < 0] = unknown + 1
    names = ["sound", *(f"{depth:g} mm" for depth in depths), "depth unknown", "not used"]
    present = [i for i in range(len(names)) if (values == i).any()]
    return coloured(values, colours), [names[i] for i in present], [colours[i] for i in present]


def _scheme_image(truth: Truth, scheme: ClassScheme) -> tuple[NDArray[np.float32], list[str], list[str]]:
    values = scheme.class_map(truth)
    return class_rgba(values, scheme.n_classes), *present_classes(scheme.class_names, values)
