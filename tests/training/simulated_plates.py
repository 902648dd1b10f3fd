"""Plates of a corpus in a few pixels, and what a network sees of them, for tests of trainings."""

from __future__ import annotations

import numpy as np

from thermo_qc.representation import PhysicalRepresentation
from thermo_qc.sequence import Defect, Excitation, Material, ThermalSequence, Truth
from thermo_qc.simulation import log_frames_s
from thermo_qc.training import SimulatedPlate

GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.3,
    conductivity_in_plane_w_mk=0.4,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)
RECIPE = PhysicalRepresentation(n_heating=4, n_cooling=12, background_order=1)


def plate(number: int, *, height: int = 20, kind: str = "long_pulse") -> SimulatedPlate:
    """A cooling plate with a spot that cools more slowly, and one that nothing shows."""
    stop = 0.0 if kind == "flash" else 20.0
    times = log_frames_s(100.0, stop)
    curve = np.where(times <= stop, np.sqrt(times), np.sqrt(times) - np.sqrt(np.maximum(times - stop, 0.0)))
    if kind == "flash":
        curve = 1 / np.sqrt(times)
    index = np.zeros((height, 24), dtype=np.int16)
    index[6:12, 5 + number : 11 + number], index[15:18, 3:6], index[0] = 1, 2, -1
    frames = 10.0 * curve[:, None, None] * (1.0 + 0.3 * (index == 1) * (times / 100.0)[:, None, None])
    depth = np.select([index == 1, index == 2], [2.0, 4.0], np.nan).astype(np.float32)
    defects = (Defect(number=1, depth_mm=2.0), Defect(number=2, depth_mm=4.0))
    sequence = ThermalSequence(
        frames=(22.0 + frames).astype(np.float32),
        times_s=times,
        unit="degC",
        excitation=Excitation(kind=kind, stop_s=stop or None),  # type: ignore[arg-type]
        ambient_c=22.0,
        material=GFRP,
        thickness_mm=6.0,
        pixel_pitch_mm=1.0,
        truth=Truth(defect_index=index, depth_mm=depth, defects=defects),
    )
    return SimulatedPlate(sequence=sequence, indices={1: 50.0, 2: 0.01})
