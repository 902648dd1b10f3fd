"""Regions matched with defects: the hit rule, false calls, errors in mm, half-maximum sizes, and sound material."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import FoldError, TruthError
from thermo_qc.evaluation import (
    check_same_pitch,
    clopper_pearson,
    false_calls,
    half_maximum_diameters,
    hole_table,
    match_indications,
    poisson_rate,
    probability_contrasts,
    sound_pixels,
    sound_scores,
    summarise_matchings,
    summarise_sound,
)
from thermo_qc.plate import BINARY
from thermo_qc.sequence import Truth
from thermo_qc.thermography import score_map

SHAPE = (60, 80)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def disc(y: float, x: float, radius: float) -> np.ndarray:
    return (ROWS - y) ** 2 + (COLUMNS - x) ** 2 <= radius**2


@pytest.fixture(scope="module")
def index() -> np.ndarray:
    index = np.zeros(SHAPE, np.int16)
    for number, (y, x, radius) in enumerate(((15, 15, 6), (15, 45, 5), (42, 20, 7), (42, 60, 4)), start=1):
        index[disc(y, x, radius)] = number
    return index


@pytest.fixture
def called(index) -> np.ndarray:
    """The first defect shifted by (1, 2), the second missed, the third twice as large, a false call of 3 x 4."""
    called = np.zeros(SHAPE, np.uint8)
    called[disc(16, 17, 6)] = 1
    called[disc(42, 20, 10)] = 2
    called[52:55, 74:78] = 1
    return called


def test_hits_errors_and_false_calls(index, called, truth_of):
    matching = match_indications(truth_of(index), called, pixel_pitch_mm=0.5)
    first, second, third, fourth = matching.defects
    assert [one.found for one in matching.defects] == [True, False, True, False]
    assert (first.error_x_mm, first.error_y_mm) == (pytest.approx(1.0), pytest.approx(0.5))
    assert first.position_error_mm == pytest.approx(np.hypot(1.0, 0.5)) and first.size_error_mm == pytest.approx(0)
    assert third.position_error_mm == pytest.approx(0, abs=1e-12)
    assert third.size_error_mm == pytest.approx(np.sqrt(4 / np.pi) * 0.5 * (317**0.5 - 149**0.5))
    assert second.n_regions == 0 and np.isnan(second.position_error_mm) and np.isnan(fourth.predicted_diameter_mm)
    (false,) = matching.false_calls
    assert (false.area_px, false.x_mm, false.y_mm) == (12, pytest.approx(38.0), pytest.approx(26.75))
    assert false.area_mm2 == pytest.approx(3.0) and matching.n_regions == 3
    assert "40 %" in matching.rule and "0.2" in matching.rule


def test_summary_has_exact_intervals(index, called, truth_of):
    matching = match_indications(truth_of(index), called, pixel_pitch_mm=0.5)
    summary = summarise_matchings([matching, matching])
    assert summary.hits == clopper_pearson(4, 8) and summary.true_regions == clopper_pearson(4, 6)
    area = 2 * sound_pixels(truth_of(index)).sum() * 0.25e-6
    assert summary.false_calls_per_m2 == poisson_rate(2, area)
    assert summary.position_mm.n == 4 and summary.position_mm.largest_absolute == pytest.approx(np.hypot(1, 0.5))
    assert summary.half_maximum_size_mm.n == 0 and summary.largest_false_call_mm2 == pytest.approx(3.0)
    assert summary.statement == ""


def test_the_rule_is_that_of_the_hole_table(index, called, truth_of):
    truth = truth_of(index)
    called[12:44, 45:47] = 1  # one region over two defects and their surroundings
    holes = hole_table(truth, called, scheme=BINARY, pixel_pitch_mm=0.5)
    matching = match_indications(truth, called, pixel_pitch_mm=0.5)
    for hole, match in zip(holes, matching.defects, strict=True):
        assert (hole["number"], hole["found"]) == (match.number, match.found)
        assert (hole["coverage"], hole["iou"]) == (pytest.approx(match.coverage), pytest.approx(match.iou))
    assert len(matching.false_calls) == false_calls(truth, called)


def test_regions_over_two_defects_have_no_size(index, truth_of):
    called = (index > 0).astype(np.uint8)
    called[15, 15:46] = 1
    matching = match_indications(truth_of(index), called, pixel_pitch_mm=1.0)
    assert [one.shared for one in matching.defects] == [True, True, False, False]
    summary = summarise_matchings([matching])
    assert summary.size_mm.n == sum(one.found and not one.shared for one in matching.defects)
    assert "share a region" in summary.statement


def test_half_maximum_of_known_shapes(index):
    gaussian = 3.0 * np.exp(-((ROWS - 15) ** 2 + (COLUMNS - 15) ** 2) / (2 * 3.0**2)) + 20.0
    expected = 2 * 3.0 * np.sqrt(2 * np.log(2))
    assert half_maximum_diameters(gaussian, index)[1] == pytest.approx(expected, abs=0.25)
    assert half_maximum_diameters(-gaussian, index)[1] == pytest.approx(expected, abs=0.25)
    assert np.isnan(half_maximum_diameters(np.ones(SHAPE), index)[1:]).all()
    ramp = COLUMNS.astype(float)
    assert np.isnan(half_maximum_diameters(ramp, index)[1])  # never falls to half inside its frame
    masked = np.where(index == 2, np.nan, gaussian)
    assert np.isnan(half_maximum_diameters(masked, index)[2])


def test_half_maximum_stands_beside_the_size(index, called, truth_of):
    signal = np.where(index > 0, 0.9, 0.1)
    matching = match_indications(truth_of(index), called, pixel_pitch_mm=0.5, signal=signal)
    assert [one.half_maximum_error_mm for one in matching.defects] == [pytest.approx(0)] * 4


def test_small_regions_may_be_left_out(index, called, truth_of):
    matching = match_indications(truth_of(index), called, min_area_px=20)
    assert matching.false_calls == () and matching.n_regions == 2


def test_unknown_pitch_is_said(index, called, truth_of):
    matching = match_indications(truth_of(index), called)
    assert np.isnan(matching.sound_m2) and np.isnan(matching.defects[0].position_error_mm)
    summary = summarise_matchings([matching])
    assert "pixel pitch of a recording is unknown" in summary.statement
    assert summary.false_calls_per_m2.count == 1 and np.isnan(summary.false_calls_per_m2.value)


def test_plates_without_defects(truth_of):
    truth = truth_of(np.zeros(SHAPE))
    clean, dirty = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    dirty[3:6, 3:6] = 1
    matchings = [match_indications(truth, called, pixel_pitch_mm=1.0) for called in (clean, dirty)]
    summary = summarise_matchings(matchings)
    assert np.isnan(summary.hits.value) and "nothing to find" in summary.statement
    assert summary.false_calls_per_m2 == poisson_rate(1, 2 * clean.size * 1e-6)
    image = np.full(SHAPE, 0.25)
    sound = summarise_sound(
        [sound_scores(truth, called, defect_probability=image, pixel_pitch_mm=1.0) for called in (clean, dirty)]
    )
    assert sound.defect_free == clopper_pearson(1, 2) and sound.defect_free_per_m2.count == 1
    assert (sound.largest_px, sound.largest_mm2) == (9, 9.0) and sound.statement == ""
    assert sound.false_call_fraction == pytest.approx(9 / (2 * clean.size))
    assert list(sound.score_quantiles.values()) == [pytest.approx(0.251)] * 5


def test_sound_material_begins_beyond_three_pixels(index, called, truth_of):
    truth = truth_of(index)
    sound = sound_pixels(truth)
    assert not sound[15, 24] and sound[15, 25]  # 3 and 4 px beyond the edge of the first defect
    called[20, 20] = 255
    scores = sound_scores(truth, called, pixel_pitch_mm=0.5)
    assert scores.n_pixels == sound.sum() - sound[20, 20]
    assert scores.n_called == ((called > 0) & (called < 255) & sound).sum() and scores.score_counts.size == 0
    summary = summarise_sound([scores])
    assert "no recording is free of defects" in summary.statement and summary.score_quantiles == {}
    whole = sound_scores(truth, called, grow_px=500.0)
    assert np.isnan(summarise_sound([whole]).false_call_fraction)
    assert "no sound pixel" in summarise_sound([whole]).statement


def test_contrasts_are_those_of_the_score_map(index, truth_of):
    rng = np.random.default_rng(0)
    image = np.where(index > 0, 0.7, 0.2) + 0.05 * rng.standard_normal(SHAPE)
    rows = probability_contrasts(truth_of(index), image, pixel_pitch_mm=0.5, brighter=True, key="a")
    table = score_map(image, index, pixel_pitch_mm=0.5, brighter=True).table()
    for row, expected in zip(rows, table, strict=True):
        assert row["key"] == "a" and row["reason"] == ""
        for name in ("number", "n_pixels", "n_sound", "cnr", "snr_db", "sbc", "tanimoto", "threshold", "diameter_mm"):
            assert row[name] == pytest.approx(expected[name])
    assert probability_contrasts(truth_of(np.zeros(SHAPE)), image) == []
    blind = probability_contrasts(truth_of(index), image, valid=index > 0)
    assert {row["reason"] for row in blind} == {"no sound pixel is left in the ring round the defect"}
    assert np.isnan(blind[0]["cnr"])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), shift=st.integers(0, 5))
def test_numbers_of_defects_and_classes_do_not_matter(seed, shift):
    rng = np.random.default_rng(seed)
    index = np.zeros((24, 24), np.int16)
    index[2:7, 2:7], index[12:16, 10:20] = 1, 2
    called = (rng.random((24, 24)) < 0.3).astype(np.uint8) + (index > 0)

    def matched(numbers, classes):
        truth = Truth(
            defect_index=numbers[index], depth_mm=np.full(index.shape, np.nan), defects=defects_of(numbers[1:])
        )
        return match_indications(truth, classes[called], pixel_pitch_mm=1.0)

    one = matched(np.array([0, 1, 2], np.int16), np.array([0, 1, 2], np.uint8))
    two = matched(np.array([0, 7 + shift, 3], np.int16), np.array([0, 5, 1], np.uint8))
    assert [match.iou for match in one.defects] == [match.iou for match in two.defects[::-1]]
    assert one.false_calls == two.false_calls and one.sound_m2 == two.sound_m2


def defects_of(numbers):
    from thermo_qc.sequence import Defect

    return tuple(Defect(number=int(number)) for number in numbers)


def test_wrong_input_in_one_line(index, called, truth_of):
    truth = truth_of(index)
    with pytest.raises(TruthError, match="prediction has 10 x 80 pixels, the truth has 60 x 80"):
        match_indications(truth, called[:10])
    with pytest.raises(TruthError, match="signal image has 10 x 80 pixels"):
        match_indications(truth, called, signal=np.zeros((10, 80)))
    with pytest.raises(TruthError, match=r"prediction has a pixel pitch of 0\.6 mm, the truth of 0\.5 mm"):
        check_same_pitch(0.6, 0.5)
    with pytest.raises(TruthError, match="pixel pitch is -1 mm"):
        match_indications(truth, called, pixel_pitch_mm=-1)
    assert check_same_pitch(0.5, None) == check_same_pitch(None, 0.5) == 0.5 and check_same_pitch(None, None) is None
    with pytest.raises(FoldError, match="no matched maps"):
        summarise_matchings([])
    with pytest.raises(FoldError, match="different overlap rules"):
        summarise_matchings([match_indications(truth, called, min_iou=share) for share in (0.2, 0.3)])
    with pytest.raises(FoldError, match="no maps"):
        summarise_sound([])
