"""Cameras moved by known amounts over simulated plates."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import SequenceError, UnknownNameError
from thermo_qc.preprocess import find_frame_shifts, register_frames
from thermo_qc.sequence import ThermalSequence


@pytest.fixture(scope="module")
def move(simulate):
    """Shift (and turn) the frames of a noise-free recording, then add noise; every fourth frame of it."""

    def moved(kind, shifts, angles=None, noise_k=0.025, seed=0):
        still = simulate(kind, quiet=True, blur_px=0.8, background_mm=9.0)
        still = replace(still, frames=np.array(still.frames[::4]), times_s=still.times_s[::4])
        height, width = still.frame_shape
        middle = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
        frames = np.empty_like(still.frames)
        for index, frame in enumerate(still.frames):
            angle = 0.0 if angles is None else angles[index]
            turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
            matrix = np.linalg.inv(middle) @ turn @ middle
            matrix[:2, 2] += shifts[index]
            rise = (frame - 22).astype(np.float64)
            frames[index] = 22 + cv2.warpPerspective(rise, matrix, (width, height), flags=cv2.INTER_CUBIC)
        frames += np.random.default_rng(seed).normal(0, 1, frames.shape).astype(np.float32) * np.float32(noise_k)
        return replace(still, frames=frames), still

    return moved


N = 56
LINE = np.linspace(0, 1, N)
SLOW = np.stack([3 * LINE + 0.3 * np.sin(9 * LINE), -2 * LINE**2], axis=1)
JITTER = np.random.default_rng(5).normal(0, 0.7, (N, 2))


@pytest.mark.parametrize("shifts", [SLOW, JITTER], ids=["slow", "jitter"])
@pytest.mark.parametrize("kind", ["long_pulse", "flash"])
def test_translations_are_recovered(move, kind, shifts):
    moved, _ = move(kind, shifts)
    found = find_frame_shifts(moved)
    error = found.shifts_px - (shifts - shifts[found.reference])
    warm = moved.times_s > 0
    assert found.converged[warm].all()
    assert np.abs(error[warm]).max() < 0.1
    assert np.sqrt((error[warm] ** 2).mean()) < 0.045


@pytest.mark.parametrize("model", ["euclidean", "affine", "homography"])
def test_turned_frames(move, model):
    moved, _ = move("long_pulse", np.stack([2 * LINE, -LINE], axis=1), 0.03 * LINE)
    found = find_frame_shifts(moved, model=model, reference=-1)
    warm = moved.times_s > 0
    wanted = np.stack([2 * LINE - 2, 1 - LINE], axis=1)
    # The centre of the reference is not where the frame turns about: rotate its shift along.
    assert np.abs(found.shifts_px - wanted)[warm].max() < 0.15
    turned = np.arctan2(found.matrices[:, 1, 0], found.matrices[:, 0, 0])
    assert np.abs(turned - 0.03 * (LINE - 1))[warm].max() < 0.01


@pytest.mark.parametrize("kind", ["long_pulse", "flash", "step"])
def test_a_still_recording_comes_back_unchanged(move, kind):
    still, _ = move(kind, np.zeros((N, 2)))
    found = find_frame_shifts(still)
    assert np.abs(found.shifts_px).max() < 0.05
    registered = register_frames(still, shifts=found)
    np.testing.assert_array_equal(registered.frames, still.frames)
    assert registered.history[-1].parameters["n_frames_moved"] == 0


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_registered_frames_are_those_of_the_still_camera(move, interpolation):
    moved, still = move("long_pulse", SLOW, noise_k=0.0)
    found = find_frame_shifts(moved, reference=30)
    registered = register_frames(moved, shifts=found, interpolation=interpolation).frames
    height, width = still.frame_shape
    matrix = np.array([[1, 0, SLOW[30, 0]], [0, 1, SLOW[30, 1]]])
    warm = np.flatnonzero(moved.times_s > 5)
    before = after = 0.0
    for index in warm:
        wanted = 22 + cv2.warpAffine(still.frames[index] - 22, matrix, (width, height), flags=cv2.INTER_CUBIC)
        known = np.isfinite(registered[index])
        after += float(((registered[index] - wanted)[known] ** 2).mean())
        before += float(((moved.frames[index] - wanted)[known] ** 2).mean())
    assert after < (0.03 if interpolation == "cubic" else 0.06) * before


def test_cold_frames_are_told_and_take_the_nearest_movement(move, caplog):
    moved, _ = move("long_pulse", SLOW)
    registered = register_frames(moved)
    parameters = registered.history[-1].parameters
    cold = np.flatnonzero(moved.times_s < 0).tolist()
    assert set(cold) <= set(parameters["frames_not_aligned"])
    assert f"{len(parameters['frames_not_aligned'])} frames could not be aligned" in caplog.text
    first = min(set(range(N)) - set(parameters["frames_not_aligned"]))
    assert parameters["shifts_px"][0] == parameters["shifts_px"][first]
    assert len(parameters["shifts_px"]) == N


def test_a_lost_frame_is_interpolated(move):
    moved, _ = move("long_pulse", SLOW)
    moved.frames[30] = np.random.default_rng(0).normal(22, 1, moved.frame_shape)
    moved.frames[40] = np.nan
    found = find_frame_shifts(moved, reference=20)
    assert not found.converged[[30, 40]].any()
    assert np.abs(found.shifts_px[[30, 40]] - (SLOW[[30, 40]] - SLOW[20])).max() < 0.12
    assert np.isnan(found.correlation[[30, 40]]).all()


def test_borders(move):
    moved, _ = move("long_pulse", SLOW)
    found = find_frame_shifts(moved, reference=10)
    gaps = register_frames(moved, shifts=found).frames
    filled = register_frames(moved, shifts=found, border="edge").frames
    assert np.isfinite(filled).all()
    outside = np.isnan(gaps)
    x = np.arange(moved.frame_shape[1]) + found.shifts_px[-1, 0]
    np.testing.assert_array_equal(outside[-1, 20], x > moved.frame_shape[1] - 0.5)
    np.testing.assert_array_equal(gaps[~outside], filled[~outside])


def test_pixels_without_values_stay_without(move):
    moved, _ = move("long_pulse", SLOW)
    moved.frames[:, :, :5] = np.nan
    found = find_frame_shifts(moved, reference=30)
    warm = moved.times_s > 0
    error = (found.shifts_px - (SLOW - SLOW[30]))[warm]
    assert np.abs(error).max() < 0.3  # one of the plate's four edges is hidden
    assert np.sqrt((error**2).mean()) < 0.1
    registered = register_frames(moved, shifts=found).frames
    assert np.isnan(registered[30, :, :5]).all()
    assert np.isfinite(registered[30, :, 5:]).all()


def test_a_mask_of_the_rim(move):
    moved, _ = move("long_pulse", SLOW)
    height, width = moved.frame_shape
    mask = np.ones((height, width), dtype=bool)
    mask[12:-12, 12:-12] = False
    found = find_frame_shifts(moved, reference=30, mask=mask)
    assert np.abs(found.shifts_px - (SLOW - SLOW[30]))[moved.times_s > 0].max() < 0.12


def test_frames_in_a_file(move, file_like):
    moved, _ = move("long_pulse", SLOW, 0.02 * LINE)
    found = find_frame_shifts(moved, model="euclidean")
    whole = register_frames(moved, shifts=found).frames
    source = file_like(moved.frames)
    lazy = register_frames(replace(moved, frames=source), shifts=found)
    assert lazy.is_lazy
    for key in [(slice(10, 50, 7), slice(8, 19), slice(3, 30, 2)), (-1, slice(None), 5), (3, 0, 0), Ellipsis]:
        np.testing.assert_array_equal(lazy.frames[key], whole[key])
    source.largest = 0
    lazy.frames[:, 20, :]
    assert source.largest < 0.5 * moved.frames[0].size


def test_a_frame_that_moved_out_of_sight(move, file_like):
    moved, _ = move("long_pulse", SLOW)
    found = find_frame_shifts(moved)
    found.matrices[5, :2, 2] = [500.0, -500.0]
    found.largest_px[5] = 700.0
    assert np.isnan(register_frames(moved, shifts=found).frames[5]).all()
    edge = register_frames(moved, shifts=found, border="edge").frames[5]
    assert (edge == moved.frames[5, 0, -1]).all()


@settings(deadline=None, max_examples=2)
@given(gain=st.floats(0.1, 100), level=st.floats(-200, 300))
def test_gain_and_level_have_no_influence(move, gain, level):
    moved, _ = move("long_pulse", SLOW)
    other = replace(moved, frames=level + gain * moved.frames.astype(np.float64))
    found, again = find_frame_shifts(moved, reference=20), find_frame_shifts(other, reference=20)
    np.testing.assert_array_equal(found.converged, again.converged)
    np.testing.assert_allclose(found.shifts_px, again.shifts_px, atol=0.01)


def test_errors(move):
    moved, _ = move("long_pulse", SLOW)
    with pytest.raises(UnknownNameError, match="unknown model of movement 'afine'; did you mean 'affine'"):
        register_frames(moved, model="afine")
    with pytest.raises(UnknownNameError, match="unknown border 'edges'; did you mean 'edge'"):
        register_frames(moved, border="edges")
    with pytest.raises(UnknownNameError, match="unknown interpolation 'cubik'; did you mean 'cubic'"):
        register_frames(moved, interpolation="cubik")
    with pytest.raises(SequenceError, match="reference is frame 99, the recording has frames 0 to 55"):
        register_frames(moved, reference=99)
    with pytest.raises(SequenceError, match=r"mask of shape \(2, 2\) with 4 pixels came"):
        register_frames(moved, mask=np.ones((2, 2), dtype=bool))
    with pytest.raises(SequenceError, match="ignore_below_px is -1"):
        register_frames(moved, ignore_below_px=-1)
    with pytest.raises(SequenceError, match="blur_px is 0"):
        find_frame_shifts(moved, blur_px=0)
    with pytest.raises(SequenceError, match=r"too small to align, expected 16 x 16"):
        find_frame_shifts(moved.crop(slice(0, 10), slice(0, 20)))
    with pytest.raises(SequenceError, match="find them in this recording"):
        register_frames(moved.between(0, None), shifts=find_frame_shifts(moved))
    noise = np.random.default_rng(0).normal(20, 1, (12, 30, 30))
    flat = ThermalSequence(frames=noise, times_s=np.arange(12.0), unit="K")
    with pytest.raises(SequenceError, match=r"of 12 frames could be aligned with frame .*: their edges are too faint"):
        register_frames(flat)
