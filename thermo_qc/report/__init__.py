"""Pages and pictures for people, made from results on disk."""

from thermo_qc.report.build import build_report
from thermo_qc.report.charts import draw_comparison, draw_confusion, draw_hole_grid, draw_training
from thermo_qc.report.curve_chart import draw_curves
from thermo_qc.report.curves import DefectCurve, PixelCurves, representative_curves
from thermo_qc.report.maps import draw_maps_beside_truth, draw_methods, draw_outcomes, outcome_map
from thermo_qc.report.pictures import draw_plate, draw_prediction, draw_splits

__all__ = [
    "DefectCurve",
    "PixelCurves",
    "build_report",
    "draw_comparison",
    "draw_confusion",
    "draw_curves",
    "draw_hole_grid",
    "draw_maps_beside_truth",
    "draw_methods",
    "draw_outcomes",
    "draw_plate",
    "draw_prediction",
    "draw_splits",
    "draw_training",
    "outcome_map",
    "representative_curves",
]
