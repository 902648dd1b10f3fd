"""Fixtures of the report tests."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from report_cases import make_demo, make_run

from thermo_qc.report import canvas


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are laid out but not rendered, which takes most of the time of a page."""
    blank = io.BytesIO()
    Image.new("RGB", (2, 1)).save(blank, format="PNG")
    monkeypatch.setattr(canvas, "png_bytes", lambda figure: blank.getvalue())


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Path]:
    def make(**options: Any) -> Path:
        return make_run(tmp_path / "run", **options)

    return make


@pytest.fixture
def new_demo(tmp_path: Path) -> Callable[..., Path]:
    def make(**options: Any) -> Path:
        return make_demo(tmp_path / "demo", **options)

    return make
