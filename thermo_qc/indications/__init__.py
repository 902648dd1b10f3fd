"""Regions of a class map as indications: position, size, depth, probability, contrast to noise."""

from thermo_qc.indications.find import connected_regions, find_indications
from thermo_qc.indications.indication import Indication
from thermo_qc.indications.table import CSV_COLUMNS, indications_to_csv

__all__ = ["CSV_COLUMNS", "Indication", "connected_regions", "find_indications", "indications_to_csv"]
