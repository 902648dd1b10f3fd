"""Preparation that is done once: for whom it is kept, for how long, and that nobody can change it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.representation import TimeAxis
from thermo_qc.representation.prepare import prepare, prepare_once
from thermo_qc.sequence import ThermalSequence

Recording = Callable[..., ThermalSequence]
TIME = TimeAxis(n_steps=6)


def test_the_same_view_of_a_recording_is_prepared_once(recording: Recording) -> None:
    sequence = recording()
    first = prepare_once(sequence, time=TIME, normalise_mode="pixel_mean")
    assert prepare_once(sequence, normalise_mode="pixel_mean", time=TimeAxis(n_steps=6)) is first
    np.testing.assert_array_equal(first.values, prepare(sequence, time=TIME).values)


@pytest.mark.parametrize(
    "other",
    [{"time": TimeAxis(n_steps=5)}, {"normalise_mode": "none"}, {"replace_dead": False}, {"subtract_cold": False}],
)
def test_another_view_is_another_result(recording: Recording, other: dict[str, object]) -> None:
    sequence = recording()
    first = prepare_once(sequence, time=TIME)
    second = prepare_once(sequence, **{"time": TIME, **other})
    assert second is not first
    np.testing.assert_array_equal(second.values, prepare(sequence, **{"time": TIME, **other}).values)


def test_another_recording_is_another_result(recording: Recording) -> None:
    assert prepare_once(recording(power=2.0), time=TIME) is not prepare_once(recording(), time=TIME)


def test_what_is_kept_cannot_be_written_to(recording: Recording) -> None:
    prepared = prepare_once(recording(), time=TIME)
    for array in (prepared.rise, prepared.values, prepared.valid, prepared.elapsed_s, prepared.white_noise):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_of_parts_the_latest_is_kept(recording: Recording) -> None:
    sequence = recording()
    region = np.zeros(sequence.frame_shape, dtype=bool)
    region[4:20, 4:20] = True
    whole = prepare_once(sequence, time=TIME)
    part = prepare_once(sequence, time=TIME, region=region)
    assert prepare_once(sequence, time=TIME, region=region.copy()) is part
    assert not part.valid[~region].any() and not part.values.flags.writeable
    np.testing.assert_array_equal(part.values, prepare(sequence, time=TIME, region=region).values)
    region[4] = False  # the same array, another region
    other = prepare_once(sequence, time=TIME, region=region)
    assert other is not part and not other.valid[4].any()
    region[4, 4:20] = True
    assert prepare_once(sequence, time=TIME, region=region) is not part  # its place was taken
    assert prepare_once(sequence, time=TIME) is whole
    kept = weakref.ref(prepare_once(sequence, time=TIME, region=region))
    assert kept() is not None
    prepare_once(recording(power=2.0), time=TIME, region=region)
    gc.collect()
    assert kept() is None


def test_of_files_the_latest_is_kept(recording: Recording, tmp_path: Path) -> None:
    sequence = recording()
    write_sequence(sequence, tmp_path / "recording.h5")
    first, second = (read_sequence(tmp_path / "recording.h5") for _ in range(2))
    assert first.is_lazy
    kept = prepare_once(first, time=TIME)
    assert prepare_once(first, time=TIME) is kept
    assert prepare_once(second, time=TIME) is not kept  # takes its place
    assert prepare_once(first, time=TIME) is not kept
    np.testing.assert_array_equal(prepare_once(first, time=TIME).values, kept.values)


def test_the_result_goes_with_its_recording(recording: Recording) -> None:
    sequence = recording()
    prepared = weakref.ref(prepare_once(sequence, time=TIME))
    assert prepared() is not None
    del sequence
    gc.collect()
    assert prepared() is None
