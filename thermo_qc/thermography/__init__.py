"""Classical maps: pure functions, arrays in, arrays out."""

from thermo_qc.thermography.catalogue import METHODS
from thermo_qc.thermography.contrast import (
    absolute_contrast,
    contrast_to_noise,
    normalised_contrast,
    running_contrast,
    signal_to_noise_db,
    standard_contrast,
)
from thermo_qc.thermography.contrast_maps import ContrastMaps
from thermo_qc.thermography.decay import DecayFit, fit_decay
from thermo_qc.thermography.decay_maps import DecayMaps
from thermo_qc.thermography.decomposition_maps import ICAMaps, PLSTMaps, SPCTMaps
from thermo_qc.thermography.decompositions import independent_images, partial_least_squares_functions, sparse_images
from thermo_qc.thermography.dtt import Timegram, find_timegram, slice_tomograms, timegram_depth_mm
from thermo_qc.thermography.dtt_maps import DTTMaps
from thermo_qc.thermography.engine import MapSet, compute_maps
from thermo_qc.thermography.host import HOSTMaps, central_moments
from thermo_qc.thermography.lockin import FourPoint, LockinFit, fit_lockin, four_point
from thermo_qc.thermography.lockin_maps import LockinMaps
from thermo_qc.thermography.map_files import StoredMaps, read_maps, write_maps
from thermo_qc.thermography.options import make_method, options_of
from thermo_qc.thermography.pct import PCT, STANDARDISATIONS, compute_pct
from thermo_qc.thermography.pct_maps import PCTMaps
from thermo_qc.thermography.ppt import PPT, compute_ppt
from thermo_qc.thermography.ppt_maps import PPTMaps
from thermo_qc.thermography.pulse_compression import PulseCompression, barker_signal, chirp_signal, compress_pulses
from thermo_qc.thermography.pulse_compression_maps import PulseCompressionMaps
from thermo_qc.thermography.scene import Gram, GramMethod, Layer, MapImage, PixelMethod, Scene
from thermo_qc.thermography.step_heating import LineFit, StepHeatingMaps, fit_line, fit_sqrt_time
from thermo_qc.thermography.tsr import TSRFit, fit_tsr, synthetic, tsr_derivatives
from thermo_qc.thermography.tsr_depth import depth_from_peak_mm, second_derivative_peak
from thermo_qc.thermography.tsr_maps import TSRMaps
from thermo_qc.thermography.virtual_wave import slab_rise, virtual_wave_kernel
from thermo_qc.thermography.virtual_wave_inverse import (
    VirtualWaveOperator,
    choose_regularisation,
    find_echo,
    invert_non_negative,
    virtual_wave_operator,
)
from thermo_qc.thermography.virtual_wave_maps import VirtualWaveMaps

__all__ = [
    "METHODS",
    "PCT",
    "PPT",
    "STANDARDISATIONS",
    "ContrastMaps",
    "DTTMaps",
    "DecayFit",
    "DecayMaps",
    "FourPoint",
    "Gram",
    "GramMethod",
    "HOSTMaps",
    "ICAMaps",
    "Layer",
    "LineFit",
    "LockinFit",
    "LockinMaps",
    "MapImage",
    "MapSet",
    "PCTMaps",
    "PLSTMaps",
    "PPTMaps",
    "PixelMethod",
    "PulseCompression",
    "PulseCompressionMaps",
    "SPCTMaps",
    "Scene",
    "StepHeatingMaps",
    "StoredMaps",
    "TSRFit",
    "TSRMaps",
    "Timegram",
    "VirtualWaveMaps",
    "VirtualWaveOperator",
    "absolute_contrast",
    "barker_signal",
    "central_moments",
    "chirp_signal",
    "choose_regularisation",
    "compress_pulses",
    "compute_maps",
    "compute_pct",
    "compute_ppt",
    "contrast_to_noise",
    "depth_from_peak_mm",
    "find_echo",
    "find_timegram",
    "fit_decay",
    "fit_line",
    "fit_lockin",
    "fit_sqrt_time",
    "fit_tsr",
    "four_point",
    "independent_images",
    "invert_non_negative",
    "make_method",
    "normalised_contrast",
    "options_of",
    "partial_least_squares_functions",
    "read_maps",
    "running_contrast",
    "second_derivative_peak",
    "signal_to_noise_db",
    "slab_rise",
    "slice_tomograms",
    "sparse_images",
    "standard_contrast",
    "synthetic",
    "timegram_depth_mm",
    "tsr_derivatives",
    "virtual_wave_kernel",
    "virtual_wave_operator",
    "write_maps",
]
