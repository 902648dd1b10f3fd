"""The models that come with the package, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["shelf_file", "shipped_file", "shipped_models"]


def shipped_models() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(Path(file.name).stem for file in _shelf().iterdir() if file.name.endswith(".safetensors")))


def shipped_file(path: Path | str) -> Path:
    """Path of a model that ships, when a bare name is one and nothing here has that name; else the path itself."""
    path = Path(path)
    if path.name == str(path) and not path.exists() and path.name in shipped_models():
        return shelf_file(path.name)
    return path


def shelf_file(name: str) -> Path:
    """File of a model that ships."""
    return _shelf() / f"{name}.safetensors"


def _shelf() -> Path:
    return Path(str(resources.files("thermo_qc") / "resources" / "models"))
