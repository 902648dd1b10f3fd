from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_cases import make_case

from thermo_qc.errors import FoldError
from thermo_qc.training.crossval import cover, cut_out, held_out_case, maximal_rectangles


def test_held_out_labels_become_255(case):
    mask = np.zeros((24, 24), dtype=bool)
    mask[:, :12] = True
    part = held_out_case(case, mask)
    assert (part.class_map[:, 12:] == 255).all()
    np.testing.assert_array_equal(part.class_map[:, :12], case.class_map[:, :12])
    assert part.sequence is case.sequence and part.class_map.dtype == np.uint8


@pytest.fixture
def large():
    return make_case("plate", shape=(90, 120))


def test_a_block_is_cut_out_of_the_recording(large):
    mask = np.ones((90, 120), dtype=bool)
    mask[35:55, 45:70] = False
    parts = cut_out(large, mask)
    covered = np.zeros((90, 120), dtype=bool)
    for part in parts:
        rows, columns = (edge.split(":") for edge in part.key.removeprefix("plate[").removesuffix("]").split(","))
        window = np.s_[int(rows[0]) : int(rows[1]), int(columns[0]) : int(columns[1])]
        assert mask[window].all() and min(part.class_map.shape) >= 32
        np.testing.assert_array_equal(part.class_map, large.class_map[window])
        np.testing.assert_array_equal(part.sequence.frames, large.sequence.frames[(slice(None), *window)])
        covered[window] = True
    assert covered.sum() == mask.sum()  # left, right, above and below are all wide enough


def test_nothing_held_out_keeps_the_case_and_everything_held_out_drops_it(large):
    assert cut_out(large, large.labelled) == [large]
    assert cut_out(large, np.zeros((90, 120), dtype=bool)) == []


def test_unlabelled_pixels_are_no_obstacle(large):
    mask = large.labelled.copy()
    mask[80:, :] = False
    (part,) = cut_out(large, mask)
    assert part.class_map.shape == (80, 120)  # row 0 is not labelled and stays in


def test_no_room_is_an_error(large):
    mask = np.zeros((90, 120), dtype=bool)
    mask[::20, :] = True
    with pytest.raises(FoldError, match="case 'plate' has no rectangle of 32 px without held-out pixels"):
        cut_out(large, mask)


@pytest.mark.parametrize("act", [held_out_case, cut_out])
def test_a_mask_of_another_size_is_refused(act, case):
    with pytest.raises(FoldError, match=r"training mask of case 'a' has shape \(3, 3\), the case has \(24, 24\)"):
        act(case, np.ones((3, 3), dtype=bool))


def largest_by_trying(free):
    height, width = free.shape
    best = 0
    for top in range(height):
        for bottom in range(top + 1, height + 1):
            for left in range(width):
                for right in range(left + 1, width + 1):
                    if free[top:bottom, left:right].all():
                        best = max(best, (bottom - top) * (right - left))
    return best


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 7))
def test_rectangles_are_free_and_include_the_largest(seed, height, width):
    free = np.random.default_rng(seed).uniform(size=(height, width)) < 0.7
    boxes = list(maximal_rectangles(free))
    assert all(free[top:bottom, left:right].all() for top, bottom, left, right in boxes)
    assert max(((b - t) * (r - x) for t, b, x, r in boxes), default=0) == largest_by_trying(free)


def test_cover_stops_when_little_is_gained():
    free = np.ones((10, 20), dtype=bool)
    free[4:, 10] = False
    wanted = free.copy()
    few = cover(wanted, ~free, min_px=2, min_gain=0.3)
    assert len(few) == 2
    assert len(cover(wanted, ~free, min_px=2, min_gain=0.0)) == 3
    assert cover(wanted, ~free, min_px=11, min_gain=0.0) == []


def test_a_case_with_a_hole_keeps_its_labels_elsewhere(large):
    marked = large.class_map.copy()
    marked[60:70, 60:70] = 2
    case = replace(large, class_map=marked)
    mask = np.ones((90, 120), dtype=bool)
    mask[:, :40] = False
    (part,) = cut_out(case, mask)
    assert (part.class_map == 2).sum() == 100
