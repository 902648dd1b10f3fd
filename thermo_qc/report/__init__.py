"""Pages and pictures for people, made from results on disk."""

from thermo_qc.report.maps import draw_maps_beside_truth, draw_methods, draw_outcomes, outcome_map
from thermo_qc.report.pictures import draw_plate, draw_prediction, draw_splits

__all__ = [
    "draw_maps_beside_truth",
    "draw_methods",
    "draw_outcomes",
    "draw_plate",
    "draw_prediction",
    "draw_splits",
    "outcome_map",
]
