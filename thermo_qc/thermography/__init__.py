"""Classical maps: pure functions, arrays in, arrays out."""

from thermo_qc.thermography.blind_frequency import (
    BLIND_FACTOR,
    CLOSED_FORM_FACTOR,
    blind_frequency,
    depth_from_blind_frequency_mm,
    phase_noise_rad,
    spectrum_matrix,
)
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
from thermo_qc.thermography.contrast_peak import ContrastPeak, find_contrast_peak
from thermo_qc.thermography.dac import (
    InterpolatedDAC,
    SoundFit,
    dac_law,
    differential_absolute_contrast,
    fit_sound_part,
    interpolated_dac,
)
from thermo_qc.thermography.dac_maps import DACMaps
from thermo_qc.thermography.decay import DecayFit, fit_decay
from thermo_qc.thermography.decay_maps import DecayMaps
from thermo_qc.thermography.decomposition_maps import ICAMaps, PLSTMaps, SPCTMaps
from thermo_qc.thermography.decompositions import independent_images, partial_least_squares_functions, sparse_images
from thermo_qc.thermography.depth_calibration import (
    Calibration,
    calibrate_depth_factor,
    calibrate_depth_map,
    depth_scale_mm,
    measure_defects,
)
from thermo_qc.thermography.depth_maps import DepthMaps
from thermo_qc.thermography.diffusivity import diffusivity_from_half_rise, diffusivity_from_peak, half_rise_time
from thermo_qc.thermography.diffusivity_maps import DiffusivityMaps
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
from thermo_qc.thermography.scores import (
    BestTanimoto,
    DefectScore,
    MapScores,
    best_tanimoto,
    contrast_to_noise_map,
    score_map,
    signal_to_background,
    signal_to_noise_map_db,
    sound_ring,
    tanimoto,
)
from thermo_qc.thermography.slab import half_space_response, slab_flash, slab_response, slab_step
from thermo_qc.thermography.slab_fit import SlabFit, fit_slab
from thermo_qc.thermography.step_heating import LineFit, StepHeatingMaps, fit_line, fit_sqrt_time
from thermo_qc.thermography.tsr import TSRFit, fit_tsr, synthetic, tsr_derivatives
from thermo_qc.thermography.tsr_depth import (
    dense_part,
    depth_from_peak_mm,
    second_derivative_noise,
    second_derivative_peak,
)
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
    "BLIND_FACTOR",
    "CLOSED_FORM_FACTOR",
    "METHODS",
    "PCT",
    "PPT",
    "STANDARDISATIONS",
    "BestTanimoto",
    "Calibration",
    "ContrastMaps",
    "ContrastPeak",
    "DACMaps",
    "DTTMaps",
    "DecayFit",
    "DecayMaps",
    "DefectScore",
    "DepthMaps",
    "DiffusivityMaps",
    "FourPoint",
    "Gram",
    "GramMethod",
    "HOSTMaps",
    "ICAMaps",
    "InterpolatedDAC",
    "Layer",
    "LineFit",
    "LockinFit",
    "LockinMaps",
    "MapImage",
    "MapScores",
    "MapSet",
    "PCTMaps",
    "PLSTMaps",
    "PPTMaps",
    "PixelMethod",
    "PulseCompression",
    "PulseCompressionMaps",
    "SPCTMaps",
    "Scene",
    "SlabFit",
    "SoundFit",
    "StepHeatingMaps",
    "StoredMaps",
    "TSRFit",
    "TSRMaps",
    "Timegram",
    "VirtualWaveMaps",
    "VirtualWaveOperator",
    "absolute_contrast",
    "barker_signal",
    "best_tanimoto",
    "blind_frequency",
    "calibrate_depth_factor",
    "calibrate_depth_map",
    "central_moments",
    "chirp_signal",
    "choose_regularisation",
    "compress_pulses",
    "compute_maps",
    "compute_pct",
    "compute_ppt",
    "contrast_to_noise",
    "contrast_to_noise_map",
    "dac_law",
    "dense_part",
    "depth_from_blind_frequency_mm",
    "depth_from_peak_mm",
    "depth_scale_mm",
    "differential_absolute_contrast",
    "diffusivity_from_half_rise",
    "diffusivity_from_peak",
    "find_contrast_peak",
    "find_echo",
    "find_timegram",
    "fit_decay",
    "fit_line",
    "fit_lockin",
    "fit_slab",
    "fit_sound_part",
    "fit_sqrt_time",
    "fit_tsr",
    "four_point",
    "half_rise_time",
    "half_space_response",
    "independent_images",
    "interpolated_dac",
    "invert_non_negative",
    "make_method",
    "measure_defects",
    "normalised_contrast",
    "options_of",
    "partial_least_squares_functions",
    "phase_noise_rad",
    "read_maps",
    "running_contrast",
    "score_map",
    "second_derivative_noise",
    "second_derivative_peak",
    "signal_to_background",
    "signal_to_noise_db",
    "signal_to_noise_map_db",
    "slab_flash",
    "slab_response",
    "slab_rise",
    "slab_step",
    "slice_tomograms",
    "sound_ring",
    "sparse_images",
    "spectrum_matrix",
    "standard_contrast",
    "synthetic",
    "tanimoto",
    "timegram_depth_mm",
    "tsr_derivatives",
    "virtual_wave_kernel",
    "virtual_wave_operator",
    "write_maps",
]
