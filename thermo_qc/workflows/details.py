"""What metrics.json says beyond the confusion matrix, from the maps that a run has written, and tables beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.evaluation import (
    Matching,
    ProbabilityTally,
    SoundScores,
    block_confusions,
    class_confusion_by_depth,
    confusion_matrix,
    defect_probability,
    depth_scores,
    fit_hit_miss,
    match_indications,
    metric_intervals,
    probability_contrasts,
    sound_scores,
    summarise_matchings,
    summarise_sound,
    tally_probabilities,
)
from thermo_qc.inspection import StoredMap, read_stored_map
from thermo_qc.io import write_csv
from thermo_qc.sequence import IGNORE_LABEL, Defect, Truth
from thermo_qc.workflows.run_folder import DETAIL_TABLES

__all__ = [
    "ScoredMap",
    "metric_details",
    "score_stored_map",
    "score_stored_maps",
    "write_detail_tables",
]

BLOCK_PX = 32
FEWEST_RECORDINGS = 5  # with fewer, intervals come from blocks of pixels
N_RESAMPLES = 500
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredMap:
    """What one recording's map is worth.

    Parameters
    ----------
    key : str
        The recording.
    confusion : ndarray of int64, shape (K, K)
        Of the pixels that count.
    label_counts : ndarray of int64, shape (K,)
        Labelled pixels of each class, also those that the method did not inspect (dead pixels).
    blocks : list of ndarray of int64, shape (K, K)
        The same by squares of 32 pixels.
    matching : Matching
        Regions against defects.
    sound : SoundScores
        On sound material.
    tally : ProbabilityTally
        Pixels by probability.
    contrasts : list of dict
        Contrast to noise and Tanimoto of the probability of a defect, defect by defect.
    pixel_pitch_mm : float, optional
        Of the map.
    """

    key: str
    confusion: NDArray[np.int64]
    label_counts: NDArray[np.int64]
    blocks: list[NDArray[np.int64]]
    matching: Matching
    sound: SoundScores
    tally: ProbabilityTally
    contrasts: list[dict[str, Any]]
    pixel_pitch_mm: float | None = None


def score_stored_maps(folder: Path, keys: Sequence[str], holes: Rows) -> list[ScoredMap]:
    """Score the maps of a run folder that were stored with their truth.

    Parameters
    ----------
    folder : Path
        Run folder; maps lie under ``predictions/``.
    keys : sequence of str
        Recordings that the run tested.
    holes : sequence of dict
        Hole tables: names, sizes and depths of the defects.

    Returns
    -------
    list of ScoredMap
        Recordings without a stored map or truth are left out.
    """
    scored = []
    for key in dict.fromkeys(keys):
        path = folder / "predictions" / f"{key}.h5"
        if path.is_file():
            stored = read_stored_map(path)
            if stored.truth_class_map is not None and stored.truth_defect_index is not None:
                scored.append(score_stored_map(stored, key=key, holes=holes))
    return scored


def score_stored_map(stored: StoredMap, *, key: str, holes: Rows) -> ScoredMap:
    """Score one map; see `score_stored_maps`."""
    prediction, truth = stored.prediction, _truth_of(stored, [hole for hole in holes if hole["key"] == key])
    assert stored.truth_class_map is not None
    tested = np.ones(prediction.shape, dtype=bool) if stored.fold is None else np.asarray(stored.fold) >= 0
    labels = np.where(tested, stored.truth_class_map, np.uint8(IGNORE_LABEL)).astype(np.uint8)
    valid, pitch, n_classes = labels != IGNORE_LABEL, prediction.pixel_pitch_mm, len(prediction.class_names)
    image = defect_probability(prediction.probability, prediction.class_map)
    matching = match_indications(truth, prediction.class_map, pixel_pitch_mm=pitch, valid=valid, signal=image)
    return ScoredMap(
        key=key,
        confusion=confusion_matrix(labels, prediction.class_map, n_classes),
        label_counts=np.bincount(labels[valid], minlength=n_classes),
        blocks=block_confusions(labels, prediction.class_map, n_classes, block_px=BLOCK_PX),
        matching=matching,
        sound=sound_scores(
            truth,
            prediction.class_map,
            defect_probability=image,
            pixel_pitch_mm=pitch,
            valid=valid,
            matching=matching,
        ),
        tally=tally_probabilities(labels, prediction.probability, predicted=prediction.class_map),
        contrasts=probability_contrasts(truth, image, pixel_pitch_mm=pitch, valid=valid, brighter=True, key=key),
        pixel_pitch_mm=pitch,
    )


def _truth_of(stored: StoredMap, holes: Rows) -> Truth:
    index = np.asarray(stored.truth_defect_index)
    depth = np.full(index.shape, np.nan) if stored.truth_depth_mm is None else stored.truth_depth_mm
    known = {int(hole["number"]): hole for hole in holes}
    defects = [
        Defect(
            number=int(number),
            depth_mm=known.get(int(number), {}).get("depth_mm"),
            diameter_mm=known.get(int(number), {}).get("diameter_mm"),
            name=str(known.get(int(number), {}).get("name", "")),
        )
        for number in np.unique(index[index > 0])
    ]
    return Truth(defect_index=index, depth_mm=np.asarray(depth, dtype=np.float32), defects=tuple(defects))


def metric_details(
    scored: Sequence[ScoredMap],
    holes: Rows,
    class_names: Sequence[str],
    *,
    pieces: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Join the scores of all recordings.

    Parameters
    ----------
    scored : sequence of ScoredMap
        Of `score_stored_maps`.
    holes : sequence of dict
        Hole tables of all recordings.
    class_names : sequence of str
        Names of all classes.
    pieces : mapping of str to str, optional
        Recording to plate: looks at one defect of one plate belong together.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        ``intervals``, ``average_precision``, ``calibration``, ``indications``, ``sound``, ``depths``, ``contrasts``,
        ``pod`` and ``groups`` (confusion matrix by recording, for paired comparisons); empty without maps.
    """
    if not scored:
        return {}
    rng = np.random.default_rng(seed)
    tally = scored[0].tally
    for one in scored[1:]:
        tally = tally + one.tally
    matched = summarise_matchings([one.matching for one in scored])
    return {
        "intervals": _intervals(scored, class_names, rng),
        "average_precision": {
            "per_class": dict(zip(class_names, tally.average_precisions(), strict=True)),
            "mean": tally.mean_average_precision(),
            "support": dict(zip(class_names, tally.support, strict=True)),
        },
        "calibration": {event: asdict(tally.calibration(event)) for event in ("defect", "top")},
        "indications": asdict(matched),
        "sound": asdict(summarise_sound([one.sound for one in scored])),
        "depths": _depths(holes, class_names),
        "contrasts": _contrasts([row for one in scored for row in one.contrasts]),
        "pod": _pod(holes, pieces or {}, rng) | {"false_calls_per_m2": asdict(matched.false_calls_per_m2)},
        "groups": {one.key: {"confusion": one.confusion.tolist()} for one in scored},
    }


