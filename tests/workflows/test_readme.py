"""What the README says works: its links, its commands, its reader, its sample."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.cli import main
from thermo_qc.cli.parser import build_parser

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL)).replace("\\\n", " ")
COMMANDS = [line for line in SHELL.splitlines() if line.startswith("thermo-qc ")]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_there_are_commands_for_every_verb() -> None:
    verbs = {"info", "convert", "maps", "register", "simulate", "train", "cv", "evaluate", "predict", "report"}
    assert verbs <= {command.split()[1] for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    arguments = shlex.split(command, comments=True)[1:]
    assert build_parser().parse_args(arguments).verb_name == arguments[0]


def test_layers_are_those_of_the_contract() -> None:
    drawn = re.search(r"```\ncli .*?```", TEXT, flags=re.DOTALL)
    assert drawn is not None
    names = [line.split()[0] for line in drawn.group().splitlines()[1:-1]]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contract = re.search(r"^layers = \[(.*?)\]", project, flags=re.DOTALL | re.MULTILINE)
    assert contract is not None
    assert names == re.findall(r'"(\w+)"', contract.group(1))


def _block(language: str, word: str) -> str:
    (code,) = [block for block in re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL) if word in block]
    return code


def _installed_example(site: Path) -> None:
    """Put the README's package into a folder as an installer does: the module, and the entry points beside it."""
    project = tomllib.loads(_block("toml", "thermo_qc.readers"))
    name, version = project["project"]["name"], project["project"]["version"]
    for module in project["tool"]["setuptools"]["py-modules"]:
        (site / f"{module}.py").write_text(_block("python", "READER"), encoding="utf-8")
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    groups = project["project"]["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) for group, keys in groups]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def test_the_reader_example_is_installed_and_used(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    _installed_example(site)
    frames = 20 + np.arange(5 * 3 * 4, dtype="<f4").reshape(5, 3, 4)
    header = b"LRAW" + np.array([3, 4], dtype="<u2").tobytes()
    (tmp_path / "plate.labraw").write_bytes(header + frames.tobytes())
    (tmp_path / "cut.labraw").write_bytes(header + frames.tobytes()[:-3])
    code = (
        "import sys; from thermo_qc.cli import main; from thermo_qc.io import read_sequence\n"
        "sequence = read_sequence('plate.labraw', frame_rate_hz=10)\n"
        "print(sequence.frames.sum(), sequence.unit, sequence.frame_rate_hz)\n"
        "main(['info', 'plate.labraw', '--frame-rate-hz', '10']); main(['info', '--formats'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{frames.sum()} degC 10.0" in done.stdout
    assert "format           LabRaw (untested on real files)" in done.stdout
    assert re.search(r"^LabRaw +\.labraw +untested on real files$", done.stdout, flags=re.MULTILINE)
    code = "from thermo_qc.cli import main; raise SystemExit(main(['info', 'cut.labraw']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert re.fullmatch(r"thermo-qc: cut\.labraw: content is .*expected a complete LabRaw file.*\n", done.stderr)


def test_the_sample_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(ROOT / "data" / "samples" / "little_plate.h5")]) == 0
    assert "4 defects" in capsys.readouterr().out
