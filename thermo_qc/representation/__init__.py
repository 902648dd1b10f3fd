"""What a network sees: a recording becomes curves (N, T, C) or a stack (C, Y, X); saved with the model."""

from thermo_qc.representation.bins import TimeBins, time_bins
from thermo_qc.representation.facts import N_FACTS, plate_facts
from thermo_qc.representation.neighbourhood import CurveField, neighbourhood_radius_mm
from thermo_qc.representation.physical import PhysicalRepresentation
from thermo_qc.representation.physics import residual_channels
from thermo_qc.representation.representation import Representation
from thermo_qc.representation.saved import AnyRepresentation, load_representation
from thermo_qc.representation.time_axis import TimeAxis, heating_origin_s

__all__ = [
    "N_FACTS",
    "AnyRepresentation",
    "CurveField",
    "PhysicalRepresentation",
    "Representation",
    "TimeAxis",
    "TimeBins",
    "heating_origin_s",
    "load_representation",
    "neighbourhood_radius_mm",
    "plate_facts",
    "residual_channels",
    "time_bins",
]
