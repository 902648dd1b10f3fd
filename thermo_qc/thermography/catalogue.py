"""The methods that make maps, by the names that the command line and configurations use."""

from __future__ import annotations

from thermo_qc.thermography.contrast_maps import ContrastMaps
from thermo_qc.thermography.dac_maps import DACMaps
from thermo_qc.thermography.decay_maps import DecayMaps
from thermo_qc.thermography.decomposition_maps import ICAMaps, PLSTMaps, SPCTMaps
from thermo_qc.thermography.depth_maps import DepthMaps
from thermo_qc.thermography.diffusivity_maps import DiffusivityMaps
from thermo_qc.thermography.dtt_maps import DTTMaps
from thermo_qc.thermography.host import HOSTMaps
from thermo_qc.thermography.lockin_maps import LockinMaps
from thermo_qc.thermography.pct_maps import PCTMaps
from thermo_qc.thermography.ppt_maps import PPTMaps
from thermo_qc.thermography.pulse_compression_maps import PulseCompressionMaps
from thermo_qc.thermography.scene import GramMethod, PixelMethod
from thermo_qc.thermography.step_heating import StepHeatingMaps
from thermo_qc.thermography.tsr_maps import TSRMaps
from thermo_qc.thermography.virtual_wave_maps import VirtualWaveMaps

__all__ = ["METHODS"]

METHODS: dict[str, type[PixelMethod] | type[GramMethod]] = {
    "tsr": TSRMaps,
    "ppt": PPTMaps,
    "pct": PCTMaps,
    "spct": SPCTMaps,
    "ica": ICAMaps,
    "plst": PLSTMaps,
    "contrast": ContrastMaps,
    "host": HOSTMaps,
    "lockin": LockinMaps,
    "pulse_compression": PulseCompressionMaps,
    "step_heating": StepHeatingMaps,
    "decay": DecayMaps,
    "dtt": DTTMaps,
    "virtual_wave": VirtualWaveMaps,
    "dac": DACMaps,
    "depth": DepthMaps,
    "diffusivity": DiffusivityMaps,
}
