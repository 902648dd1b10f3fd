"""Run folders: created, continued or refused by one rule, with a record of what ran."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from thermo_qc import __version__
from thermo_qc.errors import OutputError, ThermoQCError
from thermo_qc.io import remove_partial, write_json
from thermo_qc.workflows.lock import LOCK

__all__ = [
    "DETAIL_TABLES",
    "RunFolder",
    "fingerprint_of",
    "open_run",
    "read_run",
    "remove_run",
    "undone_if_refused",
    "versions",
]

log = logging.getLogger(__name__)

RECORD = "run.json"
DETAIL_TABLES = ("indications.csv", "false_calls.csv", "contrasts.csv", "depths.csv", "reliability.csv", "sound.csv")
FILES: dict[str, tuple[str, ...]] = {
    "train": ("config.yaml", "training_metrics.json", "history.csv", "model.safetensors", "report.html"),
    "finetune": (
        "config.yaml",
        "metrics.json",
        "holes.csv",
        "history.csv",
        "model.safetensors",
        "report.html",
        *DETAIL_TABLES,
    ),
    "cv": ("config.yaml", "splits.json", "metrics.json", "leakage.json", "holes.csv", "report.html", *DETAIL_TABLES),
    "evaluate": ("metrics.json", "holes.csv", "report.html", *DETAIL_TABLES),
    "predict": (
        *("summary.csv", "failures.csv", "report.html", "index.sqlite", "index.sqlite-journal"),
        *("verdicts.csv", "inspection.html"),
    ),
    "demo": ("manifest.yaml", "unseen.yaml", "comparison.json", "comparison.csv", "report.html"),
    "audit": ("audit.json", "audit.csv", "differences.csv", "report.html"),
    "compare": ("comparison.json", "comparison.csv", "differences.csv", "holes.csv", "report.html"),
}
FOLDERS: dict[str, tuple[str, ...]] = {
    "train": ("checkpoints", "tensorboard"),
    "finetune": ("checkpoints", "tensorboard", "predictions"),
    "cv": ("predictions", "leakage", "fold_*"),
    "evaluate": ("predictions",),
    "predict": (),
    "demo": ("data", "runs", "unseen", "leakage"),
    "audit": (),
    "compare": (),
}
RESULTS: dict[str, tuple[str, ...]] = {  # what makes a broken run worth continuing
    "train": ("model.safetensors", "checkpoints/*"),
    "finetune": ("model.safetensors", "checkpoints/*"),
    "cv": ("fold_*/model.safetensors", "fold_*/checkpoints/*"),
    "predict": ("**/*.h5",),
    "demo": ("data/*.h5",),
    "audit": ("*/*/fold_*/model.safetensors", "*/*/fold_*/checkpoints/*"),
}
_FOLD = re.compile(r"fold_\d+")
_SHARED = {"train", "finetune", "cv"}
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini", LOCK}
_PACKAGES = (
    "numpy",
    "scipy",
    "h5py",
    "torch",
    "lightning",
    "segmentation-models-pytorch",
    "scikit-learn",
    "albumentations",
)


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """A folder that belongs to one run.

    Parameters
    ----------
    path : Path
        The folder.
    record : dict
        Content of ``run.json`` so far.
    continued : bool
        Whether an earlier run of the same command, configuration and data is there, finished or not.
    made : bool
        Whether the folder itself is new.
    """

    path: Path
    record: dict[str, Any]
    continued: bool
    made: bool = False

    @property
    def was_complete(self) -> bool:
        """Whether the continued run had already finished."""
        return self.continued and self.record.get("status") == "complete"

    def update(self, **entries: Any) -> None:
        """Add entries to ``run.json``; `OutputError` when it cannot be written."""
        self.record.update(entries)
        write_json(self.path / RECORD, self.record)

    def finish(self) -> None:
        """Mark the run as complete."""
        self.update(status="complete", finished=_now())


def fingerprint_of(content: Any) -> str:
    """SHA-256 (hex) of JSON content with sorted keys: what must be equal for a run to be continued.

    Examples
    --------
    >>> fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def open_run(path: Path, *, command: str, fingerprint: str, overwrite: bool = False, resume: bool = False) -> RunFolder:
    """Create a run folder, or continue the one that holds the same run.

    Parameters
    ----------
    path : Path
        The folder; created with its parents.
    command : {"train", "finetune", "cv", "evaluate", "predict", "demo"}
        The verb.
    fingerprint : str
        Of configuration and data, see `fingerprint_of`.
    overwrite : bool
        Start anew: what this command or the run that is there writes is removed, other files stay.
    resume : bool
        Insist that there is something to continue.

    Returns
    -------
    RunFolder
        With ``run.json`` written when the run is new, as it was when it is continued.

    Raises
    ------
    OutputError
        When the folder is a file, holds anything else than this run, cannot be written, holds folders that no run made
        where this command needs its own, when `resume` finds nothing, or `resume` and `overwrite` are both asked for.
    """
    if resume and overwrite:
        raise OutputError("--resume continues a run and --overwrite removes it; give one of them")
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file, expected a folder for the results; choose another name")
    record = read_run(path)
    same = record is not None and record.get("command") == command and record.get("fingerprint") == fingerprint
    if resume and not same:
        raise OutputError(
            f"--resume: {path} holds no '{command}' run of this configuration and data to continue; "
            "leave --resume out to start one"
        )
    if not same and not overwrite and _is_used(path):
        raise OutputError(f"{path} holds {_describe(record, command)}; choose another folder or add --overwrite")
    if same and record is not None and not overwrite:
        log.info("continuing the %s run in %s", command, path)
        _tidy(path, command)
        return RunFolder(path=path, record=record, continued=True)
    if overwrite:
        remove_run(path, command)
    made = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be created: {error.strerror}; choose another folder") from error
    _tidy(path, command)
    fresh = {
        "command": command,
        "status": "running",
        "started": _now(),
        "finished": None,
        "fingerprint": fingerprint,
        "versions": versions(),
    }
    run = RunFolder(path=path, record=fresh, continued=False, made=made)
    with undone_if_refused(run):
        run.update()
    return run


