"""Verdicts on maps made by hand: kept, broken, and what only people can decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import UnknownNameError
from thermo_qc.inspection import (
    Criteria,
    CriteriaRegion,
    DefectMap,
    Limit,
    PlatePlace,
    Uncertain,
    Verdict,
    judge,
    measure,
)

NAMES = ("sound", "near", "deep")
WHOLE = PlatePlace(matrix=np.array([[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]]), size_mm=(60.0, 40.0))


def make_map(*squares: tuple[int, int, int, int, float], shape: tuple[int, int] = (40, 60), **more: Any) -> DefectMap:
    """Map of squares (row, column, edge, class, probability) at 1 mm per pixel."""
    probability = np.zeros((3, *shape), dtype=np.float32)
    probability[0] = 1.0
    for row, column, edge, kind, value in squares:
        box = np.s_[row : row + edge, column : column + edge]
        probability[0][box] = 1.0 - value
        probability[kind][box] = value
    class_map = probability.argmax(axis=0).astype(np.uint8)
    depth = np.where(class_map == 1, 1.0, np.where(class_map == 2, 4.0, np.nan)).astype(np.float32)
    given_parts = {"class_map": class_map, "probability": probability, "depth_mm": depth, "pixel_pitch_mm": 1.0}
    return DefectMap(**{**given_parts, "class_names": NAMES, **more})


def verdict_of(prediction: DefectMap, *limits: Limit, **options: Any) -> Verdict:
    rules = {name: options.pop(name) for name in ("regions", "uncertain") if name in options}
    return judge(prediction, Criteria(name="c", limits=limits, **rules), **options)


def test_a_sound_plate_is_accepted() -> None:
    found = verdict_of(make_map(), Limit(max_equivalent_diameter_mm=5), Limit(max_number=0, classes=("deep",)))
    assert found.word == "accept"
    assert found.reasons == ("all 2 limits are kept",)
    assert {finding.outcome for finding in found.findings} == {"pass"}


@pytest.mark.parametrize(("value", "word"), [(1.0, "reject"), (0.6, "review"), (0.4, "review"), (0.2, "accept")])
def test_the_probability_decides_who_decides(value: float, word: str) -> None:
    found = verdict_of(make_map((10, 10, 10, 1, value)), Limit(max_equivalent_diameter_mm=5))
    assert found.word == word
    assert [finding.ids for finding in found.findings] == [() if word == "accept" else (1,)]


def test_a_size_between_certain_and_possible_is_for_review() -> None:
    core, rim = (12, 12, 6, 1, 0.95), (10, 10, 10, 1, 0.6)
    certain, possible = np.sqrt(4 * 36 / np.pi), np.sqrt(4 * 100 / np.pi)
    prediction = make_map(rim, core)
    words = {
        limit: verdict_of(prediction, Limit(max_equivalent_diameter_mm=limit)).word
        for limit in (certain - 0.1, certain + 0.1, possible - 0.1, possible + 0.1)
    }
    assert list(words.values()) == ["reject", "review", "review", "accept"]


def test_the_class_decides_which_limit_counts() -> None:
    near = Limit(classes=("near",), max_equivalent_diameter_mm=5)
    assert verdict_of(make_map((10, 10, 10, 1, 1.0)), near).word == "reject"
    assert verdict_of(make_map((10, 10, 10, 2, 1.0)), near).word == "accept"
    mixed = make_map((10, 10, 10, 2, 1.0))
    probability = mixed.probability.copy()
    probability[1:, 10:20, 10:20] = [[[0.4]], [[0.6]]]
    found = verdict_of(replace(mixed, probability=probability), near)
    assert found.word == "review"
    assert "its class may be 'near' or 'deep'" in found.reasons[0]


def test_a_depth_interval_across_a_limit_is_for_review() -> None:
    limit = Limit(depth_mm=(0, 3), max_equivalent_diameter_mm=5)
    std = np.full((40, 60), 0.2, dtype=np.float32)
    deep = make_map((10, 10, 10, 2, 1.0), depth_std_mm=std)  # 4 mm +- 2 x 0.2
    assert verdict_of(deep, limit).word == "accept"
    found = verdict_of(replace(deep, depth_std_mm=4 * std), limit)  # 4 mm +- 2 x 0.8
    assert found.word == "review"
    assert "its depth of 2.4 to 5.6 mm" in found.reasons[0]
    shallow = make_map((10, 10, 10, 1, 1.0), depth_std_mm=std)
    assert verdict_of(shallow, limit).word == "reject"


def test_without_a_stated_deviation_the_classes_give_the_interval() -> None:
    limit = Limit(depth_mm=(0, 3), max_equivalent_diameter_mm=5)
    deep = make_map((10, 10, 10, 2, 1.0))
    assert "its depth is not known" in verdict_of(deep, limit).reasons[0]
    bands = {"near": (0.0, 2.5), "deep": (3.5, np.inf)}
    assert verdict_of(deep, limit, class_bands_mm=bands).word == "accept"
    assert verdict_of(deep, limit, class_bands_mm={**bands, "deep": (2.5, np.inf)}).word == "review"
    assert verdict_of(make_map((10, 10, 10, 1, 1.0)), limit, class_bands_mm=bands).word == "reject"


def test_a_stated_interval_makes_neighbouring_classes_possible() -> None:
    std = np.full((40, 60), 1.0, dtype=np.float32)
    prediction = make_map((10, 10, 10, 2, 1.0), depth_std_mm=std)
    measures = measure(prediction, uncertain=Uncertain(), class_bands_mm={"near": (0.0, 2.5), "deep": (2.5, 9.0)})
    assert measures.items[0].classes == ("near", "deep")


def test_number_and_window() -> None:
    three = make_map((2, 2, 4, 1, 1.0), (2, 12, 4, 1, 1.0), (2, 50, 4, 1, 1.0))
    assert verdict_of(three, Limit(max_number=3)).word == "accept"
    assert verdict_of(three, Limit(max_number=2)).word == "reject"
    assert verdict_of(three, Limit(max_number=1, within_mm=9)).word == "accept"
    found = verdict_of(three, Limit(max_number=1, within_mm=11))
    assert found.word == "reject"
    assert found.findings[0].ids == (1, 2)
    assert verdict_of(three, Limit(max_number=0, smallest_diameter_mm=5)).word == "accept"
    unsure = make_map((2, 2, 4, 1, 1.0), (2, 12, 4, 1, 0.6))
    assert "1 certain and 2 possible" in verdict_of(unsure, Limit(max_number=1)).reasons[0]


def test_spacing_is_from_edge_to_edge() -> None:
    pair = make_map((10, 10, 5, 1, 1.0), (10, 20, 5, 1, 1.0))  # sound columns 15 to 19
    assert verdict_of(pair, Limit(min_spacing_mm=5)).word == "accept"
    found = verdict_of(pair, Limit(min_spacing_mm=5.1))
    assert found.word == "reject"
    assert "5 mm apart" in found.reasons[0]
    unsure = make_map((10, 10, 5, 1, 1.0), (10, 20, 5, 1, 0.6))
    assert verdict_of(unsure, Limit(min_spacing_mm=8)).word == "review"


def test_the_total_fraction_counts_inspected_pixels_only() -> None:
    prediction = make_map((0, 0, 10, 1, 1.0))
    share = 100 / 2400
    assert verdict_of(prediction, Limit(max_total_fraction=share + 1e-6)).word == "accept"
    assert verdict_of(prediction, Limit(max_total_fraction=share - 1e-6)).word == "reject"
    half = prediction.class_map.copy()
    half[20:] = 255
    assert verdict_of(replace(prediction, class_map=half), Limit(max_total_fraction=1.5 * share)).word == "reject"


def test_regions_have_their_own_limits() -> None:
    corner = ((0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0))
    strict = CriteriaRegion(name="corner", outline_mm=corner, limits=(Limit(max_number=0),))
    rules = (Limit(max_equivalent_diameter_mm=20),)
    inside, outside = make_map((5, 5, 5, 1, 1.0)), make_map((25, 40, 5, 1, 1.0))
    assert verdict_of(inside, *rules, regions=(strict,), place=WHOLE).word == "reject"
    assert verdict_of(outside, *rules, regions=(strict,), place=WHOLE).word == "accept"
    crossing = make_map((5, 18, 5, 1, 1.0))
    found = verdict_of(crossing, Limit(max_equivalent_diameter_mm=3), regions=(strict,), place=WHOLE)
    assert [finding.outcome for finding in found.findings] == ["fail", "fail"]
    loose = CriteriaRegion(name="corner", outline_mm=corner, ignore=True)
    assert verdict_of(inside, Limit(max_number=0), regions=(loose,), place=WHOLE).word == "accept"


def test_what_is_not_known_is_for_review() -> None:
    region = CriteriaRegion(name="r", outline_mm=((0, 0), (9, 0), (9, 9)), limits=(Limit(max_number=0),))
    assert "register the recording" in verdict_of(make_map(), regions=(region,)).reasons[0]
    far = replace(region, outline_mm=((100, 100), (109, 100), (109, 109)))
    assert "no pixel in the frame" in verdict_of(make_map(), regions=(far,), place=WHOLE).reasons[0]
    no_pitch = make_map(pixel_pitch_mm=None)
    assert "--pixel-pitch-mm" in verdict_of(no_pitch, Limit(max_equivalent_diameter_mm=5)).reasons[0]
    assert verdict_of(no_pitch, Limit(max_number=0)).word == "accept"
    noted = verdict_of(make_map(notes=("the model was trained for flash",)), Limit(max_number=0))
    assert (noted.word, noted.reasons[0]) == ("review", "the model was trained for flash")
    assert verdict_of(make_map(), Limit(max_number=0), doubts=("too noisy",)).word == "review"


def test_what_was_not_inspected_is_for_review() -> None:
    prediction = make_map()
    class_map = prediction.class_map.copy()
    class_map[:, :12] = 255
    part = replace(prediction, class_map=class_map)
    found = verdict_of(part, Limit(max_number=0), place=WHOLE)
    assert "only 80 % of the plate was inspected" in found.reasons[0]
    strip = CriteriaRegion(name="strip", outline_mm=((0, 0), (12, 0), (12, 40), (0, 40)), ignore=True)
    assert verdict_of(part, Limit(max_number=0), regions=(strip,), place=WHOLE).word == "accept"
    judged = replace(strip, ignore=False, limits=(Limit(max_number=0),))
    assert "only 0 % of region 'strip'" in verdict_of(part, regions=(judged,), place=WHOLE).reasons[0]
    larger = replace(WHOLE, size_mm=(90.0, 40.0))
    assert "of the plate was inspected" in verdict_of(prediction, Limit(max_number=0), place=larger).reasons[0]
    nothing = replace(prediction, class_map=np.full_like(class_map, 255))
    assert "no pixel was inspected" in verdict_of(nothing, Limit(max_number=0)).reasons[0]


def test_a_rejection_stands_over_doubts() -> None:
    found = verdict_of(make_map((10, 10, 10, 1, 1.0)), Limit(max_number=0), doubts=("too noisy",))
    assert found.word == "reject"
    assert found.reasons[-1] == "too noisy"


def test_unknown_classes_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'near'"):
        verdict_of(make_map(), Limit(classes=("neer",), max_number=0))


def test_growing_never_joins_two_indications() -> None:
    bridge = make_map((10, 10, 12, 1, 0.4), (12, 10, 4, 1, 0.9), (12, 18, 4, 1, 0.9))
    measures = measure(bridge, uncertain=Uncertain())
    assert [item.area_px for item in measures.items] == [(16, 72), (16, 72)]
    assert int((measures.possible > 0).sum()) == 144


squares = st.lists(
    st.tuples(
        st.integers(0, 34), st.integers(0, 54), st.integers(1, 6), st.integers(1, 2), st.sampled_from([0.35, 0.6, 0.95])
    ),
    max_size=4,
)
ORDER = {"accept": 0, "review": 1, "reject": 2}


@settings(deadline=None, max_examples=25)
@given(squares, st.floats(0.5, 8), st.floats(1.0, 3.0))
def test_a_tighter_limit_is_never_kinder(found: list[Any], limit: float, factor: float) -> None:
    prediction = make_map(*found)
    for kind, tight, loose in (
        ("max_equivalent_diameter_mm", limit, limit * factor),
        ("min_spacing_mm", limit * factor, limit),
        ("max_total_fraction", limit / 1e3, limit * factor / 1e3),
    ):
        words = [verdict_of(prediction, Limit(**{kind: value})).word for value in (tight, loose)]
        assert ORDER[words[0]] >= ORDER[words[1]]


@settings(deadline=None, max_examples=25)
@given(squares)
def test_a_mirrored_plate_gets_the_same_verdict(found: list[Any]) -> None:
    prediction = make_map(*found)
    turned = replace(
        prediction,
        class_map=prediction.class_map[::-1, ::-1].copy(),
        probability=prediction.probability[:, ::-1, ::-1].copy(),
        depth_mm=prediction.depth_mm[::-1, ::-1].copy(),
    )
    limits = (Limit(max_equivalent_diameter_mm=4), Limit(max_number=2), Limit(min_spacing_mm=4))
    assert verdict_of(prediction, *limits).word == verdict_of(turned, *limits).word


@settings(deadline=None, max_examples=25)
@given(squares)
def test_areas_are_nested_and_labels_hold_their_pixels(found: list[Any]) -> None:
    measures = measure(make_map(*found), uncertain=Uncertain())
    for item in measures.items:
        certain, possible = item.area_px
        assert certain <= possible
        assert item.indication.area_px == int((measures.labels == item.id).sum()) <= possible
