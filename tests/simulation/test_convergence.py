"""Errors fall with the square of cells in the plane, cells through the thickness, and steps in time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from thermo_qc.simulation import Heating, Lamp, solve_cell, solve_plate


def orders(errors: list[float]) -> np.ndarray:
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def test_cells_in_the_plane(make_plate, gfrp, insulated):
    """The fourth cosine mode of an insulated plate decays as exp(-alpha k^2 t)."""
    plate = make_plate(60.0, 6.0, thickness=1.0)
    heating = Heating(kind="flash", lamps=(Lamp(x_mm=0.0, y_mm=3.0, width_mm=12.0, edge_level=0.0),))
    wave = 4 * np.pi / 60.0
    errors = []
    for lateral in (6.0, 3.0, 1.5):
        solution = solve_plate(
            plate,
            times_s=np.array([10.0, 40.0]),
            heating=heating,
            losses=insulated,
            lateral_mm=lateral,
            depth_cells=4,
            max_step_s=0.5,
            dtype="float64",
        )
        mode = (solution.rise_k.sum(axis=1) * np.cos(wave * solution.x_mm)).sum(axis=1)
        rate = np.log(mode[0] / mode[1]) / 30.0
        errors.append(abs(rate / (gfrp.diffusivity_in_plane_mm2_s * wave**2) - 1))
    assert orders(errors) == pytest.approx(2.0, abs=0.1)
    assert errors[-1] < 0.01


def test_cells_through_the_thickness(make_plate, insulated, pulse_series):
    times = np.array([65.0, 100.0, 200.0])
    errors = []
    for cells in (16, 32, 64):
        solution = solve_plate(
            make_plate(2, 2), times_s=times, losses=insulated, depth_cells=cells, lateral_mm=2, dtype="float64"
        )
        errors.append(np.abs(solution.rise_k[:, 0, 0] - pulse_series(times, 1000.0, 60.0)).max())
    assert orders(errors) == pytest.approx(2.0, abs=0.1)


def test_steps_in_time_over_a_hole(make_plate):
    """Through the thickness a step is exact; what is left is that conduction in the plane is split off."""
    plate = make_plate(18, 18, ((9, 9, 8, 1.3),), thickness=5.0)
    options = {"heating": Heating(duration_s=20.0), "lateral_mm": 2.0, "depth_cells": 10, "dtype": "float64"}
    frames = [
        solve_plate(plate, times_s=np.array([20.0, 40.0]), max_step_s=step, **options).rise_k
        for step in (2.0, 1.0, 0.5, 0.25)
    ]
    changes = [float(np.abs(b - a).max()) for a, b in pairwise(frames)]
    assert orders(changes) == pytest.approx(2.0, abs=0.35)


@pytest.mark.slow
@pytest.mark.parametrize("diameter", [7.85, 20.2])
def test_millimetre_cells_round_one_hole_and_without(make_plate, gfrp, diameter):
    """Settings of the benchmark on the cell of one hole: below 0.5 % of the largest rise against a fine reference."""
    times = np.array([1.0, 5, 20, 40, 60, 61, 65, 80, 120, 200, 400])
    side = 50.0
    solution = solve_plate(
        make_plate(side, side, ((side / 2, side / 2, diameter, 1.3),)), times_s=times, lateral_mm=1.0
    )
    fine = solve_cell(
        material=gfrp,
        thickness_mm=17.0,
        depth_mm=1.3,
        diameter_mm=diameter,
        times_s=times,
        reach_mm=side / np.sqrt(np.pi) - diameter / 2,
        radial_cells=40,
        depth_cells=60,
        relative_step=0.002,
    )
    distance = np.hypot(solution.x_mm - side / 2, solution.y_mm[:, None] - side / 2)
    near = distance < side / 2 - 4
    expected = np.stack([np.interp(distance[near], fine.r_mm, row) for row in fine.rise_k])
    assert np.abs(solution.rise_k[:, near] - expected).max() < 0.005 * expected.max()
    sound = solve_plate(make_plate(4, 4), times_s=times, lateral_mm=2.0, floors_mm=(1.3,)).rise_k[:, 0, 0]
    assert np.abs(sound - fine.sound_k).max() < 0.005 * fine.sound_k.max()
