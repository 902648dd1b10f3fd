"""Materials by name or from YAML files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from thermo_qc.config import MaterialConfig, load_config
from thermo_qc.errors import InputError, suggestion
from thermo_qc.sequence import Material

__all__ = ["load_material", "shipped_materials"]


def shipped_materials() -> dict[str, Path]:
    """Materials inside the package, by name."""
    folder = Path(str(resources.files("thermo_qc") / "resources" / "materials"))
    return {path.stem.upper(): path for path in sorted(folder.glob("*.yaml"))}


def load_material(name_or_path: str | Path) -> Material:
    """Load thermal constants.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a material that ships ("GFRP", "CFRP"; upper and lower case count as equal), or a YAML file with
        the keys of `thermo_qc.sequence.Material`.

    Returns
    -------
    Material

    Raises
    ------
    InputError, ConfigError
        When there is no such material, or the file is missing or does not fit.

    Examples
    --------
    >>> load_material("gfrp").conductivity_through_w_mk
    0.3
    """
    text, shipped = str(name_or_path), shipped_materials()
    path = shipped.get(text.upper(), Path(text))
    if path.suffix.lower() not in {".yaml", ".yml"}:
        raise InputError(f"material '{text}' is neither a YAML file nor one that ships{suggestion(text, shipped)}")
    config = load_config(MaterialConfig, path)
    return Material(**config.model_dump())
