"""What ``thermo-qc maps`` writes beside the HDF5 file: pictures and the scores of known defects."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from thermo_qc.errors import OutputError, TruthError
from thermo_qc.io import write_csv
from thermo_qc.report.map_pictures import draw_map, draw_overview
from thermo_qc.sequence import ThermalSequence
from thermo_qc.thermography import MapImage, MapSet, score_map

__all__ = ["draw_all", "write_scores"]

MOST_PAINTERS = 8
PICTURES_EACH = 15  # below that a process takes longer to start than to draw
SCORE_COLUMNS = (
    *("method", "map", "number", "name", "depth_mm", "diameter_mm"),
    *("cnr", "snr_db", "sbc", "tanimoto", "threshold", "n_pixels", "n_sound_pixels"),
)


def write_scores(maps: MapSet, sequence: ThermalSequence, path: Path) -> Path | None:
    """Write how well each map shows each known defect, where the recording carries its truth."""
    truth = sequence.truth
    if truth is None or not truth.defects:
        return None
    known = {defect.number: defect for defect in truth.defects}
    rows = []
    for image in maps.images:
        try:
            scored = score_map(image.values, truth.defect_index, pixel_pitch_mm=sequence.pixel_pitch_mm)
        except TruthError:  # a map without a value on any defect
            continue
        for score in scored.defects:
            defect = known[score.number]
            rows.append(
                [
                    maps.method_of[image.layer.name],
                    image.layer.name,
                    score.number,
                    defect.name,
                    defect.depth_mm,
                    defect.diameter_mm,
                    *(score.cnr, score.snr_db, score.sbc, score.tanimoto, score.threshold),
                    *(score.n_pixels, score.n_sound),
                ]
            )
    write_csv(path, SCORE_COLUMNS, rows, digits=6)
    return path


def draw_all(
    maps: MapSet, output: Path, stem: str, name: str, pixel_pitch_mm: float | None, threads: int | None
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Draw every map, and those of each method on one page; returns the paths of both."""
    folder = output / f"{stem}_maps"
    paths = [folder / f"{image.layer.name}.png" for image in maps.images]
    draw = partial(_draw_one, pixel_pitch_mm=pixel_pitch_mm, note=name)
    workers = min(threads or os.cpu_count() or 1, MOST_PAINTERS, len(paths) // PICTURES_EACH)
    if workers < 2:
        for image, path in zip(maps.images, paths, strict=True):
            draw(image, path)
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            try:
                list(pool.map(draw, maps.images, paths, chunksize=4))
            except BrokenProcessPool:
                raise OutputError(
                    f"a process that draws pictures into {folder} was killed; free memory or pass --threads 1"
                ) from None
    pages = []
    for method in dict.fromkeys(maps.method_of.values()):
        images = [image for image in maps.images if maps.method_of[image.layer.name] == method]
        path = output / f"{stem}_{method}.png"
        draw_overview(images, pixel_pitch_mm=pixel_pitch_mm, title=f"{method}: {name}", path=path)
        pages.append(path)
    return tuple(paths), tuple(pages)


def _draw_one(image: MapImage, path: Path, *, pixel_pitch_mm: float | None, note: str) -> None:
    draw_map(image, pixel_pitch_mm=pixel_pitch_mm, note=note, path=path)
