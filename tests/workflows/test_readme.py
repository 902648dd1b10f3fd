"""What the README says works: its links, its commands, its reader, its sample."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import EntryPoint
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


def test_the_reader_example_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from thermo_qc.io import formats, read_sequence

    (code,) = [block for block in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL) if "READER" in block]
    (tmp_path / "labraw_example.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = EntryPoint(name="labraw", value="labraw_example:READER", group="thermo_qc.readers")
    monkeypatch.setattr(formats, "entry_points", lambda group: [entry] if group == "thermo_qc.readers" else [])
    for cached in (value for value in vars(formats).values() if hasattr(value, "cache_clear")):
        cached.cache_clear()
    frames = np.arange(5 * 3 * 4, dtype="<f4").reshape(5, 3, 4)
    target = tmp_path / "plate.labraw"
    target.write_bytes(b"LRAW" + np.array([3, 4], dtype="<u2").tobytes() + frames.tobytes())
    sequence = read_sequence(target, frame_rate_hz=10.0)
    assert np.array_equal(sequence.frames[:, :, :], frames)
    assert sequence.unit == "degC"
    assert sequence.frame_rate_hz == pytest.approx(10.0)
    for cached in (value for value in vars(formats).values() if hasattr(value, "cache_clear")):
        cached.cache_clear()


def test_the_map_example_maps() -> None:
    from thermo_qc.io import read_sequence

    (code,) = [block for block in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL) if "HalfTime" in block]
    names = {"sequence": read_sequence(ROOT / "data" / "samples" / "little_plate.h5")}
    exec(compile(code, "README.md", "exec", dont_inherit=True), names)
    values = names["maps"]["half_time"]
    assert np.isfinite(values).mean() > 0.5 and np.nanmin(values) > 0


def test_the_sample_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(ROOT / "data" / "samples" / "little_plate.h5")]) == 0
    assert "4 defects" in capsys.readouterr().out
