"""What the camera and the surface add: each is what it states, and the preparation steps find it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError
from thermo_qc.preprocess import (
    estimate_noise,
    find_flickering_pixels,
    find_shutter_jumps,
    remove_shutter_jumps,
    repair_pixels,
)
from thermo_qc.sequence import Excitation
from thermo_qc.simulation import Heating, Lamp, Mark, Placement, record_plate, solve_plate

QUIET = {"netd_k": 0.0, "blur_px": 0.0, "fixed_pattern_k": 0.0, "quantisation_k": 0.0}
TIMES = np.arange(-5.0, 121.0)


@pytest.fixture(scope="module")
def small_plate():
    from thermo_qc.plate import PlateSpec
    from thermo_qc.sequence import Material

    material = Material(
        name="GFRP",
        conductivity_through_w_mk=0.3,
        conductivity_in_plane_w_mk=0.4,
        density_kg_m3=1900.0,
        heat_capacity_j_kgk=1000.0,
    )
    return PlateSpec(name="p", width_mm=60.0, height_mm=48.0, thickness_mm=8.0, material=material)


@pytest.fixture(scope="module")
def solution(small_plate):
    heating = Heating(duration_s=40.0, lamps=(Lamp(x_mm=15.0, y_mm=20.0, width_mm=60.0),))
    return solve_plate(small_plate, times_s=TIMES, heating=heating, lateral_mm=4)


def recorded(solution, seed=1, **options):
    sequence = record_plate(
        solution, rng=np.random.default_rng(seed), **{**QUIET, "placement": Placement(background_mm=0), **options}
    )
    return sequence, np.asarray(sequence.frames, dtype=np.float64)


def added(solution, **options):
    """What options add to the quiet picture."""
    return recorded(solution, **options)[1] - recorded(solution)[1]


def test_column_noise_is_one_value_per_column_and_frame(solution):
    noise = added(solution, column_noise_k=0.05)
    assert np.ptp(noise, axis=1).max() < 1e-5
    assert noise[:, 0].std() == pytest.approx(0.05, rel=0.05)
    lag = (noise[1:, 0] * noise[:-1, 0]).mean() / noise[:, 0].var()
    assert abs(lag) < 0.06  # drawn anew


def test_other_disturbances_leave_the_white_noise_as_it_was(solution):
    plain, disturbed = (
        recorded(solution, netd_k=0.03, dead_fraction=0.01, **more)[1]
        for more in ({}, {"column_noise_k": 0.05, "shutter_interval_s": 30.0, "flicker_fraction": 0.01})
    )
    clean = np.asarray(recorded(solution, column_noise_k=0.05, shutter_interval_s=30.0, flicker_fraction=0.01)[1])
    stuck = (plain == plain[0]).all(axis=0)
    assert stuck.sum() == (disturbed == disturbed[0]).all(axis=0).sum() > 0
    noise = (disturbed - clean)[:, ~stuck] - (plain - recorded(solution)[1])[:, ~stuck]
    assert np.abs(noise).max() < 1e-4


def test_shutter_jumps_are_where_and_as_high_as_stated_and_are_found(solution):
    options = {"shutter_interval_s": 30.0, "shutter_jump_k": 0.6, "shutter_pattern_k": 0.02}
    step = added(solution, **options)
    sequence, _ = recorded(solution, netd_k=0.02, **options)
    stated = sequence.history[-1].parameters
    assert stated["shutter_frames"] == [30, 60, 90, 120]
    for frame, jump in zip(stated["shutter_frames"], stated["shutter_jumps_k"], strict=True):
        change = step[frame] - step[frame - 1]
        assert change.mean() == pytest.approx(jump, abs=0.003)
        assert change.std() == pytest.approx(0.02, rel=0.15)
    quiet = np.delete(np.diff(step, axis=0), np.array(stated["shutter_frames"]) - 1, axis=0)
    assert np.abs(quiet).max() < 1e-5
    found = find_shutter_jumps(sequence)
    assert {
        frame
        for frame, jump in zip(stated["shutter_frames"], stated["shutter_jumps_k"], strict=True)
        if abs(jump) > 0.1
    } <= set(found.frames)
    level = np.asarray(remove_shutter_jumps(sequence).frames, dtype=np.float64) - recorded(solution)[1]
    assert np.abs(level.mean(axis=(1, 2))).max() < 0.1 * np.abs(step.mean(axis=(1, 2))).max()


def test_frozen_frames_repeat_the_last_one(solution):
    sequence, frames = recorded(solution, netd_k=0.02, shutter_interval_s=50.0, shutter_frozen_frames=3)
    assert sequence.history[-1].parameters["shutter_frames"] == [53, 103]
    for first in (50, 100):
        assert all((frames[first + i] == frames[first - 1]).all() for i in range(3))
        assert (frames[first + 3] != frames[first - 1]).any()
    assert find_shutter_jumps(sequence).frozen == (50, 51, 52, 100, 101, 102)


def test_flickering_pixels_jump_between_two_levels_and_are_found_and_repaired(solution):
    options = {"flicker_fraction": 0.01, "flicker_k": 0.8, "flicker_dwell_s": 12.0}
    step = added(solution, **options)
    sequence, _ = recorded(solution, netd_k=0.02, **options)
    places = np.array(sequence.history[-1].parameters["flickering_px"])
    assert len(places) == round(0.01 * step[0].size)
    curves = step[:, places[:, 0], places[:, 1]]
    assert np.abs(curves * (curves - 0.8)).max() < 1e-4
    n_jumps = np.count_nonzero(np.abs(np.diff(curves, axis=0)) > 0.4)
    assert n_jumps == pytest.approx(curves.shape[1] * 125 / 12.0, rel=0.35)
    rest = np.ones(step[0].shape, dtype=bool)
    rest[tuple(places.T)] = False
    assert np.abs(step[:, rest]).max() < 1e-5
    found = find_flickering_pixels(sequence)
    often = np.count_nonzero(np.abs(np.diff(curves, axis=0)) > 0.4, axis=0) >= 4
    assert found[tuple(places[often].T)].mean() >= 0.8
    assert not found[rest].any()
    mended = np.asarray(repair_pixels(sequence, ~rest).frames, dtype=np.float64) - recorded(solution)[1]
    assert np.abs(mended[:, ~rest]).max() < 0.4


def test_jitter_shows_frames_taken_at_other_times(solution):
    late = added(solution, jitter_s=0.05)
    slope = np.gradient(recorded(solution)[1], TIMES, axis=0)
    steady = (TIMES > 60) & (TIMES < 119)  # slow there: the line between frames is the curve
    delay = (late * slope).sum(axis=(1, 2))[steady] / (slope**2).sum(axis=(1, 2))[steady]
    assert delay.std() == pytest.approx(0.05, rel=0.3)
    assert abs(delay.mean()) < 0.03
    assert np.abs(late[steady] - delay[:, None, None] * slope[steady]).max() < 0.01 * np.abs(late[steady]).max() + 2e-4
    assert np.abs(late[TIMES < -0.9]).max() == 0


def test_reflection_is_as_bright_as_the_lamps_and_ends_with_them(solution):
    light = added(solution, reflection_k=2.0)
    on = (TIMES >= 0) & (TIMES < 40)
    assert np.abs(light[~on]).max() < 1e-5
    assert light[on].max() == pytest.approx(2.0, rel=0.01)
    assert np.ptp(light[on], axis=0).max() < 1e-5
    level = solution.level[:, :]
    assert light[on][0].min() == pytest.approx(2.0 * level.min(), rel=0.03)


def test_reflection_follows_a_glow_and_a_wave(small_plate):
    for heating in (
        Heating(duration_s=20.0, afterglow_share=0.4, afterglow_s=10.0),
        Heating(kind="periodic", frequency_hz=0.05, duration_s=60.0),
    ):
        solution = solve_plate(small_plate, times_s=np.arange(0.0, 61.0, 2.0), heating=heating, lateral_mm=12)
        light = added(solution, reflection_k=1.0)[:, 5, 5]
        np.testing.assert_allclose(light, [heating.flux_at(t) / 1000 for t in np.arange(0.0, 61.0, 2.0)], atol=1e-4)


def test_mark_of_other_emissivity_scales_the_rise_and_is_no_defect(small_plate):
    marks = (Mark(x_mm=30.0, y_mm=24.0, width_mm=20.0, height_mm=12.0, outline="rectangle", emissivity=0.76),)
    heating = Heating(duration_s=40.0)
    plain, marked = (
        solve_plate(small_plate, times_s=TIMES, heating=heating, lateral_mm=2, marks=m) for m in ((), marks)
    )
    np.testing.assert_array_equal(plain.rise_k, marked.rise_k)  # the plate is as warm as without
    sequence, frames = recorded(marked, emissivity=0.95)
    rise, seen = recorded(plain)[1] - 22, frames - 22
    inside = np.zeros(rise[0].shape, dtype=bool)
    inside[9:15, 10:20] = True
    np.testing.assert_allclose(seen[:, inside], 0.8 * rise[:, inside], atol=2e-5)
    np.testing.assert_allclose(seen[:, ~inside], rise[:, ~inside], atol=2e-5)
    assert not (sequence.truth.defect_index > 0).any()
    assert json.loads(json.dumps(sequence.history[0].parameters))["marks"][0]["emissivity"] == 0.76
    mirrored = recorded(marked, emissivity=0.95, reflected_offset_k=5.0)[1] - 22
    np.testing.assert_allclose(mirrored[:, inside], 5 + 0.8 * (rise[:, inside] - 5), atol=2e-5)
    np.testing.assert_allclose(mirrored[0, inside], 1.0, atol=2e-5)  # shows in the cold frames already
    light = recorded(marked, emissivity=0.95, reflection_k=1.0)[1] - frames
    np.testing.assert_allclose(light[20, inside], 0.24 / 0.05, atol=1e-4)


def test_mark_that_absorbs_more_is_warmer_and_the_balance_closes(small_plate):
    marks = (Mark(x_mm=30.0, y_mm=24.0, width_mm=24.0, height_mm=24.0, absorption=1.5),)
    plain, marked = (
        solve_plate(
            small_plate, times_s=np.array([1.0, 60.0]), heating=Heating(), lateral_mm=1, marks=m, dtype="float64"
        )
        for m in ((), marks)
    )
    assert marked.rise_k[0, 24, 30] == pytest.approx(1.5 * plain.rise_k[0, 24, 30], rel=1e-3)
    more = marked.energy.absorbed_j / plain.energy.absorbed_j - 1
    assert more == pytest.approx(0.5 * np.pi * 12**2 / (60 * 48), rel=0.01)
    assert abs(marked.energy.relative_error) < 1e-6


@settings(deadline=None, max_examples=30)
@given(
    outline=st.sampled_from(["ellipse", "rectangle", "capsule", "mask"]),
    width=st.floats(2, 20),
    height=st.floats(2, 20),
    turn=st.floats(-360, 360),
)
def test_outlines_have_their_area_wherever_they_turn(outline, width, height, turn):
    mask = np.array([[1, 0, 1], [1, 1, 0]], dtype=bool) if outline == "mask" else None
    mark = Mark(x_mm=31.0, y_mm=29.0, width_mm=width, height_mm=height, turn_deg=turn, outline=outline, mask=mask)
    axis = (np.arange(600) + 0.5) / 10
    inside = mark.covers(axis[None, :], axis[:, None])
    rim = 0.05 * 2 * (width + height)  # points on the rim count as inside
    assert inside.sum() / 100 == pytest.approx(mark.area_mm2, rel=0.03, abs=0.3 + rim)


def test_outline_turns_anticlockwise():
    mark = Mark(x_mm=0, y_mm=0, width_mm=10, height_mm=1, turn_deg=30.0, outline="rectangle")
    along = np.array([np.cos(np.pi / 6), -np.sin(np.pi / 6)]) * 4.5  # up to the right: y points down
    assert mark.covers(*along)
    assert not mark.covers(along[0], -along[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flicker_dwell_s": 0.0}, "camera.flicker_dwell_s is 0"),
        ({"flicker_fraction": 0.6}, "at most 0.5"),
        ({"jitter_s": -1.0}, "camera.jitter_s is -1"),
        ({"emissivity": 1.0}, "camera.emissivity is 1"),
        ({"reflected_offset_k": 3.0}, "no mark has another emissivity"),
    ],
)
def test_impossible_disturbances_are_refused(solution, options, message):
    with pytest.raises(ConfigError, match=message):
        recorded(solution, **options)


def test_reflection_of_a_flash_is_refused(small_plate):
    solution = solve_plate(small_plate, times_s=np.array([1.0]), heating=Heating(kind="flash"), lateral_mm=12)
    assert recorded(solution)[0].excitation == Excitation(kind="flash")
    with pytest.raises(ConfigError, match="a flash is over before any frame"):
        recorded(solution, reflection_k=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outline": "circle"}, "mark outline"),
        ({"width_mm": 0.0}, "mark width_mm is 0"),
        ({"emissivity": 0.0}, "mark emissivity is 0"),
        ({"absorption": 5.0}, "mark absorption is 5"),
        ({"outline": "mask"}, "go together"),
        ({"mask": np.ones((2, 2), dtype=bool)}, "go together"),
        ({"outline": "mask", "mask": np.zeros((2, 2), dtype=bool)}, "may be empty"),
    ],
)
def test_impossible_marks_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Mark(**{"x_mm": 5.0, "y_mm": 5.0, "width_mm": 3.0, "height_mm": 3.0, **options})


def test_noise_estimate_is_not_fooled_by_the_quiet_camera(solution):
    sequence, _ = recorded(solution, netd_k=0.04)
    assert estimate_noise(sequence) == pytest.approx(0.04, rel=0.1)
