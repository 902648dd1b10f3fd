"""`build_report`: a run or demo folder -> one HTML page that is complete in itself."""

from __future__ import annotations

from pathlib import Path

from thermo_qc.io import write_text
from thermo_qc.report.demo_page import demo_sections
from thermo_qc.report.load import DemoFolder, RunFolder, load_folder
from thermo_qc.report.page import render_page
from thermo_qc.report.run_page import run_sections

__all__ = ["build_report"]

TITLES = {"cv": "Cross-validation", "train": "Training", "finetune": "Fine-tuning", "evaluate": "Evaluation"}


def build_report(folder: Path, output: Path | None = None) -> Path:
    """Write the report of a run.

    The page carries its pictures and its style, runs no script and loads nothing. What the folder lacks is said in the
    page.

    Parameters
    ----------
    folder : Path
        Folder of a train, cv, evaluate or demo run.
    output : Path, optional
        The HTML file; ``report.html`` in the folder when None.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        When the folder holds no run.
    CorruptFileError
        When its ``run.json`` is broken.
    OutputError
        When the page cannot be written.
    """
    folder = Path(folder)
    target = folder / "report.html" if output is None else Path(output)
    write_text(target, _render(load_folder(folder)))
    return target


def _render(results: RunFolder | DemoFolder) -> str:
    if isinstance(results, DemoFolder):
        title, lead = "Demonstration: methods compared on a calibrated plate", _demo_lead(results)
        sections = demo_sections(results)
    else:
        kind = TITLES.get(results.command, "Run")
        title, lead = (
            f"{kind}: {results.name}",
            "Quality control by active infrared thermography: what was done, and how good it is.",
        )
        sections = run_sections(results)
    return render_page(title=title, lead=lead, sections=sections)


def _demo_lead(demo: DemoFolder) -> str:
    return (
        f"Active infrared thermography: {len(demo.runs)} methods look for holes in the back of a plate from the way "
        "its "
        "heated face cools. Every figure comes from recordings, or parts of them, that the model had not seen."
    )
