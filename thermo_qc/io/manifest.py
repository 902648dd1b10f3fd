"""Manifests: which recordings belong together, what is known of each, and where its truth lies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thermo_qc.config import MaterialConfig, Strict, parse_config, read_yaml
from thermo_qc.errors import ConfigError, InputError, ThermoQCError, TruthError
from thermo_qc.io.files import is_there
from thermo_qc.io.formats import read_sequence
from thermo_qc.io.manifest_file import EntryConfig, ManifestConfig, read_rows
from thermo_qc.io.truth import read_homography, read_region, read_truth, truth_of_plate, with_diameters
from thermo_qc.plate import PlateSpec, load_plate, shipped_plates
from thermo_qc.sequence import Material, ThermalSequence, Truth

__all__ = ["Manifest", "ManifestEntry", "entry_plate", "load_entry", "load_manifest"]

FILES = ("recording", "truth", "region", "exclude", "sound", "registration")


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """One recording.

    Parameters
    ----------
    key : str
        Unique name; the recording's file name without its ending when not given.
    recording, truth, region, exclude, sound, registration : Path
        Files, with the manifest's folder in front.
    plate : str or Path, optional
        Name of a plate that ships, or a YAML file.
    depths_mm : dict
        Depth of each value or label of `truth`, mm.
    acquisition : str
        Recordings of one acquisition stay on one side of a split; `key` when not given.
    condition, specimen : str
        Empty when unknown.
    material, thickness_mm
        Of the plate.
    facts : dict
        Fields of `thermo_qc.config.Facts` for `read_sequence`.
    """

    key: str
    recording: Path
    truth: Path | None = None
    plate: str | Path | None = None
    depths_mm: dict[int | str, float] = field(default_factory=dict)
    acquisition: str = ""
    condition: str = ""
    specimen: str = ""
    material: MaterialConfig | None = None
    thickness_mm: float | None = None
    region: Path | None = None
    exclude: Path | None = None
    sound: Path | None = None
    registration: Path | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The recordings listed in the file `path`."""

    path: Path
    entries: tuple[ManifestEntry, ...]


