"""Report files of one part, from its record, its map and its recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ThermoQCError
from thermo_qc.inspection import DefectMap, Uncertain, measure, read_defect_map
from thermo_qc.io import atomic_path, read_sequence
from thermo_qc.report.inspection_html import write_part_page
from thermo_qc.report.inspection_maps import PartMaps, depth_picture, plate_picture, probability_picture
from thermo_qc.sequence import ThermalSequence
from thermo_qc.workflows.predict_folder import ENDINGS
from thermo_qc.workflows.scoring import representative_frame

__all__ = ["PAGE_FORMATS", "check_formats", "rewrite_pages", "write_pages"]

_SHARES = (0.0, 0.05, 0.2, 0.5, 1.0)  # of the time between the end of the heating and the end of the recording


def _beside(*endings: str) -> Callable[[Path], tuple[Path, ...]]:
    return lambda base: tuple(base.with_name(base.name + ending) for ending in endings)


PAGE_FORMATS: dict[str, Callable[[Path], tuple[Path, ...]]] = {
    "html": _beside(".html"),
    "pdf": _beside(".pdf"),
    "png": _beside(".indications.png", ".probability.png", ".depth.png"),
    "dicom": _beside(".dcm"),
}


_PICTURES = (plate_picture, probability_picture, depth_picture)


def check_formats(formats: Sequence[str]) -> None:
    """Refuse formats whose package is not there, before any work is done.

    Raises
    ------
    MissingDependencyError
        With the pip line.
    """
    if "pdf" in formats:
        from thermo_qc.report.pdf import check_reportlab

        check_reportlab()
    if "dicom" in formats:
        from thermo_qc.report.dicom import check_pydicom

        check_pydicom()


def write_pages(
    record: Mapping[str, Any],
    prediction: DefectMap,
    sequence: ThermalSequence | None,
    base: Path,
    *,
    formats: Sequence[str],
    signal: NDArray[np.float32] | None = None,
    missing: str = "",
) -> None:
    """Write the report of a part in every format.

    Parameters
    ----------
    record : mapping
        Of the part.
    prediction : DefectMap
        Its map.
    sequence : ThermalSequence, optional
        Its recording; None when it is not at hand.
    base : Path
        Path of the result without ending.
    formats : sequence of str
        Keys of `PAGE_FORMATS`.
    signal : ndarray of float32, shape (Y, X), optional
        Representative frame; taken from the recording when None.
    missing : str
        Why there is no recording.
    """
    maps = part_maps(record, prediction, sequence, signal=signal, missing=missing)
    if "html" in formats:
        write_part_page(record, maps, *PAGE_FORMATS["html"](base))
    if "pdf" in formats:
        from thermo_qc.report.pdf import write_part_pdf

        write_part_pdf(record, maps, *PAGE_FORMATS["pdf"](base))
    if "png" in formats:
        for draw, path in zip(_PICTURES, PAGE_FORMATS["png"](base), strict=True):
            with atomic_path(path) as temporary:
                temporary.write_bytes(draw(record, maps))
    if "dicom" in formats:
        from thermo_qc.report.dicom import write_dicom

        write_dicom(record, maps, *PAGE_FORMATS["dicom"](base))


def rewrite_pages(record: Mapping[str, Any], base: Path) -> list[Path]:
    """Write the report files anew that are there; the recording is read where it still lies.

    Returns
    -------
    list of Path
        The files.
    """
    formats = [name for name, paths in PAGE_FORMATS.items() if all(path.is_file() for path in paths(base))]
    if not formats:
        return []
    prediction = read_defect_map(base.with_name(base.name + ENDINGS[-1]))
    sequence, missing = None, ""
    try:
        sequence = read_sequence(Path(record["recording"]["place"]), **record["provenance"]["options"]["facts"])
        if sequence.frame_shape != prediction.shape:
            sequence, missing = None, "the recording has another size now, so no thermograms are shown."
    except ThermoQCError as error:
        missing = f"the recording cannot be read any more ({error}), so no thermograms are shown."
    write_pages(record, prediction, sequence, base, formats=formats, missing=missing)
    return [path for name in formats for path in PAGE_FORMATS[name](base)]


def part_maps(
    record: Mapping[str, Any],
    prediction: DefectMap,
    sequence: ThermalSequence | None,
    *,
    signal: NDArray[np.float32] | None = None,
    missing: str = "",
) -> PartMaps:
    """Gather what the pages of a part draw."""
    rule = (record["criteria"] or {}).get("uncertain", {})
    uncertain = Uncertain(**rule)
    options = record["provenance"]["options"]
    measures = measure(prediction, uncertain=uncertain, min_area_px=int(options["min_area_px"]))
    common = {
        "class_map": prediction.class_map,
        "defect_probability": np.asarray(1.0 - prediction.probability[0], dtype=np.float32),
        "depth_mm": prediction.depth_mm,
        "labels": measures.labels,
    }
    if sequence is None:
        return PartMaps(**common, missing=missing)  # type: ignore[arg-type]
    rise = bool((sequence.times_s < 0).any())
    frame = representative_frame(sequence)[0] if signal is None else signal
    unit = "counts" if sequence.unit == "counts" else "K" if rise else {"K": "K", "degC": "°C"}[sequence.unit]
    word = "rise" if rise else "frame"
    return PartMaps(
        **common,  # type: ignore[arg-type]
        thermograms=_thermograms(sequence),
        frame=frame,
        frame_unit=unit,
        frame_title=f"{word} at {record['map']['frame_time_s']:.4g} s",
    )


def _thermograms(sequence: ThermalSequence) -> list[tuple[str, NDArray[Any]]]:
    """Frames from before the heating to the end; rises above the cold frames where there are some."""
    times = sequence.times_s
    stop = sequence.excitation.stop_s
    start = max(0.0, float(times[0])) if stop is None else float(stop)
    wanted = [start + share * (float(times[-1]) - start) for share in _SHARES]
    numbers = sorted({int(np.argmin(np.abs(times - time))) for time in wanted})
    n_cold = int((times < 0).sum())
    shown: list[tuple[str, NDArray[Any]]] = []
    cold: NDArray[Any] | float = 0.0
    if n_cold:
        cold = np.asarray(sequence.frames[:n_cold, :, :], dtype=np.float64).mean(axis=0)
    for index in numbers:
        frame = np.asarray(sequence.frames[index, :, :], dtype=np.float64) - cold
        shown.append((f"{'rise at ' if n_cold else ''}{times[index]:.4g} s", frame))
    return shown
