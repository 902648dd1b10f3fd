"""``thermo-qc info``: what a recording is, what is missing, and how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.io import read_sequence
from thermo_qc.preprocess import RecordingQuality, assess_recording
from thermo_qc.sequence import ThermalSequence

__all__ = ["describe", "describe_sequence", "render"]

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
        JSON types only, None where unknown: path, format, n_frames, height, width, t_start_s, t_end_s, frame_rate_hz,
        unit, value_min and value_max (of live pixels), n_nan_pixels, n_dead_pixels, n_saturated_frames,
        heating_stop_s (as stated), detected_heating_stop_s, truth_present, n_defects, pixel_pitch_mm, excitation,
        material, thickness_mm, and quality: verdict, problems, remarks, noise, signal, duration_s,
        reachable_depth_mm, n_cold_frames, n_saturated_pixels.

    Raises
    ------
    InputError, ConfigError
        When the recording or a fact cannot be used.
    """
    sequence = read_sequence(path, **facts)
    size = sequence.n_frames * int(np.prod(sequence.frame_shape)) * np.dtype(sequence.frames.dtype).itemsize
    # several passes follow: frames that must be decoded are decoded once, where they fit
    return describe_sequence(sequence.loaded() if size <= _LOAD_BYTES else sequence, path=str(path))


def describe_sequence(sequence: ThermalSequence, *, path: str = "") -> dict[str, Any]:
    """Describe a sequence that is already open, see `describe`."""
    quality = assess_recording(sequence)
    height, width = sequence.frame_shape
    truth = sequence.truth
    return {
        "path": path,
        "format": sequence.source.format_name if sequence.source is not None else "",
        "n_frames": sequence.n_frames,
        "height": height,
        "width": width,
        "t_start_s": float(sequence.times_s[0]),
        "t_end_s": float(sequence.times_s[-1]),
        "frame_rate_hz": sequence.frame_rate_hz,
        "unit": sequence.unit,
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
        "quality": _quality(quality),
    }


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


def render(description: dict[str, Any]) -> str:
    """Turn what `describe` returned into a table for people, without a closing line end."""
    quality = description["quality"]
    lines = [str(description["path"])] if description["path"] else []
    lines += [f"  {label:<16} {value}" for label, value in _rows(description)]
    lines.append(f"  {'quality':<16} {quality['verdict']}")
    lines += [f"    problem: {sentence}" for sentence in quality["problems"]]
    lines += [f"    remark:  {sentence}" for sentence in quality["remarks"]]
    return "\n".join(lines)


def _rows(d: dict[str, Any]) -> list[tuple[str, str]]:
    quality, unit = d["quality"], d["unit"]
    values = UNKNOWN if d["value_min"] is None else f"{d['value_min']:.6g} to {d['value_max']:.6g} {unit}"
    truth = "none" if not d["truth_present"] else f"{d['n_defects']} defect{'' if d['n_defects'] == 1 else 's'}"
    return [
        ("format", d["format"] or UNKNOWN),
        ("frames", f"{d['n_frames']} of {d['height']} x {d['width']} pixels (rows x columns)"),
        ("time", _time(d)),
        ("values", values),
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
    rate = "" if d["frame_rate_hz"] is None else f", {d['frame_rate_hz']:.4g} Hz"
    return f"{d['t_start_s']:.6g} to {d['t_end_s']:.6g} s{rate}"


def _with_unit(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{value:.4g} {unit}"


def _seen(d: dict[str, Any]) -> str:
    stop = d["detected_heating_stop_s"]
    return "none in the curves" if stop is None else f"at {stop:.4g} s"
