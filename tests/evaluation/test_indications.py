"""Indications: measures against shapes known by hand, invariances, and the CSV file."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thermo_qc.errors import OutputError, TruthError
from thermo_qc.indications import CSV_COLUMNS, connected_regions, find_indications, indications_to_csv

NAMES = ("sound", "near", "deep")


def certain(class_map):
    """Probabilities that leave no doubt about a class map."""
    return np.stack([(class_map == k) | ((class_map == 255) & (k == 0)) for k in range(3)]).astype(np.float32)


@pytest.fixture
def class_map():
    grid = np.zeros((30, 40), np.uint8)
    grid[5:9, 10:16] = 1
    grid[20:23, 30:33] = 2
    return grid


def test_measures_of_rectangles(class_map):
    depth = np.where(class_map > 0, class_map * 1.5, np.nan).astype(np.float32)
    probability = 0.25 + 0.5 * certain(class_map)
    large, small = find_indications(class_map, probability, class_names=NAMES, depth_mm=depth, pixel_pitch_mm=0.5)
    assert (large.id, large.class_index, large.class_name, large.area_px) == (1, 1, "near", 24)
    assert (large.centroid_x_px, large.centroid_y_px, large.bbox_px) == (12.5, 6.5, (10, 5, 16, 9))
    assert (large.centroid_x_mm, large.centroid_y_mm, large.bbox_mm) == (6.5, 3.5, (5.0, 2.5, 8.0, 4.5))
    assert large.area_mm2 == 6.0 and large.equivalent_diameter_mm == pytest.approx(np.sqrt(24 / np.pi))
    assert (large.depth_mm, large.mean_probability, large.cnr) == (1.5, 0.75, None)
    assert (small.id, small.class_name, small.area_px, small.depth_mm) == (2, "deep", 9, 3.0)


def test_unknown_pitch_and_depth_stay_unknown(class_map):
    for found in find_indications(class_map, certain(class_map), class_names=NAMES):
        assert (found.centroid_x_mm, found.centroid_y_mm, found.bbox_mm, found.area_mm2) == (None,) * 4
        assert found.equivalent_diameter_mm is None and found.depth_mm is None


def test_touching_classes_are_one_indication_of_the_likelier_class():
    class_map = np.zeros((10, 10), np.uint8)
    class_map[2:5, 2:5], class_map[5, 5] = 1, 2
    probability = certain(class_map)
    (found,) = find_indications(class_map, probability, class_names=NAMES)
    assert (found.class_name, found.area_px) == ("near", 10)
    assert found.mean_probability == pytest.approx(0.9)
    probability[1, 2:5, 2:5], probability[2, 2:5, 2:5] = 0.45, 0.55
    (found,) = find_indications(class_map, probability, class_names=NAMES)
    assert found.class_name == "deep"


def test_contrast_to_noise_against_the_ring(class_map):
    rng = np.random.default_rng(0)
    signal = rng.normal(0.0, 0.1, class_map.shape)
    signal[class_map > 0] += 2.0
    signal[3:11, 8:18][class_map[3:11, 8:18] == 0] = 50.0  # the gap next to the region does not count
    signal[0, 0] = np.nan
    found = find_indications(class_map, certain(class_map), class_names=NAMES, signal=signal)[0]
    y, x = np.mgrid[0:30, 0:40]
    away = np.hypot(np.maximum(np.maximum(10 - x, x - 15), 0), np.maximum(np.maximum(5 - y, y - 8), 0))
    inside, ring = class_map == 1, (away > 2) & (away <= 7) & np.isfinite(signal)
    noise = np.sqrt(0.5 * (signal[inside].var() + signal[ring].var()))
    assert found.cnr == pytest.approx(abs(signal[inside].mean() - signal[ring].mean()) / noise)
    scaled = find_indications(class_map, certain(class_map), class_names=NAMES, signal=5 - 3 * signal)[0]
    assert scaled.cnr == pytest.approx(found.cnr)


def test_no_ring_no_contrast(class_map):
    signal = np.ones(class_map.shape)
    flat = find_indications(class_map, certain(class_map), class_names=NAMES, signal=signal)
    assert [found.cnr for found in flat] == [None, None]
    ignored = np.where(class_map == 0, 255, class_map).astype(np.uint8)
    signal = np.random.default_rng(1).random(class_map.shape)
    alone = find_indications(ignored, certain(ignored), class_names=NAMES, signal=signal)
    assert [found.cnr for found in alone] == [None, None]
    everywhere = np.ones((8, 8), np.uint8)
    assert find_indications(everywhere, certain(everywhere), class_names=NAMES, signal=signal[:8, :8])[0].cnr is None


def test_signal_without_values_in_a_region(class_map):
    signal = np.random.default_rng(1).random(class_map.shape)
    signal[class_map == 1] = np.nan
    large, small = find_indications(class_map, certain(class_map), class_names=NAMES, signal=signal)
    assert large.cnr is None and small.cnr is not None


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_to_list(value):
    class_map = np.full((6, 7), value, np.uint8)
    assert find_indications(class_map, certain(class_map), class_names=NAMES, signal=np.ones((6, 7))) == ()
    assert connected_regions(class_map)[1] == 0


def test_small_regions_are_left_out_and_ids_stay_consecutive(class_map):
    class_map[15, 3] = 1
    found = find_indications(class_map, certain(class_map), class_names=NAMES, min_area_px=9)
    assert [(one.id, one.area_px) for one in found] == [(1, 24), (2, 9)]
    assert len(find_indications(class_map, certain(class_map), class_names=NAMES)) == 3


maps = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 0, 0, 1, 2, 255])
)


@settings(deadline=None, max_examples=60)
@given(class_map=maps)
def test_every_defect_pixel_is_in_one_indication(class_map):
    found = find_indications(class_map, certain(class_map), class_names=NAMES)
    assert sum(one.area_px for one in found) == ((class_map == 1) | (class_map == 2)).sum()
    labels, n = connected_regions(class_map)
    assert n == len(found) == len(set(labels[labels > 0].tolist()))
    for one in found:
        x0, y0, x1, y1 = one.bbox_px
        assert x0 <= one.centroid_x_px <= x1 - 1 and y0 <= one.centroid_y_px <= y1 - 1
    assert [one.area_px for one in found] == sorted((one.area_px for one in found), reverse=True)


@settings(deadline=None, max_examples=40)
@given(class_map=maps, seed=st.integers(0, 5))
def test_mirroring_mirrors_the_indications(class_map, seed):
    signal = np.random.default_rng(seed).random(class_map.shape)

    def measures(grid, values, mirrored):
        found = find_indications(grid, certain(grid), class_names=NAMES, signal=values)
        x = [grid.shape[1] - 1 - one.centroid_x_px if mirrored else one.centroid_x_px for one in found]
        return sorted((one.area_px, round(a, 6), round(one.centroid_y_px, 6)) for one, a in zip(found, x, strict=True))

    assert measures(class_map, signal, False) == measures(class_map[:, ::-1], signal[:, ::-1], True)


@settings(deadline=None, max_examples=30)
@given(class_map=maps)
def test_swapping_class_numbers_swaps_classes_only(class_map):
    swap = np.arange(256, dtype=np.uint8)
    swap[[1, 2]] = 2, 1
    first = find_indications(class_map, certain(class_map), class_names=NAMES)
    second = find_indications(swap[class_map], certain(swap[class_map]), class_names=("sound", "deep", "near"))
    unequal = [(a, b) for a, b in zip(first, second, strict=True) if a.mean_probability != 0.5]
    assert all(replace(b, class_index=int(swap[b.class_index])) == a for a, b in unequal)


def test_wrong_shapes_classes_and_pitch(class_map):
    good = certain(class_map)
    with pytest.raises(TruthError, match=r"class map \(30, 40\) and probability \(2, 30, 40\) do not fit 3 classes"):
        find_indications(class_map, good[:2], class_names=NAMES)
    with pytest.raises(TruthError, match=r"depth map has shape \(3, 3\), the class map \(30, 40\)"):
        find_indications(class_map, good, class_names=NAMES, depth_mm=np.ones((3, 3), np.float32))
    with pytest.raises(TruthError, match="signal image has shape"):
        find_indications(class_map, good, class_names=NAMES, signal=np.ones((3, 3), np.float32))
    with pytest.raises(TruthError, match="class map holds class 3, expected 0 to 2 or 255"):
        find_indications(class_map + np.uint8(3), good, class_names=NAMES)
    with pytest.raises(TruthError, match="pixel pitch is 0 mm"):
        find_indications(class_map, good, class_names=NAMES, pixel_pitch_mm=0)
    good[:, 6, 12] = np.nan
    with pytest.raises(TruthError, match="probability is not finite at some defect pixels"):
        find_indications(class_map, good, class_names=NAMES)


def test_csv_holds_every_measure(class_map, tmp_path):
    found = find_indications(class_map, certain(class_map), class_names=NAMES, pixel_pitch_mm=0.5)
    indications_to_csv(found, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 2
    assert [rows[0][name] for name in ("id", "class", "bbox_x1_px", "area_mm2", "cnr", "depth_mm")] == [
        "1",
        "near",
        "16",
        "6",
        "",
        "",
    ]
    indications_to_csv((), tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text(encoding="utf-8") == ",".join(CSV_COLUMNS) + "\n"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=x", "\r\n+x"])
def test_csv_text_is_never_a_formula(class_map, tmp_path, name):
    found = find_indications(class_map, certain(class_map), class_names=("sound", name, "deep"))
    indications_to_csv(found, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        text = next(csv.DictReader(file))["class"]
    assert text.startswith("'") and text[1:].strip() == name.strip()


def test_csv_that_cannot_be_written(class_map, tmp_path):
    found = find_indications(class_map, certain(class_map), class_names=NAMES)
    with pytest.raises(OutputError, match="is a folder"):
        indications_to_csv(found, tmp_path)
