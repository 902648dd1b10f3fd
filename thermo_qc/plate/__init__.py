"""Plate specifications: holes in millimetres become class and depth maps on any pixel grid."""

from thermo_qc.plate.geometry import Hole, PlateSpec, pixel_centres_mm
from thermo_qc.plate.loading import load_plate, plate_from_config, shipped_plates
from thermo_qc.plate.materials import load_material, shipped_materials
from thermo_qc.plate.schemes import BINARY, ClassScheme

__all__ = [
    "BINARY",
    "ClassScheme",
    "Hole",
    "PlateSpec",
    "load_material",
    "load_plate",
    "pixel_centres_mm",
    "plate_from_config",
    "shipped_materials",
    "shipped_plates",
]
