from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError
from thermo_qc.models.tiling import blend_tiles, tile_starts


@given(length=st.integers(1, 300), tile=st.integers(8, 100), overlap=st.floats(0.0, 0.9))
@settings(deadline=None, max_examples=50)
def test_tiles_cover_an_axis_and_stay_inside(length, tile, overlap):
    starts = tile_starts(length, tile, overlap)
    covered = np.zeros(length, dtype=bool)
    for start in starts:
        assert start >= 0 and (start + tile <= length or starts == [0])
        covered[start : start + tile] = True
    assert covered.all()


@given(shape=st.tuples(st.integers(1, 60), st.integers(1, 60)), overlap=st.floats(0.0, 0.8))
@settings(deadline=None, max_examples=25)
def test_a_pointwise_function_is_not_changed(shape, overlap):
    stack = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)

    def function(part):
        return np.stack([part[0] * 2, part.sum(axis=0), part[1] ** 2])

    assert blend_tiles(function, stack, tile_px=16, overlap=overlap) == pytest.approx(function(stack), abs=1e-4)


def test_seams_are_blended():
    calls = []

    def function(part):
        calls.append(part.shape)
        return np.full((1, *part.shape[1:]), float(len(calls)), dtype=np.float32)

    result = blend_tiles(function, np.zeros((1, 8, 32), dtype=np.float32), tile_px=20, overlap=0.4)[0, 0]
    assert len(calls) == 2
    assert result[0] == pytest.approx(1.0) and result[-1] == pytest.approx(2.0)
    assert (np.diff(result) >= -1e-6).all()
    assert np.diff(result).max() < 0.35


@pytest.mark.parametrize(("tile", "overlap"), [(4, 0.2), (32, 1.0), (32, -0.1)])
def test_impossible_tiles_are_refused(tile, overlap):
    with pytest.raises(ConfigError, match="expected at least 8 px"):
        blend_tiles(lambda part: part, np.zeros((1, 8, 8), dtype=np.float32), tile_px=tile, overlap=overlap)
