"""What a network sees: a recording becomes curves (N, T, C) or a stack (C, Y, X); saved with the model."""

from thermo_qc.representation.representation import Representation
from thermo_qc.representation.time_axis import TimeAxis, heating_origin_s

__all__ = ["Representation", "TimeAxis", "heating_origin_s"]
