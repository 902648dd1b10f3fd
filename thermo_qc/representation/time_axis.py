"""The model's own time axis: the same steps for recordings of any frame rate and length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, ModelError
from thermo_qc.preprocess import detect_heating_stop, linear_times_s, log_times_s
from thermo_qc.sequence import ThermalSequence

__all__ = ["TimeAxis", "heating_origin_s"]

FRAMES_PER_STEP = 0.25


@dataclass(frozen=True, kw_only=True)
class TimeAxis:
    """Steps that every recording is brought to.

    Parameters
    ----------
    origin : {"heating_stop", "heating_start"}
        Where the axis starts to count; a flash is over when it starts.
    unit : {"fraction", "s"}
        Whether `start` and `end` are fractions of the time from the origin to the end of the recording, or seconds.
    start, end : float
        First and last step after the origin.
    n_steps : int
        Number of steps, at least 2.
    spacing : {"log", "linear"}
        Constant ratio or constant difference between the steps.

    Raises
    ------
    ConfigError
        When these make no axis.
    """

    origin: Literal["heating_start", "heating_stop"] = "heating_stop"
    unit: Literal["s", "fraction"] = "fraction"
    start: float = 0.01
    end: float = 1.0
    n_steps: int = 32
    spacing: Literal["linear", "log"] = "log"

    def __post_init__(self) -> None:
        for name, known in (("origin", ("heating_start", "heating_stop")), ("unit", ("s", "fraction")),
                            ("spacing", ("linear", "log"))):  # fmt: skip
            if getattr(self, name) not in known:
                raise ConfigError(f"time.{name} is '{getattr(self, name)}', expected {' or '.join(known)}")
        if not (0 <= self.start < self.end < np.inf) or self.n_steps < 2:
            raise ConfigError(
                f"time axis of {self.n_steps} steps from {self.start} to {self.end}: expected 0 <= start < end "
                "and 2 steps or more"
            )
        if self.spacing == "log" and self.start <= 0:
            raise ConfigError("time.start must be greater than 0 for logarithmic spacing")
        if self.unit == "fraction" and self.end > 1:
            raise ConfigError(f"time.end {self.end} must be at most 1 when time.unit is 'fraction'")

    def steps_s(self, sequence: ThermalSequence) -> tuple[NDArray[np.float64], float]:
        """Return the steps on the sequence's own time axis, and the origin they count from.

        Parameters
        ----------
        sequence : ThermalSequence
            Recording; may start after the origin (cooling only).

        Returns
        -------
        times_s : ndarray of float64, shape (n_steps,)
        origin_s : float

        Raises
        ------
        MissingFactError
            When the end of the heating is needed and neither given nor detectable.
        ModelError
            When the recording is too short or has too few frames.
        """
        origin = heating_origin_s(sequence, self.origin)
        first, last = float(sequence.times_s[0]), float(sequence.times_s[-1])
        step = float(np.median(np.diff(sequence.times_s))) if sequence.n_frames > 1 else 0.0
        if last <= origin:
            raise ModelError(
                f"the recording ends at {last:g} s, before the model's time origin ({self.origin} at {origin:g} s); "
                "give a longer recording or correct heating_stop_s"
            )
        scale = last - origin if self.unit == "fraction" else 1.0
        start, end = origin + self.start * scale, origin + self.end * scale
        if end > last + 0.5 * step:
            raise ModelError(
                f"the recording is shorter than the model needs: it ends {last - origin:g} s after {self.origin}, "
                f"the model looks until {self.end:g} s; record longer, or train with time.unit 'fraction'"
            )
        if self.unit == "s" and start < first - 0.5 * step:
            raise ModelError(
                f"the recording starts {first - origin:g} s after {self.origin}, the model looks "
                f"from {self.start:g} s on; "
                "record from the start of the heating, or train with a later time.start"
            )
        start, end = max(start, first), min(end, last)
        self._check_frames(sequence, start, end)
        return self._spaced(start - origin, end - origin) + origin, origin

    def _check_frames(self, sequence: ThermalSequence, start: float, end: float) -> None:
        n = int(((sequence.times_s >= start) & (sequence.times_s <= end)).sum())
        needed = max(2, int(np.ceil(FRAMES_PER_STEP * self.n_steps)))
        if n < needed or end <= start:
            raise ModelError(
                f"the recording has fewer frames than the model needs: {n} between {start:g} s and {end:g} s, expected "
                f"at least {needed} for {self.n_steps} steps; record at a higher rate or for longer"
            )

    def _spaced(self, start: float, end: float) -> NDArray[np.float64]:
        if self.spacing == "linear":
            return linear_times_s(start, end, self.n_steps)
        return log_times_s(max(start, 1e-6 * end), end, self.n_steps)


def heating_origin_s(sequence: ThermalSequence, origin: str) -> float:
    """Time of the heating's start or stop on the sequence's axis.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording.
    origin : {"heating_start", "heating_stop"}
        Which of the two. The stop of a flash without a stated stop is its start; otherwise an unstated stop is
        detected from the mean curve.

    Raises
    ------
    MissingFactError
        When the stop is neither stated nor detectable.
    """
    excitation = sequence.excitation
    if origin == "heating_start":
        return excitation.start_s
    if excitation.stop_s is not None:
        return excitation.stop_s
    if excitation.kind == "flash":
        return excitation.start_s
    found = detect_heating_stop(sequence)
    if found is None:
        raise MissingFactError(
            "the model counts time from the end of the heating, which the recording neither states nor shows; "
            "give it with the option heating_stop_s"
        )
    return float(found)
