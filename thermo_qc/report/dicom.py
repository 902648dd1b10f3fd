"""A part's map as a DICOM secondary capture with the attributes that DICONDE renames, through pydicom (optional)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thermo_qc import __version__
from thermo_qc.errors import MissingDependencyError
from thermo_qc.io import atomic_path
from thermo_qc.report.inspection_maps import PartMaps, plate_picture
from thermo_qc.report.inspection_page import BANNERS, part_title

__all__ = ["check_pydicom", "write_dicom"]

NOTE = "Secondary capture in the style of DICONDE; no conformance with DICOM or DICONDE is claimed."
_LONG, _SHORT, _TEXT = 64, 16, 10240


def check_pydicom() -> None:
    """Refuse DICOM where pydicom is not installed.

    Raises
    ------
    MissingDependencyError
        With the pip line.
    """
    if find_spec("pydicom") is None:
        raise MissingDependencyError("pydicom", "writing DICOM secondary captures")


def write_dicom(record: Mapping[str, Any], maps: PartMaps, path: Path) -> None:
    """Write the picture of the indications on the plate as a DICOM file, whole or not at all.

    Where DICONDE gives a medical attribute another name, it holds what DICONDE means: PatientName the component's
    name, PatientID its serial number or specimen, ReferringPhysicianName the owner. UIDs are made from the hashes of
    recording and map, so the same result has the same ones.

    Parameters
    ----------
    record : mapping
        See `thermo_qc.workflows.inspection_record`.
    maps : PartMaps
        What is drawn.
    path : Path
        File.

    Raises
    ------
    MissingDependencyError
        When pydicom is not installed.
    OutputError
        When the file cannot be written.
    """
    check_pydicom()
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    hashes = [record["recording"]["sha256"], record["map"]["file_sha256"]]
    picture = np.asarray(Image.open(io.BytesIO(plate_picture(record, maps))).convert("RGB"), dtype=np.uint8)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[*hashes, record["key"], "instance"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID = generate_uid(entropy_srcs=[hashes[0], "study"])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[*hashes, "series"])
    written = datetime.fromisoformat(record["written"])
    data.ContentDate = data.StudyDate = written.strftime("%Y%m%d")
    data.ContentTime = data.StudyTime = written.strftime("%H%M%S")
    data.TimezoneOffsetFromUTC = "+0000"
    data.Modality, data.ConversionType = "OT", "WSD"
    procedure = record["procedure"]
    part, people, equipment = (procedure.get(name, {}) for name in ("part", "people", "equipment"))
    data.PatientName = _name(part_title(record))
    data.PatientID = _line(part.get("serial_number") or record["part"]["specimen"], _LONG)
    data.PatientBirthDate, data.PatientSex = "", ""
    data.ReferringPhysicianName = _name(str(part.get("customer") or ""))
    data.StudyID, data.AccessionNumber = "1", _line(part.get("order"), _SHORT)
    data.StudyDescription = "Active infrared thermography"
    data.SeriesDescription = _line("Indications on the plate", _LONG)
    data.SeriesNumber, data.InstanceNumber = 1, 1
    data.OperatorsName = _name(str(people.get("inspector") or ""))
    data.InstitutionName = _line(people.get("organisation"), _LONG)
    data.Manufacturer = ""
    data.ManufacturerModelName = _line(equipment.get("camera") or record["recording"]["camera"], _LONG)
    data.SecondaryCaptureDeviceManufacturer = "thermo_qc"
    data.SecondaryCaptureDeviceSoftwareVersions = _line(__version__, _LONG)
    data.BurnedInAnnotation = "YES"
    data.ImageComments = _comment(record)
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.Rows, data.Columns = picture.shape[:2]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    pixels = picture.tobytes()
    data.PixelData = pixels + b"\0" * (len(pixels) % 2)
    packed = io.BytesIO()
    data.save_as(packed, enforce_file_format=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(packed.getvalue())


def _comment(record: Mapping[str, Any]) -> str:
    verdict = record["verdict"]
    lines = [NOTE, f"Recording {record['recording']['name']}, SHA-256 {record['recording']['sha256']}."]
    if verdict is not None:
        lines.append(f"{BANNERS[verdict['word']]} by '{record['criteria']['name']}': {'; '.join(verdict['reasons'])}.")
    return _line(" ".join(lines), _TEXT)


def _line(value: Any, most: int) -> str:
    """Text without backslashes, which separate values, and control characters; at most so many characters."""
    text = "".join(char if char.isprintable() else " " for char in str(value or ""))
    return " ".join(text.replace("\\", "/").split())[:most]


def _name(text: str) -> str:
    """Text as a person's name: the separators of its parts are left out."""
    return _line(text.replace("^", " ").replace("=", " "), _LONG)
