"""Recordings, truth and results on disk: one module per file format, none knows another."""

from thermo_qc.io.files import atomic_path, plain_json, sha256_of, write_json, write_text
from thermo_qc.io.formats import READERS, all_readers, detect_format, read_sequence
from thermo_qc.io.native_write import write_sequence
from thermo_qc.io.reader import Found, Reader, assemble, check_options, reading
from thermo_qc.io.sidecar import read_facts_sidecar

__all__ = [
    "READERS",
    "Found",
    "Reader",
    "all_readers",
    "assemble",
    "atomic_path",
    "check_options",
    "detect_format",
    "plain_json",
    "read_facts_sidecar",
    "read_sequence",
    "reading",
    "sha256_of",
    "write_json",
    "write_sequence",
    "write_text",
]
