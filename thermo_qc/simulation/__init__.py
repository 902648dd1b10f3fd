"""Simulated recordings: heat conduction in a plate with flat-bottom holes, and the camera that looks at it."""

from thermo_qc.simulation.buried import Delamination, Inclusion, LayerOf
from thermo_qc.simulation.camera import record_plate
from thermo_qc.simulation.cell import CellSolution, solve_cell
from thermo_qc.simulation.conditions import Heating, HeatingKind, Lamp, Losses, lamp_level
from thermo_qc.simulation.contrast import peak_contrasts_k, solve_sound_plate
from thermo_qc.simulation.kernels import Kernels, NumpyKernels
from thermo_qc.simulation.marks import Mark
from thermo_qc.simulation.placement import Placement
from thermo_qc.simulation.random_plates import RandomPlate, draw_plate, log_frames_s
from thermo_qc.simulation.ranges import MaterialRange, PlateRanges
from thermo_qc.simulation.schedule import frame_times_s
from thermo_qc.simulation.solver import PlateSolution, solve_plate
from thermo_qc.simulation.stepper import EnergyBalance

__all__ = [
    "CellSolution",
    "Delamination",
    "EnergyBalance",
    "Heating",
    "HeatingKind",
    "Inclusion",
    "Kernels",
    "Lamp",
    "LayerOf",
    "Losses",
    "Mark",
    "MaterialRange",
    "NumpyKernels",
    "Placement",
    "PlateRanges",
    "PlateSolution",
    "RandomPlate",
    "draw_plate",
    "frame_times_s",
    "lamp_level",
    "log_frames_s",
    "peak_contrasts_k",
    "record_plate",
    "solve_cell",
    "solve_plate",
    "solve_sound_plate",
]
