"""Cells, nodes and steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError
from thermo_qc.plate import load_plate
from thermo_qc.simulation import Heating, Lamp, Losses, frame_times_s, lamp_level, solve_plate
from thermo_qc.simulation.grid import build_grid, depth_nodes_mm
from thermo_qc.simulation.schedule import frame_weights, plan_segments


@settings(deadline=None, max_examples=40)
@given(
    thickness=st.floats(2, 30),
    shares=st.lists(st.floats(0.03, 0.97), max_size=6),
    cells=st.integers(12, 60),
)
def test_every_floor_is_a_node_and_cells_start_fine(thickness, shares, cells):
    floors = tuple(share * thickness for share in shares)
    nodes = depth_nodes_mm(thickness, floors, cells)
    assert nodes.size == cells + 1
    assert nodes[0] == 0 and nodes[-1] == thickness
    assert (np.diff(nodes) > 0).all()
    for floor in floors:
        assert np.abs(nodes - floor).min() <= 1.1e-3


def test_free_nodes_grow_towards_the_back():
    steps = np.diff(depth_nodes_mm(17.0, (), 24))
    assert (np.diff(steps) > 0).all()
    assert steps[0] < 0.15


@pytest.mark.parametrize("lateral", [0.5, 1.0, 2.0, 3.0])
def test_hole_areas_are_right_at_any_cell_size(lateral):
    plate = load_plate("gfrp_calibrated")
    grid = build_grid(plate, lateral_mm=lateral, depth_cells=24)
    area = grid.hole.sum() * grid.cell_x_mm * grid.cell_y_mm
    assert area == pytest.approx(sum(np.pi * hole.diameter_mm**2 / 4 for hole in plate.holes), rel=0.005)
    for hole in plate.holes:
        at = np.argmin(np.abs(grid.y_mm - hole.y_mm)), np.argmin(np.abs(grid.x_mm - hole.x_mm))
        assert grid.hole[at] == 1
        assert grid.z_mm[grid.floor[at]] == pytest.approx(hole.depth_mm, abs=1e-9)
        near = np.hypot(grid.x_mm - hole.x_mm, (grid.y_mm - hole.y_mm)[:, None]) < hole.diameter_mm / 2 + 3 * lateral
        one = grid.hole[near].sum() * grid.cell_x_mm * grid.cell_y_mm
        assert 2 * np.sqrt(one / np.pi) == pytest.approx(hole.diameter_mm, rel=0.015)  # effective diameter


@settings(deadline=None, max_examples=40)
@given(stop=st.floats(0.5, 500), end=st.floats(0.5, 500), largest=st.floats(0.05, 20))
def test_steps_meet_switch_and_end_and_never_exceed_the_largest(stop, end, largest):
    segments = plan_segments((stop,), end, first_step_s=0.02, max_step_s=largest)
    assert segments[0].times_s[0] == 0
    assert segments[-1].times_s[-1] == pytest.approx(end)
    assert len(segments) == (2 if stop < end else 1)
    for segment in segments:
        steps = np.diff(segment.times_s)
        assert (steps > 0).all()
        assert steps.max() <= largest * (1 + 1e-9)
    if len(segments) == 2:
        assert segments[0].times_s[-1] == pytest.approx(stop)
        assert segments[1].times_s[0] == pytest.approx(stop)


def test_frames_between_steps_follow_the_root_of_time():
    (segment,) = plan_segments((), 100.0, first_step_s=0.05, max_step_s=4.0)
    values = 3 + 2 * np.sqrt(segment.times_s) + 0.1 * segment.times_s
    for t in np.linspace(0.01, 100, 333):
        first, weights = frame_weights(segment, t)
        assert weights.sum() == pytest.approx(1)
        assert weights @ values[first : first + weights.size] == pytest.approx(3 + 2 * np.sqrt(t) + 0.1 * t, rel=1e-9)


def test_frame_times_have_cold_frames_before_zero():
    np.testing.assert_allclose(frame_times_s(2.0, 1.2, 2.0), [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0])
    assert frame_times_s(0.5, 5.0, 400.0)[[0, -1]].tolist() == [-4.0, 400.0]
    assert frame_times_s(10.0, 0.0, 0.3).size == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lateral_mm": 31.0}, "solver.lateral_mm is 31, expected a finite number greater than 0 and at most 30"),
        ({"lateral_mm": float("nan")}, "solver.lateral_mm is nan"),
        ({"lateral_mm": 0.001}, "unknowns"),
        ({"depth_cells": 3}, "solver.depth_cells is 3, but 1 hole depths need at least 4"),
        ({"max_step_s": float("inf")}, "solver.max_step_s is inf"),
        ({"times_s": np.array([1.0, 1.0])}, "do not strictly increase"),
        ({"times_s": np.array([-2.0, 0.0])}, "to an end after zero"),
        ({"times_s": np.array([])}, "do not strictly increase"),
    ],
)
def test_impossible_solver_settings_are_refused(make_plate, options, message):
    plate = make_plate(40, 30, ((20, 15, 8, 3),))
    with pytest.raises(ConfigError, match=message):
        solve_plate(plate, **{"times_s": np.array([1.0]), **options})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Heating(kind="puls"), "unknown heating kind 'puls'"),
        (lambda: Heating(flux_w_m2=float("inf")), "heating.flux_w_m2 is inf"),
        (lambda: Heating(duration_s=0.0), "heating.duration_s is 0, expected a finite number greater than 0"),
        (lambda: Losses(front_w_m2k=-1.0), "loss.front_w_m2k is -1"),
        (lambda: Losses(radiation_emissivity=1.5), "loss.radiation_emissivity is 1.5"),
        (lambda: Losses(ambient_c=-300.0), "loss.ambient_c is -300"),
        (lambda: Lamp(x_mm=0, y_mm=0, width_mm=0), "lamp width_mm is 0"),
        (lambda: Lamp(x_mm=float("nan"), y_mm=0), "lamp x_mm is nan"),
    ],
)
def test_impossible_conditions_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_lamps_that_miss_the_plate_are_refused():
    lamp = Lamp(x_mm=10_000, y_mm=0, width_mm=10, edge_level=0)
    with pytest.raises(ConfigError, match="leave the plate dark"):
        lamp_level((lamp,), np.arange(3.0), np.arange(3.0))


def test_progress_runs_from_zero_to_one(make_plate):
    seen: list[float] = []
    solve_plate(make_plate(4, 4), times_s=np.array([5.0]), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert seen[0] > 0
