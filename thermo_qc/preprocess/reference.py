"""The plate's reference curve, and what a pixel differs from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, TruthError
from thermo_qc.preprocess.frames import affine
from thermo_qc.sequence import ThermalSequence

__all__ = ["frame_bands", "mean_curve", "reference_curve", "subtract_reference"]


def frame_bands(sequence: ThermalSequence, max_bytes: int = 64 * 2**20) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Iterate over bands of whole frames in bounded memory.

    Yields
    ------
    frames : slice
        Position of the band on the time axis.
    band : ndarray of float64, shape (frames, Y, X)
    """
    step = max(1, max_bytes // (8 * sequence.frame_shape[0] * sequence.frame_shape[1]))
    for start in range(0, sequence.n_frames, step):
        part = slice(start, min(start + step, sequence.n_frames))
        yield part, np.asarray(sequence.frames[part, :, :], dtype=np.float64)


def reference_curve(
    sequence: ThermalSequence,
    mask: NDArray[np.bool_] | None = None,
    *,
    statistic: Literal["median", "mean"] | None = None,
) -> NDArray[np.float64]:
    """Curve of the sound plate, frame by frame.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording, read in bands of frames.
    mask : ndarray of bool, shape (Y, X), optional
        Sound region; all pixels when None.
    statistic : {"median", "mean"}, optional
        Default: the mean of a given sound region, else the median over the plate, which needs no knowledge of where
        the defects are as long as they cover less than half of it.

    Returns
    -------
    ndarray of float64, shape (T,)
        Over the finite values; NaN for a frame without any.

    Raises
    ------
    SequenceError
        When the mask has another shape.
    TruthError
        When the mask is empty.
    """
    if mask is not None and mask.shape != sequence.frame_shape:
        raise SequenceError(f"sound region has shape {mask.shape}, the frames have {sequence.frame_shape}")
    if mask is not None and not mask.any():
        raise TruthError("the sound region has no pixel; mark one or take the median over the plate")
    mean = statistic == "mean" or (statistic is None and mask is not None)
    curve = np.full(sequence.n_frames, np.nan)
    for part, band in frame_bands(sequence):
        values = band.reshape(band.shape[0], -1) if mask is None else band[:, mask]
        curve[part] = _over_pixels(values, mean=mean)
    return curve


def mean_curve(sequence: ThermalSequence) -> NDArray[np.float64]:
    """Mean over all finite pixels, frame by frame, float64 (T,)."""
    return reference_curve(sequence, statistic="mean")


def _over_pixels(values: NDArray[np.float64], *, mean: bool) -> NDArray[np.float64]:
    finite = np.isfinite(values)
    if finite.all():
        return np.asarray(values.mean(axis=1) if mean else np.median(values, axis=1), dtype=np.float64)
    rows = [row[keep] for row, keep in zip(values, finite, strict=True)]
    return np.array([np.nan if row.size == 0 else (row.mean() if mean else np.median(row)) for row in rows])


def subtract_reference(
    sequence: ThermalSequence,
    mask: NDArray[np.bool_] | None = None,
    *,
    curve: NDArray[np.float64] | None = None,
    statistic: Literal["median", "mean"] | None = None,
) -> ThermalSequence:
    """Subtract the plate's reference curve: the absolute contrast of every pixel.

    Parameters
    ----------
    sequence : ThermalSequence
        Usually the temperature rise.
    mask, statistic
        Which reference, see `reference_curve`.
    curve : ndarray of float64, shape (T,), optional
        A reference made elsewhere (another plate, a model); then `mask` and `statistic` have no part.

    Returns
    -------
    ThermalSequence
        Difference, float32; a view for frames in a file.

    Raises
    ------
    SequenceError
        When mask or curve do not fit the sequence.
    TruthError
        When the mask is empty.
    """
    if curve is None:
        curve = reference_curve(sequence, mask, statistic=statistic)
        origin: str = statistic or ("median" if mask is None else "mean")
    else:
        curve, origin = np.asarray(curve, dtype=np.float64), "given"
    if curve.shape != (sequence.n_frames,):
        raise SequenceError(
            f"reference curve has shape {curve.shape}, expected one value per frame ({sequence.n_frames},)"
        )
    return sequence.with_frames(
        affine(sequence.frames, offset=curve[:, None, None]),
        "subtract_reference",
        parameters={"reference": origin, "sound_region": mask is not None},
        unit="K" if sequence.unit == "degC" else sequence.unit,
    )
