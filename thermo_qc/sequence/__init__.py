"""The one data object: `ThermalSequence`, its metadata and its truth."""

from thermo_qc.sequence.frames import FrameSource, FrameWindow, window
from thermo_qc.sequence.metadata import (
    EXCITATION_KINDS,
    UNITS,
    Excitation,
    ExcitationKind,
    HistoryEntry,
    Material,
    Source,
    Unit,
)
from thermo_qc.sequence.thermal import ThermalSequence
from thermo_qc.sequence.truth import IGNORE_LABEL, Defect, Truth

__all__ = [
    "EXCITATION_KINDS",
    "IGNORE_LABEL",
    "UNITS",
    "Defect",
    "Excitation",
    "ExcitationKind",
    "FrameSource",
    "FrameWindow",
    "HistoryEntry",
    "Material",
    "Source",
    "ThermalSequence",
    "Truth",
    "Unit",
    "window",
]
