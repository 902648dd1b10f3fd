"""Shutter jumps of known size, pattern and place in simulated recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import SequenceError, UnknownNameError
from thermo_qc.preprocess import find_shutter_jumps, remove_shutter_jumps
from thermo_qc.sequence import Excitation, ThermalSequence

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def disturb(sequence, seed=0):
    """Five jumps of every pattern, two frozen frames before one of them, three frames of a shut shutter."""
    rng = np.random.default_rng(seed)
    frames = np.array(sequence.frames)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in sequence.frame_shape), indexing="ij")
    maps = {
        9: 0.3 + 0 * x,
        50: -0.4 + 0.2 * x * y,
        120: 0.25 + rng.normal(0, 0.1, x.shape),
        160: 0.0 * x + 0.3 * y,
        200: 0.05 + 0 * x,
    }
    for place, steps in maps.items():
        frames[place:] += steps.astype(np.float32)
    frames[118:120] = frames[117]
    frames[180:183] = 30.0
    return replace(sequence, frames=frames), maps


@pytest.mark.parametrize("kind", ["long_pulse", "flash", "step"])
def test_no_jump_where_there_is_none(simulate, kind):
    for seed in range(2):
        sequence = simulate(kind, seed=seed, drift_k=0.2)
        for one in (sequence, replace(sequence, excitation=Excitation())):
            jumps = find_shutter_jumps(one)
            assert (jumps.frames, jumps.frozen, jumps.left_alone) == ((), (), ())


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", ["long_pulse", "flash", "step"])
def test_all_are_found_and_measured(simulate, kind, known):
    clean = simulate(kind, seed=1)
    if not known:
        clean = replace(clean, excitation=Excitation())
    spoilt, maps = disturb(clean)
    jumps = find_shutter_jumps(spoilt)
    assert jumps.frames == tuple(maps)
    assert jumps.times_s == tuple(spoilt.times_s[list(maps)])
    assert jumps.frozen == (118, 119, 180, 181, 182)
    assert jumps.patterns == ("uniform", "surface", "free", "surface", "uniform")
    n_pixels = maps[9].size
    for found, offset, noise, (place, true) in zip(
        jumps.maps, jumps.offsets, jumps.map_noise, maps.items(), strict=True
    ):
        if place in (9, 200):
            # The median over the pixels: noise / sqrt(n) times 1.25, and the bend of the mean curve.
            assert abs(offset - true.mean()) < 4 * 1.25 * noise / np.sqrt(n_pixels) + 0.001
        spread = 1.1 * noise if place == 120 else 4 * noise * np.sqrt(6 / n_pixels)
        assert (found - true).std() < spread
        assert abs((found - true).mean()) < 0.005
    repaired = remove_shutter_jumps(spoilt, jumps)
    error = repaired.frames - clean.frames
    fresh = np.setdiff1d(np.arange(clean.n_frames), jumps.frozen)
    assert np.sqrt((error[fresh] ** 2).mean()) < 1.1 * max(jumps.map_noise)
    assert np.abs(error[fresh][:118].mean()) < 0.004
    # Interpolated frames: the noise of two frames beside that of the true one, and the maps' own.
    assert error[list(jumps.frozen)].std() < 0.06


@pytest.mark.parametrize("kind", ["long_pulse", "flash"])
def test_heating_is_never_taken_for_a_jump(simulate, kind):
    spoilt = simulate(kind, seed=2)
    frames = np.array(spoilt.frames)
    frames[150:] += 0.5
    jumps = find_shutter_jumps(replace(spoilt, frames=frames, excitation=Excitation()))
    assert jumps.frames == (150,)


def test_treatments_of_frozen_frames(simulate):
    spoilt, _ = disturb(simulate(seed=1))
    jumps = find_shutter_jumps(spoilt)
    gaps = remove_shutter_jumps(spoilt, jumps, frozen="nan").frames
    assert np.isnan(gaps[list(jumps.frozen)]).all()
    assert np.isfinite(np.delete(gaps, jumps.frozen, axis=0)).all()
    kept = remove_shutter_jumps(spoilt, jumps, frozen="keep").frames
    np.testing.assert_allclose(kept[181], 30.0 - jumps.maps[:4].sum(axis=0), atol=1e-5)


def test_forced_patterns(simulate):
    spoilt, maps = disturb(simulate(seed=1))
    assert set(find_shutter_jumps(spoilt, pattern="uniform").patterns) == {"uniform"}
    free = find_shutter_jumps(spoilt, pattern="free")
    assert set(free.patterns) == {"free"}
    assert (free.maps[0] - maps[9]).std() == pytest.approx(free.map_noise[0], rel=0.25)
    flat = find_shutter_jumps(spoilt, pattern="surface", order=0)
    assert np.ptp(flat.maps[1]) == pytest.approx(0.0, abs=1e-6)


def test_history_says_what_was_found(simulate):
    spoilt, maps = disturb(simulate(seed=1))
    entry = remove_shutter_jumps(spoilt).history[-1]
    assert entry.step == "remove_shutter_jumps"
    assert entry.parameters["frames"] == list(maps)
    assert entry.parameters["frozen_frames"] == [118, 119, 180, 181, 182]
    assert entry.parameters["frozen"] == "interpolate"


def test_missing_pixels_and_frames(simulate):
    spoilt, maps = disturb(simulate(seed=1))
    frames = np.array(spoilt.frames)
    frames[:, :3] = np.nan
    frames[140] = np.nan
    jumps = find_shutter_jumps(replace(spoilt, frames=frames))
    assert jumps.frames == tuple(maps)
    assert np.isnan(jumps.maps[:, :3]).all()
    assert np.isfinite(jumps.maps[:, 3:]).all()
    repaired = remove_shutter_jumps(replace(spoilt, frames=frames), jumps).frames
    assert np.isnan(repaired[:, :3]).all() and np.isnan(repaired[140]).all()
    assert np.isfinite(np.delete(repaired, 140, axis=0)[:, 3:]).all()


def test_frames_in_a_file(simulate, file_like):
    spoilt, _ = disturb(simulate(seed=1))
    whole = remove_shutter_jumps(spoilt).frames
    lazy = remove_shutter_jumps(replace(spoilt, frames=file_like(spoilt.frames)))
    assert lazy.is_lazy
    for key in [(slice(110, 190, 3), slice(4, 9), slice(None, None, 2)), 181, (slice(None), 5, 6)]:
        np.testing.assert_array_equal(lazy.frames[key], whole[key])


def test_a_step_beside_the_heating_is_left_alone_and_told(simulate, caplog):
    sequence = simulate(seed=1)
    frames = np.array(sequence.frames)
    start = int(np.searchsorted(sequence.times_s, 0.0))
    frames[start - 2 :] += 2.0
    spoilt = replace(sequence, frames=frames)
    jumps = find_shutter_jumps(spoilt, heating_guard_frames=1)
    assert jumps.frames == ()
    assert start - 2 in jumps.left_alone
    assert f"steps at frames {list(jumps.left_alone)} lie too close to the heating" in caplog.text
    assert remove_shutter_jumps(spoilt, jumps).history[-1].parameters["left_alone"] == list(jumps.left_alone)
    assert find_shutter_jumps(spoilt, heating_guard_frames=3).left_alone == ()


def test_too_short_to_tell():
    short = ThermalSequence(frames=np.zeros((4, 3, 3)), times_s=np.arange(4.0), unit="K")
    assert find_shutter_jumps(short).frames == ()
    np.testing.assert_array_equal(remove_shutter_jumps(short).frames, short.frames)


@settings(deadline=None, max_examples=4)
@given(level=st.floats(-100, 300), size=st.floats(0.1, 5), sign=st.sampled_from([-1, 1]))
def test_level_has_no_influence_and_size_is_measured(simulate, level, size, sign):
    sequence = simulate(seed=3)
    frames = level + np.asarray(sequence.frames, dtype=np.float64)
    frames[170:] += sign * size
    jumps = find_shutter_jumps(replace(sequence, frames=frames))
    assert jumps.frames == (170,)
    assert jumps.offsets[0] == pytest.approx(sign * size, abs=0.004)


def test_errors(simulate):
    sequence = simulate()
    with pytest.raises(UnknownNameError, match="unknown pattern 'fre'; did you mean 'free'"):
        find_shutter_jumps(sequence, pattern="fre")
    with pytest.raises(UnknownNameError, match="unknown treatment of frozen frames 'interpolat'; did you mean"):
        remove_shutter_jumps(sequence, frozen="interpolat")
    with pytest.raises(SequenceError, match="order of the surface is 9, expected a whole number from 0 to 6"):
        find_shutter_jumps(sequence, order=9)
    with pytest.raises(SequenceError, match="longest_shutter_s is -1"):
        find_shutter_jumps(sequence, longest_shutter_s=-1)
    jumps = find_shutter_jumps(sequence)
    with pytest.raises(SequenceError, match="find them in this recording"):
        remove_shutter_jumps(sequence.crop(slice(0, 5), slice(0, 5)), jumps)


def test_steps_of_the_real_recording_are_its_habit():
    path = DATA / "real" / "cfrp_pulsed_60x105x120.mat"
    if not path.exists():
        pytest.skip("shared data are absent")
    from thermo_qc.io import read_sequence

    jumps = find_shutter_jumps(read_sequence(path, frame_rate_hz=30, heating_stop_s=0))
    assert (jumps.frames, jumps.frozen) == ((), ())