def _intervals(scored: Sequence[ScoredMap], class_names: Sequence[str], rng: np.random.Generator) -> dict[str, Any]:
    by_recording = len(scored) >= FEWEST_RECORDINGS
    groups = [one.confusion for one in scored] if by_recording else [part for one in scored for part in one.blocks]
    found = metric_intervals(groups, class_names, rng=rng, n_resamples=N_RESAMPLES)
    return {"groups": "recordings" if by_recording else f"blocks of {BLOCK_PX} x {BLOCK_PX} pixels", **asdict(found)}


def _depths(holes: Rows, class_names: Sequence[str]) -> dict[str, Any]:
    found = [hole for hole in holes if hole["found"]]
    stated = any(hole.get("predicted_depth_std_mm") is not None for hole in found)
    bounded = any(hole.get("depth_bound_mm") is not None for hole in found)
    scores = depth_scores(
        [hole["depth_mm"] for hole in found],
        [hole["predicted_depth_mm"] for hole in found],
        sigma_mm=[hole.get("predicted_depth_std_mm") for hole in found] if stated else None,
        bound_mm=[hole.get("depth_bound_mm") for hole in found] if bounded else None,
    )
    notes = [] if stated else ["no uncertainty of the depth was stated, so its coverage is not known"]
    notes += [] if bounded else ["no Cramer-Rao bounds were given, so there is no ratio to them"]
    return {
        **asdict(scores),
        "coverage": {f"{level:g}": asdict(share) for level, share in scores.coverage.items()},
        "class_confusion": class_confusion_by_depth(holes, class_names),
        "notes": notes,
    }


def _contrasts(rows: Rows) -> dict[str, Any]:
    scored = [row for row in rows if not row["reason"]]
    return {
        "map": "probability of a defect",
        "n": len(scored),
        "n_unscored": len(rows) - len(scored),
        "median_cnr": _median([row["cnr"] for row in scored]),
        "median_tanimoto": _median([row["tanimoto"] for row in scored]),
    }


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")


def _pod(holes: Rows, pieces: Mapping[str, str], rng: np.random.Generator) -> dict[str, Any]:
    """POD by diameter and by diameter over depth, from the holes whose size (and depth) is known."""
    curves: dict[str, Any] = {}
    for name in ("diameter", "aspect"):
        wanted = ("diameter_mm",) if name == "diameter" else ("diameter_mm", "depth_mm")
        known = [hole for hole in holes if all(hole[field] is not None and hole[field] > 0 for field in wanted)]
        curve = fit_hit_miss(
            [hole["diameter_mm"] for hole in known],
            [hole["found"] for hole in known],
            depth_mm=[hole["depth_mm"] for hole in known] if name == "aspect" else None,
            predictor="diameter" if name == "diameter" else "aspect",
            target=[(pieces.get(hole["key"], hole["key"]), hole["number"]) for hole in known],
            n_bootstrap=200,
            rng=rng,
        )
        curves[name] = curve.to_dict() | {"n_left_out": len(holes) - len(known)}
    return curves


def write_detail_tables(folder: Path, scored: Sequence[ScoredMap], details: Mapping[str, Any]) -> None:
    """Write the tables of `DETAIL_TABLES`; they hold no row where there is nothing to list."""
    matches = [{"key": one.key, **asdict(match)} for one in scored for match in one.matching.defects]
    calls = [{"key": one.key, **asdict(call)} for one in scored for call in one.matching.false_calls]
    sound = [{"key": one.key, **_without_counts(one.sound)} for one in scored]
    reliability = details.get("calibration", {}).get("defect", {})
    names = ("lower", "upper", "count", "mean_probability", "share")
    tables: dict[str, Rows] = {
        "indications.csv": matches,
        "false_calls.csv": calls,
        "contrasts.csv": [row for one in scored for row in one.contrasts],
        "depths.csv": details.get("depths", {}).get("by_depth", ()),
        "reliability.csv": [
            dict(zip(names, row, strict=True)) for row in zip(*(reliability.get(n, ()) for n in names), strict=True)
        ],
        "sound.csv": sound,
    }
    for name in DETAIL_TABLES:
        columns = list(tables[name][0]) if tables[name] else ["key"]
        write_csv(folder / name, columns, [[row[column] for column in columns] for row in tables[name]], digits=6)


def _without_counts(sound: SoundScores) -> dict[str, Any]:
    return {name: value for name, value in asdict(sound).items() if name != "score_counts"}
