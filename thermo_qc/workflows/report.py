"""``thermo-qc report``: the HTML page of a run folder."""

from __future__ import annotations

from pathlib import Path

from thermo_qc.errors import OutputError
from thermo_qc.report import build_report

__all__ = ["run"]


def run(folder: Path, *, output: Path | None = None, overwrite: bool = True) -> Path:
    """Write the report of a run or a demo.

    Parameters
    ----------
    folder : Path
        Folder of a train, cv, evaluate or demo run.
    output : Path, optional
        The HTML file; ``report.html`` in the folder when None.
    overwrite : bool
        Replace a page that is there already.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        When the folder holds no run.
    OutputError
        When the page is there already and may not be replaced, or cannot be written.
    """
    target = folder / "report.html" if output is None else output
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; choose another name or pass --overwrite")
    return build_report(folder, target)
