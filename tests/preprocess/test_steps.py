"""The chain of named steps, and the views that it is made of."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from conftest import FileLikeFrames
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, UnknownNameError
from thermo_qc.preprocess import (
    STEPS,
    find_frame_shifts,
    find_shutter_jumps,
    prepare_sequence,
    smooth_in_space,
    step_options,
    subtract_cold_frame,
)
from thermo_qc.preprocess.views import ComputedFrames, read_block, settle
from thermo_qc.sequence import ThermalSequence

NEEDED = {
    "early_frames": {"t_window_s": [0.5, 3]},
    "resample": {"new_times_s": [1, 2, 5, 10]},
    "normalise": {"mode": "pixel_mean"},
    "surface": {"order": 1, "mode": "subtract"},
}


def test_all_steps_in_their_order(simulate, file_like):
    sequence = simulate(background_mm=6.0)
    steps = [(name, NEEDED.get(name, {})) for name in STEPS]
    done = prepare_sequence(sequence, steps)
    assert len(done.history) == len(sequence.history) + len(STEPS)
    assert done.n_frames == 4
    json.dumps([asdict(entry) for entry in done.history], allow_nan=False)
    lazy = prepare_sequence(replace(sequence, frames=file_like(sequence.frames)), steps)
    np.testing.assert_allclose(np.asarray(lazy.frames[:]), np.asarray(done.frames[:]), rtol=1e-3, atol=1e-3)


def test_the_chain_is_its_functions(simulate):
    sequence = simulate()
    chained = prepare_sequence(sequence, ["cold_frame", ("smooth_space", {"size_px": 2})])
    np.testing.assert_array_equal(chained.frames, smooth_in_space(subtract_cold_frame(sequence), size_px=2).frames)
    assert prepare_sequence(sequence, []) is sequence


def test_results_found_before_may_be_given(simulate):
    sequence = simulate()
    given = [
        ("shutter", {"jumps": find_shutter_jumps(sequence)}),
        ("drift", {"shifts": find_frame_shifts(sequence)}),
        ("dead_pixels", {"dead": np.zeros(sequence.frame_shape, dtype=bool)}),
        ("reference", {"mask": None}),
    ]
    assert len(prepare_sequence(sequence, given).history) == len(sequence.history) + 4


def test_options_are_told():
    assert list(step_options("smooth_time")) == ["method", "window_frames", "order", "sigma_frames"]
    assert step_options("cold_frame") == {}


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (["cold_frme"], UnknownNameError, "unknown preparation step 'cold_frme'; did you mean 'cold_frame'"),
        ([("surface", {"oder": 2})], ConfigError, "step 'surface' has no option 'oder'; did you mean 'order'"),
        ([("cold_frame", {"a": 2})], ConfigError, "step 'cold_frame' has no option 'a'; it has none"),
        (["early_frames"], ConfigError, "step 'early_frames' needs the option 't_window_s'"),
        ([("surface", {"order": "x"})], ConfigError, "option 'order' of step 'surface' is 'x': Input should be"),
        ([("surface", {"mode": "dvide"})], ConfigError, "Input should be 'divide' or 'subtract'"),
        ([("early_frames", {"t_window_s": [1, 2, 3]})], ConfigError, "at most 2 items"),
        ([("drift", {"mask": [[1.5]]})], ConfigError, "option 'mask' of step 'drift' holds float64, expected bool"),
        ([("resample", {"new_times_s": None})], ConfigError, "holds object, expected float values"),
        ([3], ConfigError, "a preparation step is 3, expected a name, or a name and its options"),
        ([("surface", 2)], ConfigError, "expected a name, or a name and its options"),
    ],
    ids=str,
)
def test_errors_come_before_any_step_runs(simulate, steps, error, message, monkeypatch):
    def never(sequence):
        raise AssertionError("a step ran")

    monkeypatch.setitem(STEPS, "heating", never)
    with pytest.raises(error, match=message):
        prepare_sequence(simulate(), ["heating", *steps])


class Doubled(ComputedFrames):
    def compute(self, block):
        return (2 * read_block(self._source, block)).astype(np.float32)


INDEX = st.one_of(
    st.integers(-5, 4),
    st.builds(
        slice, *(st.one_of(st.none(), st.integers(-7, 7)) for _ in range(2)), st.sampled_from([None, 1, 2, -1, -3])
    ),
)


@settings(deadline=None, max_examples=80)
@given(key=st.one_of(INDEX, st.just(Ellipsis), st.lists(INDEX, min_size=1, max_size=3).map(tuple)))
def test_views_index_like_arrays(key):
    frames = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
    view = Doubled(FileLikeFrames(frames))
    np.testing.assert_array_equal(view[key], 2 * frames[key])


def test_views_refuse_what_lies_outside_and_settle_for_arrays(file_like):
    frames = np.ones((3, 4, 5))
    view = Doubled(file_like(frames))
    with pytest.raises(IndexError):
        view[7]
    assert settle(view, file_like(frames)) is view
    settled = settle(Doubled(frames), frames)
    assert isinstance(settled, np.ndarray) and settled.dtype == np.float32
    sequence = ThermalSequence(frames=view, times_s=np.arange(3.0), unit="K")
    assert sequence.is_lazy and sequence.loaded().frames.sum() == 120