def load_manifest(path: Path | str) -> Manifest:
    """Load a manifest and check that every file in it is there.

    Parameters
    ----------
    path : Path or str
        YAML with the list ``recordings``, or CSV with one recording per row: columns named like the keys, nested ones
        with dots (``facts.frame_rate_hz``, ``depths_mm.3``, ``material.density_kg_m3``), empty cells left out.

    Returns
    -------
    Manifest

    Raises
    ------
    InputError
        When the manifest or a file named in it is missing.
    ConfigError
        When it does not fit the schema, a key comes twice, or truth is given in two ways.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        content: Any = {"recordings": read_rows(path)}
    elif path.suffix.lower() in {".yaml", ".yml"}:
        content = read_yaml(path)
    else:
        raise InputError(f"{path} is no manifest; expected a .yaml or .csv file")
    config = parse_config(ManifestConfig, content, str(path))
    entries = tuple(_entry(path, item) for item in config.recordings)
    seen: set[str] = set()
    for entry in entries:
        if entry.key in seen:
            raise ConfigError(f"{path}: key '{entry.key}' comes twice; give every recording its own key")
        seen.add(entry.key)
    return Manifest(path=path, entries=entries)


def _entry(path: Path, config: EntryConfig) -> ManifestEntry:
    folder = path.parent
    key = config.key or Path(config.recording).stem
    parts = key.replace("\\", "/").split("/")
    if ".." in parts or "" in parts or ":" in parts[0] or "\0" in key:
        raise ConfigError(
            f"{path}: key '{key}' would lead out of the folder of the results; use a plain name such as plate7"
        )
    files = {name: folder / getattr(config, name) for name in FILES if getattr(config, name) is not None}
    plate: str | Path | None = config.plate
    if config.plate is not None and config.plate not in shipped_plates():
        plate = folder / config.plate
    for name, file in files.items():
        if not is_there(file):
            raise InputError(f"{path}: {name} of '{key}' does not exist: {file}; paths are relative to the manifest")
    if isinstance(plate, Path):
        _check_plate_file(path, key, plate, str(config.plate))
    _check_truth(path, key, config)
    return ManifestEntry(
        key=key,
        plate=plate,
        depths_mm=dict(config.depths_mm),
        acquisition=config.acquisition or config.facts.acquisition_id or key,
        condition=config.condition,
        specimen=config.specimen or config.facts.specimen_id or "",
        material=config.material or config.facts.material,
        thickness_mm=config.thickness_mm or config.facts.thickness_mm,
        facts=config.facts.model_dump(exclude_none=True),
        **files,
    )


def _check_plate_file(path: Path, key: str, plate: Path, name: str) -> None:
    if plate.suffix.lower() in {".yaml", ".yml"} and not is_there(plate):
        raise InputError(f"{path}: plate of '{key}' does not exist: {plate}; paths are relative to the manifest")
    if plate.suffix.lower() not in {".yaml", ".yml"}:
        try:
            load_plate(name)  # raises with the names of plates that ship
        except ThermoQCError as error:
            raise type(error)(f"{path}: '{key}': {error}") from None


def _check_truth(path: Path, key: str, config: EntryConfig) -> None:
    if config.truth is not None and config.registration is not None:
        raise ConfigError(f"{path}: '{key}' has both truth and registration; keep the one that is to place the defects")
    if config.registration is not None and config.plate is None:
        raise ConfigError(f"{path}: '{key}' has a registration but no plate; add plate: FILE.yaml")
    if config.depths_mm and config.truth is None:
        raise ConfigError(f"{path}: '{key}' has depths_mm but no truth; add truth: MASK or leave the depths out")


def entry_plate(entry: ManifestEntry) -> PlateSpec | None:
    """Load the plate of an entry, None where it names none.

    Raises
    ------
    InputError, ConfigError, PlateError
        When its file is missing or wrong.
    """
    return None if entry.plate is None else load_plate(entry.plate)


def load_entry(entry: ManifestEntry) -> ThermalSequence:
    """Open the recording of an entry with its facts and its truth.

    The truth is that of the mask, else that of the plate under the registration, else the recording's own; pixels
    outside `region` or inside `exclude` are marked as not to be used. Material, thickness and pixel pitch that neither
    entry nor recording know come from the plate and the registration.

    Returns
    -------
    ThermalSequence

    Raises
    ------
    InputError, ConfigError, SequenceError, TruthError, PlateError
        As `read_sequence`, `read_truth` and `load_plate`; region or exclusion without any truth is refused.
    """
    stated: dict[str, Any] = {"material": entry.material, "thickness_mm": entry.thickness_mm}
    stated |= {"specimen_id": entry.specimen or None, "acquisition_id": entry.acquisition or None}
    stated = {name: value.model_dump() if isinstance(value, Strict) else value for name, value in stated.items()}
    given = {name: value for name, value in stated.items() if value is not None}
    sequence = read_sequence(entry.recording, **{**entry.facts, **given})
    plate = entry_plate(entry)
    truth, pitch = _placed_truth(entry, sequence, plate)
    pitch = sequence.pixel_pitch_mm if sequence.pixel_pitch_mm is not None else pitch
    material: Material | None = sequence.material or (plate.material if plate else None)
    thickness = sequence.thickness_mm or (plate.thickness_mm if plate else None)
    if truth is not None and pitch is not None:
        truth = with_diameters(truth, pitch)
    return replace(sequence, truth=truth, pixel_pitch_mm=pitch, material=material, thickness_mm=thickness)


def _placed_truth(
    entry: ManifestEntry, sequence: ThermalSequence, plate: PlateSpec | None
) -> tuple[Truth | None, float | None]:
    shape, pitch = sequence.frame_shape, None
    truth = sequence.truth
    if entry.truth is not None:
        truth = read_truth(entry.truth, shape, entry.depths_mm)
    elif entry.registration is not None and plate is not None:
        truth, pitch = truth_of_plate(plate, read_homography(entry.registration), shape)
    if entry.region is None and entry.exclude is None:
        return truth, pitch
    if truth is None:
        raise TruthError(
            f"'{entry.key}' has a region or an exclusion but no truth to restrict; add truth or registration"
        )
    if entry.region is not None:
        truth = truth.restricted_to(read_region(entry.region, shape))
    if entry.exclude is not None:
        truth = truth.restricted_to(~read_region(entry.exclude, shape))
    if not truth.valid.any():
        raise TruthError(f"'{entry.key}': region and exclusion leave no pixel; check both masks")
    return truth, pitch
