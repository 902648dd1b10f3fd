"""The camera: geometry, what it adds, metadata and truth."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError
from thermo_qc.simulation import EnergyBalance, Heating, Lamp, Losses, Placement, PlateSolution, record_plate

QUIET = {"netd_k": 0.0, "blur_px": 0.0, "fixed_pattern_k": 0.0, "quantisation_k": 0.0}


@pytest.fixture
def painted(make_plate):
    """Build a 'solution' whose rise is 1 K in its holes and x, y ramps elsewhere, on 0.5 mm cells."""

    def make(holes=((12.0, 9.0, 8.0, 3.0),), n_frames=4, rise=None):
        plate = make_plate(40.0, 30.0, holes)
        x, y = (np.arange(80) + 0.5) / 2, (np.arange(60) + 0.5) / 2
        grid_x, grid_y = np.meshgrid(x, y)
        one = (
            (plate.truth_at(grid_x, grid_y).defect_index > 0).astype(np.float64)
            if rise is None
            else rise(grid_x, grid_y)
        )
        times = np.arange(n_frames) - 1.0
        return PlateSolution(
            plate=plate,
            material=plate.material,
            heating=Heating(lamps=(Lamp(x_mm=1.0, y_mm=2.0),)),
            losses=Losses(),
            times_s=times,
            rise_k=np.broadcast_to(one, (n_frames, 60, 80)).astype(np.float32),
            x_mm=x,
            y_mm=y,
            level=np.ones((60, 80)),
            energy=EnergyBalance(absorbed_j=1.0, lost_j=0.25, stored_j=0.75),
            n_steps=7,
            parameters={"lateral_mm": 0.5},
        )

    return make


def test_upright_quiet_camera_shows_the_plate_in_ambient_surroundings(painted, rng):
    solution = painted(rise=lambda x, y: 1.0 + 0.1 * x + 0.2 * y)
    sequence = record_plate(solution, rng=rng, pixel_pitch_mm=2.0, placement=Placement(background_mm=6.0), **QUIET)
    assert sequence.frame_shape == (15 + 6, 20 + 6)
    frame = np.asarray(sequence.frames)[0] - 22.0
    assert (
        (frame[:3] == 0).all() and (frame[:, :3] == 0).all() and (frame[-3:] == 0).all() and (frame[:, -3:] == 0).all()
    )
    x, y = np.meshgrid((np.arange(20) + 0.5) * 2, (np.arange(15) + 0.5) * 2)
    np.testing.assert_allclose(frame[3:-3, 3:-3], 1.0 + 0.1 * x + 0.2 * y, atol=0.03)
    np.testing.assert_allclose(frame[4:-4, 4:-4], (1.0 + 0.1 * x + 0.2 * y)[1:-1, 1:-1], atol=1e-5)
    assert sequence.truth is not None
    assert (sequence.truth.defect_index[:3] == -1).all()
    assert (sequence.truth.defect_index[3:-3, 3:-3] >= 0).all()


@settings(deadline=None, max_examples=15)
@given(
    turn=st.floats(-360, 360),
    mirrored=st.booleans(),
    shift_x=st.floats(-3, 3),
    shift_y=st.floats(-3, 3),
    pitch=st.sampled_from([0.7, 1.0, 2.0]),
)
def test_truth_lies_on_the_warm_hole_wherever_the_plate_lies(turn, mirrored, shift_x, shift_y, pitch, painted_once):
    placement = Placement(turn_deg=turn, mirrored=mirrored, shift_x_mm=shift_x, shift_y_mm=shift_y)
    sequence = record_plate(
        painted_once, rng=np.random.default_rng(0), placement=placement, pixel_pitch_mm=pitch, **QUIET
    )
    frame, truth = np.asarray(sequence.frames)[0] - 22.0, sequence.truth
    assert truth is not None
    hole = truth.defect_index == 1
    assert np.count_nonzero(hole) * pitch**2 == pytest.approx(np.pi * 16, rel=0.3)
    assert frame[hole].mean() > 0.8
    assert frame[~hole].mean() < 0.02
    warm = np.argwhere(frame > 0.5).mean(axis=0)
    np.testing.assert_allclose(warm, np.argwhere(hole).mean(axis=0), atol=0.6)
    assert frame.sum() * pitch**2 == pytest.approx(np.pi * 16, rel=0.05)  # heat is neither lost nor made


@pytest.fixture(scope="module")
def painted_once():
    from thermo_qc.plate import Hole, PlateSpec
    from thermo_qc.sequence import Material

    material = Material(
        name="m",
        conductivity_through_w_mk=0.3,
        conductivity_in_plane_w_mk=0.4,
        density_kg_m3=1900.0,
        heat_capacity_j_kgk=1000.0,
    )
    hole = Hole(number=1, name="H1", x_mm=12.0, y_mm=9.0, diameter_mm=8.0, depth_mm=3.0)
    plate = PlateSpec(name="p", width_mm=40.0, height_mm=30.0, thickness_mm=17.0, material=material, holes=(hole,))
    x, y = (np.arange(80) + 0.5) / 2, (np.arange(60) + 0.5) / 2
    one = (plate.truth_at(*np.meshgrid(x, y)).defect_index > 0).astype(np.float32)
    return PlateSolution(
        plate=plate,
        material=material,
        heating=Heating(),
        losses=Losses(),
        times_s=np.array([1.0]),
        rise_k=one[None],
        x_mm=x,
        y_mm=y,
        level=np.ones((60, 80)),
        energy=EnergyBalance(absorbed_j=1.0, lost_j=0.0, stored_j=1.0),
        n_steps=1,
        parameters={},
    )


def test_mirror_then_turn_then_shift(painted, rng):
    """A hole at the top left: mirrored to the top right, turned a quarter anticlockwise to the top left, shifted."""
    solution = painted(holes=((6.0, 5.0, 4.0, 3.0),))

    def centre(**how):
        sequence = record_plate(
            solution, rng=rng, placement=Placement(background_mm=0, **how), pixel_pitch_mm=1.0, **QUIET
        )
        y, x = np.argwhere(sequence.truth.defect_index == 1).mean(axis=0) + 0.5
        return (round(float(x), 6), round(float(y), 6)), sequence.frame_shape

    assert centre() == ((6.0, 5.0), (30, 40))
    assert centre(mirrored=True) == ((34.0, 5.0), (30, 40))
    assert centre(turn_deg=90) == ((5.0, 34.0), (40, 30))
    assert centre(mirrored=True, turn_deg=90) == ((5.0, 6.0), (40, 30))
    assert centre(mirrored=True, turn_deg=90, shift_x_mm=3, shift_y_mm=-1) == ((8.0, 5.0), (40, 30))
    assert centre(turn_deg=360) == centre()


def test_noise_has_the_wanted_size(painted, rng):
    solution = painted(holes=(), n_frames=200)
    sequence = record_plate(solution, rng=rng, netd_k=0.05, blur_px=0, fixed_pattern_k=0, quantisation_k=0)
    frames = np.asarray(sequence.frames, dtype=np.float64)
    assert frames.std(axis=0).mean() == pytest.approx(0.05, rel=0.03)
    assert np.abs(frames.mean(axis=0) - 22).max() < 0.05  # no pattern
    patterned = record_plate(solution, rng=rng, **{**QUIET, "fixed_pattern_k": 0.1})
    still = np.asarray(patterned.frames)
    assert (still == still[0]).all()
    assert still[0].std() == pytest.approx(0.1, rel=0.25)
    assert still[0].mean(axis=0).std() > 2 * still[0].mean(axis=1).std()  # columns


def test_drift_is_slow_common_and_has_the_wanted_range(painted, rng):
    sequence = record_plate(painted(holes=(), n_frames=100), rng=rng, drift_k=0.4, **QUIET)
    frames = np.asarray(sequence.frames, dtype=np.float64) - 22
    curve = frames[:, 0, 0]
    assert np.ptp(curve) == pytest.approx(0.4, abs=1e-4)
    assert curve[0] == 0
    assert np.abs(frames - curve[:, None, None]).max() < 1e-4
    assert np.abs(np.diff(curve)).max() < 0.05


def test_dead_pixels_are_stuck(painted, rng):
    sequence = record_plate(painted(n_frames=20), rng=rng, dead_fraction=0.02)
    frames = np.asarray(sequence.frames)
    stuck = (frames == frames[0]).all(axis=0)
    assert stuck.sum() == round(0.02 * stuck.size)
    assert np.unique(frames[0][stuck]).size > 1


def test_blur_widens_an_edge_and_keeps_the_mean(painted, rng):
    sharp, soft = (
        np.asarray(record_plate(painted(), rng=rng, **{**QUIET, "blur_px": blur}).frames)[0] - 22 for blur in (0.0, 1.5)
    )
    assert soft.max() < 0.9 * sharp.max()
    assert soft.sum() == pytest.approx(sharp.sum(), rel=0.01)


def test_quantisation(painted, rng):
    frames = np.asarray(record_plate(painted(), rng=rng, quantisation_k=0.25).frames, dtype=np.float64)
    np.testing.assert_allclose(frames * 4, np.rint(frames * 4), atol=1e-5)


def test_coarse_pixels_average_their_area(painted, rng):
    solution = painted(rise=lambda x, y: (np.floor(x / 0.5) + np.floor(y / 0.5)) % 2.0)
    frame = np.asarray(record_plate(solution, rng=rng, pixel_pitch_mm=5.0, **QUIET).frames)[0] - 22
    np.testing.assert_allclose(frame[2:-2, 2:-2], 0.5, atol=0.02)


def test_metadata_is_complete_and_the_same_seed_gives_the_same_frames(painted, make_plate):
    solution = replace(painted(), material=replace(painted().material, conductivity_through_w_mk=0.33))
    options = {"specimen_id": "S", "acquisition_id": "A", "peak_contrasts_k": {1: 0.7}, "parameters": {"seed": 3}}
    first, again, other = (record_plate(solution, rng=np.random.default_rng(seed), **options) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.frames, again.frames)
    assert not np.array_equal(first.frames, other.frames)
    assert first.unit == "degC"
    assert np.asarray(first.frames).dtype == np.float32
    assert (first.pixel_pitch_mm, first.netd_k, first.ambient_c, first.thickness_mm) == (2.0, 0.025, 22.0, 17.0)
    assert (first.specimen_id, first.acquisition_id) == ("S", "A")
    assert (first.excitation.kind, first.excitation.stop_s, first.excitation.flux_w_m2) == ("long_pulse", 60.0, 1000.0)
    assert first.material is not None and first.material.conductivity_through_w_mk == 0.30  # nominal
    assert first.truth is not None and first.truth.defects[0].peak_contrast_k == 0.7
    history = json.loads(json.dumps([[entry.step, entry.parameters] for entry in first.history]))
    assert [step for step, _ in history] == ["solve_plate", "record_plate"]
    assert history[0][1]["material"]["conductivity_through_w_mk"] == 0.33
    assert history[1][1]["seed"] == 3
    assert first.camera


def test_noise_free_camera_states_no_noise(painted, rng):
    assert record_plate(painted(), rng=rng, **QUIET).netd_k is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixel_pitch_mm": 0.0}, "camera.pixel_pitch_mm is 0"),
        ({"pixel_pitch_mm": 1e-4}, "is it really in mm"),
        ({"netd_k": -1.0}, "camera.netd_k is -1"),
        ({"drift_k": float("inf")}, "camera.drift_k is inf"),
        ({"dead_fraction": 0.7}, "at most 0.5"),
        ({"peak_contrasts_k": {}}, r"missing: \[1\]"),
    ],
)
def test_impossible_cameras_are_refused(painted, rng, options, message):
    with pytest.raises(ConfigError, match=message):
        record_plate(painted(), rng=rng, **options)


def test_impossible_placements_are_refused():
    with pytest.raises(ConfigError, match=r"placement\.turn_deg is nan"):
        Placement(turn_deg=float("nan"))
    with pytest.raises(ConfigError, match=r"placement\.background_mm"):
        Placement(background_mm=-1.0)


@pytest.fixture
def rng():
    return np.random.default_rng(11)
