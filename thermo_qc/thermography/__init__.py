"""Classical maps: pure functions, arrays in, arrays out."""

from thermo_qc.thermography.contrast import (
    absolute_contrast,
    contrast_to_noise,
    normalised_contrast,
    running_contrast,
    signal_to_noise_db,
    standard_contrast,
)
from thermo_qc.thermography.pct import PCT, STANDARDISATIONS, compute_pct
from thermo_qc.thermography.ppt import PPT, compute_ppt
from thermo_qc.thermography.tsr import TSRFit, fit_tsr, synthetic, tsr_derivatives
from thermo_qc.thermography.tsr_depth import depth_from_peak_mm, second_derivative_peak

__all__ = [
    "PCT",
    "PPT",
    "STANDARDISATIONS",
    "TSRFit",
    "absolute_contrast",
    "compute_pct",
    "compute_ppt",
    "contrast_to_noise",
    "depth_from_peak_mm",
    "fit_tsr",
    "normalised_contrast",
    "running_contrast",
    "second_derivative_peak",
    "signal_to_noise_db",
    "standard_contrast",
    "synthetic",
    "tsr_derivatives",
]
