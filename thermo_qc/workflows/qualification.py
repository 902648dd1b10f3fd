"""What stands behind the models of an inspection: their splits and configuration, and the POD that was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py

from thermo_qc.errors import CorruptFileError, InputError
from thermo_qc.io import sha256_of

__all__ = ["load_pod", "pod_of_models", "training_of"]

_METRICS = "metrics.json"
_CURVES = ("diameter", "aspect")
Pod = dict[str, Any]


def training_of(model_path: Path, method: str | None = None) -> dict[str, str]:
    """Say which run the models of MODEL come from, and the hashes of its splits and its configuration.

    Parameters
    ----------
    model_path : Path
        As on a command line.
    method : str, optional
        Which run, where the folder holds several.

    Returns
    -------
    dict
        ``run``, ``command``, ``splits_sha256``, ``configuration_sha256``; all empty where there is no run folder.
    """
    folder = _run_folder(Path(model_path), method)
    record = {} if folder is None else _json(folder / "run.json")
    config = None if folder is None else folder / "config.yaml"
    return {
        "run": str(record.get("name") or ("" if folder is None else folder.name)),
        "command": str(record.get("command") or ""),
        "splits_sha256": str(record.get("splits_sha256") or ""),
        "configuration_sha256": sha256_of(config) if config is not None and config.is_file() else "",
    }


def pod_of_models(model_path: Path, method: str | None = None) -> Pod | None:
    """Read the POD of the run that MODEL comes from; None where it holds none.

    Raises
    ------
    CorruptFileError
        When its figures are broken.
    """
    folder = _run_folder(Path(model_path), method)
    if folder is None or not _json(folder / _METRICS).get("pod"):
        return None
    return load_pod(folder)


def load_pod(path: Path) -> Pod:
    """Read the POD of a run folder of ``cv`` or ``evaluate``.

    Parameters
    ----------
    path : Path
        The folder, or its ``metrics.json``.

    Returns
    -------
    dict
        ``source``, ``sha256``, ``name``, ``splits_sha256``, ``model_sha256`` (of the maps that were scored; empty
        where not known) and ``curves`` as in ``metrics.json``.

    Raises
    ------
    InputError
        When there is none.
    CorruptFileError
        When the file is broken.
    """
    file = path / _METRICS if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path} holds no {_METRICS}; name a finished run folder of thermo-qc cv or evaluate as pod")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        pod = content.get("pod")
    except (OSError, ValueError, AttributeError) as error:
        raise CorruptFileError(file, "content", "JSON", f"broken ({error})", "run cv or evaluate again") from error
    if not isinstance(pod, dict) or not any(isinstance(pod.get(name), dict) for name in _CURVES):
        raise InputError(f"{file} holds no POD; score a model on recordings whose defects are known with their sizes")
    folder = file.parent
    record = _json(folder / "run.json")
    return {
        "source": str(path),
        "sha256": sha256_of(file),
        "name": str(record.get("name") or folder.name),
        "splits_sha256": str(record.get("splits_sha256") or ""),
        "model_sha256": _models_of(folder / "predictions"),
        "curves": {name: pod[name] for name in (*_CURVES, "false_calls_per_m2") if pod.get(name) is not None},
    }


def _models_of(folder: Path) -> list[str]:
    found: set[str] = set()
    for path in sorted(folder.glob("*.h5")):
        try:
            with h5py.File(path, "r") as file:
                found |= set(map(str, json.loads(str(file.attrs["model_sha256"]))))
        except (OSError, KeyError, ValueError, TypeError):
            return []
    return sorted(found)


def _run_folder(path: Path, method: str | None) -> Path | None:
    """Run folder that a model file or MODEL lies in."""
    if path.is_file():
        candidates = [path.parent, path.parent.parent] if path.parent.name.startswith("fold_") else [path.parent]
    elif method is None or (path / "run.json").is_file():
        candidates = [path]
    else:
        candidates = [path / "runs" / method, path / method]
    return next((folder for folder in candidates if _json(folder / "run.json").get("command")), None)


def _json(path: Path) -> dict[str, Any]:
    """Content of a file of ours; nothing where it is not there or broken."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
