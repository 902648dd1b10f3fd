"""How well noise lets the outlines of the frozen random plates be known, whatever reads them: Cramér-Rao bounds.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_outline_bounds.py`` (six minutes on one core;
``THERMO_QC_BENCH_PLATES`` says how many plates). Every plate is simulated again with all of its defects a little wider,
further right, further down, deeper, stronger and more oblong, and with other conductivities. What these changes make of
the frames, less what offset, gain and time shift of every pixel and a quadratic background of every frame can imitate,
is the information that a recording has about them.

References
----------
S. M. Kay, Fundamentals of Statistical Signal Processing I: Estimation Theory, Prentice Hall 1993, section 3.9.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.config import CorpusConfig, load_config
from thermo_qc.evaluation.observer import project_nuisances
from thermo_qc.io import read_sequence
from thermo_qc.plate import Hole
from thermo_qc.preprocess import estimate_noise
from thermo_qc.sequence import ThermalSequence
from thermo_qc.simulation import solve_plate, solve_sound_plate
from thermo_qc.simulation.buried import BuriedDefect, Delamination
from thermo_qc.simulation.random_plates import RandomPlate, draw_plate
from thermo_qc.workflows import corpus

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
CONFIG = Path(__file__).parents[2] / "configs" / "corpora" / "unseen.yaml"
N_PLATES = int(os.environ.get("THERMO_QC_BENCH_PLATES", "24"))
DETECTABLE, REACH_PX = 30.0, 12
STEPS = {"radius": 0.25, "x": 0.25, "y": 0.25, "depth": 0.03, "in plane": 0.03, "through": 0.03}  # px; of the value
BURIED = {"strength": 0.1, "oblong": 0.25}
KNOWN = {"radius": 3.0, "x": 3.0, "y": 3.0, "oblong": 1.0, "depth": 0.7, "strength": 1.0}  # before looking: px, ln
KNOWN |= {"in plane": 0.058, "through": 0.058}  # constants within 10 %


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Covariance of the first three of `STEPS`, pixels, of one defect."""

    index: float
    area_px: int
    covariance: NDArray[np.float64]


def changed(plate: RandomPlate, what: str) -> RandomPlate:
    """The plate with one step of all of its defects, or of its material."""
    step = STEPS[what] if what in STEPS else BURIED[what]
    if what in ("in plane", "through"):
        name = f"conductivity_{what.replace(' ', '_')}_w_mk"
        constant = getattr(plate.material, name) * (1 + step)
        return replace(plate, material=replace(plate.material, **{name: constant}))
    pixels = step * plate.pixel_pitch_mm
    return replace(
        plate,
        plate=replace(plate.plate, holes=tuple(moved_hole(hole, what, step, pixels) for hole in plate.plate.holes)),
        buried=tuple(moved_buried(item, what, step, pixels) for item in plate.buried),
    )


def moved_hole(hole: Hole, what: str, step: float, pixels: float) -> Hole:
    changes: dict[str, Any] = {
        "radius": {"diameter_mm": hole.diameter_mm + 2 * pixels},
        "x": {"x_mm": hole.x_mm + pixels},
        "y": {"y_mm": hole.y_mm + pixels},
        "depth": {"depth_mm": hole.depth_mm * (1 + step)},
    }
    return replace(hole, **changes.get(what, {}))


def moved_buried(item: BuriedDefect, what: str, step: float, pixels: float) -> BuriedDefect:
    strength = "resistance_m2k_w" if isinstance(item, Delamination) else "thickness_mm"
    changes: dict[str, Any] = {
        "radius": {"width_mm": item.width_mm + 2 * pixels, "height_mm": item.height_mm + 2 * pixels},
        "oblong": {"width_mm": item.width_mm + 2 * pixels, "height_mm": item.height_mm - 2 * pixels},
        "x": {"x_mm": item.x_mm + pixels},
        "y": {"y_mm": item.y_mm + pixels},
        "depth": {"depth_mm": item.depth_mm * (1 + step)},
        "strength": {strength: getattr(item, strength) * (1 + step)},
    }
    return replace(item, **changes[what])


def recorded(config: CorpusConfig, plate: RandomPlate, *, sound: bool = False) -> ThermalSequence:
    """Noise-free recording of a plate, or of the same without defects."""
    solve = solve_sound_plate if sound else solve_plate
    solution = solve(
        plate.plate,
        lateral_mm=plate.pixel_pitch_mm,
        times_s=plate.times_s,
        material=plate.material,
        heating=plate.heating,
        losses=plate.losses,
        depth_cells=config.depth_cells,
        max_step_s=float(plate.times_s[-1]) / config.steps,
        marks=plate.marks,
        buried=plate.buried,
    )
    return corpus._record(plate, solution, corpus._CLEAN, {}, 0)


