"""Write a sequence in the format that a file name asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thermo_qc.errors import OutputError
from thermo_qc.io.native_write import write_sequence
from thermo_qc.io.numpy_files import write_npz
from thermo_qc.sequence import ThermalSequence

__all__ = ["WRITERS", "write_any"]

WRITERS: dict[str, Callable[[ThermalSequence, Path], None]] = {
    ".h5": write_sequence,
    ".hdf5": write_sequence,
    ".npz": write_npz,
}


def write_any(sequence: ThermalSequence, path: Path | str) -> None:
    """Write a sequence as native HDF5 (``.h5``, ``.hdf5``) or NumPy archive (``.npz``); both keep all metadata.

    Raises
    ------
    OutputError
        When the ending is another one, or the file cannot be written.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise OutputError(f"{path} has no ending that can be written; expected one of {', '.join(WRITERS)}")
    writer(sequence, path)
