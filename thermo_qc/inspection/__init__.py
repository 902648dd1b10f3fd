"""A trained model and a recording become a defect map; map and criteria become a verdict."""

from thermo_qc.inspection.criteria import Criteria, CriteriaRegion, Uncertain
from thermo_qc.inspection.criteria_file import criteria_from_config, load_criteria
from thermo_qc.inspection.defect_map import DefectMap
from thermo_qc.inspection.files import StoredMap, read_defect_map, read_stored_map, write_defect_map
from thermo_qc.inspection.limit import Limit
from thermo_qc.inspection.limit_checks import Finding
from thermo_qc.inspection.loading import load_model
from thermo_qc.inspection.measure import Measured, Measures, measure
from thermo_qc.inspection.predict import predict_sequence
from thermo_qc.inspection.recorded_setup import RecordedSetup, recorded_setup
from thermo_qc.inspection.shown import Shown, ShownCase, check_shown
from thermo_qc.inspection.shown_sizes import ShownSizes, shown_sizes
from thermo_qc.inspection.verdict import PlatePlace, Verdict, judge

__all__ = [
    "Criteria",
    "CriteriaRegion",
    "DefectMap",
    "Finding",
    "Limit",
    "Measured",
    "Measures",
    "PlatePlace",
    "RecordedSetup",
    "Shown",
    "ShownCase",
    "ShownSizes",
    "StoredMap",
    "Uncertain",
    "Verdict",
    "check_shown",
    "criteria_from_config",
    "judge",
    "load_criteria",
    "load_model",
    "measure",
    "predict_sequence",
    "read_defect_map",
    "read_stored_map",
    "recorded_setup",
    "shown_sizes",
    "write_defect_map",
]
