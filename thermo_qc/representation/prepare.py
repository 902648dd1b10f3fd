"""The part of a representation that needs no fit: a recording becomes clean values on the model's time axis."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.preprocess import (
    estimate_noise,
    find_dead_pixels,
    normalise,
    replace_dead_pixels,
    resample_times,
    resampling_matrix,
    subtract_cold_frame,
)
from thermo_qc.representation.channels import heated_pixels, typical_divisor
from thermo_qc.representation.time_axis import TimeAxis
from thermo_qc.sequence import HistoryEntry, ThermalSequence

__all__ = ["Prepared", "prepare", "prepare_once"]

SMALLEST_NOISE_SHARE = 1e-5

P = ParamSpec("P")


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A recording on the model's time axis.

    Parameters
    ----------
    rise : ndarray of float32, shape (T, Y, X)
        Rise above the cold frame; 1 where not valid.
    values : ndarray of float32, shape (T, Y, X)
        Normalised rise; 0 where not valid.
    divisor : float
        What the normalisation divides a typical pixel by.
    valid : ndarray of bool, shape (Y, X)
        Pixels with finite values and a signal.
    elapsed_s : ndarray of float64, shape (T,)
        Positive time since the model's origin.
    white_noise : ndarray of float64, shape (T,)
        Independent noise of the steps of `rise`, in its unit.
    common_noise : float
        Noise that all steps of a pixel share, from its cold frames.
    history : tuple of HistoryEntry
        What was done, with what was left out.
    """

    rise: NDArray[np.float32]
    values: NDArray[np.float32]
    divisor: float
    valid: NDArray[np.bool_]
    elapsed_s: NDArray[np.float64]
    white_noise: NDArray[np.float64]
    common_noise: float
    history: tuple[HistoryEntry, ...]


def prepare(
    sequence: ThermalSequence,
    *,
    time: TimeAxis,
    subtract_cold: bool = True,
    replace_dead: bool = True,
    normalise_mode: str = "pixel_mean",
    region: NDArray[np.bool_] | None = None,
) -> Prepared:
    """Clean, resample and normalise a recording.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording.
    time : TimeAxis
        Model time axis.
    subtract_cold : bool
        Subtract the mean cold frame. Without cold frames a known ambient temperature of a degC recording stands in;
        without that too the values are used as they are, and the history says so.
    replace_dead : bool
        Find dead pixels and fill them from their neighbours.
    normalise_mode : str
        Mode of `thermo_qc.preprocess.normalise`.
    region : ndarray of bool, shape (Y, X), optional
        Pixels outside it are treated as not valid.

    Returns
    -------
    Prepared

    Raises
    ------
    MissingFactError, ModelError, SequenceError
        When the recording does not fit the time axis or holds no signal.
    """
    steps_s, origin_s = time.steps_s(sequence)
    if replace_dead:
        sequence = replace_dead_pixels(sequence, find_dead_pixels(sequence))
    sigma = _noise(sequence)
    variance = (resampling_matrix(sequence.times_s, steps_s) ** 2).sum(axis=1)
    n_cold = int((sequence.times_s < 0).sum()) if subtract_cold else 0
    if subtract_cold:
        sequence = _subtract_cold(sequence, n_cold)
    resampled = resample_times(sequence, steps_s)
    rise = np.asarray(resampled.frames, dtype=np.float32)
    valid = _valid_pixels(rise, region)
    masked = resampled.with_frames(np.where(valid, rise, np.float32(np.nan)), "mask_pixels")
    values = np.nan_to_num(np.asarray(normalise(masked, normalise_mode).frames, dtype=np.float32), nan=0.0)
    level = float(np.median(np.abs(rise[:, valid])))
    rise = np.where(valid, rise, np.float32(1.0))
    return Prepared(
        rise=rise,
        values=values,
        divisor=typical_divisor(rise, valid, normalise_mode),
        valid=valid,
        elapsed_s=_positive(steps_s - origin_s),
        white_noise=np.maximum(sigma * np.sqrt(variance), SMALLEST_NOISE_SHARE * level),
        common_noise=sigma / float(np.sqrt(n_cold)) if n_cold else 0.0,
        history=resampled.history,
    )


