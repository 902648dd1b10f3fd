"""``thermo-qc info``: what a recording is, what is missing, and how good it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.errors import MissingFactError
from thermo_qc.io import all_readers, detect_format, is_lockin_map, read_lockin_map, read_sequence
from thermo_qc.io.formats import REFUSED
from thermo_qc.preprocess import RecordingQuality, assess_recording
from thermo_qc.sequence import ThermalSequence

__all__ = ["describe", "describe_sequence", "list_formats", "render"]

UNKNOWN = "unknown"
_LOAD_BYTES = 512 * 2**20


def describe(path: Path | str, **facts: Any) -> dict[str, Any]:
    """Describe one recording.

    Parameters
    ----------
    path : Path or str
        File or folder that `thermo_qc.io.read_sequence` reads.
    **facts
        Fields of `thermo_qc.config.Facts`; they count before the sidecar and the file.

    Returns
    -------
    dict
        JSON types only, None where unknown: path, kind ("recording"), format, tested_on_real_files, camera, n_frames,
        height, width, t_start_s, t_end_s, frame_rate_hz, unit, calibration (where the unit comes from), value_min and
        value_max (of live pixels), n_nan_pixels, n_dead_pixels, n_saturated_frames, heating_stop_s (as stated),
        detected_heating_stop_s, truth_present, n_defects, pixel_pitch_mm, excitation, material, thickness_mm,
        missing (what an inspection needs and nobody gave: what, option, key of the sidecar), sidecar (its name), and
        quality: verdict, problems, remarks, noise, signal, duration_s, reachable_depth_mm, n_cold_frames,
        n_saturated_pixels. A recording without a time base is described with unknown times. A lock-in result has
        path, kind ("lock-in map"), format, quantity, unit, height, width, value_min, value_max and the frequency,
        frames per period and periods of the measurement.

    Raises
    ------
    InputError, ConfigError
        When the recording or a fact cannot be used.
    """
    if is_lockin_map(path):
        return _describe_map(Path(path))
    timed = True
    try:
        sequence = read_sequence(path, **facts)
    except MissingFactError:
        # Whatever else is missing raises again, and only a missing time base is cured by one.
        sequence, timed = read_sequence(path, **{**facts, "frame_rate_hz": 1.0}), False
    size = sequence.n_frames * int(np.prod(sequence.frame_shape)) * np.dtype(sequence.frames.dtype).itemsize
    # several passes follow: frames that must be decoded are decoded once, where they fit
    sequence = sequence.loaded() if size <= _LOAD_BYTES else sequence
    described = describe_sequence(sequence, path=str(path))
    described["tested_on_real_files"] = bool(detect_format(path).tried_on)
    if not timed:
        _forget_times(described)
    return described


def describe_sequence(sequence: ThermalSequence, *, path: str = "") -> dict[str, Any]:
    """Describe a sequence that is already open, see `describe`."""
    quality = assess_recording(sequence)
    height, width = sequence.frame_shape
    truth = sequence.truth
    return {
        "path": path,
        "kind": "recording",
        "format": sequence.source.format_name if sequence.source is not None else "",
        "tested_on_real_files": None,
        "camera": sequence.camera,
        "n_frames": sequence.n_frames,
        "height": height,
        "width": width,
        "t_start_s": float(sequence.times_s[0]),
        "t_end_s": float(sequence.times_s[-1]),
        "frame_rate_hz": sequence.frame_rate_hz,
        "unit": sequence.unit,
        "calibration": _calibration(sequence),
        "value_min": quality.value_min,
        "value_max": quality.value_max,
        "n_nan_pixels": quality.n_nan_pixels,
        "n_dead_pixels": quality.n_dead_pixels,
        "n_saturated_frames": quality.n_saturated_frames,
        "heating_stop_s": sequence.excitation.stop_s,
        "detected_heating_stop_s": quality.detected_heating_stop_s,
        "truth_present": truth is not None,
        "n_defects": 0 if truth is None else int((np.unique(truth.defect_index) > 0).sum()),
        "pixel_pitch_mm": sequence.pixel_pitch_mm,
        "excitation": sequence.excitation.kind,
        "material": None if sequence.material is None else sequence.material.name,
        "thickness_mm": sequence.thickness_mm,
        "missing": _missing(sequence),
        "sidecar": f"{Path(path).name}.yaml" if path else None,
        "quality": _quality(quality) if sequence.n_frames > 1 else _quality_of_one(quality),
    }


def _calibration(sequence: ThermalSequence) -> str:
    """Say where the unit of the values comes from."""
    opened = next(
        (entry.parameters for entry in sequence.history if {"unit", "conversion"} & set(entry.parameters)), {}
    )
    said = str(opened.get("conversion") or str(opened.get("unit", "")).partition(": ")[2])
    if sequence.unit == "counts":
        return f"none: {said or 'neither the file nor anybody else says what the numbers are'}; the values stay counts"
    emissivity = "" if sequence.emissivity is None else f" at emissivity {sequence.emissivity:.3g}"
    return f"{said}{emissivity}" if said else f"none applied: the numbers are stated to be {sequence.unit}"


def _missing(sequence: ThermalSequence) -> list[dict[str, str]]:
    """List what an inspection needs and nobody gave, with the option and the key of the sidecar that supply it."""
    excitation = sequence.excitation
    gaps = []
    if excitation.kind == "unknown":
        gaps.append(("kind of excitation (flash, long_pulse, step or periodic)", "excitation"))
    if excitation.kind in ("unknown", "long_pulse") and excitation.stop_s is None:
        gaps.append(("time at which the heating stops", "heating_stop_s"))
    if excitation.kind == "periodic" and excitation.frequency_hz is None:
        gaps.append(("frequency of the excitation", "frequency_hz"))
    if sequence.pixel_pitch_mm is None:
        gaps.append(("pixel pitch", "pixel_pitch_mm"))
    return [{"what": what, "option": f"--{key.replace('_', '-')}", "key": key} for what, key in gaps]


def _forget_times(described: dict[str, Any]) -> None:
    """Take out what rests on the time base that was assumed to look at the frames."""
    for name in ("t_start_s", "t_end_s", "frame_rate_hz", "heating_stop_s", "detected_heating_stop_s"):
        described[name] = None
    quality = described["quality"]
    for name in ("duration_s", "reachable_depth_mm"):
        quality[name] = None
    for name in ("problems", "remarks"):
        quality[name] = [sentence for sentence in quality[name] if not re.search(r"\d s\b|heating stop", sentence)]
    quality["verdict"] = "usable" if quality["verdict"] == "good" else quality["verdict"]
    quality["problems"].insert(0, "The file has no time base.")
    described["missing"].insert(0, {"what": "time base", "option": "--frame-rate-hz", "key": "frame_rate_hz"})


def _describe_map(path: Path) -> dict[str, Any]:
    result = read_lockin_map(path)
    finite = result.values[np.isfinite(result.values)]
    return {
        "path": str(path),
        "kind": "lock-in map",
        "format": detect_format(path).name,
        "quantity": result.quantity,
        "unit": result.unit,
        "height": result.values.shape[0],
        "width": result.values.shape[1],
        "value_min": float(finite.min()) if finite.size else None,
        "value_max": float(finite.max()) if finite.size else None,
        "lockin_frequency_hz": result.metadata.get("lockin_frequency_hz"),
        "frames_per_period": result.metadata.get("frames_per_period"),
        "n_periods": result.metadata.get("n_periods"),
    }


def list_formats() -> str:
    """List the formats that can be read, each with what its reader was tried on, as lines for people."""
    lines = []
    for reader in all_readers():
        endings = "folder" if reader.folders else " ".join(reader.extensions)
        tried = f"tried on {reader.tried_on}" if reader.tried_on else "untested on real files"
        lines.append(f"{reader.name:<42} {endings:<20} {tried}")
    lines += [f"{known.name:<42} {' '.join(known.extensions):<20} not read; {known.advice}" for known in REFUSED]
    return "\n".join(lines)


def _quality(quality: RecordingQuality) -> dict[str, Any]:
    return {
        "verdict": quality.verdict,
        "problems": list(quality.problems),
        "remarks": list(quality.remarks),
        "noise": quality.noise,
        "signal": quality.signal,
        "duration_s": quality.duration_s,
        "reachable_depth_mm": quality.reachable_depth_mm,
        "n_cold_frames": quality.n_cold_frames,
        "n_saturated_pixels": quality.n_saturated_pixels,
    }


def _quality_of_one(quality: RecordingQuality) -> dict[str, Any]:
    """Judge a single frame: it shows the format and the temperatures, and nothing over time."""
    said = "A single frame is no recording over time; name the folder that holds the frames, or a sequence file."
    return _quality(quality) | {"verdict": "poor", "problems": [said], "remarks": []}


def render(description: dict[str, Any]) -> str:
    """Turn what `describe` returned into a table for people, without a closing line end."""
    lines = [str(description["path"])] if description["path"] else []
    if description["kind"] == "lock-in map":
        return "\n".join(lines + [f"  {label:<16} {value}" for label, value in _map_rows(description)])
    quality = description["quality"]
    lines += [f"  {label:<16} {value}" for label, value in _rows(description)]
    if description["missing"]:
        place = description["sidecar"] or "a sidecar YAML"
        lines.append(f"  {'missing':<16} for an inspection; give the option, or the key in {place}:")
    lines += [f"  {'':<16} {gap['what']}: {gap['option']}, or {gap['key']}" for gap in description["missing"]]
    lines.append(f"  {'quality':<16} {quality['verdict']}")
    lines += [f"    problem: {sentence}" for sentence in quality["problems"]]
    lines += [f"    remark:  {sentence}" for sentence in quality["remarks"]]
    return "\n".join(lines)


def _map_rows(d: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("format", d["format"]),
        ("kind", f"lock-in {d['quantity']} map: one result and no recording; nothing to inspect over time"),
        ("size", f"{d['height']} x {d['width']} pixels (rows x columns)"),
        ("values", UNKNOWN if d["value_min"] is None else f"{d['value_min']:.6g} to {d['value_max']:.6g} {d['unit']}"),
        (
            "lock-in",
            f"{_with_unit(d['lockin_frequency_hz'], 'Hz')}, {_plain(d['n_periods'])} periods of "
            f"{_plain(d['frames_per_period'])} frames",
        ),
        ("in Python", "thermo_qc.io.read_lockin_map; thermo-qc maps --methods lockin makes such maps of a recording"),
    ]


def _plain(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:g}"


def _rows(d: dict[str, Any]) -> list[tuple[str, str]]:
    quality, unit = d["quality"], d["unit"]
    values = UNKNOWN if d["value_min"] is None else f"{d['value_min']:.6g} to {d['value_max']:.6g} {unit}"
    truth = "none" if not d["truth_present"] else f"{d['n_defects']} defect{'' if d['n_defects'] == 1 else 's'}"
    return [
        (
            "format",
            (d["format"] or UNKNOWN) + (" (untested on real files)" if d["tested_on_real_files"] is False else ""),
        ),
        ("camera", d["camera"] or UNKNOWN),
        ("frames", f"{d['n_frames']} of {d['height']} x {d['width']} pixels (rows x columns)"),
        ("time", _time(d)),
        ("values", values),
        ("calibration", d["calibration"]),
        ("noise", _with_unit(quality["noise"], unit)),
        ("pixels", f"{d['n_nan_pixels']} with missing values, {d['n_dead_pixels']} dead"),
        ("saturation", f"{d['n_saturated_frames']} frames, {quality['n_saturated_pixels']} pixels"),
        ("excitation", d["excitation"]),
        ("heating stop", f"stated {_with_unit(d['heating_stop_s'], 's')}, seen {_seen(d)}"),
        ("cold frames", str(quality["n_cold_frames"])),
        ("pixel pitch", _with_unit(d["pixel_pitch_mm"], "mm")),
        ("material", d["material"] or UNKNOWN),
        ("thickness", _with_unit(d["thickness_mm"], "mm")),
        ("reachable depth", _with_unit(quality["reachable_depth_mm"], "mm")),
        ("truth", truth),
    ]


def _time(d: dict[str, Any]) -> str:
    if d["t_start_s"] is None:
        return UNKNOWN
    rate = "" if d["frame_rate_hz"] is None else f", {d['frame_rate_hz']:.4g} Hz"
    return f"{d['t_start_s']:.6g} to {d['t_end_s']:.6g} s{rate}"


def _with_unit(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{value:.4g} {unit}"


def _seen(d: dict[str, Any]) -> str:
    stop = d["detected_heating_stop_s"]
    return "none in the curves" if stop is None else f"at {stop:.4g} s"
