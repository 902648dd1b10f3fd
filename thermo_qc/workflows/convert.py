"""``thermo-qc convert``: any recording as native HDF5, NumPy archive, MATLAB or TIFF."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from thermo_qc.errors import OutputError
from thermo_qc.io import read_sequence, with_hash, write_any
from thermo_qc.io.convert import WRITERS
from thermo_qc.io.sidecar import sidecar_candidates

__all__ = ["check_new_recording", "run"]

logger = logging.getLogger(__name__)


def run(source: Path | str, output: Path | str, *, overwrite: bool = False, **facts: Any) -> Path:
    """Convert one recording; everything known about it goes along.

    Parameters
    ----------
    source : Path or str
        File or folder that `thermo_qc.io.read_sequence` reads.
    output : Path or str
        ``.h5`` or ``.hdf5`` (native HDF5), ``.npz``, ``.mat`` (MATLAB 7.3), ``.tif`` or ``.tiff`` (OME-TIFF).
    overwrite : bool
        Replace the output if it exists.
    **facts
        Fields of `thermo_qc.config.Facts`; they count before the sidecar and the file.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    OutputError
        When the output has another ending, exists, is the source or would inherit a sidecar.
    InputError, ConfigError
        When the recording or a fact cannot be used.
    """
    source, output = Path(source), Path(output)
    check_new_recording(output, source, tuple(WRITERS), overwrite=overwrite)
    sequence = with_hash(read_sequence(source, **facts), source)
    write_any(sequence, output)
    logger.info("%s: %d frames of %d x %d pixels", output, sequence.n_frames, *sequence.frame_shape)
    return output


def check_new_recording(output: Path, source: Path, endings: tuple[str, ...], *, overwrite: bool) -> None:
    """Refuse a recording's output that cannot or must not be written, before any work is done.

    Raises
    ------
    OutputError
        When it has none of the endings, is a folder, is the source, exists without `overwrite`, or when a sidecar lies
        beside it whose facts (on the time axis of another file) would be applied to it again.
    """
    if output.suffix.lower() not in endings:
        raise OutputError(
            f"{output} ends in '{output.suffix}', expected one of {', '.join(endings)}; choose one of them"
        )
    if output.is_dir():
        raise OutputError(f"{output} is a folder, expected a file name; add one")
    if output.exists() and source.exists() and output.samefile(source):
        raise OutputError(f"{output} is the recording itself; choose another name")
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; choose another name or pass --overwrite")
    for sidecar in sidecar_candidates(output):
        if sidecar.is_file():
            raise OutputError(
                f"{sidecar} states facts about {source.name}, which {output.name} will hold: it must not apply to "
                "both; choose another name or folder for the output"
            )
