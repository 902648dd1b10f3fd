"""Plate specifications and the maps that they make."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thermo_qc.config import PlateConfig, parse_config
from thermo_qc.errors import ConfigError, InputError, PlateError, UnknownNameError
from thermo_qc.plate import (
    BINARY,
    ClassScheme,
    Hole,
    PlateSpec,
    load_plate,
    pixel_centres_mm,
    plate_from_config,
    shipped_plates,
)
from thermo_qc.sequence import Defect, Material, Truth

ROOT = Path(__file__).parents[2]
GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.30,
    conductivity_in_plane_w_mk=0.40,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)
REGIONS = ClassScheme(name="regions", class_names=("sound", "surface", "deep"), max_depth_mm=(3.0, 10.0))


def hole(number: int = 1, **changes: Any) -> Hole:
    fields: dict[str, Any] = {"name": f"H{number}", "x_mm": 30.0, "y_mm": 20.0, "diameter_mm": 10.0, "depth_mm": 2.0}
    return Hole(number=number, **{**fields, **changes})


def plate(*holes: Hole, **changes: Any) -> PlateSpec:
    fields: dict[str, Any] = {"width_mm": 60.0, "height_mm": 40.0, "thickness_mm": 10.0, "material": GFRP}
    return PlateSpec(name="P", holes=holes, **{**fields, **changes})


def config(**changes: Any) -> PlateConfig:
    content: dict[str, Any] = {
        "name": "P",
        "width_mm": 60,
        "height_mm": 40,
        "thickness_mm": 10,
        "depth_convention": "ligament",
        "material": {
            "conductivity_through_w_mk": 0.3,
            "conductivity_in_plane_w_mk": 0.4,
            "density_kg_m3": 1900,
            "heat_capacity_j_kgk": 1000,
        },
    }
    return parse_config(PlateConfig, {**content, **changes}, "plate.yaml")


# Geometry


def test_area_of_a_hole_converges_to_the_circle() -> None:
    spec = plate(hole(diameter_mm=12.0))
    errors = []
    for pitch in (1.0, 0.25, 0.05):
        area = float((spec.truth(pitch).defect_index == 1).sum()) * pitch**2
        errors.append(abs(area / (np.pi * 36.0) - 1))
    assert errors[-1] < 1e-3
    assert errors[-1] < errors[0]


def test_centroid_of_a_hole_is_its_centre_on_the_pixel_grid() -> None:
    x, y = pixel_centres_mm((160, 240), 0.25)
    inside = plate(hole(x_mm=31.1, y_mm=17.3)).truth(0.25).defect_index == 1
    assert x[inside].mean() == pytest.approx(31.1, abs=0.02)
    assert y[inside].mean() == pytest.approx(17.3, abs=0.02)


def test_pixel_centres_lie_half_a_pitch_inside() -> None:
    x, y = pixel_centres_mm((2, 3), 4.0)
    assert x.tolist() == [[2.0, 6.0, 10.0]] * 2
    assert y.tolist() == [[2.0] * 3, [6.0] * 3]


def test_a_pixel_belongs_to_a_hole_when_its_centre_does() -> None:
    # Centres at 1, 3, 5, ... mm: of a hole of radius 2 around (5, 5) the five centres within 2 mm count.
    index = plate(hole(x_mm=5.0, y_mm=5.0, diameter_mm=4.0)).truth(2.0).defect_index
    assert sorted(zip(*np.nonzero(index), strict=True)) == [(1, 2), (2, 1), (2, 2), (2, 3), (3, 2)]


@given(
    st.lists(st.tuples(st.floats(8, 52), st.floats(8, 32), st.floats(3, 12)), min_size=1, max_size=3),
    st.sampled_from([0.5, 1.0, 2.0]),
)
@settings(deadline=None, max_examples=30)
def test_turning_the_plate_turns_the_maps(centres: list[tuple[float, float, float]], pitch: float) -> None:
    try:
        spec = plate(*(hole(n, x_mm=x, y_mm=y, diameter_mm=d) for n, (x, y, d) in enumerate(centres, start=1)))
    except PlateError:
        assume(False)
    truth = spec.truth(pitch)
    half = replace(spec, holes=tuple(replace(h, x_mm=60 - h.x_mm, y_mm=40 - h.y_mm) for h in spec.holes))
    quarter = replace(
        spec, width_mm=40, height_mm=60, holes=tuple(replace(h, x_mm=40 - h.y_mm, y_mm=h.x_mm) for h in spec.holes)
    )
    x, y = pixel_centres_mm(truth.shape, pitch)
    on_rim = np.zeros(truth.shape, dtype=bool)  # rounding decides there
    for h in spec.holes:
        on_rim |= abs(np.hypot(x - h.x_mm, y - h.y_mm) - h.diameter_mm / 2) < 1e-9
    turned = half.truth(pitch).defect_index[::-1, ::-1]
    assert (turned == truth.defect_index)[~on_rim].all()
    clockwise = np.rot90(quarter.truth(pitch).defect_index)
    assert (clockwise == truth.defect_index)[~on_rim].all()


def test_maps_hold_number_and_depth() -> None:
    truth = plate(hole(1, depth_mm=2.5), hole(2, x_mm=50.0, depth_mm=7.0)).truth(1.0)
    assert set(np.unique(truth.defect_index)) == {0, 1, 2}
    assert np.unique(truth.depth_mm[truth.defect_index == 1]).tolist() == [2.5]
    assert np.unique(truth.depth_mm[truth.defect_index == 2]).tolist() == [7.0]
    assert np.isnan(truth.depth_mm[truth.defect_index == 0]).all()
    assert truth.defects[1] == Defect(number=2, depth_mm=7.0, diameter_mm=10.0, name="H2")


def test_margin_and_surroundings_are_not_to_be_used() -> None:
    spec = plate(hole(x_mm=7.0, y_mm=7.0), edge_margin_mm=5.0)
    index = spec.truth(1.0).defect_index
    assert index.shape == (40, 60)
    expected = np.full((40, 60), True)
    expected[5:-5, 5:-5] = False
    assert np.array_equal(index == -1, expected)
    assert index[7, 7] == 1
    assert np.isnan(spec.truth(1.0).depth_mm[index == -1]).all()
    x, y = np.array([[-1.0, 30.0, 61.0, np.nan]]), np.array([[20.0, 20.0, 20.0, 20.0]])
    assert plate().truth_at(x, y).defect_index.tolist() == [[-1, 0, -1, -1]]


@pytest.mark.parametrize(("pitch", "shape"), [(1.0, (40, 60)), (0.7, (57, 86)), (30.0, (1, 2)), (100.0, None)])
def test_frame_shape_is_the_nearest_whole_number_of_pixels(pitch: float, shape: tuple[int, int] | None) -> None:
    if shape is None:
        with pytest.raises(PlateError, match=r"pixel pitch 100 mm makes 0\.4 x 0\.6 pixels of the 40 x 60 mm plate"):
            plate().frame_shape(pitch)
    else:
        assert plate().frame_shape(pitch) == shape


@pytest.mark.parametrize("pitch", [0.0, -1.0, np.nan, np.inf])
def test_impossible_pixel_pitches_are_refused(pitch: float) -> None:
    with pytest.raises(PlateError, match=f"pixel pitch is {pitch} mm, expected a positive length"):
        plate().truth(pitch)


def test_a_pitch_in_metres_is_noticed() -> None:
    with pytest.raises(
        PlateError, match=r"pixel pitch 0\.001 mm makes 4e\+04 x 6e\+04 pixels .*; is it really in mm\?"
    ):
        plate().truth(0.001)


# Impossible plates


@pytest.mark.parametrize(
    ("holes", "changes", "message"),
    [
        (
            [hole(x_mm=4.0)],
            {},
            r"hole H1 at \(4, 20\) mm, diameter 10 mm, reaches outside the 60 x 40 mm plate; correct",
        ),
        ([hole(y_mm=36.0)], {}, r"hole H1 at \(30, 36\) mm, diameter 10 mm, reaches outside"),
        ([hole(x_mm=np.nan)], {}, r"hole H1 at \(nan, 20\) mm, diameter 10 mm, reaches outside"),
        ([hole(), hole(2, x_mm=39.9)], {}, "holes H1 and H2 overlap; move one or make one smaller"),
        ([hole(), hole(2)], {}, "holes H1 and H2 overlap"),
        ([hole(depth_mm=10.0)], {}, "hole H1 leaves 10 mm of a 10 mm plate; check thickness_mm and depth_convention"),
        ([hole(depth_mm=0.0)], {}, "hole H1 leaves 0 mm of a 10 mm plate"),
        ([hole(depth_mm=-1.0)], {}, "hole H1 leaves -1 mm of a 10 mm plate"),
        ([hole(depth_mm=np.nan)], {}, "hole H1 leaves nan mm of a 10 mm plate"),
        ([hole(diameter_mm=-10.0)], {}, "hole H1 has diameter_mm -10.0, expected a positive length"),
        ([hole(diameter_mm=np.inf)], {}, "hole H1 has diameter_mm inf, expected a positive length"),
        ([hole(), hole(1, x_mm=50.0, name="X")], {}, "2 holes have the number '1'; give each its own"),
        ([hole(), hole(2, x_mm=50.0, name="H1")], {}, "2 holes have the name 'H1'; give each its own"),
        ([], {"width_mm": np.nan}, "width_mm is nan, expected a positive length"),
        ([], {"height_mm": np.inf}, "height_mm is inf, expected a positive length"),
        ([], {"thickness_mm": -3.0}, "thickness_mm is -3.0, expected a positive length"),
        (
            [],
            {"edge_margin_mm": -1.0},
            "edge_margin_mm is -1.0, expected 0 or more and less than half of the 60 x 40 mm",
        ),
        ([], {"edge_margin_mm": np.nan}, "edge_margin_mm is nan, expected 0 or more"),
        ([], {"edge_margin_mm": 20.0}, "edge_margin_mm is 20.0, expected 0 or more and less than half"),
        ([], {"schemes": {"binary": REGIONS}}, "class scheme 'binary' is built in; give yours another name"),
    ],
)
def test_impossible_plates_are_refused(holes: list[Hole], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PlateError, match=f"^plate 'P': {message}"):
        plate(*holes, **changes)


def test_holes_may_touch() -> None:
    assert len(plate(hole(), hole(2, x_mm=40.0)).holes) == 2


# Class schemes


@pytest.mark.parametrize(("depth", "expected"), [(0.0, 1), (1.0, 1), (3.0, 1), (np.nextafter(3.0, 4.0), 2), (10.0, 2)])
def test_a_band_ends_with_its_own_depth(depth: float, expected: int) -> None:
    assert REGIONS.class_of_depth(depth) == expected


def test_depths_without_a_class_are_refused() -> None:
    with pytest.raises(
        PlateError, match=r"a defect at 10\.5 mm has no class in scheme 'regions', whose bands end at 10 mm"
    ):
        REGIONS.class_of_depth(10.5)
    with pytest.raises(PlateError, match="a defect of unknown depth has no class in scheme 'regions'; give its depth"):
        REGIONS.class_of_depth(np.nan)
    assert BINARY.class_of_depth(np.nan) == 1
    assert BINARY.class_of_depth(1e9) == 1


@pytest.mark.parametrize(
    ("names", "depths", "message"),
    [
        (("sound",), (), "has no bands; give at least one with its name and max_depth_mm"),
        (
            ("sound", "a"),
            (1.0, 2.0),
            "has 2 class names for 2 bands, expected one name for sound and one for each band",
        ),
        (("sound", "a", "a"), (1.0, 2.0), "has the class name 'a' twice; give each class its own"),
        (("sound", "sound"), (1.0,), "has the class name 'sound' twice"),
        (("sound", "a", "b"), (2.0, 2.0), "has bands up to 2, 2 mm; max_depth_mm must be positive and grow"),
        (("sound", "a", "b"), (2.0, 1.0), "has bands up to 2, 1 mm; max_depth_mm must be positive and grow"),
        (("sound", "a"), (0.0,), "has bands up to 0 mm"),
        (("sound", "a"), (np.nan,), "has bands up to nan mm"),
    ],
)
def test_impossible_schemes_are_refused(names: tuple[str, ...], depths: tuple[float, ...], message: str) -> None:
    with pytest.raises(PlateError, match=f"class scheme 's' {message}"):
        ClassScheme(name="s", class_names=names, max_depth_mm=depths)


def test_class_map_follows_depth_and_margin() -> None:
    spec = plate(hole(1, depth_mm=2.0), hole(2, x_mm=50.0, depth_mm=7.0), edge_margin_mm=2.0)
    truth = spec.truth(1.0)
    classes = REGIONS.class_map(truth)
    assert classes.dtype == np.uint8
    assert np.array_equal(classes == 1, truth.defect_index == 1)
    assert np.array_equal(classes == 2, truth.defect_index == 2)
    assert np.array_equal(classes == 255, truth.defect_index == -1)
    assert np.array_equal(BINARY.class_map(truth) == 1, truth.defect_index > 0)
    assert REGIONS.n_classes == 3


def test_class_map_asks_only_for_the_depth_of_defects_on_the_map() -> None:
    index = np.array([[0, 1]])
    defects = (Defect(number=1, depth_mm=2.0), Defect(number=2))
    truth = Truth(defect_index=index, depth_mm=np.array([[np.nan, 2.0]]), defects=defects)
    assert REGIONS.class_map(truth).tolist() == [[0, 1]]
    other = Truth(defect_index=index * 2, depth_mm=np.full((1, 2), np.nan), defects=defects)
    with pytest.raises(PlateError, match="a defect of unknown depth"):
        REGIONS.class_map(other)
    assert BINARY.class_map(other).tolist() == [[0, 1]]


def test_class_depths_are_means_over_all_truths() -> None:
    first = plate(hole(1, depth_mm=2.0), hole(2, x_mm=50.0, depth_mm=3.0)).truth(2.0)
    empty = Truth(defect_index=np.zeros((1, 1), int), depth_mm=np.zeros((1, 1)), defects=(Defect(number=1),))
    assert np.array_equal(REGIONS.class_depths_mm((first, empty)), [np.nan, 2.5, np.nan], equal_nan=True)
    assert np.array_equal(BINARY.class_depths_mm((first,)), [np.nan, 2.5], equal_nan=True)


def test_schemes_are_found_by_name() -> None:
    spec = plate(schemes={"regions": REGIONS})
    assert spec.scheme("regions") is REGIONS
    assert spec.scheme("binary") is BINARY
    with pytest.raises(UnknownNameError, match="plate 'P' has no class scheme 'region'; did you mean 'regions'"):
        spec.scheme("region")


# Files


@pytest.mark.parametrize(("convention", "ligament"), [("drilled", 7.6), ("ligament", 2.4)])
def test_depth_convention(convention: str, ligament: float) -> None:
    holes = [{"x_mm": 30, "y_mm": 20, "diameter_mm": 10, "depth_mm": 2.4}]
    spec = plate_from_config(config(depth_convention=convention, holes=holes))
    assert spec.holes[0].depth_mm == ligament  # exactly: no 7.6000000000000005
    assert spec.holes[0].name == "H1"


def test_a_hole_drilled_through_is_refused() -> None:
    holes = [{"x_mm": 30, "y_mm": 20, "diameter_mm": 10, "depth_mm": 10}]
    with pytest.raises(PlateError, match="hole H1 leaves 0 mm of a 10 mm plate"):
        plate_from_config(config(depth_convention="drilled", holes=holes))


def test_schemes_come_from_the_file() -> None:
    bands = [{"name": "near", "max_depth_mm": 3}, {"name": "far", "max_depth_mm": float("inf")}]
    scheme = plate_from_config(config(class_schemes={"two": bands})).scheme("two")
    assert scheme.class_names == ("sound", "near", "far")
    assert scheme.class_of_depth(1e6) == 2
    with pytest.raises(PlateError, match="class scheme 'none' has no bands"):
        plate_from_config(config(class_schemes={"none": []}))


def test_the_calibrated_plate_is_the_described_one() -> None:
    spec = load_plate("gfrp_calibrated")
    assert (spec.width_mm, spec.height_mm, spec.thickness_mm) == (315.0, 290.0, 17.0)
    assert len(spec.holes) == 23
    assert sorted({h.depth_mm for h in spec.holes}) == [1.3, 4.6, 7.18, 9.92, 12.65]
    assert [spec.scheme("depths").class_of_depth(h.depth_mm) for h in spec.holes] == [1] * 3 + [2] * 5 + [3] * 5 + [
        4
    ] * 5 + [5] * 5
    assert set(spec.scheme("regions").class_map(spec.truth(2.0)).ravel()) == {0, 1, 2, 255}


@pytest.mark.parametrize("name", sorted(shipped_plates()))
def test_every_hole_of_every_shipped_plate_is_classified_and_visible(name: str) -> None:
    spec = load_plate(name)
    truth = spec.truth(2.0)
    for scheme in spec.schemes.values():
        assert scheme.class_map(truth).max() == 255
    assert {h.number for h in spec.holes} <= set(np.unique(truth.defect_index))
    margin = spec.edge_margin_mm
    for h in spec.holes:
        radius = h.diameter_mm / 2
        assert margin <= h.x_mm - radius
        assert h.x_mm + radius <= spec.width_mm - margin
        assert margin <= h.y_mm - radius
        assert h.y_mm + radius <= spec.height_mm - margin


@pytest.mark.parametrize(("outside", "inside"), [("configs/plates", "plates"), ("configs", "demo/methods")])
def test_files_shipped_in_two_places_are_identical(outside: str, inside: str) -> None:
    shipped = {path.name: path for path in (ROOT / "thermo_qc" / "resources" / inside).glob("*.yaml")}
    names = shipped.keys() & {path.name for path in (ROOT / outside).glob("*.yaml")}
    assert names
    for name in names:
        assert shipped[name].read_text(encoding="utf-8") == (ROOT / outside / name).read_text(encoding="utf-8"), name


def test_load_plate_by_path(tmp_path: Path) -> None:
    text = shipped_plates()["gfrp_calibrated"].read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace("name: gfrp_calibrated", "name: mine"), encoding="utf-8")
    assert load_plate(tmp_path / "mine.yaml").name == "mine"
    assert load_plate("mine.yaml", relative_to=tmp_path).name == "mine"
    assert load_plate("gfrp_calibrated", relative_to=tmp_path).name == "gfrp_calibrated"


def test_plates_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="plate 'gfrp_calibratd' is neither a YAML file nor a plate that ships; did you mean 'gfrp_cal"
    ):
        load_plate("gfrp_calibratd")
    with pytest.raises(InputError, match=r"none\.yaml does not exist; check the path"):
        load_plate("none.yaml", relative_to=tmp_path)
    (tmp_path / "bad.yaml").write_text("nmae: P\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.yaml: unknown key 'nmae'; did you mean 'name'\?"):
        load_plate(tmp_path / "bad.yaml")
