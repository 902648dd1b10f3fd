"""When the heating started and stopped, read from the plate's mean curve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import MissingFactError
from thermo_qc.preprocess.jumps import without_jumps
from thermo_qc.preprocess.onset import bends_at, kink_time, onset_of_curve, pulse_time
from thermo_qc.preprocess.reference import mean_curve
from thermo_qc.preprocess.statistics import MAD_TO_STD
from thermo_qc.sequence import ExcitationKind, ThermalSequence

__all__ = [
    "DetectedHeating",
    "detect_heating",
    "detect_heating_stop",
    "heating_of_curve",
    "mark_heating",
    "stop_of_curve",
]

NOISE_LIMIT = 5.0
LEAST_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class DetectedHeating:
    """What the mean curve shows of the heating.

    Parameters
    ----------
    start_s, stop_s : float or None
        Times on the sequence's axis, s; for a flash `start_s` is its moment and `stop_s` the first frame after it.
    kind : {"flash", "long_pulse", "step", "periodic", "unknown"}
        A start and a stop make a long pulse, nearly all of the rise within one frame a flash, a start without a stop a
        step; "unknown" where neither shows, or only a stop.
    reason : str
        Why a time is None, one sentence; empty when both are known.
    """

    start_s: float | None = None
    stop_s: float | None = None
    kind: ExcitationKind = "unknown"
    reason: str = ""


def detect_heating(sequence: ThermalSequence) -> DetectedHeating:
    """Find start and end of the heating in the mean curve of all pixels.

    Level jumps of the whole picture (a camera's shutter) are taken out of the curve first, and a slow drift before the
    heating is part of what is fitted.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; read in bands of frames.

    Returns
    -------
    DetectedHeating
        The start is fitted as the onset of a square root of time, the stop as its end, a flash by the line that the
        inverse square of its rise makes: to a fraction of a frame where the noise of the mean curve allows it.

    References
    ----------
    A. Osiander and J. W. M. Spicer, IEEE J. Quantum Electron. 34 (1998) 2348, 10.1109/3.736108

    Examples
    --------
    >>> import numpy as np
    >>> times = np.arange(-10.0, 100.0)
    >>> curve = 2 * np.sqrt(np.maximum(times - 3, 0)) - 2 * np.sqrt(np.maximum(times - 40, 0))
    >>> found = detect_heating(ThermalSequence(frames=curve.reshape(-1, 1, 1), times_s=times, unit="K"))
    >>> round(found.start_s, 1), round(found.stop_s, 1), found.kind
    (3.0, 40.0, 'long_pulse')
    """
    if sequence.excitation.kind == "periodic":
        return DetectedHeating(kind="periodic", reason="The excitation is periodic: it has no single start and stop.")
    return heating_of_curve(mean_curve(sequence), sequence.times_s)


def detect_heating_stop(sequence: ThermalSequence) -> float | None:
    """Find the end of the heating in the mean curve of all pixels.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; read in bands of frames.

    Returns
    -------
    float or None
        Time of the stop, s; for a flash the time of the hottest frame, the first after the flash. None when the
        recording shows no end of a heating: only cooling, heating until the last frame, a periodic excitation, or
        nothing above the noise. `detect_heating` gives the start too, and the reason.
    """
    return detect_heating(sequence).stop_s


def mark_heating(sequence: ThermalSequence) -> ThermalSequence:
    """Take the heating that the curves show into the recording's facts, and the start as time zero.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording; read in bands of frames.

    Returns
    -------
    ThermalSequence
        Same frames. Where a start was found the times count from it; a stop and, where it was "unknown", the kind of
        the excitation are set.

    Raises
    ------
    MissingFactError
        When neither start nor stop shows.
    """
    found = detect_heating(sequence)
    if found.start_s is None and found.stop_s is None:
        raise MissingFactError(
            f"no heating was found in the curves: {found.reason} Give heating_start_s and heating_stop_s"
        )
    shift = 0.0 if found.start_s is None else found.start_s
    stop = sequence.excitation.stop_s if found.stop_s is None else max(found.stop_s - shift, 0.0)
    before = sequence.excitation
    start = 0.0 if found.start_s is not None else before.start_s
    facts: dict[str, Any] = {"kind": before.kind if before.kind != "unknown" else found.kind}
    if stop is not None:
        start = min(start, stop)
    return sequence.with_frames(
        sequence.frames,
        "mark_heating",
        parameters={"start_s": found.start_s, "stop_s": found.stop_s, "kind": found.kind, "reason": found.reason},
        times_s=sequence.times_s - shift,
        excitation=replace(before, start_s=start, stop_s=stop, **facts),
    )


def stop_of_curve(curve: NDArray[np.float64], times_s: NDArray[np.float64]) -> float | None:
    """Find the end of the heating in one curve, see `heating_of_curve`."""
    return heating_of_curve(curve, times_s).stop_s


def heating_of_curve(curve: NDArray[np.float64], times_s: NDArray[np.float64]) -> DetectedHeating:
    """Find start and end of the heating in one curve.

    The hottest frame brackets the stop; within the bracket the kink is found by a least-squares fit of
    ``a + b t + c t^2 - d sqrt(t - stop)``: heating of a thick plate is smooth, and the end of a constant flux adds
    the square root after it. The start is the kink of the same form with the other sign.

    Parameters
    ----------
    curve : ndarray of float64, shape (T,)
        Mean temperature; frames that are not finite have no part.
    times_s : ndarray of float64, shape (T,)
        Strictly increasing times, s.

    Returns
    -------
    DetectedHeating
    """
    finite = np.isfinite(curve)
    curve, times = curve[finite], times_s[finite]
    if curve.size < 4:
        return DetectedHeating(reason=f"{curve.size} frames with finite values came, at least 4 are needed.")
    level = float(np.median(curve))
    curve = without_jumps(curve - level, times)
    peak = int(np.argmax(curve))
    spread = float(curve.max() - curve.min())
    threshold = max(NOISE_LIMIT * _curve_noise(curve), LEAST_SHARE * spread, 1e-7 * float(np.abs(curve + level).max()))
    rise = float(curve[peak] - curve[: max(1, min(3, peak))].min())
    fall = float(curve[peak] - np.median(curve[-3:]))
    if spread == 0 or rise <= threshold:
        cooling = fall > max(threshold, 0.5 * spread)
        return DetectedHeating(
            reason="The plate only cools: the recording begins after the heating."
            if cooling
            else "Nothing rises above the noise."
        )
    stops = peak > 0 and fall > threshold and bends_at(curve, times, peak)
    if stops and _is_flash(curve, peak):
        return DetectedHeating(start_s=pulse_time(curve, times, peak), stop_s=float(times[peak]), kind="flash")
    start, why = onset_of_curve(curve, times, peak)
    if stops:
        stop = kink_time(curve, times, peak)
        kind: ExcitationKind = "unknown" if start is None else "long_pulse"
        return DetectedHeating(start_s=start, stop_s=stop, kind=kind, reason=why)
    if start is None:
        return DetectedHeating(reason=f"{why} The curve does not fall before the last frame either.")
    return DetectedHeating(start_s=start, kind="step", reason="The heating lasts until the last frame.")


def _curve_noise(curve: NDArray[np.float64]) -> float:
    deviation = np.abs(curve[1:-1] - (curve[:-2] + curve[2:]) / 2)
    return float(MAD_TO_STD * np.median(deviation) / np.sqrt(1.5))


def _is_flash(curve: NDArray[np.float64], peak: int) -> bool:
    """Whether nearly all of the rise happens from one frame to the next."""
    before = float(np.median(curve[: max(1, peak - 1)]))
    return bool(curve[peak - 1] - before < 0.2 * (curve[peak] - before))
