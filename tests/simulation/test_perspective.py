"""A tilted plate before a pinhole: the picture is a homography of the plate, and rectification undoes it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError
from thermo_qc.preprocess import fit_homography, rectify
from thermo_qc.simulation import Heating, Placement, record_plate, solve_plate

QUIET = {"netd_k": 0.0, "blur_px": 0.0, "fixed_pattern_k": 0.0, "quantisation_k": 0.0}


@settings(deadline=None, max_examples=25)
@given(
    tilt_x=st.floats(-60, 60),
    tilt_y=st.floats(-60, 60),
    turn=st.floats(-180, 180),
    mirrored=st.booleans(),
    distance=st.floats(150, 5000),
)
def test_picture_is_a_homography_that_shows_the_whole_plate(tilt_x, tilt_y, turn, mirrored, distance):
    placement = Placement(tilt_x_deg=tilt_x, tilt_y_deg=tilt_y, turn_deg=turn, mirrored=mirrored, distance_mm=distance)
    x, y = placement.plate_coordinates(60.0, 40.0, 1.0)
    rows, columns = placement.frame_shape(60.0, 40.0, 1.0)
    assert x.shape == y.shape == (rows, columns)
    step = max(1, rows // 7), max(1, columns // 7)
    pixel = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:: step[0], :: step[1]].reshape(-1, 2)
    place = np.stack([x, y], axis=-1)[:: step[0], :: step[1]].reshape(-1, 2)
    near = np.abs(place - [30.0, 20.0]).max(axis=1) < 200
    fitted = fit_homography(pixel[near].astype(np.float64), place[near])
    assert fitted.residual_mm < 1e-3
    border = np.concatenate([x[0], x[-1], x[:, 0], x[:, -1]]), np.concatenate([y[0], y[-1], y[:, 0], y[:, -1]])
    on_plate = (border[0] > 0) & (border[0] < 60) & (border[1] > 0) & (border[1] < 40)
    assert not on_plate.any()


def test_without_tilt_the_distance_does_not_matter():
    near, far = (Placement(turn_deg=10.0, distance_mm=d).plate_coordinates(60.0, 40.0, 1.0) for d in (100.0, 1e6))
    np.testing.assert_array_equal(near, far)


def test_far_camera_sees_a_tilted_plate_shortened_by_the_cosine():
    placement = Placement(tilt_y_deg=60.0, distance_mm=1e7, background_mm=0.0)
    assert placement.frame_shape(60.0, 40.0, 0.5) == (80, 60)
    x, _ = placement.plate_coordinates(60.0, 40.0, 0.5)
    np.testing.assert_allclose(np.diff(x[0]), 1.0, rtol=1e-4)


def test_the_farther_side_is_smaller():
    """tilt_x above 0: the upper side is farther; tilt_y above 0: the right side is."""
    _, y = Placement(tilt_x_deg=40.0, distance_mm=150.0).plate_coordinates(60.0, 40.0, 1.0)
    middle = y[:, y.shape[1] // 2]
    assert np.diff(middle)[0] > 1.3 * np.diff(middle)[-1] > 0
    x, _ = Placement(tilt_y_deg=40.0, distance_mm=150.0).plate_coordinates(60.0, 40.0, 1.0)
    middle = x[x.shape[0] // 2]
    assert np.diff(middle)[-1] > 1.3 * np.diff(middle)[0] > 0


def test_rectified_picture_is_the_upright_one(make_plate):
    plate = make_plate(60.0, 40.0, ((20.0, 15.0, 14.0, 1.5),))
    solution = solve_plate(plate, times_s=np.array([10.0, 60.0]), heating=Heating(), lateral_mm=1)
    placement = Placement(tilt_x_deg=25.0, tilt_y_deg=-20.0, distance_mm=250.0)
    tilted = record_plate(solution, rng=np.random.default_rng(0), placement=placement, pixel_pitch_mm=0.5, **QUIET)
    upright = record_plate(
        solution, rng=np.random.default_rng(0), placement=Placement(background_mm=0), pixel_pitch_mm=1.0, **QUIET
    )
    x, y = placement.plate_coordinates(60.0, 40.0, 0.5)
    corners = np.array([np.unravel_index(np.argmin(np.hypot(x - a, y - b)), x.shape) for a in (2, 58) for b in (2, 38)])
    places = np.stack([x[tuple(corners.T)], y[tuple(corners.T)]], axis=1)
    registration = fit_homography(corners[:, ::-1].astype(np.float64), places)
    flat = rectify(tilted, registration, plate_size_mm=(60.0, 40.0), pixel_pitch_mm=1.0)
    difference = np.asarray(flat.frames)[:, 2:-2, 2:-2] - np.asarray(upright.frames)[:, 2:-2, 2:-2]
    assert np.nanmax(np.abs(difference)) < 0.04 * (np.asarray(upright.frames).max() - 22)
    np.testing.assert_array_equal(
        np.unique(tilted.truth.defect_index), np.unique(np.append(upright.truth.defect_index, -1))
    )
    hole = tilted.truth.defect_index == 1
    assert np.hypot(x[hole] - 20, y[hole] - 15).max() <= 7.0
    warmest = np.unravel_index(np.argmax(np.asarray(tilted.frames)[1]), hole.shape)
    assert hole[warmest]


def test_camera_inside_the_plate_is_refused():
    with pytest.raises(ConfigError, match=r"placement\.distance_mm is 20"):
        Placement(tilt_x_deg=60.0, distance_mm=20.0).plate_coordinates(60.0, 40.0, 1.0)
    with pytest.raises(ConfigError, match=r"placement\.tilt_y_deg is 85"):
        Placement(tilt_y_deg=85.0)
