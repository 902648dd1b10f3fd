"""Normalisation of curves: pixel by pixel against the lamp's pattern, or the whole sequence with one scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import UnknownNameError, suggestion
from thermo_qc.preprocess.frames import affine
from thermo_qc.preprocess.statistics import pixel_statistics
from thermo_qc.sequence import ThermalSequence

__all__ = ["PIXEL_MODES", "SEQUENCE_MODES", "normalise", "normalise_pixels", "normalise_sequence"]

PIXEL_MODES: tuple[str, ...] = ("none", "pixel_standard", "pixel_minmax", "pixel_mean")
SEQUENCE_MODES: tuple[str, ...] = ("none", "sequence_standard", "sequence_minmax")
SMALLEST_SHARE = 1e-3


def normalise(sequence: ThermalSequence, mode: str) -> ThermalSequence:
    """Normalise by any mode, see `normalise_pixels` and `normalise_sequence`.

    Raises
    ------
    UnknownNameError
        When the mode is not known.
    """
    if mode in PIXEL_MODES:
        return normalise_pixels(sequence, mode)
    if mode in SEQUENCE_MODES:
        return normalise_sequence(sequence, mode)
    known = dict.fromkeys((*PIXEL_MODES, *SEQUENCE_MODES))
    raise UnknownNameError(f"unknown normalisation '{mode}'{suggestion(mode, known)}")


def normalise_pixels(sequence: ThermalSequence, mode: str) -> ThermalSequence:
    """Normalise every pixel's curve by its own statistics over time.

    Parameters
    ----------
    sequence : ThermalSequence
        Usually the temperature rise within the wanted time window.
    mode : {"none", "pixel_standard", "pixel_minmax", "pixel_mean"}
        Zero mean and unit standard deviation; 0 to 1; divided by the mean over time (removes the absorbed energy);
        or unchanged.

    Returns
    -------
    ThermalSequence
        Dimensionless (unit "counts"), float32; a view for frames in a file. A pixel whose divisor is below a thousandth
        of the median divisor (no signal) becomes 0 instead of amplified noise; a pixel that is never finite stays NaN.

    Raises
    ------
    UnknownNameError
        When the mode is not known.
    """
    if mode not in PIXEL_MODES:
        raise UnknownNameError(f"unknown normalisation of pixels '{mode}'{suggestion(mode, PIXEL_MODES)}")
    if mode == "none":
        return sequence
    statistics = pixel_statistics(sequence)
    if mode == "pixel_standard":
        offset, divisor = statistics.mean, statistics.std
    elif mode == "pixel_minmax":
        offset, divisor = statistics.minimum, statistics.maximum - statistics.minimum
    else:
        offset, divisor = np.where(np.isnan(statistics.mean), np.nan, 0.0), statistics.mean
    return _scaled(sequence, mode, offset, divisor)


def normalise_sequence(sequence: ThermalSequence, mode: str) -> ThermalSequence:
    """Normalise all pixels and frames with one offset and one divisor.

    Parameters
    ----------
    sequence : ThermalSequence
        Usually the temperature rise within the wanted time window.
    mode : {"none", "sequence_standard", "sequence_minmax"}
        Zero mean and unit standard deviation over everything; 0 to 1; or unchanged.

    Returns
    -------
    ThermalSequence
        Dimensionless (unit "counts"), float32; all 0 for an all-constant sequence.

    Raises
    ------
    UnknownNameError
        When the mode is not known.
    """
    if mode not in SEQUENCE_MODES:
        raise UnknownNameError(f"unknown normalisation of sequences '{mode}'{suggestion(mode, SEQUENCE_MODES)}")
    if mode == "none":
        return sequence
    statistics = pixel_statistics(sequence)
    if not statistics.n_finite.any():
        return sequence.with_frames(affine(sequence.frames), mode, unit="counts")
    if mode == "sequence_minmax":
        low = float(np.nanmin(statistics.minimum))
        return _scaled(sequence, mode, np.array([[low]]), np.array([[float(np.nanmax(statistics.maximum)) - low]]))
    weights = statistics.n_finite / statistics.n_finite.sum()
    mean = float(np.nansum(weights * statistics.mean))
    variance = float(np.nansum(weights * (statistics.std**2 + (statistics.mean - mean) ** 2)))
    return _scaled(sequence, mode, np.array([[mean]]), np.array([[np.sqrt(variance)]]))


def _scaled(
    sequence: ThermalSequence, mode: str, offset: NDArray[np.float64], divisor: NDArray[np.float64]
) -> ThermalSequence:
    size = np.abs(divisor)
    typical = float(np.median(size[np.isfinite(size)])) if np.isfinite(size).any() else 0.0
    useful = np.isfinite(size) & (size > SMALLEST_SHARE * typical) & (size > 0)
    gain = np.divide(1.0, divisor, out=np.where(np.isfinite(size), 0.0, np.nan), where=useful)
    parameters: dict[str, Any] = {"mode": mode}
    name = "normalise_pixels" if mode.startswith("pixel") else "normalise_sequence"
    return sequence.with_frames(
        affine(sequence.frames, offset=offset, gain=gain), name, parameters=parameters, unit="counts"
    )
