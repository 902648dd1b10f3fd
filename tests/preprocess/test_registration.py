"""Homographies from picked points: exact where they must be, honest where they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thermo_qc.errors import InputError
from thermo_qc.plate import load_plate, pixel_centres_mm
from thermo_qc.preprocess import Registration, fit_homography, plate_coordinates, rectify

CORNERS_MM = np.array([[0.0, 0.0], [315.0, 0.0], [315.0, 290.0], [0.0, 290.0]])
PICKED_PX = np.array([[31.2, 20.5], [180.3, 28.0], [172.9, 165.4], [25.8, 150.1]])


def view(points_mm, *, tilt=2e-4, turn_deg=4.0, pitch_mm=2.0, mirror=1.0):
    """A camera's view: plate millimetres to pixels."""
    angle = np.deg2rad(turn_deg)
    x, y = points_mm.T
    depth = 1 + tilt * x + 0.5 * tilt * y
    u = mirror * (np.cos(angle) * x - np.sin(angle) * y) / pitch_mm + 12.3
    v = (np.sin(angle) * x + np.cos(angle) * y) / pitch_mm + 7.7
    return np.column_stack([u / depth, v / depth])


@settings(deadline=None, max_examples=30)
@given(
    tilt=st.floats(-5e-4, 2e-3),
    turn_deg=st.floats(-180, 180),
    pitch_mm=st.floats(0.1, 5.0),
    mirror=st.sampled_from([-1.0, 1.0]),
    n_extra=st.integers(0, 12),
)
def test_any_view_is_recovered(tilt, turn_deg, pitch_mm, mirror, n_extra):
    extra = np.random.default_rng(n_extra).uniform(10, 280, (n_extra, 2))
    points_mm = np.vstack([CORNERS_MM, extra])
    points_px = view(points_mm, tilt=tilt, turn_deg=turn_deg, pitch_mm=pitch_mm, mirror=mirror)
    registration = fit_homography(points_px, points_mm)
    assert registration.residual_mm < 1e-3  # OpenCV takes the points in single precision
    assert registration.mirrored == (mirror < 0)
    inside = np.random.default_rng(1).uniform(0, 290, (20, 2))
    seen = view(inside, tilt=tilt, turn_deg=turn_deg, pitch_mm=pitch_mm, mirror=mirror)
    x_mm, y_mm = registration.to_mm(*seen.T)
    np.testing.assert_allclose(np.column_stack([x_mm, y_mm]), inside, atol=5e-3)
    x_px, y_px = registration.to_px(*inside.T)
    np.testing.assert_allclose(np.column_stack([x_px, y_px]), seen, atol=5e-2)


def test_residuals_of_jittered_picks():
    rng = np.random.default_rng(0)
    points_mm = np.array([[x, y] for x in (10.0, 150.0, 300.0) for y in (10.0, 140.0, 280.0)])
    clean = view(points_mm)
    registration = fit_homography(clean + rng.normal(0, 0.5, clean.shape), points_mm)
    assert 0.3 < registration.residual_mm < 3.0
    assert registration.residual_mm == pytest.approx(np.sqrt((registration.residuals_mm**2).mean()))
    moved = clean.copy()
    moved[4] += [12.0, -9.0]
    wrong = fit_homography(moved, points_mm)
    assert int(wrong.residuals_mm.argmax()) == 4
    assert wrong.residuals_mm[4] > 15


def test_least_squares_beats_any_four_points():
    rng = np.random.default_rng(2)
    points_mm = np.vstack([CORNERS_MM, rng.uniform(20, 270, (20, 2))])
    clean = view(points_mm)
    noisy = clean + rng.normal(0, 0.5, clean.shape)
    target = rng.uniform(20, 270, (200, 2))

    def error(registration):
        return float(np.hypot(*(np.column_stack(registration.to_mm(*view(target).T)) - target).T).mean())

    assert error(fit_homography(noisy, points_mm)) < error(fit_homography(noisy[:4], points_mm[:4]))


def test_pixel_pitch_is_the_mean_scale():
    registration = fit_homography(view(CORNERS_MM, tilt=0.0, pitch_mm=1.7), CORNERS_MM)
    assert registration.pixel_pitch_mm == pytest.approx(1.7, rel=1e-5)


def test_round_trip_through_a_dictionary():
    registration = fit_homography(np.vstack([PICKED_PX, [[100.0, 90.0]]]), np.vstack([CORNERS_MM, [[152.0, 140.0]]]))
    again = Registration.from_dict(registration.to_dict())
    np.testing.assert_array_equal(again.matrix, registration.matrix)
    np.testing.assert_allclose(again.residuals_mm, registration.residuals_mm)
    scaled = Registration.from_dict({**registration.to_dict(), "matrix": (-3 * registration.matrix).tolist()})
    np.testing.assert_allclose(scaled.to_mm(*PICKED_PX.T), registration.to_mm(*PICKED_PX.T))
    assert scaled.mirrored == registration.mirrored


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"matrix": None}, "something other than numbers|3 x 3"),
        ({"matrix": [[1.0, 0.0], [0.0, 1.0]]}, "invertible 3 x 3"),
        ({"matrix": np.zeros((3, 3)).tolist()}, "invertible 3 x 3"),
        ({"matrix": "abc"}, "something other than numbers"),
        ({"points_px": [[1.0, 2.0]]}, "have shapes"),
    ],
)
def test_broken_dictionaries_are_refused(change, message):
    content = fit_homography(PICKED_PX, CORNERS_MM).to_dict()
    with pytest.raises(InputError, match=message):
        Registration.from_dict({**content, **change})
    del content["points_mm"]
    with pytest.raises(InputError, match="the registration has no points_mm"):
        Registration.from_dict(content)


