"""Scores of maps: rings, Tanimoto against a search over thresholds, ratios against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from thermo_qc.errors import SequenceError, TruthError
from thermo_qc.thermography import (
    best_tanimoto,
    contrast_to_noise,
    contrast_to_noise_map,
    score_map,
    signal_to_background,
    signal_to_noise_db,
    signal_to_noise_map_db,
    sound_ring,
    tanimoto,
)


def disc(row, column, radius, shape=(60, 80)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


@pytest.fixture
def index():
    holes = np.zeros((60, 80), dtype=np.int16)
    holes[disc(20, 20, 5)], holes[disc(20, 36, 4)], holes[disc(45, 55, 6)] = 1, 2, 7
    holes[:2] = -1
    return holes


@pytest.fixture
def image(index):
    rng = np.random.default_rng(0)
    return 10 + 0.01 * np.arange(80) + 1.0 * (index == 1) - 0.8 * (index == 7) + rng.normal(0, 0.1, index.shape)


def test_ring_lies_between_gap_and_width():
    defect = disc(30, 40, 5)
    ring = sound_ring(defect, width_px=4, gap_px=2)
    distance = np.hypot(*(np.mgrid[:60, :80] - np.array([30, 40])[:, None, None]))
    assert (distance[ring] > 6.9).all() and (distance[ring] < 11.1).all()
    assert ring[(distance > 7.6) & (distance < 10.4)].all()
    nearest = ndimage.distance_transform_edt(~defect)
    np.testing.assert_array_equal(ring, (nearest > 2) & (nearest <= 6))
    half = sound_ring(defect, width_px=4, gap_px=2, exclude=np.mgrid[:60, :80][1] > 40)
    assert half.sum() < ring.sum() and not half[:, 41:].any()


def test_ring_at_the_border_and_errors():
    corner = disc(0, 0, 3)
    assert sound_ring(corner)[0, 6] and not sound_ring(corner)[0, 4]
    with pytest.raises(TruthError, match="the defect has no pixel"):
        sound_ring(np.zeros((5, 5), dtype=bool))
    with pytest.raises(TruthError, match="no sound pixel is left in the ring"):
        sound_ring(corner, exclude=np.ones(corner.shape, dtype=bool))
    with pytest.raises(SequenceError, match="the ring is 0 px wide"):
        sound_ring(corner, width_px=0)
    with pytest.raises(SequenceError, match="expected one shape"):
        sound_ring(corner, exclude=np.ones((2, 2), dtype=bool))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_tanimoto_is_intersection_over_union(seed, n):
    rng = np.random.default_rng(seed)
    found, true = rng.random((2, n)) < 0.5
    true[0] = True
    assert tanimoto(found, true) == pytest.approx((found & true).sum() / (found | true).sum())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([True, False, None]), st.integers(2, 9))
def test_best_threshold_equals_a_search_over_all(seed, brighter, levels):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, levels, (6, 7)).astype(float)  # many equal values
    image[rng.random(image.shape) < 0.1] = np.nan
    true = rng.random(image.shape) < 0.3
    true[0, 0] = True
    valid = rng.random(image.shape) < 0.9
    valid[0, 0] = True
    best = best_tanimoto(image, true, valid=valid, brighter=brighter)
    scores = []
    for side in (True, False) if brighter is None else (brighter,):
        for level in range(levels):
            found = (image >= level if side else image <= level) & valid
            scores.append(tanimoto(found, true & valid))
    assert best.score == pytest.approx(max(scores))
    if np.isfinite(best.threshold):
        again = (image >= best.threshold if best.brighter else image <= best.threshold) & valid
        assert tanimoto(again, true & valid) == pytest.approx(best.score)


def test_ratios_follow_their_definitions(index, image):
    hole, ring = index == 7, sound_ring(index == 7)
    inside, outside = image[hole], image[ring]
    assert signal_to_background(image, hole, ring) == pytest.approx((inside.mean() - outside.mean()) / outside.std())
    assert signal_to_background(image, hole, ring) < 0
    noise_map = contrast_to_noise_map(image, ring)
    np.testing.assert_allclose(noise_map[ring].mean(), 0, atol=1e-9)
    np.testing.assert_allclose(noise_map[ring].std(), 1)
    assert noise_map[hole].mean() == pytest.approx(signal_to_background(image, hole, ring))
    np.testing.assert_allclose(signal_to_noise_map_db(image, ring), 20 * np.log10(np.abs(noise_map)))
    with pytest.raises(TruthError, match="has 1 pixels with a value and no spread"):
        contrast_to_noise_map(image, disc(50, 10, 0))
    with pytest.raises(SequenceError, match="sound region has shape"):
        contrast_to_noise_map(image, ring[:3])


def test_every_defect_is_scored_with_its_ring(index, image):
    scores = score_map(image, index, pixel_pitch_mm=2.0)
    assert [score.number for score in scores.defects] == [1, 2, 7] and not scores.unscored
    first, second, third = scores.defects
    for score in scores.defects:
        hole = index == score.number
        assert score.cnr == contrast_to_noise(image, hole, score.sound)
        assert score.snr_db == signal_to_noise_db(image, hole, score.sound)
        assert score.sbc == signal_to_background(image, hole, score.sound)
        assert score.n_sound == score.sound.sum() and score.n_pixels == hole.sum()
        assert (index[score.sound] == 0).all()
        nearest = ndimage.distance_transform_edt(index <= 0)
        assert (nearest[score.sound] > 2).all()  # also away from the other holes
    assert first.cnr > 5 and second.cnr < 1.5 and first.sbc > 5 and third.sbc < -4
    assert first.diameter_mm == pytest.approx(20, abs=1)
    assert first.tanimoto > 0.97 and third.tanimoto > 0.97 and second.tanimoto < 0.5
    assert 10.5 < first.threshold < 12.5
    assert scores.table()[0]["cnr"] == first.cnr and "sound" not in scores.table()[0]


def test_rings_make_lamps_harmless(index):
    """A gradient over the plate spoils the score against one far region, not that against a ring."""
    rng = np.random.default_rng(1)
    flat = 0.5 * (index == 1) + rng.normal(0, 0.1, index.shape)
    tilted = flat + 0.01 * np.arange(60)[:, None]
    far = disc(50, 12, 8)
    assert abs(score_map(tilted, index).defects[0].sbc / score_map(flat, index).defects[0].sbc - 1) < 0.25
    assert abs(signal_to_background(tilted, index == 1, far) / signal_to_background(flat, index == 1, far) - 1) > 0.5


@settings(deadline=None, max_examples=15)
@given(scale=st.floats(0.01, 100), offset=st.floats(-100, 100))
def test_scores_do_not_depend_on_the_unit(scale, offset):
    rng = np.random.default_rng(3)
    holes = disc(20, 20, 5, (40, 40)).astype(np.int16)
    image = rng.normal(size=(40, 40)) + 2 * holes
    one, other = score_map(image, holes).defects[0], score_map(scale * image + offset, holes).defects[0]
    assert other.cnr == pytest.approx(one.cnr, rel=1e-6)
    assert other.sbc == pytest.approx(one.sbc, rel=1e-6)
    assert other.tanimoto == pytest.approx(one.tanimoto)


def test_missing_values_and_unused_pixels_have_no_part(index, image):
    image = image.copy()
    image[disc(45, 55, 8)] = np.nan  # a hole without any value
    image[:2] = 1e6  # not to be used
    scores = score_map(image, index, numbers=[1, 7])
    assert [score.number for score in scores.defects] == [1]
    assert "defect region has no pixel with a value" in scores.unscored[7]
    assert scores.defects[0].cnr < 50
    with pytest.raises(TruthError, match="no pixel is truly defective"):
        score_map(image, np.zeros_like(index))
    with pytest.raises(SequenceError, match="the defect index"):
        score_map(image, index[:5])
    with pytest.raises(SequenceError, match="found pixels have shape"):
        tanimoto(index[:5] > 0, index > 0)