def frames(sequence: ThermalSequence) -> NDArray[np.float64]:
    return np.asarray(sequence.frames, dtype=np.float64)


def bounds(config: CorpusConfig, entry: corpus.CorpusPlate, number: int) -> list[Bound]:
    """Bounds of every defect of one plate, for its camera."""
    assert config.camera is not None
    seen = read_sequence(entry.path)
    if seen.truth is None or not seen.truth.defects:
        return []
    drawn = draw_plate(
        np.random.default_rng([config.seed, number]), corpus.plate_ranges(config), name=f"{config.name}-{number}"
    )
    camera, _ = corpus._draw_camera(np.random.default_rng([config.seed, number, 1]), config.camera, drawn)
    per_noise = float(np.sqrt(1.0 / np.median(np.diff(seen.times_s))) / estimate_noise(seen))
    base, sound = recorded(config, drawn), frames(recorded(config, drawn, sound=True))
    assert base.truth is not None
    moved = {}
    for what in (*STEPS, *(BURIED if drawn.buried else ())):
        other = changed(drawn, what)
        without = frames(recorded(config, other, sound=True)) if what in ("in plane", "through") else sound
        difference = frames(recorded(config, other)) - without - (frames(base) - sound)
        moved[what] = ndimage.gaussian_filter(difference, (0, camera["blur_px"], camera["blur_px"]))
    seconds, index = np.gradient(base.times_s), base.truth.defect_index
    found = []
    for defect in base.truth.defects:
        rows, columns = np.nonzero(index == defect.number)
        if rows.size == 0:
            continue
        window = tuple(slice(max(0, int(at.min()) - REACH_PX), int(at.max()) + REACH_PX + 1) for at in (rows, columns))
        others = (index[window] > 0) & (index[window] != defect.number)
        foreign = corpus._nearer_to_others(index[window], defect.number, others)
        used = [what for what in moved if what not in BURIED or defect.name.startswith("B")]
        signals = [
            project_nuisances(
                np.where(foreign, 0.0, moved[what][(slice(None), *window)]) / {**STEPS, **BURIED}[what],
                noise_k=(1 / np.sqrt(seconds))[:, None, None],
                sound_k=sound[(slice(None), *window)].mean(axis=(1, 2)),
                times_s=base.times_s,
            ).ravel()
            * per_noise
            for what in used
        ]
        information = np.array(signals) @ np.array(signals).T + np.diag([KNOWN[what] ** -2.0 for what in used])
        found.append(
            Bound(
                index=entry.own_indices[defect.number] * per_noise,
                area_px=rows.size,
                covariance=np.linalg.inv(information)[:3, :3].astype(np.float64),
            )
        )
    return found


def pixel_f1(found: list[Bound], draws: int = 100) -> float:
    """Pooled F1 of discs of these areas whose radius and place are wrong by what the bounds leave."""
    rng, right, wrong = np.random.default_rng(0), 0, 0
    y, x = np.mgrid[-15:16, -15:16]
    for bound in found:
        radius = np.sqrt(bound.area_px / np.pi)
        for _ in range(draws):
            at_x, at_y = rng.uniform(-0.5, 0.5, 2)
            grown, right_by, down_by = rng.multivariate_normal(np.zeros(3), bound.covariance)
            true = np.hypot(x - at_x, y - at_y) <= radius
            called = np.hypot(x - at_x - right_by, y - at_y - down_by) <= radius + grown
            right, wrong = right + int((true & called).sum()), wrong + int((true ^ called).sum())
    return 2 * right / (2 * right + wrong)


def test_noise_leaves_outlines_of_random_plates_known_to_hundredths_of_a_pixel(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    given = os.environ.get("THERMO_QC_BENCH")
    home = Path(given) if given else tmp_path_factory.mktemp("bench")
    config = load_config(CorpusConfig, CONFIG)
    plates = corpus.run(CONFIG, home / "unseen", n_plates=N_PLATES, workers=1)
    found = [bound for number, entry in enumerate(plates) for bound in bounds(config, entry, number)]
    strong = [bound for bound in found if bound.index >= DETECTABLE]
    radius = np.sqrt([bound.covariance[0, 0] for bound in strong])
    at = " / ".join(f"{value:.3f}" for value in np.quantile(radius, (0.1, 0.5, 0.9)))
    print(f"\n{len(strong)} detectable defects: radius known to {at} px (10th, 50th, 90th percentile)")
    print(f"pixel F1 that this leaves: {pixel_f1(strong):.3f}")
    assert np.median(radius) < 0.1
    assert pixel_f1(strong) > 0.95
