"""What a file itself states about its recording."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thermo_qc.sequence import Excitation, HistoryEntry, Material, Source, Truth, Unit

__all__ = ["Found"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a file itself states, on the file's own time axis.

    Parameters
    ----------
    times_s : ndarray, optional
        Time of each frame, s; None when the file has no time base.
    times_field : str
        Where the times come from, for messages.
    excitation : Excitation
        Start and stop on the file's time axis.
    starts_at_zero : bool
        Whether the axis already counts from the start of the excitation and is kept as it is.
    unit, pixel_pitch_mm, ambient_c, emissivity, thickness_mm, netd_k, material, camera, specimen_id, acquisition_id,
    source, history, truth
        As in `ThermalSequence`.
    """

    times_s: NDArray[np.float64] | None = None
    times_field: str = "time axis"
    excitation: Excitation = field(default_factory=Excitation)
    starts_at_zero: bool = False
    unit: Unit | None = None
    pixel_pitch_mm: float | None = None
    ambient_c: float | None = None
    emissivity: float | None = None
    thickness_mm: float | None = None
    netd_k: float | None = None
    material: Material | None = None
    camera: str = ""
    specimen_id: str = ""
    acquisition_id: str = ""
    source: Source | None = None
    history: tuple[HistoryEntry, ...] = ()
    truth: Truth | None = None
