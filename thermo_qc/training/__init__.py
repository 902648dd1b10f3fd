"""Training: data, losses, optimisers, schedules and the run that makes a model."""

from thermo_qc.training.crossval import cut_out, held_out_case
from thermo_qc.training.datasets import Case, CurveBatches, FixedBatches
from thermo_qc.training.losses import LOSSES, build_loss
from thermo_qc.training.optimisers import OPTIMISERS, build_optimiser
from thermo_qc.training.run import train_model
from thermo_qc.training.schedules import SCHEDULES, ScheduleOptions, learning_rate_factor

__all__ = [
    "LOSSES",
    "OPTIMISERS",
    "SCHEDULES",
    "Case",
    "CurveBatches",
    "FixedBatches",
    "ScheduleOptions",
    "build_loss",
    "build_optimiser",
    "cut_out",
    "held_out_case",
    "learning_rate_factor",
    "train_model",
]
