"""Which defects are found, and calls where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from thermo_qc.errors import PlateError, TruthError
from thermo_qc.evaluation import detectable_holes, detection_grid, detection_rate, false_calls, hole_table
from thermo_qc.sequence import Defect, Truth


@pytest.fixture
def index():
    """Two square holes of 10 x 10 pixels, 1 and 5 deep (numbers), in 40 x 60 pixels."""
    grid = np.zeros((40, 60), np.int16)
    grid[10:20, 10:20] = 1
    grid[10:20, 40:50] = 5
    return grid


def table(truth, predicted, scheme, **facts):
    return hole_table(truth, predicted, scheme=scheme, pixel_pitch_mm=facts.pop("pixel_pitch_mm", 0.5), **facts)


def test_perfect_map_finds_everything(index, truth_of, scheme):
    truth = truth_of(index, name="", peak_contrast_k=0.2, diameter_mm=6.0)
    predicted = scheme.class_map(truth)
    entries = table(truth, predicted, scheme, key="a", fold=2, depth_map_mm=truth.depth_mm + 0.5, netd_k=0.04)
    assert [entry["number"] for entry in entries] == [1, 5]
    assert entries[1] == {
        "key": "a",
        "fold": 2,
        "name": "5",
        "number": 5,
        "diameter_mm": 6.0,
        "depth_mm": 5.0,
        "found": True,
        "coverage": 1.0,
        "iou": 1.0,
        "n_pixels": 100,
        "true_class": 2,
        "predicted_class": 2,
        "class_right": True,
        "predicted_depth_mm": 5.5,
        "peak_contrast_k": 0.2,
        "contrast_to_noise": pytest.approx(5.0),
    }


def test_empty_map_misses_everything(index, truth_of, scheme):
    for entry in table(truth_of(index), np.zeros_like(index, np.uint8), scheme):
        assert (entry["found"], entry["coverage"], entry["iou"]) == (False, 0.0, 0.0)
        assert (entry["predicted_class"], entry["class_right"], entry["predicted_depth_mm"]) == (None, False, None)
        assert entry["contrast_to_noise"] is None and entry["peak_contrast_k"] is None


def test_both_limits_of_the_hit_rule(index, truth_of, scheme):
    truth = truth_of(index)
    predicted = np.zeros(index.shape, np.uint8)
    predicted[10:14, 10:20] = 1  # covers 40 % of the first hole
    first = table(truth, predicted, scheme)[0]
    assert first["found"] and first["coverage"] == pytest.approx(0.4) and first["iou"] == pytest.approx(0.4)
    assert not table(truth, predicted, scheme, min_coverage=0.41)[0]["found"]
    assert not table(truth, predicted, scheme, min_iou=0.41)[0]["found"]


def test_smearing_over_the_plate_is_no_hit(index, truth_of, scheme):
    entries = table(truth_of(index), np.ones(index.shape, np.uint8), scheme)
    assert [entry["coverage"] for entry in entries] == [1.0, 1.0]
    assert [entry["iou"] for entry in entries] == [pytest.approx(100 / 2400)] * 2
    assert not any(entry["found"] for entry in entries)


def test_all_regions_that_touch_count_and_others_do_not(index, truth_of, scheme):
    predicted = np.zeros(index.shape, np.uint8)
    predicted[8:14, 10:20] = 1
    predicted[16:22, 10:20] = 1
    predicted[30:38, 10:20] = 1  # elsewhere
    first = table(truth_of(index), predicted, scheme)[0]
    assert first["coverage"] == pytest.approx(0.8)
    assert first["iou"] == pytest.approx(80 / (100 + 40))


def test_regions_that_touch_by_a_corner_are_one(index, truth_of, scheme):
    predicted = np.zeros(index.shape, np.uint8)
    predicted[10:20, 10:20] = 1
    predicted[20:30, 20:30] = 1
    assert table(truth_of(index), predicted, scheme)[0]["iou"] == pytest.approx(0.5)


def test_class_is_the_majority_in_the_hole(index, truth_of, scheme):
    predicted = np.zeros(index.shape, np.uint8)
    predicted[10:14, 10:20], predicted[14:20, 10:20] = 1, 2
    first = table(truth_of(index), predicted, scheme)[0]
    assert (first["true_class"], first["predicted_class"], first["class_right"]) == (1, 2, False)


def test_pixels_that_do_not_count(index, truth_of, scheme):
    ignored = index.copy()
    ignored[10:20, 40:50] = -1
    truth = Truth(defect_index=ignored, depth_mm=truth_of(index).depth_mm, defects=truth_of(index).defects)
    assert [entry["number"] for entry in table(truth, np.zeros(index.shape, np.uint8), scheme)] == [1]
    valid = np.zeros(index.shape, bool)
    valid[:, 15:] = True
    predicted = scheme.class_map(truth_of(index))
    predicted[10:20, :20] = 1
    entries = table(truth_of(index), predicted, scheme, valid=valid)
    assert [(entry["n_pixels"], entry["coverage"], entry["iou"]) for entry in entries] == [
        (50, 1.0, 1.0),
        (100, 1.0, 1.0),
    ]
    assert table(truth_of(index), predicted, scheme, valid=np.zeros(index.shape, bool)) == []


def test_pixels_without_a_verdict_do_not_find(index, truth_of, scheme):
    assert not any(entry["found"] for entry in table(truth_of(index), np.full(index.shape, 255, np.uint8), scheme))


def test_diameter_from_the_area_where_nobody_stated_it(index, truth_of, scheme):
    entries = table(truth_of(index), np.zeros(index.shape, np.uint8), scheme)
    assert entries[0]["diameter_mm"] == pytest.approx(2 * np.sqrt(100 / np.pi) * 0.5)
    unknown = table(truth_of(index), np.zeros(index.shape, np.uint8), scheme, pixel_pitch_mm=None)
    assert unknown[0]["diameter_mm"] is None


def test_depth_without_a_class_is_refused(index, scheme):
    truth = Truth(defect_index=np.minimum(index, 1), depth_mm=np.full(index.shape, np.nan), defects=(Defect(number=1),))
    with pytest.raises(PlateError, match="has no class in scheme 'depths'"):
        table(truth, np.zeros(index.shape, np.uint8), scheme)


def test_sizes_must_agree(index, truth_of, scheme):
    small = np.zeros((3, 3), np.uint8)
    with pytest.raises(TruthError, match="prediction has 3 x 3 pixels, the truth has 40 x 60"):
        table(truth_of(index), small, scheme)
    full = np.zeros(index.shape, np.uint8)
    with pytest.raises(TruthError, match="mask of valid pixels has 3 x 3"):
        table(truth_of(index), full, scheme, valid=small.astype(bool))
    with pytest.raises(TruthError, match="predicted depth map has 3 x 3"):
        table(truth_of(index), full, scheme, depth_map_mm=small.astype(np.float32))
    with pytest.raises(TruthError, match="prediction has 3 x 3"):
        false_calls(truth_of(index), small)
    with pytest.raises(TruthError, match="mask of valid pixels has 3 x 3"):
        false_calls(truth_of(index), full, valid=small.astype(bool))


def test_turning_the_plate_changes_nothing(index, truth_of, scheme):
    rng = np.random.default_rng(4)
    predicted = np.where(rng.random(index.shape) < 0.4, rng.integers(1, 3, index.shape), 0).astype(np.uint8)
    straight = table(truth_of(index), predicted, scheme)
    turned = table(truth_of(np.rot90(index)), np.rot90(predicted), scheme)
    assert straight == turned
    assert false_calls(truth_of(index), predicted) == false_calls(truth_of(index.T), predicted.T)


def test_false_calls(index, truth_of):
    truth, predicted = truth_of(index), np.zeros(index.shape, np.uint8)
    predicted[23:26, 10:20] = 1  # 4 px below hole 1: false
    predicted[5:8, 10:20] = 1  # 3 px above it: near enough
    predicted[35, 35] = 2  # a speck
    assert false_calls(truth, predicted) == 2
    assert false_calls(truth, predicted, grow_px=4) == 1
    assert false_calls(truth, predicted, min_area_px=2) == 1
    valid = np.ones(index.shape, bool)
    valid[30:] = False
    assert false_calls(truth, predicted, valid=valid) == 1
    assert false_calls(truth_of(np.zeros((40, 60))), predicted) == 3
    assert false_calls(truth, np.zeros(index.shape, np.uint8)) == 0


def hole(depth, diameter, found, contrast_to_noise=None):
    return {"depth_mm": depth, "diameter_mm": diameter, "found": found, "contrast_to_noise": contrast_to_noise}


def test_grid_counts_by_depth_and_diameter():
    holes = [
        hole(4.35, 13.3, True),
        hole(4.37, 13.3, False),
        hole(1.3, 7.85, True),
        hole(1.3, 13.3, False),
        hole(None, 13.3, True),
        hole(1.3, float("nan"), True),
    ]
    assert detection_grid(holes) == {
        "depths_mm": [1.3, 4.36],
        "diameters_mm": [7.85, 13.3],
        "found": [[1, 0], [0, 1]],
        "total": [[1, 1], [0, 2]],
    }
    assert detection_grid(holes, depth_tolerance_mm=0.01)["depths_mm"] == [1.3, 4.35, 4.37]
    assert len(detection_grid(holes, diameter_tolerance_mm=10.0)["diameters_mm"]) == 1
    assert detection_grid([]) == {"depths_mm": [], "diameters_mm": [], "found": [], "total": []}


def test_detectable_holes_have_five_times_the_noise():
    holes = [hole(1, 1, True, value) for value in (4.99, 5.0, None, float("nan"), 80.0)]
    assert [entry["contrast_to_noise"] for entry in detectable_holes(holes)] == [5.0, 80.0]
    assert len(detectable_holes(holes, min_contrast_to_noise=4.0)) == 3


def test_wilson_interval():
    rate = detection_rate([hole(1, 1, n < 8) for n in range(10)])
    assert (rate["found"], rate["total"], rate["rate"]) == (8, 10, 0.8)
    assert rate["rate_low"] == pytest.approx(0.4902, abs=1e-4)
    assert rate["rate_high"] == pytest.approx(0.9433, abs=1e-4)
    all_found = detection_rate([hole(1, 1, True)] * 23)
    assert all_found["rate_high"] == 1.0 and all_found["rate_low"] == pytest.approx(23 / (23 + 1.959964**2), abs=1e-6)
    assert np.isnan(detection_rate([])["rate"])
