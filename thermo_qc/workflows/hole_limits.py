"""What a recording can show of each of its holes: d', its word, and the Cramer-Rao bound of the depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.errors import ThermoQCError
from thermo_qc.evaluation import DetectionLimits, InspectionSetup, hole_depth_bounds, hole_detectability
from thermo_qc.inspection.recorded_setup import RecordedSetup, recorded_setup
from thermo_qc.io import read_sequence, sha256_of
from thermo_qc.plate import load_plate
from thermo_qc.sequence import Material

__all__ = ["limits_of_holes", "recording_of"]

_PLAIN = 1000.0  # W/m2 or J/m2; what is computed with it scales with the heat
Row = Mapping[str, Any]


def limits_of_holes(
    entry: Row, holes: Sequence[Row], folder: Path, *, limits: DetectionLimits | None = None
) -> dict[str, Any]:
    """Compute the limits of the holes of one recording.

    The set-up is taken from the recording itself (`recorded_setup`), its heat from the dimmest sound places, so a hole
    under brighter light can be seen a little better than is said here. The signal is proportional to the heat:
    recordings that differ in heat and noise alone share one simulation of each hole.

    Parameters
    ----------
    entry : mapping
        The recording's entry of ``run.json``.
    holes : sequence of mapping
        Entries of its hole table; those without diameter or depth have no limits.
    folder : Path
        The run folder, to find a recording that was moved with it.
    limits : DetectionLimits, optional
        6.5 and 30.

    Returns
    -------
    dict
        ``reason`` why there are no limits ("" when there are), ``noise`` and ``heat`` where they come from, and
        ``holes``: number to ``d_prime``, ``word``, ``depth_bound_mm``.
    """
    try:
        recorded = _recorded(entry, folder)
    except ThermoQCError as error:
        return {"reason": str(error), "noise": "", "heat": "", "holes": {}}
    if recorded.setup is None or recorded.material is None or recorded.thickness_mm is None:
        return {"reason": f"not known: {'; '.join(recorded.missing)}", "noise": "", "heat": "", "holes": {}}
    found = {}
    for hole in holes:
        depth, diameter = hole.get("depth_mm"), hole.get("diameter_mm")
        if depth is None or diameter is None or not 0 < depth < recorded.thickness_mm:
            continue
        d_prime, bound = _limits(recorded.material, recorded.thickness_mm, depth, diameter, recorded.setup)
        found[str(hole["number"])] = {
            "d_prime": d_prime,
            "word": (limits or DetectionLimits()).word(d_prime),
            "depth_bound_mm": bound if np.isfinite(bound) and bound > 0 else None,
        }
    return {"reason": "", "noise": recorded.noise_source, "heat": recorded.heat_source, "holes": found}


def recording_of(entry: Row, folder: Path) -> Path:
    """Find the recording where the run found it or, when folders were moved together, beside the run."""
    stated = Path(str(entry.get("recording") or f"{entry.get('key')}.h5"))
    if stated.exists():
        return stated
    for near in (folder / stated, folder / "data" / stated.name, folder.parent.parent / "data" / stated.name):
        if near.exists() and entry.get("sha256") in (None, "", sha256_of(near)):
            return near
    return stated


def _recorded(entry: Row, folder: Path) -> RecordedSetup:
    sequence = read_sequence(recording_of(entry, folder)).loaded()
    material, thickness = sequence.material, sequence.thickness_mm
    if (material is None or thickness is None) and entry.get("plate"):
        plate = load_plate(str(entry["plate"]), relative_to=folder)
        material, thickness = material or plate.material, thickness or plate.thickness_mm
    truth = sequence.truth
    sound = None if truth is None else truth.defect_index == 0
    return recorded_setup(sequence, sound=sound, material=material, thickness_mm=thickness)


def _limits(
    material: Material, thickness_mm: float, depth_mm: float, diameter_mm: float, setup: InspectionSetup
) -> tuple[float, float]:
    """Return d' of the honest observer and the bound of the depth, mm."""
    heat = setup.heating.energy_j_m2 if setup.heating.kind == "flash" else setup.heating.flux_w_m2
    plain = replace(
        setup, heating=replace(setup.heating, flux_w_m2=_PLAIN, energy_j_m2=_PLAIN), netd_k=1.0, quantisation_k=0.0
    )
    d_prime, bound = _plain_limits(material, thickness_mm, depth_mm, diameter_mm, plain)
    signal_to_noise = heat / _PLAIN / setup.noise_k
    return signal_to_noise * d_prime, bound / signal_to_noise


@lru_cache(maxsize=1024)
def _plain_limits(
    material: Material, thickness_mm: float, depth_mm: float, diameter_mm: float, setup: InspectionSetup
) -> tuple[float, float]:
    case: dict[str, Any] = {
        "thickness_mm": thickness_mm,
        "depth_mm": depth_mm,
        "diameter_mm": diameter_mm,
        "setup": setup,
    }
    _, joint = hole_depth_bounds(material, **case)
    return hole_detectability(material, **case).background, joint
