"""A part's inspection beside an earlier one: which indications are new, have grown, stayed or are gone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import InputError
from thermo_qc.indications import connected_regions
from thermo_qc.inspection import read_stored_map
from thermo_qc.workflows.plate_place import matrix_from_text, pixel_matrix
from thermo_qc.workflows.predict_folder import ENDINGS

__all__ = ["KINDS", "Change", "Comparison", "compare_maps"]

KINDS = ("new", "grown", "unchanged", "shrunk", "gone", "not inspected before", "not inspected now")
LEAST_OVERLAP = 0.1  # of the smaller of two regions
GROWTH = 0.2  # less than this share of the area is no change
_MAX_PIXELS = 4_000_000
Labels = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of an indication, or of several that lie over one another.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    now, before : tuple of int
        Numbers of the indications in the later and in the earlier result.
    area_now, area_before : float
        Areas on the common grid, in the unit of the comparison squared.
    x, y : float
        Centre of the later ones (of the earlier ones where there are none), in that unit.
    """

    kind: str
    now: tuple[int, ...]
    before: tuple[int, ...]
    area_now: float
    area_before: float
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two results of a part beside one another.

    Parameters
    ----------
    place : {"plate", "frame", "pixels"}
        Where positions are: on the plate (both recordings are registered), on the frame in mm or in pixels (taken as
        lying alike, which nobody has checked).
    unit : {"mm", "px"}
        Of positions.
    changes : tuple of Change
        New ones first, within a kind the largest first.
    """

    place: str
    unit: str
    changes: tuple[Change, ...]

    def count(self, kind: str) -> int:
        """How many changes are of a kind."""
        return sum(change.kind == kind for change in self.changes)


@dataclass(frozen=True, kw_only=True)
class _Side:
    labels: Labels  # numbers of the indications, 0 elsewhere
    inspected: NDArray[np.bool_]
    pitch_mm: float | None
    plate: NDArray[np.float64] | None


def compare_maps(
    now: Path, before: Path, *, least_overlap: float = LEAST_OVERLAP, growth: float = GROWTH
) -> Comparison:
    """Compare two results of one part.

    Parameters
    ----------
    now, before : Path
        Results without their endings.
    least_overlap : float
        Share of the smaller region that must lie over the other one for both to be the same indication.
    growth : float
        Relative change of the area from which an indication has grown or shrunk. Regions that have merged or parted
        are compared by their sums.

    Returns
    -------
    Comparison
        In plate millimetres where both recordings are registered or rectified, else in frame millimetres where both
        know their pixel pitch, else in pixels.

    Raises
    ------
    InputError
        When a result is missing, or the two have nothing in common: neither millimetres nor the same frame.
    """
    later, earlier = _side(now), _side(before)
    place, unit, matrices = _common(later, earlier, now, before)
    grids, pitch = _resampled(later, earlier, matrices)
    (labels_now, seen_now), (labels_before, seen_before) = grids
    groups = _groups(labels_now, labels_before, least_overlap)
    cell = pitch**2
    changes = []
    for numbers_now, numbers_before in groups:
        in_now, in_before = np.isin(labels_now, numbers_now), np.isin(labels_before, numbers_before)
        area_now, area_before = float(in_now.sum()) * cell, float(in_before.sum()) * cell
        if not area_now and not area_before:
            continue  # on no point of the common grid
        rows, columns = np.nonzero(in_now if area_now else in_before)
        kind = _kind(area_now, area_before, growth)
        if kind == "new" and not seen_before[in_now].all():
            kind = "not inspected before"
        if kind == "gone" and not seen_now[in_before].all():
            kind = "not inspected now"
        changes.append(
            Change(
                kind=kind,
                now=tuple(numbers_now),
                before=tuple(numbers_before),
                area_now=area_now,
                area_before=area_before,
                x=float((columns.mean() + 0.5) * pitch + matrices.x0),
                y=float((rows.mean() + 0.5) * pitch + matrices.y0),
            )
        )
    changes.sort(key=lambda change: (KINDS.index(change.kind), -max(change.area_now, change.area_before)))
    return Comparison(place=place, unit=unit, changes=tuple(changes))


@dataclass(frozen=True, kw_only=True)
class _Frames:
    """Homographies from pixels to the common plane, and the corner of the common grid."""

    now: NDArray[np.float64]
    before: NDArray[np.float64]
    pitch: float
    x0: float
    y0: float
    width: float
    height: float


def _side(base: Path) -> _Side:
    stored = read_stored_map(base.with_name(base.name + ENDINGS[-1]))
    prediction, attributes = stored.prediction, stored.attributes
    regions, n = connected_regions(prediction.class_map)
    area = np.bincount(regions.ravel(), minlength=n + 1)[1:]
    order = np.lexsort((np.arange(n), -area))[: int(attributes.get("n_indications", n))]  # as they are numbered
    numbers = np.zeros(n + 1, dtype=np.int32)
    numbers[order + 1] = np.arange(1, len(order) + 1)
    return _Side(
        labels=numbers[regions],
        inspected=prediction.inspected,
        pitch_mm=prediction.pixel_pitch_mm,
        plate=matrix_from_text(str(attributes.get("plate_matrix", ""))),
    )


def _common(now: _Side, before: _Side, path_now: Path, path_before: Path) -> tuple[str, str, _Frames]:
    if now.plate is not None and before.plate is not None:
        return "plate", "mm", _frames(now, before, now.plate, before.plate)
    if now.pitch_mm is not None and before.pitch_mm is not None:
        return "frame", "mm", _frames(now, before, pixel_matrix(now.pitch_mm), pixel_matrix(before.pitch_mm))
    if now.labels.shape == before.labels.shape:
        return "pixels", "px", _frames(now, before, pixel_matrix(1.0), pixel_matrix(1.0))
    raise InputError(
        f"{path_now} and {path_before} cannot be compared: frames of {now.labels.shape} and {before.labels.shape} "
        "pixels without a pixel pitch; register both recordings or give --pixel-pitch-mm"
    )


def _frames(now: _Side, before: _Side, to_now: NDArray[np.float64], to_before: NDArray[np.float64]) -> _Frames:
    corners = [_corners(side.labels.shape, matrix) for side, matrix in ((now, to_now), (before, to_before))]
    low, high = np.min([c.min(axis=0) for c in corners], axis=0), np.max([c.max(axis=0) for c in corners], axis=0)
    width, height = (high - low).tolist()
    pitch = min(
        float(np.sqrt(np.prod(np.ptp(corner, axis=0)) / side.labels.size))
        for side, corner in zip((now, before), corners, strict=True)
    )
    pitch = max(pitch, float(np.sqrt(width * height / _MAX_PIXELS)))
    return _Frames(
        now=to_now, before=to_before, pitch=pitch, x0=float(low[0]), y0=float(low[1]), width=width, height=height
    )


def _corners(shape: tuple[int, ...], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = shape
    points = np.array(
        [[-0.5, -0.5, 1], [width - 0.5, -0.5, 1], [-0.5, height - 0.5, 1], [width - 0.5, height - 0.5, 1]]
    )
    moved = points @ matrix.T
    result: NDArray[np.float64] = moved[:, :2] / moved[:, 2:]
    return result


def _resampled(now: _Side, before: _Side, frames: _Frames) -> tuple[Any, float]:
    """Labels and inspected pixels of both sides on one grid, by the nearest pixel, and its pitch."""
    pitch = frames.pitch
    columns, rows = max(1, round(frames.width / pitch)), max(1, round(frames.height / pitch))
    x = frames.x0 + (np.arange(columns) + 0.5) * pitch
    y = frames.y0 + (np.arange(rows) + 0.5) * pitch
    plane = np.stack([*np.meshgrid(x, y), np.ones((rows, columns))])
    return tuple(
        _looked_up(side, np.tensordot(np.linalg.inv(matrix), plane, axes=1))
        for side, matrix in ((now, frames.now), (before, frames.before))
    ), pitch


def _looked_up(side: _Side, places: NDArray[np.float64]) -> tuple[Labels, NDArray[np.bool_]]:
    with np.errstate(divide="ignore", invalid="ignore"):
        map_x, map_y = (np.nan_to_num(places[i] / places[2], nan=-9.0, posinf=-9.0, neginf=-9.0) for i in (0, 1))
    options = {"interpolation": cv2.INTER_NEAREST, "borderMode": cv2.BORDER_CONSTANT, "borderValue": 0}
    maps = map_x.astype(np.float32), map_y.astype(np.float32)
    labels = cv2.remap(side.labels.astype(np.float32), *maps, **options).astype(np.int32)
    seen = cv2.remap(side.inspected.astype(np.uint8), *maps, **options) > 0
    return labels, seen


def _groups(now: Labels, before: Labels, least_overlap: float) -> list[tuple[list[int], list[int]]]:
    """Find indications of both sides that belong together: numbers now and before, either may be empty."""
    n_now, n_before = int(now.max()), int(before.max())
    shared = np.zeros((n_now + 1, n_before + 1), dtype=np.int64)
    np.add.at(shared, (now.ravel(), before.ravel()), 1)
    smaller = np.minimum.outer(shared.sum(axis=1), shared.sum(axis=0))
    linked = (shared > 0) & (shared >= least_overlap * smaller)
    left = {("now", number) for number in range(1, n_now + 1)} | {
        ("before", number) for number in range(1, n_before + 1)
    }
    groups = []
    for start in sorted(left, reverse=True):
        if start not in left:
            continue
        group, edge = set(), [start]
        while edge:
            side, number = edge.pop()
            if (side, number) in group:
                continue
            group.add((side, number))
            row = linked[number, 1:] if side == "now" else linked[1:, number]
            edge += [("before" if side == "now" else "now", int(other) + 1) for other in np.flatnonzero(row)]
        left -= group
        groups.append(tuple(sorted(n for side, n in group if side == name) for name in ("now", "before")))
    return [(list(numbers_now), list(numbers_before)) for numbers_now, numbers_before in groups]


def _kind(area_now: float, area_before: float, growth: float) -> str:
    if not area_before:
        return "new"
    if not area_now:
        return "gone"
    ratio = area_now / area_before
    return "grown" if ratio > 1 + growth else "shrunk" if ratio < 1 / (1 + growth) else "unchanged"
