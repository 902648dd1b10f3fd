"""Recordings, truth and results on disk: one module per file format, none knows another."""

from thermo_qc.io.convert import write_any
from thermo_qc.io.files import (
    atomic_path,
    partial_path,
    plain_json,
    remove_partial,
    sha256_of,
    write_json,
    write_text,
)
from thermo_qc.io.formats import READERS, all_readers, detect_format, read_sequence
from thermo_qc.io.found import Found
from thermo_qc.io.irbis_text import LockinMap, is_lockin_map, read_lockin_map
from thermo_qc.io.manifest import Manifest, ManifestEntry, entry_plate, load_entry, load_manifest
from thermo_qc.io.matlab_write import write_matlab
from thermo_qc.io.native_write import write_sequence
from thermo_qc.io.numpy_files import write_npz
from thermo_qc.io.reader import Reader, assemble, check_options, reading, with_hash
from thermo_qc.io.sidecar import read_facts_sidecar
from thermo_qc.io.tables import write_csv
from thermo_qc.io.tiff_write import write_tiff
from thermo_qc.io.truth import read_homography, read_region, read_truth, truth_of_plate

__all__ = [
    "READERS",
    "Found",
    "LockinMap",
    "Manifest",
    "ManifestEntry",
    "Reader",
    "all_readers",
    "assemble",
    "atomic_path",
    "check_options",
    "detect_format",
    "entry_plate",
    "is_lockin_map",
    "load_entry",
    "load_manifest",
    "partial_path",
    "plain_json",
    "read_facts_sidecar",
    "read_homography",
    "read_lockin_map",
    "read_region",
    "read_sequence",
    "read_truth",
    "reading",
    "remove_partial",
    "sha256_of",
    "truth_of_plate",
    "with_hash",
    "write_any",
    "write_csv",
    "write_json",
    "write_matlab",
    "write_npz",
    "write_sequence",
    "write_text",
    "write_tiff",
]
