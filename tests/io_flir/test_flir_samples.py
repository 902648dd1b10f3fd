"""Real FLIR recordings, where they are at hand: temperatures, times and the metadata that ExifTool reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thermo_qc.io import detect_format, read_sequence
from thermo_qc.io.flir_camera import CameraInfo, read_camera
from thermo_qc.io.flir_records import find_blocks
from thermo_qc.sequence import ThermalSequence

FORMATS = Path(__file__).parents[2].parent / "shared" / "data" / "formats"


def _sample(name: str) -> Path:
    if not (FORMATS / name).exists():
        pytest.skip(f"{name} is not here")
    return FORMATS / name


def _dump(name: str) -> dict[str, str]:
    lines = _sample(name).read_text(encoding="utf-8").splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(" : ") for line in lines)}


def _range(sequence: ThermalSequence) -> tuple[float, float]:
    frames = sequence.frames[:, :, :]
    return float(frames.min()), float(frames.max())


def test_seq_of_an_sc660() -> None:
    path = _sample("flir_sc660_2frames.seq")
    assert path.read_bytes().find(b"FFF\0", 4) == 449999  # pixels that look like a block
    sequence = read_sequence(path, emissivity=1.0)
    assert sequence.frames.shape == (2, 480, 640) and sequence.unit == "degC" and sequence.camera == "FLIR SC660"
    np.testing.assert_allclose(_range(sequence), (18.7, 37.3), atol=0.1)
    np.testing.assert_allclose(sequence.times_s, [0, 3.967], atol=1e-9)
    assert read_sequence(path).emissivity == pytest.approx(0.95)


def test_csq_of_a_t1030sc() -> None:
    sequence = read_sequence(_sample("flir_t1030sc_8frames.csq"))
    assert sequence.frames.shape == (8, 768, 1024) and sequence.camera.startswith("FLIR T1030sc")
    np.testing.assert_allclose(np.diff(sequence.times_s), 1 / 30, atol=1e-3)
    last = sequence.frames[7]
    assert 15 < last.min() < last.max() < 36
    assert np.median(last) == pytest.approx(np.median(sequence.frames[0]), abs=0.5)
    assert sequence.history[0].parameters["pixels"] == "JPEG-LS"


@pytest.mark.parametrize(
    ("name", "shape", "camera", "low", "high"),
    [
        ("flir_duopror_640x512_be.fff", (1, 512, 640), "Duo Pro R", 9.0, 14.0),
        ("flir_t420_320x240_le.fff", (1, 240, 320), "FLIR T420 (with SC", 22.0, 30.0),
        ("flir_e60_radiometric.jpg", (1, 240, 320), "FLIR E60", -12.0, 15.5),
    ],
)
def test_single_frames(name: str, shape: tuple[int, ...], camera: str, low: float, high: float) -> None:
    sequence = read_sequence(_sample(name))
    assert (sequence.frames.shape, sequence.camera, sequence.unit) == (shape, camera, "degC")
    assert low < _range(sequence)[0] < _range(sequence)[1] < high
    assert sequence.times_s.tolist() == [0.0]


def test_readers_know_their_files() -> None:
    names = {_sample(name).name: detect_format(_sample(name)).name for name in ("flir_sc660_2frames.seq",)}
    assert names == {"flir_sc660_2frames.seq": "FLIR FFF/SEQ/CSQ"}
    assert detect_format(_sample("flir_e60_radiometric.jpg")).name == "FLIR radiometric JPEG"


@pytest.fixture
def camera() -> CameraInfo:
    data = _sample("flir_duopror_640x512_be.fff").read_bytes()
    (block,) = find_blocks(Path("a.fff"), data)
    assert block.camera is not None
    return read_camera(Path("a.fff"), data, block.camera)


NUMBERS = {
    "Emissivity": ("emissivity", 0.0, 0.005),
    "Object Distance": ("distance_m", 0.0, 0.005),
    "Reflected Apparent Temperature": ("reflected_k", 273.15, 0.05),
    "Atmospheric Temperature": ("atmosphere_k", 273.15, 0.05),
    "IR Window Temperature": ("window_k", 273.15, 0.05),
    "IR Window Transmission": ("window_transmission", 0.0, 0.005),
    "Planck R1": ("planck_r1", 0.0, 0.5),
    "Planck B": ("planck_b", 0.0, 0.5),
    "Planck F": ("planck_f", 0.0, 0.5),
    "Planck O": ("planck_o", 0.0, 0.0),
    "Planck R2": ("planck_r2", 0.0, 0.5),
    "Atmospheric Trans Alpha 1": ("alpha1", 0.0, 1e-6),
    "Atmospheric Trans Alpha 2": ("alpha2", 0.0, 1e-6),
    "Atmospheric Trans Beta 1": ("beta1", 0.0, 1e-6),
    "Atmospheric Trans Beta 2": ("beta2", 0.0, 1e-6),
    "Atmospheric Trans X": ("x", 0.0, 1e-6),
    "Camera Temperature Range Max": ("range_max_k", 273.15, 0.05),
    "Camera Temperature Range Min": ("range_min_k", 273.15, 0.05),
    "Field Of View": ("field_of_view_deg", 0.0, 0.05),
    "Raw Value Median": ("raw_median", 0.0, 0.0),
    "Frame Rate": ("frame_rate_hz", 0.0, 0.0),
}
TEXTS = {
    "Camera Model": "model",
    "Camera Part Number": "part_number",
    "Camera Serial Number": "serial_number",
    "Camera Software": "software",
    "Lens Model": "lens",
}


def test_metadata_are_those_of_exiftool(camera: CameraInfo) -> None:
    dump = _dump("flir_duopror_640x512_be.exiftool.txt")
    for name, (field, offset, tolerance) in NUMBERS.items():
        assert getattr(camera, field) - offset == pytest.approx(float(dump[name].split()[0]), abs=tolerance), name
    assert camera.humidity * 100 == pytest.approx(float(dump["Relative Humidity"].split()[0]), abs=0.05)
    assert {name: getattr(camera, field) for name, field in TEXTS.items()} == {name: dump[name] for name in TEXTS}
    date, _, time = dump["Date/Time Original"].partition(" ")
    assert camera.date == f"{date.replace(':', '-')}T{time}"


def test_history_and_fields_repeat_the_metadata() -> None:
    dump = _dump("flir_duopror_640x512_be.exiftool.txt")
    sequence = read_sequence(_sample("flir_duopror_640x512_be.fff"))
    said = sequence.history[0].parameters
    assert sequence.camera == dump["Camera Model"] and said["frame_rate_hz"] == float(dump["Frame Rate"])
    assert sequence.emissivity == pytest.approx(float(dump["Emissivity"]), abs=0.005)
    size = (int(dump["Raw Thermal Image Height"]), int(dump["Raw Thermal Image Width"]))
    assert tuple(sequence.frames.shape[1:]) == size
