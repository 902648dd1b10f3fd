"""Run folders: created, continued or refused by one rule, with a record of what ran."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from thermo_qc import __version__
from thermo_qc.errors import OutputError
from thermo_qc.io import write_json

__all__ = ["RunFolder", "fingerprint_of", "open_run", "read_run", "remove_run", "versions"]

log = logging.getLogger(__name__)

_OWN_FILES = (
    "run.json",
    "config.yaml",
    "splits.json",
    "metrics.json",
    "training_metrics.json",
    "holes.csv",
    "history.csv",
    "report.html",
    "summary.csv",
    "failures.csv",
    "model.safetensors",
    "manifest.yaml",
    "comparison.json",
    "comparison.csv",
)
_OWN_FOLDERS = ("checkpoints", "logs", "predictions", "leakage", "data", "runs", "unseen")
_PACKAGES = ("numpy", "scipy", "h5py", "torch", "lightning", "segmentation-models-pytorch", "scikit-learn", "albumentations")


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
        Whether an earlier, unfinished or finished run of the same command is there.
    """

    path: Path
    record: dict[str, Any]
    continued: bool

    @property
    def was_complete(self) -> bool:
        """Whether the continued run had already finished."""
        return self.continued and self.record.get("status") == "complete"

    def update(self, **entries: Any) -> None:
        """Add entries to ``run.json``."""
        self.record.update(entries)
        write_json(self.path / "run.json", self.record)

    def finish(self) -> None:
        """Mark the run as complete."""
        self.update(status="complete", finished=_now())


def fingerprint_of(content: Any) -> str:
    """SHA-256 (hex) of JSON content with sorted keys: what must be equal for a run to be continued."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def open_run(path: Path, *, command: str, fingerprint: str, overwrite: bool = False, resume: bool = False) -> RunFolder:
    """Create a run folder, or continue the one that holds the same run.

    Parameters
    ----------
    path : Path
        The folder; created with its parents.
    command : str
        The verb.
    fingerprint : str
        Of configuration and data, see `fingerprint_of`.
    overwrite : bool
        Remove what an earlier run left there, and start anew.
    resume : bool
        Insist that there is something to continue.

    Raises
    ------
    OutputError
        When the folder is a file, holds anything else than this run, or `resume` finds nothing.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file, expected a folder for the results; choose another name")
    record = read_run(path)
    same = record is not None and record.get("command") == command and record.get("fingerprint") == fingerprint
    if path.is_dir() and any(path.iterdir()) and not same:
        what = _describe(record, command)
        if not overwrite:
            raise OutputError(f"{path} holds {what}; choose another folder or add --overwrite")
        remove_run(path)
    if same and overwrite:
        remove_run(path)
        same = False
    if resume and not same:
        raise OutputError(f"--resume: {path} holds no {command} run to continue; leave --resume out to start one")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be created: {error.strerror}; choose another folder") from error
    if same and record is not None:
        log.info("continuing the %s run in %s", command, path)
        return RunFolder(path=path, record=record, continued=True)
    fresh = {
        "command": command,
        "status": "running",
        "started": _now(),
        "finished": None,
        "fingerprint": fingerprint,
        "versions": versions(),
    }
    run = RunFolder(path=path, record=fresh, continued=False)
    run.update()
    return run


def read_run(path: Path) -> dict[str, Any] | None:
    """Content of a folder's ``run.json``; None when there is none that can be read."""
    try:
        content = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def remove_run(path: Path) -> None:
    """Remove what runs write into a folder, and nothing else that may lie there."""
    for name in _OWN_FILES:
        (path / name).unlink(missing_ok=True)
    for folder in _existing_folders(path):
        shutil.rmtree(folder)


def versions() -> dict[str, str]:
    """Versions of thermo_qc, Python and the packages that shape the numbers."""
    found = {"thermo_qc": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _existing_folders(path: Path) -> Iterable[Path]:
    named = [path / name for name in _OWN_FOLDERS]
    return [folder for folder in [*named, *path.glob("fold_*")] if folder.is_dir() and not folder.is_symlink()]


def _describe(record: dict[str, Any] | None, command: str) -> str:
    if record is None:
        return "files that are not from a run"
    if record.get("command") != command:
        return f"a '{record.get('command')}' run, not a '{command}' run"
    return f"a '{command}' run with another configuration or other data"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
