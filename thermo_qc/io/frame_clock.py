"""The time base of camera files that state a frame period and carry a clock in the header of each frame."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from thermo_qc.config import Facts
from thermo_qc.errors import AmbiguousInputError

__all__ = ["ClockMarks", "frame_interval_s", "usable_period_s"]

logger = logging.getLogger(__name__)

TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class ClockMarks:
    """Clock readings of three frames, s, and the step of the clock; the middle one is of frame ``(n_frames - 1) // 2``.

    Only the differences matter.
    """

    first_s: float
    middle_s: float
    last_s: float
    resolution_s: float


def usable_period_s(value: float) -> float | None:
    """Return a stated frame period, or None when it is no period of any camera (also NaN)."""
    return float(value) if 1e-6 <= value <= 1e5 else None


def frame_interval_s(
    path: Path, n_frames: int, *, stated_s: float | None, clock: ClockMarks | None, facts: Facts
) -> float | None:
    """Time between stored frames.

    The stated period counts where the clocks of the frames agree with it or are not set. Where they run evenly at
    another pace, as in a file that keeps every third frame of its camera, the clocks count.

    Parameters
    ----------
    path : Path
        For messages.
    n_frames : int
        Number of stored frames.
    stated_s : float, optional
        The camera's frame period.
    clock : ClockMarks, optional
        Readings of the first, middle and last frame.
    facts : Facts
        A person's time base makes a contradiction harmless.

    Returns
    -------
    float or None
        Seconds; None when the file does not say.

    Raises
    ------
    AmbiguousInputError
        When clocks and period contradict each other, the clocks run unevenly, and nobody gave a time base.
    """
    if clock is None or n_frames < 2 or not 0 < clock.last_s - clock.first_s < float("inf"):
        return stated_s
    span = clock.last_s - clock.first_s
    interval, blur = span / (n_frames - 1), 2 * clock.resolution_s
    if stated_s is not None and abs(stated_s - interval) * (n_frames - 1) <= TOLERANCE * span + blur:
        return stated_s
    middle = clock.first_s + interval * ((n_frames - 1) // 2)
    even = abs(clock.middle_s - middle) <= TOLERANCE * span + blur
    if even and interval > 0.5 * clock.resolution_s:
        if stated_s is not None:
            logger.warning(
                "%s: the camera's frame period is %g s, but the clocks of the frames advance by %g s; the clocks count",
                path,
                stated_s,
                interval,
            )
        return interval
    if facts.frame_rate_hz is not None or facts.times_s is not None or stated_s is None:
        return stated_s
    raise AmbiguousInputError(
        f"{path} states a frame every {stated_s:g} s, but its frames' clocks advance unevenly, by {interval:g} s on "
        "average; give frame_rate_hz or times_s"
    )
