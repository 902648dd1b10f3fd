"""Pictures: sizes, colours, determinism, odd input."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from report_cases import PITCH_MM, SCHEME, small_plate, small_truth

from thermo_qc.errors import OutputError
from thermo_qc.indications import find_indications
from thermo_qc.report import (
    draw_comparison,
    draw_confusion,
    draw_hole_grid,
    draw_maps_beside_truth,
    draw_methods,
    draw_outcomes,
    draw_plate,
    draw_prediction,
    draw_splits,
    draw_training,
    outcome_map,
)
from thermo_qc.report.canvas import DPI, robust_limits
from thermo_qc.report.palette import ROLE_COLOURS, class_colours, class_rgba, text_colour_on
from thermo_qc.report.tables import number

TRUTH = small_truth()
CLASSES = SCHEME.class_map(TRUTH)
NAMES = SCHEME.class_names
FRAME = np.linspace(1.0, 9.0, CLASSES.size).reshape(CLASSES.shape).astype(np.float32)


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def share_of(picture: np.ndarray, colour: str) -> float:
    wanted = np.array([round(255 * value) for value in to_rgb(colour)])
    return float((np.abs(picture.astype(int) - wanted) <= 1).all(axis=2).mean())


def test_prediction_is_saved_and_the_same_every_time(tmp_path: Path) -> None:
    target = tmp_path / "out" / "plate.png"
    probability = np.stack([(k == CLASSES).astype(np.float32) for k in range(3)])
    wanted: dict[str, Any] = {
        "class_names": NAMES,
        "pixel_pitch_mm": PITCH_MM,
        "indications": find_indications(
            np.where(CLASSES == 255, 0, CLASSES).astype(np.uint8), probability, class_names=NAMES
        ),
        "title": "plate",
    }
    first = draw_prediction(FRAME, CLASSES, path=target, **wanted)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):  # the user's own style does not matter
        second = draw_prediction(FRAME, CLASSES, **wanted)
    assert target.read_bytes() == first == second
    assert [path.name for path in target.parent.iterdir()] == ["plate.png"]
    height, width = pixels(first).shape[:2]
    panel = 4.3 * DPI
    assert width == pytest.approx(0.75 * DPI + 2 * panel + 1.35 * DPI + 0.15 * DPI, abs=1)
    assert height == pytest.approx(0.7 * DPI + panel * 30 / 32 + 0.95 * DPI, abs=1)


def test_prediction_without_pitch_or_defects() -> None:
    nothing = np.zeros_like(CLASSES)
    px = draw_prediction(FRAME, nothing, class_names=NAMES)
    mm = draw_prediction(FRAME, nothing, class_names=NAMES, pixel_pitch_mm=PITCH_MM)
    assert pixels(px).shape == pixels(mm).shape
    assert px != mm  # other units on axes and scale bar


@pytest.mark.parametrize(
    "frame",
    [
        np.full((12, 9), np.nan, dtype=np.float32),
        np.zeros((12, 9), dtype=np.float32),
        np.where(np.eye(12, 9) > 0, np.nan, 3.0).astype(np.float32),
        np.arange(5, dtype=np.float32).reshape(5, 1),
        np.ones((1, 1), dtype=np.float32),
        np.arange(400, dtype=np.uint16).reshape(2, 200),
    ],
    ids=["all NaN", "constant", "some NaN", "one column", "one pixel", "long counts"],
)
def test_odd_frames_are_drawn(frame: np.ndarray) -> None:
    class_map = np.zeros(frame.shape, dtype=np.uint8)
    class_map[0, 0] = 1
    assert pixels(draw_prediction(frame, class_map, class_names=("sound", "defect"), unit="counts")).std() > 0


def test_many_indications_are_thinned() -> None:
    class_map = np.zeros((40, 40), dtype=np.uint8)
    class_map[::4, ::4] = 1
    probability = np.stack([1.0 - class_map, class_map]).astype(np.float32)
    found = find_indications(class_map, probability, class_names=("sound", "defect"))
    assert len(found) == 100
    drawn = draw_prediction(class_map.astype(np.float32), class_map, class_names=("sound", "defect"), indications=found)
    assert drawn != draw_prediction(
        class_map.astype(np.float32), class_map, class_names=("sound", "defect"), indications=found[:80]
    )


def test_unwritable_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        draw_prediction(FRAME, CLASSES, class_names=NAMES, path=tmp_path)


def test_plate_from_specification_and_truth() -> None:
    plate = draw_plate(small_plate(), title="small")
    by_class = draw_plate(TRUTH, pixel_pitch_mm=PITCH_MM, scheme=SCHEME)
    for colour in class_colours(4)[1:]:  # three depths
        assert share_of(pixels(plate), colour) > 0.001
    assert share_of(pixels(by_class), class_colours(3)[1]) > 0.005


def test_maps_show_truth_prediction_and_difference() -> None:
    guess = np.zeros_like(CLASSES)
    guess[TRUTH.defect_index == 1] = 1
    options: dict[str, Any] = {"class_names": NAMES, "defect_index": TRUTH.defect_index, "pixel_pitch_mm": PITCH_MM}
    picture = draw_maps_beside_truth(FRAME, CLASSES, guess, missed=(2, 3, 4), names={1: "A1"}, **options)
    assert picture != draw_maps_beside_truth(FRAME, CLASSES, guess, names={1: "A1"}, **options)
    assert share_of(pixels(picture), "#0072b2") > 0.002  # right
    assert pixels(draw_maps_beside_truth(None, CLASSES, guess, **options)).shape == pixels(picture).shape


def test_outcomes_of_pixels() -> None:
    truth = np.array([[0, 1, 1, 1, 0, 255, 2]], dtype=np.uint8)
    called = np.array([[0, 1, 2, 0, 1, 1, 255]], dtype=np.uint8)
    assert outcome_map(truth, called).tolist() == [[0, 1, 2, 3, 4, 5, 5]]


def test_methods_and_outcomes_have_a_panel_each() -> None:
    three = draw_methods(FRAME, CLASSES, dict.fromkeys("abc", CLASSES), class_names=NAMES, pixel_pitch_mm=PITCH_MM)
    two = draw_methods(
        None, CLASSES, {"a": CLASSES}, class_names=NAMES, missed={"a": (1,)}, defect_index=TRUTH.defect_index
    )
    assert pixels(three).shape[0] > pixels(two).shape[0]
    assert pixels(three).shape[1] == pixels(two).shape[1]
    outcome = outcome_map(CLASSES, CLASSES)
    one, seven = draw_outcomes({"k": outcome}), draw_outcomes({f"k{i}": outcome for i in range(7)})
    assert share_of(pixels(one), "#0072b2") > 0.01
    assert pixels(seven).shape[1] > pixels(one).shape[1]


def test_splits_have_a_row_per_fold_and_every_role() -> None:
    roles = np.zeros((4, *CLASSES.shape), dtype=np.uint8)
    roles[:, :, :10], roles[:, :, 10:20], roles[:, :, 20:] = 1, 2, 3
    picture = pixels(draw_splits({"a": roles, "b": roles}, pixel_pitch_mm={"a": PITCH_MM, "b": None}))
    for colour in ROLE_COLOURS[1:]:
        assert share_of(picture, colour) > 0.03
    assert picture.shape[0] > pixels(draw_splits({"a": roles[:2], "b": roles[:2]})).shape[0]


def test_confusion_draws_classes_without_pixels_as_empty() -> None:
    confusion = np.array([[90, 10, 0], [5, 15, 0], [0, 0, 0]])
    assert draw_confusion(confusion, NAMES) != draw_confusion(confusion + np.diag([0, 0, 1]), NAMES)


def test_hole_grid_marks_misses_and_invisible_holes() -> None:
    found, total = np.array([[2, 0], [1, 0]]), np.array([[2, 2], [2, 0]])
    plain = draw_hole_grid([1.3, 7.2], [8.0, 14.0], found, total)
    assert plain != draw_hole_grid([1.3, 7.2], [8.0, 14.0], found, total, detectable=np.array([[2, 0], [2, -1]]))
    assert plain != draw_hole_grid([1.3, 7.2], [8.0, 14.0], total, total)


def test_training_with_gaps_and_a_single_epoch() -> None:
    gaps = {"epoch": [1.0, 2.0, 3.0], "train_loss": [9.0, float("nan"), 0.1], "validation_loss": [1.0, 0.5, 0.2]}
    single = {"epoch": [1.0], "train_loss": [0.3], "learning_rate": [0.001]}
    assert pixels(draw_training({"fold 0": gaps, "fold 1": single})).std() > 0
    negative = {"epoch": [1.0, 2.0], "train_loss": [-1.0, -2.0]}
    assert pixels(draw_training({"training": negative})).std() > 0


def test_comparison_writes_what_was_not_measured() -> None:
    known = draw_comparison(
        ["a", "b"], {"IoU": {"held out": [0.5, 0.6], "unseen": [0.1, 0.0]}, "F1": {"held out": [0.1, 0.2]}}
    )
    unknown = draw_comparison(
        ["a", "b"], {"IoU": {"held out": [0.5, 0.6], "unseen": [0.1, None]}, "F1": {"held out": [0.1, 0.2]}}
    )
    assert known != unknown
    assert pixels(draw_comparison(["a"], {"IoU": {"held out": [None]}})).std() > 0


@pytest.mark.parametrize("n_classes", [3, 4, 6, 9])
def test_deeper_classes_are_darker(n_classes: int) -> None:
    colours = class_colours(n_classes)
    assert len(set(colours)) == n_classes
    luminance = [float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722))) for colour in colours[1:]]
    assert all(deeper < shallower - 0.02 for shallower, deeper in itertools.pairwise(luminance))


def test_class_colours_of_a_map() -> None:
    rgba = class_rgba(np.array([[0, 1, 255, 77]], dtype=np.uint8), 2, alpha=0.5, show_sound=False)
    assert rgba[0, :, 3].tolist() == [0.0, 0.5, 0.5, 0.5]
    assert rgba[0, 1, :3] == pytest.approx(to_rgb(class_colours(2)[1]))
    assert (rgba[0, 2] == rgba[0, 3]).all()


def test_small_helpers() -> None:
    assert text_colour_on((1.0, 1.0, 1.0)) == "black" and text_colour_on((0.0, 0.0, 0.3)) == "white"
    assert robust_limits(np.array([2.0, 2.0, np.nan])) == (1.5, 2.5)
    assert robust_limits(np.array([np.nan])) == (0.0, 1.0)
    assert number(float("nan")) == number(None) == "not defined"
