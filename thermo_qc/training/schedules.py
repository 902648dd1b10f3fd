"""Learning-rate schedules as pure functions of the epoch and of the losses so far, so that a resumed run agrees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thermo_qc.errors import choose
from thermo_qc.training.freezing import FreezePlan

__all__ = ["SCHEDULES", "RateFactor", "ScheduleOptions", "learning_rate_factor"]


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """Numbers of a schedule.

    Parameters
    ----------
    epochs : int
        Epochs of the whole run.
    warmup_epochs : int
        Epochs of linear rise before the schedule starts.
    step_epochs : int
        Length of a step of "step".
    gamma : float
        Factor of "step" (per step), "exponential" (per epoch) and "plateau" (per plateau).
    patience_epochs : int
        Epochs without improvement that "plateau" bears before it lowers the rate.
    minimum_factor : float
        Lower bound of the factor after the warm-up.
    """

    epochs: int
    warmup_epochs: int = 0
    step_epochs: int = 10
    gamma: float = 0.5
    patience_epochs: int = 5
    minimum_factor: float = 0.0


def _none(_epoch: int, _options: ScheduleOptions, _losses: Sequence[float]) -> float:
    return 1.0


def _step(epoch: int, options: ScheduleOptions, _losses: Sequence[float]) -> float:
    return float(options.gamma ** (epoch // options.step_epochs))


def _exponential(epoch: int, options: ScheduleOptions, _losses: Sequence[float]) -> float:
    return float(options.gamma**epoch)


def _cosine(epoch: int, options: ScheduleOptions, _losses: Sequence[float]) -> float:
    length = max(1, options.epochs - options.warmup_epochs)
    low = options.minimum_factor
    return low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * min(epoch / length, 1.0)))


def _plateau(_epoch: int, options: ScheduleOptions, losses: Sequence[float]) -> float:
    factor, best, waited = 1.0, math.inf, 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited > options.patience_epochs:
            factor, waited = factor * options.gamma, 0
    return factor


SCHEDULES: dict[str, Callable[[int, ScheduleOptions, Sequence[float]], float]] = {
    "none": _none,
    "step": _step,
    "exponential": _exponential,
    "cosine": _cosine,
    "plateau": _plateau,
}


def learning_rate_factor(name: str, epoch: int, options: ScheduleOptions, losses: Sequence[float] = ()) -> float:
    """Return the factor on the base learning rate in an epoch.

    Parameters
    ----------
    name : str
        A name of `SCHEDULES`.
    epoch : int
        From 0.
    options : ScheduleOptions
        Numbers of the schedule.
    losses : sequence of float
        Watched loss of every finished epoch, for "plateau".

    Returns
    -------
    float
        During the warm-up (epoch + 1) / (warmup_epochs + 1), afterwards the schedule's own factor.

    Raises
    ------
    UnknownNameError
        When the name is not in `SCHEDULES`.

    References
    ----------
    Loshchilov, Hutter (2017), SGDR (cosine). https://doi.org/10.48550/arXiv.1608.03983
    """
    schedule = choose(SCHEDULES, name, "schedule")
    warmup = options.warmup_epochs
    if epoch < warmup:
        return (epoch + 1) / (warmup + 1)
    return max(options.minimum_factor, schedule(epoch - warmup, options, losses[warmup:]))


@dataclass(frozen=True, kw_only=True)
class RateFactor:
    """Factor on the learning rate of a training; an object and no closure, so that it can go to other processes.

    Parameters
    ----------
    name : str
        A name of `SCHEDULES`.
    options : ScheduleOptions
        Numbers of the schedule.
    plan : FreezePlan, optional
        Its stages have factors of their own.
    constant, constant_from : float and int, optional
        Factor in place of the schedule's from an epoch on.
    """

    name: str
    options: ScheduleOptions
    plan: FreezePlan | None = None
    constant: float | None = None
    constant_from: int | None = None

    def __call__(self, epoch: int, watched: Sequence[float]) -> float:
        """Return the factor in an epoch, given the losses so far."""
        stage = 1.0 if self.plan is None else self.plan.rate_factor(epoch)
        if self.constant is not None and self.constant_from is not None and epoch >= self.constant_from:
            return stage * self.constant
        return stage * learning_rate_factor(self.name, epoch, self.options, watched)
