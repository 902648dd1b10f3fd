"""Masks, outlines, regions and plates seen through a homography."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from thermo_qc.errors import AmbiguousInputError, CorruptFileError, InputError, TruthError, UnknownFormatError
from thermo_qc.io import read_homography, read_region, read_truth, truth_of_plate
from thermo_qc.io.labels import truth_from_labels
from thermo_qc.io.outlines import Outline, fill_outline
from thermo_qc.io.truth import with_diameters
from thermo_qc.plate import load_plate

SHAPE = (6, 8)
LABELS = np.array(
    [
        [255, 255, 0, 0, 0, 0, 0, 0],
        [255, 0, 0, 0, 0, 3, 3, 0],
        [0, 255, 0, 0, 0, 3, 3, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 255],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
    dtype=np.uint8,
)
NUMBERS = np.where(LABELS == 3, 1, np.where(LABELS == 255, 2, 0))
NUMBERS[4, 7] = 3


def _palette(path: Path) -> None:
    image = Image.new("P", SHAPE[::-1])
    image.putdata(LABELS.ravel().tolist())
    image.putpalette([value for index in range(256) for value in (255 - index, index, 7)])
    image.save(path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "grey.png": lambda path: Image.fromarray(LABELS).save(path),
    "deep.png": lambda path: Image.fromarray(LABELS.astype(np.uint16)).save(path),
    "palette.png": _palette,
    "colours.png": lambda path: Image.fromarray(np.stack([LABELS] * 3, axis=-1)).save(path),
    "opaque.png": lambda path: Image.fromarray(np.stack([*[LABELS] * 3, LABELS * 0 + 255], axis=-1)).save(path),
    "mask.tif": lambda path: tifffile.imwrite(path, LABELS),
}


@pytest.mark.parametrize("name", WRITERS)
def test_mask_pictures(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    truth = read_truth(tmp_path / name, SHAPE, {255: 1.3, "3": 4.6})
    np.testing.assert_array_equal(truth.defect_index, NUMBERS)
    assert [(defect.name, defect.depth_mm) for defect in truth.defects] == [("3", 4.6), ("255.1", 1.3), ("255.2", 1.3)]
    np.testing.assert_array_equal(np.isnan(truth.depth_mm), LABELS == 0)
    np.testing.assert_allclose(truth.depth_mm[LABELS == 3], 4.6)
    np.testing.assert_array_equal(read_region(tmp_path / name, SHAPE), LABELS > 0)


def test_two_level_mask_and_mask_without_defects(tmp_path: Path) -> None:
    Image.fromarray(LABELS > 0).save(tmp_path / "a.png")
    assert [defect.name for defect in read_truth(tmp_path / "a.png", SHAPE).defects] == ["1.1", "1.2", "1.3"]
    Image.fromarray(LABELS * 0).save(tmp_path / "b.png")
    assert read_truth(tmp_path / "b.png", SHAPE).defects == ()
    with pytest.raises(TruthError, match=r"b\.png marks no pixel"):
        read_region(tmp_path / "b.png", SHAPE)


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "a.png")
    for read in (read_truth, read_region):
        with pytest.raises(TruthError, match=r"a\.png has 6 x 8 pixels, the frames have 8 x 6; draw it on a frame"):
            read(tmp_path / "a.png", SHAPE[::-1])
    with pytest.raises(
        TruthError, match="a depth is given for label 4, which is not in the mask; labels there: 3, 255"
    ):
        read_truth(tmp_path / "a.png", SHAPE, {4: 1.0})
    with pytest.raises(TruthError, match=r"label 3 has depth -1\.0 mm, expected a positive number"):
        read_truth(tmp_path / "a.png", SHAPE, {3: -1.0})
    with pytest.raises(TruthError, match="depths are given for deep; expected whole numbers"):
        read_truth(tmp_path / "a.png", SHAPE, {"deep": 1.0})


def test_pictures_that_are_no_masks(tmp_path: Path) -> None:
    Image.fromarray(np.arange(144, dtype=np.uint8).reshape(6, 8, 3)).save(tmp_path / "a.png")
    with pytest.raises(CorruptFileError, match=r"in colour .*save it as a grey or palette PNG"):
        read_truth(tmp_path / "a.png", SHAPE)
    tifffile.imwrite(tmp_path / "b.tif", LABELS + np.float32(0.5))
    with pytest.raises(TruthError, match="holds fractions, expected whole numbers as labels"):
        read_truth(tmp_path / "b.tif", SHAPE)
    (tmp_path / "c.png").write_bytes(b"x")
    with pytest.raises(CorruptFileError, match="expected a PNG or TIFF picture"):
        read_truth(tmp_path / "c.png", SHAPE)
    with pytest.raises(InputError, match="does not exist"):
        read_truth(tmp_path / "d.png", SHAPE)
    with pytest.raises(InputError, match="is a folder, expected a mask"):
        read_truth(tmp_path, SHAPE)
    with pytest.raises(
        UnknownFormatError, match=r"no known mask format; expected PNG or TIFF .*COCO \.json or CVAT \.xml"
    ):
        read_truth(tmp_path / "e.txt", SHAPE)


def test_a_picture_of_noise_is_no_mask() -> None:
    checks = np.indices((600, 600)).sum(axis=0) % 2 * 0 + np.arange(600) % 2
    checks = np.where(np.arange(600)[:, None] % 2, 0, checks)
    with pytest.raises(TruthError, match="more than 32767 separate regions; is this a mask"):
        truth_from_labels(checks)


@pytest.mark.parametrize("radius", [1.2, 4.7, 20.0])
def test_polygons_cover_their_area(radius: float) -> None:
    angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    polygon = np.column_stack([30 + radius * np.cos(angle), 25.3 + radius * np.sin(angle)])
    inside = fill_outline(Outline(label="", polygons=(polygon,)), (50, 60))
    y, x = np.mgrid[0:50, 0:60] + 0.5
    distance = np.hypot(x - 30, y - 25.3)
    assert inside[distance < radius * np.cos(np.pi / 100) - 1e-9].all() and not inside[distance > radius].any()


def test_polygons_are_clipped_and_a_square_has_its_own_pixels() -> None:
    square = np.array([[1.0, 2.0], [4.0, 2.0], [4.0, 5.0], [1.0, 5.0]])
    inside = fill_outline(Outline(label="", polygons=(square,)), SHAPE)
    assert inside.sum() == 9 and inside[2:5, 1:4].all()
    assert fill_outline(Outline(label="", polygons=(square - [3, 4],)), SHAPE).sum() == 1
    assert not fill_outline(Outline(label="", polygons=(square + 100,)), SHAPE).any()


def _coco(path: Path, **changes: Any) -> Path:
    square, small = [0, 0, 3, 0, 3, 3, 0, 3], [5, 4, 7, 4, 7, 6, 5, 6]
    content = {
        "images": [{"id": 1, "file_name": "frame.png", "height": 6, "width": 8}],
        "categories": [{"id": 5, "name": "shallow"}, {"id": 9, "name": "deep"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 5, "segmentation": [square]},
            {"id": 2, "image_id": 1, "category_id": 9, "segmentation": [small], "attributes": {"depth_mm": 4.5}},
            {"id": 3, "image_id": 1, "category_id": 5, "segmentation": [[2, 2, 4, 2, 4, 4, 2, 4]]},
        ],
    }
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_coco_outlines(tmp_path: Path) -> None:
    path = _coco(tmp_path / "a.json")
    truth = read_truth(path, SHAPE, {"shallow": 1.5})
    expected = np.zeros(SHAPE, int)
    expected[0:3, 0:3], expected[4:6, 5:7], expected[2:4, 2:4] = 1, 2, 3
    np.testing.assert_array_equal(truth.defect_index, expected)
    named = [(defect.name, defect.depth_mm) for defect in truth.defects]
    assert named == [("shallow.1", 1.5), ("deep", 4.5), ("shallow.2", 1.5)]
    assert truth.depth_mm[5, 5] == np.float32(4.5)
    np.testing.assert_array_equal(read_region(path, SHAPE), expected > 0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"images": []}, AmbiguousInputError, r"describes 0 pictures \(none\), expected one"),
        ({"images": [{"file_name": "a"}, {"file_name": "b"}]}, AmbiguousInputError, r"describes 2 pictures \(a, b\)"),
        ({"images": [{"height": 5, "width": 8}]}, TruthError, "picture of 5 x 8 pixels, the frames have 6 x 8"),
        (
            {"annotations": [{"id": 7, "segmentation": {"counts": "x"}}]},
            CorruptFileError,
            "annotation 7 is a run-length",
        ),
        ({"annotations": [{"segmentation": [[1, 2, 3]], "category_id": 5}]}, CorruptFileError, "COCO annotations"),
        (
            {"annotations": [{"segmentation": [[1, 2, 3, 4]], "category_id": 5}]},
            CorruptFileError,
            "three finite corners",
        ),
        ({"annotations": 3}, CorruptFileError, "expected COCO annotations"),
        (
            {"annotations": [{"segmentation": [[0.6, 0.6, 0.9, 0.6, 0.9, 0.9]], "category_id": 5}]},
            TruthError,
            r"outline 1 \('shallow'\) covers no pixel centre",
        ),
    ],
)
def test_coco_files_that_do_not_fit(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_truth(_coco(tmp_path / "a.json", **changes), SHAPE)


def test_depth_of_a_label_that_is_not_drawn(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="label surface, which is not in the mask; labels there: deep, shallow"):
        read_truth(_coco(tmp_path / "a.json"), SHAPE, {"surface": 1.0})


def _cvat(path: Path, shapes: str, head: str = "", size: str = 'width="8" height="6"') -> Path:
    picture = f'<image id="0" name="frame.png" {size}><tag label="t"/>{shapes}</image>'
    path.write_text(f'<?xml version="1.0"?>{head}<annotations><version>1.1</version>{picture}</annotations>')
    return path


def test_cvat_outlines(tmp_path: Path) -> None:
    shapes = """
    <polygon label="hole" points="0,0;3,0;3,3;0,3"><attribute name="depth_mm">1.25</attribute></polygon>
    <box label="insert" xtl="5" ytl="0" xbr="8" ybr="2"/>
    <box label="insert" xtl="3.1" ytl="4.2" xbr="7.1" ybr="5.2" rotation="90"/>
    """
    truth = read_truth(_cvat(tmp_path / "a.xml", shapes), SHAPE, {"insert": 2})
    expected = np.zeros(SHAPE, int)
    # Turned about its centre (5.1, 4.7), the last box reaches over x 4.6 to 5.6, y 2.7 to 6.7.
    expected[0:3, 0:3], expected[0:2, 5:8], expected[3:6, 5] = 1, 2, 3
    np.testing.assert_array_equal(truth.defect_index, expected)
    assert [(d.name, d.depth_mm) for d in truth.defects] == [("hole", 1.25), ("insert.1", 2), ("insert.2", 2)]


def test_cvat_rotation_is_clockwise_on_the_screen(tmp_path: Path) -> None:
    # A box 20 x 2 px about (30, 30), turned by 45 degrees: its right end goes down.
    shape = '<box label="b" xtl="20" ytl="29" xbr="40" ybr="31" rotation="45"/>'
    region = read_region(_cvat(tmp_path / "a.xml", shape, size='width="60" height="60"'), (60, 60))
    assert region[35, 35] and region[25, 25] and not region[25, 35] and not region[35, 25]


def test_cvat_ellipse_has_its_area(tmp_path: Path) -> None:
    shape = '<ellipse label="e" cx="30" cy="20" rx="15.5" ry="8.2" rotation="20"/>'
    region = read_region(_cvat(tmp_path / "a.xml", shape, size='width="60" height="40"'), (40, 60))
    assert region.sum() == pytest.approx(np.pi * 15.5 * 8.2, rel=0.02)
    assert region[20, 30] and not region[3, 30]


@pytest.mark.parametrize(
    ("shapes", "head", "error", "message"),
    [
        ('<mask label="m" rle="1"/>', "", CorruptFileError, "shape is a mask, expected a polygon, box or ellipse"),
        ('<polygon label="m" points="1,2;3"/>', "", CorruptFileError, "expected CVAT annotations"),
        ('<polygon points="0,0;3,0;3,3"/>', "", CorruptFileError, "expected CVAT annotations"),
        ("<polygon", "", CorruptFileError, "expected CVAT annotations"),
        ("", '<!DOCTYPE a [<!ENTITY x "y">]>', CorruptFileError, "XML with a DOCTYPE or entities"),
        (
            '<box label="b" xtl="1" ytl="1" xbr="4" ybr="4"><attribute name="depth_mm">-2</attribute></box>',
            "",
            CorruptFileError,
            "depth_mm is -2, expected a positive number",
        ),
    ],
)
def test_cvat_files_that_do_not_fit(
    tmp_path: Path, shapes: str, head: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_truth(_cvat(tmp_path / "a.xml", shapes, head), SHAPE)


def test_xml_of_something_else_and_missing_outlines(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<html/>")
    with pytest.raises(AmbiguousInputError, match="describes 0 pictures"):
        read_truth(tmp_path / "a.xml", SHAPE)
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorruptFileError, match="expected UTF-8 text"):
        read_truth(tmp_path / "b.json", SHAPE)
    with pytest.raises(InputError, match="does not exist"):
        read_truth(tmp_path / "c.xml", SHAPE)


def test_diameter_of_the_circle_of_equal_area(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "a.png")
    truth = with_diameters(read_truth(tmp_path / "a.png", SHAPE), 0.5)
    assert truth.defects[0].diameter_mm == pytest.approx(2 * np.sqrt(4 * 0.25 / np.pi))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_plate_seen_straight_is_the_plate_itself(sign: float) -> None:
    plate, pitch = load_plate("gfrp_calibrated"), 2.0
    expected = plate.truth(pitch)
    # Pixel centres are whole numbers here and lie at (i + 0.5) pitch on the plate.
    matrix = sign * np.array([[pitch, 0, pitch / 2], [0, pitch, pitch / 2], [0, 0, 1]])
    truth, found = truth_of_plate(plate, matrix, expected.shape)
    np.testing.assert_array_equal(truth.defect_index, expected.defect_index)
    assert found == pytest.approx(pitch)
    assert truth.defects == plate.defects


def test_plate_in_perspective() -> None:
    plate = load_plate("gfrp_calibrated")
    matrix = np.array([[1.4, 0.1, -30.0], [0.05, 1.3, -20.0], [4e-4, 2e-4, 1.0]])
    truth, pitch = truth_of_plate(plate, matrix, (300, 400))
    for hole in plate.holes:
        place = np.linalg.solve(matrix, [hole.x_mm, hole.y_mm, 1.0])
        column, row = np.rint(place[:2] / place[2]).astype(int)
        assert truth.defect_index[row, column] == hole.number
    area = (truth.defect_index >= 0).sum() * pitch**2
    inner = (plate.width_mm - 2 * plate.edge_margin_mm) * (plate.height_mm - 2 * plate.edge_margin_mm)
    assert area == pytest.approx(inner, rel=0.1)
    corner = matrix @ [0, 0, 1]
    assert corner[0] < 0 and truth.defect_index[0, 0] == -1


def test_plate_beside_the_frame() -> None:
    matrix = np.array([[1.0, 0, 1000], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(TruthError, match="puts no pixel of 50 x 60 on plate 'gfrp_calibrated'"):
        truth_of_plate(load_plate("gfrp_calibrated"), matrix, (50, 60))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 0]]}, "is no invertible 3 x 3 matrix"),
        ({"matrix": [[1, 0], [0, 1]]}, "is no invertible 3 x 3 matrix"),
        ({"matrix": "x"}, "has no 'matrix' of 3 x 3 numbers"),
        ({"points": []}, "has no 'matrix' of 3 x 3 numbers"),
        ([1], "has no 'matrix' of 3 x 3 numbers"),
    ],
)
def test_registration_files(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "registration.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=message):
        read_homography(path)
    path.write_text(yaml.safe_dump({"matrix": np.diag([2.0, 3, 1]).tolist(), "residual_mm": 0.1}))
    np.testing.assert_array_equal(read_homography(path), np.diag([2.0, 3, 1]))
