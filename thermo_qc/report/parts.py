"""Parts of a page about what went in: plates, splits, curves of representative pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ThermoQCError
from thermo_qc.evaluation import Splits
from thermo_qc.io import read_sequence, sha256_of
from thermo_qc.plate import PlateSpec, load_plate
from thermo_qc.report.blocks import Block, Missing, Paragraph, Picture
from thermo_qc.report.curve_chart import draw_curves
from thermo_qc.report.curves import representative_curves
from thermo_qc.report.load import PredictionFile, RunFolder
from thermo_qc.report.pictures import draw_plate, draw_splits
from thermo_qc.report.tables import fact_table
from thermo_qc.report.texts import SPLITS_HELP
from thermo_qc.sequence import Material

__all__ = ["curve_blocks", "plate_blocks", "split_blocks", "usable_maps"]

MAX_SPLIT_FOLDS = 8
MAX_SPLIT_RECORDINGS = 8


def plate_blocks(run: RunFolder) -> list[Block]:
    """Draw every plate of a run from its specification; from the stored truth where that is not at hand."""
    blocks: list[Block] = []
    plates: dict[str, str] = {}
    for entry in run.record.get("data") or ():
        plates.setdefault(str(entry.get("plate") or ""), str(entry.get("key")))
    for name, key in plates.items():
        try:
            if not name:
                raise ThermoQCError(f"no plate is named for {key}")
            blocks += _plate_from_specification(load_plate(name, relative_to=run.path))
        except ThermoQCError as error:
            blocks += _plate_from_truth(run, key, str(error))
    return blocks or [Missing(text="no recording is listed, so no plate can be drawn.")]


def _in_plane(material: Material) -> str:
    along_x, along_y = material.conductivities_in_plane_w_mk
    return f"{along_x:g} in plane" if along_x == along_y else f"{along_x:g} along x, {along_y:g} along y"


def _plate_from_specification(plate: PlateSpec) -> list[Block]:
    material = plate.material
    facts = [
        ("size", f"{plate.width_mm:g} x {plate.height_mm:g} x {plate.thickness_mm:g} mm"),
        ("holes", len(plate.holes)),
        ("material", material.name),
        (
            "conductivity",
            f"{material.conductivity_through_w_mk:g} through, {_in_plane(material)}, W/(m K)",
        ),
        ("density", f"{material.density_kg_m3:g} kg/m³"),
        ("heat capacity", f"{material.heat_capacity_j_kgk:g} J/(kg K)"),
    ]
    png = draw_plate(plate, title=f"Plate {plate.name}: the inspected face")
    caption = (
        "The plate as its specification describes it, seen from the inspected face. Colours give the depth of each "
        "hole: "
        "the material left between the inspected face and the floor of the hole. The grey border is not used."
    )
    return [
        fact_table(f"Plate {plate.name}: nominal values.", facts),
        Picture(png=png, alt=f"Plate {plate.name} with its {len(plate.holes)} holes", caption=caption),
    ]


def _plate_from_truth(run: RunFolder, key: str, reason: str) -> list[Block]:
    item = run.maps.get(key)
    truth = None if item is None else item.truth(run.holes_of(key))
    note = Missing(text=f"the plate specification could not be used ({reason}).")
    if item is None or truth is None:
        return [
            note,
            Missing(text=f"no truth was stored with a prediction of {key} either, so its plate is not drawn."),
        ]
    png = draw_plate(truth, pixel_pitch_mm=item.pixel_pitch_mm, title=f"Truth of {key}")
    caption = f"The plate as the stored truth of {key} shows it, in the frame of the camera; colours give the depth."
    return [note, Picture(png=png, alt=f"True defects of {key}", caption=caption)]


def split_blocks(run: RunFolder) -> list[Block]:
    """Draw the folds and guard rings of a cross-validation on the plate."""
    try:
        splits = Splits.load(run.path / "splits.json")
    except ThermoQCError as error:
        return [Missing(text=f"the splits cannot be drawn: {error}.")]
    keys, n_folds = splits.keys[:MAX_SPLIT_RECORDINGS], min(splits.n_folds, MAX_SPLIT_FOLDS)
    roles = {key: np.stack([_roles(splits, fold, key) for fold in range(n_folds)]) for key in keys}
    pitches = {key: item.pixel_pitch_mm for key, item in run.maps.items()}
    guard = f" The guard ring is {splits.guard_mm:.3g} mm wide." if splits.guards and splits.guard_mm else ""
    blocks: list[Block] = [
        Paragraph(
            text=f"The {splits.n_folds} folds group by {splits.by.replace('_', ' ')}. They were drawn with seed "
            f"{splits.seed} and saved before any training.{guard}"
        ),
        Picture(
            png=draw_splits(roles, pixel_pitch_mm={key: pitches.get(key) for key in keys}, title="Folds"),
            alt=f"{splits.n_folds} folds on {len(splits.keys)} recordings",
            caption=SPLITS_HELP,
        ),
    ]
    if len(keys) < len(splits.keys) or n_folds < splits.n_folds:
        blocks.append(
            Paragraph(
                text=f"Shown: {n_folds} of {splits.n_folds} folds and {len(keys)} of {len(splits.keys)} recordings; "
                "splits.json holds all."
            )
        )
    return blocks + [Paragraph(text=f"Note on the splits: {text}") for text in splits.warnings]


def _roles(splits: Splits, fold: int, key: str) -> NDArray[np.uint8]:
    test, train = splits.test_mask(fold, key), splits.train_mask(fold, key)
    used = splits.fold_maps[key] >= 0
    return np.select([test, train, used], [3, 1, 2], 0).astype(np.uint8)


def curve_blocks(run: RunFolder) -> list[Block]:
    """Draw curves of representative pixels of the first recording that can be read."""
    blocks: list[Block] = []
    for entry in run.record.get("data") or ():
        key = str(entry.get("key"))
        item = run.maps.get(key)
        truth = None if item is None else item.truth(run.holes_of(key))
        try:
            sequence = read_sequence(_find_recording(run.path, entry))
        except ThermoQCError as error:
            blocks.append(Missing(text=f"curves of {key} cannot be drawn: {error}."))
            continue
        if truth is None or truth.shape != sequence.frame_shape:
            truth = sequence.truth
        curves = None if truth is None else representative_curves(sequence, truth)
        if curves is None:
            blocks.append(
                Missing(text=f"{key} has no known defect of known depth, so no representative curves are drawn.")
            )
            continue
        caption = (
            f"Recording {key}. Left: temperature rise over the middle of the largest hole of each depth, and over "
            "sound "
            "material far from all holes. Right: the same minus the sound ring round the hole; the grey band is the "
            "noise of "
            "a single pixel. The deeper a hole, the later and weaker its contrast."
        )
        png = draw_curves(curves, title=f"{key}: curves of representative places")
        return [*blocks, Picture(png=png, alt=f"Temperature curves of {key}", caption=caption)]
    return blocks or [Missing(text="no recording is listed, so no curves can be drawn.")]


def _find_recording(folder: Path, entry: Mapping[str, Any]) -> Path:
    """Find the recording where the run found it or, when the folder was moved as a whole, beside it."""
    stated = Path(str(entry.get("recording") or f"{entry.get('key')}.h5"))
    if stated.exists():
        return stated
    for near in (folder / stated, folder / "data" / stated.name, folder.parent.parent / "data" / stated.name):
        if near.exists() and entry.get("sha256") in (None, "", sha256_of(near)):
            return near
    return stated


def usable_maps(item: PredictionFile) -> str | None:
    """Say why a prediction cannot be drawn beside its truth; None when it can."""
    if item.truth_class is None:
        return f"the truth was not stored with the prediction of {item.key}"
    shapes = {
        array.shape for array in (item.class_map, item.truth_class, item.frame, item.defect_index) if array is not None
    }
    return None if len(shapes) == 1 and item.class_map.ndim == 2 else f"the maps of {item.key} have different sizes"
