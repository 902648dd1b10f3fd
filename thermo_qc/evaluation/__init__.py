"""Honest evaluation: leak-safe folds, pixel metrics, defects found and missed, and what to print of them."""

from thermo_qc.evaluation.bounds import cramer_rao_bound, fisher_information
from thermo_qc.evaluation.depth_scores import (
    COVERAGE_LEVELS,
    DepthRow,
    DepthScores,
    class_confusion_by_depth,
    depth_scores,
)
from thermo_qc.evaluation.detection import detectable_holes, detection_grid, detection_rate
from thermo_qc.evaluation.folds import FOLD_KINDS, make_splits
from thermo_qc.evaluation.half_maximum import half_maximum_diameters
from thermo_qc.evaluation.hole_indices import (
    HoleDetectability,
    hole_depth_bounds,
    hole_detectability,
    plate_detectability,
    simulate_hole,
)
from thermo_qc.evaluation.holes import false_calls, hole_table
from thermo_qc.evaluation.indication_summary import ErrorSummary, IndicationSummary, summarise_matchings
from thermo_qc.evaluation.intervals import Proportion, Rate, clopper_pearson, poisson_rate
from thermo_qc.evaluation.items import FoldItem, diffusion_length_mm
from thermo_qc.evaluation.map_contrast import defect_probability, probability_contrasts
from thermo_qc.evaluation.matching import (
    DefectMatch,
    FalseCall,
    Matching,
    check_same_pitch,
    match_indications,
    sound_pixels,
)
from thermo_qc.evaluation.metric_intervals import MetricIntervals, block_confusions, metric_intervals
from thermo_qc.evaluation.metrics import SCALARS, confusion_matrix, pixel_metrics
from thermo_qc.evaluation.observer import Detectability, DetectionLimits, detectability, project_nuisances
from thermo_qc.evaluation.paired import PairedDifference, confusion_statistic, hit_statistic, paired_bootstrap
from thermo_qc.evaluation.planning import DepthPlan, smallest_diameters
from thermo_qc.evaluation.pod_ahat import STANDARD_TARGETS_A_HAT, fit_a_hat
from thermo_qc.evaluation.pod_design import PodDesign
from thermo_qc.evaluation.pod_hitmiss import STANDARD_TARGETS_HIT_MISS, fit_hit_miss
from thermo_qc.evaluation.pod_result import PodBootstrap, PodCurve, PodSize, ResidualCheck
from thermo_qc.evaluation.probability_scores import (
    Calibration,
    ProbabilityTally,
    average_precision,
    tally_probabilities,
)
from thermo_qc.evaluation.pulses import PulseNeed, WantedHole, best_pulse, recording_needed
from thermo_qc.evaluation.setup import InspectionSetup
from thermo_qc.evaluation.sound import SoundScores, SoundSummary, sound_scores, summarise_sound
from thermo_qc.evaluation.splits import Splits
from thermo_qc.evaluation.summary import comparison_row, depth_errors, leakage_row, summarise
from thermo_qc.evaluation.tables import render_table

__all__ = [
    "COVERAGE_LEVELS",
    "FOLD_KINDS",
    "SCALARS",
    "STANDARD_TARGETS_A_HAT",
    "STANDARD_TARGETS_HIT_MISS",
    "Calibration",
    "DefectMatch",
    "DepthPlan",
    "DepthRow",
    "DepthScores",
    "Detectability",
    "DetectionLimits",
    "ErrorSummary",
    "FalseCall",
    "FoldItem",
    "HoleDetectability",
    "IndicationSummary",
    "InspectionSetup",
    "Matching",
    "MetricIntervals",
    "PairedDifference",
    "PodBootstrap",
    "PodCurve",
    "PodDesign",
    "PodSize",
    "ProbabilityTally",
    "Proportion",
    "PulseNeed",
    "Rate",
    "ResidualCheck",
    "SoundScores",
    "SoundSummary",
    "Splits",
    "WantedHole",
    "average_precision",
    "best_pulse",
    "block_confusions",
    "check_same_pitch",
    "class_confusion_by_depth",
    "clopper_pearson",
    "comparison_row",
    "confusion_matrix",
    "confusion_statistic",
    "cramer_rao_bound",
    "defect_probability",
    "depth_errors",
    "depth_scores",
    "detectability",
    "detectable_holes",
    "detection_grid",
    "detection_rate",
    "diffusion_length_mm",
    "false_calls",
    "fisher_information",
    "fit_a_hat",
    "fit_hit_miss",
    "half_maximum_diameters",
    "hit_statistic",
    "hole_depth_bounds",
    "hole_detectability",
    "hole_table",
    "leakage_row",
    "make_splits",
    "match_indications",
    "metric_intervals",
    "paired_bootstrap",
    "pixel_metrics",
    "plate_detectability",
    "poisson_rate",
    "probability_contrasts",
    "project_nuisances",
    "recording_needed",
    "render_table",
    "simulate_hole",
    "smallest_diameters",
    "sound_pixels",
    "sound_scores",
    "summarise",
    "summarise_matchings",
    "summarise_sound",
    "tally_probabilities",
]