def _once(
    function: Callable[Concatenate[ThermalSequence, P], Prepared],
) -> Callable[Concatenate[ThermalSequence, P], Prepared]:
    """Keep what a function makes of a recording in memory, by its other arguments, as long as the recording lives.

    Of recordings that lie in a file, and of parts of recordings, the latest is kept.
    """
    kept: WeakKeyDictionary[ThermalSequence, dict[tuple[object, ...], Prepared]] = WeakKeyDictionary()
    latest: WeakKeyDictionary[ThermalSequence, dict[tuple[object, ...], Prepared]] = WeakKeyDictionary()
    latest_part: WeakKeyDictionary[ThermalSequence, dict[tuple[object, ...], Prepared]] = WeakKeyDictionary()

    @wraps(function)
    def remembered(sequence: ThermalSequence, /, *arguments: P.args, **options: P.kwargs) -> Prepared:
        named = sorted(options.items())
        key = (*map(_hashed, arguments), *((name, _hashed(value)) for name, value in named))
        part = any(isinstance(value, np.ndarray) for value in (*arguments, *options.values()))
        held = latest_part if part else latest if sequence.is_lazy else kept
        if held is not kept and (sequence not in held or (part and key not in held[sequence])):
            held.clear()
        known = held.setdefault(sequence, {})
        if key not in known:
            known[key] = function(sequence, *arguments, **options)
            for values in vars(known[key]).values():
                if isinstance(values, np.ndarray):
                    values.flags.writeable = False
        return known[key]

    return remembered


def _hashed(value: object) -> Hashable:
    """Return what tells a value from others; of an array its content."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    assert isinstance(value, Hashable)
    return value


prepare_once = _once(prepare)
"""`prepare` for all folds and models that see a recording alike: the result is kept as long as the sequence lives, and
cannot be written to. Of recordings that lie in a file, and of parts of recordings (`region`), only the latest is kept.
"""


def _noise(sequence: ThermalSequence) -> float:
    """Noise of one frame: estimated, else as stated by the recording, else unknown (0)."""
    try:
        return estimate_noise(sequence)
    except SequenceError:
        return sequence.netd_k or 0.0


def _subtract_cold(sequence: ThermalSequence, n_cold: int) -> ThermalSequence:
    if n_cold:
        return subtract_cold_frame(sequence)
    if sequence.unit == "degC" and sequence.ambient_c is not None:
        frames = np.asarray(sequence.frames[:, :, :], dtype=np.float32) - np.float32(sequence.ambient_c)
        return sequence.with_frames(frames, "subtract_ambient", parameters={"ambient_c": sequence.ambient_c}, unit="K")
    return sequence.with_frames(sequence.frames, "no_cold_frame", parameters={"values": "as recorded"})


def _valid_pixels(rise: NDArray[np.float32], region: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    finite = np.isfinite(rise).all(axis=0)
    if region is not None:
        if region.shape != finite.shape:
            raise SequenceError(
                f"region has shape {region.shape}, the frames have {finite.shape}; draw it on the same frame"
            )
        finite &= region
    if not finite.any():
        raise SequenceError("no pixel has finite values over the model's time window; check the recording for NaN")
    gain = np.where(finite, np.where(finite, rise, 0).mean(axis=0), np.float32(np.nan))
    valid = heated_pixels(gain)
    if not valid.any():
        raise SequenceError(
            "no pixel shows a signal over the model's time window; check heating_stop_s and the recording"
        )
    return valid


def _positive(elapsed_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Elapsed times with a leading zero replaced by half of the second step, for logarithms."""
    first = elapsed_s[0] if elapsed_s[0] > 0 else 0.5 * elapsed_s[1]
    return np.concatenate([[first], elapsed_s[1:]])
