"""What must stay light loads nothing heavy."""

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import thermo_qc

TORCH = ("torch", "torchvision", "lightning", "segmentation_models_pytorch", "albumentations")
HEAVY = (*TORCH, "sklearn", "cv2", "scipy", "matplotlib", "h5py", "pydantic", "numpy", "yaml")
VERBS = ("info", "convert", "register", "simulate", "train", "cv", "evaluate", "predict", "report", "demo")

Record = Callable[[str, object], None]

REPORT = """
import json, sys, time
print("\\n" + json.dumps({"cpu_s": time.process_time(), "loaded": sorted(sys.modules)}))
"""
HELP = """
import contextlib, io
from thermo_qc.cli import main
for words in {words!r}:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main(words)
    assert out.getvalue().startswith("usage: thermo-qc"), words
"""


def loaded_by(code: str, record_property: Record) -> set[str]:
    """Names of the modules that a fresh interpreter holds after the code; its CPU time goes into the test's record."""
    done = subprocess.run(
        [sys.executable, "-c", code + REPORT], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    record_property("cpu_s", found["cpu_s"])
    return set(found["loaded"])


def test_importing_the_package_loads_nothing_heavy(record_property: Record) -> None:
    assert loaded_by("import thermo_qc", record_property).isdisjoint(HEAVY)


def test_the_foundations_stay_light(record_property: Record) -> None:
    code = "import thermo_qc.errors, thermo_qc.config, thermo_qc.sequence, thermo_qc.plate"
    allowed = {"pydantic", "numpy", "yaml"}
    assert loaded_by(code, record_property).isdisjoint(set(HEAVY) - allowed)


def test_help_of_the_program_and_of_every_verb_loads_nothing_heavy(record_property: Record) -> None:
    code = HELP.format(words=[["--help"], *([verb, "--help"] for verb in VERBS)])
    assert loaded_by(code, record_property).isdisjoint(HEAVY)


def test_the_light_half_loads_no_torch(record_property: Record) -> None:
    packages = "io, preprocess, thermography, simulation, representation, evaluation, indications, report"
    code = "\n".join(f"import thermo_qc.{name}" for name in packages.split(", "))
    assert loaded_by(code, record_property).isdisjoint(TORCH)


@pytest.mark.parametrize("name", [name for name in thermo_qc.__all__ if name != "__version__"])
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(thermo_qc, name)
    assert value is getattr(importlib.import_module(value.__module__), value.__name__)
    assert name in dir(thermo_qc)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'thermo_qc' has no attribute 'ThermalSequnce'"):
        thermo_qc.ThermalSequnce  # noqa: B018


def test_type_checkers_and_the_lazy_look_up_know_the_same_names() -> None:
    tree = ast.parse(Path(thermo_qc.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imports == thermo_qc._HOMES
    assert {*imports, "__version__"} == set(thermo_qc.__all__)
