"""The round cell, the camera's window on it, the holes of plates: against series and three dimensions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from thermo_qc.errors import ConfigError, PlateError
from thermo_qc.evaluation import (
    InspectionSetup,
    detectability,
    hole_detectability,
    plate_detectability,
    simulate_hole,
)
from thermo_qc.plate import Hole, PlateSpec, load_material
from thermo_qc.simulation import Heating, Lamp, Losses, Placement, frame_times_s, record_plate, solve_cell, solve_plate

GFRP = load_material("GFRP")
QUICK = InspectionSetup(heating=Heating(duration_s=20), duration_s=100, pixel_pitch_mm=3.0)
HOLE = {"thickness_mm": 10.0, "depth_mm": 3.0, "diameter_mm": 12.0}


@pytest.mark.parametrize(
    ("depth", "diameter", "floor", "converged", "end"),
    [(4.35, 7.85, 0.0, 0.546, 160), (4.35, 13.3, 10.0, 1.025, 160), (9.82, 20.2, 10.0, 0.180, 400)],
)
def test_cell_gives_the_converged_contrasts(
    depth: float, diameter: float, floor: float, converged: float, end: int
) -> None:
    losses = Losses(back_w_m2k=0.0, hole_floor_w_m2k=floor)
    given = {"material": GFRP, "thickness_mm": 17.0, "depth_mm": depth, "diameter_mm": diameter, "losses": losses}
    cell = solve_cell(**given, times_s=np.arange(-4.0, end + 1, 4.0), reach_mm=19.0)
    assert cell.contrast_k[:, 0].max() == pytest.approx(converged, rel=0.03)
    assert (cell.contrast_k[cell.times_s <= 0] == 0).all()


@pytest.mark.parametrize("kind", ["flash", "long_pulse"])
def test_sound_curve_follows_the_half_space(kind: str) -> None:
    """A thick plate without losses, before heat reaches its back."""
    times = np.arange(2.0, 100.0, 3.0)
    heating = Heating(kind=kind, duration_s=30.0)
    losses = Losses(front_w_m2k=0.0, back_w_m2k=0.0, hole_floor_w_m2k=0.0)
    cell = solve_cell(
        material=GFRP, thickness_mm=25.0, depth_mm=12.0, diameter_mm=8.0, times_s=times, reach_mm=20.0,
        heating=heating, losses=losses, depth_cells=60,
    )  # fmt: skip
    root = GFRP.effusivity_w_s05_m2k * np.sqrt(np.pi)
    if kind == "flash":
        expected = 1e4 / (root * np.sqrt(times))
    else:
        expected = 2000.0 / root * (np.sqrt(times) - np.sqrt(np.maximum(times - 30.0, 0.0)))
    np.testing.assert_allclose(cell.sound_k, expected, rtol=6e-3)


def test_a_wide_hole_is_a_thin_slab() -> None:
    """In the middle of a hole far wider than deep only the ligament counts: energy in, nothing out."""
    losses = Losses(front_w_m2k=0.0, back_w_m2k=0.0, hole_floor_w_m2k=0.0)
    cell = solve_cell(
        material=GFRP, thickness_mm=10.0, depth_mm=1.0, diameter_mm=60.0, times_s=np.array([10.0, 60.0]), reach_mm=20.0,
        heating=Heating(duration_s=10.0), losses=losses,
    )  # fmt: skip
    assert cell.rise_k[-1, 0] == pytest.approx(1e4 / (1900.0 * 1000.0 * 1e-3), rel=1e-3)


@pytest.mark.parametrize("pitch", [3.0, 0.5])
def test_window_counts_as_its_pictures_do(pitch: float) -> None:
    """The short way over the rings equals the definition on pixels; a fine camera is represented by joined pixels."""
    window = simulate_hole(GFRP, **HOLE, setup=replace(QUICK, pixel_pitch_mm=pitch))
    assert window.pixels_joined == (1 if pitch > 1 else 2)
    short = window.detectability()
    long = detectability(
        window.pictures_k(),
        noise_k=window.pixel_noise_k,
        sound_k=window.sound_k,
        times_s=window.times_s,
        frames_averaged=window.frames_averaged,
    )
    for name in ("ideal", "pixel", "background"):
        assert getattr(short, name) == pytest.approx(getattr(long, name), rel=1e-6)
    assert short.peak_contrast_to_noise == pytest.approx(long.peak_contrast_to_noise / window.pixels_joined, rel=1e-6)


def test_joined_pixels_lose_nothing() -> None:
    coarse, fine = (
        hole_detectability(GFRP, **HOLE, setup=replace(QUICK, pixel_pitch_mm=pitch, netd_k=noise, blur_px=0.2 / pitch))
        for pitch, noise in ((1.0, 0.02), (0.25, 0.08))
    )
    assert fine.background == pytest.approx(coarse.background, rel=0.01)


def test_joined_frames_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few instants that stand for many frames give what all frames give."""
    quick = replace(QUICK, frame_rate_hz=10.0)
    times, counts = quick.samples()
    frames = frame_times_s(10.0, QUICK.cold_s, QUICK.duration_s)
    assert counts.sum() == frames.size > 4 * times.size
    assert times @ counts == pytest.approx(frames.sum())
    short = hole_detectability(GFRP, **HOLE, setup=quick)
    monkeypatch.setattr("thermo_qc.evaluation.setup._MOST_SAMPLES", 10**6)
    assert quick.samples()[0].size == frames.size - 49  # those before the heating are one
    whole = hole_detectability(GFRP, **HOLE, setup=quick)
    for name in ("ideal", "pixel", "background"):
        assert getattr(short, name) == pytest.approx(getattr(whole, name), rel=0.012), name


