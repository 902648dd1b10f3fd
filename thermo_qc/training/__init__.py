"""Training: data, losses, optimisers, schedules and the run that makes a model."""

from thermo_qc.training.acquisitions import AcquisitionRanges, Sample, SimulatedPlate, draw_acquisition
from thermo_qc.training.calibration import Calibration, expected_calibration_error, fit_temperature
from thermo_qc.training.corpus import train_on_corpus
from thermo_qc.training.crossval import cut_out, held_out_case
from thermo_qc.training.datasets import Case, CurveBatches, FixedBatches
from thermo_qc.training.inputs import hold_out_cases
from thermo_qc.training.losses import LOSSES, build_loss
from thermo_qc.training.optimisers import OPTIMISERS, build_optimiser
from thermo_qc.training.run import train_model
from thermo_qc.training.schedules import SCHEDULES, ScheduleOptions, learning_rate_factor
from thermo_qc.training.spread import STRATEGIES, Spread, spread_over
from thermo_qc.training.strip import validation_strip
from thermo_qc.training.transfer import load_start

__all__ = [
    "LOSSES",
    "OPTIMISERS",
    "SCHEDULES",
    "STRATEGIES",
    "AcquisitionRanges",
    "Calibration",
    "Case",
    "CurveBatches",
    "FixedBatches",
    "Sample",
    "ScheduleOptions",
    "SimulatedPlate",
    "Spread",
    "build_loss",
    "build_optimiser",
    "cut_out",
    "draw_acquisition",
    "expected_calibration_error",
    "fit_temperature",
    "held_out_case",
    "hold_out_cases",
    "learning_rate_factor",
    "load_start",
    "spread_over",
    "train_model",
    "train_on_corpus",
    "validation_strip",
]
