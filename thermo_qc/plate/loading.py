"""Plate specifications from YAML files, shipped or the user's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from thermo_qc.config import PlateConfig, load_config
from thermo_qc.errors import InputError, suggestion
from thermo_qc.plate.geometry import Hole, PlateSpec
from thermo_qc.plate.schemes import ClassScheme
from thermo_qc.sequence import Material

__all__ = ["load_plate", "plate_from_config", "shipped_plates"]


def shipped_plates() -> dict[str, Path]:
    """Plate specifications inside the package, by name."""
    folder = Path(str(resources.files("thermo_qc") / "resources" / "plates"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_plate(name_or_path: str | Path, relative_to: Path | None = None) -> PlateSpec:
    """Load a plate specification.

    Parameters
    ----------
    name_or_path : str or Path
        A YAML file, or the name of a plate that ships (``"gfrp_calibrated"``).
    relative_to : Path, optional
        Folder that relative paths start from; the working directory when None.

    Returns
    -------
    PlateSpec

    Raises
    ------
    InputError, ConfigError, PlateError
        When the file is missing, does not fit the schema or describes an impossible plate.

    Examples
    --------
    >>> len(load_plate("gfrp_calibrated").holes)
    23
    """
    text = str(name_or_path)
    if text in shipped_plates():
        return plate_from_config(load_config(PlateConfig, shipped_plates()[text]))
    path = Path(text) if relative_to is None else relative_to / text
    if path.suffix.lower() not in {".yaml", ".yml"}:
        guess = suggestion(text, shipped_plates())
        raise InputError(f"plate '{text}' is neither a YAML file nor a plate that ships{guess}")
    return plate_from_config(load_config(PlateConfig, path))


def plate_from_config(config: PlateConfig) -> PlateSpec:
    """Build a `PlateSpec` from its schema; drilled depths become ligaments.

    Raises
    ------
    PlateError
        When it describes an impossible plate.
    """
    drilled = config.depth_convention == "drilled"
    holes = tuple(
        Hole(
            number=number,
            name=hole.name or f"H{number}",
            x_mm=hole.x_mm,
            y_mm=hole.y_mm,
            diameter_mm=hole.diameter_mm,
            depth_mm=round(config.thickness_mm - hole.depth_mm, 6) if drilled else hole.depth_mm,
        )
        for number, hole in enumerate(config.holes, start=1)
    )
    schemes = {
        name: ClassScheme(
            name=name,
            class_names=("sound", *(band.name for band in bands)),
            max_depth_mm=tuple(band.max_depth_mm for band in bands),
        )
        for name, bands in config.class_schemes.items()
    }
    return PlateSpec(
        name=config.name,
        width_mm=config.width_mm,
        height_mm=config.height_mm,
        thickness_mm=config.thickness_mm,
        material=Material(**config.material.model_dump()),
        holes=holes,
        schemes=schemes,
        edge_margin_mm=config.edge_margin_mm,
    )