def _simulated_index(diameter: float, depth: float, thickness: float, setup: InspectionSetup, cell_mm: float) -> float:
    """Honest index from the three-dimensional simulation, seen by its camera without noise."""
    window = simulate_hole(GFRP, thickness_mm=thickness, depth_mm=depth, diameter_mm=diameter, setup=setup)
    side = window.rings.side_px * setup.pixel_pitch_mm
    plate = PlateSpec(
        name="cell", width_mm=side, height_mm=side, thickness_mm=thickness, material=GFRP,
        holes=(Hole(number=1, name="H", x_mm=side / 2, y_mm=side / 2, diameter_mm=diameter, depth_mm=depth),),
    )  # fmt: skip
    times, counts = setup.samples()
    solver = {
        "times_s": times, "heating": setup.heating, "losses": setup.losses, "lateral_mm": cell_mm,
        "floors_mm": (depth,), "dtype": "float64",
    }  # fmt: skip
    camera = {
        "placement": Placement(background_mm=0.0), "pixel_pitch_mm": setup.pixel_pitch_mm, "netd_k": 0.0,
        "blur_px": setup.blur_px, "fixed_pattern_k": 0.0, "quantisation_k": 0.0, "rng": np.random.default_rng(0),
    }  # fmt: skip
    seen, empty = (
        np.asarray(record_plate(solve_plate(one, **solver), **camera).frames, dtype=np.float64)
        for one in (plate, replace(plate, holes=()))
    )
    return detectability(
        seen - empty,
        noise_k=window.pixel_noise_k,
        sound_k=empty[:, 0, 0] - setup.losses.ambient_c,
        times_s=times,
        frames_averaged=counts,
    ).background


def test_index_agrees_with_the_simulation() -> None:
    predicted = hole_detectability(GFRP, **HOLE, setup=QUICK)
    simulated = _simulated_index(12.0, 3.0, 10.0, QUICK, cell_mm=1.5)
    assert predicted.background == pytest.approx(simulated, rel=0.05)


def test_holes_of_a_plate() -> None:
    holes = tuple(
        Hole(number=i, name=f"H{i}", x_mm=x, y_mm=30.0, diameter_mm=12.0, depth_mm=depth)
        for i, (x, depth) in enumerate([(25.0, 3.0), (75.0, 3.0), (120.0, 6.0)], start=1)
    )
    plate = PlateSpec(name="p", width_mm=150, height_mm=60, thickness_mm=10.0, material=GFRP, holes=holes)
    lamp = Lamp(x_mm=25.0, y_mm=30.0, width_mm=60.0, edge_level=0.5)
    setup = replace(QUICK, heating=replace(QUICK.heating, lamps=(lamp,)))
    calls: list[tuple[int, int]] = []
    bright, dim, deep = plate_detectability(plate, setup=setup, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert bright.level == pytest.approx(1.0, abs=1e-3)
    assert 0.5 < dim.level < 0.75
    assert dim.index.background == pytest.approx(dim.level / bright.level * bright.index.background)
    assert dim.depth_bound_mm == pytest.approx(bright.depth_bound_mm * bright.level / dim.level)
    assert deep.index.background < dim.index.background
    assert (deep.number, deep.name, deep.depth_mm) == (3, "H3", 6.0)
    alone = hole_detectability(GFRP, **HOLE, setup=QUICK)
    assert bright.index.background == pytest.approx(bright.level * alone.background)
    assert np.isnan(plate_detectability(plate, setup=setup, bounds=False)[0].depth_bound_mm)


def test_bad_input() -> None:
    plate = PlateSpec(name="bare", width_mm=50, height_mm=50, thickness_mm=10.0, material=GFRP)
    with pytest.raises(PlateError, match="plate 'bare' has no holes"):
        plate_detectability(plate, setup=QUICK)
    with pytest.raises(ConfigError, match="depth_mm is 12, expected less than the thickness of 10 mm"):
        hole_detectability(GFRP, thickness_mm=10.0, depth_mm=12.0, diameter_mm=5.0, setup=QUICK)
    with pytest.raises(ConfigError, match="netd_k is 0, expected a finite number greater than 0"):
        InspectionSetup(netd_k=0)
    with pytest.raises(ConfigError, match="frames after the start of the heating is 2"):
        InspectionSetup(duration_s=2)
    with pytest.raises(ConfigError, match="pixels round one hole; is it in mm"):
        hole_detectability(
            GFRP, thickness_mm=10.0, depth_mm=1.0, diameter_mm=0.01, setup=replace(QUICK, pixel_pitch_mm=0.001)
        )
