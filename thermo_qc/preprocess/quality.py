"""Whether a recording can be used: saturation, dead pixels, cold frames, noise, and the depth its duration reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.preprocess.dead import dead_from_statistics
from thermo_qc.preprocess.heating import detect_heating_stop
from thermo_qc.preprocess.statistics import PixelStatistics, estimate_noise, pixel_statistics
from thermo_qc.sequence import Material, ThermalSequence

__all__ = ["RecordingQuality", "assess_recording"]

Verdict = Literal["good", "usable", "poor"]
COUNT_CEILINGS = (2**12 - 1, 2**14 - 1, 2**16 - 1)
FEWEST_FRAMES = 10
PLATEAU_PIXELS = 4


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
    saturated_frames, saturated_pixels = _saturation(sequence, statistics, live, noise)
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


def _saturation(
    sequence: ThermalSequence, statistics: PixelStatistics, live: NDArray[np.bool_], noise: float | None
) -> tuple[int, int]:
    """Count frames and pixels at the upper end of the range.

    The upper end is the largest value of the type or of 12, 14 or 16 bit counts; or, where the range is not known, a
    value that several pixels share for two frames or more while hardly any pixel peaks just below it.
    """
    if not live.any():
        return 0, 0
    top = float(statistics.maximum[live].max())
    pixels = live & (statistics.maximum == top)
    ceiling = _is_ceiling(sequence, top)
    if not ceiling and not (noise and _piles_up(statistics.maximum[live], top)):
        return 0, 0
    frames = np.zeros(sequence.n_frames, dtype=bool)
    long_enough = np.zeros(pixels.shape, dtype=bool)
    for rows, block in sequence.blocks():
        if not pixels[rows].any():
            continue
        at_top = (block == np.float32(top)) & pixels[rows]
        long_enough[rows] = at_top.sum(axis=0) >= (1 if ceiling else 2)
        frames |= (at_top & long_enough[rows]).any(axis=(1, 2))
    enough = ceiling or int(long_enough.sum()) >= PLATEAU_PIXELS
    return (int(frames.sum()), int(long_enough.sum())) if enough else (0, 0)


def _is_ceiling(sequence: ThermalSequence, top: float) -> bool:
    dtype = np.dtype(sequence.frames.dtype)
    if dtype.kind in "iu" and top == np.iinfo(dtype).max:
        return True
    return sequence.unit == "counts" and top in COUNT_CEILINGS


def _piles_up(peaks: NDArray[np.float64], top: float) -> bool:
    n_top = int((peaks == top).sum())
    below = peaks[peaks < top]
    if n_top < PLATEAU_PIXELS or below.size == 0:
        return False
    return n_top > 3 * int((peaks == below.max()).sum())


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
    if stated is None and detected is None and findings.excitation not in {"step", "periodic", "flash"}:
        return ["The heating stop is neither stated nor visible in the curves; give heating_stop_s if it matters."]
    if stated is None and detected is not None:
        return [f"The heating stop is not stated; the curves show it at {detected:.4g} s."]
    if stated is not None and detected is not None and findings.excitation != "flash":
        step = findings.last_time_s / max(findings.n_frames, 1)
        if abs(stated - detected) > max(3 * step, 0.1 * stated):
            return [f"The heating stop is stated as {stated:.4g} s, the curves show it at {detected:.4g} s."]
    return []
