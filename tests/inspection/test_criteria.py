"""Acceptance criteria: what they may say, and every contradiction by its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from thermo_qc.config import ProcedureConfig, load_config
from thermo_qc.errors import ConfigError, InputError, UnknownNameError
from thermo_qc.inspection import Criteria, CriteriaRegion, Limit, Uncertain, load_criteria

EXAMPLES = sorted((Path(__file__).parents[2] / "configs" / "criteria").glob("*.yaml"))
SIZE = {"max_equivalent_diameter_mm": 10.0}
SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]


def written(folder: Path, **content: Any) -> Path:
    path = folder / "criteria.yaml"
    path.write_text(yaml.safe_dump({"name": "test", **content}), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_load(path: Path) -> None:
    criteria = load_criteria(path)
    assert criteria.name
    assert any(limits for _, limits in criteria.scopes())


def test_there_is_an_example() -> None:
    assert EXAMPLES


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ([{}], "limits nothing"),
        ([{"classes": ["a"], "depth_mm": [0, 1], **SIZE}], "names classes and a range of depths"),
        ([{"depth_mm": [2, 1], **SIZE}], "smaller depth first"),
        ([{"max_area_mm2": 50, **SIZE}], "an area of 50 mm2, which is a diameter of 7.98 mm"),
        ([{"within_mm": 5, **SIZE}], "within_mm without max_number"),
        ([{"max_number": 0, **SIZE}], "max_equivalent_diameter_mm contradicts it"),
        ([{"smallest_diameter_mm": 20, **SIZE}], "smallest_diameter_mm must not be larger"),
        ([{"depth_mm": [0, 2], "detect_depth_mm": 3, **SIZE}], "detect_depth_mm must lie in the range"),
        ([SIZE, SIZE], "the same limit is given twice"),
        ([SIZE, {"classes": ["a"], "max_equivalent_diameter_mm": 20}], "the wider limit never lets it count"),
        ([SIZE, {"classes": ["a"], "max_area_mm2": 100}], "the wider limit never lets it count"),
        (
            [{"depth_mm": [0, 5], **SIZE}, {"depth_mm": [1, 2], "max_equivalent_diameter_mm": 11}],
            "the wider limit never lets it count",
        ),
        ([{"min_spacing_mm": 9}, {"classes": ["a"], "min_spacing_mm": 5}], "the wider limit never lets it count"),
        ([{"max_number": 0}, {"classes": ["a"], **SIZE}], "no indication is allowed for all indications"),
    ],
)
def test_a_contradiction_is_one_line(tmp_path: Path, limits: list[dict[str, Any]], line: str) -> None:
    path = written(tmp_path, limits=limits)
    with pytest.raises(ConfigError) as caught:
        load_criteria(path)
    text = str(caught.value)
    assert line in text
    assert text.startswith(str(path))
    assert "\n" not in text


@pytest.mark.parametrize(
    ("region", "line"),
    [
        ({"rectangle_mm": [0, 0, 5, 5]}, "neither limits nor 'ignore: true'"),
        ({"rectangle_mm": [0, 0, 5, 5], "limits": [SIZE], "ignore": True}, "limits and 'ignore'"),
        ({"limits": [SIZE]}, "neither rectangle_mm nor polygon_mm"),
        ({"rectangle_mm": [0, 0, 5, 5], "polygon_mm": SQUARE, "ignore": True}, "both rectangle_mm and polygon_mm"),
        ({"rectangle_mm": [5, 0, 0, 5], "ignore": True}, "left below right"),
        ({"polygon_mm": [[0, 0], [1, 1], [2, 2]], "ignore": True}, "has no area"),
        ({"polygon_mm": [[0, 0], [10, 10], [10, 0], [0, 9]], "ignore": True}, "crosses its own outline"),
    ],
)
def test_a_region_that_is_none_is_one_line(tmp_path: Path, region: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        load_criteria(written(tmp_path, limits=[SIZE], regions=[{"name": "r", **region}]))


def test_other_bad_criteria_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no limit"):
        load_criteria(written(tmp_path))
    with pytest.raises(UnknownNameError, match="max_equivalent_diameter_mm"):
        load_criteria(written(tmp_path, limits=[{"max_equivalent_diametre_mm": 1}]))
    with pytest.raises(ConfigError, match="2 regions 'r'"):
        load_criteria(written(tmp_path, regions=[{"name": "r", "rectangle_mm": [0, 0, 1, 1], "limits": [SIZE]}] * 2))
    with pytest.raises(ConfigError, match="second one not smaller"):
        load_criteria(written(tmp_path, limits=[SIZE], uncertain={"possible_from": 0.9}))
    with pytest.raises(ConfigError, match="detectability limits"):
        load_criteria(written(tmp_path, limits=[SIZE], detectability={"visible": 40}))
    with pytest.raises(InputError, match="does not exist"):
        load_criteria(tmp_path / "none.yaml")


def test_limits_that_fit_together_are_kept(tmp_path: Path) -> None:
    limits = [
        {"max_equivalent_diameter_mm": 20},
        {"classes": ["a"], **SIZE},
        {"max_number": 9},
        {"max_number": 2, "within_mm": 50},
        {"depth_mm": [0, 3], "max_area_mm2": 60},
        {"depth_mm": [3, 6], "max_area_mm2": 90},
        {"min_spacing_mm": 5},
    ]
    criteria = load_criteria(
        written(tmp_path, limits=limits, regions=[{"name": "r", "polygon_mm": SQUARE, "ignore": 1}])
    )
    assert len(criteria.limits) == len(limits)
    assert criteria.regions[0].ignore


def test_classes_and_plates_are_checked() -> None:
    region = CriteriaRegion(name="far", outline_mm=((0, 0), (50, 0), (50, 5), (0, 5)), ignore=True)
    criteria = Criteria(name="c", limits=(Limit(classes=("deap",), **SIZE),), regions=(region,))
    with pytest.raises(UnknownNameError, match="did you mean 'deep'"):
        criteria.check_classes(("sound", "near", "deep"))
    with pytest.raises(UnknownNameError, match="no class of defects 'sound'"):
        Criteria(name="c", limits=(Limit(classes=("sound",), **SIZE),)).check_classes(("sound", "deep"))
    with pytest.raises(ConfigError, match="region 'far' reaches outside the 40 x 40 mm plate"):
        criteria.check_plate(40, 40)
    criteria.check_plate(50, 5)


def test_a_region_holds_its_points() -> None:
    region = CriteriaRegion(name="L", outline_mm=((0, 0), (10, 0), (10, 4), (4, 4), (4, 10), (0, 10)), ignore=True)
    x = np.array([1.0, 9.0, 9.0, 2.0, -1.0, np.nan])
    y = np.array([1.0, 1.0, 9.0, 9.0, 1.0, 1.0])
    assert region.holds(x, y).tolist() == [True, True, False, True, False, False]


def test_uncertain_has_sane_defaults() -> None:
    assert Uncertain().possible_from < 0.5 < Uncertain().certain_from


def test_the_example_of_a_procedure_is_understood() -> None:
    path = Path(__file__).parents[2] / "configs" / "procedures" / "example.yaml"
    procedure = load_config(ProcedureConfig, path)
    assert procedure.part.serial_number == "0001"
    assert procedure.equipment.camera_serial_number is None
