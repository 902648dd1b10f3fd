"""A trained model and a recording become a defect map, in memory and on disk."""

from thermo_qc.inspection.defect_map import DefectMap
from thermo_qc.inspection.files import StoredMap, read_defect_map, read_stored_map, write_defect_map
from thermo_qc.inspection.loading import load_model
from thermo_qc.inspection.predict import predict_sequence

__all__ = [
    "DefectMap",
    "StoredMap",
    "load_model",
    "predict_sequence",
    "read_defect_map",
    "read_stored_map",
    "write_defect_map",
]
