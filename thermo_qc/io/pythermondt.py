"""What a file of pyThermoNDT states: excitation, defects, and the parameters of its simulations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import CorruptFileError
from thermo_qc.io.found import Found
from thermo_qc.io.labels import truth_from_labels
from thermo_qc.sequence import Excitation, ExcitationKind, Material, Truth, Unit

__all__ = ["foreign_found"]

SOUND_NAMES = frozenset({"backwall", "background", "sound", "none"})
FLASH_S = 0.1


def foreign_found(
    path: Path,
    *,
    times_s: NDArray[np.float64] | None,
    unit: Unit,
    signal: NDArray[Any] | None,
    mask: NDArray[Any] | None,
    labels: Any,
    parameters: Any,
) -> Found:
    """Collect the facts of a pyThermoNDT file.

    The heating runs from the first frame with excitation to the first one without it afterwards, unless the parameters
    of a simulation give start (`t_p0`) and duration (`t_p`) exactly. Heating of at most 0.1 s is called a flash,
    longer heating a long pulse, heating that lasts to the end a step.

    Parameters
    ----------
    path : Path
        For messages.
    times_s : ndarray, optional
        Times of the frames, s.
    unit : str
        Unit of the frames.
    signal : ndarray, shape (T,), optional
        Excitation, not 0 while heating.
    mask : ndarray, shape (Y, X), optional
        Labels of the pixels.
    labels : dict, optional
        Value of each label name.
    parameters : list, optional
        Rows [name, expression, description, value, unit] of a finite-element simulation.
    """
    values = _parameter_values(parameters)
    return Found(
        times_s=times_s,
        times_field="/MetaData/DomainValues",
        excitation=_excitation(path, times_s, signal, values),
        unit=unit,
        pixel_pitch_mm=_millimetres(values.get("ds_lat")),
        thickness_mm=_millimetres(values.get("th_mat")),
        material=_material(path, values),
        truth=None if mask is None else _truth(path, mask, labels, _millimetres(values.get("dp_def"))),
    )


def _parameter_values(parameters: Any) -> dict[str, float]:
    """Numbers by name; the table is JSON inside JSON in the files seen."""
    if isinstance(parameters, str):
        try:
            parameters = json.loads(parameters)
        except ValueError:
            return {}
    rows = parameters if isinstance(parameters, list) else []
    return {
        row[0]: float(row[3])
        for row in rows
        if isinstance(row, list) and len(row) >= 4 and isinstance(row[0], str) and isinstance(row[3], int | float)
    }


def _millimetres(metres: float | None) -> float | None:
    return None if metres is None or not metres > 0 else round(metres * 1e3, 9)


def _material(path: Path, values: dict[str, float]) -> Material | None:
    names = ("k1_mat", "k2_mat", "k3_mat", "rho_mat", "cp_mat")
    if not all(values.get(name, 0.0) > 0 for name in names):
        return None
    k1, k2, k3, rho, cp = (values[name] for name in names)
    return Material(
        name=path.stem,
        conductivity_through_w_mk=k3,
        conductivity_in_plane_w_mk=k1,
        conductivity_y_w_mk=None if k1 == k2 else k2,
        density_kg_m3=rho,
        heat_capacity_j_kgk=cp,
    )


def _excitation(
    path: Path, times: NDArray[np.float64] | None, signal: NDArray[Any] | None, values: dict[str, float]
) -> Excitation:
    flux = values.get("P_p")
    if values.get("t_p", 0.0) > 0 and "t_p0" in values:
        start, stop = values["t_p0"], values["t_p0"] + values["t_p"]
        return Excitation(kind=_kind(start, stop), start_s=start, stop_s=stop, flux_w_m2=flux)
    if signal is None or times is None or not np.any(signal):
        return Excitation(flux_w_m2=flux)
    if signal.shape != times.shape:
        field = "/MetaData/ExcitationSignal"
        raise CorruptFileError(path, field, f"one value for each of {times.size} frames", f"of shape {signal.shape}")
    heated = np.flatnonzero(signal)
    first, after = int(heated[0]), int(heated[-1]) + 1
    if heated.size != after - first:
        return Excitation(kind="periodic", start_s=float(times[first]), flux_w_m2=flux)
    stop_s = float(times[after]) if after < times.size else None
    return Excitation(
        kind=_kind(float(times[first]), stop_s), start_s=float(times[first]), stop_s=stop_s, flux_w_m2=flux
    )


def _kind(start: float, stop: float | None) -> ExcitationKind:
    if stop is None:
        return "step"
    return "flash" if stop - start <= FLASH_S else "long_pulse"


def _truth(path: Path, mask: NDArray[Any], labels: Any, depth_mm: float | None) -> Truth | None:
    field = "/GroundTruth/DefectMask"
    if mask.ndim != 2 or mask.dtype.kind not in "biu":
        raise CorruptFileError(path, field, "whole numbers on two axes", f"{mask.dtype} of shape {mask.shape}")
    table = (
        {name: value for name, value in labels.items() if isinstance(value, int)} if isinstance(labels, dict) else {}
    )
    names = {value: name for name, value in table.items() if name.lower() not in SOUND_NAMES}
    sound = [value for name, value in table.items() if name.lower() in SOUND_NAMES]
    clean = np.where(np.isin(mask, sound), 0, mask.astype(np.int64))
    present = [int(value) for value in np.unique(clean) if value != 0]
    depths = {} if depth_mm is None else dict.fromkeys(present, depth_mm)
    return truth_from_labels(clean, depths_mm=depths, names=names, origin=path)
