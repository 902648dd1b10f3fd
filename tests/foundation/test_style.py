"""The repository keeps its own rules: ruff, mypy and the layers of import-linter."""

import doctest
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(command: str, *arguments: str) -> None:
    """Run a tool of this interpreter's environment on the repository; fail with its words."""
    folder = str(Path(sys.executable).parent)
    program = shutil.which(command, path=folder) or shutil.which(command)
    if program is None:
        pytest.skip(f"{command} is not installed")
    done = subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False, timeout=550
    )
    if done.returncode:
        pytest.fail(f"{command} {' '.join(arguments)}\n{done.stdout}{done.stderr}", pytrace=False)


def test_ruff() -> None:
    check("ruff", "check", "--no-cache", ".")


def test_mypy() -> None:
    check("mypy")


def test_layers() -> None:
    check("lint-imports", "--no-cache")


@pytest.mark.parametrize(
    "name",
    [
        "thermo_qc.errors",
        "thermo_qc.sequence.metadata",
        "thermo_qc.plate.loading",
        "thermo_qc.workflows.run_folder",
    ],
)
def test_examples_in_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
