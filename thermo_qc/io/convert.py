"""Write a sequence in the format that a file name asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thermo_qc.errors import OutputError
from thermo_qc.io.matlab_write import write_matlab
from thermo_qc.io.native_write import write_sequence
from thermo_qc.io.numpy_files import write_npz
from thermo_qc.io.tiff_write import write_tiff
from thermo_qc.sequence import ThermalSequence

__all__ = ["WRITERS", "write_any"]

WRITERS: dict[str, Callable[[ThermalSequence, Path], None]] = {
    ".h5": write_sequence,
    ".hdf5": write_sequence,
    ".npz": write_npz,
    ".mat": write_matlab,
    ".tif": write_tiff,
    ".tiff": write_tiff,
}


def write_any(sequence: ThermalSequence, path: Path | str) -> None:
    """Write a sequence with all its metadata in the format of the ending.

    ``.h5`` and ``.hdf5`` are native HDF5, ``.npz`` a NumPy archive, ``.mat`` MATLAB 7.3, ``.tif`` and ``.tiff``
    OME-TIFF.

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
