"""``thermo-qc plan`` from the command line to its files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thermo_qc.cli import main, verbs
from thermo_qc.cli.parser import build_parser
from thermo_qc.errors import ConfigError, InputError, OutputError
from thermo_qc.evaluation import InspectionSetup, hole_detectability
from thermo_qc.plate import load_material, shipped_materials
from thermo_qc.simulation import Heating
from thermo_qc.workflows import plan as workflow

QUICK = InspectionSetup(heating=Heating(duration_s=20), duration_s=80, pixel_pitch_mm=4.0)
OPTIONS = ["--pulse-s", "20", "--recording-s", "80", "--pixel-pitch-mm", "4", "--depths-mm", "2", "6"]


def test_command_prints_the_table_and_writes_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plan"
    wanted = ["--wanted-depth-mm", "3", "--pulses-s", "10", "40", "--longest-s", "200"]
    assert main(["plan", "gfrp", "10", *OPTIONS, *wanted, "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "GFRP, 10 mm; 1000 W/m² for 20 s; 80 s at 1 Hz, 25.2 mK, 4 mm per pixel" in said
    assert "a hole of 6 mm at 3 mm" in said
    stored = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    rows = list(csv.DictReader((out / "plan.csv").read_text(encoding="utf-8").splitlines()))
    assert [float(row["depth_mm"]) for row in rows] == [2.0, 6.0]
    for row, depth in zip(rows, stored["depths"], strict=True):
        assert float(row["detectable_mm"]) == pytest.approx(depth["detectable_mm"], rel=1e-5)
        assert row["detectable"] in said
    assert [need["pulse_s"] for need in stored["wanted"]["needs"]] == [10.0, 40.0]
    assert stored["setup"]["heating"]["duration_s"] == 20.0
    assert stored["noise_k"] == pytest.approx(np.hypot(0.025, 0.01 / np.sqrt(12)))
    with Image.open(out / "plan.png") as picture:
        assert picture.size[0] > 1000
        assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    assert main(["plan", "GFRP", "10", *OPTIONS, "-o", str(out)]) == 2
    assert "plan.json exists; choose another folder or pass --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sign"),
    [
        (["--netd-k", "0.1"], -1),
        (["--quantisation-k", "0.2"], -1),
        (["--flux-w-m2", "300"], -1),
        (["--pulse-s", "5"], -1),
        (["--recording-s", "40"], -1),
        (["--frame-rate-hz", "4"], 1),
        (["--cold-s", "60"], 1),
        (["--pixel-pitch-mm", "2"], 1),
        (["--blur-px", "3"], -1),
        (["--hole-floor-w-m2k", "300"], -1),
        (["--back-w-m2k", "300"], 1),
        (["--front-w-m2k", "100"], -1),
        (["--heating", "flash", "--energy-j-m2", "5000"], -1),
        (["--heating", "flash", "--energy-j-m2", "200000"], 1),
        (["--heating", "step"], 1),
    ],
)
def test_every_option_of_the_set_up_counts(options: list[str], sign: int) -> None:
    """More (1) or less (-1) can be seen than without the option."""

    def index(more: list[str]) -> float:
        given = build_parser().parse_args(["plan", "GFRP", "10", *OPTIONS, *more])
        hole = {"thickness_mm": 10.0, "depth_mm": 5.0, "diameter_mm": 15.0}
        return hole_detectability(load_material("GFRP"), **hole, setup=verbs._planned_setup(given)).background

    assert sign * (index(options) - index([])) > 1e-3


def test_options_of_the_search_count(tmp_path: Path) -> None:
    more = ["--detectable", "60", "--visible", "20", "--smallest-diameter-mm", "11", "--largest-diameter-mm", "40"]
    assert main(["plan", "GFRP", "10", *OPTIONS, *more, "--depths-mm", "2", "-o", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert stored["limits"] == {"visible": 20.0, "detectable": 60.0}
    assert (stored["smallest_mm"], stored["largest_mm"]) == (11.0, 40.0)
    assert stored["depths"][0]["detectable_mm"] == 11.0
    assert len(stored["depths"]) == 1


def test_a_depth_that_nothing_shows_has_an_empty_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plan"
    assert main(["plan", "GFRP", "10", *OPTIONS, "--largest-diameter-mm", "4.5", "-o", str(out)]) == 0
    assert "> 4.5" in capsys.readouterr().out
    row = list(csv.DictReader((out / "plan.csv").read_text(encoding="utf-8").splitlines()))[1]
    assert (row["detectable_mm"], row["detectable"]) == ("", "> 4.5")
    assert json.loads((out / "plan.json").read_text(encoding="utf-8"))["depths"][1]["detectable_mm"] is None


def test_nothing_is_fast_enough_says_the_way_out() -> None:
    plan = workflow.run(
        "GFRP", 10, setup=QUICK, depths_mm=[2], wanted_depth_mm=8, wanted_diameter_mm=3, longest_s=90, pulses_s=[10]
    )
    assert plan.wanted is not None
    assert plan.wanted.best is None
    assert "No recording of up to 90 s" in workflow.render(plan)


def test_wanted_hole_of_a_flash() -> None:
    setup = InspectionSetup(heating=Heating(kind="flash"), duration_s=40, pixel_pitch_mm=4.0)
    calls: list[tuple[int, int]] = []
    plan = workflow.run(
        "CFRP", 4, setup=setup, depths_mm=[1], wanted_depth_mm=1, wanted_diameter_mm=10,
        progress=lambda *call: calls.append(call),
    )  # fmt: skip
    said = workflow.render(plan)
    assert calls[-1] == (2, 2)
    assert "flash of 10000 J/m²" in said
    assert "Shortest: a flash" in said


def test_materials_ship_and_come_from_files(tmp_path: Path) -> None:
    assert set(shipped_materials()) == {"CFRP", "GFRP"}
    assert load_material("Cfrp").conductivity_in_plane_w_mk == 5.0
    own = tmp_path / "own.yaml"
    own.write_text(
        "name: own\nconductivity_through_w_mk: 1\nconductivity_in_plane_w_mk: 2\ndensity_kg_m3: 1000\n"
        "heat_capacity_j_kgk: 900\n",
        encoding="utf-8",
    )
    assert load_material(own).name == "own"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"material": "GFRPP"}, InputError, "material 'GFRPP' is neither a YAML file nor one that ships; did you mean"),
        ({"material": "missing.yaml"}, InputError, r"missing\.yaml"),
        ({"thickness_mm": 0.0}, ConfigError, "thickness_mm is 0"),
        ({"thickness_mm": float("nan")}, ConfigError, "thickness_mm is nan"),
        ({"depths_mm": [12.0]}, ConfigError, "depth 12 mm is not inside"),
        ({"wanted_depth_mm": 12.0}, ConfigError, "wanted depth 12 mm is not inside a plate of 10 mm"),
        ({"wanted_diameter_mm": 5.0}, ConfigError, "belong to a wanted depth; give it as well"),
        ({"wanted_depth_mm": 5.0, "max_rise_k": 0.0}, ConfigError, "largest rise of the surface is 0 K"),
    ],
)
def test_bad_input(arguments: dict, error: type, words: str) -> None:
    given = {"material": "GFRP", "thickness_mm": 10.0, "setup": QUICK} | arguments
    with pytest.raises(error, match=words):
        workflow.run(given.pop("material"), given.pop("thickness_mm"), **given)


def test_output_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        workflow.run("GFRP", 10, setup=QUICK, output=tmp_path / "taken")


def test_command_line_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "GFRP", "10", "--netd-k", "-1"]) == 2
    assert capsys.readouterr().err == "thermo-qc: netd_k is -1, expected a finite number greater than 0\n"
