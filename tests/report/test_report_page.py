"""The page: complete in itself, escaped, and honest about what is missing."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from report_cases import make_demo

from thermo_qc.errors import CorruptFileError, InputError, OutputError
from thermo_qc.plate import load_plate
from thermo_qc.report import build_report
from thermo_qc.workflows import report as workflow

VOID = {"meta", "img", "br", "hr", "link", "input"}
Make = Callable[..., Path]


class Page(HTMLParser):
    """Tags, ids, links and the visible text of a page; complains about tags that do not close."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name in {"href", "src", "srcset", "action", "data"} and value]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data + " "


def page_of(folder: Path) -> Page:
    return Page(build_report(folder))


@pytest.fixture(scope="module")
def page(finished_run: Path) -> Page:
    return page_of(finished_run)


def test_loads_nothing_and_runs_nothing(page: Page) -> None:
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.source
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(page.tags)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    style = re.search(r"<style>(.*?)</style>", page.source, re.DOTALL)
    assert style is not None and "url(" not in style[1] and "@import" not in style[1]


def test_contents_lead_to_every_section(page: Page) -> None:
    targets = [link[1:] for link in page.links if link.startswith("#")]
    assert sorted(targets) == sorted(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert {
        "done",
        "plate",
        "splits",
        "maps",
        "map-0",
        "map-2",
        "metrics",
        "holes",
        "curves",
        "training",
        "leakage",
    } <= set(targets)


def test_every_hole_of_every_recording_is_listed_and_misses_are_called_misses(page: Page, finished_run: Path) -> None:
    holes = json.loads((finished_run / "metrics.json").read_text())["holes"]
    missed = [hole for hole in holes if not hole["found"]]
    assert len(holes) == 12 and {hole["name"] for hole in missed} == {"H4"}
    rows = re.findall(r'<tr><th scope="row">(H\d)</th>(.*?)</tr>', page.source)
    assert len(rows) == 4 + 12  # the matrix, then one table per recording
    for name, cells in rows:
        assert ("missed, in the noise" in cells) == (name == "H4")
        assert (">found<" in cells) == (name != "H4")
    assert "9 of 9 (100 %" in page.text
    assert "9 of 12 (75 %" in page.text


def test_pictures_are_png_with_their_size_and_a_description(page: Page) -> None:
    assert len(page.images) == 9  # plate, splits, three maps, confusion, grid, curves, training
    for image in page.images:
        content = base64.b64decode(str(image["src"]).split(",", 1)[1])
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        size = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
        assert size == (int(str(image["width"])), int(str(image["height"])))
        assert image["alt"]


def test_says_what_was_done_and_what_the_random_score_hides(page: Page) -> None:
    assert "cross-validated on 3 recordings" in page.text
    assert "has seen no frame of its acquisition" in page.text
    assert "so that score hides how much worse the model does" in page.text
    assert "promises a defect IoU of 0.970" in page.text
    assert "numpy" in page.text and "2.0" in page.text
    assert "c" * 64 in page.text
    assert "balanced accuracy" in page.text and "Intersection over union" in page.text


def test_hostile_names_are_escaped(new_run: Make, unrendered: None) -> None:
    evil = "<script>alert(1)</script>"
    folder = new_run(name=evil, plate_name=evil, keys=("a", "b"))
    metrics = json.loads((folder / "metrics.json").read_text())
    for hole in metrics["holes"]:
        hole["name"] = evil + str(hole["number"])
    (folder / "metrics.json").write_text(json.dumps(metrics))
    record = json.loads((folder / "run.json").read_text())
    record["class_names"] = ["sound", evil, '"><img src=x onerror=y>']
    record["data"][0]["condition"] = evil
    (folder / "run.json").write_text(json.dumps(record))
    page = page_of(folder)
    assert "script" not in page.tags
    assert len(page.images) == page.source.count("data:image/png;base64,")
    assert evil in page.text


def drop(pattern: str) -> Callable[[Path], None]:
    def remove(run: Path) -> None:
        for path in list(run.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def spoil(name: str, text: str) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        (run / name).write_text(text)

    return write


MISSING = [
    [
        (drop("metrics.json"), "metrics.json is missing"),
        (drop("predictions"), "no predictions were stored"),
        (drop("splits.json"), "the splits cannot be drawn"),
        (drop("config.yaml"), "config.yaml of unet is not there"),
        (drop("fold_*/history.csv"), "no history.csv was found"),
        (drop("data"), "curves of first cannot be drawn"),
    ],
    [
        (spoil("metrics.json", "{"), "metrics.json cannot be read"),
        (spoil("predictions/second.h5", "no"), "prediction of second (second.h5) cannot be read"),
        (spoil("splits.json", "{}"), "the splits cannot be drawn"),
        (spoil("data/first.h5", "no"), "curves of first cannot be drawn"),
    ],
    [
        (spoil("metrics.json", "[1]"), "metrics.json holds list"),
        (drop("predictions/second.h5"), "no prediction was stored of second"),
        (spoil("fold_1/history.csv", ""), "training history of fold 1 is empty or broken"),
    ],
]


@pytest.mark.parametrize("changes", MISSING, ids=["gone", "broken", "odd"])
def test_what_is_missing_is_stated(
    finished_run: Path, tmp_path: Path, unrendered: None, changes: list[tuple[Callable[[Path], None], str]]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    record = json.loads((folder / "run.json").read_text())
    for entry in record["data"]:
        entry["recording"] = str(folder / "data" / f"{entry['key']}.h5")
    (folder / "run.json").write_text(json.dumps(record))
    for change, _ in changes:
        change(folder)
    page = page_of(folder)
    for _, statement in changes:
        assert statement in page.text
    assert page.source.count('class="missing"') >= len(changes)


def test_undefined_figures_are_never_zero(new_run: Make, unrendered: None) -> None:
    folder = new_run()
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["pooled"]["per_class"]["in-depth defect"]["recall"] = None
    metrics["folds"][0]["metrics"]["defect_iou"] = None
    metrics["leakage"] = None
    for hole in metrics["holes"]:
        hole["contrast_to_noise"] = hole["peak_contrast_k"] = None
    (folder / "metrics.json").write_text(json.dumps(metrics))
    page = page_of(folder)
    assert page.source.count('<td class="unknown">not defined</td>') >= 2
    assert "the leakage gap was not measured" in page.text
    assert "nobody can say which of them could be seen" in page.text
    assert ">missed<" in page.source and "in the noise<" not in page.source


def test_maps_of_different_sizes_are_not_drawn(new_run: Make, unrendered: None) -> None:
    folder = new_run(keys=("a", "b"))
    with h5py.File(folder / "predictions" / "a.h5", "r+") as file:
        del file["truth/class_map"]
        file["truth/class_map"] = np.zeros((3, 3), dtype=np.uint8)
    with h5py.File(folder / "predictions" / "b.h5", "r+") as file:
        del file["truth"], file["frame"]
    text = page_of(folder).text
    assert "the maps of a have different sizes, so nothing can be drawn" in text
    assert "the truth was not stored with the prediction of b" in text


def test_unfinished_run_says_so(new_run: Make, unrendered: None) -> None:
    assert "This run is not finished" in page_of(new_run(status="running")).text


def test_single_fold_run_says_which(new_run: Make, unrendered: None) -> None:
    folder = new_run(only_folds=[0], n_folds=3)
    (folder / "predictions" / "second.h5").unlink()
    text = page_of(folder).text
    assert "Of 3 folds only 0 was run" in text
    assert "(only fold 0 was run)" in text


def test_block_folds_show_their_guard_ring(new_run: Make, unrendered: None) -> None:
    text = page_of(new_run(by="block", keys=("a", "b"))).text
    assert "The guard ring is 6 mm wide" in text
    assert "neither it nor the guard ring round it" in text


def test_train_run_warns_that_its_figures_flatter(new_run: Make, unrendered: None) -> None:
    text = page_of(new_run(command="train")).text
    assert "an upper bound, not an estimate" in text
    assert "a train run predicts none" in text
    assert "metrics.json is missing" not in text


def test_evaluation_names_recordings_seen_in_training(new_run: Make, unrendered: None) -> None:
    page = page_of(new_run(command="evaluate", seen_in_training=["first"]))
    assert "Beware: the model was trained on first" in page.text
    assert "splits" not in page.ids and "training" not in page.ids


def test_forest_has_no_training_curve_and_that_is_not_a_gap(new_run: Make, unrendered: None) -> None:
    text = page_of(new_run(kind="forest", name="forest")).text
    assert "A random forest is not trained in epochs" in text
    assert "no history.csv" not in text


def test_moved_run_finds_recordings_beside_it(new_run: Make, tmp_path: Path, unrendered: None) -> None:
    folder = new_run(keys=("a", "b"))
    folder.rename(tmp_path / "elsewhere")
    assert "curves of a cannot be drawn" not in page_of(tmp_path / "elsewhere").text


def test_shipped_plate_is_drawn_from_its_specification(new_run: Make, unrendered: None) -> None:
    text = page_of(new_run(plate_name="gfrp_calibrated", keys=("a", "b"))).text
    assert "Plate gfrp_calibrated: nominal values." in text
    assert "315 x 290 x 17 mm" in text


def test_demo_page_compares_methods(new_demo: Make, unrendered: None) -> None:
    folder = new_demo()
    target = build_report(folder)
    page = Page(target)
    assert target == folder / "report.html"
    assert "2 methods were cross-validated" in page.text and "A note for the reader." in page.text
    assert {"methods-0", "methods-1", "unseen-methods-1", "maps-2", "unseen-maps-0"} <= set(page.ids)
    assert "Splits of forest, unet:" in page.text  # drawn once for both
    assert "Holes found: forest 3 of 4, unet 3 of 4" in page.text
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)


@pytest.mark.slow
def test_page_of_a_full_demo_stays_small(tmp_path: Path) -> None:
    plate = load_plate("gfrp_calibrated")
    methods = (("forest", "forest"), *((name, "segmentation") for name in ("a", "b", "c", "d", "e")))
    keys = ("r0", "r1", "r2", "r3", "r4")
    folder = make_demo(tmp_path, methods, plate=plate, plate_name=plate.name, scheme=plate.scheme("depths"), keys=keys)
    assert build_report(folder).stat().st_size < 10e6


def test_demo_page_states_what_is_missing(new_demo: Make, unrendered: None) -> None:
    folder = new_demo()
    (folder / "comparison.json").unlink()
    (folder / "runs" / "forest" / "run.json").unlink()
    (folder / "runs" / "unet" / "predictions" / "first.h5").unlink()
    (folder / "unseen" / "unet" / "run.json").write_text("{")
    shutil.rmtree(folder / "unseen" / "forest" / "predictions")
    text = page_of(folder).text
    assert "comparison.json is missing" in text
    assert "runs/forest holds no run.json" in text
    assert "run.json: content is broken" in text
    assert "the gap was not measured in this demo" in text
    assert "no predictions were stored" in text


def test_demo_without_any_run(tmp_path: Path, unrendered: None) -> None:
    (tmp_path / "runs").mkdir()
    assert "there is no run" in page_of(tmp_path).text


def test_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; name the folder"):
        build_report(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no run\.json"):
        build_report(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file; name the folder"):
        build_report(tmp_path / "file")
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(CorruptFileError, match=r"run\.json: content is broken, expected a JSON object"):
        build_report(tmp_path)


def test_workflow_writes_where_it_is_told(new_run: Make, tmp_path: Path, unrendered: None) -> None:
    folder = new_run(keys=("a", "b"))
    target = tmp_path / "pages" / "mine.html"
    assert workflow.run(folder, output=target) == target
    assert not (folder / "report.html").exists()
    with pytest.raises(OutputError, match="exists; choose another name"):
        workflow.run(folder, output=target, overwrite=False)
    with pytest.raises(OutputError, match="is a folder"):
        workflow.run(folder, output=tmp_path)
