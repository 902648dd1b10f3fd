"""Every notebook runs on small settings and is stored without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SMALL = {
    "LATERAL_MM": "5.0",
    "FRAME_RATE_HZ": "0.2",
    "EPOCHS": "1",
    "TREES": "10",
    "DURATION_S": "120.0",
    "SAMPLES_PER_EPOCH": "1024",
    "CROPS_PER_EPOCH": "4",
    "CROP_PX": "64",
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_has_no_outputs(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.enable_socket
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # another test runs on the other core
    book = nbformat.read(path, as_version=4)
    (parameters,) = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
    for name, value in SMALL.items():
        parameters.source = re.sub(rf"^{name} = \S+", f"{name} = {value}", parameters.source, flags=re.MULTILINE)
    parameters.source = parameters.source.replace("Path.cwd().parent", f"Path({str(path.parent.parent)!r})")
    client = nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
