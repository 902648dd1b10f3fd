"""Honest evaluation: leak-safe folds, pixel metrics, defects found and missed, and what to print of them."""

from thermo_qc.evaluation.bounds import cramer_rao_bound, fisher_information
from thermo_qc.evaluation.detection import detectable_holes, detection_grid, detection_rate
from thermo_qc.evaluation.folds import FOLD_KINDS, make_splits
from thermo_qc.evaluation.hole_indices import (
    HoleDetectability,
    hole_depth_bounds,
    hole_detectability,
    plate_detectability,
    simulate_hole,
)
from thermo_qc.evaluation.holes import false_calls, hole_table
from thermo_qc.evaluation.intervals import Proportion, Rate, clopper_pearson, poisson_rate
from thermo_qc.evaluation.items import FoldItem, diffusion_length_mm
from thermo_qc.evaluation.metrics import SCALARS, confusion_matrix, pixel_metrics
from thermo_qc.evaluation.observer import Detectability, DetectionLimits, detectability, project_nuisances
from thermo_qc.evaluation.planning import DepthPlan, smallest_diameters
from thermo_qc.evaluation.pod_ahat import STANDARD_TARGETS_A_HAT, fit_a_hat
from thermo_qc.evaluation.pod_design import PodDesign
from thermo_qc.evaluation.pod_hitmiss import STANDARD_TARGETS_HIT_MISS, fit_hit_miss
from thermo_qc.evaluation.pod_result import PodBootstrap, PodCurve, PodSize, ResidualCheck
from thermo_qc.evaluation.pulses import PulseNeed, WantedHole, best_pulse, recording_needed
from thermo_qc.evaluation.setup import InspectionSetup
from thermo_qc.evaluation.splits import Splits
from thermo_qc.evaluation.summary import comparison_row, depth_errors, leakage_row, summarise
from thermo_qc.evaluation.tables import render_table

__all__ = [
    "FOLD_KINDS",
    "SCALARS",
    "STANDARD_TARGETS_A_HAT",
    "STANDARD_TARGETS_HIT_MISS",
    "DepthPlan",
    "Detectability",
    "DetectionLimits",
    "FoldItem",
    "HoleDetectability",
    "InspectionSetup",
    "PodBootstrap",
    "PodCurve",
    "PodDesign",
    "PodSize",
    "Proportion",
    "PulseNeed",
    "Rate",
    "ResidualCheck",
    "Splits",
    "WantedHole",
    "best_pulse",
    "clopper_pearson",
    "comparison_row",
    "confusion_matrix",
    "cramer_rao_bound",
    "depth_errors",
    "detectability",
    "detectable_holes",
    "detection_grid",
    "detection_rate",
    "diffusion_length_mm",
    "false_calls",
    "fisher_information",
    "fit_a_hat",
    "fit_hit_miss",
    "hole_depth_bounds",
    "hole_detectability",
    "hole_table",
    "leakage_row",
    "make_splits",
    "pixel_metrics",
    "plate_detectability",
    "poisson_rate",
    "project_nuisances",
    "recording_needed",
    "render_table",
    "simulate_hole",
    "smallest_diameters",
    "summarise",
]
