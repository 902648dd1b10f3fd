"""Whether a recording can be used: saturation, dead pixels, cold frames, noise, and the depth its duration reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from thermo_qc.preprocess.dead import dead_from_statistics
from thermo_qc.preprocess.heating import detect_heating_stop
from thermo_qc.preprocess.saturation import count_saturated
from thermo_qc.preprocess.statistics import estimate_noise, pixel_statistics
from thermo_qc.sequence import Material, ThermalSequence

__all__ = ["RecordingQuality", "assess_recording"]

Verdict = Literal["good", "usable", "poor"]
FEWEST_FRAMES = 10


@dataclass(frozen=True, kw_only=True)
class RecordingQuality:
    """What `assess_recording` found; pixels and frames are counts, values are in the unit of the frames.

    Parameters
    ----------
    verdict : {"good", "usable", "poor"}
        Good: no problem; usable: problems that cost accuracy; poor: a result would not be worth its name.
    problems, remarks : tuple of str
        One sentence each; problems decide the verdict, remarks do not.
    n_nan_pixels : int
        Pixels with a value that is missing or infinite in any frame.
    n_dead_pixels : int
        See `find_dead_pixels`.
    n_saturated_frames, n_saturated_pixels : int
        Frames with, and pixels that are ever, at the upper end of the range.
    n_cold_frames : int
        Frames before the heating.
    noise : float or None
        White noise in time; None with fewer than three frames.
    signal : float or None
        Median over the pixels of their range over time.
    value_min, value_max : float or None
        Extremes of the finite values of the live pixels.
    duration_s : float
        Time from the start of the heating, or the first frame if that is later, to the last frame.
    reachable_depth_mm : float or None
        Thermal diffusion length sqrt(alpha t) over the duration; None without a material.
    thickness_mm : float or None
        Thickness of the plate, where known.
    detected_heating_stop_s : float or None
        See `detect_heating_stop`.
    constant : bool
        Whether no pixel ever changes.
    """

    verdict: Verdict
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    n_nan_pixels: int
    n_dead_pixels: int
    n_saturated_frames: int
    n_saturated_pixels: int
    n_cold_frames: int
    noise: float | None
    signal: float | None
    value_min: float | None
    value_max: float | None
    duration_s: float
    reachable_depth_mm: float | None
    thickness_mm: float | None
    detected_heating_stop_s: float | None
    constant: bool


@dataclass(frozen=True, kw_only=True)
class _Findings:
    """The figures, before anybody judges them."""

    n_pixels: int
    n_frames: int
    unit: str
    file_heating_stop_s: float | None
    excitation: str
    last_time_s: float
    figures: dict[str, Any]


def assess_recording(sequence: ThermalSequence, *, material: Material | None = None) -> RecordingQuality:
    """Judge a recording before anything is computed from it.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording as it came, before any processing; read in bounded memory.
    material : Material, optional
        Plate material where the recording itself names none.

    Returns
    -------
    RecordingQuality

    References
    ----------
    The reachable depth is the thermal diffusion length sqrt(alpha t), Carslaw and Jaeger, Conduction of Heat in
    Solids, 2nd ed., 1959; larger defects show somewhat below it, small ones only above it.
    """
    statistics = pixel_statistics(sequence)
    dead = dead_from_statistics(statistics)
    live = np.isfinite(statistics.maximum) & ~dead
    noise = estimate_noise(sequence) if sequence.n_frames >= 3 and live.any() else None
    saturated_frames, saturated_pixels = count_saturated(sequence, statistics, live, noise)
    material = sequence.material or material
    duration = float(sequence.times_s[-1] - max(0.0, float(sequence.times_s[0])))
    reach = None if material is None else float(np.sqrt(material.diffusivity_through_mm2_s * max(duration, 0.0)))
    spread = (statistics.maximum - statistics.minimum)[live]
    known = np.isfinite(statistics.maximum)
    figures: dict[str, Any] = {
        "n_nan_pixels": int((statistics.n_finite < sequence.n_frames).sum()),
        "n_dead_pixels": int(dead.sum()),
        "n_saturated_frames": saturated_frames,
        "n_saturated_pixels": saturated_pixels,
        "n_cold_frames": int((sequence.times_s < 0).sum()),
        "noise": noise,
        "signal": float(np.median(spread)) if spread.size else None,
        "value_min": float(statistics.minimum[live].min()) if live.any() else None,
        "value_max": float(statistics.maximum[live].max()) if live.any() else None,
        "duration_s": duration,
        "reachable_depth_mm": reach,
        "thickness_mm": sequence.thickness_mm,
        "detected_heating_stop_s": detect_heating_stop(sequence) if live.any() else None,
        "constant": bool(known.any() and (statistics.maximum[known] == statistics.minimum[known]).all()),
    }
    findings = _Findings(
        n_pixels=dead.size,
        n_frames=sequence.n_frames,
        unit=sequence.unit,
        file_heating_stop_s=sequence.excitation.stop_s,
        excitation=sequence.excitation.kind,
        last_time_s=float(sequence.times_s[-1]),
        figures=figures,
    )
    fatal, problems, remarks = _fatal(findings), _problems(findings), _remarks(findings)
    verdict: Verdict = "poor" if fatal else "usable" if problems else "good"
    return RecordingQuality(verdict=verdict, problems=(*fatal, *problems), remarks=tuple(remarks), **figures)


def _fatal(findings: _Findings) -> list[str]:
    f, n = findings.figures, findings.n_pixels
    said = []
    if f["value_max"] is None:
        said.append("No pixel has a finite value.")
    elif f["constant"]:
        said.append("All pixels keep one value: this is no recording of a heated plate.")
    elif f["n_nan_pixels"] > 0.5 * n:
        said.append(f"{f['n_nan_pixels']} of {n} pixels lack values in some frame.")
    if f["n_saturated_pixels"] > 0.2 * n:
        said.append(f"{f['n_saturated_pixels']} of {n} pixels saturate: lower the integration time or the heating.")
    if f["noise"] and f["signal"] is not None and not f["constant"] and f["signal"] < 8 * f["noise"]:
        # The range of pure noise over some hundred frames is about six standard deviations.
        said.append(
            f"The pixels change by {f['signal']:.3g} {findings.unit}, no more than noise of {f['noise']:.3g} does."
        )
    if f["duration_s"] <= 0:
        said.append("No frame lies after the start of the heating: check the time base.")
    return said


def _problems(findings: _Findings) -> list[str]:
    f, n = findings.figures, findings.n_pixels
    said = []
    if 0 < f["n_nan_pixels"] <= 0.5 * n:
        said.append(f"{f['n_nan_pixels']} pixels lack values in some frame.")
    if 0 < f["n_saturated_pixels"] <= 0.2 * n:
        said.append(f"{f['n_saturated_pixels']} pixels saturate in {f['n_saturated_frames']} frames.")
    if f["n_cold_frames"] == 0:
        said.append(
            "No cold frames before the heating: the temperature rise and the camera's fixed pattern are unknown."
        )
    if f["n_dead_pixels"] > 0.01 * n:
        said.append(f"{f['n_dead_pixels']} dead pixels ({100 * f['n_dead_pixels'] / n:.1f} %).")
    if findings.n_frames < FEWEST_FRAMES:
        said.append(f"Only {findings.n_frames} frames.")
    if f["reachable_depth_mm"] is not None and f["thickness_mm"] and f["reachable_depth_mm"] < 0.5 * f["thickness_mm"]:
        said.append(
            f"Heat travels {f['reachable_depth_mm']:.1f} mm in {f['duration_s']:.4g} s, less than half of the "
            f"{f['thickness_mm']:g} mm plate: deeper defects cannot show; record longer."
        )
    return said


def _remarks(findings: _Findings) -> list[str]:
    f = findings.figures
    said = []
    if 0 < f["n_dead_pixels"] <= 0.01 * findings.n_pixels:
        said.append(f"{f['n_dead_pixels']} dead pixels; they are replaced by their neighbours before any processing.")
    if f["reachable_depth_mm"] is None:
        said.append("The material is unknown, so the depth that the recording reaches cannot be stated.")
    elif f["thickness_mm"] is None or f["reachable_depth_mm"] >= 0.5 * f["thickness_mm"]:
        said.append(f"Heat travels about {f['reachable_depth_mm']:.1f} mm in {f['duration_s']:.4g} s.")
    if f["noise"] is None:
        said.append("Too few frames to estimate the noise.")
    said.extend(_on_heating(findings))
    return said


def _on_heating(findings: _Findings) -> list[str]:
    stated, detected = findings.file_heating_stop_s, findings.figures["detected_heating_stop_s"]
    if findings.excitation in {"flash", "step", "periodic"}:
        return []
    if stated is None:
        return [
            "The heating stop is neither stated nor visible in the curves; give heating_stop_s if it matters."
            if detected is None
            else f"The heating stop is not stated; the curves show it at {detected:.4g} s."
        ]
    step = findings.last_time_s / max(findings.n_frames, 1)
    if detected is not None and abs(stated - detected) > max(3 * step, 0.1 * stated):
        return [f"The heating stop is stated as {stated:.4g} s, the curves show it at {detected:.4g} s."]
    return []