@pytest.mark.parametrize(
    ("points_px", "points_mm", "message"),
    [
        (PICKED_PX[:3], CORNERS_MM[:3], "3 picked points came, expected at least 4"),
        (PICKED_PX, CORNERS_MM[:3], r"have shapes \(4, 2\) \(px\) and \(3, 2\) \(mm\)"),
        (np.vstack([PICKED_PX[:3], PICKED_PX[:1]]), CORNERS_MM, r"points 1 and 4 coincide \(in px\)"),
        (PICKED_PX, np.vstack([CORNERS_MM[:3], CORNERS_MM[1:2]]), r"points 2 and 4 coincide \(in mm\)"),
        (np.outer(np.arange(5.0), [3.0, 1.0]), np.outer(np.arange(5.0), [6.0, 2.0]), "lie on one line"),
        (
            np.array([[0, 0], [10, 10], [20, 20], [0, 30.0]]),
            np.array([[0, 0], [20, 20], [40, 40], [0, 60.0]]),
            "lie on one line",
        ),
        (PICKED_PX * np.nan, CORNERS_MM, "not finite"),
        (PICKED_PX[[0, 2, 1, 3]], CORNERS_MM, "no view of a flat plate"),
        (np.full((4, 2), 3.0), CORNERS_MM, "coincide"),
    ],
)
def test_impossible_points_are_refused(points_px, points_mm, message):
    with pytest.raises(InputError, match=message):
        fit_homography(points_px, points_mm)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=4, max_size=7, unique=True))
def test_whatever_is_accepted_maps_every_pixel_to_a_number(points):
    points_px = np.array(points, dtype=float)
    try:
        registration = fit_homography(points_px, 2.0 * points_px + 5.0)
    except InputError:
        assume(False)
    np.testing.assert_allclose(registration.residuals_mm, 0, atol=1e-4)
    x_mm, y_mm = plate_coordinates(registration, (31, 31))
    np.testing.assert_allclose(x_mm[0, :], 2.0 * np.arange(31) + 5, atol=1e-2)
    np.testing.assert_allclose(y_mm[:, 0], 2.0 * np.arange(31) + 5, atol=1e-2)


def test_beyond_the_horizon_there_is_no_plate():
    registration = fit_homography(view(CORNERS_MM, tilt=4e-3), CORNERS_MM)
    x_mm, _ = plate_coordinates(registration, (600, 600))
    assert np.isnan(x_mm).any()
    assert np.isfinite(x_mm[:40, :40]).all()


def paint(points_mm):
    x, y = points_mm
    return 20.0 + 0.01 * x - 0.02 * y


def test_rectified_frames_lie_on_the_plate_grid(record):
    plate = load_plate("gfrp_calibrated")
    registration = fit_homography(view(CORNERS_MM), CORNERS_MM)
    shape = (190, 200)
    frame = paint(plate_coordinates(registration, shape))
    frames = np.stack([frame, frame + 1.0]).astype(np.float32)
    truth = plate.truth_at(*plate_coordinates(registration, shape))
    sequence = replace(record(), frames=frames, times_s=np.array([-1.0, 1.0]), truth=truth)
    flat = rectify(sequence, registration, (315.0, 290.0), 2.5)
    assert flat.frames.shape == (2, *plate.frame_shape(2.5))
    assert flat.pixel_pitch_mm == 2.5
    expected = paint(pixel_centres_mm(plate.frame_shape(2.5), 2.5))
    seen = np.isfinite(flat.frames[0])
    assert seen.mean() > 0.95
    np.testing.assert_allclose(flat.frames[0][seen], expected[seen], atol=0.01)
    np.testing.assert_allclose(flat.frames[1][seen] - flat.frames[0][seen], 1, atol=1e-4)
    exact = plate.truth(2.5).defect_index
    both = (exact >= 0) & (flat.truth.defect_index >= 0)
    assert (exact == flat.truth.defect_index)[both].mean() > 0.98
    assert flat.history[-1].step == "rectify"


def test_rectified_outside_of_the_frame_is_missing(record, file_like):
    sequence = record()
    registration = fit_homography(view(CORNERS_MM, tilt=0, turn_deg=0), CORNERS_MM)
    lazy = rectify(replace(sequence, frames=file_like(sequence.frames)), registration, (315.0, 290.0), 5.0)
    assert lazy.frames.shape == (150, 58, 63)
    assert np.isnan(lazy.frames[:, 30:, :]).all()
    assert np.isfinite(lazy.frames[:, :4, :4]).all()


@pytest.mark.parametrize(
    ("size", "pitch", "message"),
    [
        ((315.0, 290.0), 0.0, "expected positive lengths"),
        ((315.0, -1.0), 1.0, "expected positive lengths"),
        ((315.0, 290.0), 0.001, "is it really in mm"),
        ((315.0, 290.0), float("nan"), "expected positive lengths"),
    ],
)
def test_impossible_grids_are_refused(record, size, pitch, message):
    registration = fit_homography(PICKED_PX, CORNERS_MM)
    with pytest.raises(InputError, match=message):
        rectify(record(), registration, size, pitch)
