"""Record and report of a part made by hand: schema, escaping, values under the pointer, PDF, DICOM."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from thermo_qc.config import CriteriaConfig, ProcedureConfig, parse_config
from thermo_qc.errors import CorruptFileError, InputError, MissingDependencyError
from thermo_qc.inspection import (
    DefectMap,
    PlatePlace,
    RecordedSetup,
    ShownSizes,
    check_shown,
    criteria_from_config,
    judge,
)
from thermo_qc.io import plain_json, write_json
from thermo_qc.report import dicom, pdf
from thermo_qc.report.inspection_html import write_batch_page, write_part_page
from thermo_qc.report.inspection_maps import PartMaps, map_blocks
from thermo_qc.report.inspection_page import part_sections, pod_section
from thermo_qc.report.layers import edges_of, layer_values, value_field
from thermo_qc.report.shown_blocks import shown_blocks
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.workflows import dispose
from thermo_qc.workflows.inspection_record import Provenance, make_record, read_record, record_schema
from thermo_qc.workflows.part_page import PAGE_FORMATS, part_maps, write_pages

EVIL = "<script>alert(1)</script>"
SHA = "0f" * 32
CRITERIA = {
    "name": f"level {EVIL}",
    "limits": [{"name": "near", "classes": ["near"], "max_equivalent_diameter_mm": 5, "detect_depth_mm": 1.0}],
    "regions": [{"name": EVIL, "rectangle_mm": [16, 2, 28, 10], "limits": [{"max_total_fraction": 0.5}]}],
}


def make_part(**options: Any) -> tuple[dict[str, Any], PartMaps]:
    """Record and maps of a plate of 30 x 20 mm with a certain and a suspect place."""
    probability = np.zeros((3, 20, 30), dtype=np.float32)
    probability[0] = 1.0
    probability[:, 4:12, 5:13] = np.array([0.05, 0.9, 0.05])[:, None, None]
    probability[:, 14:18, 20:24] = np.array([0.6, 0.1, 0.3])[:, None, None]
    class_map = probability.argmax(axis=0).astype(np.uint8)
    class_map[:, -1] = 255
    depth = np.where(class_map == 1, 1.0, np.nan).astype(np.float32)
    prediction = DefectMap(
        class_map=class_map,
        probability=probability,
        depth_mm=depth,
        class_names=("sound", "near", "</script><b>"),
        pixel_pitch_mm=1.0,
        notes=("the model was trained for flash",),
    )
    times = np.arange(-2.0, 10.0)
    frames = np.random.default_rng(0).normal(20.0, 0.1, (times.size, 20, 30))
    sequence = ThermalSequence(
        frames=frames, times_s=times, unit="degC", pixel_pitch_mm=1.0, specimen_id=EVIL,
        excitation=Excitation(kind="long_pulse", stop_s=3.0),
    )  # fmt: skip
    config = parse_config(CriteriaConfig, CRITERIA, "criteria")
    criteria = criteria_from_config(config)
    recorded = RecordedSetup(setup=None, material=None, thickness_mm=None, missing=("material",))
    shown = check_shown(criteria, recorded)
    place = PlatePlace(matrix=np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]]), size_mm=(30.0, 20.0))
    verdict = judge(prediction, criteria, place=place, doubts=shown.doubts, class_bands_mm={"near": (0, np.inf)})
    procedure = parse_config(ProcedureConfig, {"part": {"designation": EVIL, "serial_number": 7}}, "procedure")
    identity = {"run": SHA, "recording_sha256": SHA, "facts_sha256": ""}
    provenance = Provenance(
        recording=f"{EVIL}.h5", place=f"/{EVIL}.h5", identity=identity, models=({"name": "m", "sha256": SHA},),
        options={"min_area_px": 4, "facts": {}}, criteria_sha256=SHA, procedure_sha256="", versions={"thermo_qc": "0"},
    )  # fmt: skip
    record = make_record(
        stem="odd name#1?", key=SHA, sequence=sequence, prediction=prediction, verdict=verdict, has_criteria=True,
        criteria={"sha256": SHA, **config.model_dump(mode="json")}, recorded=recorded, shown=shown,
        assume_detectable=False, limits=asdict(criteria.detection), procedure=procedure.model_dump(mode="json"),
        plate=None, place=place, provenance=provenance, map_sha256=SHA, frame_time_s=4.0,
    )  # fmt: skip
    record |= options
    return record, part_maps(record, prediction, sequence)


SIZES = ShownSizes(
    depths_mm=(1.0, 4.0), detectable_mm=(2.0, float("nan")), visible_mm=(0.5, 9.0), smallest_mm=(0.5, 2.0),
    largest_mm=(12.0, 48.0),
)  # fmt: skip
SETUP = {
    "heating": "long_pulse", "flux_w_m2": 900.0, "energy_j_m2": None, "pulse_s": 3.0, "noise_k": 0.02,
    "pixel_pitch_mm": 1.0, "blur_px": 0.5, "frame_rate_hz": 1.0, "duration_s": 9.0,
}  # fmt: skip


def pod_of(**change: Any) -> dict[str, Any]:
    """POD by diameter with numbers, by diameter over depth with a reason."""
    given: dict[str, Any] = {
        "n_targets": 60,
        "n_looks": 60,
        "n_hits": 40,
        "indicative": False,
        "notes": [],
        "bootstrap": None,
    }
    size = {"value": 6.0, "low": 5.0, "high": 8.0, "reason": ""}
    none = {"value": None, "low": None, "high": None, "reason": "hits and misses are separated"}
    grid = {"sizes": [2.0, 6.0, 12.0], "pod": [0.1, 0.9, 1.0], "low": [0.0, 0.8, 0.9], "high": [0.2, 1.0, 1.0]}
    curves = {
        "diameter": {**given, **grid, "a50": size, "a90": size, "a90_95": size, "reason": "", "confidence": 0.95},
        "aspect": {**given, "a50": none, "a90": none, "a90_95": none, "reason": none["reason"]},
    }
    pod = {"source": "runs/a", "sha256": SHA, "name": f"lab {EVIL}", "splits_sha256": SHA, "model_sha256": [SHA]}
    return {**pod, "curves": curves, **change}


SAID = {
    "indication": 1, "word": "dismissed", "by": EVIL, "why": EVIL, "time": "2026-01-01T00:00:00+00:00",
    "result_sha256": SHA, "account": "a", "stale": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def part() -> tuple[dict[str, Any], PartMaps]:
    return make_part(dispositions=[SAID])


@pytest.fixture(scope="module")
def page(part: tuple[dict[str, Any], PartMaps], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "part.html"
    write_part_page(*part, path)
    return path.read_text(encoding="utf-8")


def test_the_record_fits_its_schema(part: tuple[dict[str, Any], PartMaps], tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(record_schema())
    write_json(tmp_path / "a.json", part[0])
    record = read_record(tmp_path / "a.json")
    jsonschema.validate(record, record_schema())
    assert record["indications"][0]["depth_interval_mm"] == [0.0, None]
    assert [one["suspect"] for one in record["indications"]] == [False, True]
    for key in ("verdict", "indications", "provenance"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({name: value for name, value in record.items() if name != key}, record_schema())


def test_a_record_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.inspection.json"
    with pytest.raises(InputError, match="does not exist"):
        read_record(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(CorruptFileError, match="broken"):
        read_record(path)
    path.write_text('{"format": "thermo_qc inspection", "version": 99}', encoding="utf-8")
    with pytest.raises(CorruptFileError, match="99"):
        read_record(path)


class _Scripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append((dict(attrs), ""))
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[-1] = (self.found[-1][0], self.found[-1][1] + data)


def test_nothing_of_the_part_becomes_code(page: str) -> None:
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    parser = _Scripts()
    parser.feed(page)
    (kind, data), (own, script) = parser.found
    assert kind == {"type": "application/json"}
    assert own == {}
    allowed = re.search(r"script-src 'sha256-([^']+)'", page)
    assert allowed is not None
    assert allowed[1] == base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert json.loads(data)["fields"][3]["names"][2] == "</script><b>"


def test_the_page_says_what_a_report_needs(page: str) -> None:
    for text in (
        "REJECT", "missing", "stale", "the model was trained for flash", "material is missing", SHA, "signature",
        "What the recording could have shown", "x on the plate, mm", "suspect place",
    ):  # fmt: skip
        assert text in page, text
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_values_under_the_pointer_are_those_of_the_map() -> None:
    values = np.array([[0.0, 0.25], [np.nan, -3.5]])
    field = value_field("a", values, digits=3)
    codes = np.frombuffer(base64.b64decode(field["codes"]), dtype="<u2")
    back = np.where(codes == 65535, np.nan, field["offset"] + field["scale"] * codes).reshape(2, 2)
    np.testing.assert_allclose(back, values, atol=1e-4)
    flat = value_field("flat", np.full((2, 2), 2.0))
    assert set(np.frombuffer(base64.b64decode(flat["codes"]), dtype="<u2").tolist()) == {0}
    assert flat["offset"] == 2.0
    text = layer_values((2, 2), [value_field("<&>", values)], matrix=np.eye(3), where="plate", unit="mm")
    assert not set("<>&") & set(text)
    assert json.loads(text)["fields"][0]["name"] == "<&>"


def test_edges_go_round_the_pixels() -> None:
    inside = np.zeros((4, 5), dtype=bool)
    inside[1:3, 1:4] = True
    edges = edges_of(inside)
    assert len(edges) == 2 * (2 + 3)
    assert edges.reshape(-1, 2).min(axis=0).tolist() == [1, 1]
    assert edges.reshape(-1, 2).max(axis=0).tolist() == [4, 3]
    assert len(edges_of(np.ones((1, 1), dtype=bool))) == 4


def test_a_page_without_criteria_and_frames(part: tuple[dict[str, Any], PartMaps], tmp_path: Path) -> None:
    record = {**part[0], "criteria": None, "verdict": None, "findings": [], "dispositions": []}
    record["map"] = {**record["map"], "plate_matrix": None, "pixel_pitch_mm": None}
    maps = replace(part[1], thermograms=(), frame=None, missing="the disk is gone.")
    write_part_page(record, maps, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "standards of active thermography" in text
    assert "the disk is gone" in text
    assert "x on the frame, px" in text
    assert not re.search("ACCEPT|REJECT|REVIEW", text)


def test_the_batch_page_links_and_counts(part: tuple[dict[str, Any], PartMaps], tmp_path: Path) -> None:
    (tmp_path / "odd name#1?.html").write_text("", encoding="utf-8")
    write_batch_page([part[0]], [(EVIL, EVIL)], tmp_path / "inspection.html")
    text = (tmp_path / "inspection.html").read_text(encoding="utf-8")
    assert 'href="odd%20name%231%3F.html"' in text
    assert "0 ACCEPT, 1 REJECT, 0 REVIEW; 1 recording failed" in text
    assert EVIL not in text
    assert "script-src" in text


def test_the_pdf_holds_the_same_sections(part: tuple[dict[str, Any], PartMaps], tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    path = tmp_path / "part.pdf"
    pdf.write_part_pdf(*part, path)
    content = path.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    n_pages = len(re.findall(rb"/Type\s*/Page\b", content))
    n_pictures = len(set(re.findall(rb"/FormXob\.[0-9a-f]+", content)))
    assert n_pages >= 4
    assert n_pictures == sum(block.block == "picture" for one in part_sections(*part) for block in one.blocks)


def test_the_dicom_file_reads_back(part: tuple[dict[str, Any], PartMaps], tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    path = tmp_path / "part.dcm"
    dicom.write_dicom(*part, path)
    data = pydicom.dcmread(path)
    assert data.SOPClassUID.name == "Secondary Capture Image Storage"
    assert data.pixel_array.shape == (data.Rows, data.Columns, 3)
    assert data.PatientID == "7"
    assert "no conformance" in data.ImageComments
    assert "REJECT" in data.ImageComments
    first = data.SOPInstanceUID
    dicom.write_dicom(*part, path)
    assert pydicom.dcmread(path).SOPInstanceUID == first


@pytest.mark.parametrize(("module", "check"), [("reportlab", pdf.check_reportlab), ("pydicom", dicom.check_pydicom)])
def test_a_missing_package_is_named_with_its_pip_line(module: str, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    home = pdf if module == "reportlab" else dicom
    monkeypatch.setattr(home, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=f"pip install {module}"):
        check()


def test_plain_json_of_the_record_is_stable(part: tuple[dict[str, Any], PartMaps]) -> None:
    assert json.loads(json.dumps(plain_json(part[0]), allow_nan=False)) == plain_json(part[0])


def test_detectability_and_pod_are_drawn(part: tuple[dict[str, Any], PartMaps], tmp_path: Path) -> None:
    sizes = plain_json({name: list(values) for name, values in asdict(SIZES).items()})
    shown = {**part[0]["detectability"], "setup": SETUP, "sizes": sizes, "missing": []}
    record = {**part[0], "detectability": shown, "pod": pod_of()}
    jsonschema.validate(plain_json(record), record_schema())
    write_part_page(record, part[1], tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    for words in ("Smallest detectable diameter over depth", "POD curves", "separated", SHA, "splits"):
        assert words in text, words
    assert EVIL not in text
    assert "other models" not in text
    for change, words in (({"model_sha256": ["ab" * 32]}, "other models"), ({"model_sha256": []}, "not recorded")):
        blocks = pod_section({**record, "pod": pod_of(**change)})
        assert any(words in getattr(block, "text", "") for block in blocks)


def test_what_is_not_there_is_stated(page: str, part: tuple[dict[str, Any], PartMaps]) -> None:
    assert "no probability of detection was given" in page
    assert "not known: the model is not in its run folder" in page
    shown = {**part[0]["detectability"], "setup": SETUP, "sizes": None}
    said = [getattr(block, "text", "") for block in shown_blocks({**part[0], "detectability": shown})]
    assert any("could not be computed" in text for text in said)
    maps = replace(part[1], depth_mm=np.full((20, 30), np.nan, dtype=np.float32))
    assert any("no depth is stated" in getattr(block, "text", "") for block in map_blocks(part[0], maps))


def test_pictures_are_written_beside(part: tuple[dict[str, Any], PartMaps], tmp_path: Path) -> None:
    record, maps = part
    prediction = DefectMap(
        class_map=maps.class_map, probability=np.stack([1 - maps.defect_probability, maps.defect_probability]),
        depth_mm=np.full((20, 30), np.nan, dtype=np.float32), class_names=("sound", "near"), pixel_pitch_mm=1.0,
    )  # fmt: skip
    write_pages(record, prediction, None, tmp_path / "a", formats=["png"])
    paths = PAGE_FORMATS["png"](tmp_path / "a")
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    sizes = {path.name: Image.open(io.BytesIO(path.read_bytes())).size for path in paths}
    assert min(min(size) for size in sizes.values()) > 300, sizes


def test_a_record_without_its_map_is_one_line(part: tuple[dict[str, Any], PartMaps], tmp_path: Path) -> None:
    write_json(tmp_path / "a.inspection.json", part[0])
    with pytest.raises(InputError, match=r"a\.h5"):
        dispose.run(tmp_path, "a", 1, word="confirmed", by="A. B.", why="seen")
    assert not (tmp_path / "a.dispositions.jsonl").exists()