@contextmanager
def undone_if_refused(run: RunFolder) -> Iterator[None]:
    """Leave nothing of a new run that fails before its first result, so that the corrected command can start.

    Parameters
    ----------
    run : RunFolder
        Just opened. One that is continued or holds what its command can continue (a model, a checkpoint, a map) stays.
    """
    try:
        yield
    except (ThermoQCError, OSError):
        command = str(run.record["command"])
        if not run.continued and not any(one for name in RESULTS.get(command, ()) for one in run.path.glob(name)):
            with suppress(OSError, ThermoQCError):
                remove_run(run.path, command)
                if run.made:
                    run.path.rmdir()
        raise


def read_run(path: Path) -> dict[str, Any] | None:
    """Content of a folder's ``run.json``; None when there is none that can be read."""
    try:
        content = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def remove_run(path: Path, command: str) -> None:
    """Make room for a run: remove what the run that is there wrote, and the files that `command` will write.

    Folders are removed only where ``run.json`` says that a run made them; ``run.json`` itself goes last, so that an
    interrupted removal can be repeated.

    Parameters
    ----------
    path : Path
        The run folder; nothing happens where there is none.
    command : str
        The verb that will write there.

    Raises
    ------
    OutputError
        When a folder that `command` needs is there and no run made it, or something cannot be removed.
    """
    earlier = str((read_run(path) or {}).get("command"))
    own = _folders(path, earlier)
    strange = [folder.name for folder in _folders(path, command) if folder not in own]
    if strange:
        raise OutputError(
            f"{path} holds a folder '{strange[0]}' that no run is known to have made, so --overwrite leaves it alone; "
            "choose another folder or move it away"
        )
    try:
        for folder in own:
            folder.unlink() if folder.is_symlink() else shutil.rmtree(folder)
        for name in (*FILES.get(earlier, ()), *FILES[command], RECORD):
            (path / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{error.filename or path} cannot be removed: {error.strerror}; close what uses it or choose another folder"
        ) from error


def versions() -> dict[str, str]:
    """Versions of thermo_qc, Python and the packages that shape the numbers."""
    found = {"thermo_qc": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _folders(path: Path, command: str) -> list[Path]:
    """Folders of a command that are there."""
    wanted = [one for name in FOLDERS.get(command, ()) for one in sorted(path.glob(name))]
    return [one for one in wanted if one.is_dir() and (_FOLD.fullmatch(one.name) or not one.name.startswith("fold_"))]


def _is_used(path: Path) -> bool:
    """Whether a folder holds more than the litter of file managers and of interrupted writing."""
    if not path.is_dir():
        return False
    return any(one.name not in _LITTER and not _is_partial(one.name) for one in path.iterdir())


def _tidy(path: Path, command: str) -> None:
    """Remove what a killed run left half-written, also one that was killed before it had said what it is."""
    if command not in _SHARED or "MASTER_ADDR" not in os.environ:  # other machines may be writing just now
        remove_partial(path)


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(".part")


def _describe(record: dict[str, Any] | None, command: str) -> str:
    if record is None or "command" not in record:
        return "files that are not from a run"
    if record["command"] != command:
        return f"a '{record['command']}' run, not a '{command}' run"
    return f"a '{command}' run with another configuration or other data"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
